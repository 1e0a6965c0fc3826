"""Verbs around a run: what it costs, getting a benchmark's files before it, packing its results after it."""

from datetime import datetime
from pathlib import Path

import click

from mstclipiqa.cli import options
from mstclipiqa.cli.options import FOLDER, READ, WRITE
from mstclipiqa.cli.terminal import echo, echo_json


@click.command()
@options.configuration
@options.as_json
def plan(config: Path, recipes: Path, data_root: Path | None, as_json: bool) -> None:
    """Say what a configuration costs: jobs, runs, time on this machine, disk. Trains and encodes a trial."""
    from mstclipiqa.study.plan import describe, estimate
    from mstclipiqa.study.study import Study

    study = Study(options.read_configuration(config, data_root), recipes, config)
    cost = estimate(study, Path("results") / study.suite)
    if as_json:
        echo_json(cost | {"jobs": cost["jobs"].to_dict("records")})
    else:
        for line in describe(cost):
            echo(line)


@click.command()
@click.argument("benchmark")
@click.option("--data-root", type=WRITE, required=True, help="Holds a folder per benchmark.")
@click.option("--archive", type=READ, help="An archive of the benchmark that you have already.")
@click.option("--labels-only", is_flag=True, help="Leave the images.")
@options.acquisition
def acquire(
    benchmark: str, data_root: Path, archive: Path | None, labels_only: bool, sources: Path, cache: Path, offline: bool
) -> None:
    """Complete BENCHMARK's folder: your archive first, then label files and images from known sources. Resumes."""
    from mstclipiqa.data.acquisition import acquire as acquire_benchmark
    from mstclipiqa.data.acquisition import read_sources

    state = acquire_benchmark(benchmark, data_root, read_sources(sources), cache, archive, labels_only, offline)
    echo(f"{data_root / benchmark}: labels of {state.labelled:,} images, {state.images:,} of them there")


@click.command()
@click.argument("results", type=FOLDER)
@click.argument("reports", type=FOLDER)
@click.option("--features", is_flag=True, help="Pack the feature stores too; they are large.")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Of publication; else when the manifest was written.")
@click.option("--sign", "key", type=READ, help="SSH key to sign it with; the signature is written beside it.")
@click.option("--out", type=WRITE, required=True, help="Zip to write.")
def bundle(results: Path, reports: Path, features: bool, date: datetime | None, key: Path | None, out: Path) -> None:
    """Pack RESULTS and REPORTS of a suite, without images, into one zip that `mstclipiqa verify` accepts anywhere."""
    from mstclipiqa.provenance.bundle import write_bundle
    from mstclipiqa.provenance.signatures import sign

    packed = write_bundle(results, reports, out, features, f"{date:%Y-%m-%d}" if date else None)
    left = f"; {packed.left_out} feature stores are not in it (--features packs them)" if packed.left_out else ""
    echo(f"{out}: {packed.files} files, {out.stat().st_size / 1e6:,.1f} MB{left}")
    if key:
        echo(f"{sign(out, key)}: its signature")
