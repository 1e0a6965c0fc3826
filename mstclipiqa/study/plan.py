"""What a configuration will cost before any of it runs: jobs, runs, time and disk."""

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mstclipiqa.base.device import choose_device
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import AUTO, LEVELS, TEST, TRAIN
from mstclipiqa.base.progress import progress
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.pack_sources import pack_file
from mstclipiqa.data.packs import read_pack
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.data.samples import check_labels, normalise_prompt
from mstclipiqa.encoders.adaptation import Tower, check_adaptable, frozen_part
from mstclipiqa.encoders.clip import embedding_sizes, expected_sizes, load_encoder
from mstclipiqa.model.build import build_model, used_encoders
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.study.jobs import protocols_of, seeds_of
from mstclipiqa.study.packing import samples_of
from mstclipiqa.study.study import Study
from mstclipiqa.training.dataset import Dataset
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import train_run

#: Images that a trial of an encoder and a run encodes and trains on.
TRIAL = 64

#: Operations a second, in float32, that a GPU is taken to reach where none is at hand: a made-up round number.
TRAINING_RATE = 10e12

#: Bytes of a stored prediction, compressed with its keys. Measured on AGIQA-3K.
PREDICTION = 6


def read_samples(study: Study, results: Path) -> dict[str, tuple[pd.DataFrame, dict]]:
    """By benchmark, its samples and their card: from its samples table where there is one, else from its pack or its
    label files. Of these no bytes of images are known, so that each image is taken to have its own.

    A benchmark that is still to be drawn or downloaded has none. Raises InputError for label files and packs that
    cannot be read.
    """
    found = {}
    for name in study.benchmarks:
        samples, folder = SAMPLES.at(results, benchmark=name), study.data_root / name
        file = pack_file(name, study.packs[name]) if name in study.packed else None
        if samples.is_file():
            found[name] = SAMPLES.read(samples)
        elif file and (pack := read_pack(file)).has_labels:
            found[name] = samples_of(file, pack, None)
        elif folder.is_dir():
            labels = get_benchmark(name).read(folder)
            frame = check_labels(get_benchmark(name), labels)
            groups = frame["prompt"].map(normalise_prompt)
            found[name] = frame.assign(benchmark=name, prompt_group=groups, sha256=frame["image"]), labels.row_facts
    return found


def count_steps(study: Study, samples: dict[str, tuple[pd.DataFrame, dict]]) -> pd.DataFrame:
    """A row per job: its runs, its training steps and the predictions it stores. Nothing is trained."""
    rows = []
    for name, (frame, card) in samples.items():
        splits, _ = split_samples(frame, study.config["protocols"], card)
        counts = splits.groupby(["protocol", "split"])["role"].value_counts().unstack(fill_value=0)
        splits_of = counts.groupby("protocol").size()
        every = [len(seeds_of(study.config, splits_of[protocol])) for protocol, _ in counts.index]
        for job in (job for job in study.jobs if job.benchmark == name):
            recipe, asked = study.recipes[job.recipe], protocols_of(study.config, job)
            seeds = [count if place[0] in asked else 0 for place, count in zip(counts.index, every, strict=True)]
            batches = [math.ceil(n / recipe.batch_size) for n in counts[TRAIN]]
            steps = int(np.dot(batches, seeds)) * recipe.epochs
            tested = int((counts[TEST] * seeds).sum()) * recipe.epochs
            rows.append((name, job.target, job.recipe, job.variant, sum(seeds), steps, tested))
    return pd.DataFrame(rows, columns=["benchmark", "target", "recipe", "variant", "runs", "steps", "evaluated"])


