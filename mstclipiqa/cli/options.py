"""Options that several verbs take, and the kinds of their values."""

import json
from collections.abc import Callable
from pathlib import Path

import click

from mstclipiqa.base.errors import InputError

READ = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
WRITE = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)
COUNT = click.IntRange(1)

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
recipe = click.option("--recipe", type=READ, required=True, help="Recipe file; released_code.yaml lies beside it.")
samples = click.option("--samples", type=READ, required=True, help="Samples table.")
splits = click.option("--splits", type=READ, required=True, help="Splits table.")
root = click.option("--root", type=FOLDER, required=True, help="The folder that the samples' paths start from.")
levels = click.option("--levels", type=READ, required=True, help="Text store of the recipe's quality levels.")
seed = click.option("--seed", type=SEED, default=0, help="Initial weights and batches of every run.")
table = click.option("--out", type=WRITE, required=True, help="Table (Parquet) to write.")
store = click.option("--out", type=WRITE, required=True, help="Feature store (safetensors) to write.")

#: The stores of a benchmark that every model is trained from.
stores = together(
    click.option("--coarse", type=READ, required=True, help="Features of the coarse encoder."),
    click.option("--fine", type=READ, required=True, help="Features of the fine encoder."),
    click.option("--prompts", type=READ, required=True, help="Text store of the prompts."),
)

#: A configuration file, as a person gives it.
configuration = together(
    click.option("--config", type=READ, required=True, help="Configuration file, e.g. config/paper.yaml."),
    recipes,
    click.option("--data-root", type=WRITE, help="In place of the configuration's data_root."),
)

#: A configuration, as the workflow gives it.
json_configuration = together(click.option("--config", required=True, help="The configuration as JSON."), recipes)

#: Where benchmarks come from and are kept.
acquisition = together(
    click.option("--sources", type=READ, default="config/sources.yaml", help="Where the files come from."),
    click.option(
        "--cache", type=WRITE, envvar="MSTCLIPIQA_CACHE", default=Path("~/.cache/mstclipiqa").expanduser,
        show_default="~/.cache/mstclipiqa", help="Where downloads are kept; may be shared. [$MSTCLIPIQA_CACHE]",
    ),
    click.option("--offline", is_flag=True, envvar="MSTCLIPIQA_OFFLINE", help="Use no network. [$MSTCLIPIQA_OFFLINE]"),
)  # fmt: skip


def read_configuration(config: Path, data_root: Path | None) -> dict:
    """The configuration file, with `data_root` in place of its own where one is given."""
    from mstclipiqa.base.documents import read_yaml

    return read_yaml(config) | ({"data_root": str(data_root)} if data_root else {})


def read_json_configuration(text: str) -> dict:
    """A configuration given as JSON on the command line. Raises InputError where it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--config: not JSON ({error})") from None
