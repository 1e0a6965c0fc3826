"""The losses, and the training of one run on cached features."""

import ctypes
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim.adam import adam

from mstclipiqa.errors import FailedRunError, InputError
from mstclipiqa.features import ImageFeatures, TextFeatures
from mstclipiqa.metrics import srcc
from mstclipiqa.model import MSTCLIPIQA
from mstclipiqa.recipes import LEVELS, Recipe
from mstclipiqa.splits import TEST, TRAIN, VAL

#: Epoch selections. `best-on-test` peeks at the reported images; it is what the released code does.
LAST, VALIDATION, BEST_ON_TEST = "last", "validation", "best-on-test"

#: Images per forward pass when no gradient is needed.
EVALUATION_BATCH = 512

#: Parameters of glibc's mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3

#: Images that a role needs, if it is filled at all: of two, every correlation is 1 or -1.
MINIMUM_IMAGES = 3


def ranking_loss(prediction: Tensor, score: Tensor, margin: float, present: Tensor | None = None) -> Tensor:
    """Pairwise margin ranking: the mean of relu(-sign(q_i - q_j)(p_i - p_j) + margin) over ordered pairs
    (i, j) with q_i != q_j; 0 where there is no such pair. Predictions p and scores q are (B,), as is `present`,
    false for what only fills a batch."""
    order = torch.sign(score[:, None] - score[None, :])
    if present is not None:
        order = order * (present[:, None] & present[None, :])
    loss = torch.relu(margin - order * (prediction[:, None] - prediction[None, :]))
    unequal = order != 0
    return (loss * unequal).sum() / unequal.sum().clamp(min=1)


def gate_sparsity(gate: Tensor) -> Tensor:
    """The optional term (B,): the mean of min(g, 1 - g) over the dimensions of each image's gate (B, D)."""
    return torch.minimum(gate, 1 - gate).mean(-1)


def batch_mean(values: Tensor, present: Tensor | None) -> Tensor:
    """The mean of values (B,), of those that are present."""
    return values.mean() if present is None else (values * present).sum() / present.sum()


def total_loss(prediction: Tensor, score: Tensor, recipe: Recipe, present: Tensor | None = None) -> Tensor:
    """MSE + lambda * ranking loss, on scores of 1..5."""
    squares = F.mse_loss(prediction, score, reduction="none")
    ranking = ranking_loss(prediction, score, recipe.ranking_margin, present)
    return batch_mean(squares, present) + recipe.ranking_weight * ranking


