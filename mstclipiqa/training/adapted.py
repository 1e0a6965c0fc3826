"""Training of encoders with a head: a job whose recipe has an `adaptation`, from images.

Its runs, selections and predictions are those of any other job; what they start from are the encoders of the features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import nn

from mstclipiqa.base.device import choose_device, set_products
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import digest
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.encoders.adaptation import Tower, check_adaptable, read_inputs
from mstclipiqa.encoders.clip import Encoder, load_encoder
from mstclipiqa.model.build import MSTCLIPIQA, TrainedStreams, used_streams
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.training.dataset import DatasetFiles
from mstclipiqa.training.job import read_job, train_job
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import Run, Trainer

#: What says that an encoder is the one that features are by, but for the precision: what is trained is float32.
SAME = ("model", "weights_sha256", "preprocessing")


@dataclass(frozen=True, kw_only=True)
class AdaptedTrainer(Trainer):
    """As Trainer, where `frozen` trains on features. The `data` has in the place of a stream's features what its tower
    takes, where there is a tower: an image tower to start from, and how its pixels are normalised."""

    frozen: Trainer
    towers: tuple[tuple[nn.Module, Mapping[str, Any]] | None, ...]
    device: torch.device

    stackable: ClassVar[bool] = False

    def build(self, seed: int) -> MSTCLIPIQA:
        """The untrained model of a seed, its encoders as they are and its head as `frozen` begins."""
        model, adaptation = self.frozen.build(seed), self.recipe.adaptation
        assert adaptation, "adapt makes this of a recipe that has one"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of what LoRA adds
            towers = [tower and Tower(*tower, adaptation) for tower in self.towers]
        model.fusion = TrainedStreams(model.fusion, *towers)
        return model.to(self.device)

    def train(self, run: Run) -> pd.DataFrame:
        """As Trainer's, on the device."""
        if self.device.type == "cuda":
            set_products(tf32=False)
        return super(AdaptedTrainer, replace(self, data=self.data.to(self.device))).train(run)


def adapt(
    frozen: Trainer, recipe: Recipe, encoders: Sequence[Encoder], samples: pd.DataFrame, root: Path
) -> AdaptedTrainer:
    """The trainer of `recipe`, of one on features, the `encoders` of f_c and f_f, and the images below `root`. A stream
    that the model does not look at stays as it is.

    Raises InputError as `check_adaptable` and `read_inputs` do.
    """
    adaptation, data = recipe.adaptation, frozen.data
    assert adaptation, "adapted_from_files refuses what has none"
    used = used_streams(frozen.build(0), data.tokens.shape[1])
    trained = [encoder for encoder, looked in zip(encoders, used, strict=True) if looked]
    for encoder in trained:
        check_adaptable(encoder, adaptation)
    inputs = iter(read_inputs(trained, samples, root, adaptation))
    f_c, f_f = (next(inputs) if looked else own for looked, own in zip(used, (data.f_c, data.f_f), strict=True))
    towers = tuple(  # on the CPU, from where worker processes can be sent them
        (encoder.model.visual.cpu(), encoder.identity["preprocessing"]) if looked else None
        for encoder, looked in zip(encoders, used, strict=True)
    )
    return AdaptedTrainer(
        replace(data, f_c=f_c, f_f=f_f), frozen.variant, recipe, frozen.levels, frozen.fine_levels,
        frozen=frozen, towers=towers, device=encoders[0].device,
    )  # fmt: skip


def adapted_from_files(
    output: Path,
    files: DatasetFiles,
    root: Path,
    encoders: Mapping[str, tuple[str, str]],
    splits: Path,
    levels: Path,
    recipe: Recipe,
    variant: str,
    target: str,
    seeds: list[int],
    split_seeds: list[int],
    fine_levels: Path | None = None,
    workers: int = 1,
    device: str = "cpu",
    protocols: Sequence[str] = (),
) -> None:
    """As `training.job.train_from_files`, where a recipe trains the encoders too: the model and weights of the `coarse`
    and the `fine` one, from the images of the samples table, whose paths are relative to `root`.

    Raises InputError as `train_from_files` and `adapt` do, for a recipe without an adaptation, and for encoders that
    the features are not by.
    """
    if not recipe.adaptation:
        raise InputError(f"recipe {recipe.name}: trains on cached features; take `mstclipiqa train`")
    prepare_process()
    plain = replace(recipe, adaptation=None)
    frozen, table, metadata = read_job(files, splits, levels, plain, variant, target, fine_levels, protocols)
    metadata["recipe_values"] = recipe.values
    chosen = choose_device(device)
    if chosen.type == "cuda":
        set_products(tf32=False)
    loaded = [load_encoder(*encoders[role], chosen) for role in ("coarse", "fine")]
    for role, encoder in zip(("coarse", "fine"), loaded, strict=True):
        known = metadata["encoders"][role]
        if differing := [key for key in SAME if digest(encoder.identity[key]) != digest(known.get(key))]:
            raise InputError(
                f"{getattr(files, role)}: features by another {role} encoder than {encoder.identity['label']} (its "
                f"{differing[0]} differs); extract them again, or name that encoder"
            )
    trainer = adapt(frozen, recipe, loaded, SAMPLES.read(files.samples)[0], root)
    train_job(output, trainer, table, seeds, metadata, workers, chosen, split_seeds, __name__)