def time_step(recipe: Recipe, variant: str, dim: int, text_width: int, sizes: Sequence[int]) -> tuple[float, float]:
    """Seconds of one training step of a head and of one image's evaluation, tried here on one core with made-up
    features of streams of so many `sizes`."""
    prepare_process()
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32))

    batches = 20
    count = recipe.batch_size * batches + TRIAL
    lengths = torch.full((count,), 16)  # tokens: a common length of a prompt
    both = sizes[0], sum(sizes[1:])
    views = [noise(count, recipe.views, size) for size in both] if recipe.views else [None, None]
    f_c = noise(count, both[0])
    mos = 3 + 2 * np.tanh(f_c.numpy()[:, :4].mean(1))  # something to learn: of noise a model predicts the mean
    data = Dataset(
        [str(row) for row in range(count)], f_c, noise(count, both[1]), noise(16 * count, text_width),
        torch.arange(count) * 16, lengths, torch.from_numpy(mos.astype(np.float32)), mos, 1.0, 5.0, *views,
    )  # fmt: skip
    roles = np.array([TRAIN] * (count - TRIAL) + [TEST] * TRIAL, dtype=object)
    levels = noise(len(LEVELS), dim)

    def seconds(epochs: int) -> float:
        model = build_model(variant, recipe, dim, text_width, levels, 0, levels, sizes)
        start = time.perf_counter()
        # At a rate that changes nothing: a step costs the same, and no trial saturates on made-up features.
        still = replace(recipe, epochs=epochs, warm_up_epochs=0, learning_rate=1e-9, adaptation=None)
        train_run(model, data, roles, still, seed=0)
        return time.perf_counter() - start

    seconds(1)  # the first call sets up what later ones find
    step = max(seconds(3) - seconds(1), 1e-6) / 2 / batches
    return step, step * batches / (count - TRIAL) / 3  # a forward pass is about a third of a step


def cost_adapted(
    study: Study, recipe: str, variant: str, dim: int, text_width: int, device: torch.device
) -> tuple[float, float]:
    """Seconds and floating-point operations of an image's way through the encoders that a recipe trains, forth and
    back; tried on a device of this machine with random weights and made-up pixels."""
    chosen, levels = study.recipes[recipe], torch.randn(len(LEVELS), dim, generator=torch.Generator().manual_seed(0))
    model = build_model(variant, chosen, dim, text_width, levels, 0, levels)
    seconds = operations = 0.0
    for role in used_encoders(model, study.streams(recipe, variant), text_width):
        encoder = load_encoder(study.config["encoders"][role]["model"], "random:0", device)
        check_adaptable(encoder, adaptation := chosen.adaptation or {})
        pixels = torch.randint(0, 256, (8, *encoder.model.visual.image_size, 3), dtype=torch.uint8)
        inputs = frozen_part(encoder, adaptation, pixels).to(device)
        tower = Tower(encoder.model.visual, encoder.identity["preprocessing"], adaptation).to(device)

        def step(tower: Tower = tower, inputs: torch.Tensor = inputs) -> None:
            tower(inputs).square().mean().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            step()
        start = time.perf_counter()
        step()
        seconds += (time.perf_counter() - start) / len(pixels)
        operations += counter.get_total_flops() / len(pixels)
    return seconds, operations


def time_encoder(model: str, precision: str, device: torch.device) -> float:
    """Seconds per image of an encoder on a device of this machine, tried with random weights and all of its cores."""
    encoder = load_encoder(model, "random:0", device, precision)
    pixels = torch.randn(TRIAL if encoder.device.type == "cuda" else 8, 3, *encoder.model.visual.image_size)
    encoder.encode_images(pixels)
    start = time.perf_counter()
    encoder.encode_images(pixels)
    return (time.perf_counter() - start) / len(pixels)


