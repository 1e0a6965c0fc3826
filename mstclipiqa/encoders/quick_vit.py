"""Vision transformers without the work that their features do not depend on."""

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.encoders.open_clip_loader import open_clip

if TYPE_CHECKING:
    from open_clip.transformer import ResidualAttentionBlock


def quicken(visual: nn.Module, on_gpu: bool = False) -> None:
    """Let a vision transformer skip what its features do not depend on, in place: the same function, but for rounding.

    Only the class token of the last block is read: there it alone asks, and it alone goes through the MLP. And torch's
    attention has a fast path for even numbers of heads only, while the small models have three. Its other path
    multiplies a transposed view by a copy of the weights per token: in bfloat16, up to ten times slower. On a GPU all
    blocks go through scaled dot-product attention; on a CPU those with a fast path keep it, and the bits it gives. The
    patches' convolution has its weights' channels last on a GPU, as its pixels come.

    QuickGELU makes one new tensor instead of three, with the same bits; with gradients two.
    """
    if not isinstance(visual, open_clip.transformer.VisionTransformer):
        return
    blocks = list(visual.transformer.resblocks)
    if {type(block) for block in blocks} != {open_clip.transformer.ResidualAttentionBlock}:
        return
    for block in blocks:
        if block.attn.num_heads % 2 or on_gpu:
            block.forward = functools.partial(_first_tokens, block, None)
        if isinstance(block.mlp.gelu, open_clip.transformer.QuickGELU):
            block.mlp.gelu.forward = _quick_gelu
    if visual.pool_type == "tok" and visual.attn_pool is None and not visual.output_tokens:
        blocks[-1].forward = functools.partial(_first_tokens, blocks[-1], 1)
    if on_gpu:
        visual.conv1.to(memory_format=torch.channels_last)


def _first_tokens(block: "ResidualAttentionBlock", count: int | None, x: Tensor, attn_mask: None = None) -> Tensor:
    """What a block makes of its tokens (B, L, E): of the first `count` alone, or of all."""
    tokens, x = block.ln_1(x), x[:, :count]
    x = x + block.ls_1(_attend(block.attn, tokens[:, :count], tokens))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def _quick_gelu(x: Tensor) -> Tensor:
    gate = (1.702 * x).sigmoid_()
    return gate * x if torch.is_grad_enabled() else gate.mul_(x)  # gradients need the gate as it is


def _attend(attention: nn.MultiheadAttention, queries: Tensor, tokens: Tensor) -> Tensor:
    """Attention of the queries (B, Q, E) to the tokens (B, L, E)."""
    sizes = [attention.embed_dim, 2 * attention.embed_dim]
    (w_q, w_kv), (b_q, b_kv) = attention.in_proj_weight.split(sizes), attention.in_proj_bias.split(sizes)
    q = F.linear(queries, w_q, b_q).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    k, v = F.linear(tokens, w_kv, b_kv).unflatten(-1, (2, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return attention.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
