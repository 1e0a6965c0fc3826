"""What a whole study costs after its training: every step from the label files to a verified bundle, at full size.

    python speed/rehearsal.py --labels FOLDER --work FOLDER

makes up the results of a configuration in its own layout (made_up.py), then runs the verbs on them, one after another,
and prints a Markdown table: wall time, CPU time of all processes, the most memory of one, and the size of what is
written. CPU time is what to compare where other work runs beside it. `--labels` has a folder of label files for each
benchmark; `--work` keeps everything, several GB, so that `--step` can repeat some steps.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd
from PIL import Image

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.files import write_json
from mstclipiqa.base.layout import BASELINES, CLAIMS, MANIFEST, METRICS, SAMPLES, SPLITS, SUITE_TABLES, ResultsFile
from mstclipiqa.base.names import IMAGE_FORMATS
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.samples import check_labels
from mstclipiqa.study.study import Study

ROOT = Path(__file__).parents[1]
CONFIG, RECIPES = ROOT / "config", ROOT / "config" / "recipes"

#: Evaluation and checks take every core, as in the workflow.
WORKERS = ("--workers", os.cpu_count() or 1)


@dataclass(frozen=True)
class Rehearsal:
    """A configuration whose results are made up in the folder `work`."""

    study: Study
    work: Path

    @classmethod
    def of(cls, config: Path, labels: Path, work: Path) -> "Rehearsal":
        """That of a configuration, under a name and a title that say so; its benchmarks' folders are made first."""
        document = read_yaml(config)
        document |= {"suite": "made-up", "title": "Rehearsal: every prediction is made up"}
        document |= {"data_root": str(work / "data")}
        for name in document["benchmarks"]:
            if not (work / "data" / name).is_dir():
                make_folder(work / "data" / name, name, labels)
        rehearsal = cls(Study(document, RECIPES, config), work)
        write_json(rehearsal.config, document)
        return rehearsal

    @property
    def config(self) -> Path:
        """The configuration that is rehearsed."""
        return self.work / "rehearsal.json"

    @property
    def results(self) -> Path:
        """The suite's results."""
        return self.work / "results" / self.study.suite

    @property
    def reports(self) -> Path:
        """The suite's report."""
        return self.work / "reports" / self.study.suite

    def places(self, entry: ResultsFile) -> dict[str, Path]:
        """The file of each benchmark, by its name."""
        return {name: entry.at(self.results, benchmark=name) for name in self.study.benchmarks}


# Benchmarks


def make_folder(root: Path, name: str, labels: Path) -> None:
    """A benchmark's folder with its real label files and a tiny image, of bytes of its own, for each name in them."""
    shutil.copytree(labels / name, root, ignore=shutil.ignore_patterns("images"))
    benchmark = get_benchmark(name)
    images = check_labels(benchmark, benchmark.read(root))["image"]
    (root / "images").mkdir()
    for number, image in enumerate(images):
        colour = tuple(number.to_bytes(3, "big"))
        path = root / "images" / image
        kind = IMAGE_FORMATS[path.suffix.lower()]
        Image.new("RGB", (8, 8), colour).save(path, kind, comment=image.encode())  # JPEG has no such exact colours


# Steps


