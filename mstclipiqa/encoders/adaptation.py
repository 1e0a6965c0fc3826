"""Image encoders that are trained with a head: what of one is trained, and what of it stays frozen before that.

A recipe's `adaptation` says which: `blocks`, the last ones, with the layer norm and the projection after them, or all
where it is null; `rank`, of what LoRA (arXiv 2106.09685) adds to the attention of these blocks while all else stays
frozen, or null where their own weights are trained. What a frozen part gives is the same in every epoch and every run,
so it is computed once for each image.

Shapes: N images, B of them in a batch, L tokens of width E, D the size of an embedding.
"""

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrize

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.clip import Encoder, normalise
from mstclipiqa.encoders.images import read_image
from mstclipiqa.encoders.open_clip_loader import open_clip

if TYPE_CHECKING:
    from open_clip.transformer import ResidualAttentionBlock

#: Images that go through the frozen part at once.
BATCH = 32


class LowRank(nn.Module):
    """A frozen matrix (M, E) and what LoRA adds to it: a product of (M, rank), which starts at 0, and (rank, E)."""

    def __init__(self, matrix: Tensor, rank: int):
        super().__init__()
        rows, columns = matrix.shape
        drawn = torch.randn(rank, columns) / columns**0.5  # on a CPU, so that a seed's are the same everywhere
        self.down = nn.Parameter(drawn.to(matrix.device))
        self.up = nn.Parameter(torch.zeros(rows, rank, device=matrix.device))

    def forward(self, matrix: Tensor) -> Tensor:
        """The sum (M, E)."""
        return matrix + self.up @ self.down


class Tower(nn.Module):
    """A copy of an encoder's image tower that is trained as an `adaptation` says. Its LoRA is drawn from torch's own
    generator; all else starts from the encoder's weights."""

    def __init__(self, visual: nn.Module, preprocessing: Mapping[str, Any], adaptation: Mapping[str, Any]):
        super().__init__()
        self.visual: Any = copy.deepcopy(visual).requires_grad_(False)
        self.preprocessing = preprocessing
        self.from_pixels = takes_pixels(adaptation)
        self.blocks = trained_blocks(self.visual, adaptation)
        if adaptation["blocks"] == 1:
            self.blocks[0].forward = functools.partial(_class_token, self.blocks[0])
        if adaptation["rank"] is not None:
            for block in self.blocks:
                added = LowRank(block.attn.in_proj_weight, adaptation["rank"])
                parametrize.register_parametrization(block.attn, "in_proj_weight", added)
        elif self.from_pixels:
            self.visual.requires_grad_(True)
        else:
            for part in (*self.blocks, self.visual.ln_post, self.visual.proj):
                part.requires_grad_(True)

    def forward(self, inputs: Tensor) -> Tensor:
        """The features (B, D) of what `read_inputs` gives of images."""
        tokens = self.visual._embeds(normalise(inputs, self.preprocessing)) if self.from_pixels else inputs
        for block in self.blocks:
            tokens = block(tokens)
        return self.visual._pool(tokens)[0] @ self.visual.proj


def count_adapted(encoder: Encoder, adaptation: Mapping[str, Any]) -> int:
    """The parameters of an encoder that an adaptation trains. Weights do not matter."""
    tower = Tower(encoder.model.visual, encoder.identity["preprocessing"], adaptation)
    return sum(parameter.numel() for parameter in tower.parameters() if parameter.requires_grad)


def takes_pixels(adaptation: Mapping[str, Any]) -> bool:
    """Whether an adaptation trains in every block, so that nothing can be computed once for each image."""
    return adaptation["blocks"] is None


def trained_blocks(visual: Any, adaptation: Mapping[str, Any]) -> list[Any]:
    """The blocks of an image tower that are trained."""
    return list(visual.transformer.resblocks)[-(adaptation["blocks"] or 0) :]


