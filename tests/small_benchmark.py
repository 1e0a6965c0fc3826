"""A benchmark small enough to train on at once, as tables and stores: MOS follows from the features."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mstclipiqa.base.names import LEVELS
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures
from mstclipiqa.model.build import MSTCLIPIQA, build_model
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.training.run import train_run

RECIPES = Path(__file__).parents[1] / "config" / "recipes"
RECIPE = replace(
    load_recipe(RECIPES / "released_code.yaml"), learning_rate=0.01, epochs=4, gate_hidden=4, attention_heads=2
)
A, B = "mst-clipiqa", "mst-clipiqa-star"
COUNT, PROMPTS, DIM, WIDTH = 60, 12, 8, 6
LOW, HIGH = 20.0, 80.0
RANGES = {"quality": [LOW, HIGH], "correspondence": [0.0, 100.0]}


def make_samples() -> pd.DataFrame:
    """The samples table: every prompt has five images."""
    rng = np.random.default_rng(3)
    prompt = [f"prompt {row % PROMPTS}" for row in range(COUNT)]
    return pd.DataFrame(
        {
            "benchmark": "toy",
            "image": [f"{row:03d}.png" for row in range(COUNT)],
            "row": range(COUNT),
            "sha256": [f"hash {row}" for row in range(COUNT)],
            "prompt": prompt,
            "prompt_group": prompt,
            "quality": rng.uniform(25, 75, COUNT).round(1),
            "correspondence": rng.uniform(25, 75, COUNT),
        }
    )


def make_stores(samples: pd.DataFrame) -> dict[str, ImageFeatures | TextFeatures]:
    """Coarse and fine features and the prompts' texts."""
    rng = np.random.default_rng(4)
    mos = samples["quality"].to_numpy() - 50

    def images(sign):
        features = rng.normal(size=(COUNT, DIM)) + sign * np.outer(mos, rng.normal(size=DIM)) / 10
        metadata = {"sha256": samples["sha256"].tolist()}
        return ImageFeatures(features.astype(np.float32), samples["image"].tolist(), metadata)

    # more texts than prompts, in an order of their own
    texts = ["unused", *sorted(set(samples["prompt"]), reverse=True)]
    offsets = np.cumsum([0, *rng.integers(2, 7, len(texts))])
    prompts = TextFeatures(
        rng.normal(size=(offsets[-1], WIDTH)).astype(np.float32),
        offsets,
        rng.normal(size=(len(texts), DIM)).astype(np.float32),
        {text: row for row, text in enumerate(texts)},
        {},
    )
    return {"coarse": images(1), "fine": images(-1), "prompts": prompts}


def make_levels() -> TextFeatures:
    """The level texts of RECIPE, in another order."""
    texts = [RECIPE.template.format(level) for level in reversed(LEVELS)]
    pooled = np.random.default_rng(5).normal(size=(len(texts), DIM)).astype(np.float32)
    return TextFeatures(pooled, np.arange(len(texts) + 1), pooled, {text: row for row, text in enumerate(texts)}, {})


def model_of(variant: str = B, recipe=RECIPE, seed: int = 0) -> MSTCLIPIQA:
    """An untrained model for the benchmark's features."""
    levels = torch.randn(len(LEVELS), DIM, generator=torch.Generator().manual_seed(9))
    return build_model(variant, recipe, DIM, WIDTH, levels, seed)


def run_of(data, roles, variant=B, recipe=RECIPE, seed=0):
    return train_run(model_of(variant, recipe, seed), data, roles, recipe, seed)


def selected(run, selection):
    return run[run["selection"] == selection].reset_index(drop=True)
