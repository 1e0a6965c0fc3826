"""A run's log: a line a job, with the overall progress and the time left; the page's path last.

Snakemake finds the plugin by the name of this package, and `logger: mstclipiqa` in profiles/default chooses it. The
full log is in `.snakemake/log/`, as ever, and what a job says is in the job's own log. Dry runs, and runs with
`--verbose`, `--printshellcmds` or `--debug-dag`, look as they do without the plugin.
"""

import logging
import os
import sys
from inspect import signature
from pathlib import Path
from typing import Any, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_mstclipiqa.progress import Progress

#: The file that a run is for.
PAGE = "index.html"

#: Lines of a failed job's log that are shown.
TAIL = 20

#: Of Snakemake's events, those that neither a line of ours nor a reader needs.
SILENT = {
    LogEvent.JOB_STARTED,
    LogEvent.SHELLCMD,
    LogEvent.RESOURCES_INFO,
    LogEvent.RULEGRAPH,
    LogEvent.GROUP_INFO,
    LogEvent.DEBUG_DAG,
}

GREEN, RED, YELLOW = 32, 31, 33


class LogHandler(LogHandlerBase):
    """Writes to the standard error; for dry runs, which are read by programs too, to the standard output."""

    def __post_init__(self) -> None:
        common = self.common_settings
        self.stream: TextIO = sys.stdout if common.stdout else sys.stderr
        self.quiet = {str(kind).rpartition(".")[2].lower() for kind in common.quiet or ()}
        self.colour = not common.nocolor and not os.environ.get("NO_COLOR") and self.stream.isatty()
        self.progress = Progress()
        self.chatty = True  # of plain messages: those before the first job and after the last
        self.pages: dict[int, str] = {}  # by the number of the job that writes the page
        self.page: str | None = None
        self.usual = None
        if common.dryrun or common.verbose or common.printshellcmds or common.debug_dag:
            self.usual = _usual_handler(common, self.stream)
        else:
            _keep_jobs_quiet()

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write what `record` says, if anything."""
        try:
            if self.usual is None:
                self._emit(record)
            elif self.usual.filter(record):
                self.usual.emit(record)
        except BrokenPipeError:  # whoever read the log has left, and the run goes on
            pass
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """The page's path, as the last line."""
        if self.page:
            self._write(f"The page: {self.page}", GREEN, always=True)
            self.page = None
        super().close()

    def _emit(self, record: Any) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.chatty = False
            self.progress.plan(record.stats)
            self._write(self.progress.planned)
        elif event == LogEvent.JOB_INFO:
            self.progress.start(record.jobid, record.rule_name, record.wildcards, record.created)
            for path in record.output:
                if Path(path).name == PAGE:
                    self.pages[record.jobid] = path
        elif event == LogEvent.JOB_FINISHED:
            self.progress.finish(record.job_id, record.created)
            self.page = self.pages.get(record.job_id, self.page)
        elif event == LogEvent.PROGRESS:
            self.chatty = record.done == record.total
            for line in self.progress.report(record.done, record.total, record.created):
                self._write(line, GREEN)
        elif event == LogEvent.JOB_ERROR:
            self.chatty = True
            self._fail(record)
        elif event == LogEvent.WORKFLOW_STARTED or event in SILENT:
            return
        elif record.levelno >= logging.WARNING:
            self._write(record.getMessage(), RED if record.levelno >= logging.ERROR else YELLOW, always=True)
        elif self.chatty:
            self._write(record.getMessage())

    def _fail(self, record: Any) -> None:
        """A failed job: its name, where its log is, and the end of that."""
        job = self.progress.running.pop(record.jobid, None)
        name = job.name if job else record.rule_name
        self._write(f"FAILED  {name}", RED, always=True)
        for log in map(Path, record.log):
            if log.is_file():
                lines = [
                    line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
                ]
                for line in lines[-TAIL:]:
                    self._write(f"    {line}", always=True)
                self._write(f"    The whole log: {log}", always=True)
        if not record.log:
            self._write(f"    {record.getMessage()}", always=True)

    def _write(self, text: str, colour: int | None = None, always: bool = False) -> None:
        """A line; with `--quiet`, only what must `always` be seen."""
        if not text or (self.quiet & {"all", "progress"} and not always):
            return
        if self.colour and colour:
            text = f"\033[{colour}m{text}\033[0m"
        self.stream.write(f"{text}\n")
        self.stream.flush()


def _keep_jobs_quiet() -> None:
    """What a job prints goes to its log alone, not to the terminal too: rules pipe it through `tee`.

    Snakemake's own prefix, bash's strict mode, stays in front.
    """
    from snakemake.shell import shell

    shell.prefix("set -euo pipefail; exec > /dev/null; ")


def _usual_handler(common: Any, stream: TextIO) -> logging.Handler:
    """The handler that Snakemake has where no plugin is chosen."""
    from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

    # Snakemake 9.14 and later ones ask for other settings.
    shown = DefaultFilter(**{name: getattr(common, name) for name in signature(DefaultFilter).parameters})
    return ColorizingTextHandler(
        nocolor=common.nocolor, stream=stream, filter=shown,
        formatter=DefaultFormatter(common.quiet, common.show_failed_logs),
    )  # fmt: skip
