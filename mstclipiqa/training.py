"""The losses, and the training of every run of one job on cached features."""

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim.adam import adam

from mstclipiqa.errors import FailedRunError, InputError
from mstclipiqa.features import ImageFeatures, TextFeatures
from mstclipiqa.files import Parts, digest, read_table, write_table
from mstclipiqa.fingerprint import fingerprint
from mstclipiqa.metrics import srcc
from mstclipiqa.model import MSTCLIPIQA, build_model, count_trainable
from mstclipiqa.progress import progress
from mstclipiqa.recipes import LEVELS, Recipe
from mstclipiqa.splits import TEST, TRAIN, VAL
from mstclipiqa.variants import get_variant

#: Epoch selections. `best-on-test` peeks at the reported images; it is what the released code does.
LAST, VALIDATION, BEST_ON_TEST = "last", "validation", "best-on-test"

#: Images per forward pass when no gradient is needed.
EVALUATION_BATCH = 512

#: Images that a role needs, if it is filled at all: of two, every correlation is 1 or -1.
MINIMUM_IMAGES = 3


def ranking_loss(prediction: Tensor, score: Tensor, margin: float) -> Tensor:
    """Pairwise margin ranking: the mean of relu(-sign(q_i - q_j)(p_i - p_j) + margin) over ordered pairs
    (i, j) with q_i != q_j; 0 where there is no such pair. Predictions p and scores q are (B,)."""
    order = torch.sign(score[:, None] - score[None, :])
    loss = torch.relu(margin - order * (prediction[:, None] - prediction[None, :]))
    unequal = order != 0
    return (loss * unequal).sum() / unequal.sum().clamp(min=1)


def total_loss(prediction: Tensor, score: Tensor, recipe: Recipe) -> Tensor:
    """MSE + lambda * ranking loss, on scores of 1..5."""
    return F.mse_loss(prediction, score) + recipe.ranking_weight * ranking_loss(
        prediction, score, recipe.ranking_margin
    )


def gate_sparsity(gate: Tensor) -> Tensor:
    """The optional term: the mean of min(g, 1 - g) over images and dimensions of gates (B, D)."""
    return torch.minimum(gate, 1 - gate).mean()


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
        """Token states (B, L, T) of the rows' prompts, padded to the longest, and the padding (B, L)."""
        lengths = self.lengths[rows]
        steps = torch.arange(int(lengths.max()))
        padding = steps >= lengths[:, None]
        positions = (self.starts[rows][:, None] + steps).masked_fill(padding, 0)
        return self.tokens[positions], padding


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


def predict(model: MSTCLIPIQA, data: Dataset, rows: Tensor, views: Tensor | None = None) -> Tensor:
    """Scores (len(rows),) on 1..5 of the dataset's rows; with `views` (len(rows),), of that view of each."""
    prompts = data.prompts(rows) if model.uses_prompt else ()
    return model(*streams(data, rows, views), *prompts)


def streams(data: Dataset, rows: Tensor, views: Tensor | None) -> tuple[Tensor, Tensor]:
    """f_c and f_f, each (len(rows), D), of the images or of one view of each."""
    if views is None:
        return data.f_c[rows], data.f_f[rows]
    return data.views_c[rows, views], data.views_f[rows, views]


