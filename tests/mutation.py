"""Mutation test of the modules that decide: does a test fail when a line of them is changed?

    python tests/mutation.py                           all modules
    python tests/mutation.py claims/rules --every 4    a fourth of the mutants of one

mutmut makes the mutants of each function (not of constants, nor of decorated functions), in a copy of the checkout. Its
runner finds no tests under this set-up of pytest, so they are run here: once without a mutant, then in a fork for each,
with the fixtures of the session as they are, so that a mutant lives or dies by what the tests call. Prints Markdown: a
row per module, and each survivor with the reason in SURVIVORS. Exits with 1 where fewer than LEAST die, or where a
survivor has no reason.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

#: The share of mutants that must die.
LEAST = 0.85

#: By module below mstclipiqa/, the tests that hold it.
TESTS = {
    "claims/rules": ["claims/test_rules.py"],
    "evaluation/metrics": ["evaluation/test_metrics.py"],
    "base/fingerprint": ["base/test_fingerprint.py"],
    "data/protocols": ["data/test_protocols.py", "data/test_strange_splits.py"],
    "provenance/differences": ["provenance/test_differences.py"],
}

#: Mutants that may live: module and function, a part of the changed line as it was or is, and why.
SURVIVORS = [
    ("claims/rules judge_number", "margin - SLACK <", "a bound of exactly margin + 1e-9 is neither in nor out"),
    ("claims/rules judge_number", "high < claimed + margin", "a bound of exactly margin + 1e-9 is neither in nor out"),
    ("claims/rules judge_gain", "and low < high", "equal: an interval that is a point is never inconclusive"),
    ("evaluation/metrics _checked", "values[1]", "equal: the values are constant"),
    ("evaluation/metrics plcc", '"ignore", )', "equal: checked values give no other warning"),
    ("evaluation/metrics logistic4", "-60", "equal: exp(-60) is less than rounding beside 1"),
    ("evaluation/metrics logistic4_gradient", "-60", "equal: exp(-60) is less than rounding beside 1"),
    ("evaluation/metrics plcc_fitted", "> 0 else", "no data have a correlation of exactly 0; both starts fit them"),
    ("evaluation/metrics plcc_fitted", "x_scale", "another way to the same optimum"),
    (
        "evaluation/metrics plcc_fitted",
        "max_nfev",
        "more steps move the value by less than 1e-3, a fit's tolerance here",
    ),
    ("evaluation/metrics plcc_fitted", '"lm"', "equal optimum: both methods solve the square case of 4 points"),
    ("base/fingerprint fingerprint", r'b"XX\0XX"', "another separator separates as well"),
]


def reason_of(function: str, old: str, new: str) -> str:
    """Why a mutant of a function may live; empty where nothing says so."""
    return next((why for name, part, why in SURVIVORS if name == function and (part in old or part in new)), "")


# In the copy: one module


class Mutants:
    """Runs the collected tests without a mutant, then each mutant's in a fork, until one fails."""

    def __init__(self, names: list[str], scratch: Path):
        self.names, self.scratch = names, scratch
        self.seconds: dict[str, float] = {}
        self.alive: list[str] = []
        self.late: list[str] = []
        self.failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from mutmut.mutation.trampoline import set_mutant_under_test
        from mutmut.state import state

        set_mutant_under_test("stats")
        reached: dict[str, list[pytest.Item]] = {}
        for item, following in zip(session.items, [*session.items[1:], session], strict=True):
            state()._stats.clear()
            self._run(item, following)
            for function in state()._stats:
                reached.setdefault(function, []).append(item)
        if self.failed or not session.items:
            pytest.exit(f"without a mutant: {self.failed or 'no tests'}", returncode=3)
        set_mutant_under_test("")
        if self._fork("", session.items) != 0:
            pytest.exit("without a mutant the tests fail in a fork", returncode=3)
        for items in reached.values():
            items.sort(key=lambda item: self.seconds[item.nodeid])
        for number, name in enumerate(self.names):
            items = reached.get(name.partition("__mutmut_")[0], [])
            code = self._fork(name, items) if items else 0
            if code == 0:
                self.alive.append(name)
            elif code == -signal.SIGALRM:
                self.late.append(name)
            elif code > 1 and items[code - 2 :]:  # what killed this one is tried first on the next
                items.insert(0, items.pop(code - 2))
            if sys.__stderr__.isatty():
                print(f"\r{number + 1} of {len(self.names)}, {len(self.alive)} alive ", end="", file=sys.__stderr__)
        return True

    def _run(self, item: pytest.Item, following: pytest.Item | pytest.Session) -> None:
        """Run a test and end the fixtures that the following one does not need; the session needs its own."""
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def _fork(self, name: str, items: list[pytest.Item]) -> int:
        """0 where all tests pass with the mutant `name`, else 2 + the place of the one that failed, below 255, or the
        signal that ended it."""
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


