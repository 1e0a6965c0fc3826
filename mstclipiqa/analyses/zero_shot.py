"""Zero-shot scores: what a CLIP says of an image without any training."""

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import LEVELS
from mstclipiqa.encoders.stores import ImageFeatures, TextFeatures

#: The antonyms of CLIP-IQA (Wang et al., AAAI 2023), the better one first, and CLIP's own temperature.
ANTONYMS = ("Good photo.", "Bad photo.")
TEMPERATURE = 100.0
#: The five levels in the main text's template, as variant A reads them, without any training.
LEVEL_TEXTS = tuple(f"a photo of {level} quality" for level in LEVELS)
ZERO_SHOT_TEXTS = (*ANTONYMS, *LEVEL_TEXTS)


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

    `prompts` are the images' own, whose translations are scored too where their store has some; `texts` holds
    ZERO_SHOT_TEXTS. Against CLIP-IQA, the image encoder keeps its
    position embeddings; against CLIPScore, the prompt stands as it is, without "A photo depicts" before it.
    Raises InputError where the stores come from different encoders.
    """
    towers = {store.metadata["encoder"]["weights_sha256"] for store in (images, prompt_store, texts)}
    if len(towers) > 1:
        raise InputError("zero-shot scores need images, prompts and level texts of one encoder; encode them again")
    scores = {
        "zero-shot antonyms": expectation(images.features, embeddings_of(texts, ANTONYMS), np.array([1.0, 0.0])),
        "zero-shot levels": expectation(images.features, embeddings_of(texts, LEVEL_TEXTS), np.arange(1.0, 6.0)),
        "CLIPScore": clip_score(images.features, embeddings_of(prompt_store, list(prompts))),
    }
    if prompt_store.translations:
        translated = embeddings_of(prompt_store, list(prompts.map(prompt_store.translations)))
        scores["CLIPScore, translated"] = clip_score(images.features, translated)
    return scores
