"""The released code's training, written out in plain torch: loss, optimiser, batches and the MOS as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from toy import DIM, RELEASED, WIDTH, make_dataset, make_levels

from mstclipiqa.base.names import LAST, TEST, TRAIN
from mstclipiqa.training.dataset import LEVEL_SCALE, MOS_SCALE, to_score
from mstclipiqa.training.run import Trainer, train_run

STEPS, BATCH, SEED = 20, 8, 3
RECIPE = replace(RELEASED, epochs=1, gate_hidden=4, attention_heads=2)
LOW, HIGH = 0.0, 5.0


def released_scores(state: dict[str, Tensor], f_c: Tensor, f_f: Tensor, tokens: Tensor | None) -> Tensor:
    """GFF and a head, from the parameters by name: the template head, or with tokens (B, L, T) the prompt head."""

    def affine(name: str, x: Tensor) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    hidden = torch.relu(affine("fusion.W_h", torch.cat([f_c, f_f], dim=1)))
    gate = torch.sigmoid(affine("fusion.W_g", hidden))
    z = gate * affine("fusion.phi_c", f_c) + (1 - gate) * affine("fusion.phi_f", f_f)
    if tokens is None:
        similarity = F.normalize(z, dim=1) @ F.normalize(state["head.levels"], dim=1).T
        return torch.softmax(state["head.temperature"] * similarity, dim=1) @ torch.arange(1.0, 6.0)
    w_q, w_k, w_v = (state[f"head.attention.{part}_proj_weight"] for part in "qkv")
    b_q, b_k, b_v = state["head.attention.in_proj_bias"].chunk(3)
    size = DIM // RECIPE.attention_heads
    q, k, v = z @ w_q.T + b_q, tokens @ w_k.T + b_k, tokens @ w_v.T + b_v
    attended = []
    for head in range(RECIPE.attention_heads):
        of_head = slice(head * size, (head + 1) * size)
        weights = torch.softmax((k[:, :, of_head] @ q[:, of_head, None]).squeeze(2) / size**0.5, dim=1)
        attended.append((weights[:, :, None] * v[:, :, of_head]).sum(1))
    z = z + state["head.alpha"] * affine("head.attention.out_proj", torch.cat(attended, dim=1))
    return affine("head.w_o", F.gelu(affine("head.W_1", z)) + affine("head.W_2", z)).squeeze(1)


def released_loss(prediction: Tensor, mos: Tensor) -> Tensor:
    """MSE and, over ordered pairs of unequal MOS, the mean of relu(-sign(q_i - q_j)(p_i - p_j) + 0.1)."""
    pairs = [
        torch.relu(-torch.sign(mos[i] - mos[j]) * (prediction[i] - prediction[j]) + 0.1)
        for i in range(len(mos))
        for j in range(len(mos))
        if mos[i] != mos[j]
    ]
    return ((prediction - mos) ** 2).mean() + torch.stack(pairs).mean()


@pytest.mark.parametrize("variant", ["mst-clipiqa", "mst-clipiqa-star"])
def test_twenty_steps_are_those_of_the_released_code(variant: str):
    data = make_dataset(low=LOW, high=HIGH, count=STEPS * BATCH + 40)
    data = replace(data, score=torch.from_numpy(data.mos.astype(np.float32)), low=1.0, high=5.0)  # MOS as they are
    roles = np.array([TRAIN] * (STEPS * BATCH) + [TEST] * 40, dtype=object)
    trainer = Trainer.of_texts(data, variant, RECIPE, make_levels())
    run = train_run(trainer.build(SEED), data, roles, RECIPE, SEED)
    found = run.loc[run["selection"] == LAST, "prediction"].to_numpy()

    model = trainer.build(SEED)
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    trained = {name: state[name].requires_grad_() for name, p in model.named_parameters() if p.requires_grad}
    optimiser = torch.optim.Adam(trained.values(), lr=5e-6, weight_decay=1e-3)
    tokens = data.tokens.reshape(len(data.images), 4, WIDTH) if model.uses_prompt else None
    order = torch.randperm(STEPS * BATCH, generator=torch.Generator().manual_seed(SEED))
    for rows in order.split(BATCH):
        optimiser.zero_grad()
        scores = released_scores(state, data.f_c[rows], data.f_f[rows], None if tokens is None else tokens[rows])
        released_loss(scores, torch.from_numpy(data.mos)[rows].float()).backward()
        optimiser.step()
    test = torch.arange(STEPS * BATCH, len(roles))
    expected = released_scores(state, data.f_c[test], data.f_f[test], None if tokens is None else tokens[test])
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=0, atol=2e-6)


def test_the_released_recipe_learns_mos_as_they_are_and_ours_levels():
    from small_benchmark import RANGES, make_samples, make_stores

    from mstclipiqa.training.dataset import assemble_dataset

    samples = make_samples()
    stores = make_stores(samples)
    raw = assemble_dataset(samples, RANGES, "quality", **stores, trained_scale=MOS_SCALE)
    mapped = assemble_dataset(samples, RANGES, "quality", **stores, trained_scale=LEVEL_SCALE)
    assert RELEASED.trained_scale == MOS_SCALE
    np.testing.assert_allclose(raw.score, samples["quality"], rtol=1e-6)
    np.testing.assert_allclose(mapped.score, to_score(samples["quality"], *RANGES["quality"]), rtol=1e-6)
    assert (raw.low, raw.high) == (1, 5) and [mapped.low, mapped.high] == RANGES["quality"]
    assert raw.mos.tolist() == mapped.mos.tolist() == samples["quality"].tolist()
