"""What the heads are held against: ridge regression on features, zero-shot scores, and means over groups."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.analyses.ridge import PENALTY, ridge
from mstclipiqa.analyses.zero_shot import zero_shot_scores
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.layout import BASELINES, SAMPLES, SPLITS
from mstclipiqa.base.names import TEST, TRAIN, VAL
from mstclipiqa.base.words import mean_and_sd
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.encoders.statistics import NAMES
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures, load_features, load_texts
from mstclipiqa.evaluation.metrics import plcc, srcc

#: What ridge reads from: columns of the stores side by side.
SOURCES: dict[str, dict[str, slice | list[int]]] = {
    "ridge on f_c": {"coarse": slice(None)},
    "ridge on f_f": {"fine": slice(None)},
    "ridge on f_c and f_f": {"coarse": slice(None), "fine": slice(None)},
    "ridge on image statistics": {"statistics": slice(None)},
    "ridge on mean colour": {"statistics": [NAMES.index(f"{channel}_mean") for channel in ("red", "green", "blue")]},
}


#: (train, test, MOS): masks (N,) of images and the MOS (N,) of them all -> predictions of the test images.
Predictor = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def lacking(stores: Iterable[str]) -> list[str]:
    """The SOURCES that read from other stores than these: those on statistics, where there are no images."""
    return [source for source, parts in SOURCES.items() if not parts.keys() <= set(stores)]


def ridge_predictors(stores: dict[str, ImageFeatures]) -> dict[str, Predictor]:
    """Ridge regression on each of SOURCES that the `stores` allow: coarse, fine and, of images, statistics."""

    def on(features: np.ndarray) -> Predictor:
        return lambda train, test, mos: ridge(features[train], mos[train], features[test])

    return {
        source: on(
            np.concatenate([stores[name].features[:, columns] for name, columns in parts.items()], axis=1).astype(float)
        )
        for source, parts in SOURCES.items()
        if parts.keys() <= stores.keys()
    }


def fixed(scores: np.ndarray) -> Predictor:
    """The predictor that gives each image its score, whatever it is trained on."""
    return lambda train, test, mos: scores[test]


# Means over groups


def group_mean(groups: pd.Series) -> Predictor:
    """Predicts the mean training MOS of an image's group, or of all where its group is not in training."""

    def predict(train: np.ndarray, test: np.ndarray, mos: np.ndarray) -> np.ndarray:
        means = pd.Series(mos[train]).groupby(groups[train].to_numpy()).mean()
        return groups[test].map(means).fillna(mos[train].mean()).to_numpy(float)

    return predict


def mean_predictors(samples: pd.DataFrame) -> dict[str, Predictor]:
    """Predictors that look at no image: how much is knowing the generator, or the prompt?"""
    return {
        "generator mean": group_mean(samples["generator"]),
        "prompt mean": group_mean(samples["prompt_group"]),
    }


# All of them


def all_predictors(
    samples: pd.DataFrame, stores: dict[str, ImageFeatures], prompts: TextFeatures, texts: TextFeatures
) -> dict[str, Predictor]:
    """Every baseline by name. `stores` are coarse, fine, statistics, and `paired`, the image features of the CLIP whose
    text tower encoded `prompts` and `texts`. Raises InputError where a store is of other images than the samples."""
    for name, store in stores.items():
        if store.images != samples["image"].tolist():
            raise InputError(f"{name} features are of other images than the samples table; extract them again")
    scores = zero_shot_scores(samples["prompt"], stores["paired"], prompts, texts)
    return {
        **ridge_predictors(stores),
        **{source: fixed(values) for source, values in scores.items()},
        **mean_predictors(samples),
    }


def score_predictors(
    predictors: dict[str, Predictor], samples: pd.DataFrame, splits: pd.DataFrame, targets: list[str]
) -> tuple[pd.DataFrame, list[dict]]:
    """SRCC and PLCC of every predictor on the test images of every split, and what was left out.

    The table has a row per source, target, protocol and split. All images of a split but those for testing are
    trained on, the ones for validation too: nothing is chosen. A prediction that is the same for every test image
    has no correlation: it has no row, and is named among the left out with its splits. Raises FailedRunError, which
    names the split, where MOS are constant or a prediction is not finite.
    """
    rows = []
    constant: dict[tuple[str, str, str], list[int]] = {}
    for source, predict in predictors.items():
        for (protocol, split), group in splits.groupby(["protocol", "split"], sort=True):
            roles = group.set_index("image")["role"].reindex(samples["image"])
            train, test = roles.isin([TRAIN, VAL]).to_numpy(), (roles == TEST).to_numpy()
            for target in targets:
                mos = samples[target].to_numpy(float)
                predicted = predict(train, test, mos)
                if np.ptp(predicted) == 0:
                    constant.setdefault((source, target, protocol), []).append(int(split))
                    continue
                try:
                    scores = srcc(predicted, mos[test]), plcc(predicted, mos[test])
                except FailedRunError as error:
                    place = f"{samples['benchmark'].iloc[0]} {target}, {protocol}, split {split}"
                    raise FailedRunError(f"{source} of {place}: {error}") from None
                rows.append((source, target, protocol, int(split), int(test.sum()), *scores))
    left_out = [
        dict(zip(("source", "target", "protocol"), key, strict=True)) | {"splits": numbers}
        for key, numbers in constant.items()
    ]
    return pd.DataFrame(rows, columns=list(BASELINES.columns)), left_out


@dataclass(frozen=True)
class BaselineFiles:
    """The files that the rivals are computed from; `paired` are the features of the encoder whose text tower encoded
    `prompts` and the zero-shot `texts`. A benchmark without images has no `statistics`."""

    samples: Path
    splits: Path
    coarse: Path
    fine: Path
    prompts: Path
    texts: Path
    paired: Path
    statistics: Path | None = None


def score_files(files: BaselineFiles) -> tuple[pd.DataFrame, dict]:
    """As `score_predictors`, from files: the table, and what it rests on and leaves out, which its metadata say."""
    samples, card = SAMPLES.read(files.samples)
    places = {"coarse": files.coarse, "fine": files.fine, "statistics": files.statistics, "paired": files.paired}
    stores = {name: load_features(path) for name, path in places.items() if path}
    predictors = all_predictors(samples, stores, load_texts(files.prompts), load_texts(files.texts))
    rows, left_out = score_predictors(predictors, samples, SPLITS.read(files.splits)[0], list(card["ranges"]))
    metadata = {"benchmark": card["benchmark"], "synthetic": card["synthetic"], "penalty": PENALTY}
    metadata["encoders"] = {name: store.metadata["encoder"] for name, store in stores.items()}
    return rows, metadata | {"left_out": left_out, "need_images": lacking(stores)}


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