def estimate(study: Study, results: Path) -> dict:
    """Jobs, runs, images, expected seconds on one core and disk of what the configuration asks for.

    Raises InputError as `read_samples` does.
    """
    samples = read_samples(study, results)
    jobs = count_steps(study, samples)
    dim, width = expected_sizes(study.config)
    models = jobs[["recipe", "variant"]].drop_duplicates()
    sizes = embedding_sizes(study.config["encoders"])
    tried = {
        (recipe, variant): time_step(
            study.recipes[recipe], variant, dim, width, [sizes[name] for name in study.streams(recipe, variant)]
        )
        for recipe, variant in progress(models.itertuples(index=False), len(models), "try the models", "models")
    }
    trains_on = choose_device(study.config["training"]["device"])
    adapted = {
        (recipe, variant): cost_adapted(study, recipe, variant, dim, width, trains_on)
        for recipe, variant in models.itertuples(index=False)
        if recipe in study.adapted
    }
    # Images that pass the encoders, a third of whose operations are the way forth.
    batch_sizes = jobs["recipe"].map(lambda name: study.recipes[name].batch_size)
    passed = jobs["steps"] * batch_sizes + jobs["evaluated"] / 3
    costs = [adapted.get((row.recipe, row.variant), (0.0, 0.0)) for row in jobs.itertuples()]
    jobs["operations"] = passed * [operations for _, operations in costs]
    jobs["seconds"] = passed * [seconds for seconds, _ in costs] + [
        row.steps * tried[row.recipe, row.variant][0] + row.evaluated * tried[row.recipe, row.variant][1]
        for row in jobs.itertuples()
    ]
    encoded = dict.fromkeys(study.config["encoders"], 0)
    images = {name: len(frame) for name, (frame, _) in samples.items()}
    for name, count in images.items():
        for encoder in study.encoders(name) if name not in study.packed else ():
            encoded[encoder] += count
    for (name, recipe), encoders in study.views.items():
        for encoder in encoders:
            encoded[encoder] += images.get(name, 0) * study.recipes[recipe].views
    precision, encoders = study.config["extraction"]["precision"], study.config["encoders"]
    device = choose_device(study.config["extraction"].get("device", AUTO))
    speeds = {
        name: time_encoder(encoders[name]["model"], precision, device) for name, count in encoded.items() if count
    }
    return {
        "unknown": [name for name in study.benchmarks if name not in samples],
        "absent": study.absent,
        "packed": study.packed,
        "images": images,
        "jobs": jobs,
        "encoded": encoded,
        "images_per_second": {name: 1 / seconds for name, seconds in speeds.items()},
        "extraction_seconds": sum(encoded[name] * seconds for name, seconds in speeds.items()),
        "cores": os.cpu_count() or 1,
        "device": device.type,
        "bytes": sum(encoded.values()) * dim * 4
        + int((jobs["evaluated"] / jobs["recipe"].map(lambda name: study.recipes[name].epochs)).sum()) * 3 * PREDICTION,
    }


def describe(cost: dict) -> Iterator[str]:
    """An estimate in words, a line each."""
    for name, reason in cost["absent"].items():
        yield f"{name}: left out, {reason}"
    for name in cost["unknown"]:
        if name in cost["packed"]:
            yield f"{name}: not counted, its pack is not at hand, or has no labels"
        else:
            yield f"{name}: not counted, it is still to be drawn; draw it with snakemake --cores all --until samples"
    jobs = cost["jobs"]
    if not len(jobs):
        return
    for name, count in cost["images"].items():
        own = jobs[jobs["benchmark"] == name]
        yield f"{name}: {count:,} images, {len(own)} training jobs, {own['runs'].sum():,} runs"
    hours, cores = jobs["seconds"].sum() / 3600, cost["cores"]
    speeds = ", ".join(f"{name} {speed:,.0f}" for name, speed in cost["images_per_second"].items())
    yield (
        f"encode {sum(cost['encoded'].values()):,} images and views on {cost['device']}: "
        f"{cost['extraction_seconds'] / 3600:.2f} h (images/s, tried here without decoding: {speeds})"
        if speeds
        else "encode nothing: all features come from packs"
    )
    yield (
        f"train {jobs['runs'].sum():,} runs in {len(jobs)} jobs: {hours:.2f} core hours, {hours / cores:.2f} h on "
        f"{cores} cores (steps tried here)"
    )
    own = jobs[jobs["operations"] > 0]
    if len(own):
        operations, rate = own["operations"].sum(), f"{TRAINING_RATE / 1e12:.0f} TFLOP/s"
        yield (
            f"of these, {own['runs'].sum():,} runs in {len(own)} jobs train the encoders: {operations / 1e15:,.2g} "
            f"PFLOP, {operations / TRAINING_RATE / 3600:,.2g} h on a GPU that reaches {rate}"
        )
    yield f"store {cost['bytes'] / 1e6:,.0f} MB of features and predictions"