def read_labels(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """Samples and splits of every benchmark."""
    samples, protocols = rehearsal.places(SAMPLES), rehearsal.study.config["protocols"]
    for name, out in samples.items():
        yield ["samples", name, "--root", rehearsal.study.data_root / name, "--out", out]
    for name, out in rehearsal.places(SPLITS).items():
        yield ["split", "--samples", samples[name], *(f"--protocol={one}" for one in protocols), "--out", out]


def make_up(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """Stores, predictions, curves, transfer, probe and costs; then dissections and attention."""
    for script in ("made_up.py", "made_up_models.py"):
        place = Path(__file__).with_name(script)
        yield [sys.executable, place, "--config", rehearsal.config, "--results", rehearsal.results]


def baselines(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """Rivals of every benchmark."""
    for name, out in rehearsal.places(BASELINES).items():
        stores = out.parent / "features"
        paired = stores / f"{rehearsal.study.config['text_encoder']}.safetensors"
        yield [
            "baselines", "--samples", SAMPLES.at(rehearsal.results, benchmark=name),
            "--splits", SPLITS.at(rehearsal.results, benchmark=name), "--paired", paired,
            *(f"--{store}={stores / store}.safetensors" for store in ("coarse", "fine", "statistics", "prompts")),
            "--texts", rehearsal.results / "levels" / "zero_shot.safetensors", "--out", out,
        ]  # fmt: skip


def evaluate(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """Metrics of every run."""
    runs = [rehearsal.results / job.path for job in rehearsal.study.jobs]
    yield ["evaluate", *runs, *WORKERS, "--results", rehearsal.results, "--out", METRICS.at(rehearsal.results)]


def compare(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """Intervals, tests and the table by generator."""
    results = rehearsal.results
    yield ["compare", "--metrics", METRICS.at(results), *WORKERS, "--results", results, "--out", results]


def claims(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """Verdicts."""
    results = rehearsal.results
    yield ["claims", "--results", results, *paper_files(), "--recipes", RECIPES, "--out", CLAIMS.at(results)]


def manifest(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """The manifest."""
    config = json.dumps(rehearsal.study.config)
    options = ["--results", rehearsal.results, "--out", MANIFEST.at(rehearsal.results)]
    yield ["manifest", "--config", config, "--recipes", RECIPES, *options]


def report(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """The page, its tables and figures."""
    shutil.rmtree(rehearsal.reports, ignore_errors=True)
    yield ["report", "--results", rehearsal.results, *paper_files(), "--out", rehearsal.reports]


def bless(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """A reference from these results."""
    (reference := rehearsal.work / "reference.csv").unlink(missing_ok=True)  # one that is there is checked too
    options = ["--results", rehearsal.results, "--reference", reference]
    yield ["bless", *options, *WORKERS, "--by", "rehearsal", "--reason", "made up", "--yes"]


def check(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """The check against that reference."""
    yield ["check", "--results", rehearsal.results, "--reference", rehearsal.work / "reference.csv", *WORKERS]


def verify(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """The results against manifest, labels, images and predictions."""
    yield ["verify", rehearsal.results, "--data-root", rehearsal.study.data_root, "--config", CONFIG, *WORKERS]


def bundle(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """One zip of results and report, without stores."""
    yield ["bundle", rehearsal.results, rehearsal.reports, "--out", rehearsal.work / "bundle.zip"]


def verify_bundle(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """The bundle, as its receiver does."""
    yield ["verify", rehearsal.work / "bundle.zip", "--config", CONFIG, *WORKERS]


def plan(rehearsal: Rehearsal) -> Iterator[list[object]]:
    """The workflow's own plan of a study of which nothing is run: `snakemake -n`."""
    options = [
        "--snakefile",
        ROOT / "Snakefile",
        "--configfile",
        rehearsal.config,
        "--directory",
        rehearsal.work / "new",
    ]
    yield [sys.executable, "-m", "snakemake", "-n", "--quiet", "all", *options]


def paper_files() -> list[object]:
    """What verdicts and page take from the paper, as options."""
    return [
        *("--claims", CONFIG / "claims.yaml", "--paper-tables", CONFIG / "paper_tables.csv"),
        *("--prior-results", CONFIG / "prior_results.csv"),
    ]


#: The steps in their order, with what each writes, below the folder `work`.
STEPS: dict[str, tuple[Callable[[Rehearsal], Iterator[list[object]]], tuple[str, ...]]] = {
    "labels": (read_labels, ("results/*/*/samples.parquet", "results/*/*/splits.parquet")),
    "make-up": (make_up, ("results/*/*/features/*", "results/*/levels/*", "results/*/*/runs/*/*/*")),
    "baselines": (baselines, ("results/*/*/baselines.parquet",)),
    "evaluate": (evaluate, ("results/*/metrics.parquet",)),
    "compare": (compare, tuple(f"results/*/{entry.path}" for entry in SUITE_TABLES[1:])),
    "claims": (claims, ("results/*/claims.json",)),
    "manifest": (manifest, ("results/*/manifest.json",)),
    "report": (report, ("reports/*/index.html",)),
    "bless": (bless, ("reference.csv",)),
    "check": (check, ()),
    "verify": (verify, ()),
    "bundle": (bundle, ("bundle.zip",)),
    "verify-bundle": (verify_bundle, ()),
    "plan": (plan, ()),
}


def measure(command: list[str]) -> tuple[float, float, float]:
    """Run a command: its wall time, the CPU seconds of it and of its children, and the most MiB of one of them, which
    is never less than this process has. Raises ClickException where it fails."""
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)[:300]}: exit status {process.returncode}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10


def run_step(rehearsal: Rehearsal, name: str) -> dict[str, str]:
    """Run the commands of a step, one after another; what they cost, as a row of the table."""
    commands, written = STEPS[name]
    taken = []
    for command in commands(rehearsal):
        verb = [] if command[0] == sys.executable else [sys.executable, "-m", "mstclipiqa"]
        taken.append(measure([*verb, *map(str, command)]))
    wall, cpu, memory = zip(*taken, strict=True)
    size = sum(path.stat().st_size for pattern in written for path in rehearsal.work.glob(pattern))
    return {
        "step": name, "wall, s": f"{sum(wall):,.1f}", "CPU, s": f"{sum(cpu):,.1f}",
        "memory, MiB": f"{max(memory):,.0f}", "size, MB": f"{size / 1e6:,.2f}" if written else "",
    }  # fmt: skip


@click.command()
@click.option("--config", type=click.Path(exists=True, path_type=Path), default=CONFIG / "paper.yaml")
@click.option("--labels", type=click.Path(exists=True, path_type=Path), required=True, help="Folders of label files.")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder to work in.")
@click.option(
    "--step", "steps", type=click.Choice(list(STEPS)), multiple=True, help="Some steps; all if none is given."
)
def main(config: Path, labels: Path, work: Path, steps: tuple[str, ...]) -> None:
    """Make up, run, print."""
    rehearsal = Rehearsal.of(config.resolve(), labels.resolve(), work.resolve())
    rows = []
    for name in steps or STEPS:
        rows.append(run_step(rehearsal, name))
        click.echo(", ".join(f"{key} {value}" for key, value in rows[-1].items()))
    click.echo(f"\n{config.stem}: {len(rehearsal.study.jobs)} training jobs, made up\n")
    click.echo(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
