"""What users get wrong, through the command line: refused in one line, or counted; never half done."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from mstclipiqa.cli import main
from mstclipiqa.config import read_yaml
from mstclipiqa.features import load_texts
from mstclipiqa.files import read_table

REPOSITORY = Path(__file__).parents[1]
ENCODER = ("--model", "mst-small-32", "--weights", "random:32")
NAMES = [f"{generator}_normal_{i:03d}.jpg" for generator in ("AttnGAN", "DALLE2", "glide", "sd1.5") for i in (0, 1)]
BAD = NAMES[5]

Spoil = Callable[[Path], object]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def assert_one_line(done: Result, *words: object) -> None:
    """One `Error:` line that holds `words`, exit status 1, and nothing that escaped as an exception."""
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == lines[-1:], done.stderr
    assert "Traceback" not in done.output
    assert [word for word in map(str, words) if word not in lines[-1]] == [], lines[-1]


def label_rows() -> pd.DataFrame:
    """Valid rows of AGIQA-3K's label file, as text."""
    frame = pd.DataFrame({"name": NAMES, "prompt": [f"a corgi number {i // 2}" for i in range(8)]})
    frame = frame.assign(adj1="", adj2="", style="")
    for column in ("quality", "align"):
        frame[f"mos_{column}"] = [str(0.5 + i / 2) for i in range(8)]
        frame[f"std_{column}"] = "0.25"
    return frame


