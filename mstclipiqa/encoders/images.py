"""Images as encoders see them: decoded whole, and augmented views of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.files import sha256
from mstclipiqa.base.pixels import opened


def read_image(path: Path, expected_sha256: str | None = None) -> Image.Image:
    """The whole image as RGB. Raises InputError where the rule for pixels (`base.pixels`) refuses it, and where it is
    not the file that was read when the samples table was made."""
    try:
        if expected_sha256 is not None and sha256(path) != expected_sha256:
            raise InputError(f"{path}: changed since the samples table was written; run the samples step again")
        with opened(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"{path}: is gone since the samples table was written; run the samples step again") from None
    except PermissionError:
        raise no_rights(path) from None


def without_normalising(steps: Sequence[Callable]) -> Callable[[Image.Image], Tensor]:
    """What a transform does but for its last two steps, ToTensor and Normalize: uint8 pixels (H, W, 3) of an image."""
    *resizing, _, _ = steps

    def prepare(image: Image.Image) -> Tensor:
        for step in resizing:
            image = step(image)
        return torch.from_numpy(np.array(image))

    return prepare


def augment(image: Image.Image, augmentation: dict, size: int, rng: np.random.Generator) -> Image.Image:
    """One random view (size x size) of an RGB image: crop of random area and ratio, flip, brightness and contrast.

    `augmentation` as in a recipe (appendix: flip 0.5, scale 0.8-1.0, ratio 0.9-1.1, brightness and contrast 0.1).
    The ratio is drawn evenly in its logarithm; a crop is at most as wide and high as the image.
    """
    area = image.width * image.height * rng.uniform(*augmentation["scale"])
    ratio = np.exp(rng.uniform(*np.log(augmentation["ratio"])))
    width, height = min(np.sqrt(area * ratio), image.width), min(np.sqrt(area / ratio), image.height)
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    view = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    if rng.random() < augmentation["flip"]:
        view = ImageOps.mirror(view)
    for enhance, spread in (
        (ImageEnhance.Brightness, augmentation["brightness"]),
        (ImageEnhance.Contrast, augmentation["contrast"]),
    ):
        view = enhance(view).enhance(rng.uniform(1 - spread, 1 + spread))
    return view


def draw_views(image: Image.Image, content: str, augmentation: dict, views: int, size: int) -> list[Image.Image]:
    """Random views (size x size) of an image, drawn from the hash of its content: of any size the same crops."""
    seeds = [[int(content[:15], 16), view] for view in range(views)]
    return [augment(image, augmentation, size, np.random.default_rng(seed)) for seed in seeds]
