"""A rival of Table II: cross-attention."""

from torch import Tensor, nn

from mstclipiqa.model.recipes import Recipe

TITLE = "Cross-attention"
DESCRIPTION = "f_c is the query, f_f key and value, with a residual (Table II; our reading)"


class Fusion(nn.Module):
    """z = phi_c(f_c) + MultiHead(query phi_c(f_c), key and value phi_f(f_f)).

    Over a single key the attention weights are 1, so that without the residual f_c would not reach z at all.
    """

    def __init__(self, dim: int, recipe: Recipe):
        super().__init__()
        self.phi_c = nn.Linear(dim, dim, bias=recipe.projection_bias)
        self.phi_f = nn.Linear(dim, dim, bias=recipe.projection_bias)
        self.attention = nn.MultiheadAttention(dim, recipe.attention_heads, batch_first=True)

    def forward(self, f_c: Tensor, f_f: Tensor) -> Tensor:
        """z (B, D) from f_c and f_f, each (B, D)."""
        query, key = self.phi_c(f_c), self.phi_f(f_f).unsqueeze(1)
        attended, _ = self.attention(query.unsqueeze(1), key, key, need_weights=False)
        return query + attended.squeeze(1)