def write_labels(root: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(root / "data.csv", index=False, quoting=csv.QUOTE_MINIMAL)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data" / "agiqa-3k"
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(root / "images" / name)
    write_labels(root, label_rows())
    return root


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for outputs, to be found empty where a step was refused."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def read_samples(root: Path, out: Path) -> Result:
    return invoke("samples", "agiqa-3k", "--root", root, "--out", out / "samples.parquet")


def cell(column: str, value: str) -> Spoil:
    """Set one cell in the row of the image BAD."""

    def spoil(root: Path) -> None:
        frame = label_rows()
        frame.loc[frame["name"] == BAD, column] = value
        write_labels(root, frame)

    return spoil


def image(write: Callable[[Path], object]) -> Spoil:
    return lambda root: write(root / "images" / BAD)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def make_unreadable(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser reads every file")
    path.chmod(0)


def labels(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Spoil:
    return lambda root: write_labels(root, edit(label_rows()))


def twice(**changes: str) -> Spoil:
    """The row of the image BAD, repeated with other values at the end."""
    return labels(lambda frame: pd.concat([frame, frame[frame["name"] == BAD].assign(**changes)]))


#: What is wrong with the benchmark's folder, and words of the line that says so.
BAD_FOLDERS: dict[str, tuple[Spoil, list[str]]] = {
    "image of no bytes": (image(lambda path: path.write_bytes(b"")), [BAD, "the file is empty"]),
    "image that is a page": (image(lambda path: path.write_text("<html>Quota")), [BAD, "11 bytes"]),
    "image that may not be read": (image(make_unreadable), [BAD]),
    "label row without image": (image(Path.unlink), [BAD, "1 of 8 labelled images not found"]),
    "two images of one name": (lambda root: Image.new("RGB", (9, 9)).save(root / BAD), [BAD, "different images"]),
    "column missing": (labels(lambda frame: frame.drop(columns="mos_align")), ["data.csv", "mos_align"]),
    "column renamed": (
        labels(lambda frame: frame.rename(columns={"mos_quality": "MOS"})),
        ["data.csv", "mos_quality", "'MOS'"],
    ),
    "no rows": (labels(lambda frame: frame[:0]), ["data.csv", "no label rows"]),
    "MOS empty": (cell("mos_quality", ""), ["data.csv", "mos_quality", "empty", "row 6"]),
    "MOS a word": (cell("mos_quality", "good"), ["data.csv", "mos_quality", "'good'", "row 6"]),
    "MOS with a comma": (cell("mos_quality", "2,5"), ["data.csv", "mos_quality", "'2,5'", "row 6"]),
    "MOS nan": (cell("mos_align", "nan"), ["data.csv", "mos_align", "'nan'", "row 6"]),
    "MOS infinite": (cell("mos_align", "inf"), ["data.csv", "mos_align", "'inf'", "row 6"]),
    "MOS above the range": (cell("mos_quality", "5.01"), ["data.csv", "quality", "5.01", BAD, "0..5"]),
    "MOS below the range": (cell("mos_align", "-0.5"), ["data.csv", "correspondence", "-0.5", BAD, "0..5"]),
    "MOS of another scale": (
        labels(lambda frame: frame.assign(mos_quality="0.5")),
        ["data.csv", "quality", "0.5", "0 to 5"],
    ),
    "prompt empty": (cell("prompt", ""), ["data.csv", "prompt", "empty", "row 6"]),
    "prompt blank": (cell("prompt", "  "), ["data.csv", "prompt", "empty", "row 6"]),
    "name empty": (cell("name", ""), ["data.csv", "name", "empty", "row 6"]),
    "labels missing": (lambda root: (root / "data.csv").unlink(), ["data.csv", "not found"]),
    "labels of no bytes": (lambda root: (root / "data.csv").write_bytes(b""), ["data.csv", "cannot be read"]),
    "labels not in UTF-8": (lambda root: (root / "data.csv").write_bytes(b"\xff"), ["data.csv", "cannot be read"]),
    "labels that may not be read": (lambda root: make_unreadable(root / "data.csv"), ["data.csv", "cannot be read"]),
    "labels twice": (lambda root: (root / "images" / "data.csv").write_text("x"), ["images/data.csv", "keep one"]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BAD_FOLDERS)
def test_bad_benchmark_folder_is_one_line(mistake: str, root: Path, out: Path):
    spoil, words = BAD_FOLDERS[mistake]
    spoil(root)
    assert_one_line(read_samples(root, out), root, *words)
    assert list(out.iterdir()) == []


#: What is odd about the benchmark's folder, how many images remain, and the line that counts it.
ODDITIES: dict[str, tuple[Spoil, int, str]] = {
    "image without its row": (
        lambda root: Image.new("RGB", (9, 9)).save(root / "images" / "spare.png"),
        8,
        "1 images without a label row: not used (e.g. spare.png)",
    ),
    "row twice": (twice(), 8, f"1 label rows repeated with equal values: kept once (e.g. {BAD})"),
    "row twice, conflicting": (
        twice(mos_quality="0.125"),
        7,
        f"2 label rows of one image name with different values: all excluded: nothing says which is right (e.g. {BAD})",
    ),
    "white space": (cell("prompt", " a corgi "), 8, "1 prompts with white space at an edge: stripped (e.g.  a corgi )"),
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_oddity_is_counted_and_said(oddity: str, root: Path, out: Path):
    spoil, images, counted = ODDITIES[oddity]
    spoil(root)
    done = read_samples(root, out)
    assert done.exit_code == 0, done.output
    first, *others = done.output.splitlines()
    assert first.startswith(f"AGIQA-3K: {images} images, ")
    assert others == [f"  {counted}"]
    frame, card = read_table(out / "samples.parquet")
    assert len(frame) == card["images"] == images
    assert (BAD in frame["image"].tolist()) == (images == 8)
    assert [f"{defect['count']} {defect['what']}" for defect in card["defects"]] == [counted.split(":")[0]]


def test_nothing_odd_is_said_of_good_input(root: Path, out: Path):
    done = read_samples(root, out)
    assert done.output == "AGIQA-3K: 8 images, 4 prompts, 8 label rows\n"
    assert [path.name for path in out.iterdir()] == ["samples.parquet"]


def test_unknown_folder_is_one_line(tmp_path: Path, out: Path):
    assert_one_line(read_samples(tmp_path / "nowhere", out), tmp_path / "nowhere", "AGIQA-3K", "data_root")
    assert list(out.iterdir()) == []


#: What happens to an image, and whether after the samples table was written.
DAMAGE: dict[str, tuple[Callable[[Path], object], bool]] = {
    "truncated": (halve, False),
    "truncated since": (halve, True),
    "emptied since": (lambda path: path.write_bytes(b""), True),
    "a page since": (lambda path: path.write_text("<html>Quota"), True),
    "another image since": (lambda path: Image.new("RGB", (9, 9)).save(path), True),
    "removed since": (Path.unlink, True),
    "unreadable since": (make_unreadable, True),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_image_that_does_not_decode_is_one_line(damage: str, root: Path, out: Path, tmp_path: Path):
    spoil, since = DAMAGE[damage]
    samples = tmp_path / "samples"
    samples.mkdir()
    if not since:
        spoil(root / "images" / BAD)
    assert read_samples(root, samples).exit_code == 0, "the header is whole"
    if since:
        spoil(root / "images" / BAD)
    store = out / "coarse.safetensors"
    table = samples / "samples.parquet"
    done = invoke("extract", *ENCODER, "--samples", table, "--root", root, "--batch-size", 2, "--out", store)
    assert_one_line(done, root / "images" / BAD)
    assert not store.exists()
    kept = sorted(path.name for path in out.rglob("*") if path.is_file())
    assert [name[:6] for name in kept] == ["000000", "000001", "000003"], "to resume from"


def test_every_unreadable_image_is_counted(root: Path, out: Path):
    for name in NAMES[:3]:
        halve(root / "images" / name)
    assert read_samples(root, out).exit_code == 0
    store = out / "coarse.safetensors"
    done = invoke("extract", *ENCODER, "--samples", out / "samples.parquet", "--root", root, "--out", store)
    assert_one_line(done, NAMES[0], "3 such images", NAMES[1])
    assert not store.exists()


def test_prompt_beyond_the_context_is_counted(root: Path, out: Path):
    long = "word " * 100
    cell("prompt", long.strip())(root)
    assert read_samples(root, out).exit_code == 0
    done = invoke("encode-texts", *ENCODER, "--samples", out / "samples.parquet", "--out", out / "prompts.safetensors")
    assert done.exit_code == 0, done.output
    store = load_texts(out / "prompts.safetensors")
    assert store.metadata["truncated"] == [long.strip()]
    row = store.index[long.strip()]
    assert store.offsets[row + 1] - store.offsets[row] == 77


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_root": "nowhere"}, ["data_root", "nowhere", "does not exist"]),
        ({"data_root": "{root}", "benchmarks": ["agiqa-1k"]}, ["agiqa-1k", "when_missing"]),
        ({"benchmarks": ["koniq"]}, ["koniq", "agiqa-3k"]),
        ({"variants": ["clip"]}, ["clip", "mst-clipiqa-star"]),
        ({"protocols": ["random-walk"]}, ["random-walk", "groupedN"]),
        ({"recipes": ["blog_post"]}, ["blog_post.yaml", "no such file"]),
        ({"text_encoder": "middle"}, ["text_encoder", "middle", "coarse"]),
    ],
)
def test_bad_configuration_is_one_line(changes: dict, words: list[str], root: Path, out: Path):
    """A misspelt key is the schema's to find: see test_config.py, and tests/workflow for the real Snakefile."""
    config = read_yaml(REPOSITORY / "config" / "agiqa-3k.yaml") | {"data_root": str(root.parent)} | changes
    config["data_root"] = config["data_root"].format(root=root.parent)
    done = invoke(
        "manifest", "--config", json.dumps(config), "--recipes", REPOSITORY / "config" / "recipes",
        "--results", out, "--out", out / "manifest.json",
    )  # fmt: skip
    assert_one_line(done, *words)
    assert list(out.iterdir()) == []
