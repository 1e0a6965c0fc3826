import pytest
from drawings import EXAMPLE, RED_BALLS, rng

from mstclipiqa.synthetic.faults import extra_object, missing_object, wrong_relation
from mstclipiqa.synthetic.prompts import settle
from mstclipiqa.synthetic.scene import Scene, agreement


def test_agreement_is_the_share_of_facts():
    # Objects, counts and colours of two things, relation, place, style, and nothing else: ten facts.
    assert agreement(EXAMPLE, EXAMPLE) == 1
    assert agreement(EXAMPLE, wrong_relation(EXAMPLE, rng())) == pytest.approx(9 / 10)
    assert agreement(EXAMPLE, extra_object(EXAMPLE, rng())) == pytest.approx(9 / 10)
    assert agreement(EXAMPLE, missing_object(EXAMPLE, rng())) == pytest.approx(6 / 10)


def test_what_a_prompt_leaves_open_cannot_be_wrong():
    scene = Scene((RED_BALLS,))
    assert agreement(scene, settle(scene, rng())) == 1
    assert wrong_relation(scene, rng()) == scene
