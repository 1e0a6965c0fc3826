"""Backgrounds, painted on the full canvas."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mstclipiqa.synthetic.scene import Colour, Rng

# fmt: on


# ----------------------------------------------------------------------------------------------------------
# Backgrounds, painted on the full canvas.


@dataclass(frozen=True)
class Background:
    """How a prompt names the place, and the function (canvas, rng) that paints it."""

    words: str
    paint: Callable[[Image.Image, Rng], None]


def _gradient(canvas: Image.Image, top: Colour, bottom: Colour, start: float = 0.0, stop: float = 1.0) -> None:
    """Fill the rows between two fractions of the height with a vertical gradient."""
    first, last = int(start * canvas.height), int(stop * canvas.height)
    ramp = np.linspace(0, 1, last - first)[:, None]
    rows = ((1 - ramp) * np.array(top) + ramp * np.array(bottom)).astype(np.uint8)
    canvas.paste(
        Image.fromarray(rows[:, None, :]).resize((canvas.width, last - first), Image.Resampling.NEAREST),
        (0, first),
    )


def _meadow(canvas: Image.Image, rng: Rng) -> None:
    _gradient(canvas, (138, 196, 240), (222, 240, 246), 0, 0.62)
    _gradient(canvas, (150, 200, 92), (84, 150, 58), 0.6, 1)
    pen = ImageDraw.Draw(canvas)
    for x, y in rng.random((90, 2)):
        x, y, blade = x * canvas.width, (0.62 + 0.38 * y) * canvas.height, 0.02 * canvas.height
        pen.line([(x, y), (x - blade / 3, y - blade)], fill=(62, 122, 48), width=2)
        pen.line([(x, y), (x + blade / 3, y - blade)], fill=(186, 218, 110), width=2)


def _night(canvas: Image.Image, rng: Rng) -> None:
    _gradient(canvas, (12, 14, 46), (58, 54, 110))
    pen = ImageDraw.Draw(canvas)
    for x, y, size in rng.random((70, 3)):
        x, y, size = x * canvas.width, y * 0.8 * canvas.height, 1 + 1.6 * size
        pen.ellipse((x - size, y - size, x + size, y + size), fill=(252, 246, 204))
    x = np.linspace(0, 1, 40)
    ridge = 0.86 + 0.04 * np.sin(6 * x + 6 * rng.random()) + 0.02 * np.sin(15 * x + 6 * rng.random())
    hills = np.column_stack([x * canvas.width, ridge * canvas.height])
    pen.polygon([*map(tuple, hills), canvas.size, (0, canvas.height)], fill=(20, 24, 44))


def _sea(canvas: Image.Image, rng: Rng) -> None:
    _gradient(canvas, (150, 206, 244), (240, 244, 236), 0, 0.55)
    _gradient(canvas, (62, 136, 190), (18, 70, 128), 0.53, 0.86)
    _gradient(canvas, (238, 216, 166), (216, 184, 126), 0.84, 1)
    pen = ImageDraw.Draw(canvas)
    for x, y in rng.random((36, 2)):
        x, y, length = x * canvas.width, (0.56 + 0.27 * y) * canvas.height, (0.02 + 0.06 * y) * canvas.width
        pen.arc((x, y, x + 2 * length, y + length / 2), 200, 340, fill=(206, 232, 246), width=2)


def _desert(canvas: Image.Image, rng: Rng) -> None:
    _gradient(canvas, (250, 182, 104), (254, 232, 178), 0, 0.62)
    pen = ImageDraw.Draw(canvas)
    x = np.linspace(0, 1, 60)
    for level, shade in ((0.55, (226, 174, 104)), (0.68, (208, 150, 82)), (0.84, (186, 126, 66))):
        wave = level + 0.035 * np.sin((3 + 3 * rng.random()) * x + 6 * rng.random())
        ridge = np.column_stack([x * canvas.width, wave * canvas.height])
        pen.polygon([*map(tuple, ridge), canvas.size, (0, canvas.height)], fill=shade)
        for step in range(1, 5):
            ripple = ridge + (0, step * 0.025 * canvas.height)
            pen.line([*map(tuple, ripple)], fill=tuple(int(0.93 * value) for value in shade), width=2)


def _brick_wall(canvas: Image.Image, rng: Rng) -> None:
    canvas.paste((206, 198, 188), (0, 0, *canvas.size))
    pen = ImageDraw.Draw(canvas)
    rows, columns = 12, 7
    height, width = canvas.height / rows, canvas.width / columns
    shades = rng.integers(-16, 17, (rows, columns + 1))
    for (row, column), shade in np.ndenumerate(shades):
        left, top = (column - 0.5 * (row % 2)) * width, row * height
        brick = (186 + shade, 132 + shade, 112 + shade)
        pen.rectangle((left + 2, top + 2, left + width - 3, top + height - 3), fill=tuple(map(int, brick)))


def _snow(canvas: Image.Image, rng: Rng) -> None:
    _gradient(canvas, (150, 170, 196), (206, 218, 232), 0, 0.66)
    _gradient(canvas, (250, 252, 254), (206, 220, 236), 0.64, 1)
    pen = ImageDraw.Draw(canvas)
    for x, y, size in rng.random((110, 3)):
        x, y, size = x * canvas.width, y * canvas.height, 2 + 3 * size
        pen.ellipse((x - size, y - size, x + size, y + size), fill=(255, 255, 255))


def _room(canvas: Image.Image, rng: Rng) -> None:
    _gradient(canvas, (226, 214, 190), (208, 192, 164), 0, 0.74)
    _gradient(canvas, (168, 118, 74), (130, 86, 52), 0.72, 1)
    pen = ImageDraw.Draw(canvas)
    for x in np.arange(0.04, 1, 0.08) * canvas.width:
        pen.line([(x, 0), (x, 0.71 * canvas.height)], fill=(196, 178, 150), width=3)
    pen.rectangle((0, 0.7 * canvas.height, canvas.width, 0.735 * canvas.height), fill=(244, 238, 226))
    for y in (0.79, 0.86, 0.94):
        pen.line([(0, y * canvas.height), (canvas.width, y * canvas.height)], fill=(104, 68, 40), width=3)
        for x in rng.random(4) * canvas.width:
            pen.line([(x, y * canvas.height), (x, (y + 0.07) * canvas.height)], fill=(104, 68, 40), width=3)


BACKGROUNDS: dict[str, Background] = {
    "meadow": Background("in a meadow", _meadow),
    "night": Background("at night", _night),
    "sea": Background("by the sea", _sea),
    "desert": Background("in a desert", _desert),
    "brick wall": Background("against a brick wall", _brick_wall),
    "snow": Background("in the snow", _snow),
    "room": Background("in a room", _room),
}
