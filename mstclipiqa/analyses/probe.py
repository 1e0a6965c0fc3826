"""The probe: what each feature stream carries and what moves the gate, on drawn images whose factors are known.

Semantic factors say what a picture shows, distortion factors what was done to it. Every scene is painted once; some of
the paintings are spoiled by each artefact in turn, so that distortion varies at fixed semantics and the reverse. No
image is written; the scenes are the probe's own, whatever benchmarks were drawn.
"""

from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from mstclipiqa.analyses.gates import gate_shifts, variance_shares
from mstclipiqa.analyses.probe_images import describe_images, paint, probe_scenes
from mstclipiqa.analyses.readout import read_out
from mstclipiqa.base.device import choose_device
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import GATES, READOUT, SPLITS
from mstclipiqa.base.names import AUTO, MODELS, QUALITY
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.clip import Encoder, load_encoder
from mstclipiqa.encoders.stores import TextFeatures, load_texts
from mstclipiqa.model.fusions.gff import Fusion
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.training.dataset import Dataset, DatasetFiles, first_split, read_dataset, roles_of
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import Trainer, train_run

#: The model that is probed, and the target it is trained on.
VARIANT, TARGET = MODELS[0], QUALITY


def matching_encoder(path: Path, stored: dict, model: str, weights: str, device: str = AUTO) -> Encoder:
    """Load the encoder; raises InputError where the store at `path`, by the encoder `stored`, has other weights."""
    encoder = load_encoder(model, weights, choose_device(device), stored["precision"])
    loaded = encoder.identity
    if stored["weights_sha256"] != loaded["weights_sha256"]:
        shown = [f"{identity['label']} ({identity['weights_sha256'][:12]})" for identity in (stored, loaded)]
        raise InputError(f"{path}: extracted with {shown[0]}, not with {shown[1]}; name that encoder or extract again")
    return encoder


def encode_probe(encoders: dict[str, Encoder], scenes: pd.DataFrame) -> dict[str, Tensor]:
    """The features (N, D) of every rendering under each encoder, in the order of `paint`."""
    description = "probe " + ", ".join(encoder.identity["model"] for encoder in encoders.values())
    features: dict[str, list[Tensor]] = {role: [] for role in encoders}
    for renderings in progress(paint(scenes), len(scenes), description, "scenes"):
        for role, encoder in encoders.items():
            pixels = torch.stack([encoder.preprocess(image) for image in renderings])
            features[role].append(encoder.encode_images(pixels))
    return {role: torch.cat(batches) for role, batches in features.items()}


def probe_from_files(
    output: Path,
    files: DatasetFiles,
    splits: Path,
    levels: Path,
    recipe: Recipe,
    seed: int,
    encoders: dict[str, tuple[str, str]],
    device: str = AUTO,
) -> None:
    """As `run_probe`, from files; `encoders` are the (open_clip model, weights) of the coarse and the fine features,
    which run on a device (cpu, auto or cuda).

    Raises InputError where features were made with other weights.
    """
    data, card = read_dataset(files, TARGET, recipe)
    loaded = {
        role: matching_encoder(path, card["encoders"][role], *encoders[role], device)
        for role, path in (("coarse", files.coarse), ("fine", files.fine))
    }
    metadata = {name: card[name] for name in ("benchmark", "synthetic")}
    table, texts = SPLITS.read(splits)[0], load_texts(levels)
    run_probe(output, data, table, recipe, texts, seed, loaded, metadata)


def run_probe(
    output: Path,
    data: Dataset,
    splits: pd.DataFrame,
    recipe: Recipe,
    levels: TextFeatures,
    seed: int,
    encoders: dict[str, Encoder],
    metadata: dict,
) -> None:
    """Train a model, probe its encoders, its fused features and its gates, and write readout.parquet and gates.parquet
    into the folder `output`.

    The model is trained on the first split of the first protocol in `splits` and taken after its last epoch. Its
    fusion is probed before training too: what the two readings share is not learned from opinion scores. Raises
    FailedRunError, which names the run, where its training fails.
    """
    prepare_process()
    trainer = Trainer.of_texts(data, VARIANT, recipe, levels)
    protocol, split = first_split(splits)
    roles = roles_of(data, splits, protocol, split)
    models = {"initial": trainer.build(seed), "trained": trainer.build(seed)}
    try:
        train_run(models["trained"], data, roles, recipe, seed)
    except FailedRunError as error:
        run = f"{metadata['benchmark']} {TARGET} {recipe.name} {VARIANT}, {protocol}, split {split}, seed {seed}"
        raise FailedRunError(f"probe of {run}: {error}") from None

    scenes = probe_scenes()
    images, encoded = describe_images(scenes), encode_probe(encoders, scenes)
    f_c, f_f = encoded["coarse"], encoded["fine"]
    features = {"f_c": f_c, "f_f": f_f, "both": torch.cat([f_c, f_f], dim=1)}
    spoiled = images[images["spoiled"]]
    rows = torch.tensor(spoiled.index)
    strengths = torch.tensor(spoiled["strength"].to_numpy(copy=True)).reshape(spoiled["scene"].nunique(), -1)
    gates = {}
    for state, model in models.items():
        with torch.inference_mode():
            fusion = model.fusion
            assert isinstance(fusion, Fusion), "the gates are those of VARIANT's fusion"
            features[f"z_{state}"] = fusion(f_c, f_f)
            gates[state] = fusion.gate(f_c[rows], f_f[rows]).double().reshape(*strengths.shape, -1)
    shifts = [gate_shifts(g, strengths).assign(state=state) for state, g in gates.items()]
    summary = {
        state: {
            "mean": g.mean().item(),
            "moved": (g - gates["initial"]).abs().mean().item(),
            "shares": variance_shares(g, strengths),
        }
        for state, g in gates.items()
    }
    metadata = {
        **metadata,
        "recipe": recipe.name,
        "variant": VARIANT,
        "target": TARGET,
        "protocol": protocol,
        "split": split,
        "seed": seed,
        "encoders": {role: encoder.identity for role, encoder in encoders.items()},
        "scenes": len(scenes),
        "spoiled": len(strengths),
        "images": len(images),
        "gates": summary,
        "code": fingerprint(__name__, *get_variant(VARIANT).modules),
        "versions": {package: version(package) for package in ("torch", "numpy", "scipy", "pillow")},
    }
    for entry, table in ((READOUT, read_out(features, images)), (GATES, pd.concat(shifts, ignore_index=True))):
        table.insert(0, "recipe", recipe.name)
        entry.write(output / Path(entry.path).name, table, metadata)