def check_adaptable(encoder: Encoder, adaptation: Mapping[str, Any]) -> None:
    """Raises InputError for an encoder that is no plain vision transformer of CLIP, and for one of fewer blocks than
    are to be trained."""
    visual, name = encoder.model.visual, encoder.identity["model"]
    plain = (
        isinstance(visual, open_clip.transformer.VisionTransformer)
        and {type(block) for block in visual.transformer.resblocks} == {open_clip.transformer.ResidualAttentionBlock}
        and visual.pool_type == "tok"
        and visual.attn_pool is None
        and visual.proj is not None
    )
    if not plain:
        raise InputError(
            f"encoder {name}: is no plain vision transformer of CLIP's, and no other is trained here; leave recipes "
            "with an adaptation out, or choose another encoder"
        )
    if (there := len(visual.transformer.resblocks)) < (adaptation["blocks"] or 0):
        raise InputError(
            f"encoder {name}: has {there} blocks, and the recipe's adaptation trains the last {adaptation['blocks']}; "
            "give fewer"
        )


def read_inputs(
    encoders: Sequence[Encoder], samples: pd.DataFrame, root: Path, adaptation: Mapping[str, Any]
) -> list[Tensor]:
    """What the towers of encoders take of every image of `samples` (paths relative to `root`): its tokens (N, L, E)
    before the first block that is trained, float32; where all are, its pixels, uint8 (N, H, W, 3).

    All are kept in memory. Raises InputError for an image that cannot be read, or is not that of the samples table.
    """
    tables: list[Tensor] = []
    paths = [(root / path, content) for path, content in zip(samples["path"], samples["sha256"], strict=True)]
    starts = range(0, len(paths), BATCH)
    for start in progress(starts, len(starts), f"prepare {samples['benchmark'].iloc[0]}", "batches"):
        images = [read_image(*path) for path in paths[start : start + BATCH]]
        batches = [
            frozen_part(encoder, adaptation, torch.stack([encoder.preprocess(image) for image in images]))
            for encoder in encoders
        ]
        if not tables:
            tables = [torch.empty(len(paths), *batch.shape[1:], dtype=batch.dtype) for batch in batches]
        for table, batch in zip(tables, batches, strict=True):
            table[start : start + len(batch)] = batch
    return tables


@torch.no_grad()  # what is made in inference mode could not be trained on
def frozen_part(encoder: Encoder, adaptation: Mapping[str, Any], pixels: Tensor) -> Tensor:
    """What a tower takes of prepared images, uint8 (B, H, W, 3)."""
    if takes_pixels(adaptation):
        return pixels
    visual = encoder.model.visual
    tokens = visual._embeds(normalise(pixels.to(encoder.device), encoder.identity["preprocessing"]))
    for block in list(visual.transformer.resblocks)[: -adaptation["blocks"]]:
        tokens = block(tokens)
    return tokens.cpu()


def _class_token(block: "ResidualAttentionBlock", tokens: Tensor) -> Tensor:
    """What a last block makes of the class token (B, 1, E) of tokens (B, L, E), whose attention alone is used.

    Nothing but the class token asks, so that keys and values need not be made of every token: q.(W_k x) is (W_k^T q).x,
    and the sum of a_i W_v x_i is W_v times the sum of a_i x_i. The keys' bias moves all scores alike, which softmax
    does not see. It is the same function but for rounding, at a few hundredths of the operations.
    """
    attention, normed = block.attn, block.ln_1(tokens)
    w_q, w_k, w_v = attention.in_proj_weight.chunk(3)
    b_q, _, b_v = attention.in_proj_bias.chunk(3)
    heads = attention.num_heads
    q = F.linear(normed[:, 0], w_q, b_q).unflatten(-1, (heads, -1)) * attention.head_dim**-0.5
    asked = torch.einsum("bhd,hde->bhe", q, w_k.unflatten(0, (heads, -1)))
    mixed = (asked @ normed.mT).softmax(-1) @ normed
    values = torch.einsum("bhe,hde->bhd", mixed, w_v.unflatten(0, (heads, -1))).flatten(1) + b_v
    x = tokens[:, :1] + block.ls_1(attention.out_proj(values)[:, None])
    return x + block.ls_2(block.mlp(block.ln_2(x)))
