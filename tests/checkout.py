"""A copy of the checkout in which tests run, edit and kill the workflow."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
#: What writes the run's log.
PLUGIN = "snakemake_logger_plugin_mstclipiqa"

#: One benchmark of the reduced suite: every rule runs, none runs long.
SMALL = ("--configfile", "config/reduced.yaml", "--config", "benchmarks=[agiqa-3k]")

#: Calls Snakemake with each of some arguments in turn; where a file is named, it has a comment more meanwhile. Prints
#: the exit status of each call and all that it said.
CALLS = """
import contextlib, io, json, pathlib, sys
from snakemake.cli import main

done = []
for file, arguments in json.loads(sys.argv[1]):
    source, said, code = file and pathlib.Path(file).read_bytes(), io.StringIO(), 0
    if file:
        pathlib.Path(file).write_bytes(source + b"\\n# edited\\n")
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main(arguments)
    except SystemExit as end:
        code = end.code
        print(code if isinstance(code, str) else "", file=said)  # as Python does in the end
    finally:
        if file:
            pathlib.Path(file).write_bytes(source)
    done.append((code if isinstance(code, int) else int(bool(code)), said.getvalue()))
print(json.dumps(done))
"""


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

    @property
    def killable(self) -> dict[str, str]:
        """The same, of a run whose jobs are its own processes: who kills the run kills them."""
        return {name: value for name, value in self.environment.items() if name != "BASH_ENV"}

    def snakemake(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments, cores=cores),
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def planned(self, *arguments: str) -> dict[str, int]:
        """The number of jobs of each rule that a dry run plans, without the target rule's own."""
        done = self.snakemake("--dry-run", *arguments)
        assert done.returncode == 0, done.stderr
        return count_jobs(done.stdout + done.stderr)

    def calls(self, calls: Iterable[tuple[str | None, list[str]]]) -> list[tuple[int, str]]:
        """What each call of Snakemake with some arguments ends with and says, a named file edited, by one process: to
        start it and to read the code takes ten times as long as to plan."""
        done = subprocess.run(
            [sys.executable, "-c", CALLS, json.dumps([*calls])],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def plans(self, calls: Iterable[tuple[str | None, Sequence[str]]]) -> list[dict[str, int]]:
        """What `planned` gives for each call's arguments, with a comment more in its file, by one process."""
        done = self.calls((file, ["--dry-run", "--cores", "1", *arguments]) for file, arguments in calls)
        assert not [said for code, said in done if code]
        return [count_jobs(said) for _, said in done]

    def results(self, suite: str = "reduced") -> dict[str, bytes]:
        """Every result and report by path, without logs, the drawn data, and timings and what shows them."""
        files = [*(self.folder / "results" / suite).rglob("*"), *(self.folder / "reports" / suite).rglob("*")]
        kept = {path.relative_to(self.folder): path for path in files if path.is_file()}
        timed = {f"{table}.{suffix}" for table in ("timings", "efficiency") for suffix in ("csv", "md", "tex")}
        left_out = {"logs", "timings", "data", "index.html", "costs.svg", "costs.png"} | timed
        return {str(name): path.read_bytes() for name, path in kept.items() if not left_out & set(name.parts)}


def count_jobs(said: str) -> dict[str, int]:
    """Of what a dry run says, the table "Job stats": a line of rule and count for each rule, up to an empty line."""
    table = said.partition("Job stats:")[2].partition("\n\n")[0]
    counts = dict(line.split() for line in table.splitlines() if line.split()[1:] and line.split()[1].isdigit())
    return {rule: int(count) for rule, count in counts.items() if rule not in ("total", "all", "reproduce")}


def copy_checkout(folder: Path) -> Checkout:
    """A copy with fewer drawn images, scenes and rounds of timing, which make no difference to what is tested."""
    for name in ("config", "workflow", "profiles", "mstclipiqa", PLUGIN):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(REPOSITORY / name, folder)
    edit(folder / "config" / "reduced.yaml", "scale: 0.3", "scale: 0.1")
    scenes = "SCENES_PER_FOLD, SPOILED_PER_FOLD = "
    edit(folder / "mstclipiqa" / "analyses" / "probe_images.py", f"{scenes}128, 12", f"{scenes}8, 3")
    edit(folder / "mstclipiqa" / "analyses" / "efficiency.py", "ROUNDS = 5", "ROUNDS = 1")
    return Checkout(folder)


def read_manifest(checkout: Checkout, suite: str = "reduced") -> dict:
    return json.loads((checkout.folder / "results" / suite / "manifest.json").read_text())


def edit(path: Path, old: str, new: str) -> None:
    """Replace what a file of a checkout says."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
