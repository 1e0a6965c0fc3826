"""Steps that read a benchmark: its samples table, and its splits."""

from pathlib import Path

import click

from mstclipiqa.cli import options
from mstclipiqa.cli.options import WRITE
from mstclipiqa.cli.terminal import echo


@click.command()
@click.argument("benchmark")
@click.option("--root", type=WRITE, required=True, help="The benchmark's folder: label files and images.")
@options.table
def samples(benchmark: str, root: Path, out: Path) -> None:
    """Read BENCHMARK's label files and find its images: one samples table, defects counted."""
    from mstclipiqa.data.benchmarks import get_benchmark
    from mstclipiqa.data.samples import samples_from_folder

    for line in samples_from_folder(out, get_benchmark(benchmark), root):
        echo(line)


@click.command()
@options.samples
@click.option("--protocol", "protocols", multiple=True, required=True, help="Repeatable, e.g. lab-seed1, grouped10.")
@options.table
def split(samples: Path, protocols: tuple[str, ...], out: Path) -> None:
    """Split a benchmark under each protocol, and measure what each split leaks."""
    from mstclipiqa.data.protocols import splits_from_samples

    for line in splits_from_samples(out, samples, protocols):
        echo(line)


@click.command("import-split")
@click.argument("source", type=click.Path(path_type=Path))
@options.samples
@click.option("--name", required=True, help="Of the protocol, file-NAME: config/splits/NAME.csv is written.")
@click.option("--fold", "folds", multiple=True, help="Column of folds or roles in a table. Repeatable.")
@click.option("--first", type=click.IntRange(0, 1), help="The number of the first label row, where SOURCE has numbers.")
@click.option("--without-excluded", is_flag=True, help="Leave out images that the reader excluded.")
def import_split(
    source: Path, samples: Path, name: str, folds: tuple[str, ...], first: int | None, without_excluded: bool
) -> None:
    """Take over published splits: a folder of train and test lists, a table with folds, or a MATLAB file of indices."""
    from mstclipiqa.data import split_import

    for line in split_import.import_split(source, samples, name, folds, first, without_excluded):
        echo(line)
