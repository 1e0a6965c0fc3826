"""What users get wrong, through the command line: refused in one line, or counted; never half done.

The line that refuses each of `BAD` stands in docs/robustness.md, and is read from there.
"""

import csv
import io
import os
import pickle
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from layouts import LAYOUTS
from openpyxl import load_workbook
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from small_study import SmallStudy

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.cli.main import main
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK
from mstclipiqa.encoders.stores import load_features, load_texts, read_store, write_store
from mstclipiqa.scoring.novelty import DISTANCES

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "robustness.md"
ENCODER = ("--model", "mst-small-32", "--weights", "random:32")
NAMES = [f"{generator}_normal_{i:03d}.jpg" for generator in ("AttnGAN", "DALLE2", "glide", "sd1.5") for i in (0, 1)]
BAD_NAME = NAMES[5]

#: An image of the small study.
FIRST = "AttnGAN_normal_000.jpg"

RESULTS = "study/results/small"

Words = list[object]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


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


@dataclass
class Place:
    """The folder that a command is run in: a benchmark, a configuration, and a study where one is asked for."""

    folder: Path
    small: SmallStudy
    trained: Path

    @property
    def root(self) -> Path:
        """The benchmark's folder as a command line names it."""
        return Path("data/agiqa-3k")

    @property
    def table(self) -> Path:
        return self.root / "data.csv"

    @property
    def image(self) -> Path:
        return self.root / "images" / BAD_NAME

    def samples(self) -> Words:
        return self.reading("agiqa-3k", self.root)

    def reading(self, benchmark: str, root: Path) -> Words:
        return ["samples", benchmark, "--root", root, "--out", "out/samples.parquet"]

    def extracting(self, model: str = "mst-small-32", weights: object = "random:32") -> Words:
        """Extraction of the folder's images, as they are."""
        done = invoke("samples", "agiqa-3k", "--root", self.root, "--out", "samples.parquet")
        assert done.exit_code == 0, done.output
        encoder = ("--encoder", model, weights, "out/coarse.safetensors")
        return ["extract", *encoder, "--samples", "samples.parquet", "--root", self.root, "--batch-size", 2]

    def layout(self, name: str) -> tuple[Path, Words]:
        """A valid folder of one of the layouts, to be spoilt, and the command that reads it."""
        layout = LAYOUTS[name]
        root = Path("data") / layout.benchmark_name
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        layout.make(root)
        return root, self.reading(layout.benchmark_name, root)

    def configured(self, **changes: object) -> Words:
        config = read_yaml("config/agiqa-3k.yaml") | {"data_root": "data"} | changes
        Path("my.yaml").write_text(yaml.safe_dump(config))
        return ["doctor", "--config", "my.yaml"]

    def study(self) -> SmallStudy:
        """A finished study in `study`, to be spoilt."""
        self.small.copy(self.folder / "study")
        return SmallStudy(Path("study"))

    def training(self, **changes: object) -> Words:
        features = Path(RESULTS) / "agiqa-3k"
        options = {
            "samples": features / "samples.parquet",
            "splits": features / "splits.parquet",
            **{name: features / "features" / f"{name}.safetensors" for name in ("coarse", "fine", "prompts")},
            "levels": f"{RESULTS}/levels/slow.safetensors",
            "recipe": "study/config/recipes/slow.yaml",
            "variant": "mst-clipiqa",
            "target": "quality",
            "seed": 0,
            "out": "out/runs.parquet",
            **changes,
        }
        return ["train", *(word for name, value in options.items() for word in (f"--{name}", value))]

    def head(self) -> Path:
        return Path(shutil.copy(self.trained, "head.safetensors"))

    def scoring(self, *words: object) -> Words:
        return ["score", *words, "--out", "out/scores.csv"]


Make = Callable[[Place], Words]


ENTRIES = "Entries"


def entering(change: Callable[[pd.DataFrame], pd.DataFrame], *words: object) -> Make:
    """Scores of every image of the study, changed, and the command that enters them."""

    def make(here: Place) -> Words:
        change(scores_of(here)).to_csv("scores.csv", index=False)
        where = () if "--from" in words else ("--from", RESULTS)
        return [
            "enter",
            "scores.csv",
            "--method",
            "Mine",
            "--benchmark",
            "agiqa-3k",
            *where,
            *words,
            "--out",
            "out/mine",
        ]

    return make


def scores_of(here: Place) -> pd.DataFrame:
    samples, _ = read_table(here.study().results / "agiqa-3k" / "samples.parquet")
    return pd.DataFrame({"image": samples["image"], "prediction": np.arange(len(samples)) % 7 / 4})


