from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
import torch
from config_files import RECIPES

from mstclipiqa.base.names import LEVELS
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.model.build import build_model
from mstclipiqa.model.recipes import load_recipe

RECIPE = load_recipe(RECIPES / "released_code.yaml")
load = cache(load_encoder)


@pytest.fixture(scope="module")
def parts() -> tuple[dict[str, np.ndarray], dict]:
    """The tensors and the card of a head that reads the prompt."""
    pair = {
        role: load(model, "embedded").identity for role, model in (("coarse", "mst-small-32"), ("fine", "mst-small-16"))
    }
    dim, width = pair["coarse"]["dim"], pair["coarse"]["text_width"]
    model = build_model("mst-clipiqa-star", RECIPE, dim, width, torch.ones(len(LEVELS), dim), 0)
    card = {
        "benchmark": "agiqa-3k", "title": "AGIQA-3K", "target": "quality", "synthetic": True,
        "variant": "mst-clipiqa-star", "recipe": asdict(RECIPE), "encoders": pair, "text_encoder": pair["coarse"],
        "protocol": "grouped1", "split": 0, "seed": 0, "selection": "last", "epoch": 3, "train_images": 40,
        "test": {"n": 10, "srcc": 0.5, "krcc": 0.4}, "low": 0.0, "high": 5.0,
    }  # fmt: skip
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}, card
