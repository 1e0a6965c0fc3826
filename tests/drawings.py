"""Drawn scenes and benchmarks, and what is seen of them."""

import numpy as np
from scipy import ndimage

from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.scene import Scene, Thing

RED_BALLS, BLUE_HOUSE = Thing("ball", "red", 2), Thing("house", "blue")
EXAMPLE = Scene((RED_BALLS, BLUE_HOUSE), "left of", "meadow", "watercolour")
#: Of the small benchmarks that are drawn.
SEED, SCALE = 5, 0.3


def rng(seed=0):
    return np.random.default_rng(seed)


def pixels(image):
    return np.asarray(image, float)


def painted(scene, size=192, seed=3):
    """Where the things are: the pixels that differ from the same picture without them."""
    empty = Scene((), "", scene.background, scene.style)
    difference = np.abs(pixels(draw(scene, size, rng(seed))) - pixels(draw(empty, size, rng(seed))))
    return ndimage.binary_opening(difference.max(-1) > 40, iterations=1)


def images(root):
    """The names of the images below a folder."""
    return {path.name for path in root.rglob("*") if path.suffix in (".jpg", ".png")}
