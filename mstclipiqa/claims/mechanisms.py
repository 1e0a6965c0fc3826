"""Verdicts on what the paper says of how its models work: the streams, the gate, the cost, the kinds of generators; and
on the zero-shot rival that it prints.

What is measured beside the runs decides: the probe, the costs, SRCC by generator, the rivals without a head. A verdict
needs an interval, or a quantity that is exact. A vague sentence is decided by the reading and threshold of its rule.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mstclipiqa.base.layout import BASELINES, EFFICIENCY, GATES, GENERATORS, READOUT, ResultsFile
from mstclipiqa.base.names import STAND_IN
from mstclipiqa.claims.claim import Claim
from mstclipiqa.claims.rules import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    SLACK,
    UNTESTABLE,
    judge_above,
)
from mstclipiqa.claims.suite import Suite, name_others, other_encoders
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.evaluation.noise import Noise

NORMAL = float(stats.norm.ppf(0.975))
CERTAIN = 1 - 1e-12  # a correlation of 1 has no z


Found = dict[str, Any]
#: A value and its 95 % interval: (value, low, high).
Interval = tuple[float, float, float]
#: Drawn images stand beside no claim.
DRAWN: Found = {"verdict": UNTESTABLE, "reason": STAND_IN}


def judge_mechanism(claim: Claim, document: dict, suite: Suite) -> list[Found]:
    """What is found of a claim: columns of claims.json, under each recipe, or once where no recipe matters. `document`
    is that of the claims: what encoders must be, which protocol counts."""
    ((kind, rule),) = claim.rule.items()
    if kind == "zero_shot":
        return [_judge_zero_shot(claim, rule, document, suite)]
    rows = []
    for recipe in suite.recipes:
        missing = suite.lacks([], recipe, document["like_for_like"]["protocol"])
        absent = {"verdict": NOT_RUN, "reason": missing}
        rows.append({"recipe": recipe} | (absent if missing else _judge(kind, rule, recipe, document, suite)))
    return rows


def _judge(kind: str, rule: dict, recipe: str, document: dict, suite: Suite) -> Found:
    if kind in PROBED:
        return _judge_probe(kind, rule, recipe, document, suite)
    return {"overhead": _judge_overhead, "kinds": _judge_kinds}[kind](rule, recipe, document, suite)


def _decided(others: str, measured: Found, verdict: tuple[str, str]) -> Found:
    """What was measured, with its verdict where no `others` than the paper's encoders were used."""
    name, reason = (UNTESTABLE, others) if others else verdict
    return measured | {"verdict": name, "reason": reason}


def _missing(what: str) -> Found:
    return {"verdict": NOT_RUN, "reason": f"{what} is not in this suite"}


# The rival that needs no training


def _judge_zero_shot(claim: Claim, rule: dict, document: dict, suite: Suite) -> Found:
    """A printed number of a rival that is not trained: given the images and the encoder it is exact."""
    protocol, (benchmark, target) = document["like_for_like"]["protocol"], rule["column"]
    common = {"protocol": protocol}  # and no selection: there are no epochs
    if benchmark in suite.synthetic:
        return common | DRAWN
    if (found := suite.evidence.find(BASELINES, benchmark=benchmark)) is None:
        return common | _missing(f"benchmark {benchmark}")
    path, table, metadata = found
    chosen = (table["source"] == rule["method"]) & (table["target"] == target) & (table["protocol"] == protocol)
    rows = table[chosen]
    if rows.empty:
        return common | _missing(f"{rule['method']} on {benchmark}, {target}, {protocol}")
    measured = float(rows[claim.metric].mean())
    low, high = correlation_interval(measured, int(rows["n"].min()))
    others = other_encoders([metadata["encoders"]["paired"]], document["encoders"])
    shown = {"measured": measured, "low": low, "high": high, "files": [path]}
    verdict = judge_exact(claim.number, measured, low, high, claim.margin)
    return common | _decided(others, shown, verdict)


def correlation_interval(value: float, images: int) -> tuple[float, float]:
    """95 % interval of a rank correlation over a sample of images, by Fisher's z with the standard error of Bonett and
    Wright (Psychometrika 65, 2000), sqrt((1 + r^2 / 2) / (n - 3))."""
    z = np.arctanh(np.clip(value, -CERTAIN, CERTAIN))
    reach = NORMAL * np.sqrt((1 + value**2 / 2) / (images - 3))
    return float(np.tanh(z - reach)), float(np.tanh(z + reach))


