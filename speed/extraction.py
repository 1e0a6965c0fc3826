"""What extraction costs: against a plain open_clip loop over the same JPEG files, and against what this machine can do.

    python speed/extraction.py --pair small --pair full --images 128

draws its images from a seed, runs both side by side and interleaved, and prints Markdown tables. Nothing is kept.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from measuring import describe_machine, peak_memory, plain_model, product_rate, seconds, show, spread
from PIL import Image
from torch import nn

from mstclipiqa.analyses.efficiency import count_flops, image_part
from mstclipiqa.base.device import choose_device
from mstclipiqa.base.files import sha256
from mstclipiqa.base.names import AUTO
from mstclipiqa.encoders.clip import HELD_IN, Encoder, load_encoder, normalise
from mstclipiqa.encoders.extraction import extract_features
from mstclipiqa.encoders.images import read_image
from mstclipiqa.encoders.stores import load_features
from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.prompts import random_scene

#: By name: the models of a pair, and their weights. Random weights cost what trained ones do.
PAIRS = {
    "small": (("mst-small-32", "mst-small-16"), "embedded"),
    "full": (("ViT-B-32-quickgelu", "ViT-B-16-quickgelu"), "random:0"),
}

#: Distinct images. More are links to these, each of which is read and decoded anew.
DISTINCT = 64

#: The precisions that are compared; a GPU's tf32 is measured by gpu.py.
KINDS = {name: HELD_IN[name] for name in ("float32", "bfloat16")}

#: Images of a batch of the plain loop.
PLAIN_BATCH = 32

#: Side of the drawn images.
SIDE = 512


def draw_images(folder: Path, count: int, seed: int) -> pd.DataFrame:
    """Draw JPEG files of scenes into `folder`; the samples table of `count` images."""
    folder.mkdir()
    for number in range(min(count, DISTINCT)):
        rng = np.random.default_rng([seed, number])
        draw(random_scene(rng), SIDE, rng).save(folder / f"{number}.jpg", quality=90)
    hashes = [sha256(folder / f"{number}.jpg") for number in range(min(count, DISTINCT))]
    for number in range(DISTINCT, count):
        (folder / f"{number}.jpg").symlink_to(f"{number % DISTINCT}.jpg")
    names = [f"{number}.jpg" for number in range(count)]
    hashes = [hashes[number % DISTINCT] for number in range(count)]
    return pd.DataFrame({"benchmark": "drawn", "image": names, "path": names, "sha256": hashes})


# The two sides


def plain_loop(
    models: list[nn.Module],
    encoders: list[Encoder],
    samples: pd.DataFrame,
    root: Path,
    outputs: list[Path],
    threads: int,
) -> None:
    """open_clip's own calls, eagerly: each encoder decodes for itself, torch spreads a batch over the cores."""
    torch.set_num_threads(threads)
    for model, encoder, output in zip(models, encoders, outputs, strict=True):
        features = []
        for start in range(0, len(samples), PLAIN_BATCH):
            paths = [root / path for path in samples["path"][start : start + PLAIN_BATCH]]
            pixels = normalise(
                torch.stack([encoder.preprocess(Image.open(path)) for path in paths]), encoder.identity["preprocessing"]
            )
            with torch.no_grad():
                features.append(model.encode_image(pixels.to(encoder.device)).cpu().numpy())
        np.save(output, np.concatenate(features))


def compare(
    models: tuple[str, ...], weights: str, folder: Path, samples: pd.DataFrame, products: dict, options: dict
) -> None:
    """Time all sides in turn, `repeats` times, and print ratios, cosines and the share of what the machine can do."""
    encoders = {precision: [load_encoder(m, weights, precision=precision) for m in models] for precision in KINDS}
    plain = [plain_model(model, weights) for model in models]
    root, threads, batch_size = folder / "images", options["threads"], options["batch_size"]

    def ours(precision: str, table: pd.DataFrame) -> None:
        stores = {folder / f"{precision}-{n}": encoder for n, encoder in enumerate(encoders[precision])}
        for store in stores:
            store.unlink(missing_ok=True)
        extract_features(stores, table, root, batch_size, threads)

    outputs = [folder / f"plain-{n}.npy" for n in range(len(models))]
    sides: dict[str, Callable[[pd.DataFrame], None]] = {
        "plain": lambda table: plain_loop(plain, encoders["float32"], table, root, outputs, threads),
        **{precision: partial(ours, precision) for precision in KINDS},
    }
    for side in sides.values():  # the first call sets up what later ones find
        side(samples[:batch_size])
    times = pd.DataFrame(
        {name: seconds(choose_device(AUTO), side, samples) for name, side in sides.items()}
        for _ in range(options["repeats"])
    )
    decoding = decode_rate(encoders["float32"], samples, root, threads)
    flops = sum(count_flops(image_part(encoder)) for encoder in encoders["float32"])
    table = []
    for name in sides:
        ratios = times["plain"] / times[name]
        cosines = [_cosines(np.load(path), _features(folder, name, n)) for n, path in enumerate(outputs)]
        rate = len(samples) / times[name].median()
        bound = limit(decoding, products.get(name, products["float32"]) / flops)
        table.append(
            {
                "side": name,
                "images/s": f"{rate:.1f}",
                "faster, median (min to max)": spread(ratios),
                "least cosine to plain": f"{min(map(np.min, cosines)):.6f}",
                "limit, images/s": f"{bound:.1f}",
                "of the limit": f"{100 * rate / bound:.0f} %",
            }
        )
    click.echo(f"\nDecoded and prepared once: {decoding:,.0f} images/s. Products: {flops / 1e9:.1f} GFLOP an image.")
    show(f"{' + '.join(models)}, {len(samples)} images, batches of {batch_size}, {threads} threads", table)


