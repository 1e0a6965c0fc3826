"""Verbs that check: what a configuration needs, whether results hold, whether they are the committed ones."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mstclipiqa.base.errors import InputError, MstclipiqaError
from mstclipiqa.cli import options
from mstclipiqa.cli.options import FOLDER, READ, WRITE
from mstclipiqa.cli.terminal import echo, echo_json

if TYPE_CHECKING:
    import pandas as pd

    from mstclipiqa.provenance.control_checks import Controls


@click.command()
@options.configuration
@options.acquisition
@options.as_json
def doctor(
    config: Path, recipes: Path, data_root: Path | None, sources: Path, cache: Path, offline: bool, as_json: bool
) -> None:  # fmt: skip
    """Say what a configuration needs, what of it is there, and how to get the rest. Downloads nothing."""
    from mstclipiqa.data.acquisition import read_sources
    from mstclipiqa.study.doctor import conclude, diagnose, render

    findings = diagnose(
        options.read_configuration(config, data_root), recipes, read_sources(sources), cache, offline, config
    )
    if as_json:
        echo_json({"findings": [asdict(finding) for finding in findings]})
    else:
        echo(f"{render(findings)}\n")
    conclusion = conclude(findings)  # refuses what lacks something essential
    if not as_json:
        echo(conclusion)


def score_again(**files: Any) -> tuple["pd.DataFrame", dict]:
    """Rivals of a benchmark, from the files of `analyses.baselines.BaselineFiles` by name."""
    from mstclipiqa.analyses.baselines import BaselineFiles, score_files

    return score_files(BaselineFiles(**files))


def controls() -> "Controls":
    """How rivals and costs are computed again, for verification, which may not import the analyses."""
    from mstclipiqa.analyses.efficiency import count_again
    from mstclipiqa.provenance.control_checks import Controls

    return Controls(score_again, count_again)


@click.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
@click.option("--data-root", type=FOLDER, help="Folder with a folder per benchmark, to hold the inputs against too.")
@click.option(
    "--config", type=click.Path(path_type=Path), default="config",
    help="Folder of claims.yaml, paper_tables.csv, prior_results.csv and recipes/, to decide the verdicts again.",
)  # fmt: skip
@click.option("--signed-by", "keys", type=READ, help="Public SSH key, or allowed signers, that a bundle is to be by.")
@options.workers
@options.as_json
def verify(results: Path, data_root: Path | None, config: Path, keys: Path | None, workers: int, as_json: bool) -> None:
    """Hold RESULTS, a results folder or a bundle, against its manifest, and compute its numbers again.

    Says what does not hold, a line each, with exit status 1; what was not checked, and why.
    """
    from mstclipiqa.provenance.bundle import verify_bundle
    from mstclipiqa.provenance.verification import verify_results

    if not results.is_dir():
        verdict = verify_bundle(results, data_root, config, controls(), keys, workers)
    elif keys:
        raise InputError(f"{results}: --signed-by holds a bundle's signature; name the bundle")
    else:
        verdict = verify_results(results, data_root, config, controls=controls(), workers=workers)
    if as_json:
        echo_json({"results": str(results), "holds": not verdict.findings, **vars(verdict)})
    else:
        if verdict.signed_by:
            echo(f"{results} is signed by {verdict.signed_by}")
        for line in verdict.findings:
            echo(line, colour="red")
        for line in verdict.notes:
            echo(f"Not checked: {line}", colour="yellow")
    if verdict.findings:
        raise InputError(f"{results}: does not hold ({len(verdict.findings)} findings, named above)")
    if not as_json:
        echo(f"{results} holds: {verdict.summary}", colour="green")


@click.command()
@options.results
@click.option("--reference", type=WRITE, required=True, help="Reference, e.g. config/reference/reduced.csv.")
@options.workers
@options.as_json
def check(results: Path, reference: Path, workers: int, as_json: bool) -> None:
    """Hold a suite's measurements against its committed reference. Exit status 1 where they differ."""
    from mstclipiqa.provenance.reference import check_suite

    measured, comparison = check_suite(results, reference, workers)
    if as_json:
        rows = len(measured.rows)
        echo_json({"green": not comparison.failures, "rows": rows, **asdict(comparison)})
    else:
        echo(str(comparison))
    if comparison.failures:
        raise MstclipiqaError(
            f"{reference}: {len(comparison.failures)} differences; mend them, or bless them if they are meant: "
            f"mstclipiqa bless --results {results} --reference {reference} --by NAME --reason WHY"
        )
    if not as_json:
        echo(f"green: {len(measured.rows)} rows as in {reference}")


@click.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@click.option("--out", type=WRITE, help="Folder for index.html and CSV tables of all that differs.")
@options.as_json
def diff(a: Path, b: Path, out: Path | None, as_json: bool) -> None:
    """Say what differs between two results folders: what they rest on, runs, means with intervals, verdicts."""
    from mstclipiqa.provenance.results_diff import describe, diff_results, write_diff

    found = diff_results(a, b)
    if out:
        write_diff(found, out)
    if as_json:
        tables = {name: table.to_dict("records") for name, table in found.tables.items()}
        said = {"a": str(a), "b": str(b), "same": found.same, "runs_in_both": found.both}
        echo_json(said | {"only_in_one": found.only, "not_compared": found.others, **tables})
    else:
        for line in describe(found):
            echo(line)


@click.command()
@options.results
@click.option("--reference", type=WRITE, required=True, help="Reference to write.")
@click.option("--by", required=True, help="Who stands for the new reference.")
@click.option("--reason", required=True, help="Why the measurements changed. One line, kept in the reference.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.workers
def bless(results: Path, reference: Path, by: str, reason: str, yes: bool, workers: int) -> None:
    """Make a suite's measurements its reference, after showing what changes."""
    from mstclipiqa.provenance.reference import prepare_reference, write_reference

    measured, shown = prepare_reference(results, reference, workers)
    echo(shown)
    if not yes:
        click.confirm(f"Write {reference}?", abort=True)
    write_reference(reference, measured, by, reason)
