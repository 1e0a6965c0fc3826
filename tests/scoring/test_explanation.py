"""What explains a score, against the paper's equations written out in numpy."""

import numpy as np
import pytest
import torch
from config_files import RECIPES

from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.build import MSTCLIPIQA, build_model
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.scoring.explanation import explain

RECIPE = load_recipe(RECIPES / "released_code.yaml")
DIM, WIDTH = 16, 12


def build(variant: str) -> MSTCLIPIQA:
    levels = torch.randn(len(LEVELS), DIM, generator=torch.Generator().manual_seed(0))
    return build_model(variant, RECIPE, DIM, WIDTH, levels, 0, levels).eval().requires_grad_(False)


@pytest.fixture
def streams() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, DIM, generator=generator), torch.randn(3, DIM, generator=generator)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_gates_and_levels_are_those_of_the_equations(streams: tuple[torch.Tensor, torch.Tensor]):
    model = build("mst-clipiqa")
    state = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    joined = np.hstack([stream.double().numpy() for stream in streams])
    hidden = np.maximum(joined @ state["fusion.W_h.weight"].T + state["fusion.W_h.bias"], 0)
    gates = 1 / (1 + np.exp(-(hidden @ state["fusion.W_g.weight"].T + state["fusion.W_g.bias"])))
    z, texts = model.fusion(*streams).double().numpy(), state["head.levels"]
    cosines = (z @ texts.T) / np.linalg.norm(z, axis=1, keepdims=True) / np.linalg.norm(texts, axis=1)
    levels = softmax(state["head.temperature"] * cosines)
    found = explain(model, streams)
    np.testing.assert_allclose([row["gates"] for row in found], gates, atol=1e-5)
    np.testing.assert_allclose([row["gate"] for row in found], gates.mean(1), atol=1e-5)
    np.testing.assert_allclose([list(row["levels"].values()) for row in found], levels, atol=1e-4)
    np.testing.assert_allclose(levels @ np.arange(1, 6), model(*streams).numpy(), atol=1e-4)


def test_attention_is_that_of_the_head_and_padding_gets_none(streams: tuple[torch.Tensor, torch.Tensor]):
    model = build("mst-clipiqa-star")
    tokens = torch.randn(3, 5, WIDTH, generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([5, 3, 1])
    words = [[f"word {n}" for n in range(length)] for length in lengths]
    found = explain(model, [*streams, tokens, torch.arange(5) >= lengths[:, None]], words)
    module, z = model.head.attention, model.fusion(*streams)
    w_q, w_k = module.q_proj_weight.numpy(), module.k_proj_weight.numpy()
    b_q, b_k, _ = (part.numpy() for part in module.in_proj_bias.chunk(3))
    for row, image in enumerate(found):
        said, weights = zip(*image["attention"], strict=True)
        assert list(said) == words[row]
        query = (w_q @ z[row].numpy() + b_q).reshape(module.num_heads, -1)
        keys = (tokens[row, : lengths[row]].numpy() @ w_k.T + b_k).reshape(-1, *query.shape)
        logits = np.einsum("hd,lhd->hl", query, keys) / np.sqrt(query.shape[1])
        np.testing.assert_allclose(weights, softmax(logits).mean(0), atol=1e-5)
        assert "levels" not in image and image["alpha"] == 0


def test_a_model_without_a_gate_or_a_prompt_has_neither(streams: tuple[torch.Tensor, torch.Tensor]):
    assert explain(build("coarse-only"), streams)[0].keys() == {"levels"}
    assert "attention" not in explain(build("star-no-prompt"), streams)[0]