class Objective(nn.Module):
    """What training minimises, of a model and a batch: the loss, and the gates' sparsity where the recipe has it."""

    def __init__(self, model: MSTCLIPIQA, recipe: Recipe):
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(
        self, f_c: Tensor, f_f: Tensor, score: Tensor, prompts: tuple = (), present: Tensor | None = None
    ) -> Tensor:
        """The scalar loss of features (B, D), scores (B,) and, with a prompt head, the prompts' tokens and padding."""
        loss = total_loss(self.model(f_c, f_f, *prompts), score, self.recipe, present)
        if self.recipe.gate_sparsity and hasattr(self.model.fusion, "gate"):
            sparsity = batch_mean(gate_sparsity(self.model.fusion.gate(f_c, f_f)), present)
            loss = loss + self.recipe.gate_sparsity * sparsity
        return loss


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The learning rate of an epoch (from 1): a linear rise over the warm-up epochs, then constant or a cosine.

    The sources name the schedules only; that they move by epochs is our reading.
    """
    if epoch <= recipe.warm_up_epochs:
        return recipe.learning_rate * epoch / recipe.warm_up_epochs
    if recipe.schedule == "constant":
        return recipe.learning_rate
    share = (epoch - recipe.warm_up_epochs) / max(1, recipe.epochs - recipe.warm_up_epochs)
    fall = recipe.learning_rate - recipe.final_learning_rate
    return recipe.final_learning_rate + fall * (1 + math.cos(math.pi * share)) / 2


def to_score(mos: np.ndarray, low: float, high: float) -> np.ndarray:
    """MOS on its nominal range, mapped linearly to the scores 1..5."""
    return 1 + 4 * (np.asarray(mos) - low) / (high - low)


def to_mos(score: np.ndarray, low: float, high: float) -> np.ndarray:
    """The inverse of `to_score`."""
    return low + (np.asarray(score) - 1) * (high - low) / 4


@dataclass(frozen=True)
class Dataset:
    """One benchmark x target on cached features, in the samples' order.

    f_c, f_f: (N, D); tokens: the token states of all prompts, flat (sum of L, T); starts, lengths: (N,) where
    each image's prompt lies in it; score: (N,) on 1..5; mos: (N,) on the benchmark's scale low..high;
    views_c, views_f: (N, V, D) of augmented views to train on, the same ones of both streams.
    """

    images: list[str]
    f_c: Tensor
    f_f: Tensor
    tokens: Tensor
    starts: Tensor
    lengths: Tensor
    score: Tensor
    mos: np.ndarray
    low: float
    high: float
    views_c: Tensor | None = None
    views_f: Tensor | None = None

    def prompts(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Token states (..., L, T) of the prompts of rows (...), padded to the longest, and the padding (..., L)."""
        lengths = self.lengths[rows]
        steps = torch.arange(int(lengths.max()), device=rows.device)
        padding = steps >= lengths[..., None]
        positions = (self.starts[rows][..., None] + steps).masked_fill(padding, 0)
        return self.tokens[positions], padding

    def streams(self, rows: Tensor, views: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """f_c and f_f, each (..., D), of the images of rows (...), or of one augmented view of each."""
        if views is None:
            return self.f_c[rows], self.f_f[rows]
        return self.views_c[rows, views], self.views_f[rows, views]


def assemble_dataset(
    samples: pd.DataFrame,
    ranges: dict[str, list[float]],
    target: str,
    coarse: ImageFeatures,
    fine: ImageFeatures,
    prompts: TextFeatures,
    coarse_views: ImageFeatures | None = None,
    fine_views: ImageFeatures | None = None,
) -> Dataset:
    """Join samples with their features. Raises InputError where the stores are of other images or texts."""
    if target not in ranges:
        raise InputError(f"{samples['benchmark'].iloc[0]} has no {target} MOS; it has {', '.join(ranges)}")
    for role, store, views in (("coarse", coarse, coarse_views), ("fine", fine, fine_views)):
        if views and (views.features.ndim != 3 or views.metadata["encoder"] != store.metadata["encoder"]):
            raise InputError(f"{role} views are no augmented views by the encoder of the features; extract them again")
        if views and views.images != store.images:
            raise InputError(f"{role} views are of other images than the features; extract them again")
        if store.images != samples["image"].tolist() or store.metadata["sha256"] != samples["sha256"].tolist():
            raise InputError(f"{role} features are of other images than the samples table; extract them again")
    unknown = set(samples["prompt"]) - set(prompts.index)
    if unknown:
        raise InputError(f"{len(unknown)} prompts are not encoded, e.g. {min(unknown)!r}; encode them again")
    if coarse.features.shape[1] != fine.features.shape[1]:
        raise InputError("coarse and fine features differ in size; choose encoders of one embedding size")
    rows = np.array([prompts.index[prompt] for prompt in samples["prompt"]])
    low, high = ranges[target]
    mos = samples[target].to_numpy(dtype=float)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))

    return Dataset(
        images=samples["image"].tolist(),
        f_c=tensor(coarse.features),
        f_f=tensor(fine.features),
        tokens=tensor(prompts.tokens),
        starts=tensor(prompts.offsets[rows]),
        lengths=tensor(np.diff(prompts.offsets)[rows]),
        score=tensor(to_score(mos, low, high).astype(np.float32)),
        mos=mos,
        low=low,
        high=high,
        views_c=tensor(coarse_views.features) if coarse_views else None,
        views_f=tensor(fine_views.features) if fine_views else None,
    )


class Run(NamedTuple):
    """One run of a job: a split, its roles (N,) of the dataset's images (train, val, test or none), and a seed."""

    protocol: str
    split: int
    seed: int
    roles: np.ndarray

    def __str__(self) -> str:
        return f"{self.protocol}, split {self.split}, seed {self.seed}"


def predict(model: MSTCLIPIQA, data: Dataset, rows: Tensor) -> Tensor:
    """Scores (len(rows),) on 1..5 of the dataset's rows."""
    prompts = data.prompts(rows) if model.uses_prompt else ()
    return model(*data.streams(rows), *prompts)


