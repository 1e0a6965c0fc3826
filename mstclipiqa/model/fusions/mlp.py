"""A control of ours: as many parameters as GFF, and no gate."""

import torch
from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe

TITLE = "MLP"
DESCRIPTION = "one hidden layer over both streams, with as many parameters as GFF (a control of ours)"


class Fusion(nn.Module):
    """z = W_2 relu(W_1 [f_c; f_f] + b_1) + b_2, as wide as GFF's parameter count allows: is it the gate, or size?"""

    def __init__(self, dim: int, recipe: Recipe):
        super().__init__()
        gate = (2 * dim + 1) * recipe.gate_hidden + (recipe.gate_hidden + 1) * dim
        projections = 2 * dim * (dim + recipe.projection_bias)
        hidden = round((gate + projections - dim) / (3 * dim + 1))
        self.W_1 = nn.Linear(2 * dim, hidden)
        self.W_2 = nn.Linear(hidden, dim)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """z (B, D) from f_c and f_f, each (B, D)."""
        return self.W_2(torch.relu(self.W_1(torch.cat([f_c, f_f], dim=-1))))
