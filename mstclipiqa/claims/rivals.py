"""Printed numbers of other methods, to stand beside what their heads measure on frozen features."""

import math
from collections.abc import Collection, Iterator

from mstclipiqa.base.errors import InputError
from mstclipiqa.claims.claim import METRICS, Claim, Contrast, Paper, Term
from mstclipiqa.model.variants import get_variant

GROUP = "Heads of other methods"


def rival_claims(paper: Paper, source: object, ran: Collection[str]) -> list[Claim]:
    """A claim for each number that the paper prints of the method of a rival variant among `ran`, and for each that its
    own authors published; `source` is the file that errors name. Raises InputError for an unknown variant, and where a
    table has no such method."""
    claims = []
    for variant, rival in paper.document.get("rivals", {}).items():
        get_variant(variant)
        for table, method in rival["printed"].items():
            if method not in paper.methods(table):
                raise InputError(f"{source}: rivals.{variant}: Table {table} has no method {method!r}")
        if variant in ran:
            claims += [_claim(paper, variant, rival, *number) for number in _numbers(paper, rival)]
    return claims


def _numbers(paper: Paper, rival: dict) -> Iterator[tuple[str, tuple[str, str], str, float]]:
    """Where a number of a rival is published, its (benchmark, target), the metric, and the number."""
    for (table, method, benchmark, target, metric), value in paper.numbers.items():
        if rival["printed"].get(table) == method:
            yield f"Table {table}", (benchmark, target), metric, value
    if "source" in rival:
        prior = paper.prior[paper.prior["method"] == rival["method"]]
        for row in prior[prior["source"].str.contains(rival["source"], regex=False)].to_dict("records"):
            for metric in METRICS:
                if not math.isnan(row[metric]):
                    yield row["source"], (row["benchmark"], row["target"]), metric, row[metric]


def _claim(
    paper: Paper, variant: str, rival: dict, place: str, column: tuple[str, str], metric: str, value: float
) -> Claim:
    where = "/".join(column)
    table = place.removeprefix("Table ") if place.startswith("Table ") else "own"
    return Claim(
        id="/".join(["rivals", table, variant, where, metric]),
        kind="number",
        group=GROUP,
        place=place,
        statement=f"{rival['method']} ({variant}) reaches {metric.upper()} {value:.4f} on {', '.join(column)}.",
        reading=f"{variant} is not the method: {rival['differs']}.",
        unit="correlation",
        claimed=value,
        metric=metric,
        margin=paper.document["margins"][metric],
        contrasts=(Contrast("", (Term(1, value, ((variant, *column, 1.0),)),)),),
        differs=rival["differs"],
    )
