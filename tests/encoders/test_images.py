"""Augmented views of an image."""

import numpy as np
import pytest
from encoding import APPENDIX, NOTHING
from PIL import Image

from mstclipiqa.encoders.images import augment, draw_views


def ramp(mode: str) -> Image.Image:
    """A square whose grey rises from left to right, or from top to bottom."""
    grey = np.linspace(60, 190, 448)
    image = np.broadcast_to(grey if mode == "across" else grey[:, None], (448, 448))
    return Image.fromarray(image.astype(np.uint8)).convert("RGB")


def test_an_augmentation_of_nothing_is_a_resize():
    view = augment(ramp("across"), NOTHING, 224, np.random.default_rng(0))
    assert np.array_equal(view, ramp("across").resize((224, 224), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("seed", range(20))
def test_views_keep_to_the_stated_ranges(seed: int):
    """Read from ramps: how much of the width and height a crop shows, and which way round."""
    spans = {}
    for mode, axis in (("across", 0), ("down", 1)):
        plain = APPENDIX | {"brightness": 0, "contrast": 0}
        view = np.asarray(augment(ramp(mode), plain, 224, np.random.default_rng(seed)), float)[..., 0]
        line = view.mean(axis=axis)
        spans[mode] = (line[-5:].mean() - line[:5].mean()) / 130 * 224 / 219
    assert spans["down"] > 0, "flips are horizontal"
    width, height = abs(spans["across"]), spans["down"]
    assert 0.78 <= width * height <= 1.02
    assert 0.88 <= width / height <= 1.12


def test_half_of_the_views_are_flipped_and_brightness_varies():
    views = [
        np.asarray(augment(ramp("across"), APPENDIX, 32, np.random.default_rng(seed)), float) for seed in range(200)
    ]
    flipped = np.mean([view[:, :8].mean() > view[:, -8:].mean() for view in views])
    assert 0.4 < flipped < 0.6
    means = np.array([view.mean() for view in views])
    assert 125 * 0.85 < means.min() < 125 * 0.94 and 125 * 1.06 < means.max() < 125 * 1.15


def test_views_of_any_size_are_the_same_crops():
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((90, 70), Image.Resampling.BICUBIC)
    small, large = (draw_views(image, "0" * 64, APPENDIX, 3, size) for size in (32, 128))
    for one, other in zip(small, large, strict=True):
        assert (one.size, other.size) == ((32, 32), (128, 128))
        shrunk = np.asarray(other.resize((32, 32), Image.Resampling.BOX), float)
        assert np.abs(np.asarray(one, float) - shrunk).mean() < 3
    assert np.abs(np.asarray(small[0], float) - np.asarray(small[1], float)).mean() > 3
