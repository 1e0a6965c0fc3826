"""The bootstrap over test images: replicates of every run's metrics, and of their means."""

import numpy as np
import pandas as pd

from mstclipiqa.base.progress import progress
from mstclipiqa.data.leakage import Likeness

SEED = 16799

#: An interval or a test is left empty where more than this share of its resampled runs have no correlation. Only
#: benchmarks of a dozen prompts come near: a replicate may draw none that a split tests.
MOST_UNDEFINED = 0.25

#: Replicates that are correlated at once, as a processor's cache holds so many.
BLOCK = 250


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
    alike = _tested_alike(predictions)
    for runs in progress(alike, len(alike), "resample the test images", "splits"):
        tested = predictions[runs[0]]
        resampled = Resampled(tested["mos"].to_numpy(), counts[tested["row"]])
        for run in runs:
            drawn[:, run] = resampled.correlate(predictions[run]["prediction"].to_numpy())
    return drawn[0], drawn[1]


def _tested_alike(predictions: list[pd.DataFrame]) -> list[list[int]]:
    """The numbers of the runs, those together that are of the same images and MOS."""
    alike: dict[tuple[bytes, bytes], list[int]] = {}
    for number, run in enumerate(predictions):
        alike.setdefault((run["row"].to_numpy().tobytes(), run["mos"].to_numpy().tobytes()), []).append(number)
    return list(alike.values())


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


class Resampled:
    """The MOS (n,) of some images where image i stands `counts[i, r]` times in replicate r, to be correlated with the
    predictions of many runs.

    Ranks, and all sums of their products, are multiples of a quarter below 2^53, so no sum is rounded, and their order
    does not matter: with ranks as running sums, a run's predictions cost one pass over its replicates.
    """

    def __init__(self, mos: np.ndarray, counts: np.ndarray):
        self.mos, self.counts = mos - mos.mean(), counts.astype(float)
        self.total = self.counts.sum(axis=0)
        self.cubes = (self.counts**3).sum(axis=0)
        ranks = _centred_ranks(mos, self.counts)
        self.weighted = self.counts * ranks
        self.own = np.einsum("nr,nr->r", self.weighted, ranks)

    def correlate(self, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """SRCC and PLCC (replicates,) with predictions (n,): those of the repeated values, their ranks averaged over
        ties. NaN where either is constant."""
        order = np.argsort(predictions, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(predictions[order]) > 0])
        x, y = predictions - predictions.mean(), self.mos
        values = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
        found = np.empty((2, len(self.total)))
        for first in range(0, len(self.total), BLOCK):
            block = slice(first, first + BLOCK)
            found[:, block] = self._correlate(values, order, starts, block)
        return found[0], found[1]

    def _correlate(
        self, values: np.ndarray, order: np.ndarray, starts: np.ndarray, block: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """SRCC and PLCC of a block of the replicates. `values` (6, n) are 1, x, y, their squares and their product;
        `order` (n,) sorts the predictions, and equal ones begin at `starts`."""
        replicated, total, cubes = self.counts[:, block], self.total[block], self.cubes[block]
        counts, weighted = replicated[order], self.weighted[:, block][order]
        if len(starts) < len(order):
            counts, weighted = (np.add.reduceat(one, starts, axis=0) for one in (counts, weighted))
            cubes = (counts**3).sum(axis=0)
        # Of a group of equal values of which t stand up to the place s, the mean rank is s - (t - 1) / 2. As MOS ranks
        # are centred, what all ranks have in common takes no part.
        shared = np.einsum("nr,nr->r", weighted, counts) / 2
        for row in range(1, len(counts)):  # as np.cumsum, which takes thrice the time along the first axis
            np.add(counts[row], counts[row - 1], out=counts[row])
        product = np.einsum("nr,nr->r", weighted, counts) - shared
        with np.errstate(invalid="ignore", divide="ignore"):
            rank = product / np.sqrt((total**3 - cubes) / 12 * self.own[block])
            count, sx, sy, sxx, syy, sxy = values @ replicated
            linear = (count * sxy - sx * sy) / np.sqrt((count * sxx - sx**2) * (count * syy - sy**2))
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
