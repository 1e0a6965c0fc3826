"""Simple statistics of one image: a description of its quality that needs no training and no network.

Units are grey levels (0..255) and cycles per pixel, so the values depend on the image's size. Names say where a
logarithm was taken. `FLOOR` is added before logarithms and to variances that divide, as though every image held
noise of that variance in grey levels squared: flat images stay finite, and in range.
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from PIL import Image
from scipy import fft, ndimage, special

from mstclipiqa.base.errors import InputError

SMALLEST = 16  # pixels a side: below, no window of BRISQUE fits into the halved image
FLOOR = 0.01
Place = slice | tuple[slice, slice]
NEIGHBOURS: dict[str, tuple[Place, Place]] = {
    "horizontal": (np.s_[:, :-1], np.s_[:, 1:]),
    "vertical": (np.s_[:-1], np.s_[1:]),
    "diagonal": (np.s_[:-1, :-1], np.s_[1:, 1:]),
    "antidiagonal": (np.s_[:-1, 1:], np.s_[1:, :-1]),
}
WINDOW = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2), dtype=np.float32)  # BRISQUE's, along one axis
WINDOW /= WINDOW.sum()
#: E[|x|]^2 / E[x^2] of a generalised Gaussian of zero mean rises with its shape, so this table can be read backwards.
SHAPES = np.arange(0.2, 10, 0.001)
SHAPE_RATIOS = np.exp(2 * special.gammaln(2 / SHAPES) - special.gammaln(1 / SHAPES) - special.gammaln(3 / SHAPES))


def image_statistics(image: Image.Image) -> np.ndarray:
    """The statistics called NAMES: float32 (len(NAMES),), finite for every image.

    The image is converted to RGB as Pillow does it: transparency is dropped, more than 8 bits are cut off at 255.
    Raises InputError for an image of fewer than SMALLEST pixels a side.
    """
    if min(image.size) < SMALLEST:
        raise InputError(f"image of {image.width} x {image.height} pixels: statistics need {SMALLEST} a side")
    return np.array(list(_statistics(image).values()), np.float32)


def _statistics(image: Image.Image) -> dict[str, float]:
    rgb = image.convert("RGB")
    grey = rgb.convert("L")
    x = np.asarray(grey, np.float32)
    pyramid = [x - np.rint(x.mean())]  # small integers, which float32 adds and squares exactly
    while len(pyramid) < 5:
        pyramid.append(_halved(pyramid[-1]))
    normalised, contrast = zip(*map(_normalised, pyramid[:2]), strict=True)
    x = pyramid[0]
    return (
        _colour(rgb) | _tones(grey) | _sharpness(x, contrast) | _details(pyramid)
        | _spectrum(x) | _artefacts(x) | _brisque(normalised)
    )  # fmt: skip


def _log(value: float) -> float:
    return float(np.log(value + FLOOR))


def _halved(x: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels; an odd last row or column is dropped."""
    x = x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2]
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def _moments(name: str, values: np.ndarray, unit: float = 1) -> dict[str, float]:
    """Mean, standard deviation and skewness (as its arcsinh: a signed log) of int16 `values` in units of `unit`."""
    low = values.min()
    share = np.bincount((values - low).ravel()) / values.size
    levels = (np.arange(len(share)) + low) * unit
    mean = share @ levels
    variance, third = (share @ (levels - mean) ** power for power in (2, 3))
    skewness = third / (variance + FLOOR) ** 1.5
    return {f"{name}_mean": mean, f"{name}_sd": variance**0.5, f"{name}_asinh_skewness": np.arcsinh(skewness)}


def _colour(rgb: Image.Image) -> dict[str, float]:
    """Moments of channels and opponent colours, HSV saturation, colourfulness (Hasler & Suesstrunk 2003)."""
    red, green, blue = (np.asarray(plane, np.int16) for plane in rgb.split())
    statistics = _moments("red", red) | _moments("green", green) | _moments("blue", blue)
    statistics |= _moments("red_minus_green", red - green) | _moments("yellow_minus_blue", red + green - 2 * blue, 0.5)
    spread, offset = (
        np.hypot(statistics[f"red_minus_green_{m}"], statistics[f"yellow_minus_blue_{m}"]) for m in ("sd", "mean")
    )
    high, low = (extreme(extreme(red, green), blue) for extreme in (np.maximum, np.minimum))
    saturation = np.divide(high - low, np.maximum(high, 1), dtype=np.float32)
    return (
        statistics
        | {"colourfulness": spread + 0.3 * offset}
        | {"saturation_mean": saturation.mean(), "saturation_sd": saturation.std()}
    )


def _tones(grey: Image.Image) -> dict[str, float]:
    """The histogram of grey levels (Rec. 601 luma): moments, quantiles, extremes, entropy, banding."""
    histogram = np.array(grey.histogram())
    share, below = histogram / histogram.sum(), np.cumsum(histogram)
    return (
        _moments("grey", np.asarray(grey, np.int16))
        | {f"grey_quantile_{q:02}": np.searchsorted(below, q / 100 * below[-1]) for q in (1, 5, 25, 50, 75, 95, 99)}
        | {"dark_share": share[:26].sum(), "bright_share": share[-26:].sum(), "clipped_share": share[0] + share[-1]}
        | {"grey_entropy_bits": special.entr(share).sum() / np.log(2), "occupied_grey_levels": (histogram > 0).sum()}
    )


