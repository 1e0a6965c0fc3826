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


#: Of three streams, as of encoders of other families: what fusions of any number are given.
SIZES = (DIM, DIM + 5, 3)


def make(name, **changes):
    """A fusion in double precision with random weights and biases, and two streams (B, D); of one of any number, the
    first of SIZES and all others side by side."""
    small, module = replace(SMALL, **changes), import_module(f"mstclipiqa.model.fusions.{name}")
    torch.manual_seed(3)
    many = getattr(module, "MANY", False)
    fusion = (module.Fusion(DIM, small, SIZES) if many else module.Fusion(DIM, small)).double()
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return fusion, torch.randn(BATCH, DIM).double(), torch.randn(BATCH, sum(SIZES[1:]) if many else DIM).double()


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


def projected(fusion, f_c, f_f):
    """phi_s(f_s) of all streams, (S, B, D)."""
    first, second, third = f_c, f_f[:, : SIZES[1]], f_f[:, SIZES[1] :]
    return np.stack([affine(phi, f) for phi, f in zip(fusion.phi, (first, second, third), strict=True)])


def weighed(fusion, f_c, f_f):
    """A softmax over the streams in each dimension, the last stream's logit being 0."""
    logits = affine(fusion.W_g, np.maximum(affine(fusion.W_h, np.concatenate([f_c, f_f], axis=1)), 0))
    powers = np.exp([logits[:, :DIM], logits[:, DIM:], np.zeros((BATCH, DIM))])
    gates = powers / powers.sum(axis=0)
    found = fusion.weights(torch.from_numpy(f_c), torch.from_numpy(f_f)).detach().numpy()
    np.testing.assert_allclose(found, gates.swapaxes(0, 1))
    return (gates * projected(fusion, f_c, f_f)).sum(axis=0)


def layered(fusion, f_c, f_f):
    return affine(fusion.W_2, np.maximum(affine(fusion.W_1, np.concatenate([f_c, f_f], axis=1)), 0))


EQUATIONS = {
    "adaptive_avg_pool": lambda m, c, f: neighbours(m, c, f).mean(-1),
    "adaptive_max_pool": lambda m, c, f: neighbours(m, c, f).max(-1),
    "coarse_only": lambda m, c, f: affine(m.phi, c),
    "cross_attention": attend,
    "fine_only": lambda m, c, f: affine(m.phi, f),
    "fixed_gate": lambda m, c, f: (affine(m.phi_c, c) + affine(m.phi_f, f)) / 2,
    "gff": gated,
    "linear_interpolation": mixed,
    "mlp": layered,
    "streams_gate": weighed,
    "streams_mean": lambda m, c, f: projected(m, c, f).mean(axis=0),
    "streams_mlp": layered,
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
