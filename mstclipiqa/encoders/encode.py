"""The steps that encode: they load encoders by name and fill stores of a benchmark's images, its prompts, and texts."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from mstclipiqa.base.device import choose_device, choose_encoding_device
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import AUTO, CPU, FLOAT32
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.extraction import extract_features, extract_texts

#: The open_clip model of an encoder, its weights, and the store to fill.
Named = tuple[str, str, Path]


def extract_from_files(
    encoders: Sequence[Named],
    text_encoder: Named | None,
    samples: Path,
    root: Path,
    batch_size: int,
    gpu_batch_size: int,
    threads: int,
    precision: str,
    augmentation: dict | None = None,
    views: int = 0,
    shard: tuple[int, int] = (1, 1),
    device: str = AUTO,
    translations: Mapping[str, str] | None = None,
) -> None:
    """Encode every image of a samples table (paths relative to `root`) with each encoder on a device (cpu, auto or
    cuda); and the distinct prompts, with their `translations`, by the text tower of `text_encoder`. See
    `extract_features` for views and shards.

    Raises InputError for a shard beyond the last, for two encoders of one store, for the precision tf32 on a CPU, which
    has none, and as its parts do.
    """
    number, shards = shard
    if number > shards:
        raise InputError(f"--shard: there is no {number} of {shards}; give a number from 1 to {shards} first")
    outputs = [out for _, _, out in [*encoders, *([text_encoder] if text_encoder else [])]]
    if len(stores := set(outputs)) < len(outputs):
        raise InputError(f"--encoder: {len(outputs)} encoders for {len(stores)} stores; give each a file of its own")
    chosen = choose_encoding_device(device, precision)
    if chosen.type == "cuda":
        from mstclipiqa.encoders.gpu_pipeline import start_forkserver  # loads what a CPU needs not

        start_forkserver()
    frame, load = SAMPLES.read(samples)[0], cache(load_encoder)
    loaded = {out: load(model, weights, chosen, precision) for model, weights, out in encoders}
    if text_encoder:
        model, weights, out = text_encoder
        encoder = load(model, weights, chosen, FLOAT32)  # only images are rounded
        workers = threads if chosen.type == "cpu" else 1
        extract_texts(encoder, frame["prompt"], out, threads=workers, translations=translations)
    size = gpu_batch_size if chosen.type == "cuda" else batch_size
    extract_features(loaded, frame, root, size, threads, augmentation, views, shard)


def distinct_prompts(samples: Path) -> list[str]:
    """The distinct prompts of a samples table, in its order."""
    return list(dict.fromkeys(SAMPLES.read(samples)[0]["prompt"]))


def encode_texts(output: Path, model: str, weights: str, texts: Iterable[str]) -> None:
    """Encode texts by the text tower of an encoder into the store `output`: on the CPU, as they are few, and this job
    asks for no GPU."""
    extract_texts(load_encoder(model, weights, choose_device(CPU)), texts, output)