def _sharpness(x: np.ndarray, contrast: Iterable[np.ndarray]) -> dict[str, float]:
    """Gradient by central differences, Laplacian (Pech-Pacheco et al. 2000), contrast in BRISQUE's windows."""
    right, down = x[1:-1, 2:] - x[1:-1, :-2], x[2:, 1:-1] - x[:-2, 1:-1]
    gradient = np.sqrt(right * right + down * down) / 2
    laplacian = x[1:-1, 2:] + x[1:-1, :-2] + x[2:, 1:-1] + x[:-2, 1:-1] - 4 * x[1:-1, 1:-1]
    statistics = {"log_laplacian_variance": _log(laplacian.var())}
    maps = {"gradient": gradient} | {f"contrast_scale_{2**level}": values for level, values in enumerate(contrast)}
    for name, values in maps.items():
        statistics |= {f"log_{name}_mean": _log(values.mean()), f"log_{name}_sd": _log(values.std())}
    quantiles = zip((50, 90, 99), np.quantile(gradient, (0.5, 0.9, 0.99)), strict=True)
    return statistics | {f"log_gradient_quantile_{q}": _log(value) for q, value in quantiles}


def _details(pyramid: list[np.ndarray]) -> dict[str, float]:
    """Energy and kurtosis of differences of Gaussians, in a Laplacian pyramid (Burt & Adelson 1983)."""
    statistics = {}
    for level, x in enumerate(pyramid):
        smooth = x
        for axis in (0, 1):
            smooth = ndimage.correlate1d(smooth, [0.25, 0.5, 0.25], axis, mode="nearest")
        squares = (x - smooth) ** 2
        second, fourth = squares.mean(), (squares * squares).mean()
        # Exactly that of the detail plus Gaussian noise of variance FLOOR.
        kurtosis = (fourth + 6 * second * FLOOR + 3 * FLOOR**2) / (second + FLOOR) ** 2
        statistics[f"log_detail_energy_scale_{2**level}"] = _log(second)
        statistics[f"log_detail_kurtosis_scale_{2**level}"] = np.log(kurtosis)
    return statistics


@lru_cache(maxsize=4)
def _frequencies(height: int, width: int) -> tuple[np.ndarray, ...]:
    """What a frequency of the real FFT's half plane is: weight, ring, orientation, lattice; and the Hann window."""
    y, x = np.abs(np.fft.fftfreq(height))[:, None], np.fft.rfftfreq(width)[None]
    shortest = min(height, width)
    weight = np.where((x == 0) | (x == 0.5), 1.0, 2.0) + 0 * y  # most stand for their mirror image, too
    ring = np.minimum(np.rint(np.hypot(x, y) * shortest), shortest // 2 + 1).astype(np.intp)  # the last is the corners
    angle = np.rint(np.arctan2(y, x) / (np.pi / 4))  # 0 horizontal, 1 diagonal, 2 vertical, 3 not looked at
    orientation = np.where((ring > shortest / 16) & (ring <= shortest / 2), angle, 3).astype(np.intp)
    lattice = np.zeros_like(ring)
    for period in (8, 4, 2, 1):  # repeating every 8 pixels means multiples of 1/8, give or take a bin for the window
        near_y, near_x = (np.abs(f - np.rint(f * period) / period) * n < 1.5 for f, n in ((y, height), (x, width)))
        lattice[near_y & near_x] = period
    window = np.outer(np.hanning(height), np.hanning(width))
    return weight, ring, orientation, lattice, (window / np.sqrt((window**2).mean())).astype(np.float32)


def _spectrum(x: np.ndarray) -> dict[str, float]:
    """Power spectrum: octaves, slope (Field 1987), anisotropy, lattices (Odena, Dumoulin & Olah 2016).

    White noise of variance v has power v at every frequency. Lattices that repeat every 2, 4 or 8 pixels (upsampling,
    JPEG) and the highest peak are measured by their power over the mean of their ring of frequencies.
    """
    weight, ring, orientation, lattice, window = _frequencies(*x.shape)
    transformed = fft.rfft2((x - x.mean()) * window)
    power = (transformed.real**2 + transformed.imag**2) / x.size

    def totals(bins: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(bins.ravel(), w.ravel()) for w in (weight * power, weight)])

    rings = totals(ring)
    frequency = np.arange(rings.shape[1]) / min(x.shape)
    statistics = {}
    for period in (1, 2, 4, 8, 16):  # the first: corners of the spectrum, beyond the axes' Nyquist frequency
        power_sum, count = rings[:, (frequency * period > 0.5) & (frequency * period <= 1)].sum(1)
        statistics[f"log_power_periods_{period}_to_{2 * period}"] = _log(power_sum / count)
    mean = rings[0] / rings[1] + FLOOR
    line, misfit, *_ = np.polyfit(np.log(frequency[1:-1]), np.log(mean[1:-1]), 1, full=True)
    statistics |= {"spectrum_slope": line[0], "log_spectrum_misfit": _log(misfit[0] / (len(mean) - 2))}
    power_sums, counts = totals(orientation)
    horizontal, diagonal, vertical = np.log(power_sums / counts + FLOOR)[:3]
    statistics["log_power_horizontal_to_vertical"] = horizontal - vertical
    statistics["log_power_diagonal_to_straight"] = diagonal - (horizontal + vertical) / 2
    relative = (power + FLOOR) / mean.astype(np.float32)[ring]
    for period in (2, 4, 8):
        here = lattice == period
        statistics[f"log_lattice_power_period_{period}"] = np.log(np.average(relative[here], weights=weight[here]))
    return statistics | {"log_spectrum_peak": np.log((relative * (ring > min(x.shape) / 16)).max())}


