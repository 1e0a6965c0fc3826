"""A claim's contrasts on measured numbers: each one's value, and the noise that its design has."""

from dataclasses import dataclass, replace
from functools import reduce
from math import nan

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.claims.claim import Claim, Contrast
from mstclipiqa.claims.rules import SLACK
from mstclipiqa.claims.suite import Suite
from mstclipiqa.evaluation.noise import IMAGES, Noise, noise_between_seeds, noise_of_one_run


@dataclass(frozen=True)
class Design:
    """Under which recipe and protocol a claim is estimated, and what its noise is.

    `same_split`: the paper's number is of the same test images, so that only training varies. `one_run`: the claim is
    the paper's own printed number, which one run gave, and not that one method is above another.
    """

    recipe: str
    protocol: str
    same_split: bool
    one_run: bool


@dataclass(frozen=True)
class Estimate:
    """A claim's measured value, its 95 % interval, the smallest difference that could have been shown (80 % power), and
    one-sided p that it is `above` 0 or `below`. NaN where the noise is unknown; `noise` names its sources."""

    value: float
    low: float
    high: float
    detectable: float
    above: float
    below: float
    noise: str


def estimate_claim(claim: Claim, suite: Suite, design: Design) -> Estimate:
    """The least of a claim's contrasts. It is above 0 if all are, and below if any is: the largest p of the first, and
    the least of the second by Bonferroni."""
    found = [estimate_contrast(contrast, claim.metric, suite, design) for contrast in claim.contrasts]
    values, noises = zip(*found, strict=True)
    lows, highs = zip(*(noise.interval(value) for value, noise in found), strict=True)
    below = min(noise.above(-value) for value, noise in found)
    return Estimate(
        value=min(values),
        low=min(lows),
        high=min(highs),
        detectable=max(noise.detectable for noise in noises),
        above=max(noise.above(value) for value, noise in found),
        below=min(1.0, below * len(found)),
        noise=", ".join(dict.fromkeys(name for noise in noises for name in noise.names)),
    )


def estimate_contrast(contrast: Contrast, metric: str, suite: Suite, design: Design) -> tuple[float, Noise]:
    """Value and noise of a contrast. Benchmarks are independent; within one, runs are paired by split and seed.

    A printed rival is a constant. Where all terms are printed there is no noise.
    """
    weights: dict[str, dict[tuple[str, str], float]] = {}
    value, noise = 0.0, Noise()
    rival = any(not term.runs for term in contrast.terms)
    design = replace(design, one_run=design.one_run or rival)
    for term in contrast.terms:
        if not term.runs:
            value += term.weight * term.printed
        for variant, benchmark, target, share in term.runs:
            of_benchmark = weights.setdefault(benchmark, {})
            of_benchmark[target, variant] = of_benchmark.get((target, variant), 0.0) + term.weight * share
    for benchmark, of_benchmark in weights.items():
        runs = _paired_runs(benchmark, of_benchmark, metric, suite, design)
        value += float(runs.mean())
        noise += _noise(runs, benchmark, of_benchmark, metric, suite, design)
    return value, noise


def _paired_runs(
    benchmark: str, weights: dict[tuple[str, str], float], metric: str, suite: Suite, design: Design
) -> pd.Series:
    """The weighted sum of every run (split, seed) that all terms have. Raises InputError where there is none."""
    weighted = [
        weight * suite.cells[benchmark, target, design.recipe, variant, design.protocol].runs[metric]
        for (target, variant), weight in weights.items()
    ]
    runs = reduce(pd.Series.add, weighted).dropna()
    if runs.empty:
        names = ", ".join(dict.fromkeys(variant for _, variant in weights))
        raise InputError(f"{benchmark}, {design.recipe}, {design.protocol}: {names} have no run in common; train again")
    return runs


def _noise(
    runs: pd.Series,
    benchmark: str,
    weights: dict[tuple[str, str], float],
    metric: str,
    suite: Suite,
    design: Design,
) -> Noise:
    if design.same_split:
        return noise_of_one_run(runs, None) if design.one_run else noise_between_seeds(runs)
    images, everything = _from_tables(benchmark, weights, metric, suite, design)
    return noise_of_one_run(runs, images) if design.one_run else everything


def _from_tables(
    benchmark: str, weights: dict[tuple[str, str], float], metric: str, suite: Suite, design: Design
) -> tuple[Noise, Noise]:
    """The noise of a weighted sum that comes from the images tested alone, and from all that varies.

    Two variants of a target are paired. The errors of several targets of the same images add up in full, as if they
    always erred together. All that varies is known of paired differences alone.
    """
    images, everything = [], []
    for target in dict.fromkeys(target for target, _ in weights):
        of_target = {variant: weight for (place, variant), weight in weights.items() if place == target}
        cell, names = (benchmark, target, design.recipe), list(of_target)
        if len(names) == 2 and abs(sum(of_target.values())) < SLACK:
            pair = suite.pairs[*cell, names[0], design.protocol, names[1], metric]
            images.append(pair[0].times(of_target[names[0]]))
            everything.append(pair[1].times(of_target[names[0]]))
        else:
            for name, weight in of_target.items():
                images.append(suite.cells[*cell, name, design.protocol].images[metric].times(weight))
            everything.append(Noise(((IMAGES, nan, 1),)))
    return _together(images), _together(everything)


def _together(parts: list[Noise]) -> Noise:
    """The noise of a sum whose parts err together."""
    names = dict.fromkeys(name for part in parts for name in part.names)
    freedom = min(part.freedom for part in parts)
    return Noise(((", ".join(names), sum(part.error for part in parts) ** 2, freedom),))
