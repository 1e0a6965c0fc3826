"""A model small enough to follow by hand, its inputs, and its layers written out in numpy."""

from dataclasses import replace

import torch
from config_files import RECIPES

from mstclipiqa.model.recipes import load_recipe

A, B = "mst-clipiqa", "mst-clipiqa-star"
DIM, WIDTH = 12, 8


def recipe(name="released_code", **changes):
    return replace(load_recipe(RECIPES / f"{name}.yaml"), **changes)


SMALL = recipe(gate_hidden=5, attention_heads=3)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def shake(module, seed=0):
    """Double precision, and no weight or bias at its initial value: a term that is left out then shows."""
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng(seed), dtype=torch.double) * 0.7)
            seed += 1
    return module


def features(count=6, dim=DIM, seed=7):
    """f_c and f_f as tensors."""
    return torch.randn(2, count, dim, generator=rng(seed), dtype=torch.double).unbind()


def prompts(lengths=(4, 1, 6, 3, 6, 2), width=WIDTH, longest=None, filling=0.0, seed=8):
    """Token states (B, L, T) and padding (B, L) of prompts of the given lengths."""
    steps = torch.arange(longest or max(lengths))
    padding = steps >= torch.tensor(lengths)[:, None]
    tokens = torch.full((*padding.shape, width), filling, dtype=torch.double)
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.randn(length, width, generator=rng(seed + row), dtype=torch.double)
    return tokens, padding


def array(tensor):
    return tensor.detach().numpy()


def affine(layer, x):
    return x @ array(layer.weight).T + (0 if layer.bias is None else array(layer.bias))
