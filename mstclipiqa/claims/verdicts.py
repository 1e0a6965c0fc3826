"""The verdicts: every claim held against the runs of a suite, under each recipe and protocol."""

import math
import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mstclipiqa.base.files import write_json
from mstclipiqa.base.names import LEVELS, STAND_IN
from mstclipiqa.claims.claim import DIM, Claim
from mstclipiqa.claims.estimates import Design, estimate_claim
from mstclipiqa.claims.mechanisms import judge_mechanism
from mstclipiqa.claims.paper import expand_claims, read_paper
from mstclipiqa.claims.readings import try_readings
from mstclipiqa.claims.rivals import rival_claims
from mstclipiqa.claims.rules import (
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    RULES,
    UNTESTABLE,
    judge_gain,
    judge_number,
    judge_ordering,
)
from mstclipiqa.claims.suite import CELL, Suite, other_encoders, read_suite
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.evaluation.paired_tests import holm
from mstclipiqa.model.recipes import Recipe, single_changes


def decide(claims: list[Claim], document: dict, suite: Suite) -> list[dict]:
    """The verdicts: one row per claim, recipe and protocol; what no run is needed for has neither.

    One row of every claim `counts`: the one that is most like its source. The others stand beside it.
    """
    rows: list[dict] = []
    like = document["like_for_like"]
    for claim in claims:
        if claim.found is not None:
            measured, verdict, reason = claim.found
            rows.append(_row(claim, measured=measured, verdict=verdict, reason=reason, counts=True))
        elif claim.count:
            rows += [_count(claim, recipe, document) for recipe in suite.recipes.values()]
        elif claim.rule:
            for found in judge_mechanism(claim, document, suite):
                rows.append(_row(claim, counts=found.get("recipe", like["recipe"]) == like["recipe"], **found))
        else:
            rows += _measure(claim, document, suite)
    _adjust(rows)
    for row in rows:
        if "verdict" not in row:
            row["verdict"], row["reason"] = _judge(row, document["margins"])
    return rows


def _row(claim: Claim, **found: object) -> dict:
    """A row of claims.json. Of one claim one row `counts`; `printed` is what the paper's own numbers give."""
    names = ("id", "kind", "group", "place", "statement", "reading", "unit", "claimed", "metric")
    printed = min((contrast.printed for contrast in claim.contrasts), default=None)
    empty: dict[str, object] = dict.fromkeys(("measured", "low", "high", "detectable", "p_above", "p_below", "leakage"))
    texts = dict.fromkeys(("recipe", "protocol", "selection", "noise"), "")
    empty |= {"printed": printed}
    return {name: getattr(claim, name) for name in names} | empty | texts | {"runs": 0, "seeds": 0, "files": []} | found


def _adjust(rows: list[dict]) -> None:
    """Replace the one-sided p of all orderings by two-sided ones, adjusted by Holm over those of one table, recipe and
    protocol."""
    families: dict[tuple, list[dict]] = {}
    for row in rows:
        if row["kind"] == "ordering" and row["p_above"] is not None:
            families.setdefault((row["place"], row["recipe"], row["protocol"]), []).append(row)
    for family in families.values():
        for name in ("p_above", "p_below"):
            adjusted = holm(np.minimum(1, 2 * np.array([row[name] for row in family])))
            for row, p in zip(family, adjusted.tolist(), strict=True):
                row[name] = p


def _judge(row: dict, margins: dict) -> tuple[str, str]:
    """The verdict on a measured row, and the reason."""
    names = ("low", "high", "detectable", "p_above", "p_below")
    low, high, detectable, above, below = (math.nan if row[name] is None else row[name] for name in names)
    claimed, measured = row["claimed"], row["measured"]
    if row["kind"] == "ordering":
        return judge_ordering(measured, above, below, detectable)
    if row["kind"] == "gain":
        return judge_gain(claimed, measured, low, high, margins["gain"], detectable)
    return judge_number(claimed, measured, low, high, margins[row["metric"]])


def _count(claim: Claim, recipe: Recipe, document: dict) -> dict:
    count = count_parameters(claim.count["variant"], recipe, tuple(claim.count.get("of", [""])))
    close = abs(count - claim.number) <= claim.margin
    reason = f"{count:,} counted" + (f", within ±{claim.margin:,}" if close else "")
    verdict = REPRODUCED if close else NOT_REPRODUCED
    counts = recipe.name == document["like_for_like"]["recipe"]
    return _row(claim, measured=count, recipe=recipe.name, verdict=verdict, reason=reason, counts=counts)


def count_parameters(variant: str, recipe: Recipe, of: tuple[str, ...]) -> int:
    """Trainable parameters of the variant on 512-dimensional features whose names begin with any of `of`."""
    import torch

    from mstclipiqa.model.build import build_model

    levels = torch.zeros(len(LEVELS), DIM)  # no meta tensors, which take a second to get ready
    model = build_model(variant, recipe, DIM, DIM, levels, seed=0, fine_levels=levels)
    return sum(p.numel() for name, p in model.named_parameters() if p.requires_grad and name.startswith(of))


