"""Any number of streams: what fusions have in common that take more than a coarse and a fine one.

Shapes: B images, S streams, D_s numbers of an image in stream s, D embedding size of the first, which is the coarse
one's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe


class ManyStreams(nn.Module):
    """A fusion of streams of the `sizes` D_1 to D_S. It is given f_c (B, D_1), and f_f, all others side by side
    (B, D_2 + ... + D_S)."""

    def __init__(self, sizes: Sequence[int]):
        super().__init__()
        self.sizes = list(sizes)

    def project_by(self, dim: int, recipe: Recipe) -> nn.ModuleList:
        """A linear map phi_s of each stream to D numbers."""
        return nn.ModuleList(nn.Linear(size, dim, bias=recipe.projection_bias) for size in self.sizes)

    def project(self, phi: nn.ModuleList, f_c: Tensor, f_f: Tensor) -> Tensor:
        """phi_s(f_s) of all streams, (B, S, D)."""
        streams = [f_c, *f_f.split(self.sizes[1:], dim=-1)]
        return torch.stack([layer(stream) for layer, stream in zip(phi, streams, strict=True)], dim=-2)
