"""Feature extraction and the feature store: every image and every distinct prompt is encoded once.

A store is one safetensors file whose metadata holds the encoder's identity. Image stores keep `features`,
float32 (N, D), with the images in order and their hashes; text stores keep `tokens`, the token states of all
texts one after another (sum of L, T), `offsets` (n + 1) that delimit them, and `pooled` (n, D).
"""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from mstclipiqa.clip import Encoder
from mstclipiqa.errors import InputError
from mstclipiqa.files import Parts, atomic, digest, sha256
from mstclipiqa.fingerprint import fingerprint
from mstclipiqa.progress import progress

METADATA_KEY = "mstclipiqa"


@dataclass(frozen=True)
class ImageFeatures:
    """The features (N, D) of one benchmark's images under one encoder."""

    features: np.ndarray
    images: list[str]
    metadata: dict


@dataclass(frozen=True)
class TextFeatures:
    """Token states and pooled embeddings of distinct texts; `index` maps a text to its row."""

    tokens: np.ndarray
    offsets: np.ndarray
    pooled: np.ndarray
    index: dict[str, int]
    metadata: dict


def read_image(path: Path, expected_sha256: str | None = None) -> Image.Image:
    """The whole image as RGB. Raises InputError where it does not decode, or is not the file that was read
    when the samples table was made."""
    try:
        if expected_sha256 is not None and sha256(path) != expected_sha256:
            raise InputError(f"{path}: changed since the samples table was written; run the samples step again")
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: does not decode ({error}); replace it from the source") from None


def extract_features(
    encoder: Encoder, samples: pd.DataFrame, root: Path, output: Path, batch_size: int = 32, threads: int = 1
) -> None:
    """Encode every image of `samples` (paths relative to `root`) into the store `output`.

    Batches are fixed by the samples' order, and every batch runs on one thread, so the bytes do not depend on
    `threads`. A killed extraction resumes at its first missing batch. Every image is tried
    before the InputError that counts the unreadable ones is raised.
    """
    torch.set_num_threads(1)
    batches = [samples.iloc[start : start + batch_size] for start in range(0, len(samples), batch_size)]
    metadata = {
        "encoder": encoder.identity,
        "code": fingerprint(__name__),
        "device": encoder.device.type,
    }
    # A part is known by its images: mending one of them costs its own batch.
    parts = Parts(output, metadata)
    names = [
        f"{number:06d}-{digest(batch['sha256'].tolist())[:12]}.safetensors" for number, batch in enumerate(batches)
    ]
    metadata |= {
        "batch_size": batch_size,
        "images": samples["image"].tolist(),
        "sha256": samples["sha256"].tolist(),
    }
    unreadable: list[str] = []

    def encode(name: str, batch: pd.DataFrame) -> None:
        images = []
        for path, expected in zip(batch["path"], batch["sha256"], strict=True):
            try:
                images.append(read_image(root / path, expected))
            except InputError as error:
                unreadable.append(str(error))
        if len(images) == len(batch):
            pixels = torch.stack([encoder.preprocess(image) for image in images])
            features = encoder.encode_images(pixels).numpy()
            if not np.isfinite(features).all():
                raise InputError(f"{output}: encoder {encoder.identity['label']} gave non-finite features")
            with atomic(parts.path(name)) as temporary:
                save_file({"features": features}, temporary)

    todo = [(name, batch) for name, batch in zip(names, batches, strict=True) if not parts.path(name).exists()]
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(encode, *arguments) for arguments in todo]
        try:
            description = f"extract {samples['benchmark'].iloc[0]} {encoder.identity['model']}"
            for future in progress(as_completed(futures), len(todo), description, "batches"):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if unreadable:
        more = f" ({len(unreadable)} such images; the next: {sorted(unreadable)[1]})" if len(unreadable) > 1 else ""
        raise InputError(f"{sorted(unreadable)[0]}{more}")
    features = np.concatenate([_read_store(parts.path(name))[0]["features"] for name in names])
    _write_store(output, {"features": features}, metadata)
    parts.clear()


def extract_texts(encoder: Encoder, texts: Iterable[str], output: Path, batch_size: int = 32) -> None:
    """Encode every distinct text once into the store `output`; texts beyond the context are counted."""
    torch.set_num_threads(1)
    texts = list(dict.fromkeys(texts))
    states: list[Tensor] = []
    pooled: list[Tensor] = []
    starts = range(0, len(texts), batch_size)
    for start in progress(starts, len(starts), f"encode texts {encoder.identity['model']}", "batches"):
        batch_states, batch_pooled = encoder.encode_texts(texts[start : start + batch_size])
        states += batch_states
        pooled.append(batch_pooled)
    counts = encoder.token_counts(texts)
    limit = encoder.identity["context_length"]
    metadata = {
        "encoder": encoder.identity,
        "code": fingerprint(__name__),
        "device": encoder.device.type,
        "texts": texts,
        "truncated": [text for text, count in zip(texts, counts, strict=True) if count > limit],
    }
    tensors = {
        "tokens": torch.cat(states).numpy(),
        "offsets": np.cumsum([0, *(len(state) for state in states)]),
        "pooled": torch.cat(pooled).numpy(),
    }
    _write_store(output, tensors, metadata)


def load_features(path: Path | str) -> ImageFeatures:
    """Read an image store. Raises InputError where the file is none."""
    tensors, metadata = _read_store(Path(path))
    if "features" not in tensors or "images" not in metadata:
        raise InputError(f"{path}: holds no image features; write it with `mstclipiqa extract`")
    return ImageFeatures(tensors["features"], metadata["images"], metadata)


def load_texts(path: Path | str) -> TextFeatures:
    """Read a text store. Raises InputError where the file is none."""
    tensors, metadata = _read_store(Path(path))
    if not {"tokens", "offsets", "pooled"} <= tensors.keys() or "texts" not in metadata:
        raise InputError(f"{path}: holds no text features; write it with `mstclipiqa encode-texts`")
    index = {text: row for row, text in enumerate(metadata["texts"])}
    return TextFeatures(tensors["tokens"], tensors["offsets"], tensors["pooled"], index, metadata)


def _write_store(path: Path, tensors: dict[str, np.ndarray], metadata: dict) -> None:
    with atomic(path) as temporary:
        save_file(tensors, temporary, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def _read_store(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    try:
        with safe_open(path, framework="numpy") as store:
            tensors = {name: store.get_tensor(name) for name in store.keys()}  # noqa: SIM118
            metadata = json.loads((store.metadata() or {}).get(METADATA_KEY, "{}"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the step that writes it") from None
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not a feature store ({error}); delete it and run again") from None
    return tensors, metadata
