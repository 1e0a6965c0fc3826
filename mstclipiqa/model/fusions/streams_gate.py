"""GFF's gate over any number of streams."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mstclipiqa.model.fusions._many_streams import ManyStreams
from mstclipiqa.model.recipes import Recipe

TITLE = "Gate over all streams"
DESCRIPTION = "a softmax over all streams of the suite in each dimension, which of two is the paper's gate (ours)"
MANY = True


class Fusion(ManyStreams):
    """One softmax per dimension decides between S streams.

    l = W_g relu(W_h [f_1; ...; f_S] + b_h) + b_g, of (S - 1) D numbers; l_S = 0
    z = sum_s g_s * phi_s(f_s), g_sd = exp(l_sd) / sum_t exp(l_td)

    With S = 2 it is GFF: softmax([l, 0]) is [sigmoid(l), 1 - sigmoid(l)], of as many weights, drawn in the same order.
    """

    def __init__(self, dim: int, recipe: Recipe, sizes: Sequence[int]):
        super().__init__(sizes)
        self.W_h = nn.Linear(sum(sizes), recipe.gate_hidden)
        self.W_g = nn.Linear(recipe.gate_hidden, (len(sizes) - 1) * dim)
        self.phi = self.project_by(dim, recipe)

    def weights(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """What each stream has in each dimension, (B, S, D), summing to 1 over the streams."""
        logits = self.W_g(torch.relu(self.W_h(torch.cat([f_c, f_f], dim=-1))))
        logits = logits.unflatten(-1, (len(self.sizes) - 1, -1))
        return torch.softmax(torch.cat([logits, torch.zeros_like(logits[..., :1, :])], dim=-2), dim=-2)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """z (B, D) from f_c (B, D_1) and the others side by side, f_f (B, D_2 + ... + D_S)."""
        return (self.weights(f_c, f_f) * self.project(self.phi, f_c, f_f)).sum(-2)
