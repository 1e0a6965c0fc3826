"""A control of ours: GFF without its gate."""

from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe

TITLE = "Gate frozen at 0.5"
DESCRIPTION = "GFF without a gate (a control of ours)"


class Fusion(nn.Module):
    """z = (phi_c(f_c) + phi_f(f_f)) / 2: does the gate earn its parameters?"""

    def __init__(self, dim: int, recipe: Recipe):
        super().__init__()
        self.phi_c = nn.Linear(dim, dim, bias=recipe.projection_bias)
        self.phi_f = nn.Linear(dim, dim, bias=recipe.projection_bias)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """z (B, D) from f_c and f_f, each (B, D)."""
        return (self.phi_c(f_c) + self.phi_f(f_f)) / 2
