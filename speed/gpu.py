"""What the GPU path gives and costs, in one unattended run: equal first, then fast.

    python speed/gpu.py --carry                              before: copy what a bare machine lacks beside this file
    python speed/gpu.py --out measured                       every stage
    python speed/gpu.py --out measured --stage training      one of them; the others' rows in --out are kept

It needs a checkout, torch, and no network: images, weights and features are drawn from seeds, and the project need not
be installed. A stage that times checks equality before; what fails is a row of the table, and the exit status is 1.
Each row is printed as it is measured, and kept in `gpu.json` and `gpu.md`. Without a GPU all stages run on the CPU,
with little data: that proves this file, and its times say nothing.
"""

import atexit
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

HERE = Path(__file__).parent
CARRIED = HERE / "carried"

#: Distributions that torch's images lack and the encoders need; all are plain Python.
CARRY = ("open_clip_torch", "ftfy", "wcwidth")

#: What stands in for jsonschema, which has compiled parts and only checks files, where it is not installed.
UNCHECKED = """from types import SimpleNamespace

Draft202012Validator, ValidationError = None, ValueError
validators = SimpleNamespace(extend=lambda *_: lambda schema: SimpleNamespace(iter_errors=lambda document: []))
"""


def is_here(package: str) -> bool:
    """Whether a package can be imported."""
    try:
        return find_spec(package) is not None
    except ImportError:
        return False


def prepare_imports() -> None:
    """Make the checkout importable, and what was carried along, here and in worker processes."""
    first, last = [str(HERE.parent), str(HERE)], [str(CARRIED)]
    sys.path[:0] = first
    if not is_here("jsonschema"):
        folder = tempfile.mkdtemp(prefix="stand-ins-")
        atexit.register(shutil.rmtree, folder)
        (Path(folder) / "jsonschema.py").write_text(UNCHECKED, encoding="utf-8")
        last.append(folder)
    sys.path += last
    os.environ["PYTHONPATH"] = os.pathsep.join([*first, *filter(None, [os.environ.get("PYTHONPATH")]), *last])


prepare_imports()

from training import make_runs, make_trainer, plain_loop  # noqa: E402

from mstclipiqa.base.device import choose_device, describe_gpu, set_products  # noqa: E402
from mstclipiqa.base.names import AUTO, BFLOAT16, FLOAT32, MODELS, TF32  # noqa: E402
from mstclipiqa.evaluation.metrics import srcc  # noqa: E402
from mstclipiqa.model.build import count_trainable  # noqa: E402
from mstclipiqa.model.recipes import load_recipe  # noqa: E402
from mstclipiqa.training.run import Run, Trainer  # noqa: E402
from mstclipiqa.training.stacked import EVALUATED, Stack, own_stream, train_stacked  # noqa: E402

RECIPES = HERE.parent / "config" / "recipes"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    images: dict[str, int]  # by pair
    equal: int  # images whose features are compared
    batch: int
    study: int  # images of the study
    heads: int
    epochs: int  # of the study
    matrix: int
    copied: int  # bytes


FULL = Size({"small": 16384, "full": 8192}, 256, 256, 2982, 50, 20, 8192, 1 << 32)
TINY = Size({"small": 16, "full": 4}, 4, 8, 8, 3, 1, 256, 1 << 22)


class Table:
    """The rows measured so far, on disk and on the screen."""

    def __init__(self, out: Path):
        self.out, self.failed = out, False
        out.mkdir(parents=True, exist_ok=True)
        self.file = out / "gpu.json"
        self.rows: list[dict[str, Any]] = json.loads(self.file.read_text())["rows"] if self.file.is_file() else []

    def begin(self, stage: str) -> None:
        """Forget what this stage measured before."""
        self.rows = [row for row in self.rows if row["stage"] != stage]
        self.stage = stage
        click.echo(f"\n## {stage}\n")

    def add(self, what: str, value: float | str, unit: str = "", aim: str = "", held: bool | None = None) -> None:
        """One row; `held` says whether what must hold does."""
        row = {"stage": self.stage, "what": what, "value": value, "unit": unit, "aim": aim, "held": held}
        self.rows.append(row)
        self.failed |= held is False
        click.echo(_line(row))
        sys.stdout.flush()

    def write(self, machine: dict[str, str]) -> None:
        """Keep all rows, as JSON and as a table."""
        self.file.write_text(json.dumps({"machine": machine, "rows": self.rows}, indent=2) + "\n")
        lines = ["| stage | what | measured | aim | |", "|---|---|---|---|---|", *map(_line, self.rows)]
        head = "\n".join(f"* {name}: {text}" for name, text in machine.items())
        (self.out / "gpu.md").write_text(f"{head}\n\n" + "\n".join(lines) + "\n")


