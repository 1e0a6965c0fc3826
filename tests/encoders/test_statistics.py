"""Statistics of images against scipy, against their equations written out, and under known degradations."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage, signal, special, stats

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders import statistics as module
from mstclipiqa.encoders.statistics import NAMES, image_statistics


def picture(width=96, height=64, seed=0):
    """Coloured blobs and edges under a little noise."""
    rng = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(rng.normal(0, 1, (height, width, 3)), (4, 4, 0))
    edges = ndimage.gaussian_filter(rng.normal(0, 1, (height, width, 1)), (6, 6, 0)) > 0
    pixels = 110 + 400 * blobs + 50 * edges * (1, 0.7, 0.3) + rng.normal(0, 2, (height, width, 1))
    return to_image(pixels)


def to_image(pixels):
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def grey_levels(image):
    return np.asarray(image.convert("RGB").convert("L"), float)


def named(image):
    return dict(zip(NAMES, image_statistics(image).tolist(), strict=True))


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def noisy(image, sd):
    pixels = np.asarray(image, float)
    return to_image(pixels + sd * np.random.default_rng(1).normal(0, 1, pixels.shape[:2])[..., None])


# What comes back


def test_names_are_unique_words_and_match_the_vector():
    assert len(set(NAMES)) == len(NAMES) >= 100
    assert all(name.isidentifier() and name.islower() for name in NAMES)
    vector = image_statistics(picture())
    assert vector.shape == (len(NAMES),) and vector.dtype == np.float32


def test_equal_pixels_give_equal_bytes():
    image = picture()
    assert image_statistics(image).tobytes() == image_statistics(image.copy()).tobytes()
    assert image_statistics(image).tobytes() == image_statistics(image.convert("RGBA")).tobytes()


RAMP = np.add.outer(np.arange(40), np.arange(40)) * 3
ODD_IMAGES = {
    "black": Image.new("RGB", (64, 64)),
    "white": Image.new("RGB", (64, 64), "white"),
    "one colour": Image.new("RGB", (61, 47), (200, 13, 90)),
    "tiny": picture(16, 16),
    "tiny and constant": Image.new("L", (16, 16), 77),
    "odd and narrow": picture(17, 203),
    "one pixel": Image.fromarray((np.indices((32, 32)).sum(0) == 31).astype(np.uint8) * 255),
    "finest checkerboard": Image.fromarray((np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)),
    "half black, half white": Image.fromarray(np.repeat([[0, 255]], 16, 1).repeat(32, 0).astype(np.uint8)),
    "ramp": Image.fromarray(RAMP.astype(np.uint8)),
    "palette": picture().quantize(8),
    "transparent": Image.new("RGBA", (32, 32), (10, 20, 30, 0)),
    "grey and alpha": picture().convert("LA"),
    "CMYK": picture().convert("CMYK"),
    "1 bit": picture().convert("1"),
    "16 bits": Image.fromarray(RAMP.astype(np.uint16) * 200),
    "32 bits": Image.fromarray(RAMP.astype(np.int32) * 2000),
    "floats": Image.fromarray(RAMP.astype(np.float32)),
}


@pytest.mark.parametrize("image", ODD_IMAGES.values(), ids=ODD_IMAGES)
@pytest.mark.filterwarnings("error")
def test_every_image_has_finite_statistics_and_no_warning(image):
    assert np.isfinite(image_statistics(image)).all()


@pytest.mark.parametrize("size", [(15, 64), (64, 15), (1, 1)])
def test_too_small_an_image_is_an_input_error(size):
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]}"):
        image_statistics(Image.new("RGB", size))


def test_a_constant_image_has_no_structure():
    values = named(Image.new("RGB", (64, 48), (90, 90, 90)))
    nothing = np.log(module.FLOOR)
    for name in NAMES:
        if name.endswith(("_sd", "_skewness")) and not name.startswith("log_"):
            assert values[name] == 0, name
        if name.startswith(("log_laplacian", "log_gradient", "log_contrast", "log_detail_energy", "log_power_periods")):
            assert values[name] == pytest.approx(nothing), name
    assert values["red_mean"] == values["grey_mean"] == values["grey_quantile_50"] == 90
    assert (values["occupied_grey_levels"], values["grey_entropy_bits"], values["flat_share"]) == (1, 0, 1)
    assert values["brisque_scale_1_shape"] == pytest.approx(2, abs=1e-3), "Gaussian where there is nothing to fit"


# Equations


def test_colour_is_that_of_scipy_and_of_the_definitions():
    image = picture()
    values, pixels = named(image), np.asarray(image, float)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    planes = {"red": red, "green": green, "blue": blue, "grey": grey_levels(image)}
    planes |= {"red_minus_green": red - green, "yellow_minus_blue": (red + green) / 2 - blue}
    for name, plane in planes.items():
        expected = (plane.mean(), plane.std(), np.arcsinh(stats.skew(plane, axis=None)))
        found = [values[f"{name}_{moment}"] for moment in ("mean", "sd", "asinh_skewness")]
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-5), name
    rg, yb = planes["red_minus_green"], planes["yellow_minus_blue"]
    colourfulness = np.sqrt(rg.var() + yb.var()) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
    assert values["colourfulness"] == pytest.approx(colourfulness)
    saturation = [colorsys.rgb_to_hsv(*pixel)[1] for pixel in (pixels / 255).reshape(-1, 3)]
    assert values["saturation_mean"] == pytest.approx(np.mean(saturation))
    assert values["saturation_sd"] == pytest.approx(np.std(saturation), rel=1e-4)


def test_tones_are_those_of_scipy_and_numpy():
    image = picture()
    values, grey = named(image), grey_levels(image)
    levels, counts = np.unique(grey, return_counts=True)
    assert values["occupied_grey_levels"] == len(levels)
    assert values["grey_entropy_bits"] == pytest.approx(stats.entropy(counts, base=2))
    for q in (1, 5, 25, 50, 75, 95, 99):
        assert values[f"grey_quantile_{q:02}"] == np.quantile(grey, q / 100, method="inverted_cdf")
    assert values["dark_share"] == pytest.approx(np.mean(grey <= 25))
    assert values["bright_share"] == pytest.approx(np.mean(grey >= 230))
    assert values["clipped_share"] == pytest.approx(np.mean((grey == 0) | (grey == 255)))


def test_sharpness_is_that_of_the_textbook():
    image = picture()
    values, grey = named(image), grey_levels(image)
    inside = np.s_[1:-1, 1:-1]
    gradient = np.hypot(*np.gradient(grey))[inside]
    laplacian = signal.convolve2d(grey, [[0, 1, 0], [1, -4, 1], [0, 1, 0]], "valid")
    expected = {
        "log_laplacian_variance": laplacian.var(),
        "log_gradient_mean": gradient.mean(),
        "log_gradient_sd": gradient.std(),
        "log_gradient_quantile_90": np.quantile(gradient, 0.9),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(np.log(value + module.FLOOR), rel=1e-5), name


def test_details_are_differences_of_gaussians_of_halved_images():
    image = picture(96, 64)
    values, x = named(image), grey_levels(image)
    for scale in (1, 2, 4, 8, 16):
        padded = np.pad(x, 1, mode="edge")
        detail = x - signal.convolve2d(padded, np.outer((1, 2, 1), (1, 2, 1)) / 16, "valid")
        assert values[f"log_detail_energy_scale_{scale}"] == pytest.approx(np.log(np.mean(detail**2) + 0.01), rel=1e-4)
        kurtosis = stats.kurtosis(detail - detail.mean(), axis=None, fisher=False)
        assert values[f"log_detail_kurtosis_scale_{scale}"] == pytest.approx(np.log(kurtosis), abs=0.05)
        x = x.reshape(len(x) // 2, 2, -1, 2).mean((1, 3))


@pytest.mark.parametrize("size", [(32, 24), (33, 25), (16, 16)])
def test_octaves_of_the_spectrum_are_means_over_the_full_plane(size):
    image = picture(*size)
    values, x = named(image), grey_levels(image)
    height, width = x.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.fft2((x - x.mean()) * window)) ** 2 / (window**2).sum()
    rings = {}
    for i, fy in enumerate(np.fft.fftfreq(height)):
        for j, fx in enumerate(np.fft.fftfreq(width)):
            rings.setdefault(round(np.hypot(fx, fy) * min(size)), []).append(power[i, j])
    for period in (2, 4, 8):
        members = [p for k, ring in rings.items() if 0.5 < k * period / min(size) <= 1 for p in ring]
        assert values[f"log_power_periods_{period}_to_{2 * period}"] == pytest.approx(
            np.log(np.mean(members) + module.FLOOR), rel=1e-4
        )


def test_power_of_white_noise_is_its_variance_and_its_spectrum_is_flat():
    values = named(to_image(np.random.default_rng(0).normal(128, 20, (256, 256))))
    for period in (1, 2, 4, 8):
        assert values[f"log_power_periods_{period}_to_{2 * period}"] == pytest.approx(np.log(400), abs=0.15)
    assert values["spectrum_slope"] == pytest.approx(0, abs=0.15)
    assert values["log_power_horizontal_to_vertical"] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("slope", [-1, -2, -3])
def test_slope_of_a_power_law_is_found(slope):
    rng = np.random.default_rng(0)
    radius = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None])
    radius[0, 0] = np.inf
    x = np.fft.irfft2(np.fft.rfft2(rng.normal(0, 1, (256, 256))) * radius ** (slope / 2))
    assert named(to_image(128 + 32 * x / x.std()))["spectrum_slope"] == pytest.approx(slope, abs=0.2)


def test_artefact_measures_are_those_of_loops():
    image = jpeg(picture(40, 32), 20)
    values, x = named(image), grey_levels(image)
    height, width = x.shape
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    total = np.abs(signal.convolve2d(x, mask, "valid")).sum()
    noise = np.sqrt(np.pi / 2) * total / (6 * (width - 2) * (height - 2))
    assert values["log_noise_sd"] == pytest.approx(np.log(noise + module.FLOOR), rel=1e-5)
    squares = [x[i : i + 2, j : j + 2] for i in range(height - 1) for j in range(width - 1)]
    assert values["flat_share"] == pytest.approx(np.mean([np.ptp(square) == 0 for square in squares]))
    for name, plane in (("horizontal", x), ("vertical", x.T)):
        border, inside = [], []
        for j in range(1, plane.shape[1]):
            (border if j % 8 == 0 else inside).extend(abs(plane[:, j] - plane[:, j - 1]))
        expected = np.log(np.mean(border) + module.FLOOR) - np.log(np.mean(inside) + module.FLOOR)
        assert values[f"log_blockiness_{name}"] == pytest.approx(expected, rel=1e-4)


def naive_brisque(x):
    """One scale of BRISQUE by the paper's equations, pixel by pixel, the shape by search over a grid."""
    steps = np.arange(-3, 4)
    window = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    mscn = np.zeros((len(x) - 6, x.shape[1] - 6))
    for i, j in np.ndindex(mscn.shape):
        patch = x[i : i + 7, j : j + 7]
        mean = (window * patch).sum()
        mscn[i, j] = (patch[3, 3] - mean) / (np.sqrt((window * (patch - mean) ** 2).sum()) + 1)
    grid = np.arange(0.2, 10, 0.001)
    gamma = special.gamma
    known = gamma(2 / grid) ** 2 / (gamma(1 / grid) * gamma(3 / grid))
    shape = grid[np.argmin((np.mean(np.abs(mscn)) ** 2 / np.mean(mscn**2) - known) ** 2)]
    features = [shape, np.mean(mscn**2)]
    height, width = mscn.shape
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        product = np.array(
            [
                mscn[i, j] * mscn[i + down, j + right]
                for i in range(height - down)
                for j in range(width)
                if 0 <= j + right < width
            ]
        )
        left = np.sqrt(np.mean(product[product < 0] ** 2))
        right = np.sqrt(np.mean(product[product > 0] ** 2))
        g = left / right
        ratio = np.mean(np.abs(product)) ** 2 / np.mean(product**2) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
        shape = grid[np.argmin((ratio - known) ** 2)]
        scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
        mean = (right - left) * scale * gamma(2 / shape) / gamma(1 / shape)
        features += [shape, mean, left**2, right**2]
    return features


