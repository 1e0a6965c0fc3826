"""`kill -9` of the whole workflow at random moments: what it resumes to are the bytes of an undisturbed run.

Long (an undisturbed run, one that is killed 20 times, and its verification), so only when asked for, by the file that
the table of kills is to be written to:

    MSTCLIPIQA_KILLS=kills.md MSTCLIPIQA_KILLS_CONFIG=config/config.yaml pytest tests/workflow/test_recovery.py
"""

import bisect
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import SMALL, Checkout, copy_checkout

from mstclipiqa.base.documents import read_yaml

KILLS, SEED = 20, 16799
TABLE = os.environ.get("MSTCLIPIQA_KILLS", "")
CONFIG = os.environ.get("MSTCLIPIQA_KILLS_CONFIG", "config/reduced.yaml")

#: How long nothing may be finished, in seconds.
PATIENCE = 1800

STARTED = re.compile(r"^(?:local)?rule ([\w-]+):\n(?:    .*\n)*?    jobid: (\d+)$", re.M)
FINISHED = re.compile(r"^Finished jobid: (\d+) ", re.M)


class Run:
    """A run of the workflow in a process group of its own, followed by Snakemake's full log."""

    def __init__(self, checkout: Checkout, *arguments: str):
        self.logs = checkout.folder / ".snakemake" / "log"
        self.earlier = set(self.logs.glob("*.log"))
        with (checkout.folder / "run.log").open("w") as log:
            self.process = subprocess.Popen(
                checkout.command("reproduce", *arguments),
                cwd=checkout.folder, env=checkout.killable, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip

    def wait_for(self, finished: int, jobs: int | None = None) -> float:
        """Wait until jobs run, and `finished` of all `jobs` (of this run's, if not given) are done. When that was."""
        deadline = time.monotonic() + PATIENCE
        while not self.started or (jobs or self.planned) - self.planned + len(self.done) < finished:
            assert self.process.poll() is None, f"the run ended early:\n{self.said[-4000:]}"
            assert time.monotonic() < deadline, f"the run hangs:\n{self.said[-4000:]}"
            time.sleep(0.05)
        return time.monotonic()

    @property
    def said(self) -> str:
        """The log so far."""
        return "".join(path.read_text() for path in set(self.logs.glob("*.log")) - self.earlier)

    @property
    def planned(self) -> int:
        """The jobs that this run has to do; 0 before it says so."""
        found = re.search(r"^total +(\d+)$", self.said, re.M)
        return int(found[1]) if found else 0

    @property
    def started(self) -> dict[str, str]:
        """Jobs of this run that were started: their rules by their numbers."""
        return {number: rule for rule, number in STARTED.findall(self.said)}

    @property
    def done(self) -> set[str]:
        return set(FINISHED.findall(self.said))

    @property
    def running(self) -> list[str]:
        return sorted(rule for number, rule in self.started.items() if number not in self.done)

    def kill(self) -> None:
        """Without warning, with all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            while True:  # until the last of the group is gone
                os.killpg(self.process.pid, 0)
                time.sleep(0.02)


def finish_times(run: Run) -> list[float]:
    """When each job of an undisturbed run was finished, in seconds from when its first was started."""
    start = run.wait_for(0)
    return [run.wait_for(count + 1) - start for count in range(run.planned)]


@pytest.mark.skipif(not TABLE, reason="long; name a file for its table in MSTCLIPIQA_KILLS")
def test_killed_at_random_moments_gives_the_bytes_of_an_undisturbed_run(tmp_path: Path):
    suite = read_yaml(Path(__file__).parents[2] / CONFIG)["suite"]
    checkout, whole = copy_checkout(tmp_path / "killed"), copy_checkout(tmp_path / "undisturbed")
    run = Run(whole, "--configfile", CONFIG)
    times = finish_times(run)
    assert run.process.wait(PATIENCE) == 0
    expected = whole.results(suite)
    assert len(times) > 20 and len(expected) > 20

    rng = random.Random(SEED)
    rows = []
    for number, moment in enumerate(sorted(rng.uniform(0, times[-1]) for _ in range(KILLS)), start=1):
        finished = bisect.bisect(times, moment)
        run = Run(checkout, "--configfile", CONFIG)
        run.wait_for(finished, len(times))
        time.sleep(moment - times[finished - 1] if finished else moment)
        assert run.process.poll() is None, "it ended before it could be killed"
        done, running = len(times) - run.planned + len(run.done), run.running
        run.kill()
        there = checkout.results(suite)
        assert [name for name in expected.keys() & there.keys() if there[name] != expected[name]] == [], "half-written"
        temporary = sorted(name for name in there if name.endswith(".tmp"))
        rows.append(f"| {number} | {moment / times[-1]:.0%} | {done} | {', '.join(running)} | {len(temporary)} |")
        unlocked = checkout.snakemake("--unlock", "--configfile", CONFIG)
        assert unlocked.returncode == 0, unlocked.stderr
    done = checkout.snakemake("reproduce", "--configfile", CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr

    resumed = checkout.results(suite)
    head = [f"| kill | moment | jobs of {len(times)} done | running | temporary files left |", "|---|---|---|---|---|"]
    Path(TABLE).write_text("\n".join([*head, *rows, f"\n{len(expected)} files in the end."]) + "\n")
    assert sorted(resumed) == sorted(expected)
    assert [name for name in expected if resumed[name] != expected[name]] == []
    verify = [sys.executable, "-m", "mstclipiqa", "verify", f"results/{suite}"]
    verified = subprocess.run(
        verify, cwd=checkout.folder, env=checkout.environment, capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_second_workflow_in_one_folder_is_refused_and_the_first_goes_on(checkout: Checkout):
    run = Run(checkout, *SMALL)
    run.wait_for(0)
    try:
        second = checkout.snakemake("reproduce", *SMALL)
        assert run.process.poll() is None, run.said[-4000:]
    finally:
        run.kill()
    said = second.stdout + second.stderr
    assert second.returncode == 1 and "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1 and "Directory cannot be locked" in lines[0]
    assert str(checkout.folder) in said and "--unlock" in said
