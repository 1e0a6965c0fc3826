"""Mutation test of the modules that decide: does a test fail when a line of them is changed?

    python tests/mutation.py                           all modules
    python tests/mutation.py claims/rules --every 4    a fourth of the mutants of one

mutmut makes the mutants of each function (not of constants, nor of decorated functions), in a copy of the checkout. Its
runner finds no tests under this set-up of pytest, so they are run here: once without a mutant, then in a fork for each,
with the fixtures of the session as they are, so that a mutant lives or dies by what the tests call. Prints Markdown: a
row per module, with the interval of the share where a sample was tried, and each survivor with the reason in SURVIVORS.
Exits with 1 where fewer than LEAST die, or where a survivor has no reason.
"""

import argparse
import ast
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from scipy.stats import binomtest

REPOSITORY = Path(__file__).parents[1]

#: The share of mutants that must die.
LEAST = 0.85

#: A mutant that outlives tests of so many seconds counts as alive. A test of a small study takes one or two.
PATIENCE = 240

#: By module below mstclipiqa/, the tests that hold it.
TESTS = {
    "claims/rules": ["claims/test_rules.py"],
    "evaluation/metrics": ["evaluation/test_metrics.py"],
    "base/fingerprint": ["base/test_fingerprint.py"],
    "data/leakage": ["data/test_leakage.py"],
    "data/protocols": ["data/test_protocols.py"],
    "data/published_splits": ["data/test_published_splits.py", "data/test_protocols.py"],
    "provenance/differences": ["provenance/test_differences.py"],
    "provenance/changes": ["provenance/test_changes.py"],
    "provenance/faults": ["provenance/test_faults.py"],
    "provenance/edits": ["provenance/test_edits.py"],
    "provenance/verification": ["provenance/test_verification.py"],
    **{
        f"provenance/{name}": [f"provenance/test_{name}.py"]
        for name in ("folder", "manifest_checks", "data_checks", "run_checks", "control_checks", "report_checks")
    },
}

#: Modules whose tests that run a small study are left out: the others hold them, in a hundredth of the time.
WITHOUT_STUDY = {module for module in TESTS if module.endswith(("folder", "_checks"))}

#: Why a mutant of the fitted PLCC's search may live: several starts and steps lead there.
ANOTHER_START = "the search begins or goes elsewhere, and ends at the same optimum in all that the tests fit"

