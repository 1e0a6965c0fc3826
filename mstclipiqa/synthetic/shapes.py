"""The kinds of objects: polygons in the square [-1, 1] x [-1, 1], y downwards, painted in order.

A paint is a shade of the thing's own colour (main, light, dark) or a colour of its own.
"""

import numpy as np

from mstclipiqa.synthetic.scene import Colour

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
