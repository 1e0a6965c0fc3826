"""Verbs for scores of other methods: enter them, hold them against a benchmark, rank them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import TARGETS
from mstclipiqa.cli import options
from mstclipiqa.cli.options import FOLDER, READ, WRITE
from mstclipiqa.cli.terminal import echo

if TYPE_CHECKING:
    import pandas as pd

NOT_STATED = "not stated"


@click.command()
@click.argument("scores", type=READ)
@click.option("--method", required=True, help="The method as tables show it, e.g. NIQE.")
@click.option("--benchmark", required=True, help="The benchmark whose images were scored, e.g. agiqa-3k.")
@click.option("--target", type=click.Choice(TARGETS), default=TARGETS[0], help="What the scores stand for.")
@click.option(
    "--from", "source", default="shipped",
    help="Where the benchmark is: a results folder, a samples table, a pack, or its own folder; else the shipped pack.",
)  # fmt: skip
@click.option("--protocol", help="The protocol that the method was trained under, where SCORES does not name it.")
@click.option("--split", type=click.IntRange(0), help="Which of its splits.")
@click.option("--name", default="", help="Names its files; made from --method, where left out.")
@click.option("--paper", default=NOT_STATED, help="Where the method is published.")
@click.option("--code", default=NOT_STATED, help="Where its code is, with the commit.")
@click.option("--licence", default=NOT_STATED, help="Of the code or the weights.")
@click.option("--training-data", default=NOT_STATED, help="What it was trained on, as its authors state it.")
@click.option(
    "--saw-test-images", type=click.Choice(["says no", "says yes", NOT_STATED]), default=NOT_STATED,
    help="Was it trained on test images? Printed as claimed.",
)  # fmt: skip
@click.option("--lower-is-better", is_flag=True, help="A lower score means a better image, as with NIQE.")
@click.option("--out", type=WRITE, required=True, help="Folder of the entry: card.yaml and scores.csv.")
def enter(
    scores: Path, method: str, benchmark: str, target: str, source: str, protocol: str | None, split: int | None,
    name: str, out: Path, **claims: str | bool,
) -> None:  # fmt: skip
    """Check a method's SCORES (CSV: image, prediction), and write them as an entry for configurations and boards.

    Scores that are the same in every split have these two columns. Those of a method that was trained on splits have
    protocol, split and perhaps seed too, or --protocol and --split name them.
    """
    from mstclipiqa.api.notebook import load_benchmark
    from mstclipiqa.entries.admission import enter as enter_scores
    from mstclipiqa.entries.entry import make_card

    if (protocol is None) != (split is None):
        raise InputError("--protocol and --split: give both, or neither")
    loaded = load_benchmark(benchmark, source)
    card = make_card(method, benchmark, target, loaded.samples, name, **claims)
    run = (protocol, split) if protocol is not None and split is not None else None
    for line in enter_scores(out, scores, loaded.samples, loaded.card, card, run):
        echo(line)
    echo(f"{out}: entered")


@click.command("enter-models")
@click.argument("results", type=FOLDER)
@click.option("--target", "targets", type=click.Choice(TARGETS), multiple=True, help="Repeatable; else every target.")
@click.option("--out", type=WRITE, required=True, help="Folder of entries; each gets BENCHMARK/TARGET/NAME/ there.")
def enter_models(results: Path, targets: tuple[str, ...], out: Path) -> None:
    """Enter the models that were trained in RESULTS, as methods of a board that is built without that folder."""
    from mstclipiqa.entries.models import enter_models as enter_all

    for line in enter_all(out, results, targets or TARGETS):
        echo(line)


@click.command()
@click.argument("entry", type=FOLDER)
@options.samples
@options.splits
@options.table
def admit(entry: Path, samples: Path, splits: Path, out: Path) -> None:
    """Hold the scores of ENTRY against a benchmark's samples and splits, and write them as predictions."""
    from mstclipiqa.entries.admission import admit_from_files

    for line in admit_from_files(out, entry, samples, splits):
        echo(line)


@click.command()
@click.argument("entries", type=FOLDER, required=False)
@click.option("--results", type=FOLDER, multiple=True, help="A results folder whose models are ranked too. Repeatable.")
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    help="Repeatable; else lab-seed1, grouped10, unseen generators, and those of entries.",
)
@click.option("--check", is_flag=True, help="Only say what the entries are refused for.")
@click.option("--out", type=WRITE, help="Folder for index.html, a page per board, and tables/.")
def board(
    entries: Path | None, results: tuple[Path, ...], protocols: tuple[str, ...], check: bool, out: Path | None
) -> None:
    """Rank the methods of the folder ENTRIES, and the models of results: a page per benchmark, target and protocol."""
    from mstclipiqa.entries.board import check_entries, write_board
    from mstclipiqa.entries.entry import find_entries

    found = find_entries(entries) if entries else []
    if check:
        refused, doubts = check_entries(found, lambda name: _load(name, results), protocols)
        for line in [*refused, *doubts]:
            echo(line)
        if refused:
            raise InputError(f"{entries}: {len(refused)} of {len(found)} entries are refused, as said above")
        echo(f"{entries}: {len(found)} entries hold")
        return
    if out is None or not (found or results):
        raise InputError("give --out, and a folder of entries or --results")
    for line in write_board(out, found, results, lambda name: _load(name, results), protocols):
        echo(line)
    echo(f"The board: {out / 'index.html'}")


def _load(benchmark: str, results: tuple[Path, ...]) -> "tuple[pd.DataFrame, dict]":
    """A benchmark's samples and their card: of the first results folder that has it, or of the shipped pack."""
    from mstclipiqa.api.notebook import load_benchmark
    from mstclipiqa.base.layout import SAMPLES

    source = next((folder for folder in results if SAMPLES.at(folder, benchmark=benchmark).is_file()), "shipped")
    loaded = load_benchmark(benchmark, source)
    return loaded.samples, loaded.card
