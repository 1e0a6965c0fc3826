"""One stream alone: the coarse one."""

from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe

TITLE = "Coarse stream only"
DESCRIPTION = "one encoder (patch 32 in the paper) and the template head (Tables VI and VII)"


class Fusion(nn.Module):
    """z = phi(f_c). The other stream is ignored."""

    def __init__(self, dim: int, recipe: Recipe):
        super().__init__()
        self.phi = nn.Linear(dim, dim, bias=recipe.projection_bias)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """z (B, D) from f_c and f_f, each (B, D)."""
        return self.phi(f_c)