def _line(row: dict[str, Any]) -> str:
    value = row["value"]
    shown = value if isinstance(value, str) else f"{value:,.6g}" if abs(value) < 1000 else f"{value:,.0f}"
    mark = {None: "", True: "held", False: "NOT HELD"}[row["held"]]
    return f"| {row['stage']} | {row['what']} | {shown} {row['unit']} | {row['aim']} | {mark} |"


GPU = torch.cuda.is_available()
#: Worker processes import this file too; they must not take the GPU.
DEVICE = choose_device(AUTO) if __name__ == "__main__" else torch.device("cuda" if GPU else "cpu")
SIZE = FULL if GPU else TINY
THREADS = os.cpu_count() or 1


def wait() -> None:
    """Until the device has done all."""
    if GPU:
        torch.cuda.synchronize()


def seconds(step: Callable[[], object], repeats: int = 1) -> float:
    """The least time that a step takes, its work on the device done."""
    taken = []
    for _ in range(repeats):
        wait()
        start = time.perf_counter()
        step()
        wait()
        taken.append(time.perf_counter() - start)
    return min(taken)


# The machine


def machine(table: Table) -> None:
    """What the device can do at most."""
    n = SIZE.matrix
    for name, kind, tf32 in (
        (FLOAT32, torch.float32, False),
        (TF32, torch.float32, True),
        (BFLOAT16, torch.bfloat16, False),
    ):
        if GPU or not tf32:
            set_products(tf32)
            a, b = (torch.randn(n, n, device=DEVICE).to(kind) for _ in range(2))
            seconds(lambda a=a, b=b: a @ b, 3)
            table.add(f"products in {name}", 2 * n**3 / seconds(lambda a=a, b=b: a @ b, 5) / 1e12, "TFLOP/s")
    table.add("copy, read and written", copy_rate() / 1e9, "GB/s")
    if GPU:
        pinned = torch.empty(1 << 28, dtype=torch.uint8, pin_memory=True)
        upload = seconds(lambda: pinned.to(DEVICE, non_blocking=True), 5)
        table.add("upload from pinned memory", len(pinned) / upload / 1e9, "GB/s")


def copy_rate() -> float:
    """Bytes/s that the device's memory reads and writes."""
    a = torch.zeros(SIZE.copied, dtype=torch.uint8, device=DEVICE)
    b = torch.empty_like(a)
    return 2 * SIZE.copied / seconds(lambda: b.copy_(a), 5)


# Features


def load(pair: str, precision: str, device: torch.device) -> list[Any]:
    """Both encoders of a pair."""
    from extraction import PAIRS

    from mstclipiqa.encoders.clip import load_encoder

    models, weights = PAIRS[pair]
    return [load_encoder(model, weights, device, precision) for model in models]


def precisions() -> list[str]:
    """Those that the device has."""
    return [BFLOAT16, TF32, FLOAT32] if GPU else [BFLOAT16, FLOAT32]


