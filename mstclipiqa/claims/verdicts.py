"""The verdicts: every claim held against the runs of a suite, under each recipe and protocol."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, write_json
from mstclipiqa.base.layout import COMPARISONS, INTERVALS, SAMPLES, SPLITS
from mstclipiqa.base.layout import METRICS as METRICS_TABLE
from mstclipiqa.base.names import LEVELS
from mstclipiqa.claims.claim import DIM, Claim, Contrast
from mstclipiqa.claims.mechanisms import Evidence, judge_mechanism, read_evidence
from mstclipiqa.claims.paper import load_claims, read_paper
from mstclipiqa.claims.readings import try_readings
from mstclipiqa.claims.rules import (
    MINIATURE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    RULES,
    SLACK,
    SMALL_PAIR,
    UNTESTABLE,
    judge_gain,
    judge_number,
    judge_ordering,
)
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.model.recipes import Recipe, load_recipe

#: What names a cell, and a difference between two variants; of INTERVALS and COMPARISONS both.
CELL = ["benchmark", "target", "recipe", "variant", "protocol"]
PAIR = ["benchmark", "target", "recipe", "protocol", "variant", "against", "low", "high"]


def judge(claim: Claim, measured: float, low: float, high: float) -> tuple[str, str]:
    """The verdict on a claim's measured value, and the reason."""
    if claim.kind == "ordering":
        return judge_ordering(measured, low, high)
    by_kind = {"number": judge_number, "gain": judge_gain}[claim.kind]
    return by_kind(claim.number, measured, low, high, claim.margin)


@dataclass(frozen=True)
class Suite:
    """What a suite measured: `cells` are the rows of intervals.parquet of each protocol's main selection, by
    (benchmark, target, recipe, variant, protocol), with the `file` of their predictions; `pairs` the (low, high) of
    SRCC differences in comparisons.parquet by (benchmark, target, recipe, protocol, variant, against), none where
    undefined; `encoders` the identities behind each file; `leakage` the (leaking, all) test images by (benchmark,
    protocol); `evidence` what was measured beside the runs."""

    cells: dict[tuple, dict]
    pairs: dict[tuple, tuple[float, float]]
    encoders: dict[str, list[dict]]
    leakage: dict[tuple[str, str], tuple[int, int]]
    synthetic: frozenset[str]
    recipes: dict[str, Recipe]
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def protocols(self) -> list[str]:
        """The protocols that were run."""
        return sorted(self._have["protocol"])

    @cached_property
    def _have(self) -> dict[str, set[str]]:
        return {name: {key[k] for key in self.cells} for k, name in enumerate(CELL)}

    def lacks(self, needed: Iterable[tuple], recipe: str, protocol: str) -> str | None:
        """What of the cells (variant, benchmark, target) was not run, in words; None where nothing is missing."""
        have = self._have
        if recipe not in have["recipe"]:
            return f"recipe {recipe} is not in this suite"
        for variant, benchmark, target in needed:
            for name, value in (("benchmark", benchmark), ("variant", variant), ("protocol", protocol)):
                if value not in have[name]:
                    return f"{name} {value} is not in this suite"
            if (benchmark, target, recipe, variant, protocol) not in self.cells:
                return f"{variant} was not run on {benchmark}, {target}, by recipe {recipe}, {protocol}"
        return None


def read_suite(results: Path, recipes: Path | str) -> Suite:
    """Read what the claims are held against from `results/<suite>/`, and every recipe of a folder.

    Raises InputError where a file is missing or is not what it should be.
    """
    metrics = METRICS_TABLE.read(METRICS_TABLE.at(results))[0]
    intervals = INTERVALS.read(INTERVALS.at(results))[0]
    main = {name: describe_protocol(name)["selection"] for name in intervals["protocol"].unique()}
    intervals = intervals[intervals["selection"] == intervals["protocol"].map(main)]
    comparisons = COMPARISONS.read(COMPARISONS.at(results))[0].dropna(subset=["low", "high"])
    comparisons = comparisons[comparisons["selection"] == comparisons["protocol"].map(main)]
    pairs = {tuple(row[:-2]): row[-2:] for row in comparisons[PAIR].itertuples(index=False, name=None)}
    files = dict(zip(metrics[CELL].itertuples(index=False, name=None), metrics["file"], strict=True))
    cells = {}
    for row in intervals.to_dict("records"):
        key = tuple(row[name] for name in CELL)
        if key not in files:
            raise InputError(f"{INTERVALS.at(results)}: {'/'.join(key)} is not in metrics.parquet; run again")
        cells[key] = row | {"file": files[key]}
    benchmarks = sorted({key[0] for key in cells})
    runs = {file: read_table(results / file)[1] for file in sorted(set(files.values()))}
    synthetic = {name for name in benchmarks if read_table(SAMPLES.at(results, benchmark=name))[1]["synthetic"]}
    synthetic |= {run["benchmark"] for run in runs.values() if run["synthetic"]}
    leakage = {
        (name, protocol): tuple(sum(s[key] for s in splits) for key in ("test_images_with_prompt_in_train", "test"))
        for name in benchmarks
        for protocol, splits in read_table(SPLITS.at(results, benchmark=name))[1]["protocols"].items()
    }
    paths = sorted(Path(recipes).glob("*.yaml"))
    return Suite(
        cells=cells,
        pairs=pairs,
        encoders={file: list(run["encoders"].values()) for file, run in runs.items()},
        leakage=leakage,
        synthetic=frozenset(synthetic),
        recipes={path.stem: load_recipe(path) for path in paths},
        evidence=read_evidence(results),
    )


