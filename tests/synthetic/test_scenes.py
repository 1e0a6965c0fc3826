import numpy as np
import pytest
from scipy import ndimage

from mstclipiqa.synthetic import scene as scenes
from mstclipiqa.synthetic.artefacts import ARTEFACTS, degrade, latents
from mstclipiqa.synthetic.backgrounds import BACKGROUNDS
from mstclipiqa.synthetic.faults import FAULTS
from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.prompts import prompt_text, random_scene, settle
from mstclipiqa.synthetic.scene import COLOURS, NUMBERS, OPPOSITES, Scene, Thing, agreement
from mstclipiqa.synthetic.shapes import KINDS
from mstclipiqa.synthetic.styles import STYLES

RED_BALLS, BLUE_HOUSE = Thing("ball", "red", 2), Thing("house", "blue")
EXAMPLE = Scene((RED_BALLS, BLUE_HOUSE), "left of", "meadow", "watercolour")


def rng(seed=0):
    return np.random.default_rng(seed)


def pixels(image):
    return np.asarray(image, float)


def painted(scene, size=192, seed=3):
    """Where the things are: the pixels that differ from the same picture without them."""
    empty = Scene((), "", scene.background, scene.style)
    difference = np.abs(pixels(draw(scene, size, rng(seed))) - pixels(draw(empty, size, rng(seed))))
    return ndimage.binary_opening(difference.max(-1) > 40, iterations=1)


# Prompts


def test_a_prompt_reads_as_a_sentence():
    assert prompt_text(EXAMPLE) == "two red balls left of a blue house in a meadow, watercolour style"
    assert prompt_text(Scene((Thing("box", "orange", 1),))) == "an orange box"
    assert prompt_text(Scene((Thing("fish", "pink", 3, "small"),), "", "night")) == "three small pink fish at night"
    intruder = Thing("star", "green")
    crowded = Scene((RED_BALLS, BLUE_HOUSE, intruder), "left of")
    assert prompt_text(crowded) == "two red balls left of a blue house and a green star"


@pytest.mark.parametrize("seed", range(30))
def test_the_prompt_mentions_all_that_the_scene_contains(seed):
    scene = random_scene(rng(seed))
    text = prompt_text(scene)
    assert scene.relation in text
    assert scene.style in text
    assert BACKGROUNDS[scene.background].words in text
    assert len(scene.things) == (2 if scene.relation else 1)
    for thing in scene.things:
        assert thing.colour in text
        assert thing.size in text
        assert thing.kind.removesuffix("y") in text
        assert thing.count == 1 or NUMBERS[thing.count] in text


# Drawings


def test_drawing_depends_on_the_seed_alone():
    first, again, other = (draw(EXAMPLE, 128, rng(seed)).tobytes() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("style", STYLES)
def test_a_picture_has_the_asked_size(style):
    image = draw(Scene((RED_BALLS,), "", "sea", style), (120, 97), rng())
    assert image.mode == "RGB"
    assert image.size == (120, 97)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_visible_in_every_style(kind):
    for style in STYLES:
        assert painted(Scene((Thing(kind, "red"),), "", "snow", style), 96).mean() > 0.03


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


# Faults


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(10))
def test_every_fault_breaks_the_prompt(fault, seed):
    scene = Scene((RED_BALLS, BLUE_HOUSE), "on", "night", "neon")
    broken = FAULTS[fault](scene, rng(seed))
    assert agreement(scene, broken) < 1
    assert draw(broken, 64, rng()).tobytes() != draw(scene, 64, rng()).tobytes()


def test_agreement_is_the_share_of_facts():
    # Objects, counts and colours of two things, relation, place, style, and nothing else: ten facts.
    assert agreement(EXAMPLE, EXAMPLE) == 1
    assert agreement(EXAMPLE, scenes.wrong_relation(EXAMPLE, rng())) == pytest.approx(9 / 10)
    assert agreement(EXAMPLE, scenes.extra_object(EXAMPLE, rng())) == pytest.approx(9 / 10)
    assert agreement(EXAMPLE, scenes.missing_object(EXAMPLE, rng())) == pytest.approx(6 / 10)


def test_what_a_prompt_leaves_open_cannot_be_wrong():
    scene = Scene((RED_BALLS,))
    assert agreement(scene, settle(scene, rng())) == 1
    assert scenes.wrong_relation(scene, rng()) == scene


# Artefacts


@pytest.fixture(scope="module")
def clean():
    return [draw(random_scene(rng(seed)), (192, 160), rng(seed)) for seed in range(6)]


@pytest.mark.parametrize("name", ARTEFACTS)
def test_an_artefact_grows_with_its_strength(name, clean):
    def psnr(strength):
        errors = [
            np.mean((pixels(ARTEFACTS[name](image, strength, rng(seed))) - pixels(image)) ** 2)
            for seed, image in enumerate(clean)
        ]
        return 10 * np.log10(255**2 / np.mean(errors))

    values = [psnr(strength) for strength in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 2
    assert values[-1] < 25


@pytest.mark.parametrize("name", ARTEFACTS)
def test_an_artefact_keeps_size_mode_and_its_input(name, clean):
    before = clean[0].tobytes()
    spoilt = ARTEFACTS[name](clean[0], 0.7, rng())
    assert (spoilt.size, spoilt.mode) == (clean[0].size, "RGB")
    assert clean[0].tobytes() == before
    assert spoilt.tobytes() == ARTEFACTS[name](clean[0], 0.7, rng()).tobytes() != before


def test_blur_softens_and_noise_roughens(clean):
    def roughness(image):
        return ndimage.laplace(pixels(image.convert("L"))).var()

    for image in clean:
        soft = [roughness(scenes.blur(image, strength, rng())) for strength in (0.1, 0.4, 1)]
        rough = [roughness(scenes.noise(image, strength, rng())) for strength in (0.1, 0.4, 1)]
        assert roughness(image) > soft[0] > soft[1] > soft[2]
        assert roughness(image) < rough[0] < rough[1] < rough[2]


def test_degrade_applies_artefacts_in_the_registry_order(clean):
    both = degrade(clean[0], {"jpeg": 0.5, "blur": 0.5}, rng())
    assert both.tobytes() == scenes.jpeg(scenes.blur(clean[0], 0.5, rng()), 0.5, rng()).tobytes()
    assert degrade(clean[0], dict.fromkeys(ARTEFACTS, 0.0), rng()) is clean[0]


# Latent factors


def test_a_faultless_picture_is_perfect():
    assert latents(EXAMPLE, EXAMPLE, {}) == {"quality": 1, "authenticity": 1, "correspondence": 1}


@pytest.mark.parametrize("name", ARTEFACTS)
def test_every_artefact_costs_quality_authenticity_and_recognisability(name):
    some, more = (latents(EXAMPLE, EXAMPLE, {name: strength}) for strength in (0.3, 0.9))
    for factor in some:
        assert 1 > some[factor] > more[factor] >= 0


def test_costs_join_as_probabilities():
    joint = latents(EXAMPLE, EXAMPLE, {"blur": 0.5, "noise": 1.0})
    assert joint["quality"] == pytest.approx((1 - 0.8 * 0.5) * (1 - 0.75))
    fault = scenes.wrong_relation(EXAMPLE, rng())
    assert latents(EXAMPLE, fault, {"blur": 1.0})["correspondence"] == pytest.approx(0.9 * (1 - 0.25))
