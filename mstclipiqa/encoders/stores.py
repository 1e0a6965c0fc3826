"""The feature store: one safetensors file whose metadata holds the encoder's identity.

Image stores keep `features`, float32 (N, D), with the images in order and their hashes; text stores keep `tokens`,
the token states of all texts one after another (sum of L, T), `offsets` (n + 1) that delimit them, and `pooled`
(n, D).
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.files import atomic

METADATA_KEY = "mstclipiqa"

#: Where the metadata of a store of prompts say how each reads in another language, where it holds that too.
TRANSLATIONS = "translations"


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

    @property
    def translations(self) -> dict[str, str]:
        """By prompt its translation, which is a text of the store too; empty where there are none."""
        return self.metadata.get(TRANSLATIONS, {})


def load_features(path: Path | str) -> ImageFeatures:
    """Read an image store. Raises InputError where the file is none."""
    tensors, metadata = read_store(Path(path))
    if "features" not in tensors or not {"encoder", "images", "sha256"} <= metadata.keys():
        raise InputError(f"{path}: holds no image features; write it with `mstclipiqa extract`")
    if not len(tensors["features"]) == len(metadata["images"]) == len(metadata["sha256"]):
        raise InputError(f"{path}: its features are not one for each of its images; delete it and run again")
    return ImageFeatures(tensors["features"], metadata["images"], metadata)


def load_texts(path: Path | str, with_tokens: bool = True) -> TextFeatures:
    """Read a text store. The token states, which are most of it, may be left out: `tokens` is (sum of L, 0) then.
    Raises InputError where the file is none."""
    tensors, metadata = read_store(Path(path), without=() if with_tokens else ("tokens",))
    if not {"tokens", "offsets", "pooled"} <= tensors.keys() or not {"encoder", "texts"} <= metadata.keys():
        raise InputError(f"{path}: holds no text features; write it with `mstclipiqa encode-texts`")
    ends, counts = tensors["offsets"], {len(metadata["texts"]), len(tensors["pooled"]), len(tensors["offsets"]) - 1}
    if len(counts) != 1 or (np.diff(ends) <= 0).any() or (ends[0], ends[-1]) != (0, len(tensors["tokens"])):
        raise InputError(f"{path}: its features are not one for each of its texts; delete it and run again")
    index = {text: row for row, text in enumerate(metadata["texts"])}
    return TextFeatures(tensors["tokens"], tensors["offsets"], tensors["pooled"], index, metadata)


def write_store(path: Path, tensors: dict[str, np.ndarray], metadata: dict) -> None:
    """Write tensors and their metadata, atomically."""
    with atomic(path) as temporary:
        save_file(tensors, temporary, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def read_description(path: Path) -> dict:
    """The metadata of a store alone. Raises InputError where the file is none."""
    return read_store(path, with_tensors=False)[1]


def read_store(
    path: Path, with_tensors: bool = True, without: Collection[str] = ()
) -> tuple[dict[str, np.ndarray], dict]:
    """The tensors and metadata of a store; no tensors where they are not asked for, and of those that are named in
    `without` no columns. Raises InputError where the file is none."""
    try:
        open(path, "rb").close()  # safetensors says of a file without rights that there is none
        with safe_open(path, framework="numpy") as store:
            names = store.keys() if with_tensors else []
            tensors = {
                name: store.get_slice(name)[..., :0] if name in without else store.get_tensor(name) for name in names
            }
            metadata = json.loads((store.metadata() or {}).get(METADATA_KEY, "{}"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the step that writes it") from None
    except PermissionError:
        raise no_rights(path) from None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # ValueError of what is no JSON, TypeError and AttributeError of numbers that numpy does not have
        raise InputError(f"{path}: not a feature store ({error}); delete it and run again") from None
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: not a feature store (its metadata are no mapping); delete it and run again")
    return tensors, metadata