def features(table: Table) -> None:
    """Features of the device against those of open_clip's own model on the CPU, in float32."""
    from extraction import draw_images

    from mstclipiqa.encoders.images import read_image
    from mstclipiqa.encoders.open_clip_loader import open_clip

    with tempfile.TemporaryDirectory() as name:
        samples = draw_images(Path(name) / "images", SIZE.equal, 1)
        images = [read_image(Path(name) / "images" / path) for path in samples["path"]]
    for pair in ("small", "full"):
        found = {precision: load(pair, precision, DEVICE) for precision in precisions()}
        for number, reference in enumerate(load(pair, FLOAT32, torch.device("cpu"))):
            prepared = torch.stack([reference.preprocess(image) for image in images])
            plain = open_clip.create_model(reference.identity["model"]).eval().requires_grad_(False)
            plain.load_state_dict(reference.model.state_dict())
            transform = open_clip.transform.image_transform_v2(
                open_clip.transform.PreprocessCfg(**reference.identity["preprocessing"]), is_train=False
            )
            with torch.inference_mode():
                pixels = torch.stack([transform(image) for image in images])
                expected = torch.cat([plain.encode_image(part) for part in pixels.split(32)])
            for precision, encoders in found.items():
                parts = [encoders[number].encode_images(part) for part in prepared.split(SIZE.batch)]
                got, what = torch.cat(parts), f"{encoders[number].identity['model']}, {precision}"
                cosine = torch.cosine_similarity(got, expected).min().item()
                apart = (got - expected).abs().max().item()
                if precision == FLOAT32:
                    table.add(f"{what}: farthest from the CPU", apart, "", "at most 1e-4", apart <= 1e-4)
                else:
                    # The small pair's own rounding is beyond the aim on a CPU, too.
                    least = 0.9999 if pair == "full" else 0.999
                    table.add(f"{what}: least cosine to the CPU", cosine, "", f"at least {least}", cosine >= least)


def extraction(table: Table) -> None:
    """From JPEG files to stores, and what bounds it: preparing images, and encoding what is prepared."""
    from extraction import decode_rate, draw_images

    from mstclipiqa.encoders.extraction import extract_features
    from mstclipiqa.encoders.gpu_pipeline import encode_on_gpu
    from mstclipiqa.encoders.images import Source

    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "images"
        samples = draw_images(root, max(SIZE.images.values()), 0)
        for pair, aim in (("small", 4000), ("full", 1800)):
            some = samples[: SIZE.images[pair]]
            for precision in precisions():
                encoders = load(pair, precision, DEVICE)
                if precision == precisions()[0]:
                    rate = decode_rate(encoders, some, root, THREADS)
                    table.add(f"{pair} pair: images prepared by {THREADS} threads", rate, "images/s")
                    images = list(zip(some["path"], some["sha256"], strict=True))
                    sizes = {encoder.preprocess: encoder.image_size for encoder in encoders}
                    batches = [(images[at : at + SIZE.batch], sizes) for at in range(0, len(images), SIZE.batch)]

                    def prepare(batches: list[Any] = batches) -> None:
                        for _ in encode_on_gpu(batches, Source(root), lambda *_: None, [], THREADS, DEVICE):
                            pass

                    rate = len(images) / seconds(prepare)
                    table.add(f"{pair} pair: by {THREADS} processes, their start included", rate, "images/s")
                pixels = torch.stack([torch.zeros(224, 224, 3, dtype=torch.uint8)] * SIZE.batch).to(DEVICE)

                def encode(encoders: list[Any] = encoders, pixels: torch.Tensor = pixels) -> None:
                    for encoder in encoders:
                        encoder.encode_images(pixels)

                encode()
                rate = SIZE.batch / seconds(encode, 5 if GPU else 1)
                table.add(f"{pair} pair, {precision}: prepared images encoded", rate, "images/s")
                for count, shown in ((SIZE.batch, False), (len(some), True)):  # the first sets up what the second finds
                    folder = Path(name) / f"{pair}-{precision}-{count}-{shown}"
                    stores = {folder / str(number): encoder for number, encoder in enumerate(encoders)}
                    taken = seconds(partial(extract_features, stores, some[:count], root, SIZE.batch, THREADS))
                    if shown:
                        wanted = GPU and precision == BFLOAT16
                        table.add(
                            f"{pair} pair, {precision}: JPEG to store, {count:,} images", count / taken, "images/s",
                            f"at least {aim:,}" if wanted else "", count / taken >= aim if wanted else None,
                        )  # fmt: skip


# Training


def trainer_of(variant: str, recipe: str, epochs: int) -> Trainer:
    """A trainer on made-up features of AGIQA-3K's size."""
    trainer = make_trainer(variant, epochs)
    chosen = replace(load_recipe(RECIPES / f"{recipe}.yaml"), epochs=epochs)
    data = trainer.data
    if chosen.views:
        shape = (len(data.f_c), chosen.views, data.f_c.shape[1])
        made = {f"views_{stream}": torch.randn(shape, generator=torch.Generator().manual_seed(0)) for stream in "cf"}
        data = replace(data, **made)
    return replace(trainer, data=data, recipe=chosen)


def some_runs(count: int) -> list[Run]:
    """Runs of the study; without a GPU of few images."""
    runs = make_runs(count)
    return runs if GPU else shorten(runs)


def shorten(runs: list[Run]) -> list[Run]:
    """The runs with some of their images."""
    for run in runs:
        for role, kept in (("train", 64), ("val", 32), ("test", 32)):
            run.roles[np.flatnonzero(run.roles == role)[kept:]] = None
    return runs


CASES = [(variant, recipe) for recipe in ("released_code", "appendix") for variant in MODELS]


def equality(table: Table) -> None:
    """One epoch: captured against called, resumed against whole, and both against the loop on the CPU."""
    for variant, recipe in CASES:
        trainer, runs, what = trainer_of(variant, recipe, 1), some_runs(4), f"{variant}, {recipe}"

        def train(
            chosen: list[Run], capture: bool, trainer: Trainer = trainer, runs: list[Run] = runs
        ) -> Iterator[np.ndarray]:
            own = train_stacked(trainer.build, trainer.data, chosen, trainer.recipe, DEVICE, runs, capture)
            return (table["prediction"].to_numpy() for _, table in own)

        captured, called = (list(train(runs, capture)) for capture in (True, False))
        apart = max(np.abs(a - b).max() for a, b in zip(captured, called, strict=True))
        table.add(f"{what}: captured from called", apart, "of 1 to 5", "at most 1e-5", bool(apart <= 1e-5))
        (resumed,) = train(runs[-1:], True)
        table.add(f"{what}: a resumed run's bits", "equal" if np.array_equal(resumed, captured[-1]) else "other", "",
                  "equal", np.array_equal(resumed, captured[-1]))  # fmt: skip
        torch.set_num_threads(1)
        looped = [trainer.train(run) for run in runs[:2]]
        apart = max(np.abs(a - b["prediction"].to_numpy()).max() for a, b in zip(captured, looped, strict=False))
        table.add(f"{what}: from the loop on the CPU", apart, "of 1 to 5", "at most 1e-2", bool(apart <= 1e-2))
        moved = max(
            abs(srcc(a, b["prediction"]) - 1) for a, b in zip(captured, looped, strict=False)
        )  # ranks among each other
        table.add(f"{what}: 1 - SRCC with the loop", moved, "", "at most 1e-3", bool(moved <= 1e-3))


def make_stack(trainer: Trainer, runs: list[Run], capture: bool) -> Stack:
    """These runs together, ready to step; to be called on an `own_stream`."""
    set_products(False)
    stack = Stack(trainer.build, trainer.data.to(DEVICE), runs, trainer.recipe, DEVICE, capture)
    stack.rate.fill_(1e-6)
    stack.objective.train()
    return stack


def step_seconds(trainer: Trainer, runs: list[Run], capture: bool) -> tuple[float, float]:
    """Seconds of a step of these runs together, and of judging them after an epoch."""
    with own_stream(DEVICE)():
        stack = make_stack(trainer, runs, capture)

        def epoch() -> None:
            stack.next.zero_()
            for _ in range(stack.steps):
                stack.replayed()

        epoch()  # captures
        step = seconds(epoch, 3) / stack.steps
        stack.objective.eval()
        judging = [one for one in stack.judged.values() if one.count]
        return step, seconds(lambda: [one.judge() for one in judging], 3)


#: Bytes of a parameter that a step moves at least: it is read forward and backward, its gradient is written, and Adam
#: reads four numbers and writes three.
MOVED = 10 * 4


def training(table: Table) -> None:
    """Many heads together against one after another by a plain loop on the same device."""
    rate = copy_rate()
    for variant, recipe in CASES:
        trainer, runs, what = trainer_of(variant, recipe, 1), some_runs(SIZE.heads), f"{variant}, {recipe}"
        steps = -(-int((runs[0].roles == "train").sum()) // trainer.recipe.batch_size)
        plain = replace(trainer, recipe=replace(trainer.recipe, views=0))
        plain_loop(plain, runs[:1], 1, DEVICE)
        one = seconds(lambda p=plain, r=runs: plain_loop(p, r[:1], 1, DEVICE), 2) / steps
        called, _ = step_seconds(trainer, runs, False)
        captured, judged = step_seconds(trainer, runs, True)
        count = f"{len(runs)} heads"
        table.add(f"{what}: plain eager loop, one head, its evaluation included", 1e3 * one, "ms a step")
        table.add(f"{what}: {count} stacked, called", 1e3 * called, "ms a step")
        least = len(runs) * count_trainable(trainer.build(0)) * MOVED / rate
        bound = f"{1e3 * least:.2g} by memory alone"
        table.add(f"{what}: {count} stacked, captured", 1e3 * captured, "ms a step", bound)
        table.add(f"{what}: judging {count} once, {EVALUATED} images each at a time", 1e3 * judged, "ms")
        faster = len(runs) * one / (captured + judged / steps)
        table.add(f"{what}: {count} against the plain loop", faster, "times as fast", "at least 50, aim 200",
                  faster >= 50 if GPU else None)  # fmt: skip


#: Steps that are profiled.
PROFILED = 10

#: What a kernel does, by what its name holds.
KERNELS = {
    "Adam": ("FusedOptimizer", "fused_adam"),
    "products": ("gemm", "gemv", "cutlass", "::bmm", "::addmm", "::mm"),
    "copies": ("copy", "Cat", "::cat"),
}


def profile(table: Table) -> None:
    """Where the time of a stacked step goes."""
    from torch.profiler import ProfilerActivity, profile

    for variant, recipe in CASES:
        trainer, runs = trainer_of(variant, recipe, 1), some_runs(SIZE.heads)
        with own_stream(DEVICE)():
            stack = make_stack(trainer, runs, True)

            def step(stack: Stack = stack) -> None:
                stack.next.zero_()
                stack.replayed()
                wait()

            for _ in range(5):  # captures
                step()
            with profile(activities=[ProfilerActivity.CUDA if GPU else ProfilerActivity.CPU]) as profiled:
                for _ in range(PROFILED):
                    step()
        spent = dict.fromkeys([*KERNELS, "the rest"], 0.0)
        for event in profiled.key_averages():
            micro = event.self_device_time_total if GPU else event.self_cpu_time_total
            does = (what for what, names in KERNELS.items() if any(name in event.key for name in names))
            spent[next(does, "the rest")] += micro / 1e3 / PROFILED
        for what, milli in spent.items():
            table.add(f"{variant}, {recipe}: {len(runs)} heads, {what}", milli, "ms a step")


def adapted(table: Table) -> None:
    """Encoders trained with a head, on the device and on the CPU."""
    from extraction import draw_images

    from mstclipiqa.encoders.adaptation import count_adapted
    from mstclipiqa.training.adapted import adapt
    from mstclipiqa.training.dataset import Dataset

    count, dim = 64 if GPU else 12, 256
    noise = torch.Generator().manual_seed(0)
    f_c, f_f, levels = (torch.randn(size, dim, generator=noise) for size in (count, count, 5))
    score = torch.linspace(1, 5, count)
    data = Dataset(
        [f"{row}.jpg" for row in range(count)], f_c, f_f, torch.zeros(0, dim), torch.zeros(count, dtype=torch.long),
        torch.zeros(count, dtype=torch.long), score, score.double().numpy(), 1.0, 5.0,
    )  # fmt: skip
    run = Run("random", 0, 0, np.array(["train", "train", "train", "test"] * (count // 4), dtype=object))
    with tempfile.TemporaryDirectory() as name:
        samples = draw_images(Path(name) / "images", count, 2)
        for kind in ("adapted_last_block", "adapted_lora", "adapted_all"):
            recipe = replace(load_recipe(RECIPES / f"{kind}.yaml"), epochs=2)
            frozen = Trainer(data, "mst-clipiqa", replace(recipe, adaptation=None), levels)
            predicted = []
            for device in (torch.device("cpu"), DEVICE):
                encoders = load("small", FLOAT32, device)
                assert recipe.adaptation and count_adapted(encoders[0], recipe.adaptation)
                trainer = adapt(frozen, recipe, encoders, samples, Path(name) / "images")
                start = time.perf_counter()
                predicted.append(trainer.train(run)["prediction"].to_numpy())
                taken = time.perf_counter() - start
            apart = float(np.abs(predicted[0] - predicted[1]).max())
            table.add(f"{kind}: from the CPU", apart, "of 1 to 5", "at most 1e-2", apart <= 1e-2)
            table.add(f"{kind}: an epoch of {count // 4 * 3} images", taken / 2, "s")


def study(table: Table) -> None:
    """AGIQA-3K's size from JPEG files to all predictions of 50 runs."""
    from extraction import draw_images

    from mstclipiqa.encoders.extraction import extract_features
    from mstclipiqa.encoders.stores import load_features

    pair = "full" if GPU else "small"
    with tempfile.TemporaryDirectory() as name:
        root, outputs = Path(name) / "images", [Path(name) / "coarse", Path(name) / "fine"]
        samples = draw_images(root, SIZE.study, 0)
        encoders, trainer = load(pair, BFLOAT16, DEVICE), trainer_of("mst-clipiqa", "released_code", SIZE.epochs)
        if GPU:
            encoders[0].encode_images(torch.zeros(1, 224, 224, 3, dtype=torch.uint8))

        def extract() -> None:
            extract_features(dict(zip(outputs, encoders, strict=True)), samples, root, SIZE.batch, THREADS)

        def train() -> None:
            read = [torch.from_numpy(load_features(output).features) for output in outputs]
            data = replace(trainer.data, f_c=read[0], f_f=read[1]) if len(read[0]) == len(trainer.data.f_c) else None
            own = replace(trainer, data=data or trainer.data)
            train_all(own, some_runs(SIZE.heads))

        first, second = seconds(extract), seconds(train)
    table.add("images to features", first, "s")
    table.add(f"features to predictions, {SIZE.heads} runs of {SIZE.epochs} epochs", second, "s")
    total = first + second
    table.add("together", total, "s", "under 30", total < 30 if GPU else None)


def projection(table: Table) -> None:
    """`paper.yaml`'s training from packs: its jobs, at the time that one of AGIQA-3K takes for its start and an epoch.

    Splits are AGIQA-3K's own, whose pack ships with the project. Another benchmark's epochs take time in proportion to
    its images, and a variant as much as the paper's model with the same head, which none has more parameters than.
    """
    from mstclipiqa.base.documents import read_yaml
    from mstclipiqa.data.benchmarks import get_benchmark
    from mstclipiqa.data.pack_sources import pack_file
    from mstclipiqa.data.packs import read_pack
    from mstclipiqa.data.protocols import split_samples
    from mstclipiqa.study.jobs import list_jobs, seeds_of
    from mstclipiqa.study.packing import samples_of

    config = read_yaml(HERE.parent / "config" / "paper.yaml")
    file = pack_file("agiqa-3k", "shipped")
    assert file is not None, "it ships"
    frame, card = samples_of(file, read_pack(file), None)
    splits, _ = split_samples(frame, config["protocols"], card)
    several = splits.groupby("protocol")["split"].nunique()
    runs = [
        Run(protocol, split, seed, group.set_index("image")["role"].reindex(frame["image"]).to_numpy(dtype=object))
        for (protocol, split), group in splits.groupby(["protocol", "split"], sort=True)
        for seed in seeds_of(config, several[protocol])
    ]
    chosen = runs if GPU else shorten(runs[:3])
    starts: dict[tuple, float] = {}
    epochs: dict[tuple, float] = {}
    total = 0.0
    for job in list_jobs(config, config["benchmarks"]):
        recipe = load_recipe(RECIPES / f"{job.recipe}.yaml")
        variant = MODELS["star" in job.variant]
        case = variant, recipe.batch_size, recipe.views, bool(recipe.regression_dropout)  # what an epoch costs by
        if case not in epochs:
            trainers = (trainer_of(variant, job.recipe, count) for count in (1, 3))
            one, three = (seconds(partial(train_all, trainer, chosen)) for trainer in trainers)
            epochs[case] = max(three - one, 0) / 2
            starts[case] = max(one - epochs[case], 0)
            what = f"{variant}, {job.recipe}: a job of {len(chosen)} runs"
            table.add(f"{what}: start", starts[case], "s")
            table.add(f"{what}: an epoch", epochs[case], "s")
        share = (get_benchmark(job.benchmark).images or len(frame)) / len(frame)
        total += starts[case] + epochs[case] * recipe.epochs * share
    jobs = len(list_jobs(config, config["benchmarks"]))
    table.add(f"paper.yaml: {jobs} jobs of {len(chosen)} runs", total / 60, "min", "at most 30, aim 15",
              total / 60 <= 30 if GPU else None)  # fmt: skip


def train_all(trainer: Trainer, runs: list[Run]) -> None:
    """Train runs together, from the start to their tables."""
    for _ in train_stacked(trainer.build, trainer.data, runs, trainer.recipe, DEVICE):
        pass


STAGES: dict[str, Callable[[Table], None]] = {
    "machine": machine,
    "features": features,
    "equality": equality,
    "training": training,
    "profile": profile,
    "adapted": adapted,
    "extraction": extraction,
    "study": study,
    "projection": projection,
}
#: What needs open_clip.
ENCODING = ("features", "adapted", "extraction", "study")


def carry() -> None:
    """Copy the distributions of CARRY from this environment to where `prepare_imports` looks."""
    for name in CARRY:
        found = distribution(name)
        for file in found.files or ():
            source = Path(str(found.locate_file(file)))
            if source.suffix != ".pyc" and not file.parts[0].startswith("..") and source.is_file():
                (CARRIED / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, CARRIED / file)
    click.echo(f"{CARRIED}: {', '.join(CARRY)}")


def describe() -> dict[str, str]:
    """The machine, for the head of the table."""
    packages = {}
    for name in ("torch", "torchvision", "open_clip_torch", "pillow", "numpy"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "none"
    text, wrong = describe_gpu()
    return {
        "GPU": text + (f" ({wrong})" if wrong else ""),
        "CPU": f"{THREADS} cores, {torch.backends.cpu.get_cpu_capability()}",
        "packages": ", ".join(f"{name} {number}" for name, number in packages.items()),
        "Python": sys.version.partition(" ")[0],
        "date": time.strftime("%Y-%m-%d"),
    }


@click.command(context_settings={"show_default": True})
@click.option("--out", type=click.Path(path_type=Path), default=Path("gpu"), help="Folder for gpu.json and gpu.md.")
@click.option("--stage", "stages", type=click.Choice(list(STAGES)), multiple=True, help="Repeatable; else all.")
@click.option("--carry", "carrying", is_flag=True, help="Copy what a bare machine lacks beside this file, and end.")
def main(out: Path, stages: tuple[str, ...], carrying: bool) -> None:
    """Measure the GPU path on this machine."""
    if carrying:
        return carry()
    table, known = Table(out), describe()
    for name, text in known.items():
        click.echo(f"* {name}: {text}")
    for stage in stages or STAGES:
        table.begin(stage)
        start = time.perf_counter()
        try:
            if stage in ENCODING and not is_here("open_clip"):
                table.add("not measured: open_clip is not here", "carry it: see the head of gpu.py", held=False)
            else:
                STAGES[stage](table)
        except Exception as error:  # the other stages are to be measured all the same
            table.add("failed", " ".join(f"{type(error).__name__}: {error}".split())[:300], held=False)
        click.echo(f"({time.perf_counter() - start:.0f} s)")
        table.write(known)
    sys.exit(1 if table.failed else 0)


if __name__ == "__main__":
    main()
