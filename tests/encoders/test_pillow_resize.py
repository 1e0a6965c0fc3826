"""Pillow's bicubic resize on any device, against Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image

from mstclipiqa.encoders.pillow_resize import resize_as_pillow


@pytest.mark.parametrize("side", [7, 31, 223, 224, 225, 300, 448, 512, 768, 1000, 1024])
@pytest.mark.parametrize("size", [16, 224, 256])
def test_it_gives_pillows_bytes(side: int, size: int):
    """Of noise, and of black and white, where sums leave 0 to 255 the farthest."""
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    for pixels in (noise, np.where(noise < 128, 0, 255).astype(np.uint8)):
        expected = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))
        resized = resize_as_pillow(torch.from_numpy(np.stack([pixels, 255 - pixels])), size, [(0, size), (0, size)])
        assert np.array_equal(resized[0], expected)
        assert not np.array_equal(resized[1], expected)


@pytest.mark.parametrize("side", [8, 224, 512])
def test_a_window_is_cut_from_the_whole(side: int):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8))
    whole = resize_as_pillow(pixels, 224, [(0, 224), (0, 224)])
    assert torch.equal(resize_as_pillow(pixels, 224, [(10, 200), (3, 100)]), whole[:, 10:210, 3:103])
