"""Scenes as data: their prompts, their drawings, what generators get wrong, artefacts of known strength.

A `Scene` says what a prompt asks for. `prompt_text` words it, `draw` paints it, `FAULTS` turn it into a
scene that does not do what the prompt says, `ARTEFACTS` spoil the painting by a known amount, and `latents`
states how good the result is. Nothing is random but what the caller's generator draws, so equal seeds give
equal pixels.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy import ndimage

Colour = tuple[int, int, int]
Rng = np.random.Generator

COLOURS: dict[str, Colour] = {
    "red": (214, 40, 48),
    "orange": (243, 132, 32),
    "yellow": (248, 208, 46),
    "green": (58, 158, 72),
    "turquoise": (48, 190, 186),
    "blue": (44, 92, 206),
    "purple": (136, 66, 176),
    "pink": (244, 138, 184),
    "brown": (134, 84, 48),
    "white": (244, 242, 236),
}
NUMBERS = {1: "a", 2: "two", 3: "three", 4: "four", 5: "five"}
PLURALS = {"box": "boxes", "butterfly": "butterflies", "fish": "fish"}
SIZES = {"small": 0.72, "": 0.88, "large": 1.0}
OPPOSITES = {
    "above": "below",
    "below": "above",
    "left of": "right of",
    "right of": "left of",
    "on": "below",
    "beside": "above",
}


@dataclass(frozen=True)
class Thing:
    """`count` objects of one kind, colour and size, e.g. two large red balls."""

    kind: str
    colour: str
    count: int = 1
    size: str = ""

    @property
    def words(self) -> str:
        """As it stands in a prompt: "two large red balls"."""
        adjectives = " ".join(filter(None, (self.size, self.colour)))
        if self.count > 1:
            return f"{NUMBERS[self.count]} {adjectives} {PLURALS.get(self.kind, f'{self.kind}s')}"
        return f"{'an' if adjectives[0] in 'aeiou' else 'a'} {adjectives} {self.kind}"


@dataclass(frozen=True)
class Scene:
    """What a picture shows: things of distinct kinds, the first in `relation` to the second; place; style.

    A prompt has one thing, or two in a relation; a drawn scene may hold others. A background or style that is
    empty is not stated by the prompt, and the painter's to choose.
    """

    things: tuple[Thing, ...]
    relation: str = ""
    background: str = ""
    style: str = ""


def prompt_parts(scene: Scene) -> tuple[str, str, str, str]:
    """The prompt in four parts, each possibly empty: main thing, relation and second thing, place, style."""
    second = f"{scene.relation} {scene.things[1].words}" if scene.relation else ""
    place = BACKGROUNDS[scene.background].words if scene.background else ""
    return scene.things[0].words, second, place, f"{scene.style} style" if scene.style else ""


def prompt_text(scene: Scene) -> str:
    """The scene as a short sentence: "two red balls left of a blue house in a meadow, watercolour style"."""
    main, second, place, style = prompt_parts(scene)
    others = [f"and {thing.words}" for thing in scene.things[2 if scene.relation else 1 :]]
    return ", ".join(filter(None, (" ".join(filter(None, (main, second, *others, place))), style)))


def facts(scene: Scene) -> set[tuple]:
    """What the prompt states, one tuple a fact: objects, colours, counts, sizes, relation, place, style."""
    stated = {(name, getattr(scene, name)) for name in ("background", "style")}
    if scene.relation:
        first, second, *_ = scene.things
        stated.add(("relation", first.kind, scene.relation, second.kind))
    for thing in scene.things:
        stated |= {("object", thing.kind), ("count", thing.kind, thing.count)}
        stated |= {("colour", thing.kind, thing.colour), ("size", thing.kind, thing.size)}
    return {fact for fact in stated if all(fact)}


def agreement(prompted: Scene, drawn: Scene) -> float:
    """Share in 0..1 of the prompt's facts that the drawn scene holds; "and nothing else" counts as a fact."""
    stated = facts(prompted)
    alone = {thing.kind for thing in drawn.things} <= {thing.kind for thing in prompted.things}
    return (len(stated & facts(drawn)) + alone) / (len(stated) + 1)


