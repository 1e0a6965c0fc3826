"""How far an estimate from runs may lie from the truth: one variance for each source of noise that varies.

The sources are the test images, with the prompts that they share, the splits, and the seeds of training. What they give
is checked where the truth is known: tests/calibration.py, docs/calibration.md.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import special

from mstclipiqa.evaluation.bootstrap import mean_over_runs

LEVEL = 0.95
POWER = 0.8

IMAGES, SPLITS, SEEDS, IMAGES_AND_SPLITS = "images", "splits", "seeds", "images and splits"

#: From so many splits on, their spread is taken for what other splits would give.
FEWEST_SPLITS = 3

#: Splits by prompt: how much a degree of freedom of the noise of the images weighs beside one of that over splits. The
#: fewer the prompts, the more do other prompts change training, which the first knows nothing of.
IMAGES_WEIGHT = 0.1


@dataclass(frozen=True)
class Noise:
    """Independent sources of noise: for each its name, its variance and the degrees of freedom that this is known by.

    A variance of NaN is unknown; so is then the noise as a whole.
    """

    sources: tuple[tuple[str, float, float], ...] = ()

    def __add__(self, other: "Noise") -> "Noise":
        return Noise(self.sources + other.sources)

    def times(self, weight: float) -> "Noise":
        """The noise of an estimate that is multiplied by `weight`."""
        return Noise(tuple((name, weight**2 * variance, freedom) for name, variance, freedom in self.sources))

    @property
    def names(self) -> tuple[str, ...]:
        """The sources, each once."""
        return tuple(dict.fromkeys(name for name, *_ in self.sources))

    @property
    def variance(self) -> float:
        """The variance of all sources together; NaN where there is none, or one is unknown."""
        return sum(variance for _, variance, _ in self.sources) if self.sources else np.nan

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.sqrt(self.variance))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the sum (Welch and Satterthwaite: Biometrics Bulletin 2, 1946)."""
        spread = sum(variance**2 / freedom for _, variance, freedom in self.sources)
        return self.variance**2 / spread if spread else min((freedom for *_, freedom in self.sources), default=np.inf)

    def interval(self, estimate: float) -> tuple[float, float]:
        """The 95 % interval of an estimate by Student's t; (NaN, NaN) where the noise is unknown."""
        half = special.stdtrit(self.freedom, (1 + LEVEL) / 2) * self.error if self.variance else self.variance
        return float(estimate - half), float(estimate + half)

    @property
    def detectable(self) -> float:
        """The smallest difference whose interval excludes 0 in 80 % of cases."""
        return float(sum(special.stdtrit(self.freedom, share) for share in ((1 + LEVEL) / 2, POWER)) * self.error)

    def above(self, estimate: float) -> float:
        """One-sided p that the truth is above 0. NaN where the noise is unknown; without any noise 0, or 1."""
        if self.variance == 0:
            return float(estimate <= 0)
        return float(special.stdtr(self.freedom, -estimate / self.error))

    def differs(self, estimate: float) -> float:
        """Two-sided p that the truth is not 0; without any noise 1 for no difference, and 0 for any other."""
        return 1.0 if estimate == 0 == self.variance else float(np.minimum(1, 2 * self.above(abs(estimate))))


def noise_of_independent(values: np.ndarray) -> Noise:
    """Of the mean of independent values (n,): Student's. Unknown of fewer than two."""
    variance = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else np.nan
    return Noise((("values", variance, max(len(values) - 1, 1)),))


def image_noise(replicates: np.ndarray, prompts: int, of_difference: bool = False) -> Noise:
    """Of a mean's bootstrap `replicates`, where P prompts were tested: their variance times (P / (P - 2))^2. Few
    prompts resampled vary too little. Unknown of fewer than two replicates or three prompts."""
    known = len(replicates) > 1 and prompts > 2
    variance = float(replicates.var(ddof=1)) * (prompts / (prompts - 2)) ** 2 if known else np.nan
    return known_image_noise(variance, prompts, of_difference)


def known_image_noise(variance: float, prompts: int, of_difference: bool = False) -> Noise:
    """The noise of the images whose variance is given, where P prompts were tested, by P - 2 degrees of freedom, as a
    correlation over P has.

    A difference of two models' correlations has a third of them: a few prompts make most of it. A variance whose parts
    have the excess kurtosis k is known by 2 P / (k + 2) degrees of freedom, and k is about 4 where the truth is known
    (docs/calibration.md).
    """
    freedom = (prompts - 2) / (3 if of_difference else 1)
    return Noise(((IMAGES, variance, max(freedom, 1)),))


@dataclass(frozen=True)
class Basis:
    """What some runs were tested on: the `prompts` that each tested; how many images are tested for one that is not;
    whether splits are by prompt, so that models know no prompt that they are tested on."""

    prompts: list[np.ndarray]
    tested_to_rest: float
    by_prompt: bool

    @cached_property
    def count(self) -> int:
        """How many prompts all runs tested together."""
        return len(np.unique(np.concatenate(self.prompts)))


