"""The model against the paper's equations, written out in numpy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import erf, expit, softmax

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.build import MSTCLIPIQA, build_model, count_trainable
from mstclipiqa.model.fusions import gff
from mstclipiqa.model.heads import PromptHead, TemplateHead
from mstclipiqa.model.recipes import load_recipe

RECIPES = Path(__file__).parents[2] / "config" / "recipes"
A, B = "mst-clipiqa", "mst-clipiqa-star"
DIM, WIDTH = 12, 8


def recipe(name="released_code", **changes):
    return replace(load_recipe(RECIPES / f"{name}.yaml"), **changes)


SMALL = recipe(gate_hidden=5, attention_heads=3)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def shake(module, seed=0):
    """Double precision, and no weight or bias at its initial value: a term that is left out then shows."""
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng(seed), dtype=torch.double) * 0.7)
            seed += 1
    return module


def features(count=6, dim=DIM, seed=7):
    """f_c and f_f as tensors."""
    return torch.randn(2, count, dim, generator=rng(seed), dtype=torch.double).unbind()


def prompts(lengths=(4, 1, 6, 3, 6, 2), width=WIDTH, longest=None, filling=0.0, seed=8):
    """Token states (B, L, T) and padding (B, L) of prompts of the given lengths."""
    steps = torch.arange(longest or max(lengths))
    padding = steps >= torch.tensor(lengths)[:, None]
    tokens = torch.full((*padding.shape, width), filling, dtype=torch.double)
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.randn(length, width, generator=rng(seed + row), dtype=torch.double)
    return tokens, padding


def array(tensor):
    return tensor.detach().numpy()


def affine(layer, x):
    return x @ array(layer.weight).T + (0 if layer.bias is None else array(layer.bias))


def fuse(fusion, f_c, f_f):
    gate = expit(affine(fusion.W_g, np.maximum(affine(fusion.W_h, np.concatenate([f_c, f_f], axis=1)), 0)))
    return gate * affine(fusion.phi_c, f_c) + (1 - gate) * affine(fusion.phi_f, f_f)


def cross_attention(attention, z, tokens, padding):
    """CrossAttn(z, tokens), image by image and head by head, over the tokens that are there."""
    if attention.in_proj_weight is None:  # text states of another width than z
        projections = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
    else:
        projections = attention.in_proj_weight.chunk(3)
    W_q, W_k, W_v = map(array, projections)
    b_q, b_k, b_v = map(array, attention.in_proj_bias.chunk(3))
    size = z.shape[1] // attention.num_heads
    out = np.empty_like(z)
    for row in range(len(z)):
        states = tokens[row][~padding[row]]
        q, k, v = W_q @ z[row] + b_q, states @ W_k.T + b_k, states @ W_v.T + b_v
        for start in range(0, z.shape[1], size):
            head = slice(start, start + size)
            weights = softmax(k[:, head] @ q[head] / np.sqrt(size))
            out[row, head] = weights @ v[:, head]
    return affine(attention.out_proj, out)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


# Gated fusion


@pytest.mark.parametrize("bias", [True, False])
def test_fusion_is_the_papers_equation(bias):
    fusion = shake(gff.Fusion(DIM, replace(SMALL, projection_bias=bias)))
    assert (fusion.phi_c.bias is not None) == (fusion.phi_f.bias is not None) == bias
    f_c, f_f = features()
    np.testing.assert_allclose(array(fusion(f_c, f_f)), fuse(fusion, array(f_c), array(f_f)), atol=1e-10)


def test_an_open_gate_takes_the_coarse_stream_and_a_closed_one_the_fine():
    fusion = shake(gff.Fusion(DIM, SMALL))
    f_c, f_f = features()
    assert ((fusion.gate(f_c, f_f) > 0) & (fusion.gate(f_c, f_f) < 1)).all()
    for bias, expected in ((1e3, fusion.phi_c(f_c)), (-1e3, fusion.phi_f(f_f))):
        torch.nn.init.constant_(fusion.W_g.bias, bias)
        torch.testing.assert_close(fusion(f_c, f_f), expected)


# Template head


@pytest.mark.parametrize("temperature", [1.0, 7.5, 100.0])
def test_template_head_is_the_expected_level(temperature):
    head = TemplateHead(DIM, replace(SMALL, temperature=temperature), features(len(LEVELS))[0]).double()
    z = features()[1]
    score = []
    for image in array(z):
        cosines = [image @ level / np.linalg.norm(image) / np.linalg.norm(level) for level in array(head.levels)]
        score.append(softmax(temperature * np.array(cosines)) @ [1, 2, 3, 4, 5])
    np.testing.assert_allclose(array(head(z)), score, atol=1e-10)


def test_levels_run_from_bad_to_perfect():
    assert LEVELS == ("bad", "poor", "fair", "good", "perfect")
    head = TemplateHead(DIM, replace(SMALL, temperature=1e4), torch.eye(DIM)[: len(LEVELS)])
    torch.testing.assert_close(head(3 * head.levels), torch.arange(1.0, 6))


def test_level_embeddings_of_another_shape_are_refused():
    for shape in ((4, DIM), (5, DIM + 1), (DIM, 5)):
        with pytest.raises(InputError, match="level embeddings are"):
            TemplateHead(DIM, SMALL, torch.ones(shape))


def test_the_head_has_its_own_levels():
    levels = torch.ones(len(LEVELS), DIM)
    head = TemplateHead(DIM, replace(SMALL, learnable_levels=True), levels)
    torch.nn.init.zeros_(head.levels)
    assert (levels == 1).all()


# Prompt head


@pytest.mark.parametrize("width", [WIDTH, DIM])
@pytest.mark.parametrize("heads", [1, 3])
def test_prompt_head_is_the_papers_equation(width, heads):
    head = shake(PromptHead(DIM, replace(SMALL, attention_heads=heads), width))
    z, _ = features()
    tokens, padding = prompts(width=width)
    attended = cross_attention(head.attention, array(z), array(tokens), array(padding))
    fused = array(z) + head.alpha.item() * attended
    score = affine(head.w_o, gelu(affine(head.W_1, fused)) + affine(head.W_2, fused))[:, 0]
    np.testing.assert_allclose(array(head(z, tokens, padding)), score, atol=1e-10)
    # the prompt takes part, or the comparison would show nothing of the attention
    assert np.abs(head.alpha.item() * attended).max() > 0.1


def test_scores_do_not_depend_on_padding():
    head = shake(PromptHead(DIM, SMALL, WIDTH))
    z, _ = features()
    expected = head(z, *prompts())
    for longest, filling in ((6, 1e3), (6, -5.0), (7, 0.0), (20, 1e3)):
        torch.testing.assert_close(head(z, *prompts(longest=longest, filling=filling)), expected)


def test_scores_do_not_depend_on_which_prompts_share_the_batch():
    head = shake(PromptHead(DIM, SMALL, WIDTH))
    z, _ = features()
    tokens, padding = prompts()
    together = head(z, tokens, padding)
    for row in range(len(z)):
        length = int((~padding[row]).sum())
        alone = head(z[row : row + 1], tokens[row : row + 1, :length], padding[row : row + 1, :length])
        torch.testing.assert_close(alone[0], together[row])


def test_the_prompt_has_no_say_at_first_and_can_gain_one():
    model = build_model(B, SMALL, DIM, WIDTH, torch.ones(len(LEVELS), DIM), seed=0).double()
    f_c, f_f = features()
    first, second = prompts(seed=8), prompts(seed=80)
    assert model.head.alpha.item() == 0
    assert torch.equal(model(f_c, f_f, *first), model(f_c, f_f, *second))
    model(f_c, f_f, *first).sum().backward()
    assert model.head.alpha.grad.abs() > 1e-6
    torch.nn.init.ones_(model.head.alpha)
    assert not torch.allclose(model(f_c, f_f, *first), model(f_c, f_f, *second))


# The assembled model


def test_the_model_is_its_head_on_its_fusion():
    f_c, f_f = features()
    levels = features(len(LEVELS))[0]
    template = shake(build_model(A, SMALL, DIM, WIDTH, levels, seed=1))
    prompt = shake(build_model(B, SMALL, DIM, WIDTH, levels, seed=1))
    assert (template.uses_prompt, prompt.uses_prompt) == (False, True)
    torch.testing.assert_close(template(f_c, f_f), template.head(template.fusion(f_c, f_f)))
    torch.testing.assert_close(prompt(f_c, f_f, *prompts()), prompt.head(prompt.fusion(f_c, f_f), *prompts()))
    assert isinstance(template, MSTCLIPIQA)


def test_the_template_model_starts_from_the_recipe():
    levels = torch.randn(len(LEVELS), DIM, generator=rng())
    for learnable in (True, False):
        chosen = replace(SMALL, temperature=30.0, learnable_levels=learnable)
        head = build_model(A, chosen, DIM, WIDTH, levels, seed=1).head
        assert torch.equal(head.levels, levels)
        assert head.levels.requires_grad == learnable
        assert head.temperature.item() == 30
        assert head.temperature.requires_grad


def linear(inputs, outputs, bias=True):
    return inputs * outputs + outputs * bias


def gff_parameters(hidden, bias=True):
    return linear(1024, hidden) + linear(hidden, 512) + 2 * linear(512, 512, bias)


TEMPERATURE, ALPHA = 1, 1
ATTENTION = 3 * linear(512, 512) + linear(512, 512)  # query, key, value; output
REGRESSION = 2 * linear(512, 512) + linear(512, 1)  # W_1, W_2; w_o


@pytest.mark.parametrize(
    ("variant", "chosen", "expected"),
    [
        (A, recipe(), gff_parameters(128) + TEMPERATURE),
        (B, recipe(), gff_parameters(128) + ATTENTION + ALPHA + REGRESSION),
        (A, recipe("main_text"), gff_parameters(128) + TEMPERATURE + 5 * 512),
        (B, recipe("main_text"), gff_parameters(128) + ATTENTION + ALPHA + REGRESSION),
        (A, recipe(gate_hidden=256, projection_bias=False), gff_parameters(256, bias=False) + TEMPERATURE),
    ],
)
def test_trainable_parameters(variant, chosen, expected):
    model = build_model(variant, chosen, 512, 512, torch.ones(5, 512), seed=0)
    assert count_trainable(model) == expected


def test_trainable_parameters_are_those_of_the_released_code():
    counts = [count_trainable(build_model(name, recipe(), 512, 512, torch.ones(5, 512), seed=0)) for name in (A, B)]
    assert counts == [722_561, 2_299_010]


@pytest.mark.parametrize("variant", [A, B])
def test_initial_weights_depend_on_the_seed_alone(variant):
    def weights(seed):
        model = build_model(variant, SMALL, DIM, WIDTH, torch.ones(len(LEVELS), DIM), seed)
        return torch.cat([value.flatten() for value in model.state_dict().values()])

    torch.manual_seed(1)
    first = weights(3)
    torch.manual_seed(2)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)


def test_building_does_not_disturb_the_global_generator():
    before = torch.get_rng_state()
    build_model(B, SMALL, DIM, WIDTH, torch.ones(len(LEVELS), DIM), seed=5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("width", [WIDTH, DIM], ids=["text of another width", "text of the embedding's width"])
def test_prompt_attention_is_torchs_own(width):
    """Values and gradients against nn.MultiheadAttention's own call."""
    head = shake(PromptHead(DIM, SMALL, width))
    tokens, padding = prompts(width=width)
    z = torch.randn(len(tokens), DIM, generator=rng(3), dtype=torch.double)
    expected, _ = head.attention(z[:, None], tokens, tokens, key_padding_mask=padding, need_weights=False)
    found = head.attend(z, tokens, padding)
    assert torch.allclose(found, expected[:, 0], rtol=1e-10)
    weights = [parameter for name, parameter in head.attention.named_parameters() if "weight" in name]
    for ours, theirs in zip(
        torch.autograd.grad(found.square().sum(), weights),
        torch.autograd.grad(expected.square().sum(), weights),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, rtol=1e-8)
