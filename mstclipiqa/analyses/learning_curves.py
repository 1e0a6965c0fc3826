"""Is the recipe enough? SRCC after every epoch, under each recipe and at other learning rates, beside ridge regression
on the same features: whether a head stops short for want of training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mstclipiqa.analyses.ridge import find_groupings, ridge_of_split
from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import CURVES, SAMPLES, SPLITS
from mstclipiqa.base.names import MODELS, QUALITY, TEST, TRAIN
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.stores import TextFeatures, load_texts
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.build import MSTCLIPIQA
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.training.dataset import Dataset, DatasetFiles, first_split, read_dataset, roles_of
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import Trainer, predict_all, train_run
from mstclipiqa.training.selection import Selected

#: The model that is followed, and the target it is trained on.
VARIANT, TARGET = MODELS[0], QUALITY

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
    return first_split(splits, next((name for name in names if name.startswith("grouped")), names[0]))


def follow(
    data: Dataset, roles: np.ndarray, recipe: Recipe, levels: TextFeatures, seed: int
) -> tuple[list[tuple[int, str, float]], str | None]:
    """Train one run, and give its (epoch, role, SRCC) after every epoch, and why it stopped early if it did."""
    shown = {TRAIN: np.flatnonzero(roles == TRAIN), TEST: np.flatnonzero(roles == TEST)}
    shown[TRAIN] = np.sort(np.random.default_rng(0).permutation(shown[TRAIN])[:TRAIN_IMAGES])
    curve: list[tuple[int, str, float]] = []

    def observe(epoch: int, model: MSTCLIPIQA, _: Selected) -> None:
        for role, rows in shown.items():
            scores = predict_all(model, data, torch.from_numpy(rows))
            curve.append((epoch, role, srcc(scores.numpy(), data.mos[rows])))

    model = Trainer.of_texts(data, VARIANT, recipe, levels).build(seed)
    try:
        train_run(model, data, roles, recipe, seed, observe)
    except FailedRunError as error:  # a rate may be too high: that is a finding
        return curve, str(error)
    return curve, None


def ridge_ceiling(data: Dataset, roles: np.ndarray, groupings: Sequence[np.ndarray] = ()) -> dict[str, float]:
    """SRCC by role of ridge regression on f_c and f_f, fitted to the training images alone, the penalty chosen among
    them; inner folds keep whole those of the `groupings` (N,) that the split does."""
    features, train = torch.cat([data.f_c, data.f_f], dim=1).double().numpy(), roles == TRAIN
    fitted, mos = ridge_of_split(features, train, roles == TEST, groupings), data.mos[train]
    predicted = fitted.predict(mos, features, fitted.choose_penalty(mos))
    return {role: srcc(predicted[roles == role], data.mos[roles == role]) for role in (TRAIN, TEST)}


@dataclass(frozen=True)
class Case:
    """The files of one recipe's curves: the recipe, the stores of both streams and the level texts; and the augmented
    views where the recipe trains on some."""

    recipe: Recipe
    coarse: Path
    fine: Path
    levels: Path
    coarse_views: Path | None = None
    fine_views: Path | None = None


def curves_from_files(
    output: Path, samples: Path, splits: Path, prompts: Path, cases: Sequence[Case], seed: int
) -> None:
    """As `run_curves`, of one benchmark's files and a case for each recipe."""
    read = []
    for case in cases:
        files = DatasetFiles(samples, case.coarse, case.fine, prompts, case.coarse_views, case.fine_views)
        data, card = read_dataset(files, TARGET, case.recipe)
        read.append((case.recipe, data, load_texts(case.levels)))
    metadata = {name: card[name] for name in ("benchmark", "synthetic")}
    run_curves(output, SPLITS.read(splits)[0], read, seed, metadata, find_groupings(SAMPLES.read(samples)[0]))


def run_curves(
    output: Path,
    splits: pd.DataFrame,
    cases: list[tuple[Recipe, Dataset, TextFeatures]],
    seed: int,
    metadata: dict,
    groupings: Sequence[np.ndarray] = (),
) -> None:
    """Follow every recipe, on its dataset and level texts, at every rate of its sweep; write the table `output`.
    `groupings` are as for `ridge_ceiling`.

    The metadata have the split, each recipe's own rate and its ridge, and the runs that stopped early, with the reason.
    Raises FailedRunError, which names the split, where the ridge has no correlation.
    """
    prepare_process()
    protocol, split = choose_split(splits)
    runs = [(*case, rate) for case in cases for rate in learning_rates(case[0])]
    rows, stopped, ridges = [], [], {}
    for recipe, data, levels, rate in progress(runs, len(runs), f"curves {metadata['benchmark']}", "runs"):
        roles = roles_of(data, splits, protocol, split)
        if recipe.name not in ridges:
            try:
                ridges[recipe.name] = ridge_ceiling(data, roles, groupings)
            except FailedRunError as error:
                place = f"{metadata['benchmark']} {TARGET} {recipe.name}, {protocol}, split {split}"
                raise FailedRunError(f"ridge beside the curves of {place}: {error}") from None
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
        "code": fingerprint(__name__, *get_variant(VARIANT).modules),
        "versions": {package: version(package) for package in ("torch", "numpy", "scipy")},
    }
    CURVES.write(output, pd.DataFrame(rows, columns=list(CURVES.columns)), metadata)
