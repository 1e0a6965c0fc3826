"""Agreement of predictions with MOS. Undefined values raise; nothing is NaN, absolute or averaged away."""

import warnings

import numpy as np
import scipy  # its modules load when they are first used
from numpy.typing import ArrayLike

from mstclipiqa.base.errors import FailedRunError


def _checked(prediction: ArrayLike, mos: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    prediction, mos = np.asarray(prediction, dtype=float), np.asarray(mos, dtype=float)
    if prediction.shape != mos.shape or prediction.ndim != 1 or len(mos) < 3:
        raise FailedRunError(f"metrics need two equal vectors of at least 3, got {prediction.shape}, {mos.shape}")
    for name, values in (("predictions", prediction), ("MOS", mos)):
        if not np.isfinite(values).all():
            raise FailedRunError(f"{name} hold {int((~np.isfinite(values)).sum())} non-finite values")
        if np.ptp(values) == 0:
            raise FailedRunError(f"{name} are constant ({values[0]:g}): a correlation is undefined")
    return prediction, mos


def srcc(prediction: ArrayLike, mos: ArrayLike) -> float:
    """Spearman's rank correlation, signed. Raises FailedRunError for constant or non-finite input."""
    # Not by scipy.stats, as the others: it is called after every epoch of every run, where that takes too long.
    predicted, rated = map(average_ranks, _checked(prediction, mos))
    return float(np.corrcoef(predicted, rated)[0, 1])


def average_ranks(values: np.ndarray) -> np.ndarray:
    """The ranks (n,) of values (n,) from 1; equal values share the mean of theirs."""
    _, position, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[position]


def plcc(prediction: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's linear correlation of the raw predictions. Raises FailedRunError as `srcc`."""
    with warnings.catch_warnings():
        # All-but-constant predictions are worth a warning to a person, not a failed run.
        warnings.simplefilter("ignore", scipy.stats.NearConstantInputWarning)
        return float(scipy.stats.pearsonr(*_checked(prediction, mos)).statistic)


def krcc(prediction: ArrayLike, mos: ArrayLike) -> float:
    """Kendall's tau-b. Raises FailedRunError as `srcc`."""
    return float(scipy.stats.kendalltau(*_checked(prediction, mos)).statistic)


def rmse(prediction: ArrayLike, mos: ArrayLike) -> float:
    """Root mean square error in MOS units. Raises FailedRunError as `srcc`."""
    prediction, mos = _checked(prediction, mos)
    return float(np.sqrt(np.mean((prediction - mos) ** 2)))


def logistic4(x: np.ndarray, b1: float, b2: float, b3: float, b4: float) -> np.ndarray:
    """The four-parameter logistic of VQEG's reports: (b1 - b2) / (1 + exp(-(x - b3) / |b4|)) + b2."""
    return (b1 - b2) / (1 + np.exp(-np.clip((x - b3) / (abs(b4) + 1e-12), -60, 60))) + b2


def logistic4_gradient(x: np.ndarray, b1: float, b2: float, b3: float, b4: float) -> np.ndarray:
    """The derivatives of `logistic4` by b1..b4, (n, 4)."""
    width = abs(b4) + 1e-12
    u = np.clip((x - b3) / width, -60, 60)
    rise = 1 / (1 + np.exp(-u))
    slope = (b1 - b2) * rise * (1 - rise) / width
    return np.stack([rise, 1 - rise, -slope, -slope * u * np.sign(b4)], axis=1)


def plcc_fitted(prediction: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's correlation after mapping predictions to MOS by a least-squares `logistic4`.

    The fit is monotone but may fall (b1 < b2), so the value is never negative; read it beside the raw one.
    """
    prediction, mos = _checked(prediction, mos)
    x = (prediction - prediction.mean()) / prediction.std()
    rising = 1.0 if np.corrcoef(x, mos)[0, 1] >= 0 else -1.0
    ends = (mos.max(), mos.min())[:: int(rising)]
    # Two starts: a curve as steep as the data, and one so flat that it is the straight line of the raw PLCC.
    wide = (mos.mean() + rising * 10 * mos.std(), mos.mean() - rising * 10 * mos.std())
    fits = [
        scipy.optimize.least_squares(
            lambda b: logistic4(x, *b) - mos,
            start,
            lambda b: logistic4_gradient(x, *b),
            method="lm" if len(x) >= 4 else "trf",
            x_scale="jac",
            max_nfev=200,  # what is still moving then creeps towards the straight line
        )
        for start in ((*ends, 0.0, 1.0), (*wide, 0.0, 5.0))
    ]
    best = min(fits, key=lambda fit: fit.cost)
    # A fit that creeps along a flat valley carries rounding noise of some 1e-8; six decimals are the same every time.
    return round(plcc(logistic4(x, *best.x), mos), 6)


METRICS = {"srcc": srcc, "plcc": plcc, "plcc_fitted": plcc_fitted, "krcc": krcc, "rmse": rmse}
