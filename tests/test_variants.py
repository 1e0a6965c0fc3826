"""Every variant, under every recipe, is a model that scores images."""

from pathlib import Path

import pytest
import torch

from mstclipiqa.errors import InputError
from mstclipiqa.model import FUSIONS, LEVELS, build_model
from mstclipiqa.recipes import load_recipe
from mstclipiqa.variants import VARIANTS, get_variant

RECIPES = sorted((Path(__file__).parents[1] / "config" / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_scores_a_batch_under_every_recipe(name, recipe):
    model = build_model(name, load_recipe(recipe), 16, 8, torch.randn(len(LEVELS), 16), seed=0)
    assert model.uses_prompt == VARIANTS[name].prompt
    tokens, padding = torch.randn(3, 5, 8), torch.zeros(3, 5, dtype=torch.bool)
    scores = model(torch.randn(3, 16), torch.randn(3, 16), tokens, padding)
    assert scores.shape == (3,)
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_described(name):
    variant = get_variant(name)
    assert variant.title
    assert variant.description
    assert variant.fusion in FUSIONS


def test_an_unknown_variant_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="unknown variant 'mst-clipiqa2'; known: mst-clipiqa, mst-clipiqa-star"):
        get_variant("mst-clipiqa2")
