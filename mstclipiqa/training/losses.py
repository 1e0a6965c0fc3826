"""The losses: squared error, pairwise margin ranking (the paper's ranking loss), and the optional gate sparsity."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.model.build import MSTCLIPIQA
from mstclipiqa.model.recipes import Recipe


def ranking_loss(prediction: Tensor, score: Tensor, margin: float, present: Tensor | None = None) -> Tensor:
    """Pairwise margin ranking: the mean of relu(-sign(q_i - q_j)(p_i - p_j) + margin) over ordered pairs
    (i, j) with q_i != q_j; 0 where there is no such pair. Predictions p and scores q are (B,), as is `present`,
    false for what only fills a batch."""
    order = torch.sign(score[:, None] - score[None, :])
    if present is not None:
        order = order * (present[:, None] & present[None, :])
    loss = torch.relu(margin - order * (prediction[:, None] - prediction[None, :]))
    unequal = order != 0
    return (loss * unequal).sum() / unequal.sum().clamp(min=1)


def gate_sparsity(gate: Tensor) -> Tensor:
    """The optional term (B,): the mean of min(g, 1 - g) over the dimensions of each image's gate (B, D)."""
    return torch.minimum(gate, 1 - gate).mean(-1)


def batch_mean(values: Tensor, present: Tensor | None) -> Tensor:
    """The mean of values (B,), of those that are present."""
    return values.mean() if present is None else (values * present).sum() / present.sum()


def total_loss(prediction: Tensor, score: Tensor, recipe: Recipe, present: Tensor | None = None) -> Tensor:
    """MSE + lambda * ranking loss, on scores of 1..5."""
    squares = F.mse_loss(prediction, score, reduction="none")
    ranking = ranking_loss(prediction, score, recipe.ranking_margin, present)
    return batch_mean(squares, present) + recipe.ranking_weight * ranking


class Objective(nn.Module):
    """What training minimises, of a model and a batch: the loss, and the gates' sparsity where the recipe has it."""

    def __init__(self, model: MSTCLIPIQA, recipe: Recipe):
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(
        self, f_c: Tensor, f_f: Tensor, score: Tensor, prompts: tuple = (), present: Tensor | None = None
    ) -> Tensor:
        """The scalar loss of features (B, D), scores (B,) and, with a prompt head, the prompts' tokens and padding."""
        loss = total_loss(self.model(f_c, f_f, *prompts), score, self.recipe, present)
        gate = getattr(self.model.fusion, "gate", None)
        if self.recipe.gate_sparsity and gate is not None:
            sparsity = batch_mean(gate_sparsity(gate(f_c, f_f)), present)
            loss = loss + self.recipe.gate_sparsity * sparsity
        return loss