def _measure(claim: Claim, document: dict, suite: Suite) -> list[dict]:
    """The rows of a claim on measured numbers: the like-for-like protocol always, the others where they were run."""
    runs = [run for contrast in claim.contrasts for term in contrast.terms for run in term.runs]
    needed = list(dict.fromkeys(run[:3] for run in runs))
    like = document["like_for_like"]
    rows = []
    for recipe in suite.recipes:
        for protocol in [like["protocol"], *(name for name in suite.protocols if name != like["protocol"])]:
            common = {"recipe": recipe, "protocol": protocol, "selection": describe_protocol(protocol)["selection"]}
            common["counts"] = (recipe, protocol) == (like["recipe"], like["protocol"])
            missing = suite.lacks(needed, recipe, protocol)
            found: dict[str, object]
            # Drawn images stand for no benchmark, and their numbers stand beside no claim.
            if suite.synthetic & {benchmark for _, benchmark, _ in needed}:
                found = {"verdict": UNTESTABLE, "reason": STAND_IN}
            elif missing:
                found = {"verdict": NOT_RUN, "reason": missing}
            else:
                same, one_run = protocol == like["protocol"], claim.kind != "ordering"
                found = _estimate(claim, needed, Design(recipe, protocol, same, one_run), document["encoders"], suite)
            if protocol == like["protocol"] or not (missing or found.get("reason") == STAND_IN):
                rows.append(_row(claim, **common, **found))
    if claim.differs:
        return [_of_another_model(row, claim.differs) for row in rows if row.get("verdict") != NOT_RUN]
    return rows


def _of_another_model(row: dict, differs: str) -> dict:
    """A row of another method's printed number: no verdict, as the head on frozen features is not that method."""
    said = row["reason"] if "reason" in row else f"{row['measured'] - row['claimed']:+.4f} from the printed number"
    return row | {"counts": False, "verdict": UNTESTABLE, "reason": f"{said}; another model: {differs}"}


def _estimate(claim: Claim, needed: list[tuple], design: Design, encoders: dict, suite: Suite) -> dict:
    """What a row says of a claim that was measured; no verdict yet where the encoders are the paper's."""
    used = [suite.cells[name, target, design.recipe, variant, design.protocol] for variant, name, target in needed]
    estimate = estimate_claim(claim, suite, design)
    files = sorted({cell.file for cell in used})
    found = {name: None if math.isnan(value := getattr(estimate, name)) else value for name in ("low", "high")}
    found |= {
        "measured": estimate.value,
        "detectable": None if math.isnan(estimate.detectable) else estimate.detectable,
        "noise": estimate.noise,
        "runs": sum(len(cell.runs) for cell in used),
        "seeds": min(cell.runs.index.get_level_values("seed").nunique() for cell in used),
        "leakage": suite.leakage(sorted({key[1] for key in needed}), design.protocol),
        "files": files,
    }
    if claim.kind == "ordering" and not math.isnan(estimate.above):
        found |= {"p_above": estimate.above, "p_below": estimate.below}
    others = other_encoders((identity for file in files for identity in suite.encoders[file]), encoders)
    return found | {"verdict": UNTESTABLE, "reason": others} if others else found


def claims_from_results(
    output: Path,
    claims: Path | str,
    paper_tables: Path | str,
    prior_results: Path | str,
    results: Path,
    recipes: Path | str,
    evidence: Sequence[Path] = (),
) -> str:
    """As `claims_document`, into the JSON file `output`; returns how many claims have which verdict, in a line. The
    `evidence` are paths of files in `results`; without any, all that lie there."""
    files = {os.path.relpath(path, results) for path in evidence} or None
    document = claims_document(claims, paper_tables, prior_results, results, recipes, files)
    write_json(output, document)
    counts = Counter(row["verdict"] for row in document["claims"] if row["counts"])
    shown = ", ".join(f"{counts[verdict]} {verdict}" for verdict in RULES)
    return f"{sum(counts.values())} claims: {shown}"


def judged_recipes(asked: Sequence[str], suite: Suite) -> dict[str, Recipe]:
    """The recipes that claims are judged under: those that are `asked` for, and those of the suite's runs, but for one
    that changes one value of another. It is an experiment of ours, and the report shows what it moves."""
    run = {key[CELL.index("recipe")] for key in suite.cells}
    values = {name: suite.recipes[name].values for name in [*asked, *sorted(run)] if name in suite.recipes}
    judged = {*asked, *values} - {change.changed for change in single_changes(values) if change.changed not in asked}
    return {name: recipe for name, recipe in suite.recipes.items() if name in judged}


def claims_document(
    claims: Path | str,
    paper_tables: Path | str,
    prior_results: Path | str,
    results: Path,
    recipes: Path | str,
    evidence: Collection[str] | None = None,
) -> dict:
    """What claims.json holds: the rows, and what their verdicts rest on; of what was measured beside the runs the files
    `evidence`, as `read_evidence` takes them. Raises InputError as its parts do."""
    paper = read_paper(claims, paper_tables, prior_results)
    document, expanded = paper.document, expand_claims(paper, claims)
    suite = read_suite(Path(results), recipes, evidence)
    expanded += rival_claims(paper, claims, {key[CELL.index("variant")] for key in suite.cells})
    suite = replace(suite, recipes=judged_recipes(document["recipes"], suite))
    rows = decide(expanded, document, suite)
    keys = ("source", "like_for_like", "rules", "margins")
    return {key: document[key] for key in keys} | {
        "selection": describe_protocol(document["like_for_like"]["protocol"])["selection"],
        "recipes": {name: recipe.title for name, recipe in suite.recipes.items()},
        "verdicts": [{"verdict": verdict, "rule": rule} for verdict, rule in RULES.items()],
        "claims": rows,
        "readings": try_readings(paper, expanded),
    }