#: Mutants that may live: module and function, what of the change tells them (a regular expression), and why.
SURVIVORS = [
    ("claims/rules judge_number", r"SLACK < low", "a bound of exactly margin + 1e-9 is neither in nor out"),
    ("claims/rules judge_number", r"high < claimed", "a bound of exactly margin + 1e-9 is neither in nor out"),
    ("claims/rules judge_gain", r"low < high", "equal: an interval that is a point is never inconclusive"),
    ("evaluation/metrics _checked", r"values\[1\]", "equal: the values are constant"),
    ("evaluation/metrics plcc", r'"ignore", \)', "equal: checked values give no other warning"),
    ("evaluation/metrics _Rated.correlate", r"flat = None|>= FLAT", "equal: no length is 1e-12, what is left is cut"),
    ("evaluation/metrics _Rated.thin", r"bincount\(share, (None)?\)|at / self", ANOTHER_START),
    (
        "evaluation/metrics plcc_fitted",
        r"step|around|width in|count\[::|:\+1|len\(mos\)|refined\)",
        ANOTHER_START,
    ),
    ("evaluation/metrics _starts", r"", ANOTHER_START),
    ("evaluation/metrics _rise", r"-61|61\)|None", "equal to six decimals: exp(60) has no rise left"),
    ("evaluation/metrics _refine", r"-61|61\)|None, 60", "equal to six decimals: exp(60) has no rise left"),
    ("evaluation/metrics _refine", r"_rise\(u|-3 \* found|\(1, 0\)|\(0, 1\)|l-bfgs-b", ANOTHER_START),
    ("base/fingerprint fingerprint", r"XX\\0XX", "equal: another separator separates as well"),
    ("data/leakage Likeness.__init__", r"iloc\[1\]", "equal: a samples table is of one benchmark"),
    ("data/leakage Likeness._link", r"bool", "equal: other numbers that are not 0 link as well"),
    ("data/leakage Likeness._link", r"directed=", "equal: the links go both ways"),
    ("data/leakage Likeness.count", r"shape\[1\]", "equal: the matrix is square"),
    (
        "data/leakage _share_words",
        r"near - near",
        "equal: a bool matrix of which one triangle is empty",
    ),
    ("data/leakage _differ_in_one_clause", r"setdiag\(None", "equal: None is false"),
    (
        "data/leakage _incidence",
        r"int32|len\(numbers\), 2",
        "equal: other numbers count as well, an empty column none",
    ),
    ("data/protocols grouped_splits", r"dtype=None|\(\)\), \)", "equal: text and roles are objects anyway"),
    ("data/published_splits published_splits", r"dtype=None", "equal: roles are objects anyway"),
    ("data/published_splits published_splits", r"iloc\[1\]", "equal: a samples table is of one benchmark"),
    ("data/protocols split_samples", r"iloc\[1\]", "equal: a samples table is of one benchmark"),
    ("data/published_splits read_published", r":201\]", "how much of a strange header is shown"),
    ("data/published_splits read_published", r"fillna", "equal: the reader gives no missing cells"),
    ("data/published_splits read_published", r"XX XX", "how the lines of another library's message are joined"),
    ("provenance/folder Folder.identity", r"XXfloat32XX", "equal: no label says float32"),
    ("provenance/control_checks _check_baselines", r"XX\.XX", "equal: no message ends with an X"),
    ("provenance/control_checks _check_transfer", r"\] = len", "equal: nothing was counted before"),
    ("provenance/control_checks _check_probe", r"other\), \)", "equal: both have two entries"),
    ("provenance/data_checks _wrong_values", r"-2\)", "equal: numpy fills in for any number below 0"),
    ("provenance/run_checks count_parameters", r"levels, 1, levels", "equal: a seed changes no count"),
    ("provenance/run_checks check_claims", r'"UTF-8"', "equal: another name of it"),
    ("provenance/run_checks check_claims", r"\"verdicts\"\] = len", "equal: nothing was counted before"),
    ("provenance/changes _moved_rows", r"ascending=False, \)|STABLE", "the order of rows that moved equally far"),
    ("provenance/changes _significant", r"tests, \)", "equal: both have one length"),
    ("provenance/changes _describe_metric", r"new <= old", "equal: what did not move is not described"),
    ("provenance/faults _other_metrics", r">= TOLERANCE", "a metric that is off by exactly the tolerance is neither"),
    ("provenance/faults name_run", r"key, \)", "equal: zip takes the shorter by itself"),
    ("provenance/differences find_difference", r"strict|again, \)", "equal: both have one length"),
]


def changed_part(old: str, new: str) -> tuple[str, str]:
    """A changed line as it was and is, without what both begin and end with but for a few characters."""
    begin = max(0, len(os.path.commonprefix([old, new])) - 20)
    end = max(0, len(os.path.commonprefix([old[begin:][::-1], new[begin:][::-1]])) - 20)
    was, now = (line[begin : len(line) - end].strip() for line in (old, new))
    return was, now


def reason_of(function: str, was: str, now: str) -> str:
    """Why a mutant of a function may live; empty where nothing says so."""
    change = f"{was} -> {now}"
    return next((why for name, part, why in SURVIVORS if name == function and re.search(part, change)), "")


# In the copy: one module


