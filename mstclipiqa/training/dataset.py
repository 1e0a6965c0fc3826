"""One benchmark and target on cached features, joined with a split's roles and a recipe's level texts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import TEST, TRAIN, VAL
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures, load_features, load_texts
from mstclipiqa.model.recipes import Recipe, level_texts
from mstclipiqa.model.variants import CONSTANT, EMPTY, OWN, PERMUTED, TRANSLATED, WITHIN_GENERATOR, stream_roles

Scores = TypeVar("Scores", np.ndarray, Tensor)

#: What a recipe's models learn to give.
MOS_SCALE, LEVEL_SCALE = "mos", "levels"

#: Seeds the permutation of prompts among images, one for all splits, seeds and targets.
PROMPT_SEED = 16799

#: Two states of the start token differ by less where nothing but rounding parts them, as a share of the largest value.
SAME_STATE = 0.01

#: Images that a role needs, if it is filled at all: of two, every correlation is 1 or -1.
MINIMUM_IMAGES = 3


def to_score(mos: np.ndarray, low: float, high: float) -> np.ndarray:
    """MOS on its nominal range, mapped linearly to the scores 1..5."""
    return 1 + 4 * (np.asarray(mos) - low) / (high - low)


def to_mos(score: Scores, low: float, high: float) -> Scores:
    """The inverse of `to_score`, of an array or a tensor, which stays on its device."""
    return low + (score - 1) * (high - low) / 4


@dataclass(frozen=True)
class Dataset:
    """One benchmark x target on cached features, in the samples' order.

    f_c, f_f: (N, D); where a model looks at more than two streams, f_f has all but the first side by side; tokens: the
    token states of all prompts, flat (sum of L, T); starts, lengths: (N,) where each image's prompt lies in it; score:
    (N,), what is learned; mos: (N,) on the benchmark's scale; low, high: the MOS that the scores 1 and 5 stand for;
    views_c, views_f: (N, V, D) of augmented views to train on, the same ones of all streams; sizes: the numbers of an
    image in each stream, where they are not two of D.
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
    sizes: tuple[int, ...] | None = None

    def to(self, device: torch.device) -> "Dataset":
        """The same with its tensors on a device."""
        moved: dict[str, Any] = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)

    def prompts(self, rows: Tensor, longest: int | None = None) -> tuple[Tensor, Tensor]:
        """Token states (..., L, T) of the prompts of rows (...), padded to the longest, and the padding (..., L). A
        `longest` that is given is L: to find the longest of these rows, the CPU would wait for a GPU."""
        lengths = self.lengths[rows]
        steps = torch.arange(int(lengths.max()) if longest is None else longest, device=rows.device)
        padding = steps >= lengths[..., None]
        positions = (self.starts[rows][..., None] + steps).masked_fill(padding, 0)
        return F.embedding(positions, self.tokens), padding  # what indexing gives, in a quarter of the time on a CPU

    def streams(self, rows: Tensor, views: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """f_c and f_f, each (..., D), of the images of rows (...), or of one augmented view of each."""
        if views is None:
            return self.f_c[rows], self.f_f[rows]
        assert self.views_c is not None and self.views_f is not None, "Trainer.of_texts refuses what has no views"
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
    trained_scale: str = LEVEL_SCALE,
    given: str = OWN,
    further: Sequence[tuple[ImageFeatures, ImageFeatures | None]] = (),
) -> Dataset:
    """Join samples with their features. A recipe's `trained_scale` says what is learned: the MOS as they are, as the
    released code does, or the benchmark's nominal range mapped linearly to the levels 1..5. `given` is the `prompts`
    of a variant: which prompt goes with each image. `further` are streams beside the pair, and their augmented views.

    Raises InputError where the stores are of other images or texts, or have no translations that are asked for, and for
    empty prompts of a text tower that does not read from left to right.
    """
    if target not in ranges:
        raise InputError(f"{samples['benchmark'].iloc[0]} has no {target} MOS; it has {', '.join(ranges)}")
    streams = [(coarse, coarse_views), (fine, fine_views), *further]
    for role, (store, views) in zip(stream_roles(len(streams)), streams, strict=True):
        if views and (views.features.ndim != 3 or views.metadata["encoder"] != store.metadata["encoder"]):
            raise InputError(f"{role} views are no augmented views by the encoder of the features; extract them again")
        if views and views.images != store.images:
            raise InputError(f"{role} views are of other images than the features; extract them again")
        if store.images != samples["image"].tolist() or store.metadata["sha256"] != samples["sha256"].tolist():
            raise InputError(f"{role} features are of other images than the samples table; extract them again")
    unknown = set(samples["prompt"]) - set(prompts.index)
    if unknown:
        raise InputError(f"{len(unknown)} prompts are not encoded, e.g. {min(unknown)!r}; encode them again")
    texts = samples["prompt"].iloc[prompt_sources(samples, given)]
    if given == TRANSLATED:
        if not prompts.translations:
            raise InputError("the prompts' store has no translations; name a file of them in the configuration")
        texts = texts.map(prompts.translations)
    rows = np.array([prompts.index[prompt] for prompt in texts])
    first = prompts.tokens[prompts.offsets[rows]]
    if given == EMPTY and np.abs(first - first[0]).max() > SAME_STATE * np.abs(first[0]).max():
        raise InputError(
            "the start token's state differs between prompts: the text encoder does not read from left to right, so "
            "that this is no empty prompt; leave star-empty out"
        )
    lengths = np.ones_like(rows) if given == EMPTY else np.diff(prompts.offsets)[rows]
    low, high = ranges[target] if trained_scale == LEVEL_SCALE else (1.0, 5.0)  # scores of 1 and 5 as they are
    mos = samples[target].to_numpy(dtype=float)

    def tensor(*values: np.ndarray) -> Tensor:
        joined = values[0] if len(values) == 1 else np.concatenate(values, axis=-1)
        return torch.from_numpy(np.ascontiguousarray(joined))

    seen = [views.features for _, views in streams[1:] if views]

    return Dataset(
        images=samples["image"].tolist(),
        f_c=tensor(coarse.features),
        f_f=tensor(*(store.features for store, _ in streams[1:])),
        tokens=tensor(prompts.tokens),
        starts=tensor(prompts.offsets[rows]),
        lengths=tensor(lengths),
        score=tensor(to_score(mos, low, high).astype(np.float32)),
        mos=mos,
        low=low,
        high=high,
        views_c=tensor(coarse_views.features) if coarse_views else None,
        views_f=tensor(*seen) if len(seen) == len(streams) - 1 else None,
        sizes=tuple(store.features.shape[1] for store, _ in streams),
    )


