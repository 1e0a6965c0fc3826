"""Any number of streams side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mstclipiqa.model.fusions._many_streams import ManyStreams
from mstclipiqa.model.recipes import Recipe

TITLE = "MLP over all streams"
DESCRIPTION = "one hidden layer over all streams of the suite side by side, as large as the gate over them (ours)"
MANY = True


class Fusion(ManyStreams):
    """z = W_2 relu(W_1 [f_1; ...; f_S] + b_1) + b_2, as wide as the gate's parameter count allows."""

    def __init__(self, dim: int, recipe: Recipe, sizes: Sequence[int]):
        super().__init__(sizes)
        total, logits = sum(sizes), (len(sizes) - 1) * dim
        gate = (total + 1) * recipe.gate_hidden + (recipe.gate_hidden + 1) * logits
        projections = (total + len(sizes) * recipe.projection_bias) * dim
        hidden = round((gate + projections - dim) / (total + dim + 1))
        self.W_1 = nn.Linear(total, hidden)
        self.W_2 = nn.Linear(hidden, dim)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """z (B, D) from f_c (B, D_1) and the others side by side, f_f (B, D_2 + ... + D_S)."""
        return self.W_2(torch.relu(self.W_1(torch.cat([f_c, f_f], dim=-1))))
