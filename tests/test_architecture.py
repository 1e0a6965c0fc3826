"""The shape of the package: imports point one way, and what the Snakefile reads is quick to load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mstclipiqa
from mstclipiqa.evaluation import metrics
from mstclipiqa.report import results
from mstclipiqa.training import run as training

PACKAGE = Path(mstclipiqa.__file__).parent

#: From the top: a module imports only from the layers below its own. A folder counts as one module.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"bundles"},
    {"doctor", "gate", "scoring", "released", "verification"},
    {
        "report",
        "manifest",
        "claims",
        "comparisons",
        "probe",
        "pretraining",
        "curves",
        "transfer",
        "planning",
        "heads",
        "jobs",
        "efficiency",
    },
    {"stacked"},
    {"experiments", "training", "evaluation", "extraction", "baselines", "acquisition"},
    {"model", "splits", "metrics", "corpus"},
    {"fusions"},
    {"benchmarks", "clip", "features", "recipes", "variants", "image_statistics"},
    {"scenes", "config", "embedded", "fingerprint", "archives"},
    {"files", "progress", "workers"},
    {"errors", "__init__"},
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def unit(path):
    """The module of the first level that a source is, or lies in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """The full names of all modules that a source imports, at any place in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are invisible to fingerprints"
            if node.module == "mstclipiqa":
                yield from (f"mstclipiqa.{alias.name}" for alias in node.names)
            else:
                yield node.module


def imported_units(path):
    names = {name.split(".")[1] for name in imports(path) if name.startswith("mstclipiqa.")}
    return {name if name in RANK else "__init__" for name in names} - {unit(path)}


def test_every_module_has_a_layer():
    assert {unit(path) for path in SOURCES} == set(RANK)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path):
    upwards = {name for name in imported_units(path) if RANK[name] <= RANK[unit(path)]}
    assert not upwards, f"{unit(path)} imports {', '.join(sorted(upwards))}, which stand beside or above it"


def test_the_package_knows_nothing_of_snakemake():
    assert not [path for path in SOURCES if any(name.split(".")[0] == "snakemake" for name in imports(path))]


def test_help_and_checks_need_no_heavy_library():
    script = (
        "import sys, mstclipiqa.cli.main, mstclipiqa.study.study, mstclipiqa.base.fingerprint;"
        "sys.exit(', '.join({'torch', 'torchvision', 'open_clip', 'matplotlib'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"imported: {done.stderr}"


def test_the_report_names_what_the_computing_modules_name():
    """It spells these names again, so as not to load torch."""
    assert list(results.METRICS) == list(metrics.METRICS)
    assert set(results.SELECTIONS) == {training.LAST, training.VALIDATION, training.BEST_ON_TEST}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_bytes()))
