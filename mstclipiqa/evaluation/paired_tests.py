"""Paired tests between variants on the same splits and seeds, adjusted by Holm within a family."""

import numpy as np
import pandas as pd
from scipy import stats

from mstclipiqa.base.names import GROUP, TEST, TRAIN
from mstclipiqa.evaluation.bootstrap import LEVEL, bootstrap_error, mean_over_runs

#: The variant that all others are held against.
BASE = "mst-clipiqa"

#: From so many splits on, tests rest on the differences between splits.
FEWEST_SPLITS = 3
CORRECTED_T, PAIRED_BOOTSTRAP = "corrected resampled t", "paired bootstrap"

#: What is tested together, and adjusted together: all benchmarks, targets and variants of one of these.
FAMILY = ["recipe", "protocol", "selection"]


# Paired tests


def compare_variants(runs: pd.DataFrame, roles: pd.DataFrame, drawn: np.ndarray) -> list[dict]:
    """Every variant against BASE, on the runs (split, seed) that both have."""
    rows = []
    for key, group in runs.groupby([name for name in GROUP if name != "variant"]):
        by_variant = dict(iter(group.reset_index(names="place").groupby("variant")))
        base = by_variant.pop(BASE, None)
        for variant, other in by_variant.items() if base is not None else ():
            both = other.merge(base, on=["split", "seed"], suffixes=("", "_base"))
            if both.empty:
                continue
            by_split = (both["srcc"] - both["srcc_base"]).groupby(both["split"]).mean()
            protocol = group["protocol"].iloc[0]
            sizes = roles.loc[[(protocol, split) for split in by_split.index], [TRAIN, TEST]].mean()
            freedom: float
            if len(by_split) >= FEWEST_SPLITS:
                method, freedom = CORRECTED_T, len(by_split) - 1
                error = corrected_error(by_split.to_numpy(), sizes[TEST] / sizes[TRAIN])
            else:
                method, freedom = PAIRED_BOOTSTRAP, np.inf
                error = bootstrap_error(mean_over_runs(drawn[both["place"]] - drawn[both["place_base"]]))
            difference = float(by_split.mean())
            p, low, high = paired_test(difference, error, freedom)
            rows.append(
                dict(zip([name for name in GROUP if name != "variant"], key, strict=True))
                | {"variant": variant, "against": BASE, "runs": len(both), "splits": len(by_split)}
                | {"n_test": sizes[TEST], "n_train": sizes[TRAIN], "method": method}
                | {"resampled": group["resampled"].iloc[0] if method == PAIRED_BOOTSTRAP else ""}
                | {"srcc_difference": difference, "standard_error": error, "p": p, "low": low, "high": high}
            )
    return rows


def corrected_error(differences: np.ndarray, test_to_train: float) -> float:
    """Standard error of the mean of J differences from overlapping training sets.

    Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003: the variance over splits
    times 1/J + n_test/n_train.
    """
    return float(np.sqrt((1 / len(differences) + test_to_train) * np.var(differences, ddof=1)))


def paired_test(difference: float, error: float, freedom: float) -> tuple[float, float, float]:
    """Two-sided p and 95 % interval (low, high) of a difference; infinite freedom is the normal distribution.

    Without any spread p is 1 for no difference and 0 for any other.
    """
    if error == 0:
        return float(difference == 0), difference, difference
    margin = stats.t.ppf((1 + LEVEL) / 2, freedom) * error
    return float(2 * stats.t.sf(abs(difference) / error, freedom)), difference - margin, difference + margin


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
