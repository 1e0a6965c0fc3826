"""Images as encoders see them: decoded whole, and augmented views of them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.files import sha256
from mstclipiqa.base.pixels import opened
from mstclipiqa.encoders.pillow_resize import resize_as_pillow


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


class Preparation:
    """What a transform does but for its last two steps, ToTensor and Normalize: uint8 pixels (h, w, 3) of an image.

    It is pickled as `make`, which gives it again: in a process that keeps what was made, the same object.
    """

    def __init__(self, steps: Sequence[Callable], make: "functools.partial[Preparation]"):
        self.steps: list[Any] = [*steps[:-2]]
        self.make = make

    def __reduce__(self) -> tuple[Any, tuple]:
        return self.make, ()

    def __call__(self, image: Image.Image) -> Tensor:
        """The pixels of an image."""
        for step in self.steps:
            image = step(image)
        return pixels_of(image)

    @functools.cached_property
    def takes_whole(self) -> bool:
        """Whether `on_device` can do it: CLIP's bicubic resize of the shorter side and central crop."""
        from torchvision import transforms  # made the steps, and is loaded by what loads open_clip

        resize, crop, *others = self.steps
        return (
            isinstance(resize, transforms.Resize)
            and isinstance(resize.size, int)
            and resize.interpolation == transforms.InterpolationMode.BICUBIC
            and isinstance(crop, transforms.CenterCrop)
            and max(crop.size) <= resize.size
            and {type(step).__name__ for step in others} <= {"MaybeConvertMode"}  # open_clip's, to RGB
        )

    def on_device(self, pixels: Tensor) -> Tensor:
        """The same pixels to the bit, uint8 (B, h, w, 3), of whole square RGB images, uint8 (B, S, S, 3), on the device
        where they are; where it `takes_whole` images."""
        resize, crop = self.steps[:2]
        return resize_as_pillow(pixels, resize.size, [(round((resize.size - kept) / 2), kept) for kept in crop.size])


@dataclass(frozen=True)
class Source:
    """Where images are, by paths relative to `root`, and what is encoded of each: itself, or with an augmentation
    `views` random views."""

    root: Path
    augmentation: dict | None = None
    views: int = 0

    def read(self, path: str, content: str) -> Image.Image:
        """As `read_image`."""
        return read_image(self.root / path, content)

    def prepare(
        self, path: str, image: Image.Image, content: str, sizes: Mapping[Callable, int], refused: list[str]
    ) -> dict[Callable, list[Tensor]]:
        """The views of an image by each function that prepares it for an encoder, with the size that these are drawn
        at. That one does not take the image is added to `refused`."""
        shown = {
            size: [image]
            if self.augmentation is None
            else draw_views(image, content, self.augmentation, self.views, size)
            for size in set(sizes.values())
        }
        prepared: dict[Callable, list[Tensor]] = {}
        for prepare, size in sizes.items():
            try:
                prepared[prepare] = [prepare(view) for view in shown[size]]
            except InputError as error:
                refused.append(f"{self.root / path}: {error}")
        return prepared


def pixels_of(image: Image.Image) -> Tensor:
    """The pixels, uint8 (H, W, 3), of an RGB image."""
    return torch.from_numpy(np.array(image))


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
