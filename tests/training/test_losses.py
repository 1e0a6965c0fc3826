"""The losses by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_benchmark import RECIPE

from mstclipiqa.training.losses import gate_sparsity, ranking_loss, total_loss


def ranking_by_hand(p, q, margin):
    pairs = [(i, j) for i in range(len(p)) for j in range(len(p)) if q[i] != q[j]]
    terms = [max(0.0, -np.sign(q[i] - q[j]) * (p[i] - p[j]) + margin) for i, j in pairs]
    return np.mean(terms) if terms else 0.0


@pytest.mark.parametrize("margin", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("size", [1, 2, 8])
def test_losses_are_the_papers_equations(margin, size):
    rng = np.random.default_rng(size)
    recipe = replace(RECIPE, ranking_weight=0.3, ranking_margin=margin)
    for _ in range(5):
        p, q = rng.uniform(1, 5, size), rng.integers(1, 5, size).astype(float)  # with ties
        ranking = ranking_by_hand(p, q, margin)
        p_, q_ = torch.from_numpy(p), torch.from_numpy(q)
        assert ranking_loss(p_, q_, margin).item() == pytest.approx(ranking, abs=1e-12)
        assert total_loss(p_, q_, recipe).item() == pytest.approx(((p - q) ** 2).mean() + 0.3 * ranking, abs=1e-12)


def test_ranking_costs_nothing_in_the_right_order_and_the_distance_in_the_wrong_one():
    q = torch.tensor([1.0, 2.0, 4.0])
    assert ranking_loss(q, q, margin=1.0) == 0
    assert ranking_loss(-q, q, margin=0.0).item() == pytest.approx((1 + 3 + 2) / 3)


def test_a_batch_of_equal_scores_is_not_ranked():
    p = torch.tensor([1.0, 4.0], requires_grad=True)
    loss = ranking_loss(p, torch.full((2,), 3.0), margin=0.1)
    loss.backward()
    assert loss == 0
    assert (p.grad == 0).all()


def test_gate_sparsity_is_the_mean_distance_to_a_closed_gate():
    gate = torch.tensor([[0.1, 0.5], [0.8, 1.0]])
    assert gate_sparsity(gate).tolist() == pytest.approx([(0.1 + 0.5) / 2, (0.2 + 0) / 2])