class Adam:
    """torch's fused Adam update of those parameters that are trained; weight decay is an L2 term, as in the sources.

    Not torch.optim's class around it: that imports torch._dynamo, which takes as long as a small job trains.
    """

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float):
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.means, self.squares = ([torch.zeros_like(p) for p in self.parameters] for _ in range(2))
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]
        self.weight_decay = weight_decay

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the parameters by their gradients, and clear these."""
        adam(
            self.parameters, [p.grad for p in self.parameters], self.means, self.squares, [], self.steps,
            fused=True, amsgrad=False, maximize=False,
            beta1=0.9, beta2=0.999, eps=1e-8, lr=learning_rate, weight_decay=self.weight_decay,
        )  # fmt: skip
        for parameter in self.parameters:
            parameter.grad = None


def prepare_process() -> None:
    """Let this process train: on one thread, since results must not depend on the cores and the matrices are small.

    glibc would return the memory of every step's gradients to the system; taking it anew costs up to a third of the
    prompt head's training (in page faults), so it is told to keep what is freed.
    """
    torch.set_num_threads(1)
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 25)


def draw_batches(train: Tensor, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor | None]]:
    """One epoch: the rows `train` in random order, a batch at a time (the last may be smaller), and a view of each."""
    for positions in torch.randperm(len(train), generator=generator).split(recipe.batch_size):
        views = torch.randint(recipe.views, positions.shape, generator=generator) if recipe.views else None
        yield train[positions], views


class Selected:
    """Of one run, the test predictions of the epoch that each selection reports; of equally good epochs the first."""

    def __init__(self, data: Dataset, roles: np.ndarray):
        self.data = data
        self.train, self.val, self.test = (
            torch.from_numpy(np.flatnonzero(roles == role)) for role in (TRAIN, VAL, TEST)
        )
        self.best: dict[str, tuple[float, int, np.ndarray]] = {}

    def see(self, epoch: int, predict: Callable[[Tensor], Tensor]) -> None:
        """Judge the model of an epoch; `predict` gives the scores (len(rows),) of rows of the dataset."""

        def evaluate(rows: Tensor) -> np.ndarray:
            return to_mos(predict(rows).double().cpu().numpy(), self.data.low, self.data.high)

        predicted = evaluate(self.test)
        candidates = {LAST: epoch, BEST_ON_TEST: srcc(predicted, self.data.mos[self.test])}
        if len(self.val):
            candidates[VALIDATION] = srcc(evaluate(self.val), self.data.mos[self.val])
        for selection, merit in candidates.items():
            if selection not in self.best or merit > self.best[selection][0]:
                self.best[selection] = (merit, epoch, predicted)

    def table(self) -> pd.DataFrame:
        """Rows of (selection, epoch, image, prediction, mos), both in MOS units."""
        images, mos = [self.data.images[row] for row in self.test], self.data.mos[self.test]
        return pd.concat(
            [
                pd.DataFrame(
                    {"selection": selection, "epoch": epoch, "image": images, "prediction": predicted, "mos": mos}
                )
                for selection, (_, epoch, predicted) in sorted(self.best.items())
            ],
            ignore_index=True,
        )


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
    observe: Callable[[int, MSTCLIPIQA], None] | None = None,
) -> pd.DataFrame:
    """Train one run and predict its test images at each selected epoch.

    `roles` (N,) says train, val or test; an image without a role is not used. Batches, views and dropout are drawn
    from `seed` alone. Returns rows of (selection, epoch, image, prediction, mos), both in MOS units; epochs count
    from 1; of equally good epochs the first is taken. `observe` is called with each epoch's number and the model in
    evaluation mode. Raises FailedRunError for a loss that is not finite and for constant predictions.
    """
    run, generator = Selected(data, roles), torch.Generator().manual_seed(seed)
    objective, optimiser = Objective(model, recipe), Adam(model.parameters(), recipe.weight_decay)

    @torch.inference_mode()
    def scores(rows: Tensor) -> Tensor:
        return torch.cat([predict(model, data, chunk) for chunk in rows.split(EVALUATION_BATCH)])

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of dropout
        for epoch in range(1, recipe.epochs + 1):
            model.train()
            rate = learning_rate(recipe, epoch)
            for rows, views in draw_batches(run.train, recipe, generator):
                prompts = data.prompts(rows) if model.uses_prompt else ()
                loss = objective(*data.streams(rows, views), data.score[rows], prompts)
                loss.backward()
                optimiser.step(rate)
            check_loss(loss.item(), epoch)
            model.eval()
            if observe:
                observe(epoch, model)
            run.see(epoch, scores)
    return run.table()


def assign_roles(data: Dataset, split: pd.DataFrame, name: str) -> np.ndarray:
    """The role (N,) of every image of the dataset in one split, from its rows of (image, role).

    Raises InputError where the split is of other images, has one twice, or too few to train, choose an epoch or test.
    """
    others = set(split["image"]) - set(data.images)
    if others:
        raise InputError(
            f"splits of other images than the samples: {name} has {len(others)}, e.g. {min(others)}; split again"
        )
    twice = split.loc[split["image"].duplicated(), "image"]
    if len(twice):
        raise InputError(f"{name}: image {twice.iloc[0]} stands twice ({len(twice)} such rows); split again")
    roles = split.set_index("image")["role"].reindex(data.images).to_numpy(dtype=object)
    for role in (TRAIN, VAL, TEST):
        count = int((roles == role).sum())
        if count < MINIMUM_IMAGES and (count or role != VAL):
            raise InputError(f"{name} has {count} images for {role}; a correlation needs at least {MINIMUM_IMAGES}")
    return roles


def level_embeddings(levels: TextFeatures, recipe: Recipe) -> Tensor:
    """The embeddings (5, D) of the recipe's template, in the order of LEVELS. Raises InputError where one
    is missing."""
    texts = [recipe.template.format(level) for level in LEVELS]
    missing = [text for text in texts if text not in levels.index]
    if missing:
        raise InputError(f"level text {missing[0]!r} is not encoded; encode the recipe's template again")
    return torch.from_numpy(levels.pooled[[levels.index[text] for text in texts]])
