"""The paper's gated feature fusion (GFF)."""

import torch
from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe

TITLE = "MST-CLIPIQA"
DESCRIPTION = "gated fusion (GFF) and the template head; the prompt is not used"


class Fusion(nn.Module):
    """GFF: one gate per dimension decides between the coarse and the fine stream (Eq. 5 and those before it).

    g = sigmoid(W_g relu(W_h [f_c; f_f] + b_h) + b_g)
    z = g * phi_c(f_c) + (1 - g) * phi_f(f_f)
    """

    def __init__(self, dim: int, recipe: Recipe):
        super().__init__()
        self.W_h = nn.Linear(2 * dim, recipe.gate_hidden)
        self.W_g = nn.Linear(recipe.gate_hidden, dim)
        self.phi_c = nn.Linear(dim, dim, bias=recipe.projection_bias)
        self.phi_f = nn.Linear(dim, dim, bias=recipe.projection_bias)

    def gate(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """The gate g, (B, D) in [0, 1]: 1 takes a dimension from the coarse stream, 0 from the fine one."""
        return torch.sigmoid(self.W_g(torch.relu(self.W_h(torch.cat([f_c, f_f], dim=-1)))))

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """The fused feature z, (B, D), from f_c and f_f, each (B, D)."""
        g = self.gate(f_c, f_f)
        return g * self.phi_c(f_c) + (1 - g) * self.phi_f(f_f)
