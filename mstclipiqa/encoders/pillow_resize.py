"""Pillow's bicubic resize of square images on any device, to the bit, so that a GPU can do it without making other
features.

Pillow resizes images of 8 bits in whole numbers: along one side, then along the other, each time by weights of 22
binary places, rounded to 8 bits (its src/libImaging/Resample.c). Which side comes first depends on its version, where
an image is not square.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

#: The binary places of weights: a weighted sum of 8 bits, with two bits to spare, fits 32.
PLACES = 32 - 8 - 2

#: Of Keys' cubic kernel: its parameter, and how far it reaches.
KEYS, REACH = -0.5, 2.0


def resize_as_pillow(pixels: Tensor, size: int, window: Sequence[tuple[int, int]]) -> Tensor:
    """Of square uint8 images (B, S, S, C) what `Image.resize` gives at a `size` by the bicubic filter, and of that a
    `window`: the first row and the number of rows, the first column and the number of columns."""
    rows, columns = window
    if pixels.shape[1] == size:
        return pixels.narrow(1, *rows).narrow(2, *columns)
    return _along(_along(pixels, 2, size, *columns), 1, size, *rows)


def _along(pixels: Tensor, dimension: int, size: int, first: int, count: int) -> Tensor:
    """Resize along one dimension, and keep `count` places from the `first`."""
    taken, weights = _taps(pixels.shape[dimension], size, first, count, pixels.device)
    shape = [1] * pixels.dim()
    shape[dimension] = count
    total = torch.full((1,), 1 << (PLACES - 1), dtype=torch.int32, device=pixels.device)  # rounds
    for places, weight in zip(taken, weights, strict=True):
        total = pixels.index_select(dimension, places).int().mul_(weight.view(shape)).add_(total)
    return (total >> PLACES).clamp_(0, 255).to(torch.uint8)


@functools.lru_cache(64)
def _taps(
    whole: int, size: int, first: int, count: int, device: torch.device
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """For each tap the places (count,) that are read of `whole` ones, and their weights (count,), int32. Sums are added
    up in Pillow's order, so that weights are the same to the bit."""
    scale = whole / size
    stretch = max(scale, 1.0)
    reach = REACH * stretch
    taps = math.ceil(reach) * 2 + 1
    taken, weights = np.zeros((taps, count), np.int64), np.zeros((taps, count), np.int32)
    for number in range(count):
        centre = (first + number + 0.5) * scale
        least, most = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), whole)
        values = [_kernel((place - centre + 0.5) * (1.0 / stretch)) for place in range(least, most)]
        total = functools.reduce(lambda sum_, value: sum_ + value, values, 0.0)
        scaled = [value * (1.0 / total) * (1 << PLACES) for value in values]
        taken[: len(values), number] = range(least, most)
        weights[: len(values), number] = [int(value + math.copysign(0.5, value)) for value in scaled]
    return tuple(torch.from_numpy(taken).to(device)), tuple(torch.from_numpy(weights).to(device))


def _kernel(x: float) -> float:
    """Keys' cubic convolution kernel."""
    x = abs(x)
    if x < 1:
        return ((KEYS + 2) * x - (KEYS + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * KEYS if x < REACH else 0.0
