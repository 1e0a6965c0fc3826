import numpy as np
import pytest
from drawings import EXAMPLE, RED_BALLS, painted, pixels, rng
from scipy import ndimage

from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.scene import COLOURS, NUMBERS, OPPOSITES, Scene, Thing
from mstclipiqa.synthetic.styles import STYLES


def test_drawing_depends_on_the_seed_alone():
    first, again, other = (draw(EXAMPLE, 128, rng(seed)).tobytes() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("style", STYLES)
def test_a_picture_has_the_asked_size(style):
    image = draw(Scene((RED_BALLS,), "", "sea", style), (120, 97), rng())
    assert image.mode == "RGB"
    assert image.size == (120, 97)


@pytest.mark.parametrize("colour", COLOURS)
def test_things_have_their_colour(colour):
    image = pixels(draw(Scene((Thing("heart", colour),), "", "room", "cartoon"), 128, rng()))
    middle = image[60:72, 56:72].reshape(-1, 3).mean(0)
    assert min(COLOURS, key=lambda name: np.abs(middle - COLOURS[name]).sum()) == colour


@pytest.mark.parametrize("count", NUMBERS)
def test_things_are_as_many_as_the_scene_says(count):
    scene = Scene((Thing("ball", "green", count, "small"),), "", "desert", "cartoon")
    assert ndimage.label(painted(scene))[1] == count


@pytest.mark.parametrize("relation", OPPOSITES)
def test_things_stand_in_their_relation(relation):
    things = Thing("heart", "red"), Thing("heart", "blue")
    image = pixels(draw(Scene(things, relation, "snow", "cartoon"), 192, rng()))
    (y1, x1), (y2, x2) = (
        ndimage.center_of_mass(np.abs(image - COLOURS[thing.colour]).max(-1) < 60) for thing in things
    )
    holds = {
        "above": y1 < y2 - 50,
        "below": y1 > y2 + 50,
        "left of": x1 < x2 - 50,
        "right of": x1 > x2 + 50,
        "beside": abs(y1 - y2) < 20 and abs(x1 - x2) > 50,
        "on": y1 < y2 - 50 and abs(x1 - x2) < 20,
    }
    assert holds[relation]
