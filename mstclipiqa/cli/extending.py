"""Verbs that make what ships with the project: drawn benchmarks, and the small encoder pair."""

from pathlib import Path

import click

from mstclipiqa.cli.options import COUNT, FOLDER, SEED, WRITE


@click.command()
@click.argument("benchmark")
@click.option("--root", type=WRITE, required=True, help="Folder to draw into, replaced where it exists.")
@click.option("--seed", type=SEED, default=0, help="Equal seeds give equal bytes.")
@click.option("--scale", type=float, default=1.0, help="Share of the prompts to draw.")
@click.option("--labels", type=FOLDER, help="Folder of the benchmark's own label files: draw the images they name.")
def draw(benchmark: str, root: Path, seed: int, scale: float, labels: Path | None) -> None:
    """Draw the miniature stand-in of BENCHMARK in its real on-disk layout."""
    from mstclipiqa.synthetic.miniature import draw_benchmark

    draw_benchmark(benchmark, root, seed, scale, labels)


@click.command()
@click.option("--out", type=WRITE, required=True, help="Folder for the weights and their learning curves.")
@click.option("--work", type=WRITE, required=True, help="Folder for the drawn images (150 kB each) and checkpoints.")
@click.option("--seed", type=SEED, default=0, help="Draws initial weights, batches and captions.")
@click.option("--images", type=click.IntRange(1000), default=40000, help="Images to draw and train on.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Share of the steps to train.")
@click.option("--workers", type=COUNT, default=2, help="Processes that draw, then train.")
def pretrain(out: Path, work: Path, seed: int, images: int, share: float, workers: int) -> None:
    """Pretrain the embedded encoder pair on drawn images. Resumes where it was killed."""
    from mstclipiqa.synthetic.pretraining import pretrain_pair

    pretrain_pair(out, work, seed, images, workers, share)
