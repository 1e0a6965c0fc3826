"""The samples table: the checks that every benchmark passes, its images found, and a card of what was read."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import list_files, sha256
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import IMAGE_FORMATS, TARGETS
from mstclipiqa.base.pixels import opened
from mstclipiqa.base.text import find_fault, printable
from mstclipiqa.data.benchmarks.benchmark import Benchmark, Defect, Labels, is_synthetic

#: Where an image's header says how it is to be turned.
ORIENTATION = 0x0112


def check_reader(benchmark: Benchmark, labels: Labels) -> None:
    """Raise InputError, which begins with the module, for a reader whose labels are not as `Labels` says."""
    module, ranges = benchmark.read.__module__, benchmark.ranges
    if strange := [target for target in ranges if target not in TARGETS]:
        raise InputError(f"{module}: {strange[0]!r} is no target; known: {', '.join(TARGETS)}")
    columns = ["image", *(["prompt"] if benchmark.prompted else []), "generator", *ranges]
    if lacking := [column for column in columns if column not in labels.frame]:
        raise InputError(f"{module}: the frame that it reads has no column {lacking[0]}; it needs {', '.join(columns)}")
    if texts := [target for target in ranges if not pd.api.types.is_numeric_dtype(labels.frame[target])]:
        raise InputError(f"{module}: the column {texts[0]} that it reads has no numbers; read it with to_numbers")


def check_labels(benchmark: Benchmark, labels: Labels) -> pd.DataFrame:
    """Apply the rules every benchmark shares; return the usable rows and record what was excluded.

    * An empty image name, prompt or generator, or one that `base.text` does not take; MOS outside the nominal range; a
      negative SD; a target none of whose MOS is above a fifth of the range, or further from 0 where the range has 0
      inside (labels circulate divided by 5, 20 and 100): InputError.
    * White space at the edges of names and prompts is stripped.
    * A name that stands twice with the same values is kept once; with different values both rows are
      excluded, since nothing in the files says which is right.
    """
    check_reader(benchmark, labels)
    source = ", ".join(str(path) for path in labels.files)
    frame = labels.frame.reset_index(drop=True)
    if frame.empty:
        raise InputError(f"{source}: no label rows; replace it from the source")
    frame.insert(0, "row", np.arange(len(frame)))
    if not benchmark.prompted:
        frame["prompt"] = frame["image"]  # which is like no other where splits keep like prompts together
    for column in ("image", "prompt", "generator"):
        texts = ["" if pd.isna(text) else str(text) for text in frame[column]]
        stripped = [text.strip() for text in texts]
        for row, text in enumerate(stripped, start=1):
            if not text:
                raise InputError(f"{source}: {column} is empty in data row {row}; fill it in or remove the row")
            if fault := find_fault(text, one_line=column != "prompt"):
                raise InputError(f"{source}: {column} {text[:200]!r} in data row {row} {fault}; correct it")
        frame[column] = stripped
        ragged = dict.fromkeys(text for text, kept in zip(texts, stripped, strict=True) if text != kept)
        if ragged:
            labels.defects.append(Defect.of(f"{column}s with white space at an edge", ragged, "stripped"))
    for target, (low, high) in benchmark.ranges.items():
        outside = ~frame[target].between(low, high)
        if outside.any():
            bad = frame[outside].iloc[0]
            raise InputError(
                f"{source}: {target} MOS {bad[target]:g} of {bad['image']} is outside {low:g}..{high:g} "
                f"({int(outside.sum())} such rows); the scale of {benchmark.title} is {low:g} to {high:g}"
            )
        largest = frame[target].abs().max() if low < 0 else frame[target].max()
        if largest <= (max(-low, high) / 5 if low < 0 else low + (high - low) / 5):
            raise InputError(
                f"{source}: no {target} MOS is above {largest:g}; the scale of {benchmark.title} "
                f"is {low:g} to {high:g}, give the labels on that scale"
            )
        sd = frame.get(f"{target}_sd")
        if sd is not None and (sd < 0).any():
            raise InputError(f"{source}: SD {sd.min():g} of {target} is below 0; replace it from the source")
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
        labels.excluded |= dict.fromkeys(names, f"{what}, and nothing says which is right")
    return repeated[~conflicting].reset_index(drop=True)


def locate_images(root: Path, names: Iterable[str]) -> tuple[dict[str, list[Path]], list[str]]:
    """The image files under `root` of each wanted name, where there are any, and the names of those nobody asked for.

    A name is a base name; or one with the folders that it lies in, as `DALLE_3/00001.jpeg`, where several images have
    one base name.
    """
    by_base: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_base[PurePosixPath(name).name].append(name)
    found: dict[str, list[Path]] = defaultdict(list)
    others = set()
    for path in list_files(root):
        if path.suffix.lower() in IMAGE_FORMATS:
            place = path.relative_to(root).as_posix()
            wanted = [name for name in by_base.get(path.name, ()) if f"/{place}".endswith(f"/{name}")]
            for name in wanted:
                found[name].append(path)
            if not wanted:
                others.add(place if path.name in by_base else path.name)
    return dict(found), sorted(others)


def find_images(root: Path, names: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """Find images wherever they lie under `root`, as `locate_images` does.

    Returns the path of each wanted name, and the names of image files nobody asked for. Raises InputError
    where a name is missing, or stands for two files with different bytes, and for a wanted image in a folder whose
    name `base.text` does not take.
    """
    names = list(names)
    found, others = locate_images(root, names)
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
            listed = ", ".join(printable(str(path.relative_to(root))) for path in candidates)
            raise InputError(f"{root}: different images share the name {name} ({listed}); keep one")
        paths[name] = candidates[0]
        check_place(root, candidates[0])
    return paths, others


def check_place(root: Path, path: Path) -> None:
    """Raise InputError for a file whose path below `root` no table or terminal takes."""
    place = str(path.relative_to(root))
    if fault := find_fault(place, one_line=True):
        raise InputError(f"{root}: the path {place!r} {fault}; rename it")


def inspect_image(path: Path) -> tuple[tuple[int, int], dict[str, str]]:
    """Width and height of an image, and what is odd about it that is read nevertheless, with what is done about it.

    Looks at the header. Raises InputError where the rule for pixels (`base.pixels`) refuses the image.
    """
    with opened(path) as image:
        odd = {
            "images of several frames": ("the first is used", getattr(image, "is_animated", False)),
            f"images of mode {image.mode}": ("converted to RGB, transparency is dropped", image.mode != "RGB"),
            # without the first condition Pillow reads a PNG to its end in search of the mark
            "images marked to be turned": (
                "not turned", "exif" in image.info and image.getexif().get(ORIENTATION, 1) != 1
            ),
        }  # fmt: skip
        return image.size, {what: rule for what, (rule, holds) in odd.items() if holds}


def normalise_prompt(prompt: str) -> str:
    """The text by which prompts are grouped: case and white space do not make another prompt."""
    return " ".join(prompt.casefold().split())


def look_at_images(root: Path, names: pd.Series, labels: Labels) -> pd.DataFrame:
    """Path (relative to `root`), sha256, width and height of the named images, a row each; what is odd about them, and
    images that no label row names, are recorded with the labels."""
    paths, others = find_images(root, names)
    listed = {*labels.frame["image"].str.strip(), *labels.withheld}
    unlabelled = [name for name in others if name not in listed]
    if unlabelled:
        labels.defects.append(Defect.of("images without a label row", unlabelled, "not used"))
    sizes, odd = [], defaultdict(list)
    for name in names:
        size, oddities = inspect_image(paths[name])
        sizes.append(size)
        for oddity in oddities.items():
            odd[oddity].append(name)
    labels.defects += [Defect.of(what, listed, rule) for (what, rule), listed in sorted(odd.items())]
    return pd.DataFrame(
        {
            "path": [paths[name].relative_to(root).as_posix() for name in names],
            "sha256": [sha256(paths[name]) for name in names],
            "width": [width for width, _ in sizes],
            "height": [height for _, height in sizes],
        }
    )


def match_images(names: pd.Series, images: pd.DataFrame) -> pd.DataFrame:
    """As `look_at_images`, of images that are known already: image, sha256, width, height, in the labels' order.
    Raises InputError where these are others than the labels name."""
    if names.tolist() != images["image"].tolist():
        other = sorted(set(names) ^ set(images["image"])) or ["their order"]
        raise InputError(f"labels of other images than the features are of ({len(other)} differ, e.g. {other[0]})")
    return images.assign(path=images["image"])


def collect_samples(benchmark: Benchmark, root: Path, images: pd.DataFrame | None = None) -> tuple[pd.DataFrame, dict]:
    """Labels and images of one benchmark as a samples table and its card. `images` are known already (see
    `match_images`) where only labels are in the folder.

    The table has one row per usable image in label-file order: benchmark, image, row (0-based, in the label
    file), path (relative to `root`), sha256, width, height, prompt, prompt_group, generator, and per target
    of TARGETS the MOS (NaN where the benchmark has none) and, where published, `<target>_sd`; and `image_prompt`, the
    name of the image that it was made from, where any was made from one (empty for others).
    The card says what was read, what was excluded by which rule, and whether the data are synthetic.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; put {benchmark.title} there or set data_root")
    labels = benchmark.read(root)
    synthetic = is_synthetic(root)
    for path in labels.files:
        check_place(root, path)
    frame = check_labels(benchmark, labels)
    prompts_read = labels.frame["prompt" if benchmark.prompted else "image"].nunique()
    if not synthetic and benchmark.images not in (None, len(frame)):
        what = f"images with labels, where the published labels have {benchmark.images:,}"
        labels.defects.append(Defect(what, len(frame), "used, BUT THESE ARE NOT THE PUBLISHED LABELS"))
    facts = look_at_images(root, frame["image"], labels) if images is None else match_images(frame["image"], images)
    samples = pd.DataFrame(
        {
            "benchmark": benchmark.name,
            "image": frame["image"],
            "row": frame["row"],
            **{column: facts[column].tolist() for column in ("path", "sha256", "width", "height")},
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
    if "image_prompt" in frame:
        samples["image_prompt"] = frame["image_prompt"]
    card = {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "paper": benchmark.paper,
        "licence": benchmark.licence,
        "synthetic": synthetic,
        "label_files": {path.relative_to(root).as_posix(): sha256(path) for path in labels.files},
        "columns": labels.columns,
        "ranges": {target: list(benchmark.ranges[target]) for target in benchmark.targets},
        **labels.row_facts,
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


def samples_from_folder(output: Path, benchmark: Benchmark, root: Path) -> list[str]:
    """Write the samples table of the benchmark in the folder `root` to `output`, and say what was read, a line each."""
    frame, card = collect_samples(benchmark, root)
    SAMPLES.write(output, frame, card)
    lines = [f"{card['title']}: {len(frame)} images, {card['prompts']} prompts, {card['rows_read']} label rows"]
    for defect in card["defects"]:
        shown = f" (e.g. {', '.join(defect['examples'])})" if defect["examples"] else ""
        lines.append(f"  {defect['count']} {defect['what']}: {defect['rule']}{shown}")
    return lines
