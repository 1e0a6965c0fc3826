"""Feature extraction: every image and every distinct prompt is encoded once."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import Parts, alone, digest
from mstclipiqa.base.fingerprint import fingerprint, source_file
from mstclipiqa.base.layout import FEATURES, PROMPTS
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.images import Source
from mstclipiqa.encoders.pipeline import encode_batches
from mstclipiqa.encoders.stores import TRANSLATIONS, read_store, write_store


class ImageEncoder(Protocol):
    """What turns images into features: a model, or the statistics of images. `identity` decides their bytes."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides a feature's bytes; JSON-serialisable."""

    @property
    def preprocess(self) -> Callable[[Image.Image], Tensor]:
        """Prepares one image, as compactly as encoding allows: it is sent to the encoder's device so."""

    @property
    def image_size(self) -> int:
        """The pixels of the longer side of what it takes: the size that an augmented view is drawn at."""

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Features (B, D), float32 on the CPU, of prepared images (B, ...)."""


class TextEncoder(Protocol):
    """What turns texts into token states and embeddings."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    @property
    def identity(self) -> dict[str, Any]:
        """As of an ImageEncoder."""

    @property
    def text_settings(self) -> dict[str, str]:
        """What decides the bytes of texts beside the identity; JSON-serialisable."""

    def token_counts(self, texts: list[str]) -> list[int]:
        """The tokens of each text, start and end included."""

    def encode_texts(self, texts: list[str]) -> tuple[list[Tensor], Tensor]:
        """Per text its token states (L, T), and the pooled embeddings (B, D)."""


def code_of(encoder: ImageEncoder | TextEncoder) -> str:
    """The fingerprint of what encodes: this module and the encoder's own, so that an edit of one kind of encoder leaves
    the features of the others alone."""
    own = type(encoder).__module__
    return fingerprint(__name__, *([own] if source_file(own) else []))


def is_complete(output: Path, metadata: dict) -> bool:
    """Whether the store is there and says of itself what is to be said."""
    return output.is_file() and digest(read_store(output)[1]) == digest(metadata)


def join(parts: Iterable[Path], name: str, rows: int) -> np.ndarray:
    """The tensors `name` of stores one after another, `rows` in all. They are read one at a time: what comes out is in
    memory once."""
    joined, row = np.empty(0), 0
    for part in parts:
        found = read_store(part, without={"tokens"} - {name})[0][name]  # they are most of a part of texts
        if not row:
            joined = np.empty((rows, *found.shape[1:]), found.dtype)
        joined[row : row + len(found)] = found
        row += len(found)
    return joined


class Store:
    """The store of one encoder's image features while it is filled, batch by batch; at `output` when complete."""

    def __init__(self, output: Path, encoder: ImageEncoder, samples: pd.DataFrame, batch_size: int, views: dict):
        self.output, self.encoder = output, encoder
        known = {"encoder": encoder.identity, "code": code_of(encoder), "device": encoder.device.type, **views}
        self.metadata = known | {
            "batch_size": batch_size,
            "images": samples["image"].tolist(),
            "sha256": samples["sha256"].tolist(),
        }
        self.parts = Parts(output, known)

    def lacks(self, name: str) -> bool:
        """Whether the batch is still to be encoded."""
        return not self.parts.path(name).exists()

    def add(self, name: str, pixels: Tensor, images: int) -> None:
        """Encode the batch `name`: the pixels of some images, of all views of the first, then of the second."""
        features = self.encoder.encode_images(pixels).numpy()
        if not np.isfinite(features).all():
            raise InputError(f"{self.output}: encoder {self.encoder.identity['label']} gave non-finite features")
        if "views" in self.metadata:
            features = features.reshape(images, self.metadata["views"], -1)
        write_store(self.parts.path(name), {"features": features}, {})

    def write(self, names: list[str]) -> None:
        """Put the batches together."""
        parts = map(self.parts.path, names)
        tensors = {"features": join(parts, "features", len(self.metadata["images"]))}
        FEATURES.check_tensors(tensors)
        write_store(self.output, tensors, self.metadata)


def extract_features(
    encoders: Mapping[Path, ImageEncoder],
    samples: pd.DataFrame,
    root: Path,
    batch_size: int = 8,
    threads: int = 1,
    augmentation: dict | None = None,
    views: int = 0,
    shard: tuple[int, int] = (1, 1),
) -> None:
    """Encode every image of `samples` (paths relative to `root`) with each encoder into the store that is its key.

    With an augmentation, `views` random views of every image are encoded instead of the image, to features (N, V, D);
    a view is drawn from the image's content and its number alone, so every encoder sees the same ones, whenever, each
    at its own size.

    An image is decoded once, and prepared once for all encoders that prepare it alike; `threads` images are decoded at
    a time, beside a GPU by as many processes, and few batches are in memory at once (see `pipeline`, `gpu_pipeline`).
    Batches are fixed by the samples' order, and on a CPU every batch runs on one thread, so a store's bytes depend
    neither on `threads` nor on the other encoders. A killed extraction resumes at its first missing batch; a store that
    is already complete is left as it is. As shard (k, n) of several, on as many machines as one likes, this encodes
    every n-th batch from the k-th and leaves it for the call without a shard, which does what is missing and writes the
    stores. Of several such calls for one store, one encodes at a time, and the others find its work done.

    Every image is tried before the InputError that counts the unreadable ones is raised.
    """
    torch.set_num_threads(1)
    settings = {} if augmentation is None else {"augmentation": augmentation, "views": views}
    stores = [Store(output, encoder, samples, batch_size, settings) for output, encoder in encoders.items()]
    with contextlib.ExitStack() as locks:
        for store in sorted(stores, key=lambda store: store.output):  # in one order, so that no two wait for each other
            if shard[1] == 1 and not is_complete(store.output, store.metadata):
                locks.enter_context(alone(store.output))
        _fill(stores, samples, Source(root, augmentation, views), batch_size, threads, shard)


