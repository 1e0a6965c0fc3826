"""Every variant, under every recipe, is a model that scores images."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mstclipiqa
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.build import build_model
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.model.variants import TWO_TOWERS, VARIANTS, fusion_variant, get_variant

PACKAGE = Path(mstclipiqa.__file__).parent
RECIPES = sorted((Path(__file__).parents[2] / "config" / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_scores_a_batch_under_every_recipe(name, recipe):
    levels = torch.randn(len(LEVELS), 16)
    model = build_model(name, load_recipe(recipe), 16, 8, levels, seed=0, fine_levels=levels)
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
    assert not variant.description.endswith(".") and "\n" not in variant.title + variant.description
    assert (variant.module is None) == (variant.head == TWO_TOWERS)


def test_an_unknown_variant_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="unknown variant 'mst-clipiqa2'; known: mst-clipiqa, mst-clipiqa-star"):
        get_variant("mst-clipiqa2")


def test_a_fusion_is_a_file_and_a_variant_by_its_name(tmp_path):
    """In a copy of the package: one new file is enough."""
    package = Path(shutil.copytree(PACKAGE, tmp_path / "mstclipiqa"))
    (package / "model" / "fusions" / "fine_minus_coarse.py").write_text(
        'from torch import nn\n\nTITLE = "Difference"\nDESCRIPTION = "the fine stream without the coarse one"\n\n\n'
        "class Fusion(nn.Module):\n    def __init__(self, dim, recipe):\n        super().__init__()\n\n"
        "    def forward(self, f_c, f_f):\n        return f_f - f_c\n"
    )
    script = (
        "import torch; from pathlib import Path; from mstclipiqa.model.variants import get_variant;"
        "from mstclipiqa.model.build import build_model; from mstclipiqa.model.recipes import load_recipe;"
        "v = get_variant('fine-minus-coarse'); print(v.title, '|', v.description);"
        f"m = build_model('fine-minus-coarse', load_recipe(Path({str(RECIPES[0])!r})), 4, 4, torch.eye(5)[:, :4], 0);"
        "print(tuple(m(torch.ones(2, 4), torch.zeros(2, 4)).shape))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["Difference | the fine stream without the coarse one", "(2,)"], done.stderr


@pytest.mark.parametrize("text", ['TITLE = "Difference"\n', 'DESCRIPTION = "of both"\n', "TITLE = DESCRIPTION = 1\n"])
def test_a_fusion_without_a_title_or_a_description_is_refused(text, tmp_path):
    (tmp_path / "difference.py").write_text(text)
    with pytest.raises(InputError, match=r'difference.py: a fusion needs (TITLE|DESCRIPTION) = "..."'):
        fusion_variant(tmp_path / "difference.py")
