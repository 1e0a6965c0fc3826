"""Values that Snakemake's command line gives, against those of the same text in a file."""

import pytest
import yaml
from snakemake.cli import parse_config

from mstclipiqa.study.overrides import read_typed


@pytest.mark.parametrize(
    "given",
    ["seeds=[0, 1]", "draw={seed: 1, scale: 0.1}", "draw=null", "recipes=[quick, '2024']", "title=Suite 1",
     "encoders={coarse: {model: m, weights: random:1}}", "also=[]", "also=[{seeds: [1], cached: true}]"],
)  # fmt: skip
def test_a_value_of_the_command_line_is_that_of_a_file(given):
    name, _, text = given.partition("=")
    expected = text if name == "title" else yaml.safe_load(text)
    if name == "recipes":
        expected = ["quick", 2024]  # Snakemake has taken the quotes off
    assert read_typed(parse_config([given])) == {name: expected}
