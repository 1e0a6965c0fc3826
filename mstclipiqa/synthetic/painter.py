"""A scene as a painting: where its things stand, and how a style draws them."""

from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw
from scipy import ndimage

from mstclipiqa.synthetic.backgrounds import BACKGROUNDS
from mstclipiqa.synthetic.prompts import settle
from mstclipiqa.synthetic.scene import COLOURS, SIZES, Rng, Scene, Thing
from mstclipiqa.synthetic.shapes import KINDS, PAINTS
from mstclipiqa.synthetic.styles import BLACK, STYLES, WHITE, Style, mix, texturise

# ----------------------------------------------------------------------------------------------------------
# Drawing

#: Where the first and second thing of a relation stand: left, top, right, bottom as shares of the picture.
LAYOUTS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "": ((0.1, 0.12, 0.9, 0.92),),
    "above": ((0.12, 0.03, 0.88, 0.47), (0.12, 0.53, 0.88, 0.97)),
    "below": ((0.12, 0.53, 0.88, 0.97), (0.12, 0.03, 0.88, 0.47)),
    "left of": ((0.02, 0.25, 0.47, 0.9), (0.53, 0.25, 0.98, 0.9)),
    "right of": ((0.53, 0.25, 0.98, 0.9), (0.02, 0.25, 0.47, 0.9)),
    "beside": ((0.05, 0.35, 0.49, 0.92), (0.51, 0.35, 0.95, 0.92)),
    "on": ((0.2, 0.08, 0.8, 0.5), (0.12, 0.5, 0.88, 0.97)),
}
EXTRA_SLOT = (0.72, 0.02, 0.98, 0.28)
SUPERSAMPLING = 2


def draw(scene: Scene, size: int | tuple[int, int], rng: Rng, backdrop: Image.Image | None = None) -> Image.Image:
    """Paint a scene. `size` is the side or (width, height) in pixels, at most 1024; returns an RGB image.

    `backdrop` is painted on instead of the scene's place.
    """
    width, height = (size, size) if isinstance(size, int) else size
    scene = settle(scene, rng)
    style = STYLES[scene.style]
    canvas = Image.new("RGB", (SUPERSAMPLING * width, SUPERSAMPLING * height))
    if backdrop is None:
        BACKGROUNDS[scene.background].paint(canvas, rng)
    else:
        canvas.paste(backdrop.resize(canvas.size, Image.Resampling.BICUBIC))
    colour, amount = style.backdrop
    if amount:
        canvas = Image.blend(canvas, Image.new("RGB", canvas.size, colour), amount)
    slots = (*LAYOUTS[scene.relation], *[EXTRA_SLOT] * len(scene.things))
    for index, (thing, slot) in enumerate(zip(scene.things, slots, strict=False)):
        stacked = scene.relation == "on" and index < 2
        for x, y, radius in _places(thing, slot, canvas.size, stacked, rng):
            stamp = _stamp(thing, radius, style, rng)
            corner = (round(x - stamp.width / 2), round(y - stamp.height / 2))
            if style.shadow:
                shade = stamp.getchannel("A").point(lambda alpha: alpha * style.shadow)
                away = round(0.15 * radius)
                canvas.paste(BLACK, (corner[0] + away, corner[1] + away), shade)
            canvas.paste(stamp, corner, stamp)
    image = canvas.reduce(SUPERSAMPLING)
    if style.grain:
        image = texturise(image, 0.8, style.grain, rng)
    return style.finish(image, rng)


def _places(thing: Thing, slot, size, stacked: bool, rng: Rng) -> list[tuple[float, float, float]]:
    """Centre and radius in pixels of each of the thing's objects, in rows that fill the slot best.

    Stacked things stand in one row where the two slots meet, so that they touch.
    """
    left, top, right, bottom = np.array(slot) * (*size, *size)
    columns = range(1, thing.count + 1) if not stacked else [thing.count]
    cell, across = max((min((right - left) / n, (bottom - top) / -(-thing.count // n)), n) for n in columns)
    down = -(-thing.count // across)
    radius = 0.5 * cell * SIZES[thing.size]
    places = []
    for index in range(thing.count):
        row, column = divmod(index, across)
        in_row = min(across, thing.count - row * across)
        x = (left + right) / 2 + (column - (in_row - 1) / 2) * cell
        y = (top + bottom) / 2 + (row - (down - 1) / 2) * cell
        if stacked:
            y = bottom - 0.93 * radius if slot == LAYOUTS["on"][0] else top + 0.93 * radius
        slack = 0.5 * cell - 0.9 * radius
        dx, dy = slack * rng.uniform(-1, 1, 2)
        places.append((x + dx, y + (0 if stacked else dy), radius))
    return places


@cache
def _light() -> Image.Image:
    """Grey square lit from the upper left: bright there, dark at the lower right."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    light = 168 - 90 * np.hypot(x + 0.45, y + 0.5) / 1.4
    return Image.fromarray(np.clip(light + 10, 0, 255).astype(np.uint8))


def _closed(points: np.ndarray) -> list[float]:
    return np.concatenate([points, points[:1]]).ravel().tolist()


def _shakes(shape: tuple[int, int], amount: float, rng: Rng) -> np.ndarray:
    """Displacements of a contour's points: none, or those of a hand that draws the contour twice."""
    if not amount:
        return np.zeros((1, *shape))
    return 2 * amount * ndimage.gaussian_filter1d(rng.normal(0, 1, (2, *shape)), 3, axis=1, mode="wrap")


def _stamp(thing: Thing, radius: float, style: Style, rng: Rng) -> Image.Image:
    """One object on a transparent square of about 2.4 radii."""
    half = int(1.2 * radius) + 2
    stamp = Image.new("RGBA", (2 * half, 2 * half))
    pen = ImageDraw.Draw(stamp)
    own = COLOURS[thing.colour]
    paints = PAINTS | {"main": own, "light": mix(own, (WHITE, 0.45)), "dark": mix(own, (BLACK, 0.3))}
    angle, mirror = rng.normal(0, 0.05), rng.choice([-1, 1])
    turn = radius * np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    width = round(style.line_width * radius)
    for paint, shape in KINDS[thing.kind]:
        points = (shape * (mirror, 1)) @ turn + half
        strokes = [_closed(points + shake) for shake in _shakes(points.shape, style.wobble * radius, rng)]
        pen.polygon(strokes[0], fill=mix(paints[paint], style.fill))
        for stroke in strokes:
            if width:
                pen.line(stroke, fill=mix(paints[paint], style.line), width=width, joint="curve")
    alpha = stamp.getchannel("A").point(lambda value: value * style.opacity)
    flat = stamp.convert("RGB")
    if style.shading:
        light = _light().resize(flat.size, Image.Resampling.BILINEAR).convert("RGB")
        flat = Image.blend(flat, ImageChops.overlay(flat, light), style.shading)
    flat.putalpha(alpha)
    return flat
