"""Steps from predictions to the page: metrics, intervals and tests, verdicts, the manifest, the report."""

from pathlib import Path

import click

from mstclipiqa.cli import options
from mstclipiqa.cli.options import READ, WRITE
from mstclipiqa.cli.terminal import echo


@click.command()
@click.argument("runs", nargs=-1, type=READ, required=True)
@options.results
@options.workers
@options.table
def evaluate(runs: tuple[Path, ...], results: Path, workers: int, out: Path) -> None:
    """SRCC, PLCC (raw and fitted), KRCC and RMSE of every run and selection in the prediction files RUNS."""
    from mstclipiqa.evaluation.per_run import evaluate_files

    evaluate_files(out, runs, results, workers)


@click.command()
@click.option("--metrics", type=READ, required=True, help="Metrics table, written by `mstclipiqa evaluate`.")
@options.results
@click.option("--out", type=WRITE, required=True, help="Folder for intervals, comparisons and generators (Parquet).")
@options.workers
def compare(metrics: Path, results: Path, out: Path, workers: int) -> None:
    """Bootstrap intervals, paired tests between variants, and SRCC by generator, of all runs."""
    from mstclipiqa.evaluation.comparisons import compare_from_metrics

    compare_from_metrics(out, metrics, results, workers)


@click.command()
@click.argument("evidence", nargs=-1, type=READ)
@options.results
@click.option("--claims", "path", type=READ, default="config/claims.yaml", help="The paper's claims.")
@click.option("--paper-tables", type=READ, default="config/paper_tables.csv", help="The paper's printed numbers.")
@click.option("--prior-results", type=READ, default="config/prior_results.csv", help="What others have published.")
@options.recipes
@click.option("--out", type=WRITE, required=True, help="Verdicts (JSON) to write.")
def claims(
    evidence: tuple[Path, ...],
    results: Path,
    path: Path,
    paper_tables: Path,
    prior_results: Path,
    recipes: Path,
    out: Path,
) -> None:
    """Hold every claim of the paper against the runs of a suite: one verdict per claim, recipe and protocol.

    EVIDENCE are the tables of the results folder that were measured beside the runs; without any, all that lie there.
    """
    from mstclipiqa.claims.verdicts import claims_from_results

    echo(claims_from_results(out, path, paper_tables, prior_results, results, recipes, evidence))


@click.command()
@options.json_configuration
@options.results
@click.option("--out", type=WRITE, required=True, help="Manifest (JSON) to write.")
def manifest(config: str, recipes: Path, planned: str | None, results: Path, out: Path) -> None:
    """Record what the results were made from: configuration, code, versions, hardware, hashes."""
    from mstclipiqa.provenance.manifest import write_manifest

    write_manifest(out, options.read_study(config, recipes, planned), results)


@click.command()
@options.results
@click.option("--paper-tables", type=READ, help="The paper's printed numbers; without them, none is shown.")
@click.option("--claims", type=READ, help="The paper's claims; without them, no ablation table of the paper.")
@click.option("--prior-results", type=READ, help="What others have published; without it, no atlas.")
@click.option("--out", type=WRITE, required=True, help="Folder for index.html, tables/ and figures/.")
def report(
    results: Path, paper_tables: Path | None, claims: Path | None, prior_results: Path | None, out: Path
) -> None:
    """Write the tables, the figures and the page of a suite whose results are its manifest's.

    The gains that the paper states are shown where both its printed numbers and its claims are given.
    """
    from mstclipiqa.provenance.edits import refuse_edited
    from mstclipiqa.report import write_report

    refuse_edited(results)
    write_report(results, out, paper_tables, claims, prior_results)
    echo(f"The page: {out / 'index.html'}")