def decide(claims: list[Claim], document: dict, suite: Suite) -> list[dict]:
    """The verdicts: one row per claim, recipe and protocol; what no run is needed for has neither."""
    rows = []
    for claim in claims:
        if claim.found is not None:
            measured, verdict, reason = claim.found
            rows.append(_row(claim, measured=measured, verdict=verdict, reason=reason))
        elif claim.count:
            rows += [_count(claim, recipe) for recipe in suite.recipes.values()]
        elif claim.rule:
            rows += [_row(claim, **found) for found in judge_mechanism(claim, document, suite)]
        else:
            rows += _measure(claim, document, suite)
    return rows


def _row(claim: Claim, **found: object) -> dict:
    """A row of claims.json. `like_for_like` marks the one verdict of a claim under each recipe."""
    names = ("id", "kind", "group", "place", "statement", "reading", "unit", "claimed", "metric")
    empty: dict[str, object] = {"measured": None, "low": None, "high": None, "recipe": "", "protocol": ""}
    empty |= {"selection": "", "runs": 0, "leakage": None, "files": [], "like_for_like": True}
    return {name: getattr(claim, name) for name in names} | empty | found


def _count(claim: Claim, recipe: Recipe) -> dict:
    count = count_parameters(claim.count["variant"], recipe, tuple(claim.count.get("of", [""])))
    close = abs(count - claim.number) <= claim.margin
    reason = f"{count:,} counted" + (f", within ±{claim.margin:,}" if close else "")
    verdict = REPRODUCED if close else NOT_REPRODUCED
    return _row(claim, measured=count, recipe=recipe.name, verdict=verdict, reason=reason)


def count_parameters(variant: str, recipe: Recipe, of: tuple[str, ...]) -> int:
    """Trainable parameters of the variant on 512-dimensional features whose names begin with any of `of`."""
    import torch

    from mstclipiqa.model.build import build_model

    levels = torch.zeros(len(LEVELS), DIM)
    model = build_model(variant, recipe, DIM, DIM, levels, seed=0, fine_levels=levels)
    return sum(p.numel() for name, p in model.named_parameters() if p.requires_grad and name.startswith(of))


def _measure(claim: Claim, document: dict, suite: Suite) -> list[dict]:
    """The rows of a claim on measured numbers: the like-for-like protocol always, the others where they were run."""
    runs = [run for contrast in claim.contrasts for term in contrast.terms for run in term.runs]
    needed = list(dict.fromkeys(run[:3] for run in runs))
    main = document["like_for_like"]
    rows = []
    for recipe in suite.recipes:
        for protocol in [main, *(name for name in suite.protocols if name != main)]:
            common = {"recipe": recipe, "protocol": protocol, "like_for_like": protocol == main}
            common["selection"] = describe_protocol(protocol)["selection"]
            missing = suite.lacks(needed, recipe, protocol)
            # Drawn images stand for no benchmark, and their numbers stand beside no claim.
            if suite.synthetic & {benchmark for _, benchmark, _ in needed}:
                found = {"verdict": UNTESTABLE, "reason": MINIATURE}
            elif missing:
                found = {"verdict": NOT_RUN, "reason": missing}
            else:
                found = _estimate(claim, needed, recipe, protocol, document["encoders"], suite)
            if protocol == main or not (missing or found["reason"] == MINIATURE):
                rows.append(_row(claim, **common, **found))
    return rows