def test_brisque_is_that_of_the_paper():
    image = noisy(picture(48, 40), 4)
    x = grey_levels(image)
    expected = naive_brisque(x) + naive_brisque(x.reshape(20, 2, 24, 2).mean((1, 3)))
    found = [value for name, value in named(image).items() if name.startswith("brisque")]
    assert len(found) == 36
    assert found == pytest.approx(expected, abs=1.5e-3)


@pytest.mark.parametrize("shape", [0.5, 0.8, 1, 1.5, 2, 3.5])
def test_fits_give_back_the_shape_that_scipy_drew_from(shape):
    samples = stats.gennorm.rvs(shape, scale=0.7, size=(300, 500), random_state=0).astype(np.float32)
    fit = module._symmetric_fit(samples)
    assert fit["shape"] == pytest.approx(shape, rel=0.04)
    assert fit["variance"] == pytest.approx(stats.gennorm.var(shape, scale=0.7), rel=0.04)
    assert module._asymmetric_fit(samples)["shape"] == pytest.approx(shape, rel=0.04)


@pytest.mark.parametrize("shape", [0.7, 1, 2])
def test_asymmetric_fit_gives_back_both_sides(shape):
    """Sides of scales 1 and 3 hold a quarter and three quarters of the samples, so that the density is continuous."""
    rng = np.random.default_rng(0)
    sizes = np.abs(stats.gennorm.rvs(shape, size=200_000, random_state=rng))
    samples = np.where(rng.random(200_000) < 0.25, -sizes, 3 * sizes)
    fit = module._asymmetric_fit(samples)
    variance = stats.gennorm.var(shape)
    assert fit["shape"] == pytest.approx(shape, rel=0.04)
    assert (fit["left_variance"], fit["right_variance"]) == pytest.approx((variance, 9 * variance), rel=0.04)
    # The mean of the mixture is E|x| (3 * 3/4 - 1/4) = 2 E|x|, which is what the difference of the scales gives.
    assert fit["mean"] == pytest.approx(samples.mean(), rel=0.04)


