"""A disk that fills up at each step: one line that names the file, nothing half-written, and the same bytes later.

On a small tmpfs, which only the superuser can mount.
"""

import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from small_study import ENCODERS, SmallStudy

from mstclipiqa.analyses.probe_images import probe_scenes
from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.files import sha256
from mstclipiqa.cli.main import main

REPOSITORY = Path(__file__).parents[1]
PAGE = 4096

COARSE = ("--model", ENCODERS["coarse"], "--weights", "embedded")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 64 MB in memory."""
    folder = tmp_path_factory.mktemp("disk")
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, text=True, check=False
        )
    except OSError as error:
        pytest.skip(f"no tmpfs can be mounted here ({error})")
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here ({' '.join(done.stderr.split())})")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def finished(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """The small study with a report, its images as an archive, and sources that have its labels for the published."""
    study = small_study.copy(tmp_path_factory.mktemp("finished") / "study")
    done = invoke("report", "--results", study.results, "--out", study.reports)
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(study.folder / "images.zip", "w") as archive:
        for path in sorted((study.data / "agiqa-3k").rglob("*")):
            if path.is_file() and path.suffix in (".jpg", ".csv"):
                archive.write(path, path.relative_to(study.data / "agiqa-3k"))
    sources = read_yaml(REPOSITORY / "config" / "sources.yaml")
    sources["benchmarks"]["agiqa-3k"]["files"][0]["sources"][0]["sha256"] = sha256(study.data / "agiqa-3k" / "data.csv")
    (study.folder / "sources.yaml").write_text(yaml.safe_dump(sources))
    return study


Stage = Callable[[SmallStudy, Path], list[object]]


def of_benchmark(*names: str) -> Callable[[SmallStudy], list[object]]:
    """Options that name files of the study's benchmark, as in `--samples .../samples.parquet`."""

    def options(study: SmallStudy) -> list[object]:
        folder = study.results / "agiqa-3k"
        paths = {"samples": folder / "samples.parquet", "splits": folder / "splits.parquet"}
        for name in ("coarse", "fine", "prompts", "statistics"):
            paths[name] = folder / "features" / f"{name}.safetensors"
        paths["levels"] = study.results / "levels" / "slow.safetensors"
        paths["texts"] = study.results / "levels" / "zero_shot.safetensors"
        paths["paired"] = paths["coarse"]
        paths["recipe"] = study.config / "recipes" / "slow.yaml"
        return [word for name in names for word in (f"--{name}", paths[name])]

    return options


def images(study: SmallStudy) -> list[object]:
    return [*of_benchmark("samples")(study), "--root", study.data / "agiqa-3k"]


TRAINED = of_benchmark("samples", "splits", "coarse", "fine", "prompts", "levels", "recipe")
BASELINE = of_benchmark("samples", "splits", "coarse", "fine", "prompts", "statistics", "texts", "paired")
MODELS = [
    word for role in ("coarse", "fine") for word in (f"--{role}-model", ENCODERS[role], f"--{role}-weights", "embedded")
]

#: Each step of the study: its command line, writing to `out`.
STAGES: dict[str, Stage] = {
    "acquire": lambda study, out: [
        "acquire", "agiqa-3k", "--data-root", out, "--archive", study.folder / "images.zip", "--offline",
        "--sources", study.folder / "sources.yaml", "--cache", study.folder / "cache",
    ],
    "draw": lambda study, out: ["draw", "agiqa-3k", "--root", out / "agiqa-3k", "--scale", 0.1],
    "samples": lambda study, out: [
        "samples", "agiqa-3k", "--root", study.data / "agiqa-3k", "--out", out / "a.parquet",
    ],
    "split": lambda study, out: [
        "split", *of_benchmark("samples")(study), "--protocol", "grouped2", "--out", out / "a.parquet",
    ],
    "extract": lambda study, out: [
        "extract", "--encoder", *COARSE[1::2], out / "a.safetensors", *images(study), "--batch-size", 8,
    ],
    "encode-texts": lambda study, out: [
        "encode-texts", *COARSE, *of_benchmark("samples")(study), "--out", out / "a.safetensors",
    ],
    "measure": lambda study, out: ["measure", *images(study), "--out", out / "a.safetensors"],
    "baselines": lambda study, out: ["baselines", *BASELINE(study), "--out", out / "a.parquet"],
    "train": lambda study, out: [
        "train", *TRAINED(study), "--variant", "mst-clipiqa", "--target", "quality", "--seed", 0, "--seed", 1,
        "--out", out / "a.parquet",
    ],
    "probe": lambda study, out: ["probe", *TRAINED(study), "--seed", 0, *MODELS, "--out", out],
    "dissect": lambda study, out: ["dissect", *TRAINED(study), "--seed", 0, "--out", out],
    "attend": lambda study, out: [
        "attend", "agiqa-3k", "--results", study.results, *of_benchmark("recipe")(study), "--target", "quality",
        "--out", out / "a.parquet",
    ],
    "curves": lambda study, out: [
        "curves", *of_benchmark("samples", "splits", "prompts")(study),
        "--case", *of_benchmark("recipe", "coarse", "fine", "levels")(study)[1::2], "--out", out / "a.parquet",
    ],
    "transfer": lambda study, out: [
        "transfer", "--source", *of_benchmark("samples", "splits", "coarse", "fine", "prompts")(study)[1::2],
        *of_benchmark("levels", "recipe")(study), "--out", out / "a.parquet",
    ],
    "evaluate": lambda study, out: [
        "evaluate", study.runs(), "--results", study.results, "--out", out / "a.parquet",
    ],
    "compare": lambda study, out: [
        "compare", "--metrics", study.results / "metrics.parquet", "--results", study.results, "--out", out,
    ],
    "claims": lambda study, out: [
        "claims", "--results", study.results, "--claims", study.config / "claims.yaml",
        "--paper-tables", study.config / "paper_tables.csv",
        "--prior-results", study.config / "prior_results.csv", "--recipes", study.config / "recipes",
        "--out", out / "claims.json",
    ],
    "report": lambda study, out: ["report", "--results", study.results, "--out", out],
    "bundle": lambda study, out: [
        "bundle", study.results, study.reports, "--date", "2026-01-01", "--out", out / "a.zip",
    ],
    "train-head": lambda study, out: [
        "train-head", "agiqa-3k", "--results", study.results, *of_benchmark("recipe")(study),
        "--protocol", "lab-seed1", "--out", out / "a.safetensors",
    ],
}  # fmt: skip


