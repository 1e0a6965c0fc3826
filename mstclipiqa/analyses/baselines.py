"""What the heads are held against: ridge regression on features, zero-shot scores, and means over groups."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from mstclipiqa.analyses.ridge import ridge
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import LEVELS, TEST, TRAIN, VAL
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures
from mstclipiqa.evaluation.metrics import plcc, srcc

#: What ridge reads from: columns of the stores side by side. The statistics begin with the three colour channels.
SOURCES: dict[str, dict[str, slice]] = {
    "ridge on f_c": {"coarse": slice(None)},
    "ridge on f_f": {"fine": slice(None)},
    "ridge on f_c and f_f": {"coarse": slice(None), "fine": slice(None)},
    "ridge on image statistics": {"statistics": slice(None)},
    "ridge on mean colour": {"statistics": slice(0, 9, 3)},
}

#: The antonyms of CLIP-IQA (Wang et al., AAAI 2023), the better one first, and CLIP's own temperature.
ANTONYMS = ("Good photo.", "Bad photo.")
TEMPERATURE = 100.0
#: The five levels in the main text's template, as variant A reads them, without any training.
LEVEL_TEXTS = tuple(f"a photo of {level} quality" for level in LEVELS)
ZERO_SHOT_TEXTS = (*ANTONYMS, *LEVEL_TEXTS)

#: (train, test, MOS): masks (N,) of images and the MOS (N,) of them all -> predictions of the test images.
Predictor = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def ridge_predictors(stores: dict[str, ImageFeatures]) -> dict[str, Predictor]:
    """Ridge regression on each of SOURCES; `stores` are coarse, fine and statistics."""

    def on(features: np.ndarray) -> Predictor:
        return lambda train, test, mos: ridge(features[train], mos[train], features[test])

    return {
        source: on(
            np.concatenate([stores[name].features[:, columns] for name, columns in parts.items()], axis=1).astype(float)
        )
        for source, parts in SOURCES.items()
    }


# Zero-shot scores


def embeddings_of(store: TextFeatures, texts: list[str] | tuple[str, ...]) -> np.ndarray:
    """The pooled embeddings (n, D) of `texts`. Raises InputError where one is not in the store."""
    missing = [text for text in texts if text not in store.index]
    if missing:
        raise InputError(f"text {missing[0]!r} is not encoded; encode it again")
    return store.pooled[[store.index[text] for text in texts]]


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine similarities of the last dimensions of `a` and `b`, which broadcast."""
    a, b = (x.astype(float) / np.linalg.norm(x.astype(float), axis=-1, keepdims=True) for x in (a, b))
    return (a * b).sum(-1)


def expectation(images: np.ndarray, texts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """sum_k values_k softmax_k(100 cos(image, text_k)), (N,), of images (N, D), texts (K, D) and values (K,)."""
    logits = TEMPERATURE * cosine(images[:, None], texts)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights @ values / weights.sum(axis=1)


def clip_score(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """CLIPScore (Hessel et al., EMNLP 2021), 2.5 max(cos, 0), of images and their texts, both (N, D)."""
    return 2.5 * np.maximum(cosine(images, texts), 0)


def zero_shot_scores(
    prompts: pd.Series, images: ImageFeatures, prompt_store: TextFeatures, texts: TextFeatures
) -> dict[str, np.ndarray]:
    """Scores (N,) that take no training, from the images and texts of one CLIP.

    `prompts` are the images' own; `texts` holds ZERO_SHOT_TEXTS. Against CLIP-IQA, the image encoder keeps its
    position embeddings; against CLIPScore, the prompt stands as it is, without "A photo depicts" before it.
    Raises InputError where the stores come from different encoders.
    """
    towers = {store.metadata["encoder"]["weights_sha256"] for store in (images, prompt_store, texts)}
    if len(towers) > 1:
        raise InputError("zero-shot scores need images, prompts and level texts of one encoder; encode them again")
    return {
        "zero-shot antonyms": expectation(images.features, embeddings_of(texts, ANTONYMS), np.array([1.0, 0.0])),
        "zero-shot levels": expectation(images.features, embeddings_of(texts, LEVEL_TEXTS), np.arange(1.0, 6.0)),
        "CLIPScore": clip_score(images.features, embeddings_of(prompt_store, list(prompts))),
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
    has no correlation: it has no row, and is named among the left out with its splits.
    """
    rows, constant = [], {}
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
                scores = srcc(predicted, mos[test]), plcc(predicted, mos[test])
                rows.append((source, target, protocol, int(split), int(test.sum()), *scores))
    left_out = [
        dict(zip(("source", "target", "protocol"), key, strict=True)) | {"splits": numbers}
        for key, numbers in constant.items()
    ]
    return pd.DataFrame(rows, columns=["source", "target", "protocol", "split", "n", "srcc", "plcc"]), left_out