# Known degradations


def test_blur_takes_sharpness():
    blurred = [named(picture().filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 2, 4)]
    for name in ("log_laplacian_variance", "log_gradient_mean", "log_power_periods_2_to_4"):
        values = [value[name] for value in blurred]
        assert values == sorted(values, reverse=True) and len(set(values)) == 4, name
    assert blurred[1]["spectrum_slope"] < blurred[0]["spectrum_slope"] - 1


@pytest.mark.parametrize("sd", [4, 8, 16, 32])
def test_noise_is_estimated(sd):
    smooth = Image.linear_gradient("L").resize((224, 224)).point(lambda level: 64 + level / 2)
    estimate = np.exp(named(noisy(smooth.convert("RGB"), sd))["log_noise_sd"])
    assert estimate == pytest.approx(sd, rel=0.05)


def test_jpeg_leaves_blocks():
    values = [named(jpeg(picture(160, 128), quality)) for quality in (95, 30, 10, 3)]
    for name in ("log_blockiness_horizontal", "log_blockiness_vertical"):
        blockiness = [value[name] for value in values]
        assert blockiness == sorted(blockiness) and blockiness[-1] > blockiness[0] + 0.5, name
    assert values[-1]["flat_share"] > values[0]["flat_share"]


def test_banding_empties_levels():
    grey = picture().convert("L")
    values = [named(grey.point(lambda level, step=step: level // step * step)) for step in (1, 8, 32, 64)]
    for name in ("occupied_grey_levels", "grey_entropy_bits"):
        assert np.all(np.diff([value[name] for value in values]) < 0), name
    assert values[-1]["occupied_grey_levels"] <= 4


def test_grey_has_no_colour():
    values = named(picture().convert("L"))
    assert values["colourfulness"] == values["saturation_mean"] == values["red_minus_green_sd"] == 0
    assert values["red_mean"] == values["grey_mean"]


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_lattice_shows_at_its_period_and_as_a_peak(period):
    image = picture(128, 128)
    y, x = np.indices((128, 128))
    pattern = np.where(((y // (period // 2)) + (x // (period // 2))) % 2, 6, -6)
    before, after = named(image), named(to_image(np.asarray(image, float) + pattern[..., None]))
    gains = {p: after[f"log_lattice_power_period_{p}"] - before[f"log_lattice_power_period_{p}"] for p in (2, 4, 8)}
    assert max(gains, key=gains.get) == period and gains[period] > 0.5
    assert after["log_spectrum_peak"] > before["log_spectrum_peak"] + 0.5


def test_stripes_have_a_direction():
    y, x = np.indices((64, 64))
    upright = named(to_image(128 + 60 * np.sin(x)))
    slanted = named(to_image(128 + 60 * np.sin(x + y)))
    assert upright["log_power_horizontal_to_vertical"] > 3
    assert slanted["log_power_diagonal_to_straight"] > 3 > abs(slanted["log_power_horizontal_to_vertical"])


# Symmetries


def swap(values, one, other):
    """The values with two words exchanged in their names."""
    return {name.replace(one, "\0").replace(other, one).replace("\0", other): value for name, value in values.items()}


@pytest.mark.parametrize("operation", [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM])
def test_mirroring_only_swaps_the_diagonals(operation):
    image = picture(96, 64)
    expected = swap(named(image), "_diagonal_", "_antidiagonal_")
    expected["log_power_diagonal_to_straight"] = expected.pop("log_power_antidiagonal_to_straight")
    assert named(image.transpose(operation)) == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_transposing_only_swaps_the_axes():
    image = picture(96, 64)
    expected = swap(named(image), "horizontal", "vertical")
    expected["log_power_horizontal_to_vertical"] = -expected.pop("log_power_vertical_to_horizontal")
    assert named(image.transpose(Image.Transpose.TRANSPOSE)) == pytest.approx(expected, rel=2e-3, abs=2e-3)