def prompt_sources(samples: pd.DataFrame, given: str) -> np.ndarray:
    """For each image (N,) the row of the image whose prompt goes with it; `given` is the `prompts` of a variant.

    A permutation leaves an image its own prompt where chance does, about one in as many as there are prompts. The empty
    prompt is the start token of the image's own: a text tower that reads from left to right, as CLIP's, gives this
    token the same state in every prompt.
    """
    rows, rng = np.arange(len(samples)), np.random.default_rng(PROMPT_SEED)
    if given == PERMUTED:
        return rng.permutation(rows)
    if given == CONSTANT:
        return np.zeros_like(rows)
    if given == WITHIN_GENERATOR:
        for own in samples.groupby("generator", sort=True).indices.values():
            rows[own] = rng.permutation(own)
    return rows


@dataclass(frozen=True)
class DatasetFiles:
    """The files that a dataset is read from: a samples table, and stores of its images and prompts. `further` are those
    of streams beside the pair."""

    samples: Path
    coarse: Path
    fine: Path
    prompts: Path
    coarse_views: Path | None = None
    fine_views: Path | None = None
    further: Sequence[Path] = ()
    further_views: Sequence[Path] = ()


def read_dataset(files: DatasetFiles, target: str, recipe: Recipe, given: str = OWN) -> tuple[Dataset, dict]:
    """The dataset of `target` under a recipe, with the prompts that a variant is `given`, and the benchmark's card with
    the identities of the `encoders` and the `text_encoder`.

    Raises InputError as `assemble_dataset` does, where a file is not what it should be, and for a recipe that trains
    the encoders.
    """
    if recipe.adaptation:
        raise InputError(
            f"recipe {recipe.name}: trains the encoders, from images, and this step trains on cached features; take "
            "another recipe, or `mstclipiqa train-adapted`"
        )
    frame, card = SAMPLES.read(files.samples)
    pair = {"coarse": load_features(files.coarse), "fine": load_features(files.fine)}
    others = [load_features(path) for path in files.further]
    prompts = load_texts(files.prompts)
    coarse_views, fine_views = (
        load_features(path) if path else None for path in (files.coarse_views, files.fine_views)
    )
    views: list[ImageFeatures | None] = [load_features(path) for path in files.further_views]
    views = views or [None] * len(others)
    if len(views) != len(others):
        raise InputError(f"{len(others)} further streams and augmented views of {len(views)}; give those of each")
    stores = [*pair.values(), *others]
    card["encoders"] = {
        role: store.metadata["encoder"] for role, store in zip(stream_roles(len(stores)), stores, strict=True)
    }
    card["text_encoder"] = prompts.metadata["encoder"]
    data = assemble_dataset(
        frame, card["ranges"], target, **pair, prompts=prompts, coarse_views=coarse_views, fine_views=fine_views,
        trained_scale=recipe.trained_scale, given=given, further=list(zip(others, views, strict=True)),
    )  # fmt: skip
    return data, card


def first_split(splits: pd.DataFrame, protocol: str | None = None) -> tuple[str, int]:
    """A protocol, the first in the table if not given, and its first split."""
    protocol = protocol or splits["protocol"].iloc[0]
    return protocol, int(splits.loc[splits["protocol"] == protocol, "split"].min())


def roles_of(data: Dataset, splits: pd.DataFrame, protocol: str, split: int) -> np.ndarray:
    """The role (N,) of every image of the dataset in one split of a splits table.

    Raises InputError for a split that is not in the table, and as `assign_roles` does.
    """
    rows = splits[(splits["protocol"] == protocol) & (splits["split"] == split)]
    if rows.empty:
        known = ", ".join(f"{name} ({count})" for name, count in splits.groupby("protocol")["split"].nunique().items())
        raise InputError(f"{protocol}, split {split}: not in the splits table; it has {known}, splits from 0")
    return assign_roles(data, rows, f"{protocol}, split {split}")


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
    texts = level_texts(recipe.template)
    missing = [text for text in texts if text not in levels.index]
    if missing:
        raise InputError(f"level text {missing[0]!r} is not encoded; encode the recipe's template again")
    return torch.from_numpy(levels.pooled[[levels.index[text] for text in texts]])
