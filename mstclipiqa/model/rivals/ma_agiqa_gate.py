"""MA-AGIQA's mixture (Wang et al., 2024) on frozen features; github.com/wangpuyi/MA-AGIQA, models/MA_AGIQA.py.

It mixes three experts by a linear gate: two features of a multimodal language model (mPLUG-Owl2, 4,096 numbers each),
and the map of scores of an image network (MANIQA, 28 x 28 patches), which it trains. Here the two streams are the two
features, and there is no third expert. The gate has no softmax, as their code has none.
"""

import torch
from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe

#: Numbers of an expert: the 28 x 28 patches of their map.
WIDTH = 784
DROPOUT = 0.1


class Head(nn.Module):
    """e_s = drop(relu(W_s f_s + b_s)) of each stream s; g = G [e_c; e_f] + b_g; score = w . (g_1 e_c + g_2 e_f) + b."""

    def __init__(self, dim: int, recipe: Recipe, levels: Tensor, text_width: int):
        super().__init__()
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, WIDTH), nn.ReLU(), nn.Dropout(DROPOUT)) for _ in range(2)
        )
        self.gate = nn.Linear(2 * WIDTH, 2)
        self.output = nn.Linear(WIDTH, 1)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """Scores (B,) from f_c and f_f, each (B, D)."""
        outputs = [expert(stream) for expert, stream in zip(self.experts, (f_c, f_f), strict=True)]
        weights = self.gate(torch.cat(outputs, dim=-1))
        mixed = (weights[..., None] * torch.stack(outputs, dim=-2)).sum(-2)
        return self.output(mixed).squeeze(-1)
