"""Transfer between benchmarks: trained on one, applied to every image of another."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mstclipiqa.analyses.ridge import ridge
from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.files import write_table
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.names import LAST, TEST, TRAIN
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.stores import TextFeatures
from mstclipiqa.evaluation.metrics import plcc, srcc
from mstclipiqa.model.build import build_model
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.training.dataset import Dataset, assign_roles, level_embeddings, to_mos
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import EVALUATION_BATCH, predict, train_run

#: What is transferred: the paper's two models, and as the plain rival ridge regression on f_c and f_f.
VARIANTS, RIDGE, TARGET = ("mst-clipiqa", "mst-clipiqa-star"), "ridge", "quality"

Predictions = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Source:
    """A benchmark to train on and to be applied to: its dataset, and its images' roles (N,) in the split to train."""

    data: Dataset
    roles: np.ndarray
    protocol: str


def first_split(data: Dataset, splits: pd.DataFrame, name: str) -> Source:
    """The benchmark `name` with the first protocol's first split."""
    protocol = splits["protocol"].iloc[0]
    of_protocol = splits[splits["protocol"] == protocol]
    split = int(of_protocol["split"].min())
    chosen = of_protocol[of_protocol["split"] == split]
    return Source(data, assign_roles(data, chosen, f"{name}, {protocol}, split {split}"), protocol)


def apply_head(
    sources: dict[str, Source], name: str, variant: str, recipe: Recipe, levels: TextFeatures, seed: int
) -> Predictions:
    """Train on one benchmark; predictions and MOS of its own test images and of all images of the others.

    The model is taken after the last epoch: nothing is chosen on any test image.
    """
    data, roles = sources[name].data, sources[name].roles
    texts = level_embeddings(levels, recipe)
    model = build_model(variant, recipe, data.f_c.shape[1], data.tokens.shape[1], texts, seed)
    run = train_run(model, data, roles, recipe, seed)
    last = run[run["selection"] == LAST]
    found = {name: (last["prediction"].to_numpy(), last["mos"].to_numpy())}
    model.eval()
    for other, source in sources.items():
        if other != name:
            to = source.data
            with torch.inference_mode():
                chunks = [predict(model, to, rows) for rows in torch.arange(len(to.images)).split(EVALUATION_BATCH)]
            found[other] = to_mos(torch.cat(chunks).double().numpy(), to.low, to.high), to.mos
    return found


def apply_ridge(sources: dict[str, Source], name: str) -> Predictions:
    """As `apply_head`, of ridge regression on f_c and f_f, fitted to the same training images."""
    features = {
        other: torch.cat([source.data.f_c, source.data.f_f], dim=1).double().numpy()
        for other, source in sources.items()
    }
    roles, mos = sources[name].roles, sources[name].data.mos
    found = {}
    for other, source in sources.items():
        asked = roles == TEST if other == name else slice(None)
        predicted = ridge(features[name][roles == TRAIN], mos[roles == TRAIN], features[other][asked])
        found[other] = predicted, source.data.mos[asked]
    return found


def run_transfer(output: Path, sources: dict[str, Source], recipe: Recipe, levels: TextFeatures, seed: int) -> None:
    """Train on each benchmark and test on each, and write the table `output`.

    Columns: train_benchmark, test_benchmark, variant ("ridge" for the rival), recipe (empty for it), n, srcc, plcc.
    On its own benchmark a model is tested on the test images alone. Raises FailedRunError where a prediction is
    constant.
    """
    prepare_process()
    runs = [(variant, name) for variant in (*VARIANTS, RIDGE) for name in sources]
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
    columns = ["train_benchmark", "test_benchmark", "variant", "recipe", "n", "srcc", "plcc"]
    metadata = {
        "target": TARGET,
        "recipe": recipe.name,
        "seed": seed,
        "protocols": {name: source.protocol for name, source in sources.items()},
        "code": fingerprint(__name__, get_variant(VARIANTS[0]).module),
        "versions": {package: version(package) for package in ("torch", "numpy", "scipy")},
    }
    write_table(output, pd.DataFrame(rows, columns=columns), metadata)
