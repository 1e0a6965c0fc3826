"""Do predictions crowd at the levels? A template head whose softmax saturates gives few values, and loses ranks."""

import numpy as np
import pandas as pd

from mstclipiqa.base.names import ENTERED, SELECTIONS
from mstclipiqa.base.words import percent
from mstclipiqa.report.results import Results, ordered
from mstclipiqa.report.table import Cell, Table, frame_of

#: A prediction is at a level where it is so near, and two are the same where they round to the same multiple of this;
#: both on the scale of the levels, 1 to 5.
NEAR, GRAIN = 0.05, 1e-3

#: The recipes' name of the scale that is learned as the MOS are (training/dataset.py).
MOS_SCALE = "mos"

PLACE = ["benchmark", "target", "protocol", "selection", "recipe", "variant"]


def crowding(scores: np.ndarray) -> dict[str, float]:
    """Of predictions (N,) on the scale of the levels: the share at a level, the number of distinct values for each
    prediction, and the share of pairs that are tied."""
    grains = np.round(scores / GRAIN)
    _, sizes = np.unique(grains, return_counts=True)
    pairs = len(scores) * (len(scores) - 1)
    level = np.clip(np.round(scores), 1, 5)
    return {
        "at_level": float((np.abs(scores - level) < NEAR).mean()),
        "distinct": len(sizes) / len(scores),
        "tied": float((sizes * (sizes - 1)).sum() / pairs),
    }


def crowded(results: Results) -> pd.DataFrame:
    """A row per model, recipe and place: the mean of `crowding` over runs. Of real benchmarks, the first protocol and
    the first by prompt, the main selection. Entered scores have a scale of their own, which has no levels."""
    protocols = ordered(results.manifest, "protocols")
    chosen = [*protocols[:1], *[name for name in protocols if name.startswith("grouped")][:1]]
    runs = results.on_real(results.metrics)
    runs = runs[runs["recipe"] != ENTERED]
    runs = runs[results.is_main(runs) & runs["protocol"].isin(chosen) & runs["variant"].isin(results.models)]
    rows = {}
    for index, predictions in results.each_run(runs):
        run = runs.loc[index]
        scores = predictions["prediction"].to_numpy()
        if results.manifest["recipes"][run["recipe"]]["values"].get("trained_scale") != MOS_SCALE:
            low, high = results.cards[run["benchmark"]]["ranges"][run["target"]]
            scores = 1 + 4 * (scores - low) / (high - low)
        rows[index] = crowding(scores)
    found = runs.join(pd.DataFrame.from_dict(rows, orient="index", columns=["at_level", "distinct", "tied"]))
    means = found.groupby(PLACE, sort=False)[["at_level", "distinct", "tied", "srcc"]].mean()
    spread = found.groupby(PLACE, sort=False)["at_level"].agg(["min", "max", "size"])
    return means.join(spread.set_axis(["least", "greatest", "runs"], axis=1)).reset_index()


def saturation(results: Results) -> Table | None:
    """The crowding as a table; None without runs on a real benchmark."""
    full = crowded(results)
    if full.empty:
        return None
    shown = [
        {
            "Method": results.title("variants", row.variant),
            "Recipe": results.title("recipes", row.recipe),
            "At a level": Cell(percent(row.at_level, 1), f"{percent(row.least, 1)} to {percent(row.greatest, 1)}"),
            "Distinct values": percent(row.distinct, 1),
            "Pairs tied": percent(row.tied, 2),
            "SRCC": f"{row.srcc:.4f}",
        }
        for row in full.itertuples()
    ]
    return Table(
        "saturation",
        f"Do predictions crowd at the levels? The share within {NEAR} of a level, 1 to 5; how many distinct values are "
        f"left, at steps of {GRAIN}, for each test image; the share of pairs that are tied. Mean over runs.",
        full,
        frame_of(shown, list(shown[0])),
        numeric=("At a level", "Distinct values", "Pairs tied", "SRCC"),
        stub=2,
        groups=[
            Cell(
                f"{results.title('benchmarks', row.benchmark)}, {row.target}: {row.protocol}, "
                f"{SELECTIONS[row.selection]}"
            )
            for row in full.itertuples()
        ],
        grouped_by="Benchmark, target, protocol and selection",
        notes=[
            f"Predictions that spread evenly would have {percent(2 * NEAR)} at a level. Where a head multiplies "
            "cosines by a high temperature, one level takes nearly all of the softmax.",
        ],
    )


def found_of_saturation(results: Results) -> list[str]:
    """One sentence: where predictions of the first model crowd, by recipe."""
    full = crowded(results)
    full = full[full["variant"] == next(iter(results.models), "")]
    others = [change.changed for change in results.changes if "temperature" not in change.key]
    full = full[~full["recipe"].isin(others)]
    parts = [
        f"{results.title('benchmarks', row.benchmark)}, {results.title('recipes', row.recipe)}, {row.protocol}: "
        f"{percent(row.at_level)} at a level ({percent(row.least)} to {percent(row.greatest)} over runs), "
        f"{percent(row.distinct)} distinct, SRCC {row.srcc:.3f}"
        for row in full[full["target"] == "quality"].itertuples()
    ]
    if not parts:
        return []
    asked = f"Does the template head saturate? Of evenly spread predictions {percent(2 * NEAR)} lie at a level"
    return [f"{asked}. {'; '.join(parts)}."]
