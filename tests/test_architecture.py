"""The shape of the package: imports point one way, rooms stay small, and what the Snakefile reads is quick to load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mstclipiqa
from mstclipiqa.base.layout import LAYOUT
from mstclipiqa.evaluation.metrics import METRICS

PACKAGE = Path(mstclipiqa.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

#: Lines of a module; data are none.
LONGEST = 450

named = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)


def test_imports_keep_the_contracts_of_pyproject():
    """Layers from low to high, rooms on one step apart, no torch where the rules read: see [tool.importlinter]."""
    done = python("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")
    assert done.returncode == 0, done.stdout + done.stderr


@named
def test_no_import_is_relative(path: Path):
    """A relative one is invisible to fingerprints."""
    imports = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.ImportFrom)]
    assert all(node.level == 0 for node in imports)


@named
def test_every_module_says_what_it_is_and_is_short(path: Path):
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert len(source.splitlines()) <= LONGEST


def test_init_files_hold_a_docstring():
    """But for the registry of benchmarks, the report's one function, and the root's version and lazy Scorer."""
    exceptions = {"data/benchmarks/__init__.py", "report/__init__.py", "__init__.py"}
    for path in SOURCES:
        if path.name == "__init__.py" and path.relative_to(PACKAGE).as_posix() not in exceptions:
            assert len(ast.parse(path.read_bytes()).body) == 1, path


def test_only_the_layout_writes_tables():
    """Parts of a job, of a corpus and of any number of scores are no results."""
    writers = {
        path.relative_to(PACKAGE).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom) and "write_table" in {alias.name for alias in node.names}
    }
    assert writers == {"base/layout.py", "training/job.py", "synthetic/corpus.py", "scoring/many.py"}


def test_the_layout_names_each_place_once_and_verbs_that_exist():
    from mstclipiqa.cli.main import main

    paths = [entry.path for entry in LAYOUT.values()]
    assert len(set(paths)) == len(paths)
    assert {entry.writer for entry in LAYOUT.values()} <= {*main.commands, "snakemake"}
    assert set(METRICS) < set(LAYOUT["METRICS"].columns)
    for entry in LAYOUT.values():
        assert set(entry.key) <= set(entry.columns)


def test_help_and_checks_need_no_heavy_library():
    script = (
        "import sys, mstclipiqa.cli.main, mstclipiqa.study.study, mstclipiqa.base.fingerprint;"
        "sys.exit(', '.join({'torch', 'torchvision', 'open_clip', 'matplotlib', 'scipy.ndimage'} & set(sys.modules))"
        " or 0)"
    )
    done = python("-c", script)
    assert done.returncode == 0, f"imported: {done.stderr}"


@pytest.mark.parametrize("room", ["evaluation", "claims", "report"])
def test_what_reads_results_loads_no_torch(room: str):
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in sorted((PACKAGE / room).glob("*.py"))
        if path.name != "__init__.py"
    ]
    done = python("-c", f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr
