"""What the heads are held against: ridge on features, zero-shot scores, means over groups, and raters' noise."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mstclipiqa.analyses.ridge import Ridge, find_groupings, ridge_of_split
from mstclipiqa.analyses.zero_shot import zero_shot_scores
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.layout import BASELINES, SAMPLES, SPLITS
from mstclipiqa.base.names import TEST, TRAIN
from mstclipiqa.base.words import mean_and_sd
from mstclipiqa.data.benchmarks import get_benchmark, has_prompts
from mstclipiqa.encoders.statistics import NAMES
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures, load_features, load_texts
from mstclipiqa.evaluation.metrics import plcc, srcc
from mstclipiqa.evaluation.noise_ceiling import noise_ceilings

#: What ridge reads from: columns of the stores side by side.
SOURCES: dict[str, dict[str, slice | list[int]]] = {
    "ridge on f_c": {"coarse": slice(None)},
    "ridge on f_f": {"fine": slice(None)},
    "ridge on f_c and f_f": {"coarse": slice(None), "fine": slice(None)},
    "ridge on image statistics": {"statistics": slice(None)},
    "ridge on mean colour": {"statistics": [NAMES.index(f"{channel}_mean") for channel in ("red", "green", "blue")]},
}


class Predicted(NamedTuple):
    """The predictions (m,) of the test images, and the penalty that was chosen for them, where there is one."""

    mos: np.ndarray
    penalty: float | None = None


#: The rivals that are of prompts, and say nothing where images have none.
OF_PROMPTS = ("CLIPScore", "prompt mean")


#: (train, test, MOS): masks (N,) of images and the MOS (N,) of them all -> predictions of the test images.
Predictor = Callable[[np.ndarray, np.ndarray, np.ndarray], Predicted]


#: The same on all streams that a configuration names, where it names some. Their stores are STREAM-1 and so on.
STREAMS, STREAM = "ridge on all streams", "stream"


def sources_of(stores: Iterable[str]) -> dict[str, dict[str, slice | list[int]]]:
    """What ridge reads from with these stores at hand, by source."""
    held = set(stores)
    streams: dict[str, slice | list[int]] = {name: slice(None) for name in stores if name.startswith(STREAM)}
    every = SOURCES | ({STREAMS: streams} if streams else {})
    return {source: parts for source, parts in every.items() if parts.keys() <= held}


def lacking(stores: Iterable[str]) -> list[str]:
    """The SOURCES that read from other stores than these: those on statistics, where there are no images."""
    return [source for source, parts in SOURCES.items() if not parts.keys() <= set(stores)]


def ridge_predictors(stores: dict[str, ImageFeatures], groupings: Sequence[np.ndarray] = ()) -> dict[str, Predictor]:
    """Ridge regression on each source that the `stores` allow: coarse, fine, streams and, of images, statistics. The
    penalty is chosen on the training images, by inner folds that keep whole those of the `groupings` (N,) that the
    split does. What is decomposed of a split's features is kept until another is asked for, as every target needs it.
    """
    known: dict[tuple[str, bytes, bytes], Ridge] = {}

    def on(source: str, features: np.ndarray) -> Predictor:
        def predict(train: np.ndarray, test: np.ndarray, mos: np.ndarray) -> Predicted:
            key = source, train.tobytes(), test.tobytes()
            if key not in known:
                known.clear()
                known[key] = ridge_of_split(features, train, test, groupings)
            penalty = known[key].choose_penalty(mos[train])
            return Predicted(known[key].predict(mos[train], features[test], penalty), penalty)

        return predict

    return {
        source: on(
            source,
            np.concatenate([stores[name].features[:, columns] for name, columns in parts.items()], axis=1).astype(
                float
            ),
        )
        for source, parts in sources_of(stores).items()
    }


def fixed(scores: np.ndarray) -> Predictor:
    """The predictor that gives each image its score, whatever it is trained on."""
    return lambda train, test, mos: Predicted(scores[test])


# Means over groups


def group_mean(groups: pd.Series) -> Predictor:
    """Predicts the mean training MOS of an image's group, or of all where its group is not in training."""

    def predict(train: np.ndarray, test: np.ndarray, mos: np.ndarray) -> Predicted:
        means = pd.Series(mos[train]).groupby(groups[train].to_numpy()).mean()
        return Predicted(groups[test].map(means).fillna(mos[train].mean()).to_numpy(float))

    return predict


def mean_predictors(samples: pd.DataFrame) -> dict[str, Predictor]:
    """Predictors that look at no image: how much is knowing the generator, or the prompt?"""
    return {
        "generator mean": group_mean(samples["generator"]),
        "prompt mean": group_mean(samples["prompt_group"]),
    }


# All of them


def all_predictors(
    samples: pd.DataFrame,
    stores: dict[str, ImageFeatures],
    prompts: TextFeatures,
    texts: TextFeatures,
    groupings: Sequence[np.ndarray] = (),
    prompted: bool = True,
) -> dict[str, Predictor]:
    """Every baseline by name; where images are not `prompted`, none of prompts. `stores` are coarse, fine, statistics,
    and `paired`, the image features of the CLIP whose text tower encoded `prompts` and `texts`; `groupings` are as for
    `ridge_predictors`. Raises InputError where a store is of other images than the samples."""
    for name, store in stores.items():
        if store.images != samples["image"].tolist():
            raise InputError(f"{name} features are of other images than the samples table; extract them again")
    scores = zero_shot_scores(samples["prompt"], stores["paired"], prompts, texts)
    found = {
        **ridge_predictors(stores, groupings),
        **{source: fixed(values) for source, values in scores.items()},
        **mean_predictors(samples),
    }
    return {source: predict for source, predict in found.items() if prompted or source not in OF_PROMPTS}


