"""Every fusion against its equation written out in numpy, and its parameters against a count by hand."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.build import build_model, count_trainable
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.model.variants import FUSIONS, VARIANTS

RELEASED = load_recipe(Path(__file__).parents[2] / "config" / "recipes" / "released_code.yaml")
APPENDIX = load_recipe(Path(__file__).parents[2] / "config" / "recipes" / "appendix.yaml")
NAMES = sorted(path.stem for path in FUSIONS.glob("*.py") if path.stem[0] != "_")
DIM, BATCH = 12, 5


def make(name, **changes):
    """A fusion in double precision with random weights and biases, and two streams (B, D)."""
    recipe = replace(RELEASED, gate_hidden=5, attention_heads=3, **changes)
    torch.manual_seed(3)
    fusion = import_module(f"mstclipiqa.model.fusions.{name}").Fusion(DIM, recipe).double()
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return fusion, torch.randn(BATCH, DIM).double(), torch.randn(BATCH, DIM).double()


def affine(layer, x):
    return x @ layer.weight.detach().numpy().T + (0 if layer.bias is None else layer.bias.detach().numpy())


def neighbours(fusion, f_c, f_f):
    """The projected streams side by side, in pairs of neighbours: (B, D, 2)."""
    return np.concatenate([affine(fusion.phi_c, f_c), affine(fusion.phi_f, f_f)], axis=1).reshape(BATCH, DIM, 2)


def attend(fusion, f_c, f_f):
    """Over one key the softmax is 1: what is attended is the value, projected twice."""
    value = fusion.attention.in_proj_weight[2 * DIM :].detach().numpy()
    bias = fusion.attention.in_proj_bias[2 * DIM :].detach().numpy()
    attended = affine(fusion.attention.out_proj, affine(fusion.phi_f, f_f) @ value.T + bias)
    return affine(fusion.phi_c, f_c) + attended


def gated(fusion, f_c, f_f):
    g = expit(affine(fusion.W_g, np.maximum(affine(fusion.W_h, np.concatenate([f_c, f_f], axis=1)), 0)))
    return g * affine(fusion.phi_c, f_c) + (1 - g) * affine(fusion.phi_f, f_f)


def mixed(fusion, f_c, f_f):
    share = expit(fusion.w.item())
    return share * affine(fusion.phi_c, f_c) + (1 - share) * affine(fusion.phi_f, f_f)


EQUATIONS = {
    "adaptive_avg_pool": lambda m, c, f: neighbours(m, c, f).mean(-1),
    "adaptive_max_pool": lambda m, c, f: neighbours(m, c, f).max(-1),
    "coarse_only": lambda m, c, f: affine(m.phi, c),
    "cross_attention": attend,
    "fine_only": lambda m, c, f: affine(m.phi, f),
    "fixed_gate": lambda m, c, f: (affine(m.phi_c, c) + affine(m.phi_f, f)) / 2,
    "gff": gated,
    "linear_interpolation": mixed,
    "mlp": lambda m, c, f: affine(m.W_2, np.maximum(affine(m.W_1, np.concatenate([c, f], axis=1)), 0)),
}


def test_every_fusion_has_its_equation_here():
    assert list(EQUATIONS) == NAMES


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_fusion_is_its_equation(name, bias):
    fusion, f_c, f_f = make(name, projection_bias=bias)
    expected = EQUATIONS[name](fusion, f_c.numpy(), f_f.numpy())
    np.testing.assert_allclose(fusion(f_c, f_f).detach().numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"coarse_only", "fine_only"}))
def test_a_fusion_uses_both_streams(name):
    fusion, f_c, f_f = make(name)
    z = fusion(f_c, f_f)
    assert not torch.allclose(fusion(f_c + 1, f_f), z) and not torch.allclose(fusion(f_c, f_f + 1), z)


def test_two_towers_average_the_logits_of_both_streams():
    torch.manual_seed(0)
    levels, own = torch.randn(5, DIM).double(), torch.randn(5, DIM).double()
    recipe = replace(RELEASED, temperature=4.0)
    model = build_model("mstfe-1", recipe, DIM, 8, levels, seed=0, fine_levels=own).double()
    f_c, f_f = torch.randn(BATCH, DIM).double(), torch.randn(BATCH, DIM).double()

    def cosine(z, texts):
        texts = texts.numpy()
        return (z @ texts.T) / np.linalg.norm(z, axis=1)[:, None] / np.linalg.norm(texts, axis=1)

    logits = [
        4 * cosine(affine(model.fusion.phi_c, f_c.numpy()), levels),
        4 * cosine(affine(model.fusion.phi_f, f_f.numpy()), own),
    ]
    expected = softmax(np.mean(logits, axis=0), axis=1) @ np.arange(1, 6)
    np.testing.assert_allclose(model(f_c, f_f).detach().numpy(), expected, rtol=1e-6)


def test_two_towers_need_the_second_ones_texts():
    with pytest.raises(InputError, match="mstfe-1 needs the level texts of the fine encoder's text tower"):
        build_model("mstfe-1", RELEASED, DIM, 8, torch.randn(5, DIM), seed=0)


# Counts by hand: D = 512, text width 512

SQUARE, BIAS, TEMPERATURE = 512 * 512, 512, 1
BOTH = 2 * (SQUARE + BIAS)
GATE = 1024 * 128 + 128 + 128 * 512 + 512
ATTENTION = 4 * SQUARE + 4 * BIAS
REGRESSION = 2 * (SQUARE + BIAS) + 512 + 1

#: Released code: what training changes.
RELEASED_COUNTS = {
    "mst-clipiqa": GATE + BOTH + TEMPERATURE,
    "mst-clipiqa-star": GATE + BOTH + ATTENTION + 1 + REGRESSION,
    "coarse-only-star": SQUARE + BIAS + ATTENTION + 1 + REGRESSION,
    "mstfe-1": BOTH + TEMPERATURE,
    "twin": GATE + BOTH + TEMPERATURE,
    "adaptive-avg-pool": BOTH + TEMPERATURE,
    "adaptive-max-pool": BOTH + TEMPERATURE,
    "coarse-only": SQUARE + BIAS + TEMPERATURE,
    "cross-attention": BOTH + ATTENTION + TEMPERATURE,
    "fine-only": SQUARE + BIAS + TEMPERATURE,
    "fixed-gate": BOTH + TEMPERATURE,
    "linear-interpolation": BOTH + 1 + TEMPERATURE,
    "mlp": 1024 * 470 + 470 + 470 * 512 + 512 + TEMPERATURE,
}

#: The appendix prints 0.39 M for the gate, 0.52 M for the projections, 0.07 M for the head.
APPENDIX_GATE = 1024 * 256 + 256 + 256 * 512 + 512
APPENDIX_HEAD = 512 * 128 + 128 + 128 + 1
APPENDIX_COUNTS = {
    "mst-clipiqa": APPENDIX_GATE + 2 * SQUARE + TEMPERATURE,
    "mst-clipiqa-star": APPENDIX_GATE + 2 * SQUARE + ATTENTION + 2 * BIAS + 1 + APPENDIX_HEAD,
}


def count(name, recipe):
    levels = torch.ones(len(LEVELS), 512)
    return count_trainable(build_model(name, recipe, 512, 512, levels, seed=0, fine_levels=levels))


def test_every_variant_is_counted():
    assert set(RELEASED_COUNTS) == set(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_trainable_parameters_of_every_variant(name):
    assert count(name, RELEASED) == RELEASED_COUNTS[name]


@pytest.mark.parametrize("name", APPENDIX_COUNTS)
def test_trainable_parameters_of_the_appendix(name):
    assert count(name, APPENDIX) == APPENDIX_COUNTS[name]
    assert [round(part / 1e6, 2) for part in (APPENDIX_GATE, 2 * SQUARE, APPENDIX_HEAD)] == [0.39, 0.52, 0.07]


def test_mlp_is_as_large_as_gff():
    assert abs(count("mlp", RELEASED) / count("mst-clipiqa", RELEASED) - 1) < 0.001
