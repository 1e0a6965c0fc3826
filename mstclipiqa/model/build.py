"""The assembled model: a fusion of two frozen feature streams (model/fusions), then a head (model/heads).

Shapes: B images, D embedding size of the image encoders, L prompt tokens, T width of the text encoder. A model that
looks at more than two streams is given all but the first side by side in the place of f_f.
Scores are on the scale 1..5 of the five quality levels.
"""

from collections.abc import Sequence
from importlib import import_module

import torch
from torch import Tensor, nn

from mstclipiqa.base.errors import InputError
from mstclipiqa.model.heads import PromptHead, SeparateStreams, TemplateHead, TwoTowerHead
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import NONE, PROMPT, RIVAL, TWO_TOWERS, Variant, get_variant


class BothStreams(nn.Module):
    """No fusion: the head of another method takes both streams as they are."""

    def forward(self, f_c: Tensor, f_f: Tensor) -> tuple[Tensor, Tensor]:
        """f_c and f_f, each (B, D)."""
        return f_c, f_f


class RivalHead(nn.Module):
    """The head of another method (model/rivals), in the place of one of ours; `asks` is whether it reads prompts."""

    def __init__(self, head: nn.Module, asks: bool):
        super().__init__()
        self.rival = head
        self.asks = asks

    def forward(
        self, streams: tuple[Tensor, Tensor], tokens: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Scores (B,) from both streams, each (B, D), and where the head asks it the prompt."""
        return self.rival(*streams, tokens, padding) if self.asks else self.rival(*streams)


class TrainedStreams(nn.Module):
    """A fusion behind encoders that are trained with it. A stream without a `tower` comes as features."""

    def __init__(self, fusion: nn.Module, coarse: nn.Module | None, fine: nn.Module | None):
        super().__init__()
        self.fusion = fusion
        self.towers = nn.ModuleList([tower or nn.Identity() for tower in (coarse, fine)])
        gate = getattr(fusion, "gate", None)
        if gate is not None:
            self.gate = lambda inputs_c, inputs_f: gate(*self.streams(inputs_c, inputs_f))

    def streams(self, inputs_c: Tensor, inputs_f: Tensor) -> list[Tensor]:
        """f_c and f_f (B, D) of what the towers take, each (B, ...)."""
        return [tower(inputs) for tower, inputs in zip(self.towers, (inputs_c, inputs_f), strict=True)]

    def forward(self, inputs_c: Tensor, inputs_f: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """What the fusion gives of both streams."""
        return self.fusion(*self.streams(inputs_c, inputs_f))


class MSTCLIPIQA(nn.Module):
    """Fusion and head over cached features of the two frozen encoders, or over encoders that are trained too."""

    def __init__(self, fusion: nn.Module, head: nn.Module, sizes: Sequence[int]):
        super().__init__()
        self.fusion = fusion
        self.head = head
        #: The numbers of an image in each stream.
        self.sizes = list(sizes)
        self.uses_prompt = (isinstance(head, PromptHead) and not head.without_prompt) or (
            isinstance(head, RivalHead) and head.asks
        )

    def forward(self, f_c: Tensor, f_f: Tensor, tokens: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Scores (B,) on the scale 1..5 from f_c, f_f (B, D) and, with a prompt head, the prompt's tokens."""
        return self.head(self.fusion(f_c, f_f), tokens, padding)


def build_model(
    variant: str,
    recipe: Recipe,
    dim: int,
    text_width: int,
    levels: Tensor,
    seed: int,
    fine_levels: Tensor | None = None,
    sizes: Sequence[int] | None = None,
) -> MSTCLIPIQA:
    """The model of a variant under a recipe, its initial weights drawn from `seed` alone. `sizes` are those of all its
    streams, of one that looks at any number; else there are two of D.

    `levels` are the five level embeddings (5, D) of the recipe's template, in the order of LEVELS; `fine_levels` those
    of the fine encoder's own text tower, which only the two-tower head needs. Raises InputError where they are missing,
    for streams of other sizes where a fusion takes two of D, and for a fusion that is none: its module defines no
    Fusion, or what that returns is no z (B, D).
    """
    chosen, sizes = get_variant(variant), list(sizes or (dim, dim))
    if not chosen.many and sizes != [dim, dim]:
        shown = ", ".join(map(str, sizes))
        raise InputError(f"{variant} takes two streams of {dim} numbers, not of {shown}; choose encoders of one size")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if chosen.head == RIVAL:
            rival = import_module(str(chosen.module)).Head(dim, recipe, levels, text_width)
            return MSTCLIPIQA(BothStreams(), RivalHead(rival, chosen.asks), sizes)
        fusion = _fusion(chosen, dim, recipe, sizes) if chosen.module else SeparateStreams(dim, recipe)
        head: nn.Module
        if chosen.head == PROMPT:
            head = PromptHead(dim, recipe, text_width, without_prompt=chosen.prompts == NONE)
        elif chosen.head == TWO_TOWERS:
            if fine_levels is None:
                raise InputError(f"{variant} needs the level texts of the fine encoder's text tower; give both")
            head = TwoTowerHead(dim, recipe, levels, fine_levels)
        else:
            head = TemplateHead(dim, recipe, levels)
    return MSTCLIPIQA(fusion, head, sizes)


def _fusion(variant: Variant, dim: int, recipe: Recipe, sizes: Sequence[int]) -> nn.Module:
    """The fusion of a variant's module, tried on two blank images. It draws what its constructor draws."""
    module = import_module(str(variant.module))
    if not hasattr(module, "Fusion"):
        raise InputError(f"{module.__file__}: a fusion's module defines the class Fusion; this one does not")
    fusion = (module.Fusion(dim, recipe, sizes) if variant.many else module.Fusion(dim, recipe)).eval()
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        z = fusion(torch.zeros(2, sizes[0]), torch.zeros(2, sum(sizes[1:])))
    found = (tuple(z.shape) if z.dtype == torch.float32 else z.dtype) if isinstance(z, Tensor) else type(z).__name__
    if found != (2, dim):
        raise InputError(
            f"{module.__file__}: of two images the fusion returns {found}, expected {(2, dim)}; let it return z (B, D)"
        )
    return fusion.train()


def made_up_inputs(model: MSTCLIPIQA, count: int, width: int, device: torch.device, tokens: int) -> list[Tensor]:
    """f_c and f_f of `count` images, and where the model reads prompts, their so many tokens and padding."""
    sizes = model.sizes[0], sum(model.sizes[1:])
    inputs = [torch.randn(count, size, device=device) for size in sizes]
    if model.uses_prompt:
        states = torch.randn(count, tokens, width, device=device)
        inputs += [states, torch.zeros(states.shape[:2], dtype=torch.bool, device=device)]
    return inputs


def used_streams(model: MSTCLIPIQA, width: int) -> list[bool]:
    """Whether the score of a model over features depends on each of its streams."""
    f_c, f_f, *prompts = made_up_inputs(model, 2, width, next(model.parameters()).device, tokens=2)
    streams = [stream.requires_grad_() for stream in (f_c, *f_f.split(model.sizes[1:], dim=-1))]
    score = model(streams[0], torch.cat(streams[1:], dim=-1), *prompts)
    gradients = torch.autograd.grad(score.sum(), streams, allow_unused=True)
    return [gradient is not None and bool(gradient.any()) for gradient in gradients]


def used_encoders(model: MSTCLIPIQA, streams: Sequence[str], width: int) -> list[str]:
    """Those of the encoders that the streams come from, by name, whose features the score depends on."""
    return [name for name, looks in zip(streams, used_streams(model, width), strict=True) if looks]


def count_trainable(model: nn.Module) -> int:
    """The number of parameters that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
