"""The heads: from the fused feature to a score on the scale 1..5 of the five quality levels.

Shapes: B images, D embedding size of the image encoders, L prompt tokens, T width of the text encoder.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.recipes import Recipe


class TemplateHead(nn.Module):
    """MST-CLIPIQA's head: how close z is to each quality level's text, as an expectation over the levels.

    p = softmax(temperature * cos(z, t_k)), score = sum_k k p_k, k = 1..5
    """

    scores: Tensor

    def __init__(self, dim: int, recipe: Recipe, levels: Tensor):
        super().__init__()
        if levels.shape != (len(LEVELS), dim):
            raise InputError(
                f"the level embeddings are {tuple(levels.shape)}, not {(len(LEVELS), dim)}; encode them again"
            )
        self.levels = nn.Parameter(levels.clone(), requires_grad=recipe.learnable_levels)
        self.temperature = nn.Parameter(torch.tensor(recipe.temperature), requires_grad=recipe.learnable_temperature)
        self.register_buffer("scores", torch.arange(1.0, len(LEVELS) + 1))

    def similarity(self, z: Tensor) -> Tensor:
        """cos(z, t_k), (B, 5), of z (B, D)."""
        return F.normalize(z, dim=-1) @ F.normalize(self.levels, dim=-1).T

    def forward(self, z: Tensor, tokens: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Scores (B,) from z (B, D). The prompt is not used."""
        return torch.softmax(self.temperature * self.similarity(z), dim=-1) @ self.scores


class SeparateStreams(nn.Module):
    """MSTFE-1's streams: phi_c(f_c) and phi_f(f_f), each (B, D), not fused."""

    def __init__(self, dim: int, recipe: Recipe):
        super().__init__()
        self.phi_c = nn.Linear(dim, dim, bias=recipe.projection_bias)
        self.phi_f = nn.Linear(dim, dim, bias=recipe.projection_bias)

    def forward(self, f_c: Tensor, f_f: Tensor) -> tuple[Tensor, Tensor]:
        """Both projected streams, each (B, D)."""
        return self.phi_c(f_c), self.phi_f(f_f)


