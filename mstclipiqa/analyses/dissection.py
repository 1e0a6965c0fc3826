"""Trained models taken apart: the gate replaced, the streams read from the fused feature, the fine encoder left out.

Trained under the first protocol by prompt, one seed on each of its splits, and taken at the epoch with the best SRCC on
validation images, as that protocol reports it.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mstclipiqa.analyses.interventions import gate_movement, gff_of, intervene
from mstclipiqa.analyses.readout import Ridge
from mstclipiqa.analyses.skipping import skip_fine
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import DISSECTION, SAMPLES, SPLITS
from mstclipiqa.base.names import COARSE, DISSECTED, MODELS, QUALITY, TEST, TRAIN, VAL, VALIDATION
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.stores import TextFeatures, load_texts
from mstclipiqa.evaluation.metrics import plcc, srcc
from mstclipiqa.model.build import MSTCLIPIQA
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.training.dataset import Dataset, DatasetFiles, read_dataset, roles_of
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import Run, Trainer

#: What the models are trained on.
TARGET = QUALITY


def first_by_prompt(splits: pd.DataFrame) -> str:
    """The first protocol that keeps prompts apart. Raises InputError where there is none."""
    for name in splits["protocol"].unique():
        if str(name).startswith("grouped"):
            return str(name)
    raise InputError("no protocol groupedN among the splits, which a dissection needs; add grouped10 to the protocols")


def read_streams(features: dict[str, Tensor], data: Dataset, train: Tensor, test: Tensor) -> pd.DataFrame:
    """How much of each stream's variance over the test images is read linearly from each of `features` (N, D): columns
    features, stream and r2, which is summed over the stream's dimensions."""
    rows = []
    for name, table in features.items():
        ridge = Ridge(table[train].double(), 1)
        for stream, values in (("coarse", data.f_c), ("fine", data.f_f)):
            known, asked = values[train].double(), values[test].double()
            missed = (ridge.predict(known, table[test].double()) - asked).square().sum()
            rows.append((name, stream, 1 - (missed / (asked - asked.mean(0)).square().sum()).item()))
    return pd.DataFrame(rows, columns=["features", "stream", "r2"])


def dissect_split(
    data: Dataset,
    generators: np.ndarray,
    run: Run,
    recipe: Recipe,
    levels: TextFeatures,
) -> tuple[pd.DataFrame, ...]:
    """The rows of DISSECTION of a run's split, without what names it: from models of DISSECTED trained on it."""
    roles, split = run.roles, run.split
    train, val, test = (torch.from_numpy(np.flatnonzero(roles == role)) for role in (TRAIN, VAL, TEST))
    trained: dict[str, MSTCLIPIQA] = {}
    features = {"f_c": data.f_c, "f_f": data.f_f}
    interventions, movement = [], []
    for variant in DISSECTED:
        trainer = Trainer.of_texts(data, variant, recipe, levels)
        model, _ = trainer.train_selected(run, VALIDATION)
        initial, trained[variant] = trainer.build(run.seed).eval(), model
        with torch.inference_mode():
            if variant != COARSE:
                for state, own in (("initial", initial), ("trained", model)):
                    features[f"z of {variant}, {state}"] = own.fusion(data.f_c, data.f_f)
            if variant in MODELS:
                for name, scores in intervene(model, data, train, test, split):
                    found = {"srcc": srcc(scores, data.mos[test]), "plcc": plcc(scores, data.mos[test])}
                    interventions.append({"variant": variant, "intervention": name, "n": len(test), **found})
                gates = gff_of(model).gate(*data.streams(test))
                movement.append(gate_movement(gates, generators[test.numpy()]).assign(variant=variant))
    with torch.inference_mode():
        skipped = skip_fine(trained[MODELS[0]], trained[COARSE], data, train, val, test, split)
        decoded = read_streams(features, data, train, test)
    return pd.DataFrame(interventions), pd.concat(movement, ignore_index=True), decoded, skipped


def dissect_from_files(
    output: Path, files: DatasetFiles, splits: Path, levels: Path, recipe: Recipe, seed: int
) -> None:
    """As `dissect`, from files."""
    data, card = read_dataset(files, TARGET, recipe)
    generators = SAMPLES.read(files.samples)[0]["generator"].to_numpy()
    metadata = {name: card[name] for name in ("benchmark", "synthetic", "encoders")}
    dissect(output, data, generators, SPLITS.read(splits)[0], recipe, load_texts(levels), seed, metadata)


def dissect(
    output: Path,
    data: Dataset,
    generators: np.ndarray,
    splits: pd.DataFrame,
    recipe: Recipe,
    levels: TextFeatures,
    seed: int,
    metadata: dict,
) -> None:
    """Train the models on every split of the protocol, and write the tables of DISSECTION into the folder `output`.
    `generators` (N,) are those of the images. Raises FailedRunError, which names the split, where a training fails."""
    prepare_process()
    protocol = first_by_prompt(splits)
    numbers = sorted(splits.loc[splits["protocol"] == protocol, "split"].unique().tolist())
    found: list[tuple[pd.DataFrame, ...]] = []
    for split in progress(numbers, len(numbers), f"dissect {metadata['benchmark']} {recipe.name}", "splits"):
        try:
            run = Run(protocol, split, seed, roles_of(data, splits, protocol, split))
            tables = dissect_split(data, generators, run, recipe, levels)
        except FailedRunError as error:
            place = f"{metadata['benchmark']} {TARGET} {recipe.name}, {protocol}, split {split}, seed {seed}"
            raise FailedRunError(f"dissection of {place}: {error}") from None
        found.append(tuple(table.assign(split=split) for table in tables))
    said = {
        **metadata,
        **{"target": TARGET, "recipe": recipe.name, "protocol": protocol, "seed": seed, "splits": len(numbers)},
        "code": fingerprint(__name__, *(module for variant in DISSECTED for module in get_variant(variant).modules)),
        "versions": {package: version(package) for package in ("torch", "numpy", "scipy")},
    }
    for entry, tables in zip(DISSECTION, zip(*found, strict=True), strict=True):
        table = pd.concat(tables, ignore_index=True).assign(recipe=recipe.name)
        entry.write(output / Path(entry.path).name, table[list(entry.columns)], said)
