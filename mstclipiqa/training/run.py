"""The training of one run, and its predictions at each selected epoch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.names import LAST, VAL, VALIDATION
from mstclipiqa.encoders.stores import TextFeatures
from mstclipiqa.model.build import MSTCLIPIQA, TrainedStreams, build_model
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.training.dataset import Dataset, level_embeddings
from mstclipiqa.training.losses import Objective
from mstclipiqa.training.optimiser import Optimiser, learning_rate
from mstclipiqa.training.selection import Selected

#: Images per forward pass when no gradient is needed.
EVALUATION_BATCH = 512

#: The same where encoders see them, whose activations are of every token.
ENCODED_BATCH = 64


class Run(NamedTuple):
    """One run of a job: a split, its roles (N,) of the dataset's images (train, val, test or none), and a seed."""

    protocol: str
    split: int
    seed: int
    roles: np.ndarray

    def __str__(self) -> str:
        return f"{self.protocol}, split {self.split}, seed {self.seed}"


@dataclass(frozen=True)
class Trainer:
    """What runs of one model share. `levels` (5, D) are by the text tower of both streams, or of the coarse one where
    `fine_levels` are by the other's."""

    data: Dataset
    variant: str
    recipe: Recipe
    levels: Tensor
    fine_levels: Tensor | None = None

    #: Whether a GPU may train many runs as one.
    stackable: ClassVar[bool] = True

    @classmethod
    def of_texts(
        cls, data: Dataset, variant: str, recipe: Recipe, levels: TextFeatures, fine_levels: TextFeatures | None = None
    ) -> "Trainer":
        """The trainer with a recipe's level texts. Raises InputError where a text is missing, or the recipe trains on
        augmented views and the dataset has none."""
        if recipe.views and (data.views_c is None or data.views_f is None):
            raise InputError(f"recipe {recipe.name} trains on augmented views of the images; give those of all streams")
        own = level_embeddings(fine_levels, recipe) if fine_levels else None
        return cls(data, variant, recipe, level_embeddings(levels, recipe), own)

    def build(self, seed: int) -> MSTCLIPIQA:
        """The untrained model of a seed."""
        dim, width = self.data.f_c.shape[1], self.data.tokens.shape[1]
        return build_model(self.variant, self.recipe, dim, width, self.levels, seed, self.fine_levels, self.data.sizes)

    def train_selected(self, run: Run, selection: str) -> tuple[MSTCLIPIQA, pd.DataFrame]:
        """The model of a run at the epoch that a selection takes, in evaluation mode, and its test predictions there,
        as `train_run` gives them. Raises InputError for the epoch best on validation where the split has no validation
        images, and FailedRunError as `train_run` does."""
        if selection == VALIDATION and not (run.roles == VAL).any():
            raise InputError(
                f"{run.protocol}, split {run.split} has no validation images to choose an epoch on; choose {LAST}"
            )
        model = self.build(run.seed)
        state: dict[str, Tensor] = {}

        def keep(epoch: int, trained: MSTCLIPIQA, selected: Selected) -> None:
            if selected.best[selection][1] == epoch:
                state.update({name: value.detach().clone() for name, value in trained.state_dict().items()})

        predictions = train_run(model, self.data, run.roles, self.recipe, run.seed, keep)
        model.load_state_dict(state)
        return model, predictions[predictions["selection"] == selection]

    def train(self, run: Run) -> pd.DataFrame:
        """As `train_run`; what fails says which run it was."""
        try:
            return train_run(self.build(run.seed), self.data, run.roles, self.recipe, run.seed)
        except FailedRunError as error:
            raise FailedRunError(f"{run}: {error}") from None


def predict_all(model: MSTCLIPIQA, data: Dataset, rows: Tensor) -> Tensor:
    """As `predict`, without gradients and a chunk at a time."""
    with torch.inference_mode():
        size = ENCODED_BATCH if isinstance(model.fusion, TrainedStreams) else EVALUATION_BATCH
        return torch.cat([predict(model, data, chunk) for chunk in rows.to(data.score.device).split(size)])


def predict(model: MSTCLIPIQA, data: Dataset, rows: Tensor) -> Tensor:
    """Scores (len(rows),) on 1..5 of the dataset's rows."""
    prompts = data.prompts(rows) if model.uses_prompt else ()
    return model(*data.streams(rows), *prompts)


def draw_epoch(train: Tensor, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """One epoch: the rows `train` in random order, and a view of each, where the recipe has some."""
    rows = train[torch.randperm(len(train), generator=generator)]
    return rows, torch.randint(recipe.views, rows.shape, generator=generator) if recipe.views else None


def draw_batches(train: Tensor, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor | None]]:
    """One epoch, a batch at a time; the last may be smaller."""
    rows, views = draw_epoch(train, recipe, generator)
    batches = rows.split(recipe.batch_size)
    yield from zip(batches, repeat(None) if views is None else views.split(recipe.batch_size), strict=False)


def check_loss(loss: float, epoch: int) -> None:
    """Raises FailedRunError for a loss that is not finite."""
    if not math.isfinite(loss):
        raise FailedRunError(f"the training loss is {loss} in epoch {epoch}; the run has diverged")


def train_run(
    model: MSTCLIPIQA,
    data: Dataset,
    roles: np.ndarray,
    recipe: Recipe,
    seed: int,
    observe: Callable[[int, MSTCLIPIQA, Selected], None] | None = None,
) -> pd.DataFrame:
    """Train one run and predict its test images at each selected epoch.

    `roles` (N,) says train, val or test; an image without a role is not used. Batches, views and dropout are drawn
    from `seed` alone. Returns rows of (selection, epoch, image, prediction, mos), both in MOS units; epochs count
    from 1; of equally good epochs the first is taken. `observe` is called with each epoch's number, the model in
    evaluation mode, and what is selected so far. Raises FailedRunError for a loss that is not finite and for constant
    predictions.
    """
    run, generator = Selected(data, roles), torch.Generator().manual_seed(seed)
    objective, optimiser = Objective(model, recipe), Optimiser(model, recipe)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of dropout
        for epoch in range(1, recipe.epochs + 1):
            model.train()
            rate = learning_rate(recipe, epoch)
            for drawn, views in draw_batches(run.train, recipe, generator):
                rows = drawn.to(data.score.device)
                prompts = data.prompts(rows) if model.uses_prompt else ()
                loss = objective(*data.streams(rows, views), data.score[rows], prompts)
                loss.backward()
                optimiser.step(rate)
            check_loss(loss.item(), epoch)
            model.eval()
            run.see(epoch, lambda rows: predict_all(model, data, rows))
            if observe:
                observe(epoch, model, run)
    return run.table()