def _estimate(claim: Claim, needed: list[tuple], recipe: str, protocol: str, encoders: dict, suite: Suite) -> dict:
    def cell(variant: str, benchmark: str, target: str) -> dict:
        return suite.cells[benchmark, target, recipe, variant, protocol]

    def paired(behind: str, ahead: str, benchmark: str, target: str) -> tuple[float, float] | None:
        """The 95 % interval of how far one variant is ahead of another."""
        key = (benchmark, target, recipe, protocol)
        if (pair := suite.pairs.get((*key, ahead, behind))) is not None:
            return pair
        low, high = suite.pairs.get((*key, behind, ahead), (np.nan, np.nan))
        return None if np.isnan(low) else (-high, -low)

    used = [cell(*key) for key in needed]
    least = np.array([_interval(contrast, claim.metric, cell, paired) for contrast in claim.contrasts]).min(axis=0)
    measured, low, high = map(float, least)
    files = sorted({row["file"] for row in used})
    leaking, test = np.sum([suite.leakage[name, protocol] for name in sorted({key[1] for key in needed})], axis=0)
    identities = [identity for file in files for identity in suite.encoders[file]]
    theirs = all(
        identity["pretrained"]
        and identity["weights"] == encoders["weights"]
        and identity["model"].startswith(encoders["model"])
        for identity in identities
    )
    verdict, reason = judge(claim, measured, low, high) if theirs else (UNTESTABLE, SMALL_PAIR)
    return {
        "measured": measured,
        "low": None if np.isnan(low) else low,
        "high": None if np.isnan(high) else high,
        "runs": int(sum(row["runs"] for row in used)),
        "leakage": float(leaking / test),
        "files": files,
        "verdict": verdict,
        "reason": reason,
    }


def _interval(
    contrast: Contrast, metric: str, cell: Callable[..., dict], paired: Callable[..., tuple[float, float] | None]
) -> tuple[float, float, float]:
    """Value and 95 % interval of a contrast; a printed rival has no error.

    Where two variants are compared on one benchmark and target, their paired interval is taken, if there is one. All
    other errors are taken as independent, which makes an interval too wide for two models on the same images, and too
    narrow for an average over two targets of the same images.
    """
    value, errors = 0.0, []
    shares: dict[tuple, dict[str, float]] = {}
    for term in contrast.terms:
        if not term.runs:
            value += term.weight * term.printed
        for variant, *column, share in term.runs:
            of_column = shares.setdefault(tuple(column), {})
            of_column[variant] = of_column.get(variant, 0.0) + term.weight * share
    for place, weights in shares.items():
        rows = {variant: cell(variant, *place) for variant in weights}
        value += sum(weight * rows[variant][metric] for variant, weight in weights.items())
        behind, ahead = min(weights, key=weights.__getitem__), max(weights, key=weights.__getitem__)
        difference = metric == "srcc" and len(weights) == 2 and abs(sum(weights.values())) < SLACK
        pair = paired(behind, ahead, *place) if difference else None
        if pair:
            estimates = [(weights[ahead], rows[ahead][metric] - rows[behind][metric], *pair)]
        else:
            estimates = [
                (weight, rows[name][metric], rows[name][f"{metric}_low"], rows[name][f"{metric}_high"])
                for name, weight in weights.items()
            ]
        errors += [sorted((weight * (low - mean), weight * (high - mean))) for weight, mean, low, high in estimates]
    below, above = np.sqrt(np.sum(np.square(errors), axis=0)) if errors else (0.0, 0.0)
    return value, value - below, value + above


def claims_from_results(
    output: Path,
    claims: Path | str,
    paper_tables: Path | str,
    prior_results: Path | str,
    results: Path,
    recipes: Path | str,
) -> str:
    """As `claims_document`, into the JSON file `output`; returns how many claims have which verdict, in a line."""
    document = claims_document(claims, paper_tables, prior_results, results, recipes)
    write_json(output, document)
    counts = Counter(row["verdict"] for row in document["claims"] if row["like_for_like"])
    shown = ", ".join(f"{counts[verdict]} {verdict}" for verdict in RULES)
    return f"Verdicts under {document['like_for_like']}: {shown}"


def claims_document(
    claims: Path | str, paper_tables: Path | str, prior_results: Path | str, results: Path, recipes: Path | str
) -> dict:
    """What claims.json holds: the rows, and what their verdicts rest on. Raises InputError as its parts do."""
    paper = read_paper(claims, paper_tables, prior_results)
    document, expanded = paper.document, load_claims(claims, paper_tables, prior_results)
    suite = read_suite(Path(results), recipes)
    rows = decide(expanded, document, suite)
    keys = ("source", "like_for_like", "rules", "margins")
    return {key: document[key] for key in keys} | {
        "selection": describe_protocol(document["like_for_like"])["selection"],
        "recipes": {name: recipe.title for name, recipe in suite.recipes.items()},
        "verdicts": [{"verdict": verdict, "rule": rule} for verdict, rule in RULES.items()],
        "claims": rows,
        "readings": try_readings(paper, expanded),
    }