@dataclass(frozen=True)
class Replicates:
    """The bootstrap replicates of each run's number, `drawn` (runs, replicates), what the runs were `tested` on, and
    whether the number is a difference of two models'."""

    drawn: np.ndarray
    tested: Basis
    of_difference: bool = False

    @cached_property
    def noise(self) -> Noise:
        """Of the mean over the runs, under the models as trained."""
        return image_noise(mean_over_runs(self.drawn), self.tested.count, self.of_difference)

    def variance_of_one(self) -> float:
        """The mean variance of a single run's number, under the models as trained."""
        drawn = [row[~np.isnan(row)] for row in self.drawn]
        counts = map(len, self.tested.prompts)
        return float(np.mean([image_noise(*one).variance for one in zip(drawn, counts, strict=True)]))


def noise_of_mean(values: pd.Series, replicates: Replicates) -> Noise:
    """Of the mean of `values`, by (split, seed), as an estimate of what the method reaches on such images.

    The noise of the images alone is too little: training on other images, or from another seed, changes the models.

    * Splits by image: what splits vary by beyond what the images tested explain is training's. It averages out.
    * Splits by prompt: other prompts change test and training together. The variance over J splits that Nadeau and
      Bengio correct for what the splits share (Machine Learning 52, 2003), 1/J + tested/rest times the variance over
      splits, counts both, but J - 1 degrees of freedom are few. It is pooled with that of the images.
    * Fewer than FEWEST_SPLITS splits: seeds stand for training. With one seed the noise is that of the images alone.
    """
    images, by_split = replicates.noise, _by_split(values)
    splits = len(by_split)
    if splits < FEWEST_SPLITS:
        return images + noise_between_seeds(values) if len(values) > splits else images
    between, freedom = float(by_split.var(ddof=1)), splits - 1
    if not replicates.tested.by_prompt:
        trained = max(0.0, between - replicates.variance_of_one())
        return images + Noise(((SPLITS, trained / splits, freedom),))
    over_splits = noise_over_splits(by_split, replicates.tested.tested_to_rest)
    if np.isnan(images.variance):
        return over_splits
    corrected = over_splits.variance
    weight = IMAGES_WEIGHT * images.freedom
    pooled = (freedom * corrected + weight * images.variance) / (freedom + weight)
    return Noise(((IMAGES_AND_SPLITS, pooled, freedom + weight),))


def noise_over_splits(values: np.ndarray, tested_to_rest: float) -> Noise:
    """Of the mean of one value for each of J splits (J,): the variance that Nadeau and Bengio correct for what splits
    share. `tested_to_rest` is how many images are tested for one that is not. Unknown of fewer than two splits."""
    between, splits = float(np.var(values, ddof=1)) if len(values) > 1 else np.nan, len(values)
    return Noise(((SPLITS, (1 / splits + tested_to_rest) * between, max(splits - 1, 1)),))


def noise_between_seeds(values: pd.Series) -> Noise:
    """Of the mean of `values`, by (split, seed), on the same splits and images: from the start of training and its
    batches alone. Unknown where every split has one seed."""
    variance, freedom = _between_seeds(values)
    return Noise(((SEEDS, variance / len(values), max(freedom, 1)),))


def noise_of_one_run(values: pd.Series, images: Noise | None) -> Noise:
    """Of the mean of `values`, by (split, seed), as a prediction of one more run of the method, which is what a paper
    prints.

    `images` is None where that run tests the same images: then only training varies. Otherwise it is a run on another
    split of the same benchmark.
    """
    by_split, (within, freedom) = _by_split(values), _between_seeds(values)
    splits, seeds = len(by_split), len(values) / len(by_split)
    if images is not None and splits >= FEWEST_SPLITS:
        between = float(by_split.var(ddof=1))
        one = between + (within * (1 - 1 / seeds) if freedom else 0.0)
        return Noise(((SPLITS, between / splits + one, splits - 1),))
    trained = Noise(((SEEDS, within * (1 + 1 / len(values)), max(freedom, 1)),))
    return trained if images is None else images + images + trained


def _by_split(values: pd.Series) -> np.ndarray:
    """The mean of each split."""
    split = pd.factorize(values.index.get_level_values("split"))[0]
    return np.bincount(split, values) / np.bincount(split)


def _between_seeds(values: pd.Series) -> tuple[float, int]:
    """The variance over seeds within splits, and its degrees of freedom: NaN and 0 where every split has one seed."""
    split, numbers = pd.factorize(values.index.get_level_values("split"))
    freedom = len(values) - len(numbers)
    within = values.to_numpy() - (np.bincount(split, values) / np.bincount(split))[split]
    return (float((within**2).sum() / freedom) if freedom else np.nan), freedom
