import pytest
from drawings import painted

from mstclipiqa.synthetic.scene import Scene, Thing
from mstclipiqa.synthetic.shapes import KINDS
from mstclipiqa.synthetic.styles import STYLES


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_visible_in_every_style(kind):
    for style in STYLES:
        assert painted(Scene((Thing(kind, "red"),), "", "snow", style), 96).mean() > 0.03
