"""What a benchmark is, and the checks that every one of them passes on its way into the samples table."""

import contextlib
import csv
import fnmatch
import json
import os
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from mstclipiqa.errors import InputError
from mstclipiqa.files import sha256

TARGETS = ("quality", "authenticity", "correspondence")
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}

#: What a label file may have, unpacked. The largest of the benchmarks has 20,000 rows in 3 MB.
MOST_ROWS, MOST_BYTES = 100_000, 2**28

#: Where an image's header says how it is to be turned.
ORIENTATION = 0x0112

#: A drawn benchmark carries this file; whatever is computed from it is labelled synthetic.
SYNTHETIC_MARK = "SYNTHETIC.md"


@dataclass(frozen=True)
class Defect:
    """Something odd in the source files that is handled by a stated rule, and counted rather than hidden."""

    what: str
    count: int
    rule: str
    examples: tuple[str, ...] = ()

    @classmethod
    def of(cls, what: str, names: Iterable[str], rule: str) -> "Defect":
        """The defect of all `names`, with the first three different ones as examples."""
        names = [str(name) for name in names]
        return cls(what, len(names), rule, tuple(dict.fromkeys(names))[:3])


@dataclass
class Labels:
    """A benchmark's label files, read but not yet checked.

    `frame` has one row per label row, in file order: image (base name), prompt, generator, one column of
    MOS per target on the official scale, and `<target>_sd` where the SD over raters is published.
    `columns` says for each target which file, column and scale was read. `withheld` names images that the
    benchmark lists without MOS, so that their presence among the images is no surprise.
    """

    frame: pd.DataFrame
    files: list[Path]
    columns: dict[str, str]
    defects: list[Defect] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: what it is called, what was rated on which nominal scale, and how its files are read.

    `ranges` maps each target to its nominal MOS range (low, high); `read` turns the folder
    `data_root/<name>/` into Labels and raises InputError where it cannot.
    """

    name: str
    title: str
    paper: str
    licence: str
    ranges: Mapping[str, tuple[float, float]]
    read: Callable[[Path], Labels]

    @property
    def targets(self) -> tuple[str, ...]:
        """The rated targets, in the order of TARGETS."""
        return tuple(target for target in TARGETS if target in self.ranges)


def list_files(root: Path, pattern: str = "*") -> list[Path]:
    """The files under `root` whose name matches the glob `pattern`, sorted.

    Links are followed, each folder is entered once, hidden files and folders are skipped.
    """
    entered, found = set(), []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:  # a link back up the tree, or to a folder beside
            subfolders.clear()
            continue
        entered.add(real)
        subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
        found += [Path(folder, name) for name in fnmatch.filter(names, pattern) if name[0] != "."]
    return sorted(path for path in found if path.is_file())


def find_label_file(root: Path, *patterns: str) -> Path | None:
    """The one file under `root` whose name matches the first pattern that matches any; None if none does.

    Raises InputError where one pattern matches several files.
    """
    for pattern in patterns:
        found = list_files(root, pattern)
        if len(found) > 1:
            listed = ", ".join(str(path.relative_to(root)) for path in found)
            raise InputError(f"{root}: {len(found)} files match {pattern} ({listed}); keep one")
        if found:
            return found[0]
    return None


def require_label_file(root: Path, *patterns: str) -> Path:
    """Like `find_label_file`, but raises InputError where nothing matches."""
    found = find_label_file(root, *patterns)
    if found is None:
        raise InputError(f"{root}: label file {' or '.join(patterns)} not found; put it anywhere in this folder")
    return found


@contextlib.contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Around a parser of `path`: whatever it raises becomes one InputError.

    Zip, XML, codec, struct and more: what the parsers raise on a damaged file has no narrower base class.
    """
    try:
        yield
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path}: cannot be read ({reason}); replace it from the source") from error


