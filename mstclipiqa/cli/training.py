"""Steps that train on features, and what is measured beside the main grid."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mstclipiqa.cli import options
from mstclipiqa.cli.options import READ, WRITE
from mstclipiqa.cli.terminal import echo

if TYPE_CHECKING:
    from mstclipiqa.model.recipes import Recipe


@click.command()
@options.samples
@options.splits
@options.stores
@options.levels
@options.fine_levels
@click.option("--coarse-views", type=READ, help="Augmented views by the coarse encoder, where the recipe has some.")
@click.option("--fine-views", type=READ, help="The same views by the fine encoder.")
@click.option("--further", type=READ, multiple=True, help="Features of a stream beside the two. Repeatable.")
@click.option("--further-views", type=READ, multiple=True, help="The same views by its encoder. Repeatable.")
@options.recipe
@options.runs
@options.workers
@options.training_device
@options.predictions
def train(
    samples: Path, splits: Path, coarse: Path, fine: Path, prompts: Path, levels: Path, fine_levels: Path | None,
    coarse_views: Path | None, fine_views: Path | None, further: tuple[Path, ...], further_views: tuple[Path, ...],
    recipe: "Recipe", variant: str, target: str, seeds: tuple[int, ...], split_seeds: tuple[int, ...],
    protocols: tuple[str, ...], workers: int, device: str, out: Path,
) -> None:  # fmt: skip
    """Train every split and seed of one target, recipe and variant. Resumes at the first unfinished run."""
    from mstclipiqa.training.dataset import DatasetFiles
    from mstclipiqa.training.job import train_from_files

    files = DatasetFiles(samples, coarse, fine, prompts, coarse_views, fine_views, further, further_views)
    train_from_files(
        out, files, splits, levels, recipe, variant, target, list(seeds), list(split_seeds or seeds), fine_levels,
        workers, device, protocols,
    )  # fmt: skip


@click.command()
@options.samples
@options.splits
@options.stores
@options.root
@options.pair
@options.levels
@options.fine_levels
@options.recipe
@options.runs
@options.workers
@options.training_device
@options.predictions
def train_adapted(
    samples: Path, splits: Path, coarse: Path, fine: Path, prompts: Path, root: Path, coarse_model: str,
    coarse_weights: str, fine_model: str, fine_weights: str, levels: Path, fine_levels: Path | None, recipe: "Recipe",
    variant: str, target: str, seeds: tuple[int, ...], split_seeds: tuple[int, ...], protocols: tuple[str, ...],
    workers: int, device: str, out: Path,
) -> None:  # fmt: skip
    """The same where a recipe trains the encoders too, from images. Resumes at the first unfinished run."""
    from mstclipiqa.training.adapted import adapted_from_files
    from mstclipiqa.training.dataset import DatasetFiles

    encoders = {"coarse": (coarse_model, coarse_weights), "fine": (fine_model, fine_weights)}
    adapted_from_files(
        out, DatasetFiles(samples, coarse, fine, prompts), root, encoders, splits, levels, recipe, variant, target,
        list(seeds), list(split_seeds or seeds), fine_levels, workers, device, protocols,
    )  # fmt: skip


@click.command()
@options.samples
@options.splits
@options.stores
@click.option("--statistics", type=READ, help="Image statistics, written by `mstclipiqa measure`; none without images.")
@click.option("--texts", type=READ, required=True, help="Text store, written by `mstclipiqa encode-texts --zero-shot`.")
@click.option("--paired", type=READ, required=True, help="Features of the encoder whose text tower read these texts.")
@click.option(
    "--stream", "streams", type=READ, multiple=True,
    help="Features of a stream that the configuration names; ridge reads all of them. Repeatable.",
)  # fmt: skip
@click.option("--entries", type=WRITE, help="Folder for their scores too, as entries of a board.")
@options.table
def baselines(out: Path, entries: Path | None, **files: Any) -> None:
    """What heads are held against: ridge on features and image statistics, zero-shot scores, means over groups.

    Prints mean ± sample SD over the splits of a protocol.
    """
    from mstclipiqa.analyses.baselines import BaselineFiles, baselines_from_files
    from mstclipiqa.analyses.rival_entries import enter_rivals

    for line in baselines_from_files(out, BaselineFiles(**files)):
        echo(line)
    for line in enter_rivals(entries, BaselineFiles(**files)) if entries else ():
        echo(line)


@click.command()
@options.samples
@options.splits
@click.option("--prompts", type=READ, required=True, help="Text store of the prompts.")
@click.option(
    "--case", "cases", type=(options.RECIPE, READ, READ, READ), multiple=True, required=True,
    metavar="RECIPE COARSE FINE LEVELS",
    help="A recipe file, the features of both streams under it, and its level texts. Repeatable.",
)  # fmt: skip
@click.option(
    "--views", type=(str, READ, READ), multiple=True, metavar="RECIPE COARSE FINE",
    help="The augmented views of both streams, by the name of a recipe that trains on some. Repeatable.",
)  # fmt: skip
@options.seed
@options.table
def curves(
    samples: Path, splits: Path, prompts: Path, cases: "tuple[tuple[Recipe, Path, Path, Path], ...]",
    views: tuple[tuple[str, Path, Path], ...], seed: int, out: Path,
) -> None:  # fmt: skip
    """SRCC of a benchmark after every epoch, by recipe and learning rate, beside ridge regression."""
    from mstclipiqa.analyses.learning_curves import Case, curves_from_files

    of_recipe = {recipe: own for recipe, *own in views}
    curves_from_files(
        out, samples, splits, prompts, [Case(*case, *of_recipe.get(case[0].name, ())) for case in cases], seed
    )


@click.command()
@click.option(
    "--source", "sources", type=(READ, READ, READ, READ, READ), multiple=True, required=True,
    metavar="SAMPLES SPLITS COARSE FINE PROMPTS", help="The files of a benchmark. Repeatable.",
)  # fmt: skip
@click.option(
    "--views", type=(READ, READ, READ), multiple=True, metavar="SAMPLES COARSE FINE",
    help="The augmented views of both streams, of a recipe that trains on some. Repeatable.",
)  # fmt: skip
@options.levels
@options.recipe
@options.seed
@options.table
def transfer(
    sources: tuple[tuple[Path, Path, Path, Path, Path], ...], views: tuple[tuple[Path, Path, Path], ...], levels: Path,
    recipe: "Recipe", seed: int, out: Path,
) -> None:  # fmt: skip
    """Train on each of several benchmarks; test on its own test images and on all images of the others."""
    from mstclipiqa.analyses.transfer import transfer_from_files
    from mstclipiqa.training.dataset import DatasetFiles

    of_samples = {samples: own for samples, *own in views}
    read = [
        (DatasetFiles(samples, coarse, fine, prompts, *of_samples.get(samples, ())), splits)
        for samples, splits, coarse, fine, prompts in sources
    ]
    transfer_from_files(out, read, recipe, levels, seed)


@click.command()
@options.samples
@options.splits
@options.stores
@options.pair
@options.levels
@options.recipe
@options.seed
@options.device
@click.option("--out", type=WRITE, required=True, help="Folder for readout.parquet and gates.parquet.")
def probe(
    samples: Path, splits: Path, coarse: Path, fine: Path, prompts: Path, coarse_model: str, coarse_weights: str,
    fine_model: str, fine_weights: str, levels: Path, recipe: "Recipe", seed: int, device: str, out: Path,
) -> None:  # fmt: skip
    """Draw images of known content and distortion, and measure what each feature stream and the gate carry of them."""
    from mstclipiqa.analyses.probe import probe_from_files
    from mstclipiqa.training.dataset import DatasetFiles

    files = DatasetFiles(samples, coarse, fine, prompts)
    encoders = {"coarse": (coarse_model, coarse_weights), "fine": (fine_model, fine_weights)}
    probe_from_files(out, files, splits, levels, recipe, seed, encoders, device)


@click.command()
@options.samples
@options.splits
@options.stores
@options.levels
@options.recipe
@options.seed
@click.option("--out", type=WRITE, required=True, help="Folder for the four tables.")
def dissect(
    samples: Path, splits: Path, coarse: Path, fine: Path, prompts: Path, levels: Path, recipe: "Recipe", seed: int,
    out: Path,
) -> None:  # fmt: skip
    """Take trained models apart: replace the gate, read the streams from z, leave the fine encoder out."""
    from mstclipiqa.analyses.dissection import dissect_from_files
    from mstclipiqa.training.dataset import DatasetFiles

    dissect_from_files(out, DatasetFiles(samples, coarse, fine, prompts), splits, levels, recipe, seed)


@click.command()
@click.argument("benchmark")
@options.results
@options.recipe
@click.option("--target", required=True)
@options.seed
@click.option("--split-seed", type=options.SEED, help="The same of a protocol of several splits.")
@options.table
def attend(
    benchmark: str, results: Path, recipe: "Recipe", target: str, seed: int, split_seed: int | None, out: Path
) -> None:
    """Train the first run of MST-CLIPIQA* on BENCHMARK again, and write how it weighs each token of a prompt."""
    from mstclipiqa.analyses.attention import attend as run

    run(out, results, benchmark, target, recipe, seed, seed if split_seed is None else split_seed)


@click.command()
@options.json_configuration
@click.option("--out", type=WRITE, required=True, help="Table (Parquet) of what is counted.")
@click.option("--timings", type=WRITE, required=True, help="Table (Parquet) of what is timed, other every time.")
def efficiency(config: str, recipes: Path, planned: str | None, out: Path, timings: Path) -> None:
    """What each model costs from image to score: parameters, operations, time on this machine."""
    from mstclipiqa.analyses.efficiency import efficiency_from_study

    efficiency_from_study(options.read_study(config, recipes, planned), out, timings)
