"""What both measurements need: what this machine can do, memory, and tables."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import click
import pandas as pd
import psutil
import torch
from torch import nn

#: Side of the matrices whose product is timed.
MATRIX = 2048


def plain_model(name: str, weights: str) -> nn.Module:
    """The model as open_clip makes it, with an encoder's weights and on its device."""
    from mstclipiqa.encoders.clip import load_encoder
    from mstclipiqa.encoders.open_clip_loader import open_clip

    encoder = load_encoder(name, weights)
    model = open_clip.create_model(name, device=encoder.device).eval().requires_grad_(False)
    model.load_state_dict(encoder.model.state_dict())
    return model


def seconds(device: torch.device, step: Callable[..., object], *arguments: object) -> float:
    """How long a step takes, its work on the device done."""
    start = time.perf_counter()
    step(*arguments)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def product_rate(kind: torch.dtype, threads: int, device: torch.device) -> float:
    """Floating-point operations per second of matrix products, one at a time per thread."""
    torch.set_num_threads(1)
    a, b = (torch.randn(MATRIX, MATRIX, device=device).to(kind) for _ in range(2))

    def multiply(_: int) -> int:
        count, end = 0, time.perf_counter() + 1
        while time.perf_counter() < end:
            (a @ b)[0, 0].item()  # waits for a GPU
            count += 1
        return count

    multiply(0)
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        return 2 * MATRIX**3 * sum(pool.map(multiply, range(threads))) / (time.perf_counter() - start)


def peak_memory(step: Callable[[], object]) -> float:
    """The most MiB that this process and its children have together while `step` runs, shared pages counted once."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        this = psutil.Process()
        while not done.wait(0.2):
            total = 0
            for process in [this, *this.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:  # it has just ended
                    continue
            peak = max(peak, total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        step()
    finally:
        done.set()
        watcher.join()
    return peak / 2**20


def spread(values: pd.Series) -> str:
    """The median, and the least and the most."""
    return f"{values.median():.2f} ({values.min():.2f} to {values.max():.2f})"


def show(title: str, rows: list[dict]) -> None:
    """Print a table."""
    click.echo(f"\n{title}\n\n{pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)}")


def describe_machine() -> str:
    """Versions and the device."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    return f"torch {torch.__version__}, open_clip {version('open_clip_torch')}; {os.cpu_count()} cores, {device}"