SLOW = {"probe", "dissect", "curves", "transfer", "report", "bundle"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(finished: SmallStudy) -> dict[str, dict[str, bytes]]:
    """By stage, what it writes where there is room; each is run when it is first asked for."""
    results = finished.results
    return {
        "report": contents(finished.reports),
        "probe": contents(results / "probe" / "slow"),
        "dissect": contents(results / "agiqa-3k" / "dissection" / "slow"),
    }


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all room but `leave` bytes, rounded up to pages."""
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free - -(-leave // PAGE) * PAGE
    with filler.open("wb") as stream:
        while free > 0:
            free -= stream.write(bytes(min(free, 2**20)))
    return filler


def assert_refused(done: Result, out: Path) -> None:
    assert isinstance(done.exception, SystemExit) and done.exit_code == 1, repr(done.exception)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert errors == done.stderr.splitlines()[-1:]
    assert str(out) in errors[0] and "Traceback" not in done.output
    refused = "cannot be written (" in errors[0] and "No space left on device" in errors[0]
    assert refused or " MB are free" in errors[0], errors[0]  # the latter before the first file of an archive


#: What room there is: none, for half of the output, for all of it but a page. Of the slow steps, only half.
ROOMS = [
    (stage, room)
    for stage in STAGES
    for room in ("none", "half", "all but a page")
    if room == "half" or stage not in SLOW
]


@pytest.mark.parametrize(("stage", "room"), ROOMS)
def test_full_disk_is_one_line_and_the_rest_is_done_later(
    stage: str, room: str, disk: Path, finished: SmallStudy, undisturbed: dict, monkeypatch: pytest.MonkeyPatch
):
    few = probe_scenes(per_fold=8, spoiled=3)
    monkeypatch.setattr("mstclipiqa.analyses.probe.probe_scenes", lambda: few)
    out = disk / "out"
    out.mkdir()
    try:
        if stage not in undisturbed:
            done = invoke(*STAGES[stage](finished, out))
            assert done.exit_code == 0, done.output
            undisturbed[stage] = contents(out)
            shutil.rmtree(out)
            out.mkdir()
        expected = undisturbed[stage]
        pages = sum(-(-len(content) // PAGE) for content in expected.values())
        filler = fill(disk, {"none": 0, "half": pages // 2, "all but a page": pages - 1}[room] * PAGE)
        assert_refused(invoke(*STAGES[stage](finished, out)), out)
        for name, content in contents(out).items():
            assert ".parts/" in name or content == expected[name], f"{name} is half-written"
        filler.unlink()
        done = invoke(*STAGES[stage](finished, out))
        assert done.exit_code == 0, done.output
        assert contents(out) == expected
    finally:
        for path in disk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("stage", ["samples", "draw", "encode-texts"])
def test_read_only_disk_is_one_line(stage: str, disk: Path, finished: SmallStudy):
    out = disk / "out"
    out.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        done = invoke(*STAGES[stage](finished, out))
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert isinstance(done.exception, SystemExit) and done.exit_code == 1
    assert done.stderr.count("Error: ") == 1 and str(out) in done.stderr
    assert "Read-only file system" in done.stderr.splitlines()[-1]
    assert contents(out) == {}
    out.rmdir()
