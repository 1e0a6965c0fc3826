"""The manifest of a small results folder whose files hold no more than the manifest reads."""

import json
import shutil
import socket
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_tables import table_of
from safetensors.numpy import save_file

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256, write_table
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.data.benchmarks import BENCHMARKS, OF_PAPER
from mstclipiqa.provenance import manifest as module
from mstclipiqa.provenance.manifest import build_manifest
from mstclipiqa.study.study import Study

REPOSITORY = Path(__file__).parents[2]
CONFIG = read_yaml(REPOSITORY / "config" / "reduced.yaml") | {
    "benchmarks": ["agiqa-3k", "agiqa-1k"],
    "recipes": ["released_code", "main_text"],
    "variants": ["mst-clipiqa"],
    "also": [],
    "protocols": ["lab-seed1", "grouped3"],
}
LABEL_FILES = {"agiqa-3k": {"data.csv": "11" * 32}, "agiqa-1k": {"AIGC_MOS_Zscore.xlsx": "22" * 32}}
ENCODERS = {"coarse": {"model": "c", "weights_sha256": "aa"}, "fine": {"model": "f", "weights_sha256": "bb"}}


def write_store(path: Path, tensors: dict[str, np.ndarray], metadata: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {"mstclipiqa": json.dumps(metadata)})


def write_texts(path: Path, texts: list[str], truncated: list[str]) -> None:
    tensors = {"tokens": np.zeros((2, 4), np.float32), "offsets": np.arange(3), "pooled": np.zeros((2, 4), np.float32)}
    write_store(path, tensors, {"texts": texts, "truncated": truncated, "encoder": ENCODERS["coarse"]})


@pytest.fixture
def study() -> Study:
    return Study(CONFIG, REPOSITORY / "config" / "recipes")


@pytest.fixture
def results(tmp_path: Path, study: Study) -> Path:
    results = tmp_path / "results"
    table = pd.DataFrame({"image": ["a.png"]})
    for name in study.benchmarks:
        card = {"label_files": LABEL_FILES[name]}
        SAMPLES.write(SAMPLES.at(results, benchmark=name), table_of(SAMPLES, table), card)
        write_table(results / name / "splits.parquet", table, {"of": name})
        for role, identity in ENCODERS.items():
            features = {"features": np.zeros((1, 4), np.float32)}
            metadata = {"encoder": identity, "images": ["a.png"], "sha256": ["33" * 32]}
            write_store(results / name / "features" / f"{role}.safetensors", features, metadata)
        write_store(results / name / "features" / "statistics.safetensors", features, metadata)
        write_table(results / name / "baselines.parquet", table, {"of": name})
        truncated = ["long"] if name == "agiqa-1k" else []
        write_texts(results / name / "features" / "prompts.safetensors", ["a corgi", "long"], truncated)
    for recipe in study.recipes:
        for name in ("readout", "gates"):
            write_table(results / "probe" / recipe / f"{name}.parquet", table, {"of": recipe})
        write_texts(results / "levels" / f"{recipe}.safetensors", ["bad", "good"], [])
    for job in study.jobs:
        write_table(results / job.path, table, {"job": job.path})
    for name in ("metrics", "intervals", "comparisons", "generators"):
        write_table(results / f"{name}.parquet", table, {})
    return results


@pytest.fixture
def built(study: Study, results: Path) -> dict:
    return json.loads(json.dumps(build_manifest(study, results)))


def test_manifest_is_json_and_the_same_again(study: Study, results: Path):
    first, second = (json.dumps(build_manifest(study, results), sort_keys=True) for _ in range(2))
    assert first == second


def test_configuration_is_recorded_as_given(built: dict):
    assert built["config"] == CONFIG
    assert (built["suite"], built["title"]) == (CONFIG["suite"], CONFIG["title"])


def test_every_benchmark_is_present_or_absent_with_a_reason(built: dict):
    assert set(built["benchmarks"]) == set(OF_PAPER)
    present = {name for name, entry in built["benchmarks"].items() if entry["status"] == "present"}
    assert present == {"agiqa-3k", "agiqa-1k"}
    for name, entry in built["benchmarks"].items():
        assert entry["title"] == BENCHMARKS[name].title
        if name not in present:
            assert (entry["status"], entry["reason"]) == ("absent", "not selected in this configuration")


def test_truncated_prompts_are_counted_per_benchmark(built: dict):
    assert built["benchmarks"]["agiqa-1k"]["prompts_truncated"] == 1
    assert built["benchmarks"]["agiqa-3k"]["prompts_truncated"] == 0


def test_inputs_are_the_label_files(built: dict):
    assert built["inputs"] == {
        "agiqa-3k/data.csv": LABEL_FILES["agiqa-3k"]["data.csv"],
        "agiqa-1k/AIGC_MOS_Zscore.xlsx": LABEL_FILES["agiqa-1k"]["AIGC_MOS_Zscore.xlsx"],
    }


def test_outputs_are_all_files_with_their_hashes(built: dict, results: Path):
    files = {path.relative_to(results).as_posix(): sha256(path) for path in results.rglob("*") if path.is_file()}
    # four tables of the suite; quality of both, correspondence of agiqa-3k; two recipes with levels and a probe;
    # per benchmark three tables and four stores
    assert len(files) == 4 + 3 * 2 + 2 * 3 + 2 * 7
    assert built["outputs"] == files


