import pytest
from drawings import BLUE_HOUSE, EXAMPLE, RED_BALLS, rng

from mstclipiqa.synthetic.backgrounds import BACKGROUNDS
from mstclipiqa.synthetic.prompts import prompt_text, random_scene
from mstclipiqa.synthetic.scene import NUMBERS, Scene, Thing


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
