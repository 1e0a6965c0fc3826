"""The probe: what each feature stream carries and what moves the gate, on drawn images whose factors are known.

Semantic factors say what a picture shows, distortion factors what was done to it. Every scene is painted once; some of
the paintings are spoiled by each artefact in turn, so that distortion varies at fixed semantics and the reverse. No
image is written; the scenes are the probe's own, whatever benchmarks were drawn.
"""

from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from mstclipiqa.clip import Encoder, load_encoder
from mstclipiqa.errors import InputError
from mstclipiqa.features import ImageFeatures, TextFeatures
from mstclipiqa.files import write_table
from mstclipiqa.fingerprint import fingerprint
from mstclipiqa.metrics import srcc
from mstclipiqa.model import MSTCLIPIQA, build_model
from mstclipiqa.progress import progress
from mstclipiqa.recipes import Recipe
from mstclipiqa.scenes import ARTEFACTS, BACKGROUNDS, COLOURS, KINDS, STYLES, Scene, Thing, degrade, draw
from mstclipiqa.training import Dataset, assign_roles, level_embeddings, prepare_process, train_run

#: The model that is probed, and the target it is trained on.
VARIANT, TARGET = "mst-clipiqa", "quality"

#: Keeps the probe's scenes apart from everything else that is drawn from a small seed.
PROBE_SEED = 0x70726F
FOLDS, SIDE = 5, 224
#: Semantics need many scenes, distortion many renderings of some of them. From 48 a fold the embedded pair's objects
#: are read no better than by chance, though its text towers tell them apart.
SCENES_PER_FOLD, SPOILED_PER_FOLD = 128, 12
CLEAN = "none"

#: The subject of a picture and what may stand beside it are of different kinds, so that it is plain to see which of two
#: things the factors speak of.
SUBJECTS, COMPANIONS = list(KINDS)[:8], list(KINDS)[8:]
#: Only positions that look different from each other.
POSITIONS = ["above", "below", "left of", "right of"]
SEMANTIC = ("object", "count", "colour", "position", "background", "style")

#: Ridge penalties to choose from, per training image, on standardised features.
PENALTIES = 10.0 ** np.arange(-3, 3)


# Images


def probe_scenes(per_fold: int = SCENES_PER_FOLD, spoiled: int = SPOILED_PER_FOLD) -> pd.DataFrame:
    """The scenes, a row each: fold, Scene, semantic factors, and where it is to be spoiled, each artefact's strength.

    The levels of every factor are dealt independently of the other factors and as equally as can be, within each fold
    too: where a fold has more of a level, the others have less, and a readout that knows nothing falls below chance.
    A subject that stands alone has no position. Strengths are 0.1..1, and missing for a scene that stays clean.
    """
    rng = np.random.default_rng(PROBE_SEED)

    def deal(levels: list, size: int = per_fold) -> list:
        return rng.permuted(np.resize(levels, (FOLDS, size)), axis=1).ravel().tolist()

    frame = pd.DataFrame(
        {
            "fold": np.arange(FOLDS).repeat(per_fold),
            "object": deal(SUBJECTS),
            "count": deal(["1", "2", "3", "4"]),
            "colour": deal(list(COLOURS)),
            "position": deal([*POSITIONS, ""]),
            "background": deal(list(BACKGROUNDS)),
            "style": deal(list(STYLES)),
            "spoiled": np.tile(np.arange(per_fold) < spoiled, FOLDS),
        }
    )
    companions = [Thing(kind, colour) for kind, colour in zip(deal(COMPANIONS), deal(list(COLOURS)), strict=True)]
    frame["scene"] = [
        Scene(
            (Thing(row.object, row.colour, int(row.count)), *([companion] if row.position else [])),
            row.position, row.background, row.style,
        )
        for row, companion in zip(frame.itertuples(name="Row"), companions, strict=True)
    ]  # fmt: skip
    frame["position"] = frame["position"].replace("", None)
    for name in ARTEFACTS:
        frame.loc[frame["spoiled"], name] = deal(np.linspace(0.1, 1, spoiled).tolist(), spoiled)
    return frame


def paint(scenes: pd.DataFrame) -> Iterator[list[Image.Image]]:
    """Each scene's renderings: the clean painting, then the same pixels under each artefact where it is spoiled."""
    for number, row in enumerate(scenes.to_dict("records")):
        rng = np.random.default_rng([PROBE_SEED, number])
        clean = draw(row["scene"], SIDE, rng)
        yield [clean, *(degrade(clean, {name: row[name]}, rng) for name in ARTEFACTS if row["spoiled"])]