class TwoTowerHead(nn.Module):
    """MSTFE-1's head (Table III; our reading): each stream meets the level texts of its own text tower.

    p = softmax(temperature * (cos(z_c, t_k) + cos(z_f, u_k)) / 2), score = sum_k k p_k, k = 1..5
    """

    def __init__(self, dim: int, recipe: Recipe, levels: Tensor, fine_levels: Tensor):
        super().__init__()
        self.coarse = TemplateHead(dim, recipe, levels)
        self.fine = TemplateHead(dim, recipe, fine_levels)
        del self.fine.temperature  # one for both

    def forward(
        self, streams: tuple[Tensor, Tensor], tokens: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Scores (B,) from both streams, each (B, D). The prompt is not used."""
        similarity = (self.coarse.similarity(streams[0]) + self.fine.similarity(streams[1])) / 2
        return torch.softmax(self.coarse.temperature * similarity, dim=-1) @ self.coarse.scores


class SplitAttention(nn.Module):
    """The parameters of an attention with its projections apart: of queries (D, D), of each head's keys
    (heads, D / heads, T), and of its values (heads, T, D / heads). Many heads' lie so that products of batches take
    them, and give their gradients, without a copy."""

    def __init__(self, attention: nn.MultiheadAttention, w_q: Tensor, w_k: Tensor, w_v: Tensor):
        super().__init__()
        self.num_heads, self.head_dim = attention.num_heads, attention.head_dim
        trained = attention.out_proj.weight.requires_grad
        self.w_q, self.w_k, self.w_v = (
            nn.Parameter(weight.detach().contiguous().clone(), trained) for weight in (w_q, w_k, w_v.mT)
        )
        self.in_proj_bias, self.out_proj = attention.in_proj_bias, attention.out_proj


class PromptHead(nn.Module):
    """MST-CLIPIQA*'s head: z attends to the token states of the generation prompt before the regression.

        z' = z + alpha CrossAttn(z, tokens)
        score = w_o . (gelu(W_1 z') + W_2 z') + b_o

    alpha is learned and starts at 0. Padding is masked; the released code attends to it. In the appendix what is
    attended passes a LayerNorm, and the regression has fewer hidden units, dropout and no W_2. `without_prompt` freezes
    alpha at 0 (a control of ours): z' = z, and the attention is not trained.
    """

    attention: Any  # torch's, or SplitAttention

    def __init__(self, dim: int, recipe: Recipe, text_width: int, without_prompt: bool = False):
        super().__init__()
        self.without_prompt = without_prompt
        if dim % recipe.attention_heads:
            raise InputError(f"recipe {recipe.name}: {recipe.attention_heads} attention heads do not divide {dim}")
        self.attention = nn.MultiheadAttention(
            dim, recipe.attention_heads, kdim=text_width, vdim=text_width, batch_first=True
        )
        self.norm = nn.LayerNorm(dim) if recipe.attention_norm else nn.Identity()
        self.alpha = nn.Parameter(torch.zeros(()))
        for part in (self.attention, self.norm):
            part.requires_grad_(not without_prompt)
        self.alpha.requires_grad_(not without_prompt)
        hidden = recipe.regression_hidden or dim
        self.W_1 = nn.Linear(dim, hidden)
        self.W_2 = nn.Linear(dim, hidden) if recipe.regression_skip else None
        self.dropout = nn.Dropout(recipe.regression_dropout)
        self.w_o = nn.Linear(hidden, 1)

    @property
    def projections(self) -> tuple[Tensor, Tensor, Tensor]:
        """The weights that make queries, keys and values, each with D rows."""
        module = self.attention
        if module.in_proj_weight is None:
            return module.q_proj_weight, module.k_proj_weight, module.v_proj_weight
        query, key, value = module.in_proj_weight.chunk(3)
        return query, key, value

    @property
    def by_head(self) -> tuple[Tensor, Tensor, Tensor]:
        """The same, of keys and values those of each head (heads, D / heads, T)."""
        if isinstance(self.attention, SplitAttention):
            return self.attention.w_q, self.attention.w_k, self.attention.w_v.mT
        w_q, *others = self.projections
        w_k, w_v = (weight.unflatten(0, (self.attention.num_heads, -1)) for weight in others)
        return w_q, w_k, w_v

    def split(self) -> None:
        """Hold the attention's weights apart from now on, for training many heads as one."""
        self.attention = SplitAttention(self.attention, *self.by_head)

    def attend(self, z: Tensor, tokens: Tensor, padding: Tensor) -> Tensor:
        """CrossAttn (B, D): what `self.attention` gives for the single query z, without projecting every token.

        With one query, q . (W_k t) = (W_k' q) . t and sum_l a_l (W_v t_l) = W_v (sum_l a_l t_l), which costs a
        fraction. The keys' bias adds the same to every logit, so the softmax is without it.
        """
        module, heads = self.attention, self.attention.num_heads
        w_q, w_k, w_v = self.by_head
        b_q, _, b_v = module.in_proj_bias.chunk(3)
        query = F.linear(z, w_q, b_q).unflatten(1, (heads, -1))
        keyed = torch.einsum("bhd,hdt->bht", query, w_k) / module.head_dim**0.5
        logits = torch.einsum("bht,blt->bhl", keyed, tokens).masked_fill(padding[:, None], -torch.inf)
        mixed = torch.einsum("bhl,blt->bht", torch.softmax(logits, dim=-1), tokens)
        value = torch.einsum("bht,hdt->bhd", mixed, w_v).flatten(1)
        return module.out_proj(value + b_v)

    def forward(self, z: Tensor, tokens: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Scores (B,) from z (B, D), tokens (B, L, T) and padding (B, L), true where there is no token. Without a
        prompt neither is read."""
        if not self.without_prompt:
            assert tokens is not None and padding is not None, "a head that reads prompts is given them"
            z = z + self.alpha * self.norm(self.attend(z, tokens, padding))
        hidden = self.dropout(F.gelu(self.W_1(z)))
        return self.w_o(hidden if self.W_2 is None else hidden + self.W_2(z)).squeeze(-1)
