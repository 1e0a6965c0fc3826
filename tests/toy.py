"""A dataset small enough to train on at once: MOS follows from the features."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mstclipiqa.base.names import LEVELS
from mstclipiqa.encoders.stores import TextFeatures
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.training.dataset import Dataset

COUNT, DIM, WIDTH = 60, 8, 6
RELEASED = load_recipe(Path(__file__).parents[1] / "config" / "recipes" / "released_code.yaml")
RECIPE = replace(RELEASED, learning_rate=0.005, epochs=3, gate_hidden=4, attention_heads=2)


def make_dataset(seed: int = 0, low: float = 0.0, high: float = 100.0, count: int = COUNT) -> Dataset:
    """Images of random features and prompts of four tokens, whose MOS follows from both streams."""
    rng = np.random.default_rng(seed)
    f_c, f_f = rng.normal(size=(2, count, DIM)).astype(np.float32)
    score = np.clip(3 + f_c[:, 0] - 0.5 * f_f[:, 1] + rng.normal(0, 0.1, count), 1, 5)
    return Dataset(
        images=[f"{seed}-{row:03d}.png" for row in range(count)],
        f_c=torch.from_numpy(f_c),
        f_f=torch.from_numpy(f_f),
        tokens=torch.from_numpy(rng.normal(size=(4 * count, WIDTH)).astype(np.float32)),
        starts=torch.arange(0, 4 * count, 4),
        lengths=torch.full((count,), 4),
        score=torch.from_numpy(score.astype(np.float32)),
        mos=low + (score - 1) / 4 * (high - low),
        low=low,
        high=high,
    )


def make_levels() -> TextFeatures:
    """The level texts of RECIPE."""
    texts = [RECIPE.template.format(level) for level in LEVELS]
    pooled = np.random.default_rng(9).normal(size=(len(texts), DIM)).astype(np.float32)
    return TextFeatures(pooled, np.arange(len(texts) + 1), pooled, {text: row for row, text in enumerate(texts)}, {})
