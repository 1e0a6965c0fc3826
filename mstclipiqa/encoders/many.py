"""Features of any number of images: a store per part of them and encoder, see `encoders.streaming`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mstclipiqa.base.device import choose_encoding_device
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import AUTO, FLOAT32
from mstclipiqa.base.records import Record
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.extraction import ImageEncoder, code_of
from mstclipiqa.encoders.stores import read_description, write_store
from mstclipiqa.encoders.streaming import Counts, Prepared, read_record, stream

#: The open_clip model of an encoder, its weights, and the folder of its stores.
Named = tuple[str, str, Path]


def extract_many(
    encoders: Sequence[Named],
    paths: Sequence[Path | str],
    part_size: int = 5000,
    batch_size: int = 32,
    shard: tuple[int, int] = (1, 1),
    precision: str = FLOAT32,
    device: str = AUTO,
) -> Counts:
    """Encode every record of `paths` with each encoder on a device (cpu, auto or cuda), decoded once, into stores in
    its folder.

    A store has `features` (n, D), float32, of the n records that could be encoded; its metadata are `images`, their
    names in order, and `errors`, name and reason of each other.

    Raises InputError for two encoders of one folder, for the precision tf32 on a CPU, which has none, and as
    `streaming.stream` does.
    """
    folders = [folder for _, _, folder in encoders]
    if len(set(folders)) < len(folders):
        raise InputError(f"--encoder: {len(folders)} encoders for {len(set(folders))} folders; give each its own")
    chosen = choose_encoding_device(device, precision)
    loaded = {folder: load_encoder(model, weights, chosen, precision) for model, weights, folder in encoders}
    return stream(_Features(loaded), paths, part_size, batch_size, shard, "extract")


@dataclass(frozen=True)
class _Batch:
    """The features (n, D) of n images by folder, their names, and [name, reason] of each other record."""

    features: dict[Path, np.ndarray]
    images: list[str]
    errors: list[list[str]]


class _Features:
    """The work: what is prepared of a record is its pixels for each preprocessing that an encoder wants."""

    ending = ".safetensors"

    def __init__(self, encoders: Mapping[Path, ImageEncoder]):
        self.encoders = encoders
        self.folders: Mapping[Path, dict] = {
            folder: {"encoder": encoder.identity, "code": code_of(encoder), "device": encoder.device.type}
            for folder, encoder in encoders.items()
        }

    def prepare(self, record: Record) -> Any:
        image = read_record(record)
        return {preprocess: preprocess(image) for preprocess in {e.preprocess for e in self.encoders.values()}}

    def finish(self, batch: list[Prepared]) -> _Batch:
        errors = {number: str(found) for number, (_, found) in enumerate(batch) if isinstance(found, InputError)}
        good = [number for number in range(len(batch)) if number not in errors]
        features = {}
        for folder, encoder in self.encoders.items() if good else ():
            pixels = torch.stack([batch[number][1][encoder.preprocess] for number in good])
            features[folder] = encoder.encode_images(pixels).numpy()
        finite = np.array([np.isfinite(rows).all(axis=1) for rows in features.values()], dtype=bool).all(axis=0)
        reason = "an encoder gives features that are not finite"
        errors |= {number: f"{batch[number][0].name}: {reason}" for number in np.array(good, int)[~finite].tolist()}
        return _Batch(
            {folder: rows[finite] for folder, rows in features.items()},
            [record.name for number, (record, _) in enumerate(batch) if number not in errors],
            [[batch[number][0].name, why] for number, why in sorted(errors.items())],
        )

    def write(self, name: str, batches: list[_Batch], digest: str) -> int:
        errors = [error for batch in batches for error in batch.errors]
        images = [image for batch in batches for image in batch.images]
        described = {"digest": digest, "failed": len(errors), "images": images, "errors": errors}
        for folder, encoder in self.encoders.items():
            rows = [batch.features[folder] for batch in batches if batch.images]
            features = np.concatenate(rows) if rows else np.empty((0, encoder.identity["dim"]), np.float32)
            write_store(folder / f"{name}{self.ending}", {"features": features}, described)
        return len(errors)

    def read_description(self, path: Path) -> dict:
        return read_description(path)
