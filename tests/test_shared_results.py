"""Several processes that write the same results: two checkouts that share a folder, or one command started twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_study import run

from mstclipiqa.base.files import list_files, sha256

TIMES = 3


def at_once(*arguments: object, cwd: Path) -> None:
    """Run a command TIMES times side by side. All of them end well."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    options = {"cwd": cwd, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen(command, **options) for _ in range(TIMES)]
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0] * TIMES, "\n".join(said)


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path) for path in list_files(folder)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn benchmark and its samples table."""
    folder = tmp_path_factory.mktemp("drawn")
    run("draw", "agiqa-1k", "--root", folder / "data", "--scale", 0.2)
    run("samples", "agiqa-1k", "--root", folder / "data", "--out", folder / "samples.parquet")
    return folder


@pytest.mark.parametrize("there", [False, True], ids=["nothing there", "another drawing there"])
def test_drawings_of_one_folder(there: bool, drawn: Path, tmp_path: Path):
    if there:
        run("draw", "agiqa-1k", "--root", tmp_path / "data", "--scale", 0.1, "--seed", 3)
    at_once("-m", "mstclipiqa", "draw", "agiqa-1k", "--root", "data", "--scale", 0.2, cwd=tmp_path)
    assert contents(tmp_path / "data") == contents(drawn / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_equal_drawing_leaves_the_folder_to_its_readers(drawn: Path, tmp_path: Path):
    run("draw", "agiqa-1k", "--root", tmp_path / "data", "--scale", 0.1)
    before = (tmp_path / "data").stat().st_ino
    run("draw", "agiqa-1k", "--root", tmp_path / "data", "--scale", 0.1)
    assert (tmp_path / "data").stat().st_ino == before
    next((tmp_path / "data").rglob("*.jpg")).write_bytes(b"spoiled")
    run("draw", "agiqa-1k", "--root", tmp_path / "data", "--scale", 0.1)
    assert (tmp_path / "data").stat().st_ino != before


def test_extractions_into_one_store(drawn: Path, tmp_path: Path):
    """Each as in a trial of a stranger: one of two failed in two of three."""
    pair = ("--encoder", "mst-small-32", "random:0", "a", "--encoder", "mst-small-16", "random:0", "b")
    common = ("--samples", drawn / "samples.parquet", "--root", drawn / "data")
    at_once("-m", "mstclipiqa", "extract", *pair, *common, cwd=tmp_path)
    alone = [word if word not in ("a", "b") else tmp_path / f"alone-{word}" for word in pair]
    run("extract", *alone, *common)
    assert sha256(tmp_path / "a") == sha256(tmp_path / "alone-a")
    assert sha256(tmp_path / "b") == sha256(tmp_path / "alone-b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "alone-a", "alone-b", "b"]


def test_trainings_of_one_job(tmp_path: Path):
    code = (
        "from dataclasses import replace; from small_benchmark import *; from mstclipiqa.training.job import train_job;"
        "from mstclipiqa.training.run import Trainer;"
        "from pathlib import Path; from mstclipiqa.data.protocols import split_samples;"
        "from mstclipiqa.training.dataset import assemble_dataset;"
        "samples = make_samples(); data = assemble_dataset(samples, RANGES, 'quality', **make_stores(samples));"
        "splits = split_samples(samples, ['random2'])[0];"
        "train_job(Path('runs'), Trainer.of_texts(data, B, RECIPE, make_levels()), splits, [0, 1], "
        "{'benchmark': 'toy', 'target': 'quality'})"
    )
    at_once("-c", code, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
