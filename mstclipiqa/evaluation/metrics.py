"""Agreement of predictions with MOS. Undefined values raise; nothing is NaN, absolute or averaged away."""

import warnings
from dataclasses import dataclass

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


@dataclass(frozen=True)
class _Rated:
    """The distinct predictions `at` (m,), rising, how many images have each, and the sum of these images' MOS, which
    are centred and of length 1 over all images."""

    at: np.ndarray
    count: np.ndarray
    mos: np.ndarray

    def correlate(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pearson's correlation (...) of values (..., m) with the MOS, 0 for flat ones, and these, centred (..., m) and
        of which length (...)."""
        centred = values - (values @ self.count / self.count.sum())[..., None]
        length = np.sqrt(centred**2 @ self.count)
        flat = np.zeros(length.shape)
        return np.divide(centred @ self.mos, length, out=flat, where=length > FLAT), centred, length

    def thin(self) -> "_Rated":
        """At most POINTS of the predictions, each the mean of neighbours."""
        share = np.arange(len(self.at)) * min(POINTS, len(self.at)) // len(self.at)
        count = np.bincount(share, self.count)
        return _Rated(np.bincount(share, self.at * self.count) / count, count, np.bincount(share, self.mos))


#: A curve that has risen by less is no curve. `plcc_fitted` compares curves on so many points, and refines so many.
FLAT, POINTS, STARTS = 1e-12, 48, 3


def plcc_fitted(prediction: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's correlation after mapping predictions to MOS by the four-parameter logistic of VQEG's reports,
    (b1 - b2) / (1 + exp(-(x - b3) / b4)) + b2, that is best in least squares.

    For given b3 and b4, b1 and b2 are those of a straight line, so the best fit is the one whose rise correlates most
    with the MOS (variable projection: Golub and Pereyra, 1973). Of the two parameters left there are many local
    optima: curves of every place and width are compared, and the best ones refined. A step and a straight line, to
    which curves tend, count as curves. The fit may fall (b1 < b2), so the value is never negative; read it beside the
    raw one.
    """
    prediction, mos = _checked(prediction, mos)
    at, place, count = np.unique(prediction, return_inverse=True, return_counts=True)
    centred = mos - mos.mean()
    rated = _Rated(at, count, np.bincount(place, centred / np.linalg.norm(centred)))
    # A step in each gap, from running sums.
    above, rest = np.cumsum(count[::-1])[-2::-1], np.cumsum(count)[:-1]
    steps = np.abs(np.cumsum(rated.mos)[:-1]) / np.sqrt(above * rest / len(mos))
    step = int(steps.argmax())
    around = at[min(step + 2, len(at) - 1)] - at[max(step - 1, 0)]
    starts = [((at[step] + at[step + 1]) / 2, width) for width in ((at[step + 1] - at[step]) / 2, around / 4)]
    line, _, _ = rated.correlate(at)
    refined = [_refine(rated, *start) for start in (*starts, *_starts(rated.thin()))]
    # What rounding moves is some 1e-9; six decimals are the same on every machine, but for the last.
    return round(float(max(steps.max(), abs(line), *refined)), 6)


def _starts(rated: _Rated) -> list[tuple[float, float]]:
    """The places and widths of the best curves, no two of them alike: about every point, as wide as its 1st, 2nd, 4th,
    ... neighbour is far, on either side; and beyond it, where only a tail of the curve is among the points."""
    count = len(rated.at)
    point, neighbour = np.arange(count)[:, None], 2 ** np.arange((count - 1).bit_length())
    beside = point + np.concatenate([-neighbour, neighbour])
    width = (rated.at[point] - rated.at[np.clip(beside, 0, count - 1)]) / 3  # below 0 where the neighbour is above
    place = rated.at[point, None] + np.array([0, 3, 6]) * width[..., None]
    width = np.abs(np.broadcast_to(width[..., None], place.shape))
    place, width = place[width > 0], width[width > 0]
    found, curves, length = rated.correlate(_rise(rated.at, place[:, None], width[:, None]))
    left, curves = np.abs(found), curves * np.sqrt(rated.count) / np.maximum(length, FLAT)[:, None]
    starts: list[tuple[float, float]] = []
    while len(starts) < STARTS and left.max() > 0:
        best = left.argmax()
        starts.append((place[best], width[best]))
        left = np.where(np.abs(curves @ curves[best]) > 0.95, 0, left)
    return starts


def _rise(x: np.ndarray, place: np.ndarray | float, width: np.ndarray | float) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip((x - place) / width, -60, 60)))


def _refine(rated: _Rated, place: float, width: float) -> float:
    """The size of the best correlation of a curve with the MOS, searched from one curve."""

    def lack(moved: np.ndarray) -> tuple[float, np.ndarray]:
        """Less the squared correlation, and its gradient, of the curve moved by widths and widened by exp."""
        wider = np.exp(np.clip(moved[1], -60, 60))
        u = ((rated.at - place) / width - moved[0]) / wider
        rise = _rise(u, 0, 1)
        found, curve, length = rated.correlate(rise)
        slope = rise * (1 - rise)
        _, change, _ = rated.correlate(np.stack([-slope / wider, -slope * u]))
        along = change @ rated.mos - found * (change @ (curve * rated.count)) / max(length, FLAT)
        return -float(found**2), -2 * found * along / max(length, FLAT)

    found = scipy.optimize.minimize(lack, (0, 0), jac=True, method="L-BFGS-B", options={"gtol": 1e-7})
    return float(np.sqrt(-found.fun))


METRICS = {"srcc": srcc, "plcc": plcc, "plcc_fitted": plcc_fitted, "krcc": krcc, "rmse": rmse}
