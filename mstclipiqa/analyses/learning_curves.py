"""Is the recipe enough? SRCC after every epoch, under each recipe and at other learning rates, beside ridge regression
on the same features: whether a head stops short for want of training."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mstclipiqa.analyses.ridge import ridge
from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.files import write_table
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.names import TEST, TRAIN
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.stores import TextFeatures
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.build import MSTCLIPIQA, build_model
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.training.dataset import Dataset, assign_roles, level_embeddings
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import EVALUATION_BATCH, predict, train_run

#: The model that is followed, and the target it is trained on.
VARIANT, TARGET = "mst-clipiqa", "quality"

#: The sweep: multiples of the recipe's own learning rate, and one rate for all recipes.
MULTIPLES, COMMON_RATE = (1, 10, 100), 1e-3

#: Training images that are looked at after every epoch; of more, this many are drawn.
TRAIN_IMAGES = 512


def learning_rates(recipe: Recipe) -> list[float]:
    """The rates of a recipe's sweep, least first, each once."""
    rates = [*(multiple * recipe.learning_rate for multiple in MULTIPLES), COMMON_RATE]
    return sorted({float(f"{rate:.6g}") for rate in rates})


def choose_split(splits: pd.DataFrame) -> tuple[str, int]:
    """Protocol and split to follow: the first that keeps prompts apart, else the first."""
    names = splits["protocol"].unique()
    protocol = next((name for name in names if name.startswith("grouped")), names[0])
    return protocol, int(splits.loc[splits["protocol"] == protocol, "split"].min())


def follow(
    data: Dataset, roles: np.ndarray, recipe: Recipe, levels: TextFeatures, seed: int
) -> tuple[list[tuple[int, str, float]], str | None]:
    """Train one run, and give its (epoch, role, SRCC) after every epoch, and why it stopped early if it did."""
    shown = {TRAIN: np.flatnonzero(roles == TRAIN), TEST: np.flatnonzero(roles == TEST)}
    shown[TRAIN] = np.sort(np.random.default_rng(0).permutation(shown[TRAIN])[:TRAIN_IMAGES])
    curve: list[tuple[int, str, float]] = []

    def observe(epoch: int, model: MSTCLIPIQA) -> None:
        for role, rows in shown.items():
            with torch.inference_mode():
                scores = [predict(model, data, chunk) for chunk in torch.from_numpy(rows).split(EVALUATION_BATCH)]
            curve.append((epoch, role, srcc(torch.cat(scores).numpy(), data.mos[rows])))

    texts = level_embeddings(levels, recipe)
    model = build_model(VARIANT, recipe, data.f_c.shape[1], data.tokens.shape[1], texts, seed)
    try:
        train_run(model, data, roles, recipe, seed, observe)
    except FailedRunError as error:  # a rate may be too high: that is a finding
        return curve, str(error)
    return curve, None


def ridge_ceiling(data: Dataset, roles: np.ndarray) -> dict[str, float]:
    """SRCC by role of ridge regression on f_c and f_f, fitted to the training images alone."""
    features, train = torch.cat([data.f_c, data.f_f], dim=1).double().numpy(), roles == TRAIN
    fitted = ridge(features[train], data.mos[train], features)
    return {role: srcc(fitted[roles == role], data.mos[roles == role]) for role in (TRAIN, TEST)}


def run_curves(
    output: Path,
    splits: pd.DataFrame,
    cases: list[tuple[Recipe, Dataset, TextFeatures]],
    seed: int,
    metadata: dict,
) -> None:
    """Follow every recipe, on its dataset and level texts, at every rate of its sweep; write the table `output`.

    Columns: recipe, variant, learning_rate, epoch, role (train or test), srcc. The metadata have the split, each
    recipe's own rate and its ridge, and the runs that stopped early, with the reason.
    """
    prepare_process()
    protocol, split = choose_split(splits)
    chosen = splits[(splits["protocol"] == protocol) & (splits["split"] == split)]
    runs = [(*case, rate) for case in cases for rate in learning_rates(case[0])]
    rows, stopped, ridges = [], [], {}
    for recipe, data, levels, rate in progress(runs, len(runs), f"curves {metadata['benchmark']}", "runs"):
        roles = assign_roles(data, chosen, f"{protocol}, split {split}")
        if recipe.name not in ridges:
            ridges[recipe.name] = ridge_ceiling(data, roles)
        curve, reason = follow(data, roles, replace(recipe, learning_rate=rate), levels, seed)
        rows += [(recipe.name, VARIANT, rate, *point) for point in curve]
        if reason:
            stopped.append({"recipe": recipe.name, "learning_rate": rate, "reason": reason})
    metadata = {
        **metadata,
        "target": TARGET,
        "protocol": protocol,
        "split": split,
        "seed": seed,
        "train_images": min(int((roles == TRAIN).sum()), TRAIN_IMAGES),
        "test_images": int((roles == TEST).sum()),
        "learning_rates": {recipe.name: recipe.learning_rate for recipe, *_ in cases},
        "ridge": ridges,
        "stopped": stopped,
        "code": fingerprint(__name__, get_variant(VARIANT).module),
        "versions": {package: version(package) for package in ("torch", "numpy", "scipy")},
    }
    columns = ["recipe", "variant", "learning_rate", "epoch", "role", "srcc"]
    write_table(output, pd.DataFrame(rows, columns=columns), metadata)
