"""How far the protocol alone moves SRCC: the split, the epoch, the seed."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from mstclipiqa.base.names import SELECTIONS
from mstclipiqa.report.paper import BEST_RIVAL, PAPER
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import Cell, Table, frame_of


class Move(NamedTuple):
    """A change of protocol or selection, and the mean SRCC over runs after it and before it.

    `kind` is prompts, epoch or seed; `move` is its name on the page.
    """

    kind: str
    move: str
    protocol: str
    selection: str
    from_protocol: str
    from_selection: str
    srcc: float
    from_srcc: float


def protocol_moves(metrics: pd.DataFrame) -> pd.DataFrame:
    """How far SRCC moves with the protocol alone: a row per benchmark, target, recipe, variant and Move.

    `difference` is `srcc` less `from_srcc`.
    """
    key = ["benchmark", "target", "recipe", "variant"]
    means = metrics.groupby([*key, "protocol", "selection"], sort=False)["srcc"].agg(
        lambda runs: runs.mean(skipna=False)
    )
    rows = []
    for names, group in means.groupby(key, sort=False):
        scores = {place[len(key) :]: value for place, value in group.items()}
        rows += [(*names, *move, move.srcc - move.from_srcc) for move in _moves(scores)]
    return pd.DataFrame(rows, columns=[*key, *Move._fields, "difference"])


def _moves(scores: dict[tuple[str, str], float]) -> Iterator[Move]:
    """The moves between the protocols and selections that have `scores`."""
    protocols = list(dict.fromkeys(protocol for protocol, _ in scores))
    seeds = [name for name in protocols if name.startswith("lab-seed")]
    first = "lab-seed1" if "lab-seed1" in seeds else next(iter(seeds), None)
    by_image = [name for name in protocols if name == first or name.startswith(("random", "released"))]
    by_prompt = [name for name in protocols if name.startswith("grouped")]
    for grouped in by_prompt:
        for other in by_image:
            for selection in SELECTIONS:
                to, origin = (grouped, selection), (other, selection)
                if to in scores and origin in scores:
                    name = f"{grouped} − {other}, {SELECTIONS[selection]}"
                    yield Move("prompts", name, *to, *origin, scores[to], scores[origin])
    for protocol in by_image + by_prompt:
        best, last = (protocol, "best-on-test"), (protocol, "last")
        if best in scores and last in scores:
            name = f"{protocol}: best epoch on test − last"
            yield Move("epoch", name, *best, *last, scores[best], scores[last])
    for selection in SELECTIONS:
        several = [scores[seed, selection] for seed in seeds if (seed, selection) in scores]
        if first and len(several) > 1 and (first, selection) in scores:
            mean, one = sum(several) / len(several), (first, selection)
            name = f"{first} − mean of {len(several)} lab seeds, {SELECTIONS[selection]}"
            yield Move("seed", name, *one, "mean of lab seeds", selection, scores[one], mean)


def protocol_audit(results: Results) -> Table | None:
    """The moves in points of SRCC, mean over benchmarks, beside the gains that the paper claims where known."""
    gains = results.paper.gains
    full = protocol_moves(results.metrics)
    full["claimed_gain_points"] = [
        None if row.benchmark in results.synthetic else gains.get((row.target, row.variant))
        for row in full.itertuples()
    ]
    wanted = full["kind"].map({"prompts": "last", "epoch": "best-on-test", "seed": "best-on-test"})
    rows = full[(full["selection"] == wanted) & full["variant"].isin(results.models)]
    if rows.empty:
        return None
    moves = list(rows["move"].unique())
    rows = rows.assign(drawn=rows["benchmark"].isin(results.synthetic)).sort_values("drawn", kind="stable")
    shown, groups = [], []
    for key, group in rows.groupby(["target", "drawn", "variant", "recipe"], sort=False):
        target, synthetic, variant, recipe = key
        gain = None if synthetic else gains.get((target, variant))
        cells: dict[str, str | Cell] = {"Method": results.title("variants", variant)}
        cells["Recipe"] = results.title("recipes", recipe)
        means = {}
        for move, found in group.groupby("move", sort=False):
            points = 100 * found["difference"]
            means[move] = points.mean(skipna=False)
            spread = f"{points.min():+.2f} to {points.max():+.2f}" if len(points) > 1 else ""
            cells[move] = Cell(f"{means[move]:+.2f}", spread) if pd.notna(means[move]) else "undefined"
        if gain:
            cells["Gain claimed"] = f"{gain:+.2f}"
            cells["Largest move / gain"] = f"{max(map(abs, means.values())) / gain:.1f}"
        shown.append(cells)
        names = [results.title("benchmarks", name) for name in results.among("benchmark", group)]
        groups.append(Cell(target.capitalize(), ", ".join(names) + (" (synthetic)" if synthetic else "")))
    beside = f"; beside it the gain over {BEST_RIVAL} that {PAPER} claims" if gains else ""
    columns = ["Method", "Recipe", *moves, *(["Gain claimed", "Largest move / gain"] if gains else [])]
    return Table(
        "protocol_audit",
        "How far the protocol alone moves a model: points of SRCC (hundredths), mean over the benchmarks named, "
        f"and least to greatest{beside}.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
        groups=groups,
        grouped_by="Target",
        notes=[
            "By prompt against by image at the last epoch. A split by prompt leaves fewer images to train on as well, "
            "since it keeps some for validation, so this move is not leakage alone.",
            "One laboratory seed against the mean of all at the epoch that is best on test. "
            "The file in tables/ has every variant, benchmark and selection.",
            *(
                [
                    "The paper states no gain of MST-CLIPIQA in authenticity or correspondence; no gain stands beside "
                    "drawn images."
                ]
                if gains
                else []
            ),
        ],
    )
