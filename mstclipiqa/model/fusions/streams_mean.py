"""The mean of any number of streams."""

from collections.abc import Sequence

from torch import Tensor

from mstclipiqa.model.fusions._many_streams import ManyStreams
from mstclipiqa.model.recipes import Recipe

TITLE = "Mean of all streams"
DESCRIPTION = "all streams of the suite projected and averaged, without a gate (ours)"
MANY = True


class Fusion(ManyStreams):
    """z = (phi_1(f_1) + ... + phi_S(f_S)) / S. With S = 2 it is the gate frozen at 0.5.

    One linear map of the streams side by side is the same but for a factor.
    """

    def __init__(self, dim: int, recipe: Recipe, sizes: Sequence[int]):
        super().__init__(sizes)
        self.phi = self.project_by(dim, recipe)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """z (B, D) from f_c (B, D_1) and the others side by side, f_f (B, D_2 + ... + D_S)."""
        return self.project(self.phi, f_c, f_f).mean(-2)
