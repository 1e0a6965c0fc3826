"""The test images that the paper's model is furthest from, with their pictures where these are drawn."""

import base64
import io
from pathlib import Path

import pandas as pd

from mstclipiqa.base.files import sha256
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import SELECTIONS, TARGETS
from mstclipiqa.base.pixels import opened
from mstclipiqa.report.results import RUN_ORDER, Results, cautions
from mstclipiqa.report.table import Cell, Table, frame_of

#: How many images per benchmark and target, and how large (pixels of the longer side).
COUNT = 5
SIDE = 144
COLUMNS = ["Benchmark", "Largest error", *(f"{place} largest" for place in ("2nd", "3rd", "4th", "5th"))]


def largest_errors(results: Results) -> Table | None:
    """The largest |prediction - MOS| of the first variant's example runs, on drawn benchmarks; None without any.

    Images of other benchmarks are not shown: no licence is known to allow it. A picture that is missing from the data
    folder, or has changed since it was rated, is left out with a note.
    """
    shown, full, groups = [], [], []
    for target in TARGETS:
        runs = results.examples(target)
        runs = runs[runs["benchmark"].isin(results.synthetic) & (runs["variant"] == runs["variant"].head(1).squeeze())]
        for _, run in runs.iterrows():
            worst = _worst(results, run)
            cells = [_cell(results, row) for row in worst.to_dict("records")]
            shown.append(dict(zip(COLUMNS, [results.title("benchmarks", run["benchmark"]), *cells], strict=False)))
            full.append(worst)
            groups.append(Cell(target.capitalize()))
    if not full:
        return None
    table = pd.concat(full, ignore_index=True)
    first = table.iloc[0]
    missing = sum(not cell.image for row in shown for cell in row.values() if isinstance(cell, Cell))
    titles = {name: results.title("benchmarks", name) for name in table["benchmark"].unique()}
    return Table(
        "largest_errors",
        f"Where {results.title('variants', first['variant'])} is furthest from the MOS: the test images with the "
        f"largest |prediction − MOS|, protocol {first['protocol']}, split {first['split']}, seed {first['seed']}, "
        f"{SELECTIONS[first['selection']]}, recipe {results.title('recipes', first['recipe'])}.",
        table,
        frame_of(shown, COLUMNS),
        groups=groups,
        grouped_by="Target",
        notes=[
            *([f"{missing} pictures are not at hand under {_data_root(results)}."] if missing else []),
            *cautions(results, titles),
        ],
    )


def _data_root(results: Results) -> Path:
    return Path(results.manifest["config"]["data_root"])


def _worst(results: Results, run: pd.Series) -> pd.DataFrame:
    """The images of one run with the largest errors, largest first, with their prompts and files."""
    known = ["image", "path", "sha256", "prompt", "generator"]
    samples = SAMPLES.read(SAMPLES.at(results.root, benchmark=run["benchmark"]))[0][known]
    predictions = results.predictions(run)
    error = predictions["prediction"] - predictions["mos"]
    worst = predictions.assign(error=error, size=error.abs()).sort_values(["size", "image"], ascending=[False, True])
    columns = [*RUN_ORDER, "image", "mos", "prediction", "error"]
    worst = worst.head(COUNT).assign(**run[RUN_ORDER])[columns]
    return worst.merge(samples, on="image", validate="one_to_one")


def _cell(results: Results, row: dict) -> Cell:
    path = (results.images or _data_root(results)) / row["benchmark"] / row["path"]
    at_hand = path.is_file() and sha256(path) == row["sha256"]
    return Cell(
        f"MOS {row['mos']:.2f}, predicted {row['prediction']:.2f}",
        f"“{row['prompt']}”, {row['generator']}",
        image=_thumbnail(path) if at_hand else "",
        alt=f"Drawn for the prompt “{row['prompt']}”",
    )


def _thumbnail(path: Path) -> str:
    """A small JPEG of an image as a data URI."""
    stream = io.BytesIO()
    with opened(path) as image:
        small = image.convert("RGB")
        small.thumbnail((SIDE, SIDE))
        small.save(stream, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