def hold_in_copy(module: str, every: int) -> None:
    """Mutate a module of the copy in the working folder, and write to result.json what came of it."""
    from mutmut.configuration import config
    from mutmut.mutation.file_mutation import mutate_file_contents

    config()  # from this folder; tests change it
    path = Path("mstclipiqa", f"{module}.py")
    mutated = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
    path.write_text(mutated.code, encoding="utf-8")
    dotted = ".".join(path.with_suffix("").parts)
    scratch = Path("scratch").resolve()
    mutants = Mutants([f"{dotted}.{name}" for name in mutated.mutant_names[::every]], scratch)
    options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    began = time.monotonic()
    tests = [f"tests/{name}" for name in TESTS[module]]
    if pytest.main([*options, f"--basetemp={scratch}", *tests], plugins=[mutants]):
        raise SystemExit(1)
    assert Path(sys.modules[dotted].__file__).resolve() == path.resolve()
    lines = mutated.code.splitlines()

    def source(name: str) -> list[str]:
        span = mutated.line_span_by_function_name[name]
        return [re.sub(r"__mutmut_(orig|\d+)\b", "", line).strip() for line in lines[span.start - 1 : span.end]]

    survivors = []
    for name in (name.rpartition(".")[2] for name in mutants.alive):
        whole, changed = source(f"{name.partition('__mutmut_')[0]}__mutmut_orig"), source(name)
        old = [line for line in whole if line not in changed]
        new = [line for line in changed if line not in whole]
        function = re.split("[_ǁ]", name.partition("__mutmut_")[0], maxsplit=1)[1].replace("ǁ", ".")
        survivors.append({"name": name, "function": function, "old": " ".join(old), "new": " ".join(new)})
    result = {"mutants": len(mutants.names), "late": len(mutants.late), "survivors": survivors}
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


def show_change(old: str, new: str) -> str:
    """Two cells: a changed line as it was and is, without what both begin and end with."""
    begin = max(0, len(os.path.commonprefix([old, new])) - 20)
    end = max(0, len(os.path.commonprefix([old[:begin:-1], new[:begin:-1]])) - 20)
    cells = (line[begin : len(line) - end].strip().replace("|", r"\|") for line in (old, new))
    return " | ".join(f"`{cell}`" if cell else "" for cell in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", choices=[[], *TESTS], metavar="module", help=", ".join(TESTS))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th mutant")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        return hold_in_copy(arguments.modules[0], arguments.every)
    held = {module: hold(module, arguments.every) for module in arguments.modules or TESTS}
    print("| module | mutants | dead | of them late | alive | dead, % | seconds |\n|---|---|---|---|---|---|---|")
    wanting = []
    for module, result in held.items():
        count, alive = result["mutants"], len(result["survivors"])
        share = (count - alive) / count
        wanting += [module] if share < LEAST else []
        print(
            f"| {module} | {count} | {count - alive} | {result['late']} | {alive} | {100 * share:.1f} "
            f"| {result['seconds']:.0f} |"
        )
    print("\n| survivor | was | is | why it may live |\n|---|---|---|---|")
    for module, result in held.items():
        for found in result["survivors"]:
            function = f"{module} {found['function']}"
            why = reason_of(function, found["old"], found["new"])
            wanting += [] if why else [found["name"]]
            print(f"| {function} | {show_change(found['old'], found['new'])} | {why or '?'} |")
    if wanting:
        raise SystemExit(f"too few die, or live without a reason: {', '.join(wanting)}")


if __name__ == "__main__":
    main()
