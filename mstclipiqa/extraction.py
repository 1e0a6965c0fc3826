"""Feature extraction: every image and every distinct prompt is encoded once."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from mstclipiqa.clip import Encoder
from mstclipiqa.errors import InputError
from mstclipiqa.features import read_store, write_store
from mstclipiqa.files import Parts, digest, sha256
from mstclipiqa.fingerprint import fingerprint
from mstclipiqa.image_statistics import NAMES, image_statistics
from mstclipiqa.progress import progress

#: Pixels of an augmented view: what CLIP's encoders take.
VIEW_SIZE = 224


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


def augment(image: Image.Image, augmentation: dict, size: int, rng: np.random.Generator) -> Image.Image:
    """One random view (size x size) of an RGB image: crop of random area and ratio, flip, brightness and contrast.

    `augmentation` as in a recipe (appendix: flip 0.5, scale 0.8-1.0, ratio 0.9-1.1, brightness and contrast 0.1).
    The ratio is drawn evenly in its logarithm; a crop is at most as wide and high as the image.
    """
    area = image.width * image.height * rng.uniform(*augmentation["scale"])
    ratio = np.exp(rng.uniform(*np.log(augmentation["ratio"])))
    width, height = min(np.sqrt(area * ratio), image.width), min(np.sqrt(area / ratio), image.height)
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    view = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    if rng.random() < augmentation["flip"]:
        view = ImageOps.mirror(view)
    for enhance, spread in (
        (ImageEnhance.Brightness, augmentation["brightness"]),
        (ImageEnhance.Contrast, augmentation["contrast"]),
    ):
        view = enhance(view).enhance(rng.uniform(1 - spread, 1 + spread))
    return view


class StatisticsEncoder:
    """Stands in an encoder's place: an image's features are its statistics, at the image's own size."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.identity = {
            "model": "image-statistics",
            "label": f"{len(NAMES)} image statistics",
            "names": list(NAMES),
            "versions": {package: version(package) for package in ("numpy", "scipy", "pillow")},
        }

    def preprocess(self, image: Image.Image) -> Tensor:
        """The statistics (S,) of an image."""
        return torch.from_numpy(image_statistics(image))

    def encode_images(self, statistics: Tensor) -> Tensor:
        """The statistics (B, S), as they are."""
        return statistics


def extract_features(
    encoder: Encoder | StatisticsEncoder,
    samples: pd.DataFrame,
    root: Path,
    output: Path,
    batch_size: int = 32,
    threads: int = 1,
    augmentation: dict | None = None,
    views: int = 0,
) -> None:
    """Encode every image of `samples` (paths relative to `root`) into the store `output`.

    With an augmentation, `views` random views of every image are encoded instead of the image, to features (N, V, D);
    a view is drawn from the image's content and its number alone, so every encoder sees the same ones.

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
    if augmentation is not None:
        metadata |= {"augmentation": augmentation, "views": views}
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
                image = read_image(root / path, expected)
            except InputError as error:
                unreadable.append(str(error))
                continue
            try:
                images += [encoder.preprocess(view) for view in views_of(image, expected)]
            except InputError as error:
                unreadable.append(f"{root / path}: {error}")
        if len(images) == len(batch) * (views or 1):
            features = encoder.encode_images(torch.stack(images)).numpy()
            if not np.isfinite(features).all():
                raise InputError(f"{output}: encoder {encoder.identity['label']} gave non-finite features")
            if augmentation is not None:
                features = features.reshape(len(batch), views, -1)
            write_store(parts.path(name), {"features": features}, {})

    def views_of(image: Image.Image, content: str) -> list[Image.Image]:
        if augmentation is None:
            return [image]
        seeds = [[int(content[:15], 16), view] for view in range(views)]
        return [augment(image, augmentation, VIEW_SIZE, np.random.default_rng(seed)) for seed in seeds]

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
    features = np.concatenate([read_store(parts.path(name))[0]["features"] for name in names])
    write_store(output, {"features": features}, metadata)
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
    write_store(output, tensors, metadata)
