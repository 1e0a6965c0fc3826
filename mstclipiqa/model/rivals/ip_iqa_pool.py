"""IP-IQA's fusion (Qu et al., ICME 2024) on frozen features; github.com/Coobiw/IP-IQA, ipiqa/models/utils.py and
ipiqa.py.

The prompt asks the patches of CLIP's ResNet-50 by an attention of many heads, and a perceptron reads the answer beside
the image's own embedding. They train the ResNet, its pooling and a word of the texts. Here the two streams are the
patches, their mean is the image's embedding, and nothing of CLIP is trained. The query is the state of the prompt's
last token: their text embedding is a frozen linear map of it, which the query's own map can hold. Their pretraining is
left out, and one score is given at a time, where theirs gives quality and correspondence together.
"""

import torch
from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe

#: Numbers of an attention head: their 32 heads share 2,048.
HEAD_WIDTH = 64
DROPOUT = 0.5


class Head(nn.Module):
    """X = [mean; f_c; f_f] + E; a = W_o Attn(W_q t, W_k X, W_v X); score = w . drop(tanh(W drop([mean; a]))) + b."""

    def __init__(self, dim: int, recipe: Recipe, levels: Tensor, text_width: int):
        super().__init__()
        self.heads = max(1, dim // HEAD_WIDTH)
        self.positions = nn.Parameter(torch.randn(3, dim) / dim**0.5)
        self.query = nn.Linear(text_width, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)
        self.regression = nn.Sequential(
            nn.Dropout(DROPOUT), nn.Linear(2 * dim, 2 * dim), nn.Tanh(), nn.Dropout(DROPOUT), nn.Linear(2 * dim, 1)
        )

    def forward(self, f_c: Tensor, f_f: Tensor, tokens: Tensor, padding: Tensor) -> Tensor:
        """Scores (B,) from f_c and f_f, each (B, D), tokens (B, L, T) and padding (B, L)."""
        mean = (f_c + f_f) / 2
        patches = torch.stack([mean, f_c, f_f], dim=1) + self.positions
        last = (~padding).sum(dim=1) - 1
        text = tokens.gather(1, last[:, None, None].expand(-1, 1, tokens.shape[-1]))
        query, key, value = (
            layer(given).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, given in ((self.query, text), (self.key, patches), (self.value, patches))
        )
        weights = torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, dim=-1)
        asked = self.output((weights @ value).transpose(1, 2).flatten(2)).squeeze(1)
        return self.regression(torch.cat([mean, asked], dim=-1)).squeeze(-1)