def of_grouped(split: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The scores of the test images of the first split by prompt, as of another."""

    def change(scores: pd.DataFrame) -> pd.DataFrame:
        splits, _ = read_table(Path(RESULTS) / "agiqa-3k" / "splits.parquet")
        tested = splits[(splits["protocol"] == "grouped1") & (splits["role"] == "test")]
        return scores[scores["image"].isin(tested["image"])].assign(protocol="grouped2", split=split)

    return change


def other_labels(here: Place) -> Words:
    """An entry, and samples whose labels were edited since."""
    assert invoke(*entering(lambda scores: scores)(here)).exit_code == 0
    Path("out/mine").rename("mine")
    path = Path(RESULTS) / "agiqa-3k" / "samples.parquet"
    samples, card = read_table(path)
    write_table(path, samples.assign(quality=samples["quality"] + 0.01), card)
    splits = path.with_name("splits.parquet")
    return ["admit", "mine", "--samples", path, "--splits", splits, "--out", "out/runs.parquet"]


@dataclass(frozen=True)
class Bad:
    """One bad input: what it is, how it is made (giving the command line), and the exit status."""

    kind: str
    what: str
    make: Make
    code: int = 1


def after(spoil: Callable[[Place], object], command: Callable[[Place], Words]) -> Make:
    """Spoil something, and give the command that is to meet it."""

    def make(here: Place) -> Words:
        spoil(here)
        return command(here)

    return make


# How benchmark folders are spoilt


def cell(column: str, value: str, others: str | None = None) -> Make:
    """One cell in the row of the image BAD_NAME; `others` are those of the other rows."""

    def make(here: Place) -> Words:
        frame = label_rows()
        if others:
            frame[column] = others
        frame.loc[frame["name"] == BAD_NAME, column] = value
        write_labels(here.root, frame)
        return here.samples()

    return make


def rows(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Make:
    def make(here: Place) -> Words:
        write_labels(here.root, edit(label_rows()))
        return here.samples()

    return make


def table(content: bytes | Callable[[bytes], bytes]) -> Make:
    """The label file as bytes, or made of those of a good one."""

    def make(here: Place) -> Words:
        here.table.write_bytes(content if isinstance(content, bytes) else content(here.table.read_bytes()))
        return here.samples()

    return make


def image(write: Callable[[Path], object], command: Callable[[Place], Words] = Place.samples) -> Make:
    return after(lambda here: write(here.image), command)


def image_since(write: Callable[[Path], object]) -> Make:
    """After the samples table was written."""

    def make(here: Place) -> Words:
        command = here.extracting()
        write(here.image)
        return command

    return make


def spoilt(layout: str, file: str, change: Callable[[Path], object]) -> Make:
    """The label files of a layout whose name matches, changed."""

    def make(here: Place) -> Words:
        root, command = here.layout(layout)
        for path in root.glob(file):
            change(path)
        return command

    return make


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def fill_cell(value: object, place: str = "C2") -> Callable[[Path], None]:
    """Write into a cell of a sheet: the first MOS of AGIQA-1K's."""

    def change(path: Path) -> None:
        book = load_workbook(path)
        book.active[place] = value
        book.save(path)

    return change


def add_row(*cells: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        book = load_workbook(path)
        book.active.append(cells)
        book.save(path)

    return change


def lengthen(path: Path) -> None:
    """100,001 rows of one cell."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    rows = b"<row><c t='n'><v>1</v></c></row>" * 100_002  # with the header
    sheet = "xl/worksheets/sheet1.xml"
    members[sheet] = re.sub(rb"(<sheetData>).*(</sheetData>)", rb"\1" + rows + rb"\2", members[sheet], flags=re.S)
    repack(path, members)


def repack(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def zip_bomb(path: Path) -> None:
    """300 MB in 300 kB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/workbook.xml", "w") as member:
        for _ in range(300):
            member.write(bytes(10**6))


def empty_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, without pixels."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT": zlib.compress(b""), b"IEND": b""}
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# How other files are spoilt


def written(path: str, content: str | bytes, command: Callable[[Place], Words]) -> Make:
    """A file of this content, and a command that reads it."""
    return after(lambda _: Path(path).write_bytes(content.encode() if isinstance(content, str) else content), command)


def replaced(path: str, old: str, new: str, command: Callable[[Place], Words]) -> Make:
    def spoil(_: Place) -> None:
        text = Path(path).read_text()
        assert old in text
        Path(path).write_text(text.replace(old, new))

    return after(spoil, command)


def of_study(spoil: Callable[[SmallStudy], object], command: Callable[[Place], Words]) -> Make:
    return after(lambda here: spoil(here.study()), command)


def cut_short(file: str, command: Callable[[Place], Words]) -> Make:
    """A file of the study, of which half is left."""
    return of_study(lambda study: halve(study.results / file), command)


GRID = {"benchmarks": ["agiqa-3k"], "recipes": ["converged"], "variants": ["mlp"]}
TUNED = GRID | {"recipes": ["adapted_all"]}


def config(**changes: object) -> Make:
    return lambda here: here.configured(**changes)


def encoders(**models: str) -> dict[str, dict[str, str]]:
    """The small pair, and what is said otherwise, with drawn weights."""
    named = {"coarse": "mst-small-32", "fine": "mst-small-16"} | models
    return {role: {"model": model, "weights": "random:1"} for role, model in named.items()}


class Evil:
    """What an unpickler would run."""

    def __reduce__(self):
        return os.system, ("touch out/owned",)


def pickle_bomb() -> bytes:
    out = io.BytesIO()
    torch.save({"state_dict": Evil()}, out)
    return out.getvalue()


def weights(path: str, content: bytes | Callable[[Path], object]) -> Make:
    def make(here: Place) -> Words:
        if callable(content):
            content(Path(path))
        else:
            Path(path).write_bytes(content)
        return here.extracting(weights=path)

    return make


def edit_store(change: Callable[[dict, dict], object], name: str = "agiqa-3k/features/coarse") -> Callable:
    """Change tensors and metadata of a feature store in place."""

    def spoil(study: SmallStudy) -> None:
        path = study.results / f"{name}.safetensors"
        tensors, metadata = read_store(path)
        change(tensors, metadata)
        write_store(path, tensors, metadata)

    return spoil


def edit_table(name: str, change: Callable[[pd.DataFrame, dict], object]) -> Callable:
    def spoil(study: SmallStudy) -> None:
        path = study.results / name
        frame, metadata = read_table(path)
        change(frame, metadata)
        write_table(path, frame, metadata)

    return spoil


def split_file(rows: str, header: str = "benchmark,image,split,role\n") -> Make:
    """A published split of the study's benchmark."""

    def make(here: Place) -> Words:
        here.study()
        Path("config/splits").mkdir(exist_ok=True)
        Path("config/splits/mine.csv").write_text(header + rows)
        return splitting(here)

    return make


def importing(lists: dict[str, str]) -> Make:
    """Lists of one entry each, to be imported."""

    def make(here: Place) -> Words:
        here.study()
        Path("theirs").mkdir()
        for name, entry in lists.items():
            Path("theirs", f"{name}.txt").write_text(f"{entry}\n")
        return ["import-split", "theirs", "--samples", f"{RESULTS}/agiqa-3k/samples.parquet", "--name", "mine"]

    return make


def judging(here: Place) -> Words:
    here.study()
    common = ["--claims", "config/claims.yaml", "--paper-tables", "config/paper_tables.csv"]
    common += ["--prior-results", "config/prior_results.csv"]
    return ["claims", "--results", RESULTS, *common, "--out", "out/claims.json"]


def acquiring(here: Place) -> Words:
    return ["acquire", "agiqa-3k", "--data-root", "out/data", "--offline", "--cache", "cache"]


def unpacking(here: Place) -> Words:
    return [*acquiring(here), "--archive", "a.zip"]


def verifying(here: Place) -> Words:
    return ["verify", RESULTS]


def planning(here: Place) -> Words:
    return ["plan", "--config", "my.yaml"]


def recipe(old: str, new: str) -> Make:
    return after(Place.study, replaced("study/config/recipes/slow.yaml", old, new, Place.training))


def tuning(blocks: int, make: Make) -> Make:
    """As `make`, with `slow` and a recipe `tuned` as recipes that train the last blocks of the encoders."""

    def write(here: Place) -> Words:
        folder = here.study().config / "recipes"
        stated = f"  adaptation: {{place: a test, value: {{blocks: {blocks}, rank: null, learning_rate: 0.001}}}}\n"
        text = (folder / "slow.yaml").read_text().replace("values:\n", f"values:\n{stated}")
        for name in ("slow", "tuned"):
            (folder / f"{name}.yaml").write_text(text)
        return make(here)

    return write


def adapting(here: Place, name: str, weights: str = "embedded") -> Words:
    pair = {"coarse": "mst-small-32", "fine": "mst-small-16"}
    models = {f"{role}-model": model for role, model in pair.items()}
    changes = {"root": here.root, "recipe": f"study/config/recipes/{name}.yaml"} | dict.fromkeys(
        (f"{role}-weights" for role in pair), weights
    )
    return ["train-adapted", *here.training(**models, **changes)[1:]]


def sharing(here: Place) -> Words:
    return ["score", "data", "--head", here.head(), "--parts", "out/a", "--shard", 3, 2]


def splitting(here: Place) -> Words:
    samples = f"{RESULTS}/agiqa-3k/samples.parquet"
    return ["split", "--samples", samples, "--protocol", "file-mine", "--out", "out/splits.parquet"]


def checking(here: Place) -> Words:
    return ["check", "--results", RESULTS, "--reference", "reference.csv"]


def prompting(here: Place) -> Words:
    return here.scoring("data", "--head", here.head(), "--prompts", "prompts.csv")


def member(name: str) -> bytes:
    """A zip with a member of this name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, b"hello")
    return out.getvalue()


def spoilt_head(change: Callable[[dict, dict], object]) -> Make:
    """Tensors and card of a trained head, changed."""

    def make(here: Place) -> Words:
        path = here.head()
        tensors, card = read_store(path)
        change(tensors, card)
        write_store(path, tensors, card)
        return here.scoring("data", "--head", path, "--prompt", "a corgi")

    return make


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)

LABELS, IMAGES, CONFIGS, RECIPES, WEIGHTS, STORES, SPLITS, CLAIMS, ARCHIVES, SCORING, LINE = (
    "Label files", "Images", "Configurations", "Recipes", "Weights", "Stores and results", "Published splits",
    "Claims and sources", "Archives", "Scoring", "Command line",
)  # fmt: skip
OFFICIAL, JSON = "aigciqa2023 official", "aigciqa2023 json"

BAD: list[Bad] = [
    Bad(LABELS, "column missing", rows(lambda frame: frame.drop(columns="mos_align"))),
    Bad(LABELS, "column renamed", rows(lambda frame: frame.rename(columns={"mos_quality": "MOS"}))),
    Bad(LABELS, "column twice", rows(lambda frame: pd.concat([frame, frame[["mos_align"]]], axis=1))),
    Bad(LABELS, "no rows", rows(lambda frame: frame[:0])),
    Bad(LABELS, "MOS empty", cell("mos_quality", "")),
    Bad(LABELS, "MOS a word", cell("mos_quality", "good")),
    Bad(LABELS, "MOS with a comma", cell("mos_quality", "2,5")),
    Bad(LABELS, "MOS nan", cell("mos_align", "nan")),
    Bad(LABELS, "MOS infinite", cell("mos_align", "inf")),
    Bad(LABELS, "MOS above the range", cell("mos_quality", "5.01")),
    Bad(LABELS, "MOS below the range", cell("mos_align", "-0.5")),
    Bad(LABELS, "MOS of another scale", rows(lambda frame: frame.assign(mos_quality="0.5"))),
    Bad(LABELS, "MOS divided by 5", cell("mos_quality", "1.0", others="0.5")),
    Bad(LABELS, "SD below 0", cell("std_align", "-0.25")),
    Bad(LABELS, "prompt empty", cell("prompt", "")),
    Bad(LABELS, "prompt blank", cell("prompt", "  ")),
    Bad(LABELS, "prompt of one long word", cell("prompt", "a" * 40_000)),
    Bad(LABELS, "an escape sequence in a name", cell("name", "\x1b[31m.jpg")),
    Bad(LABELS, "image name empty", cell("name", "")),
    Bad(LABELS, "file missing", after(lambda here: here.table.unlink(), Place.samples)),
    Bad(
        LABELS,
        "two files of the name",
        after(lambda here: shutil.copy(here.table, here.root / "images"), Place.samples),
    ),
    Bad(LABELS, "file of no bytes", table(b"")),
    Bad(LABELS, "file in Latin-1", table("name,prompt\na.jpg,caf\u00e9".encode("latin-1"))),
    Bad(LABELS, "file in UTF-16", table(lambda content: content.decode().encode("utf-16"))),
    Bad(LABELS, "NUL bytes", table(lambda content: content.replace(b"1.5", b"1\0.5"))),
    Bad(LABELS, "a web page", table(b"<!DOCTYPE html><html>Too many users</html>")),
    Bad(LABELS, "a row longer than the header", table(lambda content: content + b"a,b,c,d,e,f,g,h,i,j,k,l\n")),
    Bad(LABELS, "a quote that does not end", table(lambda content: content.replace(b"a corgi", b'"a corgi', 1))),
    Bad(LABELS, "100,001 rows", rows(lambda frame: frame.loc[frame.index.repeat(12501)][:100_001])),
    Bad(LABELS, "a million columns", table(b"name," * 10**6)),
    Bad(LABELS, "far too large", after(lambda here: os.truncate(here.table, 2**29), Place.samples)),
    Bad(LABELS, "spreadsheet cut short", spoilt("agiqa-1k", "AIGC_MOS_Zscore.xlsx", halve)),
    Bad(LABELS, "spreadsheet that is another zip", spoilt("agiqa-1k", "AIGC_MOS_Zscore.xlsx", empty_zip)),
    Bad(LABELS, "spreadsheet that is a zip bomb", spoilt("agiqa-1k", "AIGC_MOS_Zscore.xlsx", zip_bomb)),
    Bad(LABELS, "spreadsheet with a value far out", spoilt("agiqa-1k", "AIGC_MOS_Zscore.xlsx", fill_cell(1, "XFD2"))),
    Bad(LABELS, "spreadsheet of 100,001 rows", spoilt("agiqa-1k", "AIGC_MOS_Zscore.xlsx", lengthen)),
    Bad(LABELS, "spreadsheet with a column twice", spoilt("agiqa-1k", "AIGC_MOS_Zscore.xlsx", fill_cell("MOS", "F1"))),
    Bad(LABELS, "formula without its value", spoilt("agiqa-1k", "AIGC_MOS_Zscore.xlsx", fill_cell("=1+1"))),
    Bad(LABELS, "error value in a cell", spoilt("agiqa-1k", "AIGC_MOS_Zscore.xlsx", fill_cell("#DIV/0!"))),
    Bad(LABELS, "MATLAB file cut short", spoilt(OFFICIAL, "mosz1.mat", halve)),
    Bad(
        LABELS,
        "MATLAB file of another variable",
        spoilt(OFFICIAL, "mosz1.mat", lambda path: savemat(path, {"MOS": [1.0]})),
    ),
    Bad(
        LABELS,
        "MATLAB file of another shape",
        spoilt(OFFICIAL, "mosz1.mat", lambda path: savemat(path, {"MOSz": np.ones((8, 3))})),
    ),
    Bad(
        LABELS,
        "MATLAB file of text",
        spoilt(OFFICIAL, "mosz1.mat", lambda path: savemat(path, {"MOSz": list("abcdefgh")})),
    ),
    Bad(
        LABELS,
        "MATLAB file with NaN",
        spoilt(OFFICIAL, "mosz1.mat", lambda path: savemat(path, {"MOSz": [np.nan] * 8})),
    ),
    Bad(LABELS, "a MATLAB file missing", spoilt(OFFICIAL, "mosz2.mat", Path.unlink)),
    Bad(LABELS, "index sheet missing", spoilt(OFFICIAL, "pic-index.xlsx", Path.unlink)),
    Bad(LABELS, "prompts with a row too many", spoilt(OFFICIAL, "AIGCIQA2023_Prompts.xlsx", add_row("a", "b", "more"))),
    Bad(LABELS, "JSON cut short", spoilt(JSON, "AIGIQA2023.json", halve)),
    Bad(
        LABELS,
        "JSON of another shape",
        spoilt(JSON, "AIGIQA2023.json", lambda path: path.write_text('{"a": {"b": 1}}')),
    ),
    Bad(
        LABELS,
        "half a surrogate pair in JSON",
        spoilt(JSON, "AIGIQA2023.json", lambda path: path.write_text(path.read_text().replace("a corgi", r"\ud83d"))),
    ),
    Bad(
        LABELS,
        "a key twice in JSON",
        spoilt(JSON, "AIGIQA2023.json", lambda path: path.write_text('[{"img": 1, "img": 2}]')),
    ),
    Bad(LABELS, "JSON nested without end", spoilt(JSON, "AIGIQA2023.json", lambda path: path.write_text("[" * 10**5))),
    Bad(LABELS, "one part of two", spoilt("pku-aigiqa-4k parts", "t2i_part*.csv", Path.unlink)),
    Bad(LABELS, "folder missing", after(lambda here: shutil.rmtree(here.root), Place.samples)),
    Bad(IMAGES, "none for a label row", image(Path.unlink)),
    Bad(
        IMAGES,
        "two of one name",
        after(lambda here: Image.new("RGB", (9, 9)).save(here.root / BAD_NAME), Place.samples),
    ),
    Bad(IMAGES, "no bytes", image(lambda path: path.write_bytes(b""))),
    Bad(IMAGES, "a web page", image(lambda path: path.write_text("<html>Quota"))),
    Bad(IMAGES, "16 bits of grey", image(lambda path: Image.new("I;16", (30, 30)).save(path, "PNG"))),
    Bad(IMAGES, "absurd dimensions", image(lambda path: path.write_bytes(png_header(60_000, 60_000)))),
    Bad(IMAGES, "large dimensions", image(lambda path: path.write_bytes(png_header(12_000, 12_000)))),
    Bad(IMAGES, "thin", image(lambda path: Image.new("L", (1, 20_000)).save(path, "PNG"))),
    Bad(IMAGES, "EPS", image(lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"))),
    Bad(IMAGES, "cut short", image(halve, Place.extracting)),
    Bad(IMAGES, "header without pixels", image(lambda path: path.write_bytes(png_header(30, 30)), Place.extracting)),
    Bad(IMAGES, "changed since", image_since(lambda path: Image.new("RGB", (9, 9)).save(path))),
    Bad(IMAGES, "removed since", image_since(Path.unlink)),
    Bad(CONFIGS, "key misspelt", config(recipies=["main_text"])),
    Bad(CONFIGS, "value of another type", config(seeds="zero")),
    Bad(CONFIGS, "unknown benchmark", config(benchmarks=["koniq"])),
    Bad(CONFIGS, "unknown protocol", config(protocols=["random-walk"])),
    Bad(CONFIGS, "unknown recipe", config(recipes=["blog_post"])),
    Bad(CONFIGS, "unknown variant", config(variants=["clip"])),
    Bad(CONFIGS, "translations from nowhere", config(translations={"agiqa-3k": "nowhere.csv"})),
    Bad(CONFIGS, "translated prompts without a file", config(variants=["star-translated"])),
    Bad(CONFIGS, "main grid of another benchmark", config(main=["agiqa-1k"])),
    Bad(CONFIGS, "protocol of a grid alone", config(also=[GRID | {"protocols": ["random1"]}])),
    Bad(CONFIGS, "dissection of an unknown recipe", config(dissect=["appendix"])),
    Bad(CONFIGS, "dissection of other features", config(dissect=["appendix"], recipes=["appendix"])),
    Bad(CONFIGS, "dissection without groups", config(dissect=["converged"], protocols=["lab-seed1"])),
    Bad(
        CONFIGS,
        "dissection without level texts",
        config(
            encoders=encoders(coarse="timm:resnet18", text="ViT-B-32"),
            text_encoder="text",
            variants=["star-no-prompt"],
            dissect=["converged"],
        ),
    ),
    Bad(CONFIGS, "dissection of trained encoders", config(dissect=["adapted_all"], also=[TUNED])),
    Bad(CONFIGS, "encoders trained in the main grid", config(recipes=["converged", "adapted_all"])),
    Bad(CONFIGS, "encoders trained from a pack", config(also=[TUNED], packs={"agiqa-3k": "shipped"})),
    Bad(
        CONFIGS,
        "encoder that is not trained",
        config(
            encoders=encoders(coarse="timm:resnet18", text="ViT-B-32"),
            text_encoder="text",
            variants=["star-no-prompt"],
            also=[TUNED | {"variants": ["star-no-prompt"]}],
        ),
    ),
    Bad(CONFIGS, "unknown encoder", config(text_encoder="middle")),
    Bad(CONFIGS, "texts by a backbone", config(encoders=encoders(coarse="timm:resnet18"))),
    Bad(CONFIGS, "streams of two sizes", config(encoders=encoders(coarse="ViT-B-32"))),
    Bad(CONFIGS, "encoder that is no stream", config(encoders=encoders(third="mst-small-16"))),
    Bad(CONFIGS, "stream that is no encoder", config(streams=["coarse", "third"])),
    Bad(CONFIGS, "another stream first", config(streams=["fine", "coarse"])),
    Bad(
        CONFIGS,
        "more streams than are trained",
        config(streams=["coarse", "fine", "retokenised"], also=[TUNED | {"variants": ["streams-gate"]}]),
    ),
    Bad(
        CONFIGS,
        "level texts without a text tower",
        config(encoders=encoders(coarse="timm:resnet18", text="ViT-B-32"), text_encoder="text"),
    ),
    Bad(CONFIGS, "level texts of another size", config(encoders=encoders(text="ViT-B-32"), text_encoder="text")),
    Bad(CONFIGS, "shard beyond the last", lambda here: [*here.extracting(), "--shard", 3, 2]),
    Bad(CONFIGS, "unknown open_clip model", lambda here: here.extracting("ViT-Z", "openai")),
    Bad(CONFIGS, "unknown timm model", lambda here: here.extracting("timm:vit", "random:1")),
    Bad(CONFIGS, "folder without a model", lambda here: here.extracting("local-dir:data", "random:1")),
    Bad(CONFIGS, "unknown weights", lambda here: here.extracting(weights="openai")),
    Bad(CONFIGS, "weights of another activation", lambda here: here.extracting("ViT-B-32", "openai")),
    Bad(CONFIGS, "data_root missing", after(config(data_root="nowhere"), planning)),
    Bad(CONFIGS, "benchmark missing", after(config(benchmarks=["agiqa-1k"]), planning)),
    Bad(CONFIGS, "no YAML", written("my.yaml", "suite: [", planning)),
    Bad(CONFIGS, "not UTF-8", written("my.yaml", b"suite: caf\xe9", planning)),
    Bad(CONFIGS, "control characters", written("my.yaml", b"suite: \x00", planning)),
    Bad(CONFIGS, "a list", written("my.yaml", "- suite", planning)),
    Bad(CONFIGS, "empty", written("my.yaml", "", planning)),
    Bad(CONFIGS, "key twice", written("my.yaml", "suite: a\nsuite: b\n", planning)),
    Bad(CONFIGS, "aliases of aliases", written("my.yaml", ALIASES, planning)),
    Bad(CONFIGS, "a date that is none", written("my.yaml", "suite: 2026-13-45\n", planning)),
    Bad(CONFIGS, "more than a MB", written("my.yaml", "#" * 2**21, planning)),
    Bad(CONFIGS, "nested without end", written("my.yaml", "[" * 10_000, planning)),
    Bad(RECIPES, "value misspelt", recipe("epochs:", "epoch:")),
    Bad(RECIPES, "key misspelt", recipe("place:", "plaec:")),
    Bad(RECIPES, "number that YAML reads as text", recipe("value: 0.0002", "value: 2e-4")),
    Bad(RECIPES, "number out of range", recipe("value: 0.0002", "value: -1")),
    Bad(RECIPES, "not a number", recipe("value: 0.0002", "value: .nan")),
    Bad(RECIPES, "encoders to train, from features", tuning(1, Place.training)),
    Bad(RECIPES, "frozen encoders to train", after(Place.study, lambda here: adapting(here, "slow"))),
    Bad(RECIPES, "more blocks than an encoder has", tuning(9, lambda here: adapting(here, "tuned"))),
    Bad(RECIPES, "other encoders than of the features", tuning(1, lambda here: adapting(here, "tuned", "random:1"))),
    Bad(RECIPES, "diverging", recipe("value: 0.0002", "value: 1.0e+30")),
    Bad(
        RECIPES,
        "released one missing",
        of_study(lambda study: (study.config / "recipes" / "released_code.yaml").unlink(), Place.training),
    ),
    Bad(
        WEIGHTS,
        "safetensors cut short",
        weights("a.safetensors", lambda path: (save_file({"a": torch.ones(9)}, path), halve(path))),
    ),
    Bad(
        WEIGHTS,
        "safetensors of another architecture",
        weights("a.safetensors", lambda path: save_file({"a": torch.ones(9)}, path)),
    ),
    Bad(WEIGHTS, "a web page", weights("a.pt", b"<html>Quota")),
    Bad(WEIGHTS, "no bytes", weights("a.pt", b"")),
    Bad(WEIGHTS, "pickle with code", weights("a.pt", pickle_bomb())),
    Bad(WEIGHTS, "bare pickle with code", weights("a.pt", pickle.dumps(Evil()))),
    Bad(WEIGHTS, "a list", weights("a.pt", lambda path: torch.save([1, 2], path))),
    Bad(WEIGHTS, "a folder", lambda here: here.extracting(weights="config")),
    Bad(STORES, "cut short", cut_short("agiqa-3k/features/coarse.safetensors", Place.training)),
    Bad(
        STORES,
        "no bytes",
        of_study(
            lambda study: (study.results / "agiqa-3k/features/coarse.safetensors").write_bytes(b""), Place.training
        ),
    ),
    Bad(
        STORES,
        "of other images",
        of_study(edit_store(lambda tensors, metadata: metadata["images"].reverse()), Place.training),
    ),
    Bad(
        STORES,
        "fewer features than images",
        of_study(edit_store(lambda tensors, _: tensors.update(features=tensors["features"][:5])), Place.training),
    ),
    Bad(
        STORES,
        "features that are not finite",
        of_study(edit_store(lambda tensors, _: tensors["features"].fill(np.nan)), Place.training),
    ),
    Bad(
        STORES,
        "metadata of another shape",
        of_study(edit_store(lambda _, metadata: metadata.pop("sha256")), Place.training),
    ),
    Bad(
        STORES,
        "texts for images",
        after(Place.study, lambda here: here.training(coarse=f"{RESULTS}/agiqa-3k/features/prompts.safetensors")),
    ),
    Bad(
        STORES,
        "a prompt not encoded",
        of_study(
            edit_store(lambda _, metadata: metadata["texts"].__setitem__(0, "other"), "agiqa-3k/features/prompts"),
            Place.training,
        ),
    ),
    Bad(
        STORES,
        "offsets of tokens out of order",
        of_study(
            edit_store(lambda tensors, _: tensors["offsets"].__imul__(-1), "agiqa-3k/features/prompts"), Place.training
        ),
    ),
    Bad(STORES, "samples cut short", cut_short("agiqa-3k/samples.parquet", Place.training)),
    Bad(
        STORES,
        "splits for samples",
        after(Place.study, lambda here: here.training(samples=f"{RESULTS}/agiqa-3k/splits.parquet")),
    ),
    Bad(
        STORES,
        "split of other images",
        of_study(
            edit_table("agiqa-3k/splits.parquet", lambda frame, _: frame.__setitem__("image", "x" + frame["image"])),
            Place.training,
        ),
    ),
    Bad(
        STORES,
        "predictions edited",
        of_study(
            edit_table(
                "agiqa-3k/runs/quality/slow/mst-clipiqa.parquet",
                lambda frame, _: frame.__setitem__("prediction", -frame["prediction"]),
            ),
            verifying,
        ),
    ),
    Bad(STORES, "no manifest", of_study(lambda study: (study.results / "manifest.json").unlink(), verifying)),
    Bad(STORES, "manifest no JSON", cut_short("manifest.json", verifying)),
    Bad(
        STORES,
        "no predictions at all",
        after(
            Place.study,
            lambda here: ["evaluate", f"{RESULTS}/agiqa-3k/samples.parquet", "--results", RESULTS, "--out", "out/a"],
        ),
    ),
    Bad(SPLITS, "file missing", after(Place.study, splitting)),
    Bad(SPLITS, "column missing", split_file("", header="image,split,role\n")),
    Bad(SPLITS, "benchmark misspelt", split_file("AGIQA-3K,AttnGAN_normal_000.jpg,0,test\n")),
    Bad(SPLITS, "no row of the benchmark", split_file("agiqa-1k,a.jpg,0,test\n")),
    Bad(SPLITS, "unknown image", split_file("agiqa-3k,a.jpg,0,test\n")),
    Bad(SPLITS, "unknown role", split_file("agiqa-3k,AttnGAN_normal_000.jpg,0,exam\n")),
    Bad(SPLITS, "an image twice", split_file("agiqa-3k,AttnGAN_normal_000.jpg,0,test\n" * 2)),
    Bad(SPLITS, "no image to train on", split_file("agiqa-3k,AttnGAN_normal_000.jpg,0,test\n")),
    Bad(SPLITS, "numbered from 1", split_file("agiqa-3k,AttnGAN_normal_000.jpg,1,test\n")),
    Bad(SPLITS, "number a word", split_file("agiqa-3k,AttnGAN_normal_000.jpg,one,test\n")),
    Bad(SPLITS, "lists to import with an unknown image", importing({"train": NAMES[0], "test": f"{NAMES[1]}\na.jpg"})),
    Bad(SPLITS, "lists to import without test images", importing({"train": NAMES[0]})),
    Bad(SPLITS, "lists to import without a role", importing({"fold1": NAMES[0]})),
    Bad(SPLITS, "rows to import from 0 or from 1", importing({"train": "1", "test": "2"})),
    Bad(SPLITS, "folder to import without lists", importing({})),
    Bad(SPLITS, "a row too long", split_file("agiqa-3k,AttnGAN_normal_000.jpg,0,test,more\n")),
    Bad(CLAIMS, "claims.yaml misspelt", replaced("config/claims.yaml", "like_for_like:", "like_to_like:", judging)),
    Bad(
        CLAIMS,
        "claims.yaml with an unknown variant",
        replaced("config/claims.yaml", "mst-clipiqa-star", "mst-clipiqa-moon", judging),
    ),
    Bad(CLAIMS, "claims.yaml no YAML", written("config/claims.yaml", "a: b: c", judging)),
    Bad(CLAIMS, "paper_tables.csv without a column", replaced("config/paper_tables.csv", "value", "number", judging)),
    Bad(
        CLAIMS,
        "paper_tables.csv with a word for a number",
        written("config/paper_tables.csv", "table,method,benchmark,target,metric,value\nI,a,b,c,d,high\n", judging),
    ),
    Bad(
        CLAIMS,
        "paper_tables.csv without rows",
        written("config/paper_tables.csv", "table,method,benchmark,target,metric,value\n", judging),
    ),
    Bad(
        CLAIMS,
        "prior_results.csv with a word for a number",
        replaced("config/prior_results.csv", "0.8200,0.8578", "high,0.8578", judging),
    ),
    Bad(
        CLAIMS, "prior_results.csv without a column", replaced("config/prior_results.csv", "standing", "rank", judging)
    ),
    Bad(
        CLAIMS, "sources.yaml misspelt", replaced("config/sources.yaml", "licence: MIT\n", "license: MIT\n", acquiring)
    ),
    Bad(CLAIMS, "reference missing", after(Place.study, checking)),
    Bad(CLAIMS, "reference no table", after(Place.study, written("reference.csv", "hello", checking))),
    Bad(ARCHIVES, "a web page", written("a.zip", "<!doctype html>Quota", unpacking)),
    Bad(ARCHIVES, "no bytes", written("a.zip", "", unpacking)),
    Bad(ARCHIVES, "cut short", after(lambda _: Path("a.zip").write_bytes(member("a.jpg")[:50]), unpacking)),
    Bad(ARCHIVES, "a name that leads out", written("a.zip", member("../a.jpg"), unpacking)),
    Bad(ARCHIVES, "labels other than published", written("a.zip", member("data.csv"), unpacking)),
    Bad(ARCHIVES, "drawn data", written("a.zip", member("agiqa-3k/SYNTHETIC.md"), unpacking)),
    Bad(ARCHIVES, "7z", written("a.zip", b"7z\xbc\xaf\x27\x1c\x00\x04", unpacking)),
    Bad(ARCHIVES, "bundle that is none", written("a.zip", member("a.jpg"), lambda here: ["verify", "a.zip"])),
    Bad(
        SCORING,
        "head that is none",
        written("head.safetensors", "hello", lambda here: here.scoring("data", "--head", "head.safetensors")),
    ),
    Bad(
        SCORING,
        "features for a head",
        after(
            Place.study, lambda here: here.scoring("data", "--head", f"{RESULTS}/agiqa-3k/features/coarse.safetensors")
        ),
    ),
    Bad(SCORING, "head of an unknown variant", spoilt_head(lambda _, card: card.update(variant="clip"))),
    Bad(SCORING, "head of other sizes", spoilt_head(lambda _, card: card["recipe"].update(gate_hidden=3))),
    Bad(SCORING, "head without a weight", spoilt_head(lambda tensors, _: tensors.pop("head.alpha"))),
    Bad(SCORING, "head with half of its training features", spoilt_head(lambda tensors, _: tensors.pop(DISTANCES))),
    Bad(
        SCORING,
        "released checkpoint with code",
        written("a.pth", pickle_bomb(), lambda here: here.scoring("data", "--released", "a.pth")),
    ),
    Bad(SCORING, "no head", lambda here: here.scoring("data")),
    Bad(SCORING, "no such image", lambda here: here.scoring("nowhere.png", "--head", here.head())),
    Bad(SCORING, "no image in the folder", lambda here: here.scoring("config", "--head", here.head())),
    Bad(
        SCORING,
        "an image cut short",
        image(halve, lambda here: ["score", here.image, "--head", here.head(), "--prompt", "a corgi"]),
    ),
    Bad(SCORING, "no prompt", lambda here: here.scoring("data", "--head", here.head())),
    Bad(SCORING, "prompts without a column", written("prompts.csv", "a,b\n", prompting)),
    Bad(SCORING, "an image twice in the prompts", written("prompts.csv", "image,prompt\na,b\na,c\n", prompting)),
    Bad(SCORING, "prompts of no bytes", written("prompts.csv", "", prompting)),
    Bad(SCORING, "weights without a model", lambda here: here.scoring("data", "--weights", "a.pt")),
    Bad(
        SCORING,
        "any number of images, none there",
        lambda here: ["score", "config", "--head", here.head(), "--parts", "out/a"],
    ),
    Bad(
        SCORING,
        "parts into a folder of other files",
        lambda here: ["score", "data", "--head", here.head(), "--parts", "config"],
    ),
    Bad(
        SCORING,
        "a list without a column",
        written("a.csv", "path\na.png\n", lambda here: ["score", "a.csv", "--head", here.head(), "--parts", "out/a"]),
    ),
    Bad(SCORING, "a share beyond the last", sharing),
    Bad(SCORING, "scores of another format", lambda here: ["score", "data", "--out", "out/scores.xlsx"]),
    Bad(LINE, "unknown verb", lambda here: ["trian"], code=2),
    Bad(LINE, "option missing", lambda here: ["samples", "agiqa-3k", "--root", "data"], code=2),
    Bad(LINE, "file missing", lambda here: ["plan", "--config", "nowhere.yaml"], code=2),
    Bad(LINE, "folder for a file", lambda here: ["plan", "--config", "data"], code=2),
    Bad(LINE, "file for a folder", lambda here: ["claims", "--results", here.table, "--out", "out/a"], code=2),
    Bad(LINE, "unknown benchmark", lambda here: here.reading("koniq", here.root)),
    Bad(LINE, "seed out of range", lambda here: ["draw", "agiqa-3k", "--root", "out/a", "--seed", -1], code=2),
    Bad(LINE, "scale out of range", lambda here: ["draw", "agiqa-3k", "--root", "out/a", "--scale", 0]),
    Bad(LINE, "drawing over other files", lambda here: ["draw", "agiqa-3k", "--root", "config"]),
    Bad(LINE, "output that is a folder", lambda here: ["samples", "agiqa-3k", "--root", here.root, "--out", "config"]),
    Bad(
        LINE,
        "output below a file",
        lambda here: ["samples", "agiqa-3k", "--root", here.root, "--out", here.table / "a"],
    ),
    Bad(
        LINE,
        "configuration no JSON",
        lambda here: ["manifest", "--config", "suite: a", "--results", "data", "--out", "out/a"],
    ),
    Bad(
        LINE,
        "tf32 on a CPU",
        lambda here: [*here.extracting(), "--precision", "tf32", "--device", "cpu"],
    ),
    Bad(
        LINE,
        "template without a place",
        lambda here: ["encode-texts", *ENCODER, "--template", "a photo", "--out", "out/a"],
    ),
    Bad(ENTRIES, "image missing", entering(lambda scores: scores.iloc[1:])),
    Bad(ENTRIES, "image twice", entering(lambda scores: pd.concat([scores, scores.iloc[:1]]))),
    Bad(ENTRIES, "image unknown", entering(lambda scores: scores.replace({"image": {FIRST: "mine.png"}}))),
    Bad(ENTRIES, "prediction nan", entering(lambda scores: scores.assign(prediction="nan"))),
    Bad(ENTRIES, "prediction infinite", entering(lambda scores: scores.assign(prediction="inf"))),
    Bad(ENTRIES, "prediction far out", entering(lambda scores: scores.assign(prediction=scores.index * 1e300 + 1.0))),
    Bad(ENTRIES, "predictions all equal", entering(lambda scores: scores.assign(prediction=0.5))),
    Bad(ENTRIES, "column misspelt", entering(lambda scores: scores.rename(columns={"prediction": "score"}))),
    Bad(ENTRIES, "column twice", entering(lambda scores: pd.concat([scores, scores[["prediction"]] * 2], axis=1))),
    Bad(ENTRIES, "protocol without a split", entering(lambda scores: scores.assign(protocol="grouped1"))),
    Bad(ENTRIES, "protocol misspelt", entering(lambda scores: scores.assign(protocol="group1", split=0))),
    Bad(ENTRIES, "split that is none", entering(of_grouped(split=4))),
    Bad(ENTRIES, "test images of another split", entering(of_grouped(split=1))),
    Bad(ENTRIES, "training images", entering(lambda scores: scores.assign(protocol="grouped2", split=0))),
    Bad(ENTRIES, "test image missing", entering(lambda scores: of_grouped(split=0)(scores).iloc[1:])),
    Bad(ENTRIES, "split without a protocol", entering(lambda scores: scores, "--split", 0)),
    Bad(ENTRIES, "benchmark that is not at hand", entering(lambda scores: scores, "--from", "nowhere")),
    Bad(ENTRIES, "target that is not rated", entering(lambda scores: scores, "--target", "authenticity")),
    Bad(ENTRIES, "called as a variant", entering(lambda scores: scores, "--name", "mst-clipiqa")),
    Bad(ENTRIES, "other labels", other_labels),
    Bad(ENTRIES, "entry that is none", lambda here: ["board", "data", "--out", "out/board"]),
    Bad(ENTRIES, "configured and none", config(entries=["nowhere"])),
]


@pytest.fixture(scope="module")
def trained(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained head of quality that reads the prompt."""
    out = tmp_path_factory.mktemp("trained") / "head.safetensors"
    done = invoke(
        "train-head", "agiqa-3k", "--results", small_study.results, "--out", out, "--protocol", "lab-seed1",
        "--recipe", small_study.config / "recipes" / "slow.yaml", "--variant", "mst-clipiqa-star",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture
def here(tmp_path: Path, small_study: SmallStudy, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path, small_study, trained)
    monkeypatch.chdir(tmp_path)
    (place.root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(place.root / "images" / name)
    write_labels(place.root, label_rows())
    (place.root / SYNTHETIC_MARK).touch()  # eight rows are not the published labels
    shutil.copytree(REPOSITORY / "config", "config")
    Path("out").mkdir()
    return place


def listed() -> dict[tuple[str, str], str]:
    """The lines of docs/robustness.md, by kind and what is bad. In them, `…` stands for anything."""
    found, kind = {}, ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 2 and cells[1] == "refused with":
            kind = cells[0]
        elif len(cells) == 2 and kind and not set(cells[0]) <= {"-"}:
            found[kind, cells[0]] = re.sub(r"\\([|*<\\])", r"\1", cells[1])
        elif not cells:
            kind = ""
    return found


def test_the_page_lists_what_is_tried_here():
    assert list(listed()) == [(bad.kind, bad.what) for bad in BAD]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.kind}: {bad.what}")
def test_bad_input_is_refused_in_its_line(bad: Bad, here: Place):
    command = bad.make(here)
    before = contents(here.folder)
    done = invoke(*command)
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == bad.code and "Traceback" not in done.output
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == lines[-1:], done.stderr
    said = lines[-1].removeprefix("Error: ").replace(f"{here.folder}/", "")
    assert re.fullmatch(".+".join(map(re.escape, listed()[bad.kind, bad.what].split("…"))), said), said
    assert contents(here.folder) == before


def contents(folder: Path) -> dict[str, bytes | int]:
    """What lies in a folder, without parts to resume from: the bytes, or of a large file their number."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes() if path.stat().st_size < 2**24 else path.stat().st_size
        for name, path in files.items()
        if ".parts/" not in name
    }


def twice(**changes: str) -> Make:
    """The row of the image BAD_NAME, repeated with other values at the end."""
    return rows(lambda frame: pd.concat([frame, frame[frame["name"] == BAD_NAME].assign(**changes)]))


def animated(path: Path) -> None:
    first, *others = (Image.new("RGB", (9, 9), (shade, 0, 0)) for shade in (0, 100, 200))
    first.save(path, "PNG", save_all=True, append_images=others)


def see_through(path: Path) -> None:
    Image.new("P", (9, 9)).save(path, "PNG", transparency=0)


def rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (9, 7)).save(path, "JPEG", exif=exif)


CONVERTED = "converted to RGB, transparency is dropped"

#: What is odd about the benchmark's folder, how many images remain, and the line that counts it.
ODDITIES: dict[str, tuple[Make, int, str]] = {
    "image without its row": (
        after(lambda here: Image.new("RGB", (9, 9)).save(here.root / "images" / "spare.png"), Place.samples),
        8,
        "1 images without a label row: not used (e.g. spare.png)",
    ),
    "row twice": (twice(), 8, f"1 label rows repeated with equal values: kept once (e.g. {BAD_NAME})"),
    "row twice, conflicting": (
        twice(mos_quality="0.125"),
        7,
        "2 label rows of one image name with different values: all excluded: nothing says which is right "
        f"(e.g. {BAD_NAME})",
    ),
    "white space": (cell("prompt", " a corgi "), 8, "1 prompts with white space at an edge: stripped (e.g.  a corgi )"),
    "animated image": (image(animated), 8, f"1 images of several frames: the first is used (e.g. {BAD_NAME})"),
    "grey image": (
        image(lambda path: Image.new("L", (9, 9)).save(path)), 8, f"1 images of mode L: {CONVERTED} (e.g. {BAD_NAME})"
    ),
    "CMYK image": (
        image(lambda path: Image.new("CMYK", (9, 9)).save(path)),
        8,
        f"1 images of mode CMYK: {CONVERTED} (e.g. {BAD_NAME})",
    ),
    "palette with transparency": (image(see_through), 8, f"1 images of mode P: {CONVERTED} (e.g. {BAD_NAME})"),
    "image to be turned": (image(rotated), 8, f"1 images marked to be turned: not turned (e.g. {BAD_NAME})"),
}  # fmt: skip


@pytest.mark.parametrize("oddity", ODDITIES)
def test_oddity_is_counted_and_said(oddity: str, here: Place):
    make, images, counted = ODDITIES[oddity]
    done = invoke(*make(here))
    assert done.exit_code == 0, done.output
    first, *others = done.output.splitlines()
    assert first.startswith(f"AGIQA-3K: {images} images, ")
    assert others == [f"  {counted}"]
    frame, card = read_table("out/samples.parquet")
    assert len(frame) == card["images"] == images
    assert (BAD_NAME in frame["image"].tolist()) == (images == 8)
    assert [f"{defect['count']} {defect['what']}" for defect in card["defects"]] == [counted.split(":")[0]]
    done = invoke(*here.extracting())
    assert done.exit_code == 0, done.output
    assert len(load_features("out/coarse.safetensors").features) == images


def test_marked_image_is_not_turned(here: Place):
    """As the released code's loader reads it; its size is the stored one."""
    rotated(here.image)
    assert invoke(*here.samples()).exit_code == 0
    frame, _ = read_table("out/samples.parquet")
    row = frame.set_index("image").loc[BAD_NAME]
    assert (row["width"], row["height"]) == (9, 7)


def test_formula_with_its_value_is_a_number(here: Place):
    """As a spreadsheet program saves it: openpyxl writes the formula alone."""
    root, command = here.layout("agiqa-1k")
    path = root / "AIGC_MOS_Zscore.xlsx"
    fill_cell("=1+1")(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    assert b"<v></v>" in members[sheet] or b"<v />" in members[sheet] or b"<v/>" in members[sheet]
    members[sheet] = re.sub(rb"<v></v>|<v ?/>", b"<v>2</v>", members[sheet])
    repack(path, members)
    done = invoke(*command)
    assert done.exit_code == 0, done.output
    assert read_table("out/samples.parquet")[0]["quality"].iloc[0] == 2


def test_nothing_odd_is_said_of_good_input(here: Place):
    done = invoke(*here.samples())
    assert done.output == "AGIQA-3K: 8 images, 4 prompts, 8 label rows\n"
    assert [path.name for path in Path("out").iterdir()] == ["samples.parquet"]


#: What happens to an image, and whether after the samples table was written.
DAMAGE: dict[str, tuple[Callable[[Path], object], bool]] = {
    "truncated": (halve, False),
    "truncated since": (halve, True),
    "emptied since": (lambda path: path.write_bytes(b""), True),
    "a page since": (lambda path: path.write_text("<html>Quota"), True),
    "another image since": (lambda path: Image.new("RGB", (9, 9)).save(path), True),
    "removed since": (Path.unlink, True),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_extraction_that_meets_a_bad_image_keeps_the_other_batches(damage: str, here: Place):
    spoil, since = DAMAGE[damage]
    make = image_since(spoil) if since else image(spoil, Place.extracting)
    done = invoke(*make(here))
    assert done.exit_code == 1 and str(here.image) in done.stderr.splitlines()[-1]
    kept = sorted(path.name for path in Path("out").rglob("*") if path.is_file())
    assert [name[:6] for name in kept] == ["000000", "000001", "000003"], "to resume from"


def test_every_unreadable_image_is_counted(here: Place):
    for name in NAMES[:3]:
        halve(here.root / "images" / name)
    done = invoke(*here.extracting())
    last = done.stderr.splitlines()[-1]
    assert done.exit_code == 1 and all(word in last for word in (NAMES[0], "3 such images", NAMES[1]))
    assert not Path("out/coarse.safetensors").exists()


def test_weights_with_code_are_not_run(here: Place):
    for content in (pickle_bomb(), pickle.dumps(Evil())):
        assert invoke(*weights("a.pt", content)(here)).exit_code == 1
        Path("a.pth").write_bytes(content)
        assert invoke(*here.scoring("data", "--released", "a.pth")).exit_code == 1
    assert list(Path("out").iterdir()) == []


def test_prompt_beyond_the_context_is_counted(here: Place):
    long = "word " * 100
    assert invoke(*cell("prompt", long.strip())(here)).exit_code == 0
    out = Path("out/prompts.safetensors")
    done = invoke("encode-texts", *ENCODER, "--samples", "out/samples.parquet", "--out", out)
    assert done.exit_code == 0, done.output
    store = load_texts(out)
    assert store.metadata["truncated"] == [long.strip()]
    row = store.index[long.strip()]
    assert store.offsets[row + 1] - store.offsets[row] == 77