def random_scene(rng: Rng) -> Scene:
    """A scene of one thing or, three times in four, of two in a relation."""
    kinds = rng.choice(list(KINDS), size=2, replace=False)
    colours = rng.choice(list(COLOURS), size=2, replace=False)
    sizes = rng.choice(list(SIZES), size=2, p=[0.15, 0.7, 0.15])
    counts = rng.choice([1, 2, 3, 4], size=2, p=[0.45, 0.25, 0.2, 0.1])
    things = [
        Thing(str(kind), str(colour), int(count), str(size))
        for kind, colour, count, size in zip(kinds, colours, counts, sizes, strict=True)
    ]
    relation = _pick(rng, OPPOSITES) if rng.random() < 0.75 else ""
    if not relation:
        things = things[:1]
    return Scene(tuple(things), relation, _pick(rng, BACKGROUNDS), _pick(rng, STYLES))


def settle(scene: Scene, rng: Rng) -> Scene:
    """The scene with a background and a style, where it leaves them open."""
    background = scene.background or _pick(rng, BACKGROUNDS)
    return replace(scene, background=background, style=scene.style or _pick(rng, STYLES))


# ----------------------------------------------------------------------------------------------------------
# What goes wrong between prompt and picture: each fault takes a scene and returns one that breaks its prompt.


def _pick(rng: Rng, names, *unlike: str) -> str:
    return str(rng.choice([name for name in names if name not in unlike]))


def _change(scene: Scene, rng: Rng, change: Callable[[Thing], Thing]) -> Scene:
    index = int(rng.integers(len(scene.things)))
    things = tuple(change(thing) if i == index else thing for i, thing in enumerate(scene.things))
    return replace(scene, things=things)


def wrong_colour(scene: Scene, rng: Rng) -> Scene:
    """One thing has another colour."""
    return _change(scene, rng, lambda thing: replace(thing, colour=_pick(rng, COLOURS, thing.colour)))


def wrong_count(scene: Scene, rng: Rng) -> Scene:
    """One thing appears once or twice too often, or once too seldom."""

    def miscount(thing: Thing) -> Thing:
        near = (thing.count - 1, thing.count + 1, thing.count + 2)
        return replace(thing, count=int(rng.choice([count for count in near if count in NUMBERS])))

    return _change(scene, rng, miscount)


def missing_object(scene: Scene, rng: Rng) -> Scene:
    """One of the two things is not there; where there is only one, another kind stands in its place."""
    if scene.relation:
        gone = int(rng.integers(2))
        return replace(scene, things=scene.things[:gone] + scene.things[gone + 1 :], relation="")
    return _change(scene, rng, lambda thing: replace(thing, kind=_pick(rng, KINDS, thing.kind)))


def extra_object(scene: Scene, rng: Rng) -> Scene:
    """Something nobody asked for."""
    kind = _pick(rng, KINDS, *(thing.kind for thing in scene.things))
    return replace(scene, things=(*scene.things, Thing(kind, _pick(rng, COLOURS))))


def wrong_relation(scene: Scene, rng: Rng) -> Scene:
    """The things stand in a relation that contradicts the prompt; nothing changes where there is none."""
    return replace(scene, relation=OPPOSITES.get(scene.relation, ""))


def wrong_background(scene: Scene, rng: Rng) -> Scene:
    """Another place."""
    return replace(scene, background=_pick(rng, BACKGROUNDS, scene.background))


def wrong_style(scene: Scene, rng: Rng) -> Scene:
    """Another style."""
    return replace(scene, style=_pick(rng, STYLES, scene.style))


#: In the order of application.
FAULTS: dict[str, Callable[[Scene, Rng], Scene]] = {
    "wrong_colour": wrong_colour,
    "wrong_count": wrong_count,
    "wrong_relation": wrong_relation,
    "wrong_background": wrong_background,
    "wrong_style": wrong_style,
    "missing_object": missing_object,
    "extra_object": extra_object,
}


# ----------------------------------------------------------------------------------------------------------
# Objects: polygons in the square [-1, 1] x [-1, 1], y downwards, painted in order. A paint is a shade of the
# thing's own colour (main, light, dark) or a colour of its own.