def judge_exact(claimed: float, measured: float, low: float, high: float, margin: float) -> tuple[str, str]:
    """The verdict on a number that has no error on the same images; [low, high] is what other images could give."""
    shown = f"{measured - claimed:+.4f} from the claim"
    if abs(measured - claimed) <= margin + SLACK:
        return REPRODUCED, f"{shown}, within ±{margin:g}; nothing is trained"
    if low <= claimed <= high:
        return INCONCLUSIVE, f"{shown}, which other test images could explain"
    return NOT_REPRODUCED, f"{shown}, more than other test images could explain"


# The streams and the gate, of the probe


def _judge_probe(kind: str, rule: dict, recipe: str, document: dict, suite: Suite) -> Found:
    """A statement on the streams or the gate, by the probe of a recipe."""
    entry, weigh = PROBED[kind]
    if (probe := suite.evidence.find(entry, recipe=recipe)) is None:
        return _missing(f"a probe of {recipe}")
    path, table, metadata = probe
    if metadata["benchmark"] in suite.synthetic:
        return DRAWN
    (measured, low, high), verdict = weigh(table, rule, metadata)
    shown = {"measured": measured, "low": low, "high": high, "files": [path]}
    return _decided(other_encoders(metadata["encoders"].values(), document["encoders"]), shown, verdict)


def weigh_streams(table: pd.DataFrame, rule: dict, metadata: dict) -> tuple[Interval, tuple[str, str]]:
    """One stream is to carry a kind of factor better than the other: mean over its factors of READOUT."""
    values = table[table["kind"] == rule["kind"]].pivot(index="split", columns=["features", "factor"], values="value")
    ahead = fold_interval((values[rule["ahead"]] - values[rule["behind"]]).mean(axis=1))
    return ahead, judge_above(*ahead)


def weigh_blindness(table: pd.DataFrame, rule: dict, metadata: dict) -> tuple[Interval, tuple[str, str]]:
    """A stream is to carry nothing of a kind of factor: at most a share of the way from chance to perfect, READOUT."""
    rows = table[(table["kind"] == rule["kind"]) & (table["features"] == rule["features"])]
    shares = (rows["value"] - rows["chance"]) / (1 - rows["chance"])
    share = fold_interval(shares.groupby(rows["split"]).mean())
    return share, judge_at_most(rule["most"], *share)


def weigh_adaptivity(table: pd.DataFrame, rule: dict, metadata: dict) -> tuple[Interval, tuple[str, str]]:
    """Artefacts are to move the trained gates by something, and by more than they move the untrained ones, GATES."""
    moved = table[table["artefact"] != "none"].groupby("state")[["movement", "movement_sd"]].mean()
    # All artefacts are on the same scenes: the error of their mean is at most the mean of their errors.
    reach = NORMAL * moved["movement_sd"] / np.sqrt(metadata["spoiled"])
    trained, initial = moved.loc["trained", "movement"], moved.loc["initial", "movement"]
    contrasts = [(trained - rule["least"], reach["trained"]), (trained - initial, reach["trained"] + reach["initial"])]
    measured, low, high = np.min([(value, value - half, value + half) for value, half in contrasts], axis=0).tolist()
    verdict, reason = judge_above(measured, low, high)
    moves = f"artefacts move the gates by {trained:.4f} after training, {initial:.4f} before"
    return (measured, low, high), (verdict, f"{reason}; {moves}")


def fold_interval(values: pd.Series) -> Interval:
    """Mean and 95 % interval of a value by fold of a cross-validation. Folds share what they are trained on: their
    variance counts 1/K + 1/(K - 1) times, as test to training images (Nadeau and Bengio, Machine Learning 52, 2003)."""
    count, mean = len(values), float(values.mean())
    noise = Noise((("folds", (1 / count + 1 / (count - 1)) * values.var(ddof=1), count - 1),))
    return mean, *noise.interval(mean)


def judge_at_most(most: float, measured: float, low: float, high: float) -> tuple[str, str]:
    """The verdict on a quantity that is claimed to be at most `most`."""
    if high <= most + SLACK:
        return REPRODUCED, f"the whole interval is at most {most:g}"
    if low > most:
        return NOT_REPRODUCED, f"the whole interval is above {most:g}"
    return INCONCLUSIVE, f"{measured:.4f}; the interval reaches to both sides of {most:g}"


# Costs, which are counted