class Adam:
    """torch's fused Adam update of a model's trainable parameters; weight decay is an L2 term, as in the sources.

    Not torch.optim's class around it: that imports torch._dynamo, which takes as long as a small job trains.
    """

    def __init__(self, model: nn.Module, weight_decay: float):
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
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


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Positions 0..count-1 in random order, `size` at a time; the last batch may be smaller."""
    yield from torch.randperm(count, generator=generator).split(size)


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
    train, val, test = (torch.from_numpy(np.flatnonzero(roles == role)) for role in (TRAIN, VAL, TEST))
    generator = torch.Generator().manual_seed(seed)
    optimiser = Adam(model, recipe.weight_decay)

    def evaluate(rows: Tensor) -> np.ndarray:
        with torch.inference_mode():
            chunks = [predict(model, data, chunk) for chunk in rows.split(EVALUATION_BATCH)]
        return to_mos(torch.cat(chunks).double().numpy(), data.low, data.high)

    best: dict[str, tuple[float, int, np.ndarray]] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of dropout
        for epoch in range(1, recipe.epochs + 1):
            model.train()
            rate = learning_rate(recipe, epoch)
            for batch in batches(len(train), recipe.batch_size, generator):
                rows = train[batch]
                views = torch.randint(recipe.views, rows.shape, generator=generator) if recipe.views else None
                loss = total_loss(predict(model, data, rows, views), data.score[rows], recipe)
                if recipe.gate_sparsity and hasattr(model.fusion, "gate"):
                    loss = loss + recipe.gate_sparsity * gate_sparsity(model.fusion.gate(*streams(data, rows, views)))
                loss.backward()
                optimiser.step(rate)
            if not torch.isfinite(loss):
                raise FailedRunError(f"the training loss is {loss.item()} in epoch {epoch}; the run has diverged")
            model.eval()
            if observe:
                observe(epoch, model)
            predicted = evaluate(test)
            candidates = {LAST: epoch, BEST_ON_TEST: srcc(predicted, data.mos[test])}
            if len(val):
                candidates[VALIDATION] = srcc(evaluate(val), data.mos[val])
            for selection, merit in candidates.items():
                if selection not in best or merit > best[selection][0]:
                    best[selection] = (merit, epoch, predicted)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "selection": selection,
                    "epoch": epoch,
                    "image": [data.images[row] for row in test],
                    "prediction": predicted,
                    "mos": data.mos[test],
                }
            )
            for selection, (_, epoch, predicted) in sorted(best.items())
        ],
        ignore_index=True,
    )


def assign_roles(data: Dataset, split: pd.DataFrame, name: str) -> np.ndarray:
    """The role (N,) of every image of the dataset in one split, from its rows of (image, role).

    Raises InputError where the split is of other images, or has too few to train, choose an epoch or test.
    """
    others = set(split["image"]) - set(data.images)
    if others:
        raise InputError(
            f"splits of other images than the samples: {name} has {len(others)}, e.g. {min(others)}; split again"
        )
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


def train_job(
    output: Path,
    data: Dataset,
    splits: pd.DataFrame,
    variant: str,
    recipe: Recipe,
    levels: TextFeatures,
    seeds: list[int],
    metadata: dict,
    fine_levels: TextFeatures | None = None,
) -> None:
    """Train every (protocol, split, seed) run of one job and write all test predictions to `output`.

    Every run depends on its own seed and split alone, so the grouping of runs into jobs does not matter. A
    killed job resumes at its first unfinished run.
    """
    torch.set_num_threads(1)  # the matrices are small, and results must not depend on the cores
    if recipe.views and (data.views_c is None or data.views_f is None):
        raise InputError(f"recipe {recipe.name} trains on augmented views of the images; give those of both streams")
    of_levels = level_embeddings(levels, recipe)
    of_fine_levels = level_embeddings(fine_levels, recipe) if fine_levels else None

    def build(seed: int) -> MSTCLIPIQA:
        dim, width = data.f_c.shape[1], data.tokens.shape[1]
        return build_model(variant, recipe, dim, width, of_levels, seed, of_fine_levels)

    tables = [data.f_c, data.f_f, data.views_c, data.views_f, data.tokens, data.starts, data.lengths, data.score]
    contents = [
        None if table is None else zlib.crc32(table.numpy().tobytes()) for table in [*tables, of_levels, of_fine_levels]
    ]
    versions = {package: version(package) for package in ("torch", "numpy", "scipy")}
    metadata = {
        **metadata,
        "code": fingerprint(__name__, *filter(None, [get_variant(variant).module])),
        "versions": versions,
    }
    labels = [data.images, data.mos.tolist(), data.low, data.high]
    parts = Parts(output, [metadata, variant, recipe.values, contents, labels])
    runs = [
        (protocol, int(split), seed, assign_roles(data, group, f"{protocol}, split {split}"))
        for (protocol, split), group in splits.groupby(["protocol", "split"], sort=True)
        for seed in dict.fromkeys(seeds)
    ]
    finished = []
    description = f"train {metadata['benchmark']} {metadata['target']} {recipe.name} {variant}"
    for protocol, split, seed, roles in progress(runs, len(runs), description, "runs"):
        part = parts.path(f"{protocol}-{split}-{seed}-{digest(list(map(str, roles)))[:12]}.parquet")
        if not part.exists():
            try:
                run = train_run(build(seed), data, roles, recipe, seed)
            except FailedRunError as error:
                raise FailedRunError(f"{description}, {protocol}, split {split}, seed {seed}: {error}") from None
            run.insert(0, "protocol", protocol)
            run.insert(1, "split", split)
            run.insert(2, "seed", seed)
            write_table(part, run, {})
        finished.append(read_table(part)[0])
    metadata = {**metadata, "trainable_parameters": count_trainable(build(seeds[0])), "runs": len(runs)}
    write_table(output, pd.concat(finished, ignore_index=True), metadata)
    parts.clear()
