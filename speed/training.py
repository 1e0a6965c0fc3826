"""What training many runs costs: against a plain loop, against re-encoding every image, and against this machine.

    python speed/training.py --epochs 1

On made-up features of the study's size, both sides in turn. Prints Markdown tables; nothing is kept. A comparison is
of a sample of the epochs: the time of the whole is start-up, measured beside it, and the rest in proportion.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import pandas as pd
import scipy
import torch
from measuring import describe_machine, peak_memory, plain_model, product_rate, seconds, show, spread
from torch import Tensor

from mstclipiqa.base.names import LEVELS, TEST, TRAIN
from mstclipiqa.model.build import MSTCLIPIQA, count_trainable
from mstclipiqa.model.heads import PromptHead
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.training.dataset import Dataset
from mstclipiqa.training.job import Trainer, train_runs
from mstclipiqa.training.losses import total_loss
from mstclipiqa.training.run import Run

RECIPE = load_recipe(Path(__file__).parents[1] / "config" / "recipes" / "released_code.yaml")
VARIANTS = ("mst-clipiqa", "mst-clipiqa-star")

#: AGIQA-3K and OpenAI's ViT-B: images, those to train on, embedding, text width, tokens of a prompt and of a context.
IMAGES, TRAINING, DIM, WIDTH, LENGTH, CONTEXT = 2982, 2386, 512, 512, 16, 77

#: The study: ten splits with five seeds each.
SPLITS, SEEDS = 10, 5

#: Bytes of the copy that is timed.
COPY = 1 << 28


def make_trainer(variant: str, epochs: int) -> Trainer:
    """A trainer on made-up features, from a seed."""
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32))

    f_c = noise(IMAGES, DIM)
    score = 3 + 2 * np.tanh(f_c.numpy()[:, :4].mean(1))
    data = Dataset(
        [str(row) for row in range(IMAGES)], f_c, noise(IMAGES, DIM), noise(LENGTH * IMAGES, WIDTH),
        torch.arange(IMAGES) * LENGTH, torch.full((IMAGES,), LENGTH), torch.from_numpy(score), score, 1.0, 5.0,
    )  # fmt: skip
    return Trainer(data, variant, replace(RECIPE, epochs=epochs), noise(len(LEVELS), DIM))


def make_runs(count: int) -> list[Run]:
    """Runs of random splits of the study's sizes."""
    runs = []
    for number in range(count):
        split, seed = divmod(number, SEEDS)
        roles = np.full(IMAGES, TEST, dtype=object)
        roles[np.random.default_rng(split).permutation(IMAGES)[:TRAINING]] = TRAIN
        runs.append(Run("random", split, seed, roles))
    return runs


# The two sides


