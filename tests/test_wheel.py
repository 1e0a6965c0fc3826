"""The package as a wheel: whole, and of use where there is no checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mstclipiqa.base.files import read_table
from mstclipiqa.cli.main import main
from mstclipiqa.encoders.stores import load_texts

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("mstclipiqa", "snakemake_logger_plugin_mstclipiqa")


def pip(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools would also pack what an earlier build left beside the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    pip("wheel", source, "--no-deps", "--no-build-isolation", "--wheel-dir", source / "dist")
    return next((source / "dist").glob("*.whl"))


class Installed:
    """The wheel's contents before everything else on the path, in a folder that is no checkout."""

    def __init__(self, wheel: Path, folder: Path):
        self.packages, self.folder = folder / "packages", folder / "elsewhere"
        self.folder.mkdir()
        pip("install", wheel, "--no-deps", "--target", self.packages)

    def python(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(self.packages), **environment},
        )  # fmt: skip

    def run(self, *arguments: object) -> str:
        done = self.python("-m", "mstclipiqa", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    installed = Installed(wheel, tmp_path_factory.mktemp("installed"))
    found = installed.python("-c", "import mstclipiqa; print(mstclipiqa.__file__)").stdout.strip()
    assert Path(found) == installed.packages / "mstclipiqa" / "__init__.py", "not the checkout's"
    return installed


def test_wheel_holds_every_file_of_the_package(wheel: Path):
    files = [path for name in PACKAGES for path in (REPOSITORY / name).rglob("*") if path.is_file()]
    ours = {path.relative_to(REPOSITORY).as_posix() for path in files if "__pycache__" not in path.parts}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == ours
    assert {Path(name).suffix for name in packed} >= {".py", ".yaml", ".json", ".safetensors", ".j2", ".css"}


def test_command_is_installed(installed: Installed):
    done = installed.python(installed.packages / "bin" / "mstclipiqa", "--help")
    assert done.returncode == 0 and all(verb in done.stdout for verb in main.commands), done.stderr


def test_draws_reads_and_encodes_outside_the_checkout(installed: Installed):
    """Drawn benchmark, reader, embedded encoder with its architecture: what needs files of the package."""
    installed.run("draw", "agiqa-1k", "--root", "data/agiqa-1k", "--scale", "0.1")
    installed.run("samples", "agiqa-1k", "--root", "data/agiqa-1k", "--out", "samples.parquet")
    encoder = ("--model", "mst-small-32", "--weights", "embedded")
    installed.run("encode-texts", *encoder, "--samples", "samples.parquet", "--out", "prompts.safetensors")
    prompts = load_texts(installed.folder / "prompts.safetensors")
    assert set(prompts.index) == set(read_table(installed.folder / "samples.parquet")[0]["prompt"])