def _oval(x, y, width, height, start=0.0, stop=360.0) -> np.ndarray:
    angles = np.radians(np.linspace(start, stop, 36))
    return np.column_stack([x + width * np.cos(angles), y + height * np.sin(angles)])


def _quad(left, top, right, bottom) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def _poly(*points) -> np.ndarray:
    return np.array(points, float)


def _path(*pieces) -> np.ndarray:
    return np.concatenate([np.atleast_2d(piece) for piece in pieces])


def _star(points: int, inner: float) -> np.ndarray:
    angles = np.pi * np.arange(2 * points) / points - np.pi / 2
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0)[:, None]
    return radii * np.column_stack([np.cos(angles), np.sin(angles)])


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 48)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.column_stack([16 * np.sin(t) ** 3, -y - 2.5]) / 16


PAINTS: dict[str, Colour] = {
    "wood": (122, 80, 46),
    "leaf": (62, 140, 58),
    "glass": (176, 220, 240),
    "cream": (246, 232, 206),
    "gold": (250, 200, 60),
    "ink": (44, 38, 50),
    "grey": (160, 162, 170),
}

# fmt: off
KINDS: dict[str, list[tuple[str, np.ndarray]]] = {
    "ball": [
        ("main", _oval(0, 0, 1, 1)),
        ("dark", _path(_oval(0, -0.25, 1, 0.4, 14, 166), _oval(0, 0.05, 1, 0.42, 172, 8))),
        ("light", _oval(-0.36, -0.52, 0.24, 0.17)),
    ],
    "box": [
        ("light", _poly((-1, -0.45), (-0.45, -0.9), (1, -0.9), (0.5, -0.45))),
        ("dark", _poly((0.5, -0.45), (1, -0.9), (1, 0.5), (0.5, 1))),
        ("main", _quad(-1, -0.45, 0.5, 1)),
        ("cream", _quad(-0.4, -0.45, -0.12, 1)),
    ],
    "star": [
        ("main", _star(5, 0.45)),
        ("light", 0.5 * _star(5, 0.45)),
    ],
    "heart": [
        ("main", _heart()),
        ("light", _oval(-0.5, -0.45, 0.2, 0.15)),
    ],
    "tree": [
        ("wood", _poly((-0.16, 0.1), (0.16, 0.1), (0.24, 1), (-0.24, 1))),
        ("dark", _oval(0.42, 0, 0.48, 0.42)),
        ("main", _oval(-0.42, 0, 0.48, 0.42)),
        ("main", _oval(0, -0.48, 0.56, 0.52)),
        ("light", _oval(-0.2, -0.6, 0.2, 0.16)),
    ],
    "house": [
        ("main", _quad(-0.75, -0.15, 0.75, 1)),
        ("dark", _poly((-1, -0.1), (0, -1), (1, -0.1))),
        ("wood", _quad(-0.15, 0.35, 0.2, 1)),
        ("glass", _quad(-0.6, 0.15, -0.28, 0.5)),
        ("glass", _quad(0.33, 0.15, 0.62, 0.5)),
    ],
    "fish": [
        ("dark", _poly((0.4, 0), (1, -0.55), (0.86, 0), (1, 0.55))),
        ("dark", _poly((-0.3, -0.35), (0.1, -0.85), (0.3, -0.3))),
        ("main", _oval(-0.2, 0, 0.8, 0.5)),
        ("light", _path(_oval(-0.2, 0, 0.8, 0.5, -90, 90), _oval(-0.2, 0, 0.45, 0.5, 90, -90))),
        ("main", _path(_oval(-0.2, 0, 0.62, 0.38, -90, 90), _oval(-0.2, 0, 0.3, 0.38, 90, -90))),
        ("cream", _oval(-0.62, -0.13, 0.15, 0.15)),
        ("ink", _oval(-0.64, -0.13, 0.07, 0.07)),
    ],
    "flower": [
        ("leaf", _quad(-0.06, 0, 0.06, 1)),
        ("leaf", _path((0, 0.9), _oval(0.35, 0.62, 0.3, 0.14, 160, -160))),
        *(("main", _oval(x, y - 0.4, 0.27, 0.27)) for x, y in 0.42 * _oval(0, 0, 1, 1)[:35:6]),
        ("gold", _oval(0, -0.4, 0.24, 0.24)),
    ],
    "cup": [
        ("dark", _path(_oval(0.6, 0.15, 0.4, 0.45, -90, 90), _oval(0.6, 0.15, 0.22, 0.26, 90, -90))),
        ("main", _path((-0.8, -0.6), (0.7, -0.6), _oval(-0.05, 0.6, 0.6, 0.4, 0, 180))),
        ("light", _oval(-0.05, -0.6, 0.75, 0.2)),
        ("wood", _oval(-0.05, -0.57, 0.6, 0.12)),
        ("light", _quad(-0.55, -0.1, -0.4, 0.6)),
    ],
    "car": [
        ("main", _poly((-0.55, -0.05), (-0.35, -0.55), (0.35, -0.55), (0.65, -0.05))),
        ("glass", _poly((-0.42, -0.05), (-0.28, -0.43), (0, -0.43), (0, -0.05))),
        ("glass", _poly((0.08, -0.05), (0.08, -0.43), (0.3, -0.43), (0.5, -0.05))),
        ("main", _path(
            (-1, 0.45), _oval(-0.85, 0.1, 0.15, 0.15, 180, 270), _oval(0.85, 0.1, 0.15, 0.15, 270), (1, 0.45)
        )),
        ("dark", _quad(-1, 0.28, 1, 0.45)),
        *(("ink", _oval(x, 0.45, 0.26, 0.26)) for x in (-0.55, 0.55)),
        *(("grey", _oval(x, 0.45, 0.12, 0.12)) for x in (-0.55, 0.55)),
        ("gold", _oval(0.9, 0.15, 0.09, 0.09)),
    ],
    "boat": [
        ("wood", _quad(-0.06, -1, 0.04, 0.4)),
        ("cream", _poly((0.1, -0.9), (0.85, 0.25), (0.1, 0.25))),
        ("light", _poly((-0.12, -0.7), (-0.12, 0.25), (-0.65, 0.25))),
        ("main", _poly((-1, 0.38), (1, 0.38), (0.65, 0.95), (-0.65, 0.95))),
        ("dark", _quad(-0.98, 0.38, 0.98, 0.52)),
    ],
    "moon": [
        ("main", _path(_oval(-0.1, 0, 0.95, 1, 50, 310), _oval(0.32, 0, 0.72, 0.76, 282, 78))),
        ("dark", _oval(-0.7, 0.2, 0.12, 0.12)),
        ("dark", _oval(-0.5, -0.45, 0.09, 0.09)),
        ("light", _oval(-0.55, 0.6, 0.09, 0.09)),
    ],
    "cloud": [
        ("main", _path(
            _oval(-0.66, 0.25, 0.34, 0.35, 100, 265), _oval(-0.22, -0.1, 0.42, 0.45, 190, 310),
            _oval(0.3, -0.02, 0.36, 0.38, 240, 340), _oval(0.68, 0.28, 0.32, 0.32, 280, 450),
        )),
        ("light", _oval(-0.3, -0.28, 0.2, 0.14)),
        ("dark", _poly((-0.5, 0.46), (0.55, 0.46), (0.6, 0.53), (-0.55, 0.53))),
    ],
    "mushroom": [
        ("cream", _path((-0.25, 0), (0.25, 0), _oval(0, 0.85, 0.36, 0.15, 0, 180))),
        ("main", _path(_oval(0, 0, 1, 0.95, 180, 360), _oval(0, 0, 1, 0.2, 0, 180))),
        *(("cream", _oval(x, y, 0.17, 0.14)) for x, y in ((-0.45, -0.35), (0.15, -0.6), (0.5, -0.2))),
    ],
    "lamp": [
        ("ink", _quad(-0.06, -0.1, 0.06, 0.85)),
        ("dark", _path(_oval(0, 0.95, 0.5, 0.25, 180, 360), (0.5, 1), (-0.5, 1))),
        ("gold", _oval(0, 0.02, 0.2, 0.2)),
        ("main", _poly((-0.42, -1), (0.42, -1), (0.85, 0), (-0.85, 0))),
        ("light", _poly((-0.3, -0.95), (-0.1, -0.95), (-0.3, -0.08), (-0.65, -0.08))),
    ],
    "umbrella": [
        ("wood", _path(
            (-0.05, -0.1), (0.05, -0.1),
            _oval(0.2, 0.8, 0.15, 0.15, 180, 0), _oval(0.2, 0.8, 0.25, 0.25, 0, 180),
        )),
        ("main", _oval(0, 0.05, 1, 1, 180, 360)),
        ("light", _path(_oval(0, 0.05, 0.36, 1, 180, 360))),
        ("dark", _path(_oval(0, 0.05, 1, 1, 300, 360), _oval(0, 0.05, 0.36, 1, 360, 300))),
        ("ink", _quad(-0.04, -1, 0.04, -0.88)),
    ],
    "balloon": [
        ("ink", _poly((-0.02, 0.5), (0.03, 0.5), (0.12, 1), (0.06, 1))),
        ("dark", _poly((0, 0.4), (0.14, 0.62), (-0.14, 0.62))),
        ("main", _oval(0, -0.26, 0.62, 0.74)),
        ("light", _oval(-0.25, -0.5, 0.13, 0.2)),
    ],
    "rocket": [
        ("gold", _poly((-0.22, 0.6), (0.22, 0.6), (0, 1))),
        ("dark", _poly((-0.3, 0.15), (-0.65, 0.75), (-0.3, 0.6))),
        ("dark", _poly((0.3, 0.15), (0.65, 0.75), (0.3, 0.6))),
        ("main", _path((-0.3, 0.65), _oval(0, -0.3, 0.36, 0.7, 180, 360), (0.3, 0.65))),
        ("light", _path((0, -1), _oval(0, -0.3, 0.36, 0.7, 320, 220))),
        ("glass", _oval(0, -0.15, 0.18, 0.18)),
    ],
    "bird": [
        ("ink", _quad(-0.08, 0.5, -0.02, 1)),
        ("ink", _quad(0.16, 0.5, 0.22, 1)),
        ("dark", _poly((0.5, -0.1), (1, -0.35), (0.95, 0.2))),
        ("main", _oval(0.08, 0.15, 0.68, 0.48)),
        ("gold", _poly((-0.82, -0.5), (-1, -0.33), (-0.72, -0.28))),
        ("main", _oval(-0.5, -0.38, 0.36, 0.34)),
        ("ink", _oval(-0.6, -0.45, 0.07, 0.07)),
        ("dark", _path(_oval(0.15, 0.1, 0.4, 0.28, 0, 180), (-0.1, 0))),
    ],
    "butterfly": [
        *(("main", _oval(x, -0.38, 0.48, 0.5)) for x in (-0.5, 0.5)),
        *(("dark", _oval(x, 0.42, 0.38, 0.42)) for x in (-0.42, 0.42)),
        *(("light", _oval(x, -0.42, 0.2, 0.22)) for x in (-0.58, 0.58)),
        *(("cream", _oval(x, 0.48, 0.14, 0.15)) for x in (-0.48, 0.48)),
        ("ink", _oval(0, 0, 0.1, 0.75)),
        *(("ink", _poly((0, -0.65), (x, -1), (x * 1.3, -0.95))) for x in (-0.22, 0.22)),
    ],
    "apple": [
        ("wood", _poly((-0.04, -0.45), (0.1, -1), (0.2, -0.96), (0.07, -0.45))),
        ("leaf", _path((0.1, -0.7), _oval(0.45, -0.78, 0.3, 0.15, 170, -170))),
        ("main", _path(_oval(-0.36, 0.15, 0.56, 0.68, 60, 290), _oval(0.36, 0.15, 0.56, 0.68, -110, 120))),
        ("light", _oval(-0.52, -0.1, 0.15, 0.22)),
    ],
    "hat": [
        ("main", _poly((-0.5, -0.85), (0.5, -0.85), (0.55, 0.5), (-0.55, 0.5))),
        ("light", _oval(0, -0.85, 0.5, 0.12)),
        ("dark", _quad(-0.54, 0.15, 0.54, 0.45)),
        ("main", _oval(0, 0.58, 1, 0.24)),
    ],
}
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


