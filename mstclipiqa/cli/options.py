"""Options that several verbs take, and the kinds of their values."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mstclipiqa.base.errors import InputError, MstclipiqaError
from mstclipiqa.base.names import AUTO, CPU, DEVICES, FLOAT32, PRECISIONS
from mstclipiqa.cli.terminal import echo

if TYPE_CHECKING:
    from mstclipiqa.encoders.streaming import Counts
    from mstclipiqa.model.recipes import Recipe
    from mstclipiqa.study.study import Study

READ = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
WRITE = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)
COUNT = click.IntRange(1)


class RecipeFile(click.ParamType):
    """A recipe in a file, as FILE or FILE#DIGEST; the value is the recipe. The digest may be of its views alone."""

    name = "file"

    def __init__(self, views: bool = False):
        self.views = views

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> "Recipe":
        from mstclipiqa.model.recipes import load_planned

        return load_planned(value, self.views)


RECIPE = RecipeFile()

Command = Callable[..., None]


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in their order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


results = click.option("--results", type=FOLDER, required=True, help="The suite's results folder.")
recipes = click.option("--recipes", type=FOLDER, default="config/recipes", help="Folder of recipe files.")
recipe = click.option("--recipe", type=RECIPE, required=True, help="Recipe file; released_code.yaml lies beside it.")
samples = click.option("--samples", type=READ, required=True, help="Samples table.")
splits = click.option("--splits", type=READ, required=True, help="Splits table.")
root = click.option("--root", type=FOLDER, required=True, help="The folder that the samples' paths start from.")
device = click.option(
    "--device", type=click.Choice(DEVICES), default=AUTO,
    help="auto: a GPU, where there is one; cuda: a GPU, and an error without one.",
)  # fmt: skip
precision = click.option(
    "--precision", type=click.Choice(PRECISIONS), default=FLOAT32,
    help="Of the image encoders; only a GPU computes in tf32.",
)  # fmt: skip
levels = click.option("--levels", type=READ, required=True, help="Text store of the recipe's quality levels.")
fine_levels = click.option(
    "--fine-levels", type=READ, help="The same by the fine encoder's text tower, which mstfe-1 needs."
)
predictions = click.option("--out", type=WRITE, required=True, help="Predictions (Parquet) to write.")
seed = click.option("--seed", type=SEED, default=0, help="Initial weights and batches of every run.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
table = click.option("--out", type=WRITE, required=True, help="Table (Parquet) to write.")
workers = click.option("--workers", type=COUNT, default=1, help="Processes on a CPU; changes the speed only.")
store = click.option("--out", type=WRITE, required=True, help="Feature store (safetensors) to write.")

#: The stores of a benchmark that every model is trained from.
stores = together(
    click.option("--coarse", type=READ, required=True, help="Features of the coarse encoder."),
    click.option("--fine", type=READ, required=True, help="Features of the fine encoder."),
    click.option("--prompts", type=READ, required=True, help="Text store of the prompts."),
)

#: The encoders of the features.
pair = together(
    click.option("--coarse-model", required=True, help="The open_clip model of the coarse features."),
    click.option("--coarse-weights", required=True, help="Its weights: a pretrained tag, a file, or random:SEED."),
    click.option("--fine-model", required=True, help="The open_clip model of the fine features."),
    click.option("--fine-weights", required=True, help="Its weights."),
)

#: Which model is trained, and which of its runs.
runs = together(
    click.option("--variant", required=True),
    click.option("--target", required=True),
    click.option("--seed", "seeds", type=SEED, multiple=True, required=True, help="Repeatable."),
    click.option(
        "--split-seed", "split_seeds", type=SEED, multiple=True, help="Of protocols of several splits; else all."
    ),
    click.option(
        "--protocol", "protocols", multiple=True, help="Of the splits table; all, if none is named. Repeatable."
    ),
)

training_device = click.option(
    "--device", type=click.Choice(DEVICES), default=CPU,
    help="auto: all runs at once on a GPU, where there is one; cuda: there, and an error without one.",
)  # fmt: skip

#: How any number of images are worked on, part by part.
parts = together(
    click.option("--part-size", type=COUNT, default=5000, help="Images of a part: what a kill costs at most."),
    click.option("--batch-size", type=COUNT, default=32, help="Images per forward pass."),
    click.option(
        "--shard", type=(COUNT, COUNT), default=(1, 1), metavar="K N",
        help="Do the K-th of N shares of the parts, as one of N machines.",
    ),
)  # fmt: skip

#: A configuration file, as a person gives it.
configuration = together(
    click.option("--config", type=READ, default="config/config.yaml", help="Configuration file."),
    recipes,
    click.option("--data-root", type=WRITE, help="In place of the configuration's data_root."),
)

#: A configuration, as the workflow gives it.
json_configuration = together(
    click.option("--config", required=True, help="The configuration as JSON."),
    recipes,
    click.option("--planned", help="Digest of the recipes that the run was planned with."),
)

#: Where what is downloaded is kept.
downloads = together(
    click.option(
        "--cache", type=WRITE, envvar="MSTCLIPIQA_CACHE", default=Path("~/.cache/mstclipiqa").expanduser,
        show_default="~/.cache/mstclipiqa", help="Where downloads are kept; may be shared. [$MSTCLIPIQA_CACHE]",
    ),
    click.option("--offline", is_flag=True, envvar="MSTCLIPIQA_OFFLINE", help="Use no network. [$MSTCLIPIQA_OFFLINE]"),
)  # fmt: skip

#: Where benchmarks come from and are kept.
acquisition = together(
    click.option("--sources", type=READ, default="config/sources.yaml", help="Where the files come from."), downloads
)


def say_counts(counts: "Counts", done: str) -> None:
    """Say what was done of any number of images. Raises MstclipiqaError where some could not be."""
    before = f", {counts.before:,} of them before" if counts.before else ""
    echo(f"{counts.records - counts.failed:,} of {counts.records:,} images {done} in {counts.parts:,} parts{before}")
    if counts.failed:
        raise MstclipiqaError(f"{counts.failed:,} images could not be {done}; their rows in the parts say why")


def read_configuration(config: Path, data_root: Path | None) -> dict:
    """The configuration file, with `data_root` in place of its own where one is given."""
    from mstclipiqa.base.documents import read_yaml

    return read_yaml(config) | ({"data_root": str(data_root)} if data_root else {})


def read_study(config: str, recipes: Path, planned: str | None) -> "Study":
    """The study of a configuration given as JSON. Raises InputError where it is none, and as `Study` does."""
    from mstclipiqa.study.study import Study

    try:
        document = json.loads(config)
    except json.JSONDecodeError as error:
        raise InputError(f"--config: not JSON ({error})") from None
    return Study(document, recipes, planned=planned)
