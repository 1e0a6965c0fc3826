"""The best, typical and worst predictions of a run: pictures where they may be shown, prompts shaded by attention."""

import base64
import io
from pathlib import Path

import pandas as pd

from mstclipiqa.base.files import sha256
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import MODELS, SELECTIONS, TARGETS
from mstclipiqa.base.pixels import opened
from mstclipiqa.base.words import in_words
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.report.attention import shades_of
from mstclipiqa.report.results import RUN_ORDER, Results, cautions
from mstclipiqa.report.table import Cell, Table, frame_of

#: How many images of each kind, and how large a picture is (pixels of the longer side).
COUNT, SIDE = 2, 144
COLUMNS = ["Image", "Prediction", "Prompt", "Generator", "MOS", "Predicted", "Error"]

#: What the note says of missing pictures.
MISSING = "pictures are not at hand under"


def sample_images(results: Results) -> Table | None:
    """Of one run a benchmark and target, the test images with the least, the median and the greatest
    |prediction - MOS|; None without runs.

    The run is the example (`Results.examples`) of the model that reads the prompt, or of the first other. A picture is
    shown of a drawn image, and where the benchmark's licence lets images be passed on; none where the features come
    from a pack, as no image is then needed. One that is missing from the data folder, or has changed since it was
    rated, is left out with a note.
    """
    shown, full, groups = [], [], []
    for target in TARGETS:
        runs = results.examples(target)
        star = runs["variant"] == MODELS[1]
        for _, run in (runs[star] if star.any() else runs.drop_duplicates("benchmark")).iterrows():
            sampled = _sample(results, run)
            shades = shades_of(results, run)
            full.append(sampled)
            shown += [_row(results, row, shades.get(row["image"], ())) for row in sampled.to_dict("records")]
            groups += [Cell(f"{results.title('benchmarks', run['benchmark'])}, {target}")] * len(sampled)
    if not full:
        return None
    table = pd.concat(full, ignore_index=True)
    first, names = table.iloc[0], list(table["benchmark"].unique())
    shaded = any(row["Prompt"].shades for row in shown)
    real = [name for name in names if _shows(results, name) and name not in results.synthetic]
    attributions = [get_benchmark(name).attribution for name in real]
    return Table(
        "sample_images",
        f"Best, typical and worst predictions of {results.title('variants', first['variant'])}: the test images with "
        f"the least, the median and the greatest |prediction − MOS|. Protocol {first['protocol']}, split "
        f"{first['split']}, seed {first['seed']}, {SELECTIONS[first['selection']]}, recipe "
        f"{results.title('recipes', first['recipe'])}."
        + (" The stronger the shade of a token, the more the model attends to it." if shaded else "")
        + "".join(f" Pictures made smaller from {attribution}." for attribution in attributions),
        table.drop(columns=["path", "sha256"]),
        frame_of(shown, COLUMNS),
        numeric=("MOS", "Predicted", "Error"),
        groups=groups,
        grouped_by="Benchmark and target",
        notes=_notes(results, names, shown),
    )


def _sample(results: Results, run: pd.Series) -> pd.DataFrame:
    """The images of each kind of one run, with their prompts and files; ties by name."""
    known = ["image", "path", "sha256", "prompt", "generator"]
    samples = SAMPLES.read(SAMPLES.at(results.root, benchmark=run["benchmark"]))[0][known]
    rows = results.predictions(run)[["image", "mos", "prediction"]]
    rows = rows.assign(error=rows["prediction"] - rows["mos"])
    rows = rows.assign(size=rows["error"].abs()).sort_values(["size", "image"], ignore_index=True)
    starts = {"best": 0, "typical": (len(rows) - COUNT) // 2, "worst": len(rows) - COUNT}
    chosen = [rows[start : start + COUNT].assign(kind=kind) for kind, start in starts.items()]
    table = pd.concat(chosen, ignore_index=True).drop_duplicates("image").assign(**run[RUN_ORDER])
    table = table[[*RUN_ORDER, "kind", "image", "mos", "prediction", "error"]]
    return table.merge(samples, on="image", validate="one_to_one")


def _shows(results: Results, benchmark: str) -> bool:
    """Whether a benchmark's images may be shown, and are there."""
    drawn = benchmark in results.synthetic
    return (drawn or get_benchmark(benchmark).open_images) and benchmark not in results.packed


def _data_root(results: Results) -> Path:
    return Path(results.manifest["config"]["data_root"])


def _row(results: Results, row: dict, shades: tuple[tuple[str, float], ...]) -> dict:
    image = Cell(row["image"])
    if _shows(results, row["benchmark"]):
        path = (results.images or _data_root(results)) / row["benchmark"] / row["path"]
        at_hand = path.is_file() and sha256(path) == row["sha256"]
        alt = f"By {row['generator']} for the prompt “{row['prompt']}”"
        image = Cell(row["image"], image=_thumbnail(path) if at_hand else "", alt=alt)
    prompt = Cell(row["prompt"], shades=shades)
    numbers = f"{row['mos']:.2f}", f"{row['prediction']:.2f}", f"{row['error']:+z.2f}"
    return dict(zip(COLUMNS, [image, row["kind"], prompt, row["generator"], *numbers], strict=True))


def _notes(results: Results, benchmarks: list[str], shown: list[dict]) -> list[str]:
    """What the shades say, and why there are no pictures of some benchmarks."""
    notes, withheld = [], []
    if any(row["Prompt"].shades for row in shown):
        notes.append(
            "All tokens of a prompt are shaded alike where they weigh the same. Where a model attends does not say "
            "what decides its score."
        )
    for name in (name for name in benchmarks if not _shows(results, name)):
        title = results.title("benchmarks", name)
        if name in results.packed:
            notes.append(f"No pictures of {title}: its features come from a pack, which has no images.")
        else:
            withheld.append(title)
    if withheld:
        notes.append(f"No pictures of {in_words(withheld)}: no licence is known that lets their images be shown.")
    missing = sum(bool(row["Image"].alt) and not row["Image"].image for row in shown)
    if missing:
        notes.append(f"{missing} {MISSING} {_data_root(results)}.")
    return notes + cautions(results, {name: results.title("benchmarks", name) for name in benchmarks})


def _thumbnail(path: Path) -> str:
    """A small JPEG of an image as a data URI."""
    stream = io.BytesIO()
    with opened(path) as image:
        small = image.convert("RGB")
        small.thumbnail((SIDE, SIDE))
        small.save(stream, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
