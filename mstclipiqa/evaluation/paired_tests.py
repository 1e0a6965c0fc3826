"""Paired tests between variants on the same splits and seeds, adjusted by Holm within a family."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd

from mstclipiqa.base.names import GROUP
from mstclipiqa.evaluation.averages import AVERAGES
from mstclipiqa.evaluation.noise import IMAGES, Replicates, noise_of_mean
from mstclipiqa.evaluation.resamples import Resamples

#: The variant that the page holds all others against.
BASE = "mst-clipiqa"

#: What is tested together, and adjusted together: all benchmarks, targets and variants against one variant.
FAMILY = ["recipe", "protocol", "selection", "metric", "against"]


def compare_variants(runs: pd.DataFrame, resamples: Resamples) -> list[dict]:
    """Every variant against every other, and against every average, by each metric, on the runs (split, seed) that both
    have.

    `resamples` are of the rows of `runs`. A difference of too few runs to tell what training varies has no error,
    interval or p.
    """
    rows = []
    names = [name for name in GROUP if name != "variant"]
    for key, group in runs.groupby(names):
        numbered = group.reset_index(names="place").set_index(["split", "seed"])[["variant", "place", *resamples.drawn]]
        by_variant = dict(iter(numbered.groupby("variant")))
        tested = {
            pair: _compare(by_variant[pair[0]], by_variant[pair[1]], resamples) for pair in combinations(by_variant, 2)
        }
        for variant, against in permutations(by_variant, 2):
            if variant in AVERAGES:
                continue
            named = dict(zip(names, key, strict=True)) | {"variant": variant, "against": against}
            if (variant, against) in tested:
                rows += [named | row for row in tested[variant, against]]
            else:
                rows += [named | _turned(row) for row in tested[against, variant]]
    return rows


def _compare(runs: pd.DataFrame, against: pd.DataFrame, resamples: Resamples) -> list[dict]:
    """What rows say of two variants' runs, by (split, seed), by each metric; nothing where they share none."""
    if not runs.index.equals(against.index):
        shared = runs.index[runs.index.isin(against.index)]
        runs, against = runs.loc[shared], against.loc[shared]
    if runs.empty:
        return []
    splits, seeds = (runs.index.get_level_values(name) for name in ("split", "seed"))
    counts = {"runs": len(runs), "splits": splits.nunique(), "seeds": seeds.nunique()}
    rows = []
    for metric in resamples.drawn:
        replicates = resamples.of(metric, runs["place"].to_numpy(), against["place"].to_numpy())
        differences = (runs[metric] - against[metric]).round(12)  # equal runs differ by nothing
        rows.append(counts | {"metric": metric} | _test(differences, replicates))
    return rows


def _turned(row: dict) -> dict:
    """The row of a test, of the other variant against the one: nothing but signs changes."""
    return row | {"difference": 0.0 - row["difference"], "low": 0.0 - row["high"], "high": 0.0 - row["low"]}


def _test(differences: pd.Series, replicates: Replicates) -> dict:
    """What a row says of the mean of differences."""
    images, noise = replicates.noise, noise_of_mean(differences, replicates)
    unknown = noise.names == (IMAGES,)  # what training varies is not known
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
