"""Any number of images, part by part: what `score --parts` and `encode-images` need for a million, and do when killed.

    python speed/million.py measure measured/million --records 1000000

draws the records (8 x 8 pixels, one in a thousand of them cut short, with a prompt each) into tar shards in the folder,
where they are not there yet; runs each verb, kills it twice, runs it to the end, counts its rows, and prints a Markdown
table. The encoder is of 32 x 32 pixels with seeded weights, so that records take the time, and not what is done with
them; `--pair` takes the small pair instead. Nothing is deleted.
"""

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import psutil
import pyarrow.parquet as pq
from PIL import Image

from mstclipiqa.cli.main import main as verbs
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.encoders.stores import read_store

#: An encoder that costs next to nothing.
TINY = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
}
PAIRS = {
    "tiny": (("tiny", "random:0"), ("tiny", "random:1")),
    "small": (("mst-small-32", "embedded"), ("mst-small-16", "embedded")),
}
PER_SHARD, BROKEN = 10_000, 1000
RECIPES = Path(__file__).parents[1] / "config" / "recipes"


def draw_shards(folder: Path, count: int) -> None:
    """Draw `count` records into shards; a shard appears when it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, count, PER_SHARD):
        path = folder / f"{first // PER_SHARD:06d}.tar"
        if path.exists():
            continue
        rng = np.random.default_rng(first)
        with tarfile.open(path.with_suffix(".new"), "w") as shard:
            for number in range(first, min(first + PER_SHARD, count)):
                stream = io.BytesIO()
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(stream, "PNG")
                content = stream.getvalue()[: 60 if number % BROKEN == 500 else None]
                for ending, held in ((".png", content), (".txt", f"scene {number % 97}".encode())):
                    info = tarfile.TarInfo(f"{number:08d}{ending}")
                    info.size = len(held)
                    shard.addfile(info, io.BytesIO(held))
        path.with_suffix(".new").rename(path)


def command(*words: object) -> list[str]:
    """The command of a verb, which knows the tiny encoder."""
    return [sys.executable, __file__, "verb", *map(str, words)]


def train_head(folder: Path, pair: tuple) -> Path:
    """A head of the pair, trained on a drawn benchmark."""
    head, results, data = folder / "head.safetensors", folder / "results", folder / "data"
    if head.exists():
        return head
    benchmark = results / "agiqa-3k"
    samples, features, recipe = benchmark / "samples.parquet", benchmark / "features", RECIPES / "converged.yaml"
    stores = [features / f"{role}.safetensors" for role in ("coarse", "fine")]
    encoders = [word for named, store in zip(pair, stores, strict=True) for word in ("--encoder", *named, store)]
    texts = ("encode-texts", "--model", pair[0][0], "--weights", pair[0][1])
    train = ("train-head", "agiqa-3k", "--results", results, "--recipe", recipe)
    for words in (
        ("draw", "agiqa-3k", "--root", data, "--scale", 0.1),
        ("samples", "agiqa-3k", "--root", data, "--out", samples),
        ("split", "--samples", samples, "--protocol", "grouped1", "--out", benchmark / "splits.parquet"),
        ("extract", *encoders, "--samples", samples, "--root", data),
        (*texts, "--samples", samples, "--out", features / "prompts.safetensors"),
        (*texts, "--template", "a photo with {} quality", "--out", results / "levels" / "converged.safetensors"),
        (*train, "--variant", "mst-clipiqa-star", "--protocol", "grouped1", "--out", head),
    ):
        subprocess.run(command(*words), check=True)
    return head


def run_killed(words: list[str], parts: Path, kill_at: list[int]) -> tuple[float, float, list[int]]:
    """Run a command to its end, killed each time when so many parts are there. Seconds, the most MiB of a process, and
    the parts that were there after each kill."""
    seconds, most, survived = 0.0, 0.0, []
    for limit in [*kill_at, None]:
        start = time.perf_counter()
        with open(parts.with_suffix(".log"), "a") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        seen = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                most = max(most, seen.memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                break
            if limit is not None and len(list(parts.glob("0*"))) >= limit:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.2)
        process.wait()
        seconds += time.perf_counter() - start
        if limit is not None:
            survived.append(len(list(parts.glob("0*"))))
    return seconds, most, survived


def rows_of(path: Path) -> tuple[list[str], int]:
    """The names of all records in a part, and how many of them failed."""
    if path.suffix == ".parquet":
        table = pq.read_table(path, columns=["image", "error"])
        return table["image"].to_pylist(), len(table) - table["error"].null_count
    metadata = read_store(path, tensors=False)[1]
    return metadata["images"] + [name for name, _ in metadata["errors"]], len(metadata["errors"])


def expected(shards: Path, count: int) -> Iterator[str]:
    for number in range(count):
        yield f"{shards}/{number // PER_SHARD:06d}.tar/{number:08d}.png"


@click.group()
def cli() -> None:
    """Measure, or run a verb."""


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--records", default=1_000_000, show_default=True)
@click.option("--pair", type=click.Choice(list(PAIRS)), default="tiny", show_default=True)
@click.option("--batch-size", default=256, show_default=True)
@click.option(
    "--what", type=click.Choice(["score", "encode-images"]), multiple=True, default=["score", "encode-images"]
)
def measure(folder: Path, records: int, pair: str, batch_size: int, what: tuple[str, ...]) -> None:
    """Draw the records, run each verb, kill it twice, count its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = folder / f"shards-{records}"
    draw_shards(shards, records)
    head = train_head(folder, PAIRS[pair])
    every = -(-PER_SHARD // 5000) * -(-records // PER_SHARD)
    click.echo("| verb | records | rows | distinct | failed | killed at parts | seconds | records/s | most MiB |")
    click.echo("|---|---|---|---|---|---|---|---|---|")
    for verb in what:
        parts = folder / f"{verb}-{pair}-{records}"
        shutil.rmtree(parts, ignore_errors=True)
        words = ["score", shards, "--head", head, "--parts", parts]
        if verb != "score":
            words = ["encode-images", shards, "--encoder", *PAIRS[pair][0], parts]
        words = command(*words, "--batch-size", batch_size)
        seconds, most, survived = run_killed(words, parts, [every // 3, 2 * every // 3])
        names, failed = list[str](), 0
        for path in sorted(parts.glob("0*")):
            found, faults = rows_of(path)
            names, failed = names + found, failed + faults
        assert sorted(names) == list(expected(shards, records)), "a row is lost, or stands twice"
        counts = (verb, records, len(names), len(set(names)), failed, survived)
        click.echo(f"| {' | '.join(map(str, counts))} | {seconds:.0f} | {records / seconds:.0f} | {most:.0f} |")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def verb(words: tuple[str, ...]) -> None:
    """Run a verb with the tiny encoder known to open_clip."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tiny.json").write_text(json.dumps(TINY))
        open_clip.add_model_config(Path(folder))
    verbs(list(words))


if __name__ == "__main__":
    cli()
