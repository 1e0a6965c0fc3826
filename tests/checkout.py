"""A copy of the checkout in which tests run, edit and kill the workflow."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
#: What writes the run's log.
PLUGIN = "snakemake_logger_plugin_mstclipiqa"

#: One benchmark of the reduced suite: every rule runs, none runs long.
SMALL = ("--configfile", "config/reduced.yaml", "--config", "benchmarks=[agiqa-3k]")


@dataclass
class Checkout:
    """A copy of the workflow and the package, to be run, edited and killed."""

    folder: Path

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The copy's package comes before the installed one, in snakemake and in its jobs."""
        return {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def snakemake(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments, cores=cores),
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def planned(self, *arguments: str) -> dict[str, int]:
        """The number of jobs of each rule that a dry run plans, without the target rule's own."""
        done = self.snakemake("--dry-run", *arguments)
        assert done.returncode == 0, done.stderr
        # the table "Job stats": a line of rule and count for each rule, up to an empty line
        table = (done.stdout + done.stderr).partition("Job stats:")[2].partition("\n\n")[0]
        counts = dict(line.split() for line in table.splitlines() if line.split()[1:] and line.split()[1].isdigit())
        return {rule: int(count) for rule, count in counts.items() if rule not in ("total", "all", "reproduce")}

    def results(self, suite: str = "reduced") -> dict[str, bytes]:
        """Every result and report by path, without logs, the drawn data, and timings and what shows them."""
        files = [*(self.folder / "results" / suite).rglob("*"), *(self.folder / "reports" / suite).rglob("*")]
        kept = {path.relative_to(self.folder): path for path in files if path.is_file()}
        timed = {f"{table}.{suffix}" for table in ("timings", "efficiency") for suffix in ("csv", "md", "tex")}
        left_out = {"logs", "timings", "data", "index.html", "costs.svg", "costs.png"} | timed
        return {str(name): path.read_bytes() for name, path in kept.items() if not left_out & set(name.parts)}


def copy_checkout(folder: Path) -> Checkout:
    """A copy whose drawn suite has fewer images and scenes, which make no difference to what is tested."""
    for name in ("config", "workflow", "profiles", "mstclipiqa", PLUGIN):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(REPOSITORY / name, folder)
    edit(folder / "config" / "reduced.yaml", "scale: 0.3", "scale: 0.1")
    scenes = "SCENES_PER_FOLD, SPOILED_PER_FOLD = "
    edit(folder / "mstclipiqa" / "analyses" / "probe_images.py", f"{scenes}128, 12", f"{scenes}8, 3")
    return Checkout(folder)


def read_manifest(checkout: Checkout, suite: str = "reduced") -> dict:
    return json.loads((checkout.folder / "results" / suite / "manifest.json").read_text())


def edit(path: Path, old: str, new: str) -> None:
    """Replace what a file of a checkout says."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
