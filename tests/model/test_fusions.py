"""Every fusion against its equation written out in numpy."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from scipy.special import expit
from small_model import DIM, SMALL, affine

from mstclipiqa.model.variants import FUSIONS

BATCH = 5
NAMES = sorted(path.stem for path in FUSIONS.glob("*.py") if path.stem[0] != "_")


def make(name, **changes):
    """A fusion in double precision with random weights and biases, and two streams (B, D)."""
    small = replace(SMALL, **changes)
    torch.manual_seed(3)
    fusion = import_module(f"mstclipiqa.model.fusions.{name}").Fusion(DIM, small).double()
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return fusion, torch.randn(BATCH, DIM).double(), torch.randn(BATCH, DIM).double()


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
