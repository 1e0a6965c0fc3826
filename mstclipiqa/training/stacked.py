"""Many runs trained as one: their parameters and batches on a leading dimension, as a GPU wants them.

The mathematics is that of `training.Objective`, mapped over the runs. Every run draws its own weights and batches from
its own seed, so its result does not depend on its neighbours: it is that of `training.train_run`, within float32's
rounding.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils.rnn import pad_sequence

from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.names import TRAIN
from mstclipiqa.model.build import MSTCLIPIQA
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.training.dataset import Dataset
from mstclipiqa.training.losses import Objective
from mstclipiqa.training.optimiser import Adam, learning_rate
from mstclipiqa.training.run import EVALUATION_BATCH, Run, check_loss, draw_batches
from mstclipiqa.training.selection import Selected

#: Runs at a time: enough to fill a GPU; the memory of their parameters, gradients and activations grows with them.
STACK = 128


def train_stacked(
    build: Callable[[int], MSTCLIPIQA],
    data: Dataset,
    runs: Sequence[Run],
    recipe: Recipe,
    device: torch.device,
) -> Iterator[tuple[Run, pd.DataFrame]]:
    """Train all runs; yields each one and what `train_run` returns. `build` gives the untrained model of a seed.

    Runs of equally many batches an epoch are trained together, STACK at a time. The recipe has no dropout: that draws
    from one generator, which runs cannot share. Raises FailedRunError as `train_run` does, and says which run it was.
    """
    moved: dict[str, Any] = {
        field.name: value.to(device) for field in fields(data) if isinstance(value := getattr(data, field.name), Tensor)
    }
    data = replace(data, **moved)
    by_batches = defaultdict(list)
    for run in runs:
        by_batches[-(-np.count_nonzero(run.roles == TRAIN) // recipe.batch_size)].append(run)
    for equal in by_batches.values():
        for start in range(0, len(equal), STACK):
            group = equal[start : start + STACK]
            yield from zip(group, _train_group(build, data, group, recipe, device), strict=True)


def _train_group(
    build: Callable[[int], MSTCLIPIQA], data: Dataset, runs: list[Run], recipe: Recipe, device: torch.device
) -> list[pd.DataFrame]:
    objectives = [Objective(build(run.seed), recipe).to(device) for run in runs]
    parameters, buffers = stack_module_state(objectives)
    generators = [torch.Generator().manual_seed(run.seed) for run in runs]
    selected = [Selected(data, run.roles) for run in runs]
    optimiser = Adam(parameters.values(), recipe.weight_decay)
    objective, model = objectives[0], objectives[0].model

    @vmap
    def losses_of(state: tuple[dict, dict], *batch: Tensor | tuple) -> Tensor:
        return functional_call(objective, state, batch)

    for epoch in range(1, recipe.epochs + 1):
        rate = learning_rate(recipe, epoch)
        drawn = [draw_batches(own.train, recipe, each) for own, each in zip(selected, generators, strict=True)]
        for batch in zip(*drawn, strict=True):
            rows, present = _pad([rows for rows, _ in batch], device)
            views = _pad([views for _, views in batch], device)[0] if recipe.views else None
            prompts = data.prompts(rows) if model.uses_prompt else ()
            losses = losses_of((parameters, buffers), *data.streams(rows, views), data.score[rows], prompts, present)
            losses.sum().backward()
            optimiser.step(rate)
        scores = _predict_all(model, parameters, buffers, data)
        for run, own, loss, scored in zip(runs, selected, losses.tolist(), scores, strict=True):
            try:
                check_loss(loss, epoch)
                own.see(epoch, scored.__getitem__)
            except FailedRunError as error:
                raise FailedRunError(f"{run}: {error}") from None
    return [own.table() for own in selected]


def _pad(rows: list[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Batches of R runs side by side (R, B), filled up to the largest, and which entries are present."""
    lengths = torch.tensor([len(own) for own in rows])
    padded = pad_sequence(rows, batch_first=True)
    return padded.to(device), (torch.arange(padded.shape[1]) < lengths[:, None]).to(device)


@torch.no_grad()
def _predict_all(model: MSTCLIPIQA, parameters: dict, buffers: dict, data: Dataset) -> Tensor:
    """Scores (R, N) of all images of the dataset by R runs."""
    parameters, buffers = (
        {name.removeprefix("model."): value for name, value in part.items()} for part in (parameters, buffers)
    )

    def scores_of(state: tuple[dict, dict], features: tuple[Tensor, ...]) -> Tensor:
        return functional_call(model, state, features)

    chunks = torch.arange(len(data.images), device=data.f_c.device).split(EVALUATION_BATCH)
    prompts = [data.prompts(rows) if model.uses_prompt else () for rows in chunks]
    return torch.cat(
        [
            vmap(scores_of, in_dims=(0, None))((parameters, buffers), (*data.streams(rows), *own))
            for rows, own in zip(chunks, prompts, strict=True)
        ],
        dim=1,
    ).cpu()
