"""Transfer between benchmarks: trained on one, applied to every image of another."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mstclipiqa.analyses.ridge import find_groupings, ridge_of_split
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import SAMPLES, SPLITS, TRANSFER
from mstclipiqa.base.names import LAST, MODELS, QUALITY, TEST, TRAIN
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.stores import TextFeatures, load_texts
from mstclipiqa.evaluation.metrics import plcc, srcc
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.training.dataset import Dataset, DatasetFiles, first_split, read_dataset, roles_of, to_mos
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import Trainer, predict_all, train_run

#: Beside the paper's two models, ridge regression on f_c and f_f is transferred; and the target of all.
RIDGE, TARGET = "ridge", QUALITY

Predictions = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Source:
    """A benchmark to train on and to be applied to: its dataset, and its images' roles (N,) in the split to train;
    ridge's inner folds keep whole those of the `groupings` (N,) that the split does."""

    data: Dataset
    roles: np.ndarray
    protocol: str
    groupings: Sequence[np.ndarray] = ()


def make_source(data: Dataset, splits: pd.DataFrame, name: str, groupings: Sequence[np.ndarray] = ()) -> Source:
    """The benchmark `name` with the first protocol's first split. Raises InputError as `roles_of` does."""
    protocol, split = first_split(splits)
    try:
        return Source(data, roles_of(data, splits, protocol, split), protocol, groupings)
    except InputError as error:
        raise InputError(f"{name}, {error}") from None


def apply_head(
    sources: dict[str, Source], name: str, variant: str, recipe: Recipe, levels: TextFeatures, seed: int
) -> Predictions:
    """Train on one benchmark; predictions and MOS of its own test images and of all images of the others.

    The model is taken after the last epoch: nothing is chosen on any test image.
    """
    data, roles = sources[name].data, sources[name].roles
    model = Trainer.of_texts(data, variant, recipe, levels).build(seed)
    run = train_run(model, data, roles, recipe, seed)
    last = run[run["selection"] == LAST]
    found = {name: (last["prediction"].to_numpy(), last["mos"].to_numpy())}
    model.eval()
    for other, source in sources.items():
        if other != name:
            to = source.data
            scores = predict_all(model, to, torch.arange(len(to.images)))
            found[other] = to_mos(scores.double().numpy(), to.low, to.high), to.mos
    return found


def apply_ridge(sources: dict[str, Source], name: str) -> Predictions:
    """As `apply_head`, of ridge regression on f_c and f_f, fitted to the same training images."""
    features = {
        other: torch.cat([source.data.f_c, source.data.f_f], dim=1).double().numpy()
        for other, source in sources.items()
    }
    roles, mos = sources[name].roles, sources[name].data.mos
    train = roles == TRAIN
    fitted = ridge_of_split(features[name], train, roles == TEST, sources[name].groupings)
    penalty = fitted.choose_penalty(mos[train])
    found = {}
    for other, source in sources.items():
        asked = roles == TEST if other == name else slice(None)
        predicted = fitted.predict(mos[train], features[other][asked], penalty)
        found[other] = predicted, source.data.mos[asked]
    return found


def transfer_from_files(
    output: Path, sources: Sequence[tuple[DatasetFiles, Path]], recipe: Recipe, levels: Path, seed: int
) -> None:
    """As `run_transfer`, of each benchmark's dataset files and splits table."""
    read = {}
    for files, splits in sources:
        data, card = read_dataset(files, TARGET, recipe)
        groupings = find_groupings(SAMPLES.read(files.samples)[0])
        read[card["benchmark"]] = make_source(data, SPLITS.read(splits)[0], card["benchmark"], groupings)
    run_transfer(output, read, recipe, load_texts(levels), seed)


def run_transfer(output: Path, sources: dict[str, Source], recipe: Recipe, levels: TextFeatures, seed: int) -> None:
    """Train on each benchmark and test on each, and write the table `output`.

    Its variant is "ridge" for the rival, its recipe is empty for it. On its own benchmark a model is tested on the test
    images alone. Raises FailedRunError where a prediction is constant.
    """
    prepare_process()
    runs = [(variant, name) for variant in (*MODELS, RIDGE) for name in sources]
    rows = []
    for variant, name in progress(runs, len(runs), f"transfer {recipe.name}", "runs"):
        try:
            if variant == RIDGE:
                found = apply_ridge(sources, name)
            else:
                found = apply_head(sources, name, variant, recipe, levels, seed)
            for other in sources:
                predicted, mos = found[other]
                named = "" if variant == RIDGE else recipe.name
                rows.append((name, other, variant, named, len(mos), srcc(predicted, mos), plcc(predicted, mos)))
        except FailedRunError as error:
            raise FailedRunError(f"transfer of {variant} from {name}: {error}") from None
    metadata = {
        "target": TARGET,
        "recipe": recipe.name,
        "seed": seed,
        "protocols": {name: source.protocol for name, source in sources.items()},
        "code": fingerprint(__name__, *get_variant(MODELS[0]).modules),
        "versions": {package: version(package) for package in ("torch", "numpy", "scipy")},
    }
    TRANSFER.write(output, pd.DataFrame(rows, columns=list(TRANSFER.columns)), metadata)
