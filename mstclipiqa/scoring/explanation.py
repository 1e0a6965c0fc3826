"""Why a score is what it is: the gates, the levels' probabilities and the attention to the prompt, of each image."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.build import MSTCLIPIQA
from mstclipiqa.model.heads import PromptHead, TemplateHead

#: Decimals of what is explained: beyond them, batches and devices decide.
DECIMALS = 6


def explain(model: MSTCLIPIQA, inputs: Sequence[Tensor], words: Sequence[list[str]] = ()) -> list[dict[str, Any]]:
    """Of each of B images, what its model has of these:

    gates: g (D), 1 where a dimension is from the coarse stream and 0 where it is from the fine one; gate: their mean
    levels: the probability of each quality level
    attention: pairs of a token of the prompt and its weight, the mean over the attention heads; alpha: by how much
        what is attended to is added

    `inputs` are those of the model: f_c and f_f (B, D), and of a prompt head the tokens (B, L, T) and their padding
    (B, L), whose texts are `words`.
    """
    f_c, f_f = inputs[:2]
    z = model.fusion(f_c, f_f)
    found: list[dict[str, Any]] = [{} for _ in range(len(f_c))]
    fusion: Any = model.fusion
    if hasattr(fusion, "gate"):
        for row, gates in zip(found, fusion.gate(f_c, f_f).double(), strict=True):
            row |= {"gate": round(gates.mean().item(), DECIMALS), "gates": _rounded(gates)}
    if isinstance(model.head, TemplateHead):
        levels = torch.softmax(model.head.temperature * model.head.similarity(z), dim=-1).double()
        for row, values in zip(found, levels, strict=True):
            row["levels"] = dict(zip(LEVELS, _rounded(values), strict=True))
    if isinstance(model.head, PromptHead) and model.uses_prompt:
        tokens, padding = inputs[2:]
        _, weights = model.head.attention(z[:, None], tokens, tokens, key_padding_mask=padding)
        for row, values, said in zip(found, weights[:, 0].double(), words, strict=True):
            row["attention"] = [list(pair) for pair in zip(said, _rounded(values[: len(said)]), strict=True)]
            row["alpha"] = round(model.head.alpha.item(), DECIMALS)
    return found


def _rounded(values: Tensor) -> list[float]:
    return [round(value, DECIMALS) for value in values.tolist()]
