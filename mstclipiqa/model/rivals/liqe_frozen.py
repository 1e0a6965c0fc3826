"""LIQE (Zhang et al., CVPR 2023) on frozen features; github.com/zwx8981/LIQE, train_unique_clip_weight.py.

LIQE has no head: it fine-tunes all of CLIP ViT-B/32 but its temperature, and its score is the expectation of the five
quality levels under a softmax of cosines. Here all of CLIP is frozen, and one linear map behind its image projection is
trained. It starts from the identity, where the score is CLIP's own.

Left out: the texts of scenes and distortions, of which no benchmark here has labels (LIQE sums their joint softmax to
the quality levels), the means over crops, and the fidelity losses.
"""

import torch
from torch import Tensor, nn

from mstclipiqa.model.heads import TemplateHead
from mstclipiqa.model.recipes import Recipe

#: CLIP's temperature, which LIQE does not train.
TEMPERATURE = 100.0


class Head(nn.Module):
    """p = softmax(100 cos(W f_c, t_k)), score = sum_k k p_k, k = 1..5."""

    def __init__(self, dim: int, recipe: Recipe, levels: Tensor, text_width: int):
        super().__init__()
        self.W = nn.Parameter(torch.eye(dim))
        self.template = TemplateHead(dim, recipe, levels).requires_grad_(False)
        self.template.temperature.data.fill_(TEMPERATURE)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """Scores (B,) from f_c (B, D); f_f is ignored."""
        return self.template(f_c @ self.W.T)
