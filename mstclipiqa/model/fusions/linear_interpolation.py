"""A rival of Table II: linear interpolation."""

import torch
from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe

TITLE = "Linear interpolation"
DESCRIPTION = "one learned scalar mixes the projected streams (Table II; our reading)"


class Fusion(nn.Module):
    """z = a phi_c(f_c) + (1 - a) phi_f(f_f), a = sigmoid(w), w from 0: GFF's gate becomes a number."""

    def __init__(self, dim: int, recipe: Recipe):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))
        self.phi_c = nn.Linear(dim, dim, bias=recipe.projection_bias)
        self.phi_f = nn.Linear(dim, dim, bias=recipe.projection_bias)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """z (B, D) from f_c and f_f, each (B, D)."""
        return torch.lerp(self.phi_f(f_f), self.phi_c(f_c), torch.sigmoid(self.w))
