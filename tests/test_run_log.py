"""A run's log, by records as Snakemake writes them, and by Snakemake itself."""

import io
import logging
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.shell import shell
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_mstclipiqa import LogHandler
from snakemake_logger_plugin_mstclipiqa.progress import Progress, duration

REPOSITORY = Path(__file__).parents[1]

WORKFLOW = """
rule all:
    input: "page/index.html"
rule part:
    output: "{name}.txt"
    log: "{name}.log"
    shell: "(echo talk of {wildcards.name}; touch {output}) 2>&1 | tee {log}"
rule page:
    input: "a.txt", "b.txt"
    output: "page/index.html"
    log: "page.log"
    shell: "(echo the cause; false) 2>&1 | tee {log}; touch {output}"
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """A handler that writes into `said`, and what feeds it records."""
    monkeypatch.setattr(shell, "_process_prefix", None)

    def make(terminal: bool = False, **settings: object) -> SimpleNamespace:
        said = Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stderr", said)
        usual = {"dryrun": False, "verbose": False, "printshellcmds": False, "debug_dag": False, "quiet": None}
        common = SimpleNamespace(**usual, stdout=False, nocolor=False, show_failed_logs=False)
        vars(common).update(settings)
        handler = LogHandler(common, None)

        def feed(event: LogEvent | None, now: float = 0.0, level: int = logging.INFO, **fields: object) -> None:
            record = logging.makeLogRecord({"levelno": level, "levelname": logging.getLevelName(level), **fields})
            vars(record).update(event=event, created=now)
            handler.emit(record)

        return SimpleNamespace(handler=handler, feed=feed, said=said)

    return make


def start(run: SimpleNamespace, number: int, now: float, output: str = "x", log: str = "") -> None:
    logs = [log] if log else []
    run.feed(
        LogEvent.JOB_INFO, now, jobid=number, rule_name="train", wildcards={"target": "quality"}, output=[output],
        log=logs,
    )  # fmt: skip


def test_a_job_is_a_line_with_progress_and_the_time_left_and_the_page_is_last(run):
    run = run()
    run.feed(None, msg="Building DAG of jobs...")
    run.feed(LogEvent.RUN_INFO, stats={"train": 3, "total": 3})
    run.feed(None, msg="Select jobs to execute...")
    for number, now in ((1, 0.0), (2, 10.0), (3, 20.0)):
        start(run, number, now, output="reports/index.html" if number == 3 else "x")
        run.feed(LogEvent.SHELLCMD, msg="python -m mstclipiqa train")
        run.feed(LogEvent.JOB_FINISHED, now + 10, job_id=number)
        run.feed(LogEvent.PROGRESS, now + 10, done=number, total=3)
    run.feed(None, msg="Complete log(s): x.log")
    run.handler.close()
    assert run.said.getvalue().splitlines() == [
        "Building DAG of jobs...",
        "3 jobs: 3 train",
        "[1/3] train quality: 10 s; about 20 s left",
        "[2/3] train quality: 10 s; about 10 s left",
        "[3/3] train quality: 10 s; 30 s in all",
        "Complete log(s): x.log",
        "The page: reports/index.html",
    ]


def test_a_failed_job_shows_the_end_of_its_log_and_no_page(run, tmp_path: Path):
    run, log = run(), tmp_path / "train.log"
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    run.feed(LogEvent.RUN_INFO, stats={"train": 1, "total": 1})
    start(run, 1, 0.0, output="index.html", log=str(log))
    run.feed(LogEvent.JOB_ERROR, 1.0, logging.ERROR, jobid=1, rule_name="train", log=[str(log)], msg="Error in rule")
    run.feed(None, msg="Exiting because a job execution failed.")
    run.handler.close()
    lines = run.said.getvalue().splitlines()
    assert lines[1] == "FAILED  train quality" and lines[-2].endswith(f"The whole log: {log}")
    assert lines[2:22] == [f"    line {number}" for number in range(30, 50)]
    assert lines[-1] == "Exiting because a job execution failed."


@pytest.mark.parametrize(
    ("terminal", "variable", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colours_are_for_terminals(run, monkeypatch, terminal: bool, variable: str, coloured: bool):
    monkeypatch.setenv("NO_COLOR", variable)
    run = run(terminal=terminal)
    run.feed(None, level=logging.ERROR, msg="wrong")
    assert run.said.getvalue() == ("\x1b[31mwrong\x1b[0m\n" if coloured else "wrong\n")


def test_quiet_leaves_errors_and_the_page(run):
    run = run(quiet=["all"])
    run.feed(LogEvent.RUN_INFO, stats={"train": 1, "total": 1})
    start(run, 1, 0.0, output="index.html")
    run.feed(LogEvent.JOB_FINISHED, 1.0, job_id=1)
    run.feed(LogEvent.PROGRESS, 1.0, done=1, total=1)
    run.feed(None, level=logging.WARNING, msg="careful")
    run.handler.close()
    assert run.said.getvalue().splitlines() == ["careful", "The page: index.html"]


def test_time_left_is_by_rule_and_by_how_many_jobs_run_at_a_time():
    progress = Progress()
    progress.plan({"quick": 2, "slow": 4, "new": 1, "all": 1, "total": 8})
    for number, rule, began, ended in ((1, "quick", 0, 2), (2, "slow", 0, 10), (3, "slow", 2, 10)):
        progress.start(number, rule, {}, began)
        progress.finish(number, ended)
    # left: 1 quick of 2 s, 2 slow of 9 s, 1 new of the mean, 20/3 s; 20 s of work were done in 10 s
    assert progress.seconds_left(10) == pytest.approx((2 + 2 * 9 + 20 / 3) / 2)
    progress.start(4, "slow", {}, 10)
    assert progress.seconds_left(12) == pytest.approx((2 + 2 * 9 + 20 / 3 - 2) / (22 / 12))


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.44, "0.4 s"), (12.3, "12 s"), (119, "119 s"), (150, "2 min"), (7500, "2 h 5 min")]
)
def test_durations_are_short(seconds: float, said: str):
    assert duration(seconds) == said


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--logger", "mstclipiqa", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_snakemake_itself_writes_it(tmp_path: Path):
    """What jobs say is in their logs alone; strict mode still holds; the full log is whole."""
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    dry = snakemake(tmp_path, "--dry-run")
    assert dry.returncode == 0 and "rule page:" in dry.stdout and "total" in dry.stdout
    failed = snakemake(tmp_path)
    assert failed.returncode == 1, failed.stderr
    assert re.search(r"^\[1/4\] part [ab]: \S+ s; about \S+ s left$", failed.stderr, re.M)
    assert "FAILED  page\n    the cause\n    The whole log: page.log\n" in failed.stderr
    assert "talk of" not in failed.stdout + failed.stderr and "talk of a" in (tmp_path / "a.log").read_text()
    (tmp_path / "Snakefile").write_text(WORKFLOW.replace("; false", ""))
    done = snakemake(tmp_path)
    assert done.returncode == 0 and done.stderr.splitlines()[-1] == "The page: page/index.html", done.stderr
    assert "the cause" not in done.stdout + done.stderr
    logs = sorted((tmp_path / ".snakemake" / "log").glob("*.log"))
    assert "rule page:" in logs[-1].read_text() and "2 of 2 steps (100%) done" in logs[-1].read_text()


def test_the_default_profile_chooses_it():
    assert "logger: [mstclipiqa]" in (REPOSITORY / "profiles" / "default" / "config.yaml").read_text()
