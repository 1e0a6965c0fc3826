"""CLIP-AGIQA (Tang et al., 2024) on frozen features; github.com/wzczc/CLIP-AGIQA, trainers/clip_agiqa.py.

It freezes both towers of CLIP ViT-B/16 and trains a regression on the image's embedding beside those of six category
texts, and eight words of context that the six have in common. Left out are these words: the texts are the five levels
in the recipe's template. Another method of this name (github.com/JunFu1995/CLIP-AGIQA) trains prompts within the
towers, which frozen features cannot show.

With five texts for six, and D = 512, the regression has 6 x 512 x 512 weights for 7 x 512 x 512.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.model.recipes import Recipe

#: Of torch's own constructor, which their code leaves as it is.
DROPOUT = 0.5


class Head(nn.Module):
    """x = [f_f; t_1; ...; t_5], each of length 1; score = w . drop(relu(W drop(x) + b)) + b_o."""

    levels: Tensor

    def __init__(self, dim: int, recipe: Recipe, levels: Tensor, text_width: int):
        super().__init__()
        self.register_buffer("levels", F.normalize(levels, dim=-1).flatten())
        self.regression = nn.Sequential(
            nn.Dropout(DROPOUT),
            nn.Linear(dim + self.levels.numel(), dim),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(dim, 1),
        )

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """Scores (B,) from f_f (B, D), the stream of ViT-B/16 in the paper's pair; f_c is ignored."""
        image = F.normalize(f_f, dim=-1)
        return self.regression(torch.cat([image, self.levels.expand(len(image), -1)], dim=-1)).squeeze(-1)