def _mix(colour: Colour, towards: Mix) -> Colour:
    other, amount = towards
    return tuple(round((1 - amount) * a + amount * b) for a, b in zip(colour, other, strict=True))


@cache
def _texture(scale: float, side: int = 1024) -> Image.Image:
    """A fixed square of grey noise around 128, smooth over about `scale` pixels, to crop from."""
    noise = ndimage.gaussian_filter(
        np.random.default_rng(0).standard_normal((side, side), np.float32), scale, mode="wrap"
    )
    return Image.fromarray(np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8))


def _texturise(image: Image.Image, scale: float, amount: float, rng: Rng) -> Image.Image:
    texture = _texture(scale)
    left, top = rng.integers(0, 1 + np.subtract(texture.size, image.size)).tolist()
    crop = texture.crop((left, top, left + image.width, top + image.height)).convert("RGB")
    return Image.blend(image, ImageChops.overlay(image, crop), amount)


def _watercolour(image: Image.Image, rng: Rng) -> Image.Image:
    return _texturise(_texturise(image, 9, 0.45, rng), 1.2, 0.15, rng)


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
        image = _texturise(image, 0.8, style.grain, rng)
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
    paints = PAINTS | {"main": own, "light": _mix(own, (WHITE, 0.45)), "dark": _mix(own, (BLACK, 0.3))}
    angle, mirror = rng.normal(0, 0.05), rng.choice([-1, 1])
    turn = radius * np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    width = round(style.line_width * radius)
    for paint, shape in KINDS[thing.kind]:
        points = (shape * (mirror, 1)) @ turn + half
        strokes = [_closed(points + shake) for shake in _shakes(points.shape, style.wobble * radius, rng)]
        pen.polygon(strokes[0], fill=_mix(paints[paint], style.fill))
        for stroke in strokes:
            if width:
                pen.line(stroke, fill=_mix(paints[paint], style.line), width=width, joint="curve")
    alpha = stamp.getchannel("A").point(lambda value: value * style.opacity)
    flat = stamp.convert("RGB")
    if style.shading:
        light = _light().resize(flat.size, Image.Resampling.BILINEAR).convert("RGB")
        flat = Image.blend(flat, ImageChops.overlay(flat, light), style.shading)
    flat.putalpha(alpha)
    return flat


