"""Paired tests between variants on the same splits and seeds, adjusted by Holm within a family."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
import pandas as pd

from mstclipiqa.base.names import ENTERED, GROUP, UNTRAINED
from mstclipiqa.evaluation.averages import AVERAGES, PLACEBOS
from mstclipiqa.evaluation.noise import IMAGES, Replicates, noise_of_mean
from mstclipiqa.evaluation.resamples import Resamples

#: The variant that the page holds all others against.
BASE = "mst-clipiqa"

#: What is tested together, and adjusted together: all benchmarks, targets and variants against one variant.
FAMILY = ["recipe", "protocol", "selection", "metric", "against"]


def compare_variants(runs: pd.DataFrame, resamples: Resamples) -> list[dict]:
    """Every variant against every other, and against every average, by each metric, on the runs (split, seed) that both
    have. A placebo is held against its own variant alone.

    Entered scores stand beside the variants of every recipe, whose name the row has, and among themselves once, under
    their own. Scores that no training made are the same for every seed of the other variant, and so is the noise of
    their difference complete without seeds of theirs. `resamples` are of the rows of `runs`. A difference of too few
    runs to tell what training varies has no error, interval or p.
    """
    rows = []
    names = [name for name in GROUP if name != "variant"]
    for key, group in _beside_entered(runs, names):
        numbered = group.reset_index(names="place").set_index(["split", "seed"])
        by_variant = {name: _Variant.of(of_variant) for name, of_variant in numbered.groupby("variant")}
        among_entered = key[names.index("recipe")] == ENTERED
        tested = {
            (one, other): _compare(by_variant[one], by_variant[other], resamples)
            for one, other in combinations(by_variant, 2)
            if _can_be_compared(one, other)
            and (among_entered or not (by_variant[one].entered and by_variant[other].entered))
        }
        for variant, against in permutations(by_variant, 2):
            if variant in AVERAGES:
                continue
            named = dict(zip(names, key, strict=True)) | {"variant": variant, "against": against}
            if (variant, against) in tested:
                rows += [named | row for row in tested[variant, against]]
            else:
                rows += [named | _turned(row) for row in tested.get((against, variant), [])]
    return rows


def _can_be_compared(one: str, other: str) -> bool:
    """Averages are held against variants, and placebos against their own."""
    placebos = [name for name in (one, other) if name in AVERAGES and AVERAGES[name].placebo]
    if placebos:
        return PLACEBOS.get(other if placebos[0] == one else one) == placebos[0]
    return not (one in AVERAGES and other in AVERAGES)


def _beside_entered(runs: pd.DataFrame, names: list[str]) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """The runs by `names`, and with those of a recipe the entered ones of the same benchmark, target, protocol and
    selection."""
    by_key = dict(iter(runs.groupby(names)))
    for key, group in by_key.items():
        own = dict(zip(names, key, strict=True))
        entered = by_key.get(tuple(ENTERED if name == "recipe" else own[name] for name in names))
        yield key, group if entered is None or own["recipe"] == ENTERED else pd.concat([group, entered])


@dataclass(frozen=True)
class _Variant:
    """The runs of a variant by (split, seed), whether they were entered, and whether no training made them."""

    runs: pd.DataFrame
    entered: bool
    untrained: bool

    @classmethod
    def of(cls, runs: pd.DataFrame) -> "_Variant":
        entered = bool((runs["recipe"] == ENTERED).all())
        return cls(runs, entered, entered and bool((runs["epoch"] == UNTRAINED).all()))


def _compare(first: _Variant, second: _Variant, resamples: Resamples) -> list[dict]:
    """What rows say of two variants' runs by each metric; nothing where they share none."""
    trained = not (first.untrained and second.untrained)
    one, other = _pair(first, second)
    if one.empty:
        return []
    splits, seeds = (one.index.get_level_values(name) for name in ("split", "seed"))
    counts = {"runs": len(one), "splits": splits.nunique(), "seeds": seeds.nunique()}
    rows = []
    for metric in resamples.drawn:
        replicates = resamples.of(metric, one["place"].to_numpy(), other["place"].to_numpy())
        differences = (one[metric] - other[metric]).round(12)  # equal runs differ by nothing
        rows.append(counts | {"metric": metric} | _test(differences, replicates, trained))
    return rows


def _pair(first: _Variant, second: _Variant) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs that both have: of the same split and seed, or of any seed where either was not trained."""
    one, other = first.runs, second.runs
    if first.untrained and not second.untrained:
        one = _for_seeds_of(other, one)
    elif second.untrained and not first.untrained:
        other = _for_seeds_of(one, other)
    if one.index.equals(other.index):
        return one, other
    shared = one.index[one.index.isin(other.index)]
    return one.loc[shared], other.loc[shared]


def _for_seeds_of(trained: pd.DataFrame, untrained: pd.DataFrame) -> pd.DataFrame:
    """The run of each split that was not trained, once for each seed of the trained ones."""
    once = untrained.droplevel("seed")
    index = trained.index[trained.index.get_level_values("split").isin(once.index)]
    return once.loc[index.get_level_values("split")].set_axis(index)


def _turned(row: dict) -> dict:
    """The row of a test, of the other variant against the one: nothing but signs changes."""
    return row | {"difference": 0.0 - row["difference"], "low": 0.0 - row["high"], "high": 0.0 - row["low"]}


def _test(differences: pd.Series, replicates: Replicates, trained: bool) -> dict:
    """What a row says of the mean of differences; `trained` is whether training made either side."""
    images, noise = replicates.noise, noise_of_mean(differences, replicates)
    unknown = trained and noise.names == (IMAGES,)  # what training varies is not known
    difference = float(differences.mean())
    low, high = (np.nan, np.nan) if unknown else noise.interval(difference)
    return {
        "prompts": replicates.tested.count,
        "noise": ", ".join(noise.names),
        "difference": difference,
        "images_error": images.error,
        "standard_error": np.nan if unknown else noise.error,
        "freedom": np.nan if unknown else noise.freedom,
        "low": low,
        "high": high,
        "p": np.nan if unknown else noise.differs(difference),
    }


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment (Scandinavian Journal of Statistics 6, 1979): k-th smallest p times m - k + 1,
    never falling, at most 1."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.arange(len(p), 0, -1) * np.asarray(p, float)[order]))
    return adjusted


def adjust_by_family(comparisons: pd.DataFrame) -> pd.DataFrame:
    """With Holm's p in each family, over the tests that could be made."""
    tested = comparisons["p"].notna()
    by_family = comparisons[tested].groupby(FAMILY)["p"]
    comparisons["p_holm"] = by_family.transform(holm).astype(float)
    comparisons["family_size"] = by_family.transform("size").astype(float)
    return comparisons