class Mutants:
    """Runs the collected tests without a mutant, then for each mutant those that reach its statement, in a fork, until
    one fails. `statements` has by mutant the lines of `path` that its statement had before it."""

    def __init__(self, path: Path, statements: dict[str, set[int]], scratch: Path, without_study: bool):
        self.path, self.statements, self.scratch, self.without_study = str(path), statements, scratch, without_study
        self.seconds: dict[str, float] = {}
        self.alive: list[str] = []
        self.late: list[str] = []
        self.failed: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        if self.without_study:
            items[:] = [item for item in items if "small_study" not in item.fixturenames]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        lines: dict[str, set[int]] = {}
        for item, following in zip(session.items, [*session.items[1:], session], strict=True):
            with self._traced(lines.setdefault(item.nodeid, set())):
                self._run(item, following)
        if self.failed or not session.items:
            pytest.exit(f"without a mutant: {self.failed or 'no tests'}", returncode=3)
        if self._fork("", session.items) != 0:
            pytest.exit("without a mutant the tests fail in a fork", returncode=3)
        items = sorted(session.items, key=lambda item: self.seconds[item.nodeid])
        for number, (name, statement) in enumerate(self.statements.items()):
            reaching = [item for item in items if lines[item.nodeid] & statement]
            spent = itertools.accumulate(self.seconds[item.nodeid] for item in reaching)
            reaching = [
                item for item, until in zip(reaching, spent, strict=True) if until < PATIENCE or len(reaching) == 1
            ]
            code = self._fork(name, reaching) if reaching else 0
            if code == 0:
                self.alive.append(name)
            elif code == -signal.SIGALRM:
                self.late.append(name)
            elif 2 <= code < 254:  # what killed this one is tried first on the next
                items.remove(reaching[code - 2])
                items.insert(0, reaching[code - 2])
            if sys.__stderr__.isatty():
                shown = f"\r{number + 1} of {len(self.statements)}, {len(self.alive)} alive "
                print(shown, end="", file=sys.__stderr__)
        return True

    @contextmanager
    def _traced(self, lines: set[int]) -> Iterator[None]:
        """Adds the lines of the module that run within to `lines`."""

        def trace(frame: FrameType, _: str, __: object) -> Callable | None:
            if frame.f_code.co_filename != self.path:
                return None
            lines.add(frame.f_lineno)
            return trace

        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(None)

    def _run(self, item: pytest.Item, following: pytest.Item | pytest.Session) -> None:
        """Run a test and end the fixtures that the following one does not need; the session needs its own."""
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def _fork(self, name: str, items: list[pytest.Item]) -> int:
        """0 where all tests pass with the mutant `name`, else 2 + the place of the one that failed, at most 254, or
        less than 0 for the signal that ended it."""
        from mutmut.mutation.trampoline import set_mutant_under_test

        limit = 30 + 10 * int(sum(self.seconds[item.nodeid] for item in items))
        before = set(self.scratch.glob("*"))
        child = os.fork()
        if child == 0:
            code = 255
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(limit)
                set_mutant_under_test(name)
                for place, item in enumerate(items):
                    self._run(item, [*items, item.session][place + 1])
                    if self.failed:
                        code = min(place + 2, 254)
                        break
                else:
                    code = 0
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for folder in set(self.scratch.glob("*")) - before:
            shutil.rmtree(folder, ignore_errors=True)
        return code


def dotted(module: str) -> str:
    return f"mstclipiqa.{module.replace('/', '.')}"