def read_sheet(path: Path, columns: Sequence[str], header: bool = True) -> pd.DataFrame:
    """The named columns of a label file: .xlsx (first sheet), .csv, .txt (tabs) or .json (records).

    Every cell is text, so that a prompt that reads `NA` or `1984` stays what it is; numbers go through
    `to_numbers`. Without a header row `columns` names all columns in their order.
    Raises InputError where the file cannot be parsed, is too large, lacks a column, or has an empty cell in one.
    """
    options = {"header": 0 if header else None, "dtype": str, "keep_default_na": False, "nrows": MOST_ROWS + 1}
    _check_size(path)
    with parsing(path), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of rows longer than the header
        if path.suffix == ".xlsx":
            frame = pd.read_excel(path, engine="openpyxl", **options)
        elif path.suffix == ".json":
            frame = pd.DataFrame(json.loads(path.read_text(encoding="utf-8-sig")), dtype=object)
        else:
            plain = {"sep": "\t", "quoting": csv.QUOTE_NONE} if path.suffix == ".txt" else {}
            frame = pd.read_csv(path, encoding="utf-8-sig", index_col=False, **plain, **options)
    if len(frame) > MOST_ROWS:
        raise InputError(f"{path}: more than {MOST_ROWS:,} rows; no benchmark has so many, replace it from the source")
    if not header:
        if frame.shape[1] != len(columns):
            raise InputError(f"{path}: {frame.shape[1]} columns; expected {len(columns)}: {', '.join(columns)}")
        frame.columns = columns
    require_columns(path, frame, columns)
    frame = frame[list(columns)].astype(object)
    frame = frame.where(frame.notna(), "").astype(str)
    for column in columns:
        empty = np.flatnonzero(frame[column].str.strip() == "")
        if len(empty):
            raise InputError(
                f"{path}: {column} is empty in data row {empty[0] + 1} ({len(empty)} such rows); "
                "fill it in or remove the row"
            )
    return frame


def _check_size(path: Path) -> None:
    """Raise InputError for a label file that would not fit into memory. A spreadsheet is a zip."""
    size = path.stat().st_size
    if path.suffix == ".xlsx":
        with parsing(path), zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    if size > MOST_BYTES:
        raise InputError(
            f"{path}: {size / 1e6:,.0f} MB unpacked; no benchmark's labels have more than "
            f"{MOST_BYTES / 1e6:,.0f} MB, replace it from the source"
        )


