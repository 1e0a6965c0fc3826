"""The heads against the paper's equations, written out in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax
from small_model import DIM, SMALL, WIDTH, B, affine, array, features, prompts, recipe, rng, shake

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.build import build_model
from mstclipiqa.model.heads import PromptHead, TemplateHead


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


@pytest.mark.parametrize("temperature", [1.0, 7.5, 100.0])
def test_template_head_is_the_expected_level(temperature):
    head = TemplateHead(DIM, replace(SMALL, temperature=temperature), features(len(LEVELS))[0]).double()
    z = features()[1]
    score = []
    for image in array(z):
        cosines = [image @ level / np.linalg.norm(image) / np.linalg.norm(level) for level in array(head.levels)]
        score.append(softmax(temperature * np.array(cosines)) @ [1, 2, 3, 4, 5])
    np.testing.assert_allclose(array(head(z)), score, atol=1e-10)


@pytest.mark.parametrize("learnable", [True, False])
def test_the_temperature_is_trained_where_the_recipe_says_so(learnable):
    head = TemplateHead(DIM, replace(SMALL, learnable_temperature=learnable), features(len(LEVELS))[0]).double()
    head(features()[1].requires_grad_()).sum().backward()
    assert head.temperature.requires_grad is learnable and (head.temperature.grad is not None) is learnable


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


def test_two_towers_average_the_logits_of_both_streams():
    torch.manual_seed(0)
    levels, own = torch.randn(5, DIM).double(), torch.randn(5, DIM).double()
    softer = recipe(temperature=4.0)
    model = build_model("mstfe-1", softer, DIM, 8, levels, seed=0, fine_levels=own).double()
    f_c, f_f = torch.randn(5, DIM).double(), torch.randn(5, DIM).double()

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
        build_model("mstfe-1", recipe(), DIM, 8, torch.randn(5, DIM), seed=0)
