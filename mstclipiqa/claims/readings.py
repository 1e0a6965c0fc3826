"""Every reading of a contradicted gain: could the paper's tables give its figure, were it meant otherwise?

A reading takes one of the paper's models, one rival, some of the table's benchmarks, and a way to sum up. With hundreds
of readings some give any figure by chance, so how many would is estimated beside how many do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from mstclipiqa.claims.claim import AVERAGE, METRICS, POINTS_ROUNDING, Claim, Paper
from mstclipiqa.claims.rules import CONTRADICTED, SLACK

#: By how a gain is summed up: the fewest benchmarks of which it is a reading of its own, and (ours, rival's) -> gain.
WAYS: dict[str, tuple[int, Callable[[np.ndarray, np.ndarray], float]]] = {
    "points, mean": (1, lambda ours, theirs: 100 * (ours - theirs).mean()),
    "points, median": (3, lambda ours, theirs: 100 * np.median(ours - theirs)),
    "per cent, mean of ratios": (1, lambda ours, theirs: 100 * (ours / theirs - 1).mean()),
    "per cent, median of ratios": (3, lambda ours, theirs: 100 * np.median(ours / theirs - 1)),
    "per cent, ratio of means": (2, lambda ours, theirs: 100 * (ours.mean() / theirs.mean() - 1)),
}
#: So far to either side of a figure readings are counted, to say how many give it by chance.
WINDOW = 0.5


@dataclass(frozen=True)
class Reading:
    """One reading of a gain. `named` says whether its model and its rival are those of the sentence."""

    ours: str
    rival: str
    columns: tuple[str, ...]
    way: str
    value: float
    named: bool


def try_readings(paper: Paper, claims: list[Claim]) -> list[dict]:
    """Of every stated gain that its table contradicts, what its readings give: a row per gain and metric. `claims` are
    the paper's, with what is found of its printed numbers.

    `tried` counts them, `hits` are those within half of the figure's last digit, `by_chance` is how many would be if
    the readings within WINDOW of it were spread evenly, `nearest` is the closest of all. `named_tried` and `named_hits`
    count those of the model and the rival that the sentence names.
    """
    contradicted = {claim.id for claim in claims if claim.found and claim.found[1] == CONTRADICTED}
    return [
        {"id": f"{statement['id']}/{metric}"} | _summarise(paper, rule, metric)
        for statement, metric in product(paper.document["statements"], METRICS)
        if (rule := statement["rule"].get("gain")) and f"{statement['id']}/{metric}/printed" in contradicted
    ]


def _summarise(paper: Paper, rule: dict, metric: str) -> dict:
    claimed = rule["claimed"][metric]

    def rank(reading: Reading) -> tuple[bool, float, bool]:
        return not reading.named, round(abs(reading.value - claimed), 9), reading.columns != (AVERAGE,)

    readings = sorted(enumerate_readings(paper, rule, metric), key=rank)
    hits = [reading for reading in readings if abs(reading.value - claimed) <= POINTS_ROUNDING + SLACK]
    near = sum(abs(reading.value - claimed) <= WINDOW for reading in readings)
    return {
        "claimed": claimed,
        "tried": len(readings),
        "by_chance": near * POINTS_ROUNDING / WINDOW,
        "named_tried": sum(reading.named for reading in readings),
        "named_hits": sum(reading.named for reading in hits),
        "hits": [vars(reading) for reading in hits],
        "nearest": vars(min(readings, key=lambda reading: abs(reading.value - claimed))),
    }


def enumerate_readings(paper: Paper, rule: dict, metric: str) -> Iterator[Reading]:
    """Every reading of a gain's rule: model by rival by benchmarks by way. A printed average is taken alone."""
    table = rule["table"]
    models = [name for name in paper.document["tables"][table]["methods"] if name not in rule["over"]]
    for ours, rival in product(models, (name for name in paper.methods(table) if name not in models)):
        pairs = {
            column: (paper.number(table, ours, column, metric), theirs)
            for column in paper.columns(table)
            if (theirs := paper.value(table, rival, column, metric)) is not None
        }
        single = [column for column in pairs if column[0] != AVERAGE]
        chosen: list[tuple[tuple[str, str], ...]] = [(column,) for column in pairs if column[0] == AVERAGE]
        chosen += [some for count in range(1, len(single) + 1) for some in combinations(single, count)]
        named = ours == rule["ours"] and rival in rule["over"]
        for columns, (way, (fewest, sum_up)) in product(chosen, WAYS.items()):
            if len(columns) >= fewest:
                first, second = np.array([pairs[column] for column in columns]).T
                names = tuple(benchmark for benchmark, _ in columns)
                yield Reading(ours, rival, names, way, float(sum_up(first, second)), named)
