"""The assembled model: gated fusion of two frozen feature streams, then one of two heads (facts: section 1).

Shapes: B images, D embedding size of the image encoders, L prompt tokens, T width of the text encoder.
Scores are on the scale 1..5 of the five quality levels.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.errors import InputError
from mstclipiqa.recipes import Recipe
from mstclipiqa.variants import get_variant

#: The five quality levels of the template head, for the scores 1..5.
LEVELS = ("bad", "poor", "fair", "good", "perfect")


class GatedFeatureFusion(nn.Module):
    """GFF: one gate per dimension decides between the coarse and the fine stream.

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


class TemplateHead(nn.Module):
    """MST-CLIPIQA's head: how close z is to each quality level's text, as an expectation over the levels.

    p = softmax(temperature * cos(z, t_k)), score = sum_k k p_k, k = 1..5
    """

    def __init__(self, dim: int, recipe: Recipe, levels: Tensor):
        super().__init__()
        if levels.shape != (len(LEVELS), dim):
            raise InputError(
                f"the level embeddings are {tuple(levels.shape)}, not {(len(LEVELS), dim)}; encode them again"
            )
        self.levels = nn.Parameter(levels.clone(), requires_grad=recipe.learnable_levels)
        self.temperature = nn.Parameter(torch.tensor(recipe.temperature))
        self.register_buffer("scores", torch.arange(1.0, len(LEVELS) + 1))

    def forward(self, z: Tensor, tokens: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Scores (B,) from z (B, D). The prompt is not used."""
        similarity = F.normalize(z, dim=-1) @ F.normalize(self.levels, dim=-1).T
        return torch.softmax(self.temperature * similarity, dim=-1) @ self.scores


class PromptHead(nn.Module):
    """MST-CLIPIQA*'s head: z attends to the token states of the generation prompt before the regression.

        z' = z + alpha CrossAttn(z, tokens)
        score = w_o . (gelu(W_1 z') + W_2 z') + b_o

    alpha is learned and starts at 0. Padding is masked; the released code attends to it.
    """

    def __init__(self, dim: int, recipe: Recipe, text_width: int):
        super().__init__()
        if dim % recipe.attention_heads:
            raise InputError(f"recipe {recipe.name}: {recipe.attention_heads} attention heads do not divide {dim}")
        self.attention = nn.MultiheadAttention(
            dim, recipe.attention_heads, kdim=text_width, vdim=text_width, batch_first=True
        )
        self.alpha = nn.Parameter(torch.zeros(()))
        self.W_1 = nn.Linear(dim, dim)
        self.W_2 = nn.Linear(dim, dim)
        self.w_o = nn.Linear(dim, 1)

    def forward(self, z: Tensor, tokens: Tensor, padding: Tensor) -> Tensor:
        """Scores (B,) from z (B, D), tokens (B, L, T) and padding (B, L), true where there is no token."""
        attended, _ = self.attention(z.unsqueeze(1), tokens, tokens, key_padding_mask=padding, need_weights=False)
        z = z + self.alpha * attended.squeeze(1)
        return self.w_o(F.gelu(self.W_1(z)) + self.W_2(z)).squeeze(-1)


#: Fusion by name: (D, recipe) -> module of (f_c, f_f) -> z.
FUSIONS: dict[str, Callable[[int, Recipe], nn.Module]] = {"gff": GatedFeatureFusion}


class MSTCLIPIQA(nn.Module):
    """Fusion and head over cached features of the two frozen encoders."""

    def __init__(self, fusion: nn.Module, head: nn.Module):
        super().__init__()
        self.fusion = fusion
        self.head = head
        self.uses_prompt = isinstance(head, PromptHead)

    def forward(self, f_c: Tensor, f_f: Tensor, tokens: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Scores (B,) on the scale 1..5 from f_c, f_f (B, D) and, with a prompt head, the prompt's tokens."""
        return self.head(self.fusion(f_c, f_f), tokens, padding)


def build_model(variant: str, recipe: Recipe, dim: int, text_width: int, levels: Tensor, seed: int) -> MSTCLIPIQA:
    """The model of a variant under a recipe, its initial weights drawn from `seed` alone.

    `levels` are the five level embeddings (5, D) of the recipe's template, in the order of LEVELS.
    """
    chosen = get_variant(variant)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fusion = FUSIONS[chosen.fusion](dim, recipe)
        head = PromptHead(dim, recipe, text_width) if chosen.prompt else TemplateHead(dim, recipe, levels)
    return MSTCLIPIQA(fusion, head)


def count_trainable(model: nn.Module) -> int:
    """The number of parameters that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