def test_other_files_of_the_folder_are_left_out(study: Study, results: Path, built: dict):
    (results / "logs").mkdir()
    (results / "logs" / "train.log").write_text("a log")
    shutil.copytree(results / "agiqa-3k", results / "an older benchmark")
    assert build_manifest(study, results)["outputs"] == built["outputs"]


def test_changed_output_moves_its_hash_alone(study: Study, results: Path, built: dict):
    write_table(results / study.jobs[0].path, pd.DataFrame({"image": ["b.png"]}), {})
    after = build_manifest(study, results)["outputs"]
    assert {name for name in after if after[name] != built["outputs"][name]} == {study.jobs[0].path}


def test_encoders_recipes_variants_and_protocols_are_described(built: dict):
    assert built["encoders"] == {role: {"name": role, **identity} for role, identity in ENCODERS.items()}
    assert list(built["variants"]) == ["mst-clipiqa"]
    assert built["variants"]["mst-clipiqa"]["title"] == "MST-CLIPIQA"
    assert built["protocols"]["lab-seed1"]["selection"] == "best-on-test"
    assert built["protocols"]["grouped3"]["selection"] == "validation"
    recipes = built["recipes"]
    assert recipes["released_code"]["silent"] == []
    assert recipes["main_text"]["values"]["template"] == "a photo of {} quality"
    assert "epochs" in recipes["main_text"]["silent"] and "template" in recipes["main_text"]["stated"]
    assert recipes["main_text"]["values"]["epochs"] == recipes["released_code"]["values"]["epochs"] == 20
    assert all(reading.endswith(".") for reading in built["readings"])


def test_versions_are_those_that_ran(built: dict):
    versions = dict(built["versions"])
    assert versions.pop("python").count(".") == 2
    assert {"torch", "torchvision", "open_clip_torch", "numpy", "snakemake"} <= versions.keys()
    assert versions == {name: version(name) for name in versions}


def test_hardware_is_described_without_naming_the_machine(built: dict, results: Path):
    hardware = built["hardware"]
    assert set(hardware) == {"machine", "system", "processor", "instructions", "cores", "memory_gb", "gpu"}
    assert hardware["cores"] >= 1 and hardware["memory_gb"] > 0
    assert socket.gethostname() not in hardware.values()
    text = json.dumps(built)
    assert str(results) not in text and str(REPOSITORY) not in text


def test_commit_is_the_checkouts(built: dict):
    git = shutil.which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    head = subprocess.run([git, "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert built["code"]["commit"].removesuffix("-dirty") == head.stdout.strip()
    assert len(built["code"]["fingerprint"]) == 64


def test_commit_is_none_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "manifest.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert module._git_commit() is None
    monkeypatch.setenv("PATH", "")
    assert module._git_commit() is None, "git is not installed"


def git(folder: Path, *arguments: str) -> str:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path, *files: str) -> str:
    """A repository that keeps `files`; its commit."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a file")
    git(folder, "init", "-q")
    git(folder, "add", *files)
    git(folder, "commit", "-qm", "a commit")
    return git(folder, "rev-parse", "HEAD")


PLACE = "mstclipiqa/provenance/manifest.py"


@pytest.mark.parametrize("kept", [False, True])
def test_commit_of_a_repository_around_the_environment_is_not_the_packages(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whether the other project ignores its environment or has committed it."""
    installed = tmp_path / ".venv" / "lib" / "site-packages" / PLACE
    installed.parent.mkdir(parents=True)
    installed.write_text("a file")
    repository(tmp_path, "theirs.py", *([installed.relative_to(tmp_path).as_posix()] if kept else []))
    monkeypatch.setattr(module, "__file__", str(installed))
    assert module._git_commit() is None


def test_commit_is_not_of_untracked_files_at_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / PLACE).parent.mkdir(parents=True)
    (tmp_path / PLACE).write_text("a file")
    repository(tmp_path, "theirs.py")
    monkeypatch.setattr(module, "__file__", str(tmp_path / PLACE))
    assert module._git_commit() is None


def test_commit_is_the_checkouts_inside_the_hook_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own, other = repository(tmp_path / "own", PLACE), repository(tmp_path / "other", PLACE, "theirs.py")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "own" / PLACE))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert module._git_commit() == own != other


UNREAD = (
    "metrics.parquet",
    "agiqa-1k/splits.parquet",
    "levels/main_text.safetensors",
    "agiqa-3k/runs/quality/main_text/mst-clipiqa.parquet",
)
READ = (
    "agiqa-1k/samples.parquet",
    "agiqa-3k/features/fine.safetensors",
    "agiqa-1k/features/prompts.safetensors",
)


def assert_refused(study: Study, results: Path, name: str) -> None:
    with pytest.raises(InputError) as error:
        build_manifest(study, results)
    assert str(results / name) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", [*READ, *UNREAD])
def test_missing_result_is_one_line(name: str, study: Study, results: Path):
    (results / name).unlink()
    assert_refused(study, results, name)


@pytest.mark.parametrize("name", READ)
def test_broken_result_is_one_line(name: str, study: Study, results: Path):
    (results / name).write_text("neither a table nor a store")
    assert_refused(study, results, name)
