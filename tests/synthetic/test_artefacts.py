import numpy as np
import pytest
from drawings import EXAMPLE, pixels, rng
from scipy import ndimage

from mstclipiqa.synthetic.artefacts import ARTEFACTS, blur, degrade, jpeg, latents, noise
from mstclipiqa.synthetic.faults import wrong_relation
from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.prompts import random_scene


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
        soft = [roughness(blur(image, strength, rng())) for strength in (0.1, 0.4, 1)]
        rough = [roughness(noise(image, strength, rng())) for strength in (0.1, 0.4, 1)]
        assert roughness(image) > soft[0] > soft[1] > soft[2]
        assert roughness(image) < rough[0] < rough[1] < rough[2]


def test_degrade_applies_artefacts_in_the_registry_order(clean):
    both = degrade(clean[0], {"jpeg": 0.5, "blur": 0.5}, rng())
    assert both.tobytes() == jpeg(blur(clean[0], 0.5, rng()), 0.5, rng()).tobytes()
    assert degrade(clean[0], dict.fromkeys(ARTEFACTS, 0.0), rng()) is clean[0]


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
    fault = wrong_relation(EXAMPLE, rng())
    assert latents(EXAMPLE, fault, {"blur": 1.0})["correspondence"] == pytest.approx(0.9 * (1 - 0.25))
