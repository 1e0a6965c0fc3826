"""Styles: how a shape's colour becomes fill and outline, and what happens to the finished picture."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from scipy import ndimage

from mstclipiqa.synthetic.scene import Colour, Rng

# ----------------------------------------------------------------------------------------------------------
# Styles: how a shape's colour becomes fill and outline, and what happens to the finished picture.

WHITE, BLACK, INK, PAPER = (255, 255, 255), (0, 0, 0), (40, 34, 46), (250, 246, 236)

Mix = tuple[Colour, float]


@dataclass(frozen=True)
class Style:
    """Fill, outline and backdrop mix towards a colour by an amount in 0..1; lengths are in object radii."""

    fill: Mix = (WHITE, 0.0)
    line: Mix = (INK, 1.0)
    line_width: float = 0.06
    backdrop: Mix = (WHITE, 0.0)
    opacity: float = 1.0
    shading: float = 0.35
    shadow: float = 0.0
    wobble: float = 0.0
    grain: float = 0.12
    finish: Callable[[Image.Image, Rng], Image.Image] = lambda image, rng: image


def mix(colour: Colour, towards: Mix) -> Colour:
    other, amount = towards
    red, green, blue = (round((1 - amount) * a + amount * b) for a, b in zip(colour, other, strict=True))
    return red, green, blue


@cache
def _texture(scale: float, side: int = 1024) -> Image.Image:
    """A fixed square of grey noise around 128, smooth over about `scale` pixels, to crop from."""
    noise = ndimage.gaussian_filter(
        np.random.default_rng(0).standard_normal((side, side), np.float32), scale, mode="wrap"
    )
    return Image.fromarray(np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8))


def texturise(image: Image.Image, scale: float, amount: float, rng: Rng) -> Image.Image:
    texture = _texture(scale)
    left, top = rng.integers(0, 1 + np.subtract(texture.size, image.size)).tolist()
    crop = texture.crop((left, top, left + image.width, top + image.height)).convert("RGB")
    return Image.blend(image, ImageChops.overlay(image, crop), amount)


def _watercolour(image: Image.Image, rng: Rng) -> Image.Image:
    return texturise(texturise(image, 9, 0.45, rng), 1.2, 0.15, rng)


def _glow(image: Image.Image, rng: Rng) -> Image.Image:
    halo = image.reduce(4).filter(ImageFilter.GaussianBlur(3)).resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.screen(image, halo)


def _pixelate(image: Image.Image, rng: Rng) -> Image.Image:
    small = image.resize((image.width // 4, image.height // 4), Image.Resampling.BOX)
    few = small.quantize(24, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).convert("RGB")
    return few.resize(image.size, Image.Resampling.NEAREST)


STYLES: dict[str, Style] = {
    "cartoon": Style(),
    "3D render": Style(line=(BLACK, 0.2), line_width=0.0, shading=0.9, shadow=0.35, grain=0.16),
    "watercolour": Style(
        fill=(WHITE, 0.15),
        line=(BLACK, 0.3),
        line_width=0.025,
        backdrop=(WHITE, 0.35),
        opacity=0.88,
        shading=0.25,
        wobble=0.02,
        finish=_watercolour,
    ),
    "ink sketch": Style(
        fill=(PAPER, 0.6), line_width=0.035, backdrop=(PAPER, 0.82), shading=0.15, wobble=0.035, grain=0.2
    ),
    "pixel art": Style(line_width=0.09, grain=0.0, finish=_pixelate),
    "neon": Style(
        fill=(BLACK, 0.72),
        line=(WHITE, 0.2),
        line_width=0.07,
        backdrop=((10, 6, 26), 0.8),
        shading=0.0,
        finish=_glow,
    ),
}
