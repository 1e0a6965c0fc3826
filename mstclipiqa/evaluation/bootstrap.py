"""The bootstrap over test images: replicates of every run's metrics, and of their means."""

import numpy as np
import pandas as pd

from mstclipiqa.base.progress import progress
from mstclipiqa.data.leakage import Likeness

SEED = 16799

#: An interval or a test is left empty where more than this share of its resampled runs have no correlation. Only
#: benchmarks of a dozen prompts come near: a replicate may draw none that a split tests.
MOST_UNDEFINED = 0.25


def bootstrap_runs(
    predictions: list[pd.DataFrame], samples: pd.DataFrame, replicates: int
) -> tuple[np.ndarray, np.ndarray]:
    """SRCC and PLCC (runs, replicates) of every run under the same resamples of its benchmark.

    A replicate draws as many clusters of like prompts, with all their images, as the benchmark has, with replacement; a
    run keeps those that it tested. So runs that share images move together, as they would with other images. NaN where
    a replicate leaves a run too little to correlate.
    """
    counts = _draw(clusters_of(samples), replicates)
    drawn = np.empty((2, len(predictions), replicates))
    for i, run in enumerate(progress(predictions, len(predictions), "resample the test images", "runs")):
        drawn[:, i] = weighted_correlations(run["prediction"], run["mos"], counts[run["row"]])
    return drawn[0], drawn[1]


def clusters_of(samples: pd.DataFrame) -> np.ndarray:
    """The number of each image's cluster, from 0, (images,): images whose prompts are the same or nearly identical
    (leakage.Likeness) share what prompts do to the scores. Images without a prompt have one each."""
    groups = samples["prompt_group"].astype(str)
    return Likeness(samples.assign(prompt_group=groups.where(groups != "", samples["image"]))).clusters


def _draw(unit: np.ndarray, replicates: int) -> np.ndarray:
    """How often each image is drawn, (images, replicates), when the units 0, 1, ... that they belong to are."""
    units = unit.max() + 1
    counts = np.random.default_rng(SEED).multinomial(units, np.full(units, 1 / units), replicates)
    return counts.T.astype(np.float32)[unit]


def weighted_correlations(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SRCC and PLCC (replicates,) of x and y (n,) where image i stands `counts[i, r]` times in replicate r.

    Equal to ranking the repeated values, ties averaged, and correlating. NaN where x or y is constant.
    """
    x, y, counts = np.asarray(x, float), np.asarray(y, float), np.asarray(counts, float)
    a, b = _centred_ranks(x, counts), _centred_ranks(y, counts)
    weighted = counts * a
    with np.errstate(invalid="ignore", divide="ignore"):
        norm = np.einsum("nr,nr->r", weighted, a) * np.einsum("nr,nr,nr->r", counts, b, b)
        rank = np.einsum("nr,nr->r", weighted, b) / np.sqrt(norm)
        x, y = x - x.mean(), y - y.mean()
        total, sx, sy, sxx, syy, sxy = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y]) @ counts
        linear = (total * sxy - sx * sy) / np.sqrt((total * sxx - sx**2) * (total * syy - sy**2))
    # A constant is exactly so in ranks; in values rounding may leave a spread.
    return rank, np.where(np.isnan(rank), np.nan, linear)


def _centred_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average ranks of the repeated values less their mean, (n, replicates)."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) > 0])
    tied = np.add.reduceat(counts[order], starts, axis=0)
    ranks = np.cumsum(tied, axis=0)
    total = ranks[-1].copy()
    ranks -= (tied + total) / 2
    place = np.empty(len(values), int)
    place[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(values)]))
    return ranks[place]


def mean_over_runs(drawn: np.ndarray) -> np.ndarray:
    """The replicates of a mean over runs, from those of each, (runs, replicates).

    A run takes no part in a replicate that leaves it too little to correlate, which makes the mean vary rather more. No
    replicate at all where that befell too many.
    """
    defined = ~np.isnan(drawn)
    if defined.mean() < 1 - MOST_UNDEFINED:
        return np.empty(0)
    some = defined.any(axis=0)
    return np.nansum(drawn, axis=0)[some] / defined.sum(axis=0)[some]