def _features(folder: Path, side: str, number: int) -> np.ndarray:
    return (
        np.load(folder / f"plain-{number}.npy")
        if side == "plain"
        else load_features(folder / f"{side}-{number}").features
    )


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


# What bounds them


def limit(decoding: float, encoding: float) -> float:
    """Images/s where decoding and encoding, in images/s each alone, share the cores, or overlap beside a GPU."""
    return min(decoding, encoding) if torch.cuda.is_available() else 1 / (1 / decoding + 1 / encoding)


def decode_rate(encoders: list[Encoder], samples: pd.DataFrame, root: Path, threads: int) -> float:
    """Images/s read, checked, decoded and prepared, once for all encoders."""
    prepare = list(dict.fromkeys(encoder.preprocess for encoder in encoders))

    def decode(path: str, expected: str) -> None:
        image = read_image(root / path, expected)
        for preprocess in prepare:
            preprocess(image)

    some = samples[: 8 * DISTINCT]
    with ThreadPoolExecutor(threads) as pool:
        return len(some) / seconds(choose_device(AUTO), lambda: list(pool.map(decode, some["path"], some["sha256"])))


# Memory


def grow(models: tuple[str, ...], weights: str, folder: Path, samples: pd.DataFrame, options: dict) -> dict:
    """Extract in this process; its peak memory and its seconds."""
    stores = {folder / f"memory-{len(samples)}-{n}": load_encoder(model, weights) for n, model in enumerate(models)}
    extract = partial(extract_features, stores, samples, folder / "images", options["batch_size"], options["threads"])
    taken = []
    peak = peak_memory(lambda: taken.append(seconds(choose_device(AUTO), extract)))
    return {"images": f"{len(samples):,}", "peak MiB": f"{peak:,.0f}", "seconds": f"{taken[0]:.1f}"}


@click.command(context_settings={"show_default": True})
@click.option("--pair", "pairs", type=click.Choice(list(PAIRS)), multiple=True, default=list(PAIRS), help="Repeatable.")
@click.option("--images", type=click.IntRange(1), default=128, help="Images to time on.")
@click.option("--repeats", type=click.IntRange(1), default=5, help="Times that all sides run, one after another.")
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count(), help="Of every side.")
@click.option("--batch-size", type=click.IntRange(1), default=8, help="Of our side.")
@click.option("--memory", type=click.IntRange(1), multiple=True, help="Images to measure peak memory at. Repeatable.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Draws the images.")
def main(pairs: tuple[str, ...], images: int, memory: tuple[int, ...], seed: int, **options: int) -> None:
    """Measure feature extraction on this machine."""
    click.echo(describe_machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = draw_images(folder / "images", max([images, *memory]), seed)
        products = {name: product_rate(kind, options["threads"], choose_device(AUTO)) for name, kind in KINDS.items()}
        shown = ", ".join(f"{precision} {rate / 1e9:,.0f} GFLOP/s" for precision, rate in products.items())
        click.echo(f"Matrix products: {shown}")
        for pair in pairs:
            compare(*PAIRS[pair], folder, samples[:images], products, options)
        for pair in pairs if memory else ():
            rows = []
            for count in memory:
                context = multiprocessing.get_context("spawn")
                with ProcessPoolExecutor(1, mp_context=context) as pool:  # without what was measured before
                    rows.append(pool.submit(grow, *PAIRS[pair], folder, samples[:count], options).result())
            show(f"Peak memory of {' + '.join(PAIRS[pair][0])}", rows)


if __name__ == "__main__":
    main()