def statement_of(whole: list[str], changed: list[str]) -> set[int]:
    """The lines (from 0) of the innermost statement that a mutant changes, of a function's lines and the mutant's."""
    same = [old == new for old, new in zip(whole, changed, strict=False)]
    first = (*same, False).index(False)
    same = [old == new for old, new in zip(whole[:first:-1], changed[:first:-1], strict=False)]
    last = len(whole) - 1 - (*same, False).index(False)
    inside = range(first, last + 1)
    for node in ast.walk(ast.parse(textwrap.dedent("\n".join(whole)))):  # from the outside to the inside
        if isinstance(node, ast.stmt) and node.lineno <= first + 1 and node.end_lineno >= last + 1:
            inner = [child.lineno for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            inside = range(node.lineno - 1, max(min([*inner, node.end_lineno + 1]) - 1, last + 1))
    return set(inside)


def hold_in_copy(module: str, every: int) -> None:
    """Mutate a module of the copy in the working folder, and write to result.json what came of it."""
    from mutmut.configuration import config
    from mutmut.mutation.file_mutation import mutate_file_contents

    config()  # from this folder; tests change it
    path = Path("mstclipiqa", f"{module}.py").resolve()
    mutated = mutate_file_contents(path.name, path.read_text(encoding="utf-8"))
    path.write_text(mutated.code, encoding="utf-8")
    lines = mutated.code.splitlines()

    def source(name: str) -> tuple[int, list[str]]:
        """Where a function begins (from 1), and its lines under the name that it had."""
        span = mutated.line_span_by_function_name[name]
        given = [
            re.sub(r"\bx(_|ǁ\w+ǁ)(\w+?)__mutmut_(orig|\d+)\b", r"\2", line) for line in lines[span.start - 1 : span.end]
        ]
        return span.start, given

    statements = {}
    for name in mutated.mutant_names[::every]:
        begin, whole = source(f"{name.partition('__mutmut_')[0]}__mutmut_orig")
        statements[f"{dotted(module)}.{name}"] = {begin + line for line in statement_of(whole, source(name)[1])}
    scratch = Path("scratch").resolve()
    mutants = Mutants(path, statements, scratch, module in WITHOUT_STUDY)
    options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    tests = [f"tests/{name}" for name in TESTS[module]]
    began = time.monotonic()
    if pytest.main([*options, f"--basetemp={scratch}", *tests], plugins=[mutants]):
        raise SystemExit(1)
    assert Path(sys.modules[dotted(module)].__file__).resolve() == path
    survivors = []
    for name in (name.rpartition(".")[2] for name in mutants.alive):
        (_, whole), (_, changed) = source(f"{name.partition('__mutmut_')[0]}__mutmut_orig"), source(name)
        old = [line.strip() for line in whole if line not in changed]
        new = [line.strip() for line in changed if line not in whole]
        function = re.split("[_ǁ]", name.partition("__mutmut_")[0], maxsplit=1)[1].replace("ǁ", ".")
        survivors.append({"name": name, "function": function, "old": " ".join(old), "new": " ".join(new)})
    result = {"mutants": len(statements), "late": len(mutants.late), "survivors": survivors}
    Path("result.json").write_text(json.dumps(result | {"seconds": time.monotonic() - began}))


# In the checkout


def copy_checkout(folder: Path) -> None:
    """The files of the checkout that git knows or would take, as they are."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as pyproject:
        pyproject.write('\n[tool.mutmut]\nsource_paths = ["mstclipiqa"]\n')


def hold(module: str, every: int) -> dict:
    """The mutants of a module: how many, how many died of lateness, and the survivors."""
    with tempfile.TemporaryDirectory() as folder:
        copy_checkout(Path(folder))
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "tests/mutation.py", module, "--every", str(every), "--here"]
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        result = Path(folder, "result.json")
        if done.returncode or not result.is_file():
            raise SystemExit(f"{module}: {done.stdout}")
        return json.loads(result.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", choices=[[], *TESTS], metavar="module", help=", ".join(TESTS))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th mutant")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        return hold_in_copy(arguments.modules[0], arguments.every)
    held = {module: hold(module, arguments.every) for module in arguments.modules or TESTS}
    print("| module | mutants | dead | of them late | alive | dead, % | 95 % interval | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    wanting = []
    for module, result in held.items():
        count, alive = result["mutants"], len(result["survivors"])
        share = (count - alive) / count
        wanting += [module] if share < LEAST else []
        interval = "all"
        if arguments.every > 1:  # of all mutants' share, by Wilson
            bounds = binomtest(count - alive, count).proportion_ci(method="wilson")
            interval = f"{100 * bounds.low:.0f} to {100 * bounds.high:.0f}"
        print(
            f"| {module} | {count} | {count - alive} | {result['late']} | {alive} | {100 * share:.1f} | {interval} "
            f"| {result['seconds']:.0f} |"
        )
    print("\n| survivor | was | is | why it may live |\n|---|---|---|---|")
    for module, result in held.items():
        for found in result["survivors"]:
            function = f"{module} {found['function']}"
            change = changed_part(found["old"], found["new"])
            why = reason_of(function, *change)
            wanting += [] if why else [found["name"]]
            cells = ("`" + part.replace("|", r"\|") + "`" if part else "nothing" for part in change)
            print(f"| {function} | {' | '.join(cells)} | {why or '?'} |")
    if wanting:
        raise SystemExit(f"too few die, or live without a reason: {', '.join(wanting)}")


if __name__ == "__main__":
    main()
