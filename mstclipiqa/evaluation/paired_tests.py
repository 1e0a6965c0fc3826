"""Paired tests between variants on the same splits and seeds, adjusted by Holm within a family."""

from itertools import permutations

import numpy as np
import pandas as pd

from mstclipiqa.base.names import GROUP
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

    `resamples` are of the rows of `runs`. A difference of too few runs to tell what training varies has no error,
    interval or p.
    """
    rows = []
    names = [name for name in GROUP if name != "variant"]
    for key, group in runs.groupby(names):
        by_variant = dict(iter(group.reset_index(names="place").groupby("variant")))
        for variant, against in permutations(by_variant, 2):
            placebo = against in AVERAGES and AVERAGES[against].placebo
            if variant in AVERAGES or (placebo and PLACEBOS.get(variant) != against):
                continue
            both = by_variant[variant].merge(by_variant[against], on=["split", "seed"], suffixes=("", "_against"))
            if both.empty:
                continue
            named = dict(zip(names, key, strict=True)) | {"variant": variant, "against": against}
            named |= {"runs": len(both), "splits": both["split"].nunique(), "seeds": both["seed"].nunique()}
            both = both.set_index(["split", "seed"])
            for metric in resamples.drawn:
                replicates = resamples.of(metric, both["place"], both["place_against"])
                differences = (both[metric] - both[f"{metric}_against"]).round(12)  # equal runs differ by nothing
                rows.append(named | {"metric": metric} | _test(differences, replicates))
    return rows


def _test(differences: pd.Series, replicates: Replicates) -> dict:
    """What a row says of the mean of differences."""
    images, noise = replicates.noise, noise_of_mean(differences, replicates)
    unknown = noise.names == (IMAGES,)  # what training varies is not known
    difference = float(differences.mean())
    low, high = (np.nan, np.nan) if unknown else noise.interval(difference)
    return {
        "prompts": replicates.count,
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