def require_columns(path: Path, frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError naming the columns that `frame`, read from `path`, lacks."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        found = ", ".join(map(repr, frame.columns[:12]))
        raise InputError(f"{path}: missing column {', '.join(missing)}; found {found}")


def to_numbers(path: Path, column: str, values: pd.Series) -> pd.Series:
    """MOS as floats, from numbers or text. Raises InputError naming the first that is no finite number."""
    texts = values.astype(str).fillna("")
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        shown = repr(texts.iloc[bad[0]]) if texts.iloc[bad[0]] else "empty"
        raise InputError(
            f"{path}: {column} is {shown} in data row {bad[0] + 1} ({len(bad)} such rows); "
            "give every row a number or remove the row"
        )
    return numbers


def base_names(paths: pd.Series) -> pd.Series:
    """Image names without the folders, of either slash, that some label files put before them."""
    return paths.str.replace(r"^.*[/\\]", "", regex=True)


def check_labels(benchmark: Benchmark, labels: Labels) -> pd.DataFrame:
    """Apply the rules every benchmark shares; return the usable rows and record what was excluded.

    * An empty image name, prompt or generator, MOS outside the nominal range, or a target none of whose MOS
      reaches a fifth of it (labels circulate divided by 20 and by 100): InputError.
    * White space at the edges of names and prompts is stripped.
    * A name that stands twice with the same values is kept once; with different values both rows are
      excluded, since nothing in the files says which is right.
    """
    source = ", ".join(str(path) for path in labels.files)
    frame = labels.frame.reset_index(drop=True)
    if frame.empty:
        raise InputError(f"{source}: no label rows; replace it from the source")
    frame.insert(0, "row", np.arange(len(frame)))
    for column in ("image", "prompt", "generator"):
        texts = frame[column].astype("object").where(frame[column].notna(), "").astype(str)
        frame[column] = texts.str.strip()
        if (frame[column] == "").any():
            row = int(np.flatnonzero(frame[column] == "")[0])
            raise InputError(f"{source}: {column} is empty in data row {row + 1}; fill it in or remove the row")
        ragged = texts[texts != frame[column]].unique()
        if len(ragged):
            labels.defects.append(Defect.of(f"{column}s with white space at an edge", ragged, "stripped"))
    for target, (low, high) in benchmark.ranges.items():
        outside = ~frame[target].between(low, high)
        if outside.any():
            bad = frame[outside].iloc[0]
            raise InputError(
                f"{source}: {target} MOS {bad[target]:g} of {bad['image']} is outside {low:g}..{high:g} "
                f"({int(outside.sum())} such rows); the scale of {benchmark.title} is {low:g} to {high:g}"
            )
        if frame[target].max() < low + (high - low) / 5:
            raise InputError(
                f"{source}: no {target} MOS is above {frame[target].max():g}; the scale of {benchmark.title} "
                f"is {low:g} to {high:g}, give the labels on that scale"
            )
    values = [column for column in frame.columns if column not in ("row", "image")]
    repeated = frame.drop_duplicates(["image", *values])
    if len(repeated) < len(frame):
        names = frame.loc[frame.duplicated(["image", *values]), "image"]
        labels.defects.append(Defect.of("label rows repeated with equal values", names, "kept once"))
    conflicting = repeated["image"].duplicated(keep=False)
    if conflicting.any():
        names = repeated.loc[conflicting, "image"]
        what = "label rows of one image name with different values"
        labels.defects.append(Defect.of(what, names, "all excluded: nothing says which is right"))
    return repeated[~conflicting].reset_index(drop=True)


def find_images(root: Path, names: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """Find images by base name wherever they lie under `root`.

    Returns the path of each wanted name, and the names of image files nobody asked for. Raises InputError
    where a name is missing, or stands for two files with different bytes.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for path in list_files(root):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            found[path.name].append(path)
    names = list(names)
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(
            f"{root}: {len(missing)} of {len(names)} labelled images not found, "
            f"e.g. {', '.join(missing[:3])}; complete the download (images may lie in any subfolder)"
        )
    paths = {}
    for name in names:
        candidates = found[name]
        if len(candidates) > 1 and len({sha256(path) for path in candidates}) > 1:
            listed = ", ".join(str(path.relative_to(root)) for path in candidates)
            raise InputError(f"{root}: different images share the name {name} ({listed}); keep one")
        paths[name] = candidates[0]
    return paths, sorted(set(found) - set(names))


def check_image(path: Path) -> tuple[int, int]:
    """Width and height from the image's header.

    Raises InputError where the file is no readable image, one of absurd dimensions, or one of more than 8 bits of grey,
    which Pillow would cut off at 255.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.mode[0] in "IF":
                    raise InputError(f"{path}: more than 8 bits of grey (mode {image.mode}); save it with 8 bits")
                return image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = f"{type(error).__name__}: {error}".rstrip(".")
        raise InputError(f"{path}: too large an image ({reason}); replace it from the source") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        size = path.stat().st_size
        reason = "the file is empty" if size == 0 else f"not a readable image of {size} bytes"
        raise InputError(f"{path}: {reason} ({type(error).__name__}); replace it from the source") from None


def find_oddities(path: Path) -> dict[str, str]:
    """What is odd about an image that is read nevertheless, and what is done about it. Looks at the header."""
    with Image.open(path) as image:
        odd = {
            "images of several frames": ("the first is used", getattr(image, "is_animated", False)),
            f"images of mode {image.mode}": ("converted to RGB, transparency is dropped", image.mode != "RGB"),
            # without the first condition Pillow reads a PNG to its end in search of the mark
            "images marked to be turned": (
                "not turned", "exif" in image.info and image.getexif().get(ORIENTATION, 1) != 1
            ),
        }  # fmt: skip
        return {what: rule for what, (rule, holds) in odd.items() if holds}


def normalise_prompt(prompt: str) -> str:
    """The text by which prompts are grouped: case and white space do not make another prompt."""
    return " ".join(prompt.casefold().split())


def collect_samples(benchmark: Benchmark, root: Path) -> tuple[pd.DataFrame, dict]:
    """Labels and images of one benchmark as a samples table and its card.

    The table has one row per usable image in label-file order: benchmark, image, row (0-based, in the label
    file), path (relative to `root`), sha256, width, height, prompt, prompt_group, generator, and per target
    of TARGETS the MOS (NaN where the benchmark has none) and, where published, `<target>_sd`.
    The card says what was read, what was excluded by which rule, and whether the data are synthetic.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; put {benchmark.title} there or set data_root")
    labels = benchmark.read(root)
    rows_read, prompts_read = len(labels.frame), labels.frame["prompt"].nunique()
    frame = check_labels(benchmark, labels)
    paths, others = find_images(root, frame["image"])
    listed = {*labels.frame["image"].str.strip(), *labels.withheld}
    unlabelled = [name for name in others if name not in listed]
    if unlabelled:
        labels.defects.append(Defect.of("images without a label row", unlabelled, "not used"))
    sizes = [check_image(paths[name]) for name in frame["image"]]
    odd: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in frame["image"]:
        for oddity in find_oddities(paths[name]).items():
            odd[oddity].append(name)
    labels.defects += [Defect.of(what, names, rule) for (what, rule), names in sorted(odd.items())]
    samples = pd.DataFrame(
        {
            "benchmark": benchmark.name,
            "image": frame["image"],
            "row": frame["row"],
            "path": [paths[name].relative_to(root).as_posix() for name in frame["image"]],
            "sha256": [sha256(paths[name]) for name in frame["image"]],
            "width": [width for width, _ in sizes],
            "height": [height for _, height in sizes],
            "prompt": frame["prompt"],
            "prompt_group": frame["prompt"].map(normalise_prompt),
            "generator": frame["generator"].astype(str),
        }
    )
    twins = samples["image"][samples["sha256"].duplicated(keep=False)]
    if len(twins):
        what = "images whose bytes are another's too, under another name"
        labels.defects.append(Defect.of(what, twins, "kept: each was rated with its own prompt"))
    for target in TARGETS:
        samples[target] = frame[target].astype(float) if target in benchmark.ranges else np.nan
        if f"{target}_sd" in frame:
            samples[f"{target}_sd"] = frame[f"{target}_sd"].astype(float)
    mark = root / SYNTHETIC_MARK
    card = {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "paper": benchmark.paper,
        "licence": benchmark.licence,
        "synthetic": mark.exists(),
        "label_files": {path.relative_to(root).as_posix(): sha256(path) for path in labels.files},
        "columns": labels.columns,
        "ranges": {target: list(benchmark.ranges[target]) for target in benchmark.targets},
        "rows_read": rows_read,
        "prompts_read": prompts_read,
        "images": len(samples),
        "prompts": int(samples["prompt"].nunique()),
        "prompt_groups": int(samples["prompt_group"].nunique()),
        "generators": samples["generator"].value_counts().to_dict(),
        "mos": {
            target: {key: float(getattr(labels.frame[target], key)()) for key in ("min", "max", "mean", "std")}
            for target in benchmark.targets
        },
        "defects": [asdict(defect) for defect in labels.defects],
    }
    return samples, card