def describe_images(scenes: pd.DataFrame) -> pd.DataFrame:
    """A row per image in the order of `paint`: scene, its fold, semantic factors and whether it is spoiled; artefact
    and strength (0 if clean)."""
    images = scenes[["fold", "spoiled", *SEMANTIC]].rename_axis("scene").reset_index()
    images["artefact"] = [[CLEAN, *ARTEFACTS] if spoiled else [CLEAN] for spoiled in images["spoiled"]]
    images = images.explode("artefact", ignore_index=True)
    strengths = [
        0.0 if name == CLEAN else scenes.at[scene, name] for scene, name in images[["scene", "artefact"]].values
    ]
    return images.assign(strength=strengths)


def factors(images: pd.DataFrame) -> dict[str, pd.Series]:
    """Each factor's values, words or numbers, on the images it is read from.

    Semantic factors are read from the clean image of every scene that has them, artefact and strength from all
    renderings of spoiled scenes, and one artefact's strength from its own.
    """
    clean, spoiled = images[images["artefact"] == CLEAN], images[images["spoiled"]]
    return {
        **{name: clean[name].dropna() for name in SEMANTIC},
        "which artefact": spoiled["artefact"],
        "strength of any": spoiled["strength"],
        **{f"strength of {name}": spoiled.loc[spoiled["artefact"] == name, "strength"] for name in ARTEFACTS},
    }


# Linear readout


class Ridge:
    """Closed-form ridge regression on standardised features, whose penalty is chosen by leaving out whole groups.

    `train` (n, D) holds groups of `group` rows, one after another: the renderings of one scene. Leaving out single
    rows would choose a penalty for scenes that have been seen.
    """

    def __init__(self, train: Tensor, group: int):
        self.mean, scale = train.mean(0), train.std(0, correction=0)
        self.scale = torch.where(scale > 0, scale, 1.0)
        self.group = group
        self.left, self.singular, self.right = torch.linalg.svd((train - self.mean) / self.scale, full_matrices=False)

    def left_out(self, targets: Tensor, penalty: float) -> Tensor:
        """Residuals (n, K) of targets (n, K), each predicted from the other groups alone: (I - H_gg)^-1 r_g.

        H is the matrix that maps targets to their fit, the mean included; the standardisation stays that of all rows.
        """
        kept = self.singular**2 / (self.singular**2 + penalty)
        centred = targets - targets.mean(0)
        residual = centred - (self.left * kept) @ (self.left.T @ centred)
        blocks = self.left.reshape(-1, self.group, self.left.shape[1])
        hat = (blocks * kept) @ blocks.mT + 1 / len(targets)
        residual = residual.reshape(-1, self.group, targets.shape[1])
        return torch.linalg.solve(torch.eye(self.group, dtype=hat.dtype) - hat, residual).reshape(targets.shape)

    def predict(self, targets: Tensor, test: Tensor) -> Tensor:
        """Predictions (m, K) for features (m, D), fitted to targets (n, K) under the best penalty for them."""
        penalties = (len(targets) * PENALTIES).tolist()
        penalty = min(penalties, key=lambda value: self.left_out(targets, value).square().sum().item())
        shrunk = self.singular / (self.singular**2 + penalty)
        coefficients = self.right.T @ (shrunk[:, None] * (self.left.T @ (targets - targets.mean(0))))
        return (test - self.mean) / self.scale @ coefficients + targets.mean(0)


def balanced_accuracy(predicted: np.ndarray, true: np.ndarray) -> float:
    """The share of right predictions, averaged over the classes that occur in `true`."""
    return float(pd.Series(predicted == true).groupby(true).mean().mean())


