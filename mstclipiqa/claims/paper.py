"""The paper's claims: config/claims.yaml and the printed numbers -> claims, and what the printed numbers alone decide.

The contrasts of a claim are decided twice: on the printed numbers, which needs no run and finds where the paper
contradicts itself, and on the measured ones (claims/verdicts).
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mstclipiqa.base.documents import SCHEMAS, read_yaml, validate
from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.claims.claim import AVERAGE, METRICS, POINTS_ROUNDING, ROUNDING, Claim, Contrast, Paper
from mstclipiqa.claims.elsewhere import judge_another_split, judge_elsewhere
from mstclipiqa.claims.rules import CONSISTENT, CONTRADICTED, SLACK, UNTESTABLE
from mstclipiqa.data.prior_results import read_prior_results
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.model.variants import get_variant

CLAIMS_SCHEMA = SCHEMAS / "claims.schema.yaml"

PRINTED = ["table", "method", "benchmark", "target", "metric", "value"]


# The claims


def load_claims(claims: Path | str, paper_tables: Path | str, prior_results: Path | str) -> list[Claim]:
    """Every claim: one for each printed number of the paper's own models, then those of the statements.

    Raises InputError for a document that its schema refuses, and for an unknown variant, method or protocol.
    """
    return expand_claims(read_paper(claims, paper_tables, prior_results), claims)


def expand_claims(paper: Paper, source: Path | str) -> list[Claim]:
    """As `load_claims`, of a paper that is read; `source` is the file that its errors name."""
    expanded = _numbers(paper)
    for statement in paper.document["statements"]:
        ((kind, rule),) = statement["rule"].items()
        common = {key: statement[key] for key in ("id", "place", "statement", "reading")}
        template = Claim(**common, group=statement["title"], kind=kind, unit="")
        expanded += EXPAND[kind](template, rule, paper)
    repeated = pd.Series([claim.id for claim in expanded])
    if repeated.duplicated().any():
        raise InputError(f"{source}: the id {repeated[repeated.duplicated()].iloc[0]} stands twice; rename one")
    return expanded


def read_paper(claims: Path | str, paper_tables: Path | str, prior_results: Path | str) -> Paper:
    """The claims' document and the printed numbers, checked against each other, and what others published. Raises
    InputError."""
    document = read_yaml(claims)
    validate(document, CLAIMS_SCHEMA, claims)
    describe_protocol(document["like_for_like"]["protocol"])
    try:
        printed = pd.read_csv(paper_tables)[PRINTED]
    except PermissionError:
        raise no_rights(paper_tables) from None
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{paper_tables}: not a table of printed numbers ({' '.join(str(error).split())}); restore it"
        ) from None
    if printed.duplicated(PRINTED[:-1]).any() or not pd.api.types.is_float_dtype(printed["value"]):
        raise InputError(f"{paper_tables}: a number stands twice or is none; restore it")
    numbers = {tuple(row[:-1]): row[-1] for row in printed.itertuples(index=False)}
    paper = Paper(document, numbers, read_prior_results(prior_results), Path(paper_tables))
    for table, entry in document["tables"].items():
        for method, variant in entry["methods"].items():
            get_variant(variant)
            if method not in paper.methods(table):
                raise InputError(f"{claims}: tables.{table}: {paper_tables} has no method {method!r}")
    return paper


def _numbers(paper: Paper) -> list[Claim]:
    expanded = []
    for (table, method, benchmark, target, metric), value in paper.numbers.items():
        variant = paper.variant(table, method)
        if variant is None:
            continue
        average = benchmark == AVERAGE
        over = ", ".join("/".join(part) for part in paper.parts(table, (benchmark, target)))
        where = "on average" if average else f"on {benchmark}, {target}"
        expanded.append(
            Claim(
                id=_id(table, method, "average" if average else f"{benchmark}/{target}", metric),
                kind="number",
                group=f"Table {table}: {paper.document['tables'][table]['title']}",
                place=f"Table {table}",
                statement=f"{method} ({variant}) reaches {metric.upper()} {value:.4f} {where}.",
                reading=f"On average: over {over}." if average else "The variant in brackets stands for the method.",
                unit="correlation",
                claimed=value,
                metric=metric,
                margin=paper.document["margins"][metric],
                contrasts=(Contrast("", (paper.term(1, table, method, (benchmark, target), metric),)),),
            )
        )
    return expanded


def _id(*parts: str) -> str:
    return "/".join(part.replace(" ", "-") for part in parts)


def _detailed(template: Claim, *details: str) -> str:
    return f"{template.statement.rstrip('.')} ({', '.join(details)})."


def _twice(claim: Claim, judged: tuple[str, str]) -> list[Claim]:
    """The claim on measured numbers, and the same on the paper's own."""
    printed = min(contrast.printed for contrast in claim.contrasts)
    found = (printed, *judged)
    return [claim, replace(claim, id=f"{claim.id}/printed", kind="arithmetic", found=found)]


