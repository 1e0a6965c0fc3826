"""The assembled model: a fusion of two frozen feature streams (model/fusions), then a head (model/heads).

Shapes: B images, D embedding size of the image encoders, L prompt tokens, T width of the text encoder.
Scores are on the scale 1..5 of the five quality levels.
"""

from collections.abc import Sequence
from importlib import import_module

import torch
from torch import Tensor, nn

from mstclipiqa.base.errors import InputError
from mstclipiqa.model.heads import PromptHead, SeparateStreams, TemplateHead, TwoTowerHead
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import NONE, PROMPT, RIVAL, TWO_TOWERS, get_variant


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

    def __init__(self, fusion: nn.Module, head: nn.Module):
        super().__init__()
        self.fusion = fusion
        self.head = head
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
) -> MSTCLIPIQA:
    """The model of a variant under a recipe, its initial weights drawn from `seed` alone.

    `levels` are the five level embeddings (5, D) of the recipe's template, in the order of LEVELS; `fine_levels` those
    of the fine encoder's own text tower, which only the two-tower head needs. Raises InputError where they are missing,
    and for a fusion that is none: its module defines no Fusion, or what that returns is no z (B, D).
    """
    chosen = get_variant(variant)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if chosen.head == RIVAL:
            rival = import_module(str(chosen.module)).Head(dim, recipe, levels, text_width)
            return MSTCLIPIQA(BothStreams(), RivalHead(rival, chosen.asks))
        fusion = _fusion(chosen.module, dim, recipe) if chosen.module else SeparateStreams(dim, recipe)
        head: nn.Module
        if chosen.head == PROMPT:
            head = PromptHead(dim, recipe, text_width, without_prompt=chosen.prompts == NONE)
        elif chosen.head == TWO_TOWERS:
            if fine_levels is None:
                raise InputError(f"{variant} needs the level texts of the fine encoder's text tower; give both")
            head = TwoTowerHead(dim, recipe, levels, fine_levels)
        else:
            head = TemplateHead(dim, recipe, levels)
    return MSTCLIPIQA(fusion, head)


def _fusion(name: str, dim: int, recipe: Recipe) -> nn.Module:
    """The fusion that the module `name` defines, tried on two blank images. It draws what its constructor draws."""
    module = import_module(name)
    if not hasattr(module, "Fusion"):
        raise InputError(f"{module.__file__}: a fusion's module defines the class Fusion; this one does not")
    fusion = module.Fusion(dim, recipe).eval()
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        z = fusion(torch.zeros(2, dim), torch.zeros(2, dim))
    found = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
    if found != (2, dim):
        raise InputError(
            f"{module.__file__}: of two images the fusion returns {found}, expected {(2, dim)}; let it return z (B, D)"
        )
    return fusion.train()


def made_up_inputs(
    model: MSTCLIPIQA, count: int, dim: int, width: int, device: torch.device, tokens: int
) -> list[Tensor]:
    """f_c and f_f (count, dim), and where the model reads prompts, their so many tokens and padding."""
    inputs = list(torch.randn(2, count, dim, device=device))
    if model.uses_prompt:
        states = torch.randn(count, tokens, width, device=device)
        inputs += [states, torch.zeros(states.shape[:2], dtype=torch.bool, device=device)]
    return inputs


def used_streams(model: MSTCLIPIQA, dim: int, width: int) -> list[bool]:
    """Whether the score of a model over features depends on f_c and on f_f."""
    f_c, f_f, *prompts = made_up_inputs(model, 2, dim, width, next(model.parameters()).device, tokens=2)
    streams = [f_c.requires_grad_(), f_f.requires_grad_()]
    gradients = torch.autograd.grad(model(*streams, *prompts).sum(), streams, allow_unused=True)
    return [gradient is not None and bool(gradient.any()) for gradient in gradients]


def used_encoders(model: MSTCLIPIQA, streams: Sequence[str], dim: int, width: int) -> list[str]:
    """Those of the encoders that f_c and f_f come from, by name, whose features the score depends on."""
    return [name for name, looks in zip(streams, used_streams(model, dim, width), strict=True) if looks]


def count_trainable(model: nn.Module) -> int:
    """The number of parameters that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
