"""Verbs that score images: keep a trained model as a file, and apply it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mstclipiqa.base.errors import InputError, MstclipiqaError
from mstclipiqa.base.names import LAST, MODELS, SELECTIONS, TARGETS
from mstclipiqa.cli import options
from mstclipiqa.cli.options import READ, WRITE
from mstclipiqa.cli.terminal import echo

if TYPE_CHECKING:
    from mstclipiqa.model.recipes import Recipe
    from mstclipiqa.scoring.trained_head import Head


@click.command("train-head")
@click.argument("benchmark")
@options.results
@options.recipe
@click.option("--variant", default=MODELS[0])
@click.option("--target", default=TARGETS[0], help=f"{', '.join(TARGETS)}.")
@click.option("--protocol", required=True, help="A protocol of the splits table, e.g. lab-seed1.")
@click.option("--split", type=click.IntRange(0), default=0, help="Which of its splits: its training images are used.")
@options.seed
@click.option("--selection", type=click.Choice(list(SELECTIONS)), default=LAST, help="Which epoch.")
@click.option("--out", type=WRITE, required=True, help="Head (safetensors) to write.")
def train_head(
    benchmark: str, results: Path, recipe: "Recipe", variant: str, target: str, protocol: str, split: int, seed: int,
    selection: str, out: Path,
) -> None:  # fmt: skip
    """Train one run on BENCHMARK again, and keep its model as a file for `mstclipiqa score`."""
    from mstclipiqa.scoring.trained_head import train_head_from_results

    run = (protocol, split, seed)
    echo(str(train_head_from_results(out, results, benchmark, run, variant, recipe, target, selection)))


@click.command("run-metric")
@click.argument("metric")
@options.samples
@options.root
@click.option("--weights", default="published", help="published, which IQA-PyTorch downloads, a file, or random:SEED.")
@click.option(
    "--undefined", type=click.Choice(["refuse", "worst"]), default="refuse",
    help="Of an image without a finite score, as one of a single colour: stop, or give it the worst of the others.",
)  # fmt: skip
@click.option("--out", type=WRITE, required=True, help="Scores to write (CSV): image and prediction, more is better.")
def run_metric(metric: str, samples: Path, root: Path, weights: str, undefined: str, out: Path) -> None:
    """Score a benchmark's images by METRIC of IQA-PyTorch, such as niqe, musiq or clipiqa."""
    from mstclipiqa.analyses.outside_metrics import run_metric as run

    echo(run(out, metric, samples, root, weights, undefined))


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--head", "heads", type=READ, multiple=True, help="Head of one target (train-head). Repeatable.")
@click.option("--released", type=READ, help="A quality checkpoint trained by the released code.")
@click.option("--prompt", help="What all images were generated from, for heads that read it.")
@click.option("--prompts", type=READ, help="The same by image: a CSV file with the columns image and prompt.")
@click.option("--weights", multiple=True, metavar="MODEL=PLACE", help="Where an encoder's weights are. Repeatable.")
@click.option("--explain", is_flag=True, help="Gates, levels' probabilities and attention too; needs --out as .json.")
@click.option("--parts", type=WRITE, help="Score any number of images, part by part, into tables in this folder.")
@options.parts
@click.option("--out", type=WRITE, help="Scores to write, .csv or .json; CSV on the standard output without it.")
def score(
    images: tuple[Path, ...], heads: tuple[Path, ...], released: Path | None, prompt: str | None, prompts: Path | None,
    weights: tuple[str, ...], explain: bool, parts: Path | None, part_size: int, batch_size: int,
    shard: tuple[int, int], out: Path | None,
) -> None:  # fmt: skip
    """Score IMAGES, files or folders, with trained heads; with --parts, lists and tar shards too. Exit status 1 where
    an image could not be scored."""
    if parts and (prompts or out):
        raise click.UsageError("--parts takes neither --prompts nor --out: prompts stand in a list or in the shards")
    if shard != (1, 1) and not parts:
        raise click.UsageError("--shard needs --parts, the folder that the shares have in common")
    if prompt is not None and prompts is not None:
        raise click.UsageError("give one of --prompt and --prompts")
    if out and out.suffix not in (".csv", ".json"):
        raise InputError(f"{out}: scores are written as .csv or .json; name it so")
    if explain and (out is None or out.suffix != ".json"):
        raise click.UsageError("--explain needs --out as .json, whose rows can hold lists")
    if wrong := [place for place in weights if not re.fullmatch(r"[^=]+=.+", place)]:
        raise InputError(f"--weights {wrong[0]!r}: give MODEL=PLACE, e.g. ViT-B-32-quickgelu=weights.pt")

    from mstclipiqa.scoring.released import load_released
    from mstclipiqa.scoring.scorer import Scorer, as_csv, read_prompts, write_scores

    given: list[Path | Head] = [*heads, *([load_released(released)] if released else [])]
    scorer = Scorer(*given, weights=dict(place.split("=", 1) for place in weights))
    for head in scorer.heads.values():
        echo(str(head), err=True)
    if parts:
        from mstclipiqa.scoring.many import score_many

        return options.say_counts(score_many(scorer, images, parts, prompt, part_size, batch_size, shard), "scored")
    table = scorer.score(images, read_prompts(prompts) if prompts else prompt, batch_size, explain)
    if out:
        write_scores(out, scorer, table)
    else:
        echo(as_csv(table).rstrip("\n"))
    if count := int(table["error"].notna().sum()):
        raise MstclipiqaError(f"{count} of {len(table)} images could not be scored; the column `error` says why")
