"""Trained heads as files: a model's weights, and a card that says what it was trained on, how, and how well."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from mstclipiqa.base.documents import RECIPE_SCHEMA, SCHEMAS, validate
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.layout import SPLITS, training_files
from mstclipiqa.base.names import LAST, LEVELS, TRAIN
from mstclipiqa.encoders.architectures import FOLDER
from mstclipiqa.encoders.stores import load_texts, read_store, write_store
from mstclipiqa.evaluation.metrics import METRICS
from mstclipiqa.model.build import MSTCLIPIQA, build_model
from mstclipiqa.model.recipes import VALUES, Recipe
from mstclipiqa.model.variants import OWN, PAIR, TWO_TOWERS, get_variant
from mstclipiqa.scoring import novelty
from mstclipiqa.scoring.novelty import Neighbours
from mstclipiqa.training.dataset import MOS_SCALE, DatasetFiles, read_dataset, roles_of
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import Run, Trainer

if TYPE_CHECKING:
    from mstclipiqa.encoders.clip import Encoder

HEAD_SCHEMA = SCHEMAS / "head.schema.yaml"

#: What every card says. `encoders` are identities by stream, `text_encoder` is whose text tower read prompts and
#: levels, `low` and `high` are the benchmark's scale, to which scores of 1..5 are mapped.
CARD = ("benchmark", "target", "synthetic", "variant", "recipe", "encoders", "text_encoder", "low", "high")


@dataclass(frozen=True)
class Head:
    """A trained model in evaluation mode and its card. `name` is what messages call it; `encoders` came with it;
    `neighbours` tell images that are unlike those it was trained on, where its file keeps them."""

    name: str
    model: MSTCLIPIQA
    card: dict
    encoders: "tuple[Encoder, ...]" = ()
    neighbours: Neighbours | None = None

    @property
    def target(self) -> str:
        """What it predicts: quality, authenticity or correspondence."""
        return self.card["target"]

    @property
    def summary(self) -> dict:
        """The card in short: no list or mapping but of the test metrics; encoders by their labels."""
        short = {key: value for key, value in self.card.items() if not isinstance(value, dict | list)}
        labels = {role: identity["label"] for role, identity in self.card["encoders"].items()}
        return short | {"recipe": self.card["recipe"]["name"], "encoders": labels, "test": self.card.get("test")}

    def __str__(self) -> str:
        card = self.summary
        if not card["test"]:
            return f"{self.target}: {card['variant']} of {self.name}"
        return (
            f"{self.target}: {card['variant']} trained on {card['train_images']} images of {card['title']}"
            f"{' (synthetic)' if card['synthetic'] else ''}, {card['protocol']} split {card['split']}; on its "
            f"{card['test']['n']} test images SRCC {card['test']['srcc']:.4f} ({card['selection']} epoch); "
            + (
                "scores as its MOS"
                if self.card["recipe"]["trained_scale"] == MOS_SCALE
                else f"scale {card['low']:g} to {card['high']:g}"
            )
        )


def train_head_from_results(
    output: Path,
    results: Path,
    benchmark: str,
    run: tuple[str, int, int],
    variant: str,
    recipe: Recipe,
    target: str,
    selection: str = LAST,
) -> "Head":
    """As `train_head`, of a benchmark in a suite's results folder; returns the head that was written.

    Raises InputError for a variant that is not given an image's own prompt, which a scored image comes with, and for
    one that looks at any number of streams, of which a head's file has two.
    """
    chosen = get_variant(variant)
    if chosen.many:
        raise InputError(f"{variant}: looks at any number of streams, and a head has two; choose another variant")
    if chosen.prompt and chosen.prompts != OWN:
        raise InputError(f"{variant}: its prompts are not the images' own, so it scores none; choose another variant")
    trainer, splits, metadata = read_trainer(results, benchmark, variant, recipe, target)
    train_head(output, trainer, splits, run, metadata, selection)
    return load_head(output)


def read_trainer(
    results: Path, benchmark: str, variant: str, recipe: Recipe, target: str
) -> tuple[Trainer, pd.DataFrame, dict]:
    """What trains a variant on a benchmark of a results folder, its splits table, and the entries of CARD that these do
    not say, with the benchmark's title."""
    chosen = get_variant(variant)
    streams = dict(zip(PAIR, chosen.encoders(recipe.fine_stream), strict=True))
    names = training_files(benchmark, recipe.name, streams, bool(recipe.views), chosen.head == TWO_TOWERS)
    paths = {option.replace("-", "_"): results / name for option, name in names.items()}
    samples, coarse, fine, prompts = (paths[name] for name in ("samples", "coarse", "fine", "prompts"))
    files = DatasetFiles(samples, coarse, fine, prompts, paths.get("coarse_views"), paths.get("fine_views"))
    data, card = read_dataset(files, target, recipe)
    metadata = {name: card[name] for name in ("benchmark", "title", "synthetic", "encoders", "text_encoder")}
    metadata |= {"target": target}
    own = load_texts(paths["fine_levels"]) if "fine_levels" in paths else None
    trainer = Trainer.of_texts(data, variant, recipe, load_texts(paths["levels"]), own)
    return trainer, SPLITS.read(paths["splits"])[0], metadata


