"""A fingerprint moves with the code that a step runs, and with no other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mstclipiqa
from mstclipiqa.base.fingerprint import fingerprint, imported_modules

PACKAGE = Path(mstclipiqa.__file__).parent


def name_of(path):
    """Dotted name of the module in `path`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


@pytest.fixture
def covered(monkeypatch):
    """The modules whose sources a fingerprint reads."""
    read_bytes = Path.read_bytes

    def covered(*modules):
        read = set()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda path: read.add(name_of(path)) or read_bytes(path))
            fingerprint(*modules)
        return read

    return covered


@pytest.fixture
def edited(monkeypatch):
    """The fingerprint of `module` as if a comment had been added to the module `other`."""
    read_bytes = Path.read_bytes

    def edited(module, other):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda path: read_bytes(path) + b"\n#" * (name_of(path) == other))
            return fingerprint(module)

    return edited


def loaded_by(module):
    """The modules of this package that Python loads with `module`, in a process of its own."""
    script = f"import json, sys, {module}; print(json.dumps([m for m in sys.modules if m.startswith('mstclipiqa')]))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "module", ["mstclipiqa.evaluation.metrics", "mstclipiqa.model.recipes", "mstclipiqa.training.run"]
)
def test_it_covers_what_python_loads_with_the_module(covered, module):
    """But the root, which holds the version and computes nothing: a new version alone reruns no step."""
    assert covered(module) == loaded_by(module) - {"mstclipiqa", "mstclipiqa.base.version"}


def test_training_is_independent_of_the_steps_before_and_after(covered):
    found = covered("mstclipiqa.training.run")
    needed = ("base.files", "encoders.stores", "evaluation.metrics", "model.recipes", "training.losses")
    assert {f"mstclipiqa.{name}" for name in needed} <= found
    assert {name.split(".")[1] for name in found} == {"base", "encoders", "model", "evaluation", "training"}
    assert not {"mstclipiqa.encoders.clip", "mstclipiqa.encoders.extraction"} & found


@pytest.mark.parametrize("package", ["mstclipiqa.training", "mstclipiqa.data.benchmarks"])
def test_packages_on_the_way_count(edited, package):
    """Python runs them when it imports what lies in them."""
    module = f"{package}.{'losses' if package.endswith('training') else 'agiqa_3k'}"
    assert edited(module, package) != fingerprint(module)


def test_imports_for_type_checkers_do_not_count():
    source = b"""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from mstclipiqa.encoders.clip import Encoder
from mstclipiqa.base.files import sha256
"""
    assert imported_modules(source) == ("mstclipiqa.base.files",)


def test_imports_within_functions_count(covered):
    """The command line imports what it runs when it runs it."""
    assert {"mstclipiqa.training.run", "mstclipiqa.report.page", "mstclipiqa.synthetic.scene"} <= covered(
        "mstclipiqa.cli.main"
    )


@pytest.mark.parametrize(
    "module", ["mstclipiqa.data.protocols", "mstclipiqa.model.recipes", "mstclipiqa.evaluation.per_run"]
)
def test_it_moves_with_the_sources_it_covers_and_with_no_other(covered, edited, module):
    expected = fingerprint(module)
    assert fingerprint(module) == expected
    inside = covered(module)
    assert module in inside
    for other in MODULES:
        assert (edited(module, other) != expected) == (other in inside)


def test_several_modules_have_one_fingerprint_whatever_their_order():
    both = fingerprint("mstclipiqa.data.protocols", "mstclipiqa.model.recipes")
    assert both == fingerprint("mstclipiqa.model.recipes", "mstclipiqa.data.protocols", "mstclipiqa.data.protocols")
    assert both not in (fingerprint("mstclipiqa.data.protocols"), fingerprint("mstclipiqa.model.recipes"))


def test_an_unknown_module_is_an_error():
    with pytest.raises(ValueError, match="mstclipiqa.tails"):
        fingerprint("mstclipiqa.tails")


def test_every_form_of_import_is_seen():
    source = b"""
import json, mstclipiqa.base.files
import mstclipiqa.evaluation.metrics as measures
from mstclipiqa.data import protocols
from mstclipiqa.base.errors import InputError
from pathlib import Path
def late():
    from mstclipiqa.data.benchmarks import agiqa_3k, TARGETS
"""
    assert set(imported_modules(source)) == {
        *("mstclipiqa.base.files", "mstclipiqa.evaluation.metrics", "mstclipiqa.data", "mstclipiqa.data.protocols"),
        *("mstclipiqa.base.errors", "mstclipiqa.data.benchmarks", "mstclipiqa.data.benchmarks.agiqa_3k"),
    }


def test_the_whole_package_is_every_file_of_it_but_documents(monkeypatch):
    read, read_bytes = set(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.add(path) or read_bytes(path))
    fingerprint(data=["."])
    shipped = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    shipped = {path for path in shipped if path.suffix != ".md"}
    assert read == shipped > set(MODULES.values())


def test_compiled_files_and_documents_of_data_do_not_count(tmp_path, monkeypatch):
    """Python writes the first where it runs; the second decide nothing."""
    monkeypatch.setattr("mstclipiqa.base.fingerprint.PACKAGE", tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "heads.py").write_text("WIDTH = 8")
    expected = fingerprint(data=["."])
    for name in ("__pycache__/heads.cpython-311.pyc", "heads.pyc", "README.md"):
        (tmp_path / name).write_text("anything")
        assert fingerprint(data=["."]) == expected, name
    (tmp_path / "heads.yaml").write_text("anything")
    assert fingerprint(data=["."]) != expected


def test_it_moves_with_the_data_it_names(monkeypatch):
    module, folder, file = (
        "mstclipiqa.base.errors",
        "encoders/model_configs",
        "encoders/model_configs/mst-small-32.json",
    )
    read_bytes = Path.read_bytes
    expected = [fingerprint(module, data=[named]) for named in (folder, file)]
    assert fingerprint(module) not in expected
    monkeypatch.setattr(Path, "read_bytes", lambda path: read_bytes(path) + b" " * (path.suffix == ".json"))
    assert not set(expected) & {fingerprint(module, data=[named]) for named in (folder, file)}


def test_a_fingerprint_imports_nothing():
    """The Snakefile computes fingerprints at every start, and in every job."""
    script = (
        "import sys; from mstclipiqa.base.fingerprint import fingerprint;"
        "fingerprint('mstclipiqa.training.run', 'mstclipiqa.report');"
        "sys.exit(', '.join({'torch', 'open_clip', 'matplotlib'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"imported: {done.stderr}"
