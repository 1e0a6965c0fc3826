import pytest
from drawings import BLUE_HOUSE, RED_BALLS, rng

from mstclipiqa.synthetic.faults import FAULTS
from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.scene import Scene, agreement


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(10))
def test_every_fault_breaks_the_prompt(fault, seed):
    scene = Scene((RED_BALLS, BLUE_HOUSE), "on", "night", "neon")
    broken = FAULTS[fault](scene, rng(seed))
    assert agreement(scene, broken) < 1
    assert draw(broken, 64, rng()).tobytes() != draw(scene, 64, rng()).tobytes()
