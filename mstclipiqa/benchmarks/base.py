"""What a benchmark is, and the checks that every one of them passes on its way into the samples table."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from mstclipiqa.errors import InputError
from mstclipiqa.files import sha256

TARGETS = ("quality", "authenticity", "correspondence")
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}

#: A drawn benchmark carries this file; whatever is computed from it is labelled synthetic.
SYNTHETIC_MARK = "SYNTHETIC.md"


@dataclass(frozen=True)
class Defect:
    """Something wrong in the source files that is handled by a stated rule, and counted rather than hidden."""

    what: str
    count: int
    rule: str
    examples: tuple[str, ...] = ()


@dataclass
class Labels:
    """A benchmark's label files, read but not yet checked.

    `frame` has one row per label row, in file order: image (base name), prompt, generator, one column of
    MOS per target on the official scale, and `<target>_sd` where the SD over raters is published.
    `columns` says for each target which file, column and scale was read.
    """

    frame: pd.DataFrame
    files: list[Path]
    columns: dict[str, str]
    defects: list[Defect] = field(default_factory=list)


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


def find_label_file(root: Path, *patterns: str) -> Path | None:
    """The one file under `root` whose name matches the first pattern that matches any; None if none does.

    Raises InputError where one pattern matches several files.
    """
    for pattern in patterns:
        found = sorted(path for path in root.rglob(pattern) if path.is_file())
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


def require_columns(path: Path, frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError naming the columns that `frame`, read from `path`, lacks."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(
            f"{path}: missing column {', '.join(missing)}; found {', '.join(map(str, frame.columns))}"
        )


def to_numbers(path: Path, column: str, values: pd.Series) -> pd.Series:
    """MOS as floats. Raises InputError naming the first value that is empty or not a finite number."""
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    bad = ~np.isfinite(numbers.to_numpy())
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        shown = "empty" if pd.isna(values.iloc[first]) else repr(str(values.iloc[first]))
        raise InputError(
            f"{path}: {column} is {shown} in data row {first + 1} ({int(bad.sum())} such rows); "
            "give every row a number or remove the row"
        )
    return numbers


def check_labels(benchmark: Benchmark, labels: Labels) -> pd.DataFrame:
    """Apply the rules every benchmark shares; return the usable rows and record what was excluded.

    * MOS outside the nominal range, an empty image name, an empty prompt: InputError.
    * A name that stands twice with the same values is kept once; with different values both rows are
      excluded, since nothing in the files says which is right.
    """
    source = ", ".join(str(path) for path in labels.files)
    frame = labels.frame.reset_index(drop=True)
    frame.insert(0, "row", np.arange(len(frame)))
    for column in ("image", "prompt"):
        texts = frame[column].astype("object").where(frame[column].notna(), "").astype(str).str.strip()
        if (texts == "").any():
            row = int(np.flatnonzero(texts == "")[0])
            raise InputError(f"{source}: {column} is empty in data row {row + 1}; fill it in or remove the row")
        frame[column] = texts
    for target, (low, high) in benchmark.ranges.items():
        outside = ~frame[target].between(low, high)
        if outside.any():
            bad = frame[outside].iloc[0]
            raise InputError(
                f"{source}: {target} MOS {bad[target]:g} of {bad['image']} is outside {low:g}..{high:g} "
                f"({int(outside.sum())} such rows); the scale of {benchmark.title} is {low:g} to {high:g}"
            )
    values = [column for column in frame.columns if column not in ("row", "image")]
    repeated = frame.drop_duplicates(["image", *values])
    if len(repeated) < len(frame):
        names = frame.loc[frame.duplicated(["image", *values]), "image"]
        labels.defects.append(
            Defect("label rows repeated with equal values", len(names), "kept once", _examples(names))
        )
    conflicting = repeated["image"].duplicated(keep=False)
    if conflicting.any():
        names = repeated.loc[conflicting, "image"]
        labels.defects.append(
            Defect(
                "label rows of one image name with different values",
                len(names),
                "all excluded: nothing says which is right",
                _examples(names.unique()),
            )
        )
    return repeated[~conflicting].reset_index(drop=True)


def find_images(root: Path, names: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """Find images by base name wherever they lie under `root`.

    Returns the path of each wanted name, and the names of image files nobody asked for. Raises InputError
    where a name is missing, or stands for two files with different bytes.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for folder, _, files in os.walk(root, followlinks=True):
        for name in files:
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                found[name].append(Path(folder) / name)
    names = list(names)
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(
            f"{root}: {len(missing)} of {len(names)} labelled images not found, e.g. {', '.join(missing[:3])}; "
            "complete the download (images may lie in any subfolder)"
        )
    paths = {}
    for name in names:
        candidates = sorted(found[name])
        if len(candidates) > 1 and len({sha256(path) for path in candidates}) > 1:
            listed = ", ".join(str(path.relative_to(root)) for path in candidates)
            raise InputError(f"{root}: different images share the name {name} ({listed}); keep one")
        paths[name] = candidates[0]
    return paths, sorted(set(found) - set(names))


def check_image(path: Path) -> tuple[int, int]:
    """Width and height from the image's header. Raises InputError where the file is no readable image."""
    try:
        with Image.open(path) as image:
            return image.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        size = path.stat().st_size
        reason = "the file is empty" if size == 0 else f"not a readable image of {size} bytes"
        raise InputError(f"{path}: {reason} ({type(error).__name__}); replace it from the source") from None


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
    paths, unlabelled = find_images(root, frame["image"])
    if unlabelled:
        labels.defects.append(
            Defect("images without a label row", len(unlabelled), "not used", _examples(unlabelled))
        )
    sizes = [check_image(paths[name]) for name in frame["image"]]
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
            target: {
                key: float(getattr(labels.frame[target], key)()) for key in ("min", "max", "mean", "std")
            }
            for target in benchmark.targets
        },
        "defects": [asdict(defect) for defect in labels.defects],
    }
    return samples, card


def _examples(names: Iterable[str], most: int = 3) -> tuple[str, ...]:
    return tuple(str(name) for name in list(names)[:most])