# ----------------------------------------------------------------------------------------------------------
# Artefacts: (image, strength in 0..1, rng) -> image. Each draws the same random numbers whatever the
# strength: under one seed a stronger artefact is the same artefact, only more of it.


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def warp(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Geometry melts: a smooth random displacement of up to about a tenth of the side."""
    nodes = 9
    shift = rng.normal(0, 0.055, (nodes, nodes, 2)) * strength * np.array(image.size)
    shift[[0, -1]] = shift[:, [0, -1]] = 0
    grid = np.stack(np.meshgrid(*(np.linspace(0, side, nodes).round() for side in image.size)), -1)
    source = grid + shift
    mesh = []
    for i in range(nodes - 1):
        for j in range(nodes - 1):
            corners = (source[i, j], source[i + 1, j], source[i + 1, j + 1], source[i, j + 1])
            target = (*grid[i, j].astype(int).tolist(), *grid[i + 1, j + 1].astype(int).tolist())
            mesh.append((target, np.concatenate(corners).tolist()))
    return image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def scramble(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Up to half of an 8 x 8 grid of patches, turned upside down and swapped in pairs."""
    cells, pairs = 8, 16
    order = rng.permutation(cells * cells)[: 2 * pairs].reshape(pairs, 2).tolist()
    width, height = image.width // cells, image.height // cells
    result = image.copy()
    for pair in order[: round(strength * pairs)]:
        corners = [(patch % cells * width, patch // cells * height) for patch in pair]
        for (left, top), target in zip(corners, reversed(corners), strict=True):
            patch = image.crop((left, top, left + width, top + height))
            result.paste(patch.transpose(Image.Transpose.ROTATE_180), target)
    return result


def ghost(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """A second, displaced exposure of the picture."""
    angle, side = rng.uniform(0, 2 * np.pi), max(image.size)
    dx, dy = round(0.09 * side * np.cos(angle)), round(0.09 * side * np.sin(angle))
    return Image.blend(image, ImageChops.offset(image, dx, dy), 0.5 * strength)


def blur(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Gaussian blur of up to 2 % of the side."""
    return image.filter(ImageFilter.GaussianBlur(0.02 * strength * max(image.size)))


def checkerboard(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """The lattice of badly overlapping transposed convolutions, stronger in some places than in others."""
    cell = int(rng.integers(2, 4))
    coarse = _image(255 * rng.uniform(0.35, 1, (6, 6)))
    local = _pixels(coarse.resize(image.size, Image.Resampling.BICUBIC)) / 255
    y, x = np.indices(local.shape)
    pattern = np.where((x // cell + y // cell) % 2, 1.0, -1.0).astype(np.float32)
    return _image(_pixels(image) + (60 * strength * local * pattern)[..., None])


def banding(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Few grey levels a channel: steps of up to 96 of 256."""
    step = 1 + 95 * strength
    levels = np.arange(256)
    return image.point(np.clip(np.rint(np.rint(levels / step) * step), 0, 255).astype(int).tolist() * 3)


def colour_cast(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """A tint over everything."""
    tints = [(0, 255, 40), (255, 0, 200), (255, 190, 0), (0, 60, 255), (255, 30, 0)]
    tint = tints[rng.integers(len(tints))]
    return Image.blend(image, Image.new("RGB", image.size, tint), 0.5 * strength)


def washout(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Contrast fades towards light grey."""
    return Image.blend(image, Image.new("RGB", image.size, (200, 200, 200)), 0.8 * strength)


def noise(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """Gaussian noise of up to 60 grey levels."""
    grain = rng.standard_normal((image.height, image.width, 3), np.float32)
    return _image(_pixels(image) + 60 * strength * grain)


def jpeg(image: Image.Image, strength: float, rng: Rng) -> Image.Image:
    """JPEG at quality 50 down to 2."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=round(2 + 48 * (1 - strength) ** 2))
    return Image.open(buffer).convert("RGB")


#: In the order of application: geometry first, compression last.
ARTEFACTS: dict[str, Callable[[Image.Image, float, Rng], Image.Image]] = {
    "warp": warp,
    "scramble": scramble,
    "ghost": ghost,
    "blur": blur,
    "checkerboard": checkerboard,
    "banding": banding,
    "colour_cast": colour_cast,
    "washout": washout,
    "noise": noise,
    "jpeg": jpeg,
}

#: What full strength of an artefact costs: quality, authenticity, and the recognisability of what is drawn.
COSTS: dict[str, tuple[float, float, float]] = {
    "warp": (0.30, 0.85, 0.25),
    "scramble": (0.50, 0.90, 0.40),
    "ghost": (0.50, 0.35, 0.15),
    "blur": (0.80, 0.15, 0.25),
    "checkerboard": (0.60, 0.60, 0.10),
    "banding": (0.60, 0.20, 0.10),
    "colour_cast": (0.30, 0.65, 0.15),
    "washout": (0.50, 0.15, 0.10),
    "noise": (0.75, 0.10, 0.20),
    "jpeg": (0.70, 0.10, 0.20),
}


def degrade(image: Image.Image, strengths: Mapping[str, float], rng: Rng) -> Image.Image:
    """Apply the artefacts named in `strengths` (0..1 each), in the order of ARTEFACTS."""
    for name, artefact in ARTEFACTS.items():
        if strengths.get(name, 0) > 0:
            image = artefact(image, strengths[name], rng)
    return image


def latents(prompted: Scene, drawn: Scene, strengths: Mapping[str, float]) -> dict[str, float]:
    """True quality, authenticity and correspondence in 0..1, before anyone rates them.

    Quality and authenticity are 1 less the artefacts' joint cost, where the costs w s of strengths s join as
    probabilities do: 1 - (1 - prod(1 - w s)) = prod(1 - w s), with the weights w of COSTS. Correspondence is
    `agreement` times the same product with the weights of recognisability.
    """
    weighted = np.array([COSTS[name] for name in strengths] or [(0, 0, 0)])
    strength = np.array(list(strengths.values()) or [0])[:, None]
    quality, authenticity, recognisable = np.prod(1 - weighted * strength, axis=0).tolist()
    return {
        "quality": quality,
        "authenticity": authenticity,
        "correspondence": agreement(prompted, drawn) * recognisable,
    }
