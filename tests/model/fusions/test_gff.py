"""The gated fusion against the paper's equation, written out in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from small_model import DIM, SMALL, affine, array, features, shake

from mstclipiqa.model.fusions.gff import Fusion


def fuse(fusion, f_c, f_f):
    gate = expit(affine(fusion.W_g, np.maximum(affine(fusion.W_h, np.concatenate([f_c, f_f], axis=1)), 0)))
    return gate * affine(fusion.phi_c, f_c) + (1 - gate) * affine(fusion.phi_f, f_f)


@pytest.mark.parametrize("bias", [True, False])
def test_fusion_is_the_papers_equation(bias):
    fusion = shake(Fusion(DIM, replace(SMALL, projection_bias=bias)))
    assert (fusion.phi_c.bias is not None) == (fusion.phi_f.bias is not None) == bias
    f_c, f_f = features()
    np.testing.assert_allclose(array(fusion(f_c, f_f)), fuse(fusion, array(f_c), array(f_f)), atol=1e-10)


def test_an_open_gate_takes_the_coarse_stream_and_a_closed_one_the_fine():
    fusion = shake(Fusion(DIM, SMALL))
    f_c, f_f = features()
    assert ((fusion.gate(f_c, f_f) > 0) & (fusion.gate(f_c, f_f) < 1)).all()
    for bias, expected in ((1e3, fusion.phi_c(f_c)), (-1e3, fusion.phi_f(f_f))):
        torch.nn.init.constant_(fusion.W_g.bias, bias)
        torch.testing.assert_close(fusion(f_c, f_f), expected)
