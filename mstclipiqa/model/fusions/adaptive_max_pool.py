"""A rival of Table II: adaptive maximum pooling."""

import torch
from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe

TITLE = "Adaptive maximum pooling"
DESCRIPTION = "the projected streams side by side, pooled from 2 D to D (Table II; our reading)"


class Fusion(nn.Module):
    """z = AdaptiveMaxPool1d(D)([phi_c(f_c); phi_f(f_f)]): the maximum of each two neighbours of the concatenation."""

    def __init__(self, dim: int, recipe: Recipe):
        super().__init__()
        self.phi_c = nn.Linear(dim, dim, bias=recipe.projection_bias)
        self.phi_f = nn.Linear(dim, dim, bias=recipe.projection_bias)
        self.pool = nn.AdaptiveMaxPool1d(dim)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """z (B, D) from f_c and f_f, each (B, D)."""
        return self.pool(torch.cat([self.phi_c(f_c), self.phi_f(f_f)], dim=-1))