def _gain(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims of a gain in points, per metric."""
    table, ours = rule["table"], rule["ours"]
    columns = [column for column in paper.columns(table) if (column[0] == AVERAGE) == rule.get("average", False)]
    expanded = []
    for metric, claimed in rule["claimed"].items():
        contrasts = tuple(
            _difference(paper, rival, metric, [(table, ours, rival, column) for column in columns], scale=100)
            for rival in rule["over"]
        )
        claim = replace(
            template, id=_id(template.id, metric), statement=_detailed(template, metric.upper()), unit="points",
            claimed=claimed, metric=metric, margin=paper.document["margins"]["gain"], contrasts=contrasts,
        )  # fmt: skip
        expanded += _twice(claim, judge_printed_gain(claim))
    return expanded


def _difference(
    paper: Paper, label: str, metric: str, pairs: list[tuple[str, str, str, tuple]], scale: float = 1.0
) -> Contrast:
    """The mean over (table, method, rival, column) of method less rival."""
    terms = [
        paper.term(sign * scale / len(pairs), table, name, column, metric)
        for table, method, rival, column in pairs
        for sign, name in ((1, method), (-1, rival))
    ]
    return Contrast(label, tuple(terms))


def judge_printed_gain(claim: Claim) -> tuple[str, str]:
    """Whether the printed numbers give the printed gain, within what rounding of all of them can do."""
    values = {contrast.label: contrast.printed for contrast in claim.contrasts}
    possible = 100 * 2 * ROUNDING + POINTS_ROUNDING
    if abs(min(values.values()) - claim.number) <= possible + SLACK:
        return CONSISTENT, "the paper's own tables give it"
    shown = ", ".join(f"{value:+.2f} over {label}" for label, value in values.items())
    return CONTRADICTED, f"the paper's own tables say {shown}"


def _ordering(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims that methods stand in ranks, per table, method of the first rank, column and metric."""
    best, *lower = rule["ranks"]
    expanded = []
    for table, first, metric in product(rule["tables"], best, METRICS):
        for column in paper.columns(table):
            ranks = [[first], *(paper.rivals(table, column, metric) if rank == "others" else rank for rank in lower)]
            contrasts = tuple(
                replace(_difference(paper, rival, metric, [(table, method, rival, column)]), ahead=method)
                for above, below in pairwise(ranks)
                for method, rival in product(above, below)
            )
            where = AVERAGE if column[0] == AVERAGE else "/".join(column)
            name = _id(template.id, table, *([first] if len(best) > 1 else []), where, metric)
            claim = replace(
                template, id=name, kind="ordering", unit="margin", metric=metric, contrasts=contrasts,
                place=f"Table {table}", statement=_detailed(template, first, where, metric.upper()),
            )  # fmt: skip
            expanded += _twice(claim, judge_printed_ordering(claim))
    return expanded


def _largest(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims that a gain is larger for one target than for each other, per metric."""
    expanded = []
    for metric in METRICS:
        pairs: dict[str, list] = {}
        for table in rule["tables"]:
            for column in paper.columns(table):
                pairs.setdefault(column[1], []).append((table, rule["ours"], rule["base"], column))
        if rule["target"] not in pairs:
            raise InputError(f"{template.id}: tables {', '.join(rule['tables'])} have no column of {rule['target']}")
        ours = _difference(paper, "", metric, pairs.pop(rule["target"]))
        contrasts = tuple(
            Contrast(target, ours.terms + _difference(paper, "", metric, others, scale=-1).terms, rule["target"])
            for target, others in pairs.items()
        )
        claim = replace(
            template, id=_id(template.id, metric), kind="ordering", unit="margin", metric=metric, contrasts=contrasts,
            statement=_detailed(template, metric.upper()),
        )  # fmt: skip
        expanded += _twice(claim, judge_printed_ordering(claim))
    return expanded


def judge_printed_ordering(claim: Claim) -> tuple[str, str]:
    """Whether the printed numbers are in the claimed order, strictly."""
    above = [f"{c.label} {-c.printed:.4f} above {c.ahead}" for c in claim.contrasts if c.printed < -SLACK]
    tied = [f"{c.label} equal to {c.ahead}" for c in claim.contrasts if abs(c.printed) <= SLACK]
    if not above and not tied:
        return CONSISTENT, "the paper's own tables give it"
    said = ", ".join([*above, *tied])
    return CONTRADICTED, f"the paper's own tables say {said}"


def _elsewhere(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims that the better of several methods is above all that others published, per table, column and metric."""
    expanded = []
    for table, metric in product(rule["tables"], METRICS):
        for column in paper.columns(table):
            printed = max(paper.number(table, method, column, metric) for method in rule["first"])
            found = judge_elsewhere(
                paper.prior, column, metric, printed, rule["first"], paper.document["like_for_like"]["protocol"]
            )
            expanded.append(_printed_margin(template, [table, "/".join(column)], metric, found))
    return expanded


def _another_split(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims that a printed gain is more than another split could make, per method, column and metric."""
    table, rival = rule["table"], rule["over"]
    expanded = []
    for method, column, metric in product(rule["first"], paper.columns(table), METRICS):
        gain = _difference(paper, rival, metric, [(table, method, rival, column)]).printed
        found = judge_another_split(paper.prior, column, metric, rival, gain)
        expanded.append(_printed_margin(template, [method, "/".join(column)], metric, found))
    return expanded


def _printed_margin(template: Claim, details: list[str], metric: str, found: tuple) -> Claim:
    """A claim of a margin that published numbers alone decide."""
    return replace(
        template, id=_id(template.id, *details, metric), kind="arithmetic", unit="margin", metric=metric, found=found,
        statement=_detailed(template, *details, metric.upper()),
    )  # fmt: skip


def _zero_shot(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """The printed numbers of a rival that is not trained, per column and metric."""
    table, method = rule["table"], rule["method"]
    return [
        _mechanism(
            replace(
                template, id=_id(template.id, "/".join(column), metric), metric=metric, place=f"Table {table}",
                statement=_detailed(template, "/".join(column), metric.upper()),
                claimed=paper.number(table, method, column, metric), margin=paper.document["margins"][metric],
            ),
            rule | {"column": column},
        )
        for column, metric in product(paper.columns(table), METRICS)
    ]  # fmt: skip


def _mechanism(template: Claim, rule: dict) -> Claim:
    return replace(template, kind="mechanism", rule={template.kind: rule}, unit=UNITS[template.kind])


def _mechanisms(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """A claim that what is measured beside the runs decides, per benchmark where the rule names several."""
    for variant in rule.keys() & {"variant", "of", "over"}:
        get_variant(rule[variant])
    if "benchmarks" not in rule:
        return [_mechanism(template, rule)]
    return [
        _mechanism(
            replace(template, id=_id(template.id, name), statement=_detailed(template, name)),
            rule | {"benchmark": name},
        )
        for name in rule["benchmarks"]
    ]


def _averages(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """Claims that printed averages are the means of the printed columns."""
    expanded = []
    for table, metric in product(rule["tables"], METRICS):
        column = (AVERAGE, AVERAGE)
        for method in paper.document["tables"][table]["methods"]:
            found: tuple[float | None, str, str]
            parts = {part: paper.value(table, method, part, metric) for part in paper.parts(table, column)}
            missing = ["/".join(part) for part, value in parts.items() if value is None]
            if missing:
                found = (None, UNTESTABLE, f"the parts are not printed: {', '.join(missing)}")
            else:
                mean = float(np.mean(list(parts.values())))
                agree = abs(mean - paper.number(table, method, column, metric)) <= 2 * ROUNDING + SLACK
                reason = "the paper's own tables give it" if agree else f"the paper's own tables say {mean:.4f}"
                found = (mean, CONSISTENT if agree else CONTRADICTED, reason)
            expanded.append(
                replace(
                    template,
                    id=_id(template.id, table, method, metric),
                    kind="arithmetic",
                    place=f"Table {table}",
                    statement=f"The average {metric.upper()} of {method} is that of its columns.",
                    unit="correlation",
                    claimed=paper.value(table, method, column, metric),
                    metric=metric,
                    found=found,
                )  # fmt: skip
            )
    return expanded


def _repeats(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """The claim that what is printed in several tables is the same in each."""
    printed: dict[tuple, list[float]] = {}
    for (table, method, benchmark, target, metric), value in paper.numbers.items():
        if variant := paper.variant(table, method):
            printed.setdefault((variant, benchmark, target, metric), []).append(value)
    repeated = {key: values for key, values in printed.items() if len(values) > 1}
    differing = ["/".join(key) for key, values in repeated.items() if len(set(values)) > 1]
    found = (
        len(repeated) - len(differing),
        CONTRADICTED if differing else CONSISTENT,
        f"the paper's own tables differ: {', '.join(differing)}" if differing else "the paper's own tables agree",
    )
    return [replace(template, kind="arithmetic", unit="count", claimed=len(repeated), found=found)]


def _arithmetic(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """A printed sum or quotient; one decimal is printed."""
    value = sum(rule["sum"]) if "sum" in rule else rule["quotient"][0] / rule["quotient"][1]
    agree = abs(value - rule["claimed"]) <= 0.05 + SLACK
    reason = "the paper's own numbers give it" if agree else f"the paper's own numbers say {value:.2f}"
    found = (value, CONSISTENT if agree else CONTRADICTED, reason)
    return [replace(template, unit="number", claimed=rule["claimed"], found=found)]


def _parameters(template: Claim, rule: dict, paper: Paper) -> list[Claim]:
    """A count of parameters, taken under each recipe."""
    get_variant(rule["variant"])
    margin = paper.document["margins"]["parameters"]
    return [replace(template, unit="parameters", claimed=rule["claimed"], margin=margin, count=rule)]


def _untestable(template: Claim, rule: str, paper: Paper) -> list[Claim]:
    """A statement that nothing decides."""
    return [replace(template, found=(None, UNTESTABLE, rule))]


#: In what the quantity of a mechanism is, by the kind of its rule.
UNITS = {
    "zero_shot": "correlation", "readout": "margin", "blind": "share", "adaptive": "margin", "overhead": "per cent",
    "kinds": "difference",
}  # fmt: skip

#: By the kind of a rule: (template, rule, paper) -> claims. A rule is what the document has: a mapping, or a text.
EXPAND: dict[str, Callable[[Claim, Any, Paper], list[Claim]]] = {
    "gain": _gain, "ordering": _ordering, "largest": _largest, "averages": _averages, "repeats": _repeats,
    "elsewhere": _elsewhere, "another_split": _another_split, "arithmetic": _arithmetic, "parameters": _parameters,
    "zero_shot": _zero_shot, **dict.fromkeys(["readout", "blind", "adaptive", "overhead", "kinds"], _mechanisms),
    "untestable": _untestable,
}  # fmt: skip