def _artefacts(x: np.ndarray) -> dict[str, float]:
    """Blockiness (after Wang, Sheikh & Bovik 2002), noise (Immerkaer 1996), share of exactly flat 2 x 2 squares.

    Blockiness is the mean step across the borders of JPEG's 8 x 8 blocks over the mean step inside them.
    """
    statistics, (down, right) = {}, (np.diff(x, axis=axis) for axis in (0, 1))
    for name, profile in (("horizontal", np.abs(right).mean(0)), ("vertical", np.abs(down).mean(1))):
        border = np.arange(1, len(profile) + 1) % 8 == 0
        statistics[f"log_blockiness_{name}"] = _log(profile[border].mean()) - _log(profile[~border].mean())
    flat = (right[:-1] == 0) & (right[1:] == 0) & (down[:, :-1] == 0)
    noise = np.sqrt(np.pi / 2) / 6 * np.abs(np.diff(np.diff(down, axis=0), 2, axis=1)).mean()
    return statistics | {"log_noise_sd": _log(noise), "flat_share": flat.mean()}


def _windowed(x: np.ndarray) -> np.ndarray:
    """Gaussian mean over each 7 x 7 window that lies inside x."""
    for _ in range(2):
        size = len(x) - 6
        pairs = (WINDOW[i] * (x[i : size + i] + x[6 - i : size + 6 - i]) for i in range(3))
        x = sum(pairs, WINDOW[3] * x[3 : size + 3]).T
    return x


def _normalised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """BRISQUE's coefficients (deviation from the window's mean over its standard deviation + 1), and that deviation."""
    mean = _windowed(x)
    contrast = np.sqrt(np.maximum(_windowed(x * x) - mean * mean, 0))
    deviation = x[3:-3, 3:-3] - mean
    deviation *= np.abs(deviation) > 1e-3  # in flat areas rounding errors would decide the sign
    return deviation / (contrast + 1), contrast


def _shape(ratio: float) -> float:
    """The shape, within the bounds of SHAPES, of the generalised Gaussian of this E[|x|]^2 / E[x^2]."""
    return float(np.interp(ratio, SHAPE_RATIOS, SHAPES))


def _symmetric_fit(x: np.ndarray) -> dict[str, float]:
    """Generalised Gaussian by moments (Sharifi & Leon-Garcia 1995); a Gaussian where all is zero."""
    variance = np.square(x).mean()
    return {"shape": _shape(np.abs(x).mean() ** 2 / variance if variance else 2 / np.pi), "variance": variance}


def _asymmetric_fit(x: np.ndarray) -> dict[str, float]:
    """The same with a variance for either side (Lasmar, Stitou & Berthoumieu 2009)."""
    sides = np.maximum(-x, 0), np.maximum(x, 0)
    left, right = (np.square(side).sum(dtype=float) / max(np.count_nonzero(side), 1) for side in sides)
    ratio = 2 / np.pi
    if left + right:
        asymmetry = (left**1.5 + right**1.5) * (left**0.5 + right**0.5) / (left + right) ** 2
        ratio = np.abs(x).mean() ** 2 / np.square(x).mean() * asymmetry
    mean = (right**0.5 - left**0.5) * np.clip(ratio, *SHAPE_RATIOS[[0, -1]]) ** 0.5
    return {"shape": _shape(ratio), "mean": mean, "left_variance": left, "right_variance": right}


def _brisque(scales: Iterable[np.ndarray]) -> dict[str, float]:
    """The 36 features of BRISQUE (Mittal, Moorthy & Bovik 2012), here of the windows that lie inside the image."""
    statistics: dict[str, float] = {}
    for level, x in enumerate(scales):
        fits = {"": _symmetric_fit(x)}
        fits |= {f"{name}_": _asymmetric_fit(x[here] * x[there]) for name, (here, there) in NEIGHBOURS.items()}
        for name, fit in fits.items():
            statistics |= {f"brisque_scale_{2**level}_{name}{parameter}": value for parameter, value in fit.items()}
    return statistics


NAMES = tuple(_statistics(Image.new("RGB", (SMALLEST, SMALLEST))))