def read_out(features: dict[str, Tensor], images: pd.DataFrame) -> pd.DataFrame:
    """How well each factor is read linearly from each of `features` (N, D): a row per features, factor and fold.

    The scenes of each fold are tested once on a readout trained on those of the others. Words are read one
    against the rest and scored by balanced accuracy, strengths by SRCC.
    """
    known, on_rows = factors(images), defaultdict(list)
    for name, values in known.items():
        on_rows[tuple(values.index)].append(name)
    rows = []
    for source, table in features.items():
        for fold in range(FOLDS):
            for index, names in on_rows.items():
                chosen, inputs = images.loc[list(index)], table[list(index)].double()
                held_out = (chosen["fold"] == fold).to_numpy(copy=True)
                ridge = Ridge(inputs[~held_out], len(chosen) // chosen["scene"].nunique())
                for name in names:
                    values, number = known[name].to_numpy(), pd.api.types.is_numeric_dtype(known[name])
                    levels = None if number else np.unique(values)
                    targets = values[:, None] if number else values[:, None] == levels
                    predicted = ridge.predict(torch.tensor(targets[~held_out]).double(), inputs[held_out]).numpy()
                    if number:
                        metric, chance, value = "srcc", 0.0, srcc(predicted[:, 0], values[held_out])
                    else:
                        metric, chance = "balanced accuracy", 1 / len(levels)
                        value = balanced_accuracy(levels[predicted.argmax(1)], values[held_out])
                    kind = "semantic" if name in SEMANTIC else "distortion"
                    rows.append((source, name, kind, metric, fold, value, chance))
    return pd.DataFrame(rows, columns=["features", "factor", "kind", "metric", "split", "value", "chance"])


# Gates


def gate_shifts(gates: Tensor, strengths: Tensor) -> pd.DataFrame:
    """How each artefact of strengths (S, R) moves the gates (scenes S, renderings R, D) from those of the clean scene.

    `shift` is the mean over scenes and dimensions, positive towards the coarse stream; `movement` that of the absolute
    change. Each has its SD over scenes and its SRCC with the artefact's strength. The first row, of no artefact, is the
    step from one clean scene to the next: semantics at fixed distortion.
    """
    clean = gates[:, 0]
    rows = []
    for number, artefact in enumerate([CLEAN, *ARTEFACTS]):
        change = clean.roll(1, 0) - clean if artefact == CLEAN else gates[:, number] - clean
        row = {"artefact": artefact}
        for name, by_scene in (("shift", change.mean(1)), ("movement", change.abs().mean(1))):
            row |= {name: by_scene.mean().item(), f"{name}_sd": by_scene.std().item()}
            row[f"{name}_srcc"] = None if artefact == CLEAN else srcc(by_scene, strengths[:, number])
        rows.append(row)
    return pd.DataFrame(rows).astype({"shift_srcc": float, "movement_srcc": float})


def variance_shares(gates: Tensor, strengths: Tensor) -> dict[str, float]:
    """Shares of the gates' variance (scenes S, renderings R, D), summed over dimensions, in this order: what the scene
    explains, what the artefact does, what its strength (S, R) adds linearly, and the rest."""

    def interaction(x: Tensor) -> Tensor:
        return (x - x.mean(0, keepdim=True) - x.mean(1, keepdim=True) + x.mean((0, 1))).flatten(0, 1)

    centred = gates - gates.mean((0, 1))
    total = centred.square().sum()
    # One slope per artefact; a column that is 0 everywhere, the clean one's, has none.
    slopes, left = interaction(torch.diag_embed(strengths)[..., 1:]), interaction(gates)
    basis, _ = torch.linalg.qr(slopes)  # lstsq's last bits differ from call to call
    fitted = basis @ (basis.T @ left)
    parts = {
        "scene": gates.shape[1] * centred.mean(1).square().sum() / total,
        "artefact": gates.shape[0] * centred.mean(0).square().sum() / total,
        "strength": fitted.square().sum() / total,
        "rest": (left - fitted).square().sum() / total,
    }
    return {name: share.item() for name, share in parts.items()}


# The probe


def matching_encoder(path: Path, store: ImageFeatures, model: str, weights: str) -> Encoder:
    """Load the encoder; raises InputError where the store at `path` was made with other weights."""
    stored = store.metadata["encoder"]
    encoder = load_encoder(model, weights, precision=stored["precision"])
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
    fusion is probed before training too: what the two readings share is not learned from opinion scores.
    """
    prepare_process()
    pooled = level_embeddings(levels, recipe)

    def build() -> MSTCLIPIQA:
        return build_model(VARIANT, recipe, data.f_c.shape[1], data.tokens.shape[1], pooled, seed)

    protocol, split = splits["protocol"].iloc[0], int(splits["split"].iloc[0])
    chosen = splits[(splits["protocol"] == protocol) & (splits["split"] == split)]
    roles = assign_roles(data, chosen, f"{protocol}, split {split}")
    models = {"initial": build(), "trained": build()}
    train_run(models["trained"], data, roles, recipe, seed)

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
            features[f"z_{state}"] = model.fusion(f_c, f_f)
            gates[state] = model.fusion.gate(f_c[rows], f_f[rows]).double().reshape(*strengths.shape, -1)
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
        "code": fingerprint(__name__),
        "versions": {package: version(package) for package in ("torch", "numpy", "scipy", "pillow")},
    }
    for name, table in (("readout", read_out(features, images)), ("gates", pd.concat(shifts, ignore_index=True))):
        table.insert(0, "recipe", recipe.name)
        write_table(output / f"{name}.parquet", table, metadata)
