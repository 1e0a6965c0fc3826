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


FUSION = """from torch import nn

TITLE = "Mine"
DESCRIPTION = "of a test"


class Fusion(nn.Module):
    def __init__(self, dim, recipe):
        super().__init__()

    def forward(self, f_c, f_f):
        return f_c[:, :3]
"""


def run_with_fusions(folder, texts, *command):
    """A command in a copy of the package to which somebody added fusions."""
    package = Path(shutil.copytree(PACKAGE, folder / "mstclipiqa", ignore=shutil.ignore_patterns("__pycache__")))
    for name, text in texts.items():
        (package / "model" / "fusions" / f"{name}.py").write_text(text)
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)


#: By what it has in place of what, what is said of a fusion that is none.
NO_FUSIONS = [
    ("", "", "of two images the fusion returns (2, 3), expected (2, 512); let it return z (B, D)"),
    ("f_c[:, :3]", "f_c, f_f", "of two images the fusion returns tuple, expected (2, 512)"),
    ("f_c[:, :3]", "f_c.sum()", "of two images the fusion returns (), expected (2, 512)"),
    ("f_c[:, :3]", "f_c.double()", "of two images the fusion returns torch.float64, expected (2, 512)"),
    ("Fusion(", "Mixture(", "a fusion's module defines the class Fusion"),
]


def test_a_fusion_that_is_none_is_one_line(tmp_path):
    texts = {f"mine_{number}": FUSION.replace(old, new) for number, (old, new, _) in enumerate(NO_FUSIONS)}
    script = (
        "import torch; from mstclipiqa.base.errors import InputError\n"
        "from mstclipiqa.model.build import build_model; from mstclipiqa.model.recipes import load_recipe\n"
        f"for number in range({len(texts)}):\n"
        f"    try: build_model(f'mine-{{number}}', load_recipe({str(RECIPES[0])!r}), 512, 8, torch.ones(5, 512), 0)\n"
        "    except InputError as error: print(error)"
    )
    done = run_with_fusions(tmp_path, texts, "-c", script)
    lines = done.stdout.splitlines()
    assert len(lines) == len(texts), done.stderr
    for name, (_, _, said), line in zip(texts, NO_FUSIONS, lines, strict=True):
        assert f"{name}.py" in line and said in line


def test_trying_a_fusion_draws_no_random_number():
    """What is drawn after it is what would be drawn without the trial; a fusion with dropout trains as ever."""
    recipe, levels = load_recipe(RECIPES[0]), torch.ones(5, 16)
    model = build_model("mst-clipiqa-star", recipe, 16, 8, levels, seed=4)
    torch.manual_seed(4)
    fusion = type(model.fusion)(16, recipe)
    head = type(model.head)(16, recipe, 8)
    assert all(torch.equal(a, b) for a, b in zip(fusion.parameters(), model.fusion.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), model.head.parameters(), strict=True))
    assert model.training and model.fusion.training


BAD_TEXTS = {
    "no title": (FUSION.replace('TITLE = "Mine"', ""), 'a fusion needs TITLE = "..."'),
    "no Python": (FUSION.replace("class Fusion", "clas Fusion"), "cannot be read as a fusion"),
    "no literal": (FUSION.replace('"of a test"', '"of a {}".format("test")'), "cannot be read as a fusion"),
}


@pytest.mark.parametrize(("text", "said"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_a_fusion_that_cannot_be_read_is_named_in_one_line(text, said, tmp_path):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError) as error:
        fusion_variant(tmp_path / "mine.py")
    assert said in str(error.value) and "mine.py" in str(error.value) and "\n" not in str(error.value)


def test_a_verb_shows_that_line_alone(tmp_path):
    config = Path(__file__).parents[2] / "config"
    command = ("-m", "mstclipiqa", "plan", "--config", config / "config.yaml", "--recipes", config / "recipes")
    text, said = BAD_TEXTS["no Python"]
    done = run_with_fusions(tmp_path, {"mine": text}, *command)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and said in done.stderr, done.stderr


def test_a_fusion_that_takes_a_variants_name_is_refused(tmp_path):
    package = Path(shutil.copytree(PACKAGE, tmp_path / "mstclipiqa", ignore=shutil.ignore_patterns("__pycache__")))
    (package / "model" / "fusions" / "twin.py").write_text(FUSION)
    command = [sys.executable, "-c", "import mstclipiqa.model.variants"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "called after the variant twin; rename it" in done.stderr


@pytest.mark.parametrize("text", ['TITLE = "Difference"\n', 'DESCRIPTION = "of both"\n', "TITLE = DESCRIPTION = 1\n"])
def test_a_fusion_without_a_title_or_a_description_is_refused(text, tmp_path):
    (tmp_path / "difference.py").write_text(text)
    with pytest.raises(InputError, match=r'difference.py: a fusion needs (TITLE|DESCRIPTION) = "..."'):
        fusion_variant(tmp_path / "difference.py")