def _judge_overhead(rule: dict, recipe: str, document: dict, suite: Suite) -> Found:
    """One variant is to cost little more than another. How much is little is not said: up to a share anyone would call
    it so, above another nobody would, and between them nothing is decided."""
    if (found := suite.evidence.find(EFFICIENCY)) is None:
        return _missing("a table of costs")
    path, table, metadata = found
    of_recipe = table[table["recipe"] == recipe].set_index("variant")[rule["column"]]
    for variant in (rule["of"], rule["over"]):
        if variant not in of_recipe:
            return _missing(f"variant {variant} of {recipe}")
    more = 100 * (float(of_recipe[rule["of"]] / of_recipe[rule["over"]]) - 1)
    little, much = (100 * rule[bound] for bound in ("little", "much"))
    # What is counted depends on the encoders' sizes, not on their weights, nor on any image.
    models = tuple(document["encoders"]["files"])
    others = name_others(label for label in metadata["encoders"].values() if not label.startswith(models))
    verdict = REPRODUCED if more <= little + SLACK else NOT_REPRODUCED if more > much else INCONCLUSIVE
    shown = f"{of_recipe[rule['of']]:,.10g} for {of_recipe[rule['over']]:,.10g} counted"
    if verdict == INCONCLUSIVE:
        shown += f"; between {little:g} and {much:g} % more, where what is little is a matter of words"
    return _decided(others, {"measured": more, "files": [path]}, (verdict, shown))


# Kinds of generators


def _judge_kinds(rule: dict, recipe: str, document: dict, suite: Suite) -> Found:
    """SRCC is to be alike within two kinds of generators."""
    protocol = document["like_for_like"]["protocol"]
    common = {"protocol": protocol, "selection": describe_protocol(protocol)["selection"]}
    benchmark, (first, second) = rule["benchmark"], rule["kinds"]
    if benchmark in suite.synthetic:
        return common | DRAWN
    if (found := suite.evidence.find(GENERATORS)) is None:
        return common | _missing("a table by generator")
    path, table, _ = found
    key = {"benchmark": benchmark, "target": rule["target"], "recipe": recipe, "variant": rule["variant"]}
    key |= {"level": "kind", "protocol": protocol}
    rows = table[(table[list(key)] == pd.Series(key)).all(axis=1)].dropna(subset=["srcc"]).set_index("name")
    for kind in (first, second):
        if kind not in rows.index:
            return common | _missing(f"{rule['variant']} on enough {kind} images of {benchmark}, {protocol},")
    (one, *of_one), (other, *of_other) = (
        (float(row["srcc"]), *correlation_interval(row["srcc"], int(row["n_test"])))
        for row in (rows.loc[first], rows.loc[second])
    )
    # Different images: the errors of the two are independent.
    measured = one - other
    low = measured - float(np.hypot(one - of_one[0], of_other[1] - other))
    high = measured + float(np.hypot(of_one[1] - one, other - of_other[0]))
    shown = {"measured": measured, "low": low, "high": high, "files": [path], "runs": int(rows.loc[first, "runs"])}
    verdict, reason = judge_alike(rule["margin"], measured, low, high)
    reason = f"{reason}; {one:.4f} within {first}, {other:.4f} within {second}"
    cell = suite.cells[benchmark, rule["target"], recipe, rule["variant"], protocol]
    others = other_encoders(suite.encoders[cell.file], document["encoders"])
    return common | _decided(others, shown, (verdict, reason))


def judge_alike(margin: float, measured: float, low: float, high: float) -> tuple[str, str]:
    """The verdict on a difference that is claimed to be none: two one-sided tests against ±`margin`."""
    if -margin - SLACK <= low and high <= margin + SLACK:
        return REPRODUCED, f"the whole interval within ±{margin:g}"
    if low > margin or high < -margin:
        return NOT_REPRODUCED, f"the whole interval beyond ±{margin:g}"
    return INCONCLUSIVE, f"the interval reaches beyond ±{margin:g} and does not exclude it"


#: By the kind of a rule on the probe: its table, and (table, rule, metadata) -> value with interval, and verdict.
PROBED: dict[str, tuple[ResultsFile, Callable[[pd.DataFrame, dict, dict], tuple[Interval, tuple[str, str]]]]] = {
    "readout": (READOUT, weigh_streams), "blind": (READOUT, weigh_blindness), "adaptive": (GATES, weigh_adaptivity),
}  # fmt: skip