def _fill(
    stores: list[Store],
    samples: pd.DataFrame,
    source: Source,
    batch_size: int,
    threads: int,
    shard: tuple[int, int],
) -> None:
    """Encode what the stores lack, and write them."""
    missing = [store for store in stores if not is_complete(store.output, store.metadata)]
    batches = [samples.iloc[start : start + batch_size] for start in range(0, len(samples), batch_size)]
    # A part is known by its images: mending one of them costs its own batch.
    names = [
        f"{number:06d}-{digest(batch['sha256'].tolist())[:12]}.safetensors" for number, batch in enumerate(batches)
    ]
    unreadable: list[str] = []
    number, shards = shard
    mine = list(zip(names, batches, strict=True))[number - 1 :: shards]
    todo = [
        (name, list(zip(batch["path"], batch["sha256"], strict=True)), lacking)
        for name, batch in mine
        if (lacking := [store for store in missing if store.lacks(name)])
    ]

    def encode(number: int, prepared: Mapping[Callable, Tensor]) -> None:
        """Fill the stores' parts of one batch."""
        name, images, lacking = todo[number]
        for store in lacking:
            if store.encoder.preprocess in prepared:
                store.add(name, prepared[store.encoder.preprocess], len(images))

    if todo:
        models = " and ".join(store.encoder.identity["model"] for store in missing)
        description = f"extract {samples['benchmark'].iloc[0]} {models}"
        sizes = [{store.encoder.preprocess: store.encoder.image_size for store in lacking} for _, _, lacking in todo]
        batches = [(images, size) for (_, images, _), size in zip(todo, sizes, strict=True)]
        device = missing[0].encoder.device
        if device.type == "cuda":
            from mstclipiqa.encoders.gpu_pipeline import encode_on_gpu  # loads what a CPU needs not

            done = encode_on_gpu(batches, source, encode, unreadable, threads, device)
        else:
            done = encode_batches(batches, source, encode, unreadable, threads)
        for _ in progress(done, len(todo), description, "batches"):
            pass
    if unreadable:
        more = f" ({len(unreadable)} such images; the next: {sorted(unreadable)[1]})" if len(unreadable) > 1 else ""
        raise InputError(f"{sorted(unreadable)[0]}{more}")
    if shards > 1:
        return
    for store in missing:
        store.write(names)
    for store in stores:  # after all are written: a kill between two costs no batch
        store.parts.clear()


def extract_texts(
    encoder: TextEncoder,
    texts: Iterable[str],
    output: Path,
    batch_size: int = 32,
    threads: int = 1,
    translations: Mapping[str, str] | None = None,
) -> None:
    """Encode every distinct text once into the store `output`; texts beyond the context are counted. `translations` of
    the texts are encoded beside them, and the store says which is of which.

    `threads` batches are encoded at a time, each on one thread. As of images, the store's bytes do not depend on them,
    a killed extraction resumes at its first missing batch, and a store that is already complete is left as it is.
    """
    torch.set_num_threads(1)
    texts = list(dict.fromkeys([*texts, *(translations or {}).values()]))
    counts = encoder.token_counts(texts)
    limit = encoder.identity["context_length"]
    known = {
        "encoder": encoder.identity,
        "code": code_of(encoder),
        "device": encoder.device.type,
        **encoder.text_settings,
    }
    metadata = known | {
        "texts": texts,
        "truncated": [text for text, count in zip(texts, counts, strict=True) if count > limit],
        **({TRANSLATIONS: dict(translations)} if translations else {}),
    }
    if is_complete(output, metadata):
        return
    parts = Parts(output, known)
    batches = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
    places = {parts.path(f"{digest(batch)[:16]}.safetensors"): batch for batch in batches}
    with alone(output):
        if is_complete(output, metadata):  # another process has written it meanwhile
            return
        _encode_batches(encoder, {place: batch for place, batch in places.items() if not place.exists()}, threads)
        offsets = np.cumsum([0, *join(places, "lengths", len(texts))])
        tensors = {
            "tokens": join(places, "tokens", offsets[-1]),
            "offsets": offsets,
            "pooled": join(places, "pooled", len(texts)),
        }
        PROMPTS.check_tensors(tensors)
        write_store(output, tensors, metadata)
        parts.clear()


def _encode_batches(encoder: TextEncoder, batches: Mapping[Path, list[str]], threads: int) -> None:
    """Encode batches of texts, each into the store that is its key."""

    def encode(place: Path, batch: list[str]) -> None:
        states, pooled = encoder.encode_texts(batch)
        lengths = np.array([len(state) for state in states])
        write_store(place, {"tokens": torch.cat(states).numpy(), "lengths": lengths, "pooled": pooled.numpy()}, {})

    with ThreadPoolExecutor(threads) as pool:
        try:
            done = pool.map(encode, batches.keys(), batches.values())
            for _ in progress(done, len(batches), f"encode texts {encoder.identity['model']}", "batches"):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