def plain_loop(trainer: Trainer, runs: Sequence[Run], threads: int, device: torch.device) -> None:
    """What one would write: torch.optim.Adam, all cores on one run, prompts as long as CLIP's context, every token
    projected, the test images after every epoch."""
    torch.set_num_threads(threads)
    data, recipe = trainer.data, trainer.recipe
    f_c, f_f, score = (part.to(device) for part in (data.f_c, data.f_f, data.score))
    tokens = torch.nn.functional.pad(data.tokens.view(IMAGES, LENGTH, WIDTH), (0, 0, 0, CONTEXT - LENGTH)).to(device)
    padding = (torch.arange(CONTEXT) >= LENGTH).expand(IMAGES, -1).to(device)
    for run in runs:
        model = trainer.build(run.seed).to(device)
        optimiser = torch.optim.Adam(
            (p for p in model.parameters() if p.requires_grad), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        train, test = (torch.from_numpy(np.flatnonzero(run.roles == role)) for role in (TRAIN, TEST))
        for _ in range(recipe.epochs):
            model.train()
            for batch in torch.randperm(len(train)).split(recipe.batch_size):
                rows = train[batch].to(device)
                optimiser.zero_grad()
                prediction = plain_forward(model, f_c[rows], f_f[rows], tokens, padding, rows)
                total_loss(prediction, score[rows], recipe).backward()
                optimiser.step()
            model.eval()
            with torch.no_grad():
                chunks = test.to(device).split(recipe.batch_size)
                found = [plain_forward(model, f_c[rows], f_f[rows], tokens, padding, rows) for rows in chunks]
            scipy.stats.spearmanr(torch.cat(found).cpu().numpy(), data.mos[test.numpy()])


def plain_forward(model: MSTCLIPIQA, f_c: Tensor, f_f: Tensor, tokens: Tensor, padding: Tensor, rows: Tensor) -> Tensor:
    """The model's scores, its prompt attention as torch.nn.MultiheadAttention computes it."""
    z, head = model.fusion(f_c, f_f), model.head
    if not isinstance(head, PromptHead):
        return head(z)
    states = tokens[rows]
    attended, _ = head.attention(z[:, None], states, states, key_padding_mask=padding[rows], need_weights=False)
    z = z + head.alpha * head.norm(attended[:, 0])
    hidden = head.dropout(torch.nn.functional.gelu(head.W_1(z)))
    return head.w_o(hidden if head.W_2 is None else hidden + head.W_2(z)).squeeze(-1)


def ours(trainer: Trainer, runs: Sequence[Run], workers: int, device: torch.device) -> None:
    """The project's own: stacked on a GPU, run by run in each of the workers on a CPU."""
    torch.set_num_threads(1)
    for _ in train_runs(trainer, runs, workers, device):
        pass


def start_up(trainer: Trainer, workers: int, device: torch.device) -> float:
    """Seconds until all workers have trained a run of next to nothing."""
    rows = np.array([TRAIN] * 8 + [TEST] * 8 + [None] * (IMAGES - 16), dtype=object)
    tiny = [Run("start-up", number, 0, rows) for number in range(workers)]
    return seconds(device, ours, replace(trainer, recipe=replace(trainer.recipe, epochs=1)), tiny, workers, device)


# What bounds them


def bandwidth(threads: int, device: torch.device) -> float:
    """Bytes/s read and written together by a copy too large for any cache."""
    torch.set_num_threads(threads)
    a = torch.zeros(COPY, dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    return 2 * COPY / min(seconds(device, b.copy_, a) for _ in range(5))


def least_seconds(parameters: int, steps: int, rate: float, speed: float) -> tuple[float, float]:
    """The least time of training steps by products alone (6 FLOP a parameter and image), and by memory alone: Adam
    reads four and writes three numbers a parameter, the passes before it read two and write one."""
    return 6 * parameters * RECIPE.batch_size * steps / rate, 40 * parameters * steps / speed


@click.command()
@click.option("--variant", "variants", multiple=True, default=VARIANTS, show_default=True)
@click.option("--runs", default=SPLITS * SEEDS, show_default=True)
@click.option("--epochs", default=1, show_default=True, help=f"Epochs to run, of {RECIPE.epochs}.")
@click.option("--repeats", default=3, show_default=True, help="Comparisons, both sides in turn.")
@click.option("--workers", default=os.cpu_count() or 1, show_default=True)
@click.option("--encoded", default=32, show_default=True, help="Images to time re-encoding with; 0: none.")
@click.option(
    "--growth", "counts", multiple=True, type=int, default=(1, 5, 20), show_default=True, help="Runs to time."
)
def main(
    variants: Sequence[str], runs: int, epochs: int, repeats: int, workers: int, encoded: int, counts: Sequence[int]
) -> None:
    """Compare, print, keep nothing."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    click.echo(describe_machine())
    rate, speed = product_rate(torch.float32, workers, device), bandwidth(workers, device)
    click.echo(f"Products: {rate / 1e9:,.0f} GFLOP/s. Copies: {speed / 1e9:,.1f} GB/s.")
    encoding = time_encoding(encoded, workers) if encoded else None
    chosen, share = make_runs(runs), RECIPE.epochs / epochs
    steps = runs * RECIPE.epochs * -(-TRAINING // RECIPE.batch_size)

    compared, studies, grown = [], [], []
    for variant in variants:
        trainer = make_trainer(variant, epochs)
        for side in (plain_loop, ours):  # the first call sets up what later ones find
            side(replace(trainer, recipe=replace(trainer.recipe, epochs=1)), chosen[:1], workers, device)
        pairs = []
        for _ in range(repeats):
            pair = {"start-up": start_up(trainer, workers, device)}
            for side in (plain_loop, ours):
                pair[side.__name__] = seconds(device, side, trainer, chosen, workers, device)
            pairs.append(pair)
        found = pd.DataFrame(pairs)
        plain = found["plain_loop"] * share
        own = found["start-up"] + (found["ours"] - found["start-up"]).clip(lower=1e-3) * share
        parameters = count_trainable(trainer.build(0))
        by_products, by_memory = least_seconds(parameters, steps, rate, speed)
        compared.append(
            {
                "variant": variant,
                "parameters": f"{parameters:,}",
                "plain loop, s": f"{plain.median():,.0f}",
                "ours, s": f"{own.median():,.0f}",
                "faster, median (min to max)": spread(plain / own),
                "products alone, s": f"{by_products:,.0f}",
                "memory alone, s": f"{by_memory:,.0f}",
            }
        )
        if encoding:
            per_epoch = encoding["plain"] * IMAGES * runs * RECIPE.epochs + plain
            once = encoding["ours"] * IMAGES + own
            studies.append(
                {
                    "variant": variant,
                    "re-encoding loop, h": f"{per_epoch.median() / 3600:,.1f}",
                    "ours, min": f"{once.median() / 60:,.1f}",
                    "faster, median (min to max)": spread(per_epoch / once),
                }
            )
        for count in counts:
            for number in sorted({1, workers}):
                with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # a peak is a process's own
                    grown.append(pool.submit(grow, variant, epochs, count, number, device).result())

    show(f"{runs} runs of {RECIPE.epochs} epochs, {TRAINING:,} images, {DIM} dimensions, batches of {RECIPE.batch_size}"
         f" (from {epochs} epochs, {repeats} comparisons)", compared)  # fmt: skip
    if studies:
        show("The whole study: every image encoded in every epoch of every run, or once", studies)
    show(f"Growth ({epochs} epochs, start-up included)", grown)


def grow(variant: str, epochs: int, count: int, workers: int, device: torch.device) -> dict:
    """Train `count` runs; the seconds, and the peak memory of all processes together."""
    trainer, runs, taken = make_trainer(variant, epochs), make_runs(count), []
    peak = peak_memory(lambda: taken.append(seconds(device, ours, trainer, runs, workers, device)))
    return {"variant": variant, "runs": count, "workers": workers, "s": f"{taken[0]:.1f}", "peak MiB": f"{peak:,.0f}"}


def time_encoding(count: int, threads: int) -> dict[str, float]:
    """Seconds an image costs both full-size encoders: open_clip's in the released code's batches of 8, ours in as
    many, or in 256 on a GPU. Of ready pixels; decoding would add to both."""
    from mstclipiqa.encoders.clip import load_encoder

    torch.set_num_threads(threads)
    models = [("ViT-B-32-quickgelu", "random:0"), ("ViT-B-16-quickgelu", "random:0")]
    encoders, plain = ([load(*model) for model in models] for load in (load_encoder, plain_model))
    device = encoders[0].device
    pixels = torch.randn(count, 3, 224, 224, device=device)
    size = 256 if device.type == "cuda" else RECIPE.batch_size

    @torch.inference_mode()
    def encode_plainly() -> None:
        for part in pixels.split(RECIPE.batch_size):
            for model in plain:
                model.encode_image(part).cpu()

    def encode() -> None:
        for part in pixels.cpu().split(size):
            for encoder in encoders:
                encoder.encode_images(part)

    sides = {"plain": encode_plainly, "ours": encode}
    return {side: min(seconds(device, step) / count for _ in range(3)) for side, step in sides.items()}


if __name__ == "__main__":
    main()