def each_split(samples: pd.DataFrame, splits: pd.DataFrame) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Every split: protocol, number, and the masks (N,) of its training and test images."""
    for (protocol, split), group in splits.groupby(["protocol", "split"], sort=True):
        roles = group.set_index("image")["role"].reindex(samples["image"])
        yield protocol, int(split), (roles == TRAIN).to_numpy(), (roles == TEST).to_numpy()


def score_predictors(
    predictors: dict[str, Predictor], samples: pd.DataFrame, splits: pd.DataFrame, targets: list[str]
) -> tuple[pd.DataFrame, list[dict], list[dict]]:
    """SRCC and PLCC of every predictor on the test images of every split, what was left out, and chosen penalties.

    The table has a row per source, target, protocol and split. What heads are trained on is trained on, and so no
    image for validation. A prediction that is the same for every test image has no correlation: it has no row, and is
    named among the left out with its splits. The penalties are those of a source, target and protocol, by split.
    Raises FailedRunError, which names the split, where MOS are constant or a prediction is not finite.
    """
    rows = []
    constant: dict[tuple[str, str, str], list[int]] = {}
    chosen: dict[tuple[str, str, str], dict[str, float]] = {}
    for source, predict in predictors.items():
        for protocol, split, train, test in each_split(samples, splits):
            for target in targets:
                mos = samples[target].to_numpy(float)
                predicted, penalty = predict(train, test, mos)
                if penalty is not None:
                    chosen.setdefault((source, target, protocol), {})[str(split)] = penalty
                if np.ptp(predicted) == 0:
                    constant.setdefault((source, target, protocol), []).append(split)
                    continue
                try:
                    scores = srcc(predicted, mos[test]), plcc(predicted, mos[test])
                except FailedRunError as error:
                    place = f"{samples['benchmark'].iloc[0]} {target}, {protocol}, split {split}"
                    raise FailedRunError(f"{source} of {place}: {error}") from None
                rows.append((source, target, protocol, split, int(test.sum()), *scores))
    left_out, penalties = (
        [dict(zip(("source", "target", "protocol"), key, strict=True)) | {name: value} for key, value in found.items()]
        for name, found in (("splits", constant), ("by_split", chosen))
    )
    return pd.DataFrame(rows, columns=list(BASELINES.columns)), left_out, penalties


@dataclass(frozen=True)
class BaselineFiles:
    """The files that the rivals are computed from; `paired` are the features of the encoder whose text tower encoded
    `prompts` and the zero-shot `texts`. A benchmark without images has no `statistics`; `streams` are of the encoders
    that a configuration names for variants of any number."""

    samples: Path
    splits: Path
    coarse: Path
    fine: Path
    prompts: Path
    texts: Path
    paired: Path
    statistics: Path | None = None
    streams: Sequence[Path] = ()

    def load_stores(self) -> dict[str, ImageFeatures]:
        """The stores of image features, by what `all_predictors` calls them."""
        places = {"coarse": self.coarse, "fine": self.fine, "statistics": self.statistics, "paired": self.paired}
        places |= {f"{STREAM}-{number}": path for number, path in enumerate(self.streams, 1)}
        return {name: load_features(path) for name, path in places.items() if path}


def score_files(files: BaselineFiles) -> tuple[pd.DataFrame, dict]:
    """As `score_predictors`, from files: the table, and what it rests on and leaves out, which its metadata say."""
    samples, card = SAMPLES.read(files.samples)
    stores = files.load_stores()
    texts = load_texts(files.prompts, with_tokens=False), load_texts(files.texts)
    prompted = has_prompts(card["benchmark"])
    predictors = all_predictors(samples, stores, *texts, find_groupings(samples), prompted)
    splits, targets = SPLITS.read(files.splits)[0], list(card["ranges"])
    rows, left_out, penalties = score_predictors(predictors, samples, splits, targets)
    ceilings = noise_ceilings(samples, splits, targets)
    rows = pd.concat([rows, ceilings], ignore_index=True) if len(ceilings) else rows
    metadata = {"benchmark": card["benchmark"], "synthetic": card["synthetic"], "penalties": penalties}
    encoders = {name: store.metadata["encoder"] for name, store in stores.items()}
    return rows, metadata | {"encoders": encoders, "left_out": left_out, "need_images": lacking(stores)}


def baselines_from_files(output: Path, files: BaselineFiles) -> list[str]:
    """Score every rival on every split, write the table `output`, and say what was found, a line each: mean ± sample
    SD over the splits of a protocol."""
    rows, metadata = score_files(files)
    BASELINES.write(output, rows, metadata)
    title = get_benchmark(metadata["benchmark"]).title
    lines = []
    for (target, protocol, source), group in rows.groupby(["target", "protocol", "source"], sort=False):
        shown = ", ".join(f"{name.upper()} {mean_and_sd(group[name])}" for name in ("srcc", "plcc"))
        lines.append(f"{title} {target}, {protocol}, {len(group)} splits, {source}: {shown}")
    for entry in metadata["left_out"]:
        where = f"{title} {entry['target']}, {entry['protocol']}, {len(entry['splits'])} splits"
        lines.append(f"{where}, {entry['source']}: left out, the same for every test image")
    return lines + [f"{title}, {source}: left out, needs the images" for source in metadata["need_images"]]