def train_head(
    output: Path,
    trainer: Trainer,
    splits: pd.DataFrame,
    run: tuple[str, int, int],
    metadata: Mapping,
    selection: str = LAST,
) -> dict:
    """Train one run (protocol, split, seed) and write its model as of the selected epoch. Returns the card.

    It is the workflow's run to the bit: same weights, same test predictions. `metadata` are the entries of CARD that
    the arguments do not say. Raises InputError for a split that is not in `splits`, for the validation epoch where the
    split has no validation images, and for an encoder of a folder, which no card may name; FailedRunError, which names
    the run, where its training fails.
    """
    prepare_process()
    for identity in (*metadata["encoders"].values(), metadata["text_encoder"]):
        if identity["model"].startswith(FOLDER):
            raise InputError(
                f"{identity['model']}: a model of a folder, which others do not have, so that no head may ask for it; "
                "train heads on encoders that open_clip or timm knows by name"
            )
    data, recipe, (protocol, split, seed) = trainer.data, trainer.recipe, run
    roles = roles_of(data, splits, protocol, split)
    try:
        model, predictions = trainer.train_selected(Run(protocol, split, seed, roles), selection)
    except FailedRunError as error:
        job = f"{metadata['benchmark']} {metadata['target']} {recipe.name} {trainer.variant}"
        raise FailedRunError(f"head of {job}, {protocol}, split {split}, seed {seed}: {error}") from None
    epoch = int(predictions["epoch"].iloc[0])
    metrics = {name: metric(predictions["prediction"], predictions["mos"]) for name, metric in METRICS.items()}
    card = {
        **metadata,
        "variant": trainer.variant,
        "recipe": asdict(recipe),
        "protocol": protocol,
        "split": split,
        "seed": seed,
        "selection": selection,
        "epoch": epoch,
        "train_images": int((roles == TRAIN).sum()),
        "test": {"n": len(predictions), **metrics},
        "low": data.low,
        "high": data.high,
    }
    neighbours = novelty.keep(data.f_c.numpy(), data.f_f.numpy(), roles == TRAIN)
    kept = neighbours.tensors() if neighbours else {}
    write_store(output, {name: tensor.numpy() for name, tensor in model.state_dict().items()} | kept, card)
    return card


def load_head(path: Path | str) -> Head:
    """Read a head written by `train_head`. It may be anyone's, so its card is held to a schema.

    Raises InputError where the file is none, is of another version's shape, or says what no head can be.
    """
    try:
        tensors, card = read_store(Path(path))
    except InputError as error:
        raise InputError(f"{str(error).partition(';')[0]}; write a head with `mstclipiqa train-head`") from None
    if not set(CARD) <= set(card):
        raise InputError(f"{path}: holds no trained head; write one with `mstclipiqa train-head`")
    validate(card, HEAD_SCHEMA, path)
    if set(card["recipe"]) != {field.name for field in fields(Recipe)}:
        raise InputError(f"{path}: its recipe is of another version of this project; train the head again")
    values = {key: {"value": card["recipe"][key], "place": "the card"} for key in VALUES}
    validate({"title": "", "source": "", "values": values}, RECIPE_SCHEMA, path)
    if not card["low"] < card["high"]:
        raise InputError(f"{path}: its scale of {card['low']:g} to {card['high']:g} is none; train the head again")
    neighbours = novelty.read(str(path), tensors, card["encoders"]["coarse"]["dim"])
    return replace(make_head(str(path), tensors, card), neighbours=neighbours)


def make_head(name: str, tensors: Mapping[str, np.ndarray], card: dict, encoders: "tuple[Encoder, ...]" = ()) -> Head:
    """A head from its tensors, by their names in the model. Raises InputError where they are another model's, or not
    finite."""
    for tensor, array in tensors.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(f"{name}: {tensor} holds what is no finite number; train the head again")
    with torch.device("meta"):  # shapes alone: a card may ask for more memory than there is
        expected = {tensor: tuple(value.shape) for tensor, value in _build(name, card).state_dict().items()}
    found = {tensor: array.shape for tensor, array in tensors.items()}
    if found != expected:
        odd = next(key for key in [*expected, *found] if found.get(key) != expected.get(key))
        shapes = f"{odd}: found {found.get(odd)}, expected {expected.get(odd)}"
        raise InputError(f"{name}: the weights do not fit {card['variant']} ({shapes}); train the head again")
    model = _build(name, card)
    model.load_state_dict({tensor: torch.from_numpy(array) for tensor, array in tensors.items()})
    return Head(name, model.eval().requires_grad_(False), json.loads(json.dumps(card)), encoders)


def _build(name: str, card: Mapping) -> MSTCLIPIQA:
    """The untrained model of a card."""
    dim, width = card["encoders"]["coarse"]["dim"], card["text_encoder"]["text_width"]
    blank = torch.zeros(len(LEVELS), dim)
    try:
        get_variant(card["variant"])
        return build_model(card["variant"], Recipe(**card["recipe"]), dim, width, blank, 0, blank)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:  # torch's, of values no layer can have
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{name}: no {card['variant']} can be built as its card says ({reason})") from None
