"""All runs of one job: (benchmark, target, recipe, variant) x splits x seeds. Thousands of short jobs would only start
Python."""

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from mstclipiqa.base.device import choose_device
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import Parts, alone, digest, read_table, write_table
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import RUNS, SPLITS
from mstclipiqa.base.progress import progress
from mstclipiqa.base.workers import end_with_parent, naming_killed_workers
from mstclipiqa.encoders.stores import load_texts
from mstclipiqa.model.build import count_trainable
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.training.dataset import DatasetFiles, assign_roles, read_dataset
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import Run, Trainer

CPU = torch.device("cpu")

#: In a worker process, what all its runs need.
shared: tuple[Trainer, Sequence[Run]]


def train_runs(
    trainer: Trainer,
    runs: Sequence[Run],
    workers: int = 1,
    device: torch.device = CPU,
    whole: Sequence[Run] | None = None,
) -> Iterator[tuple[Run, pd.DataFrame]]:
    """Every run and what `train_run` returns, as they finish. `whole` are all runs of the job, if these are some of it.

    On a GPU all runs are trained as one (training/stacked); the parameters of one head are too few to keep it busy. On
    a CPU run follows run, in each of the `workers` processes, because one run's parameters stay in a core's cache.
    So they do where a GPU trains encoders, since one run of small ones does not fill it. `device` is one of
    `usable_device`.
    """
    if device.type != "cpu" and trainer.stackable:
        from mstclipiqa.training.stacked import train_stacked  # torch.func takes long to load

        yield from train_stacked(trainer.build, trainer.data, runs, trainer.recipe, device, whole)
        return
    if min(workers, len(runs)) <= 1:
        for run in runs:
            yield run, trainer.train(run)
    else:
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_share, initargs=(trainer, runs)) as pool:
            futures = {pool.submit(_train_number, number): run for number, run in enumerate(runs)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def usable_device(trainer: Trainer, asked: torch.device) -> torch.device:
    """The device that runs are trained on: the one that is asked for; the CPU for models that cannot be stacked, those
    with dropout in a fusion or a rival's head."""
    if asked.type == "cpu" or not trainer.stackable:
        return asked
    from mstclipiqa.training.stacked import can_stack  # torch.func takes long to load

    return asked if can_stack(trainer.build(0)) else CPU


def _share(trainer: Trainer, runs: Sequence[Run]) -> None:
    """Give a worker process what all its runs need, once."""
    global shared
    end_with_parent()
    prepare_process()
    shared = trainer, runs


def _train_number(number: int) -> pd.DataFrame:
    trainer, runs = shared
    return trainer.train(runs[number])


def train_from_files(
    output: Path,
    files: DatasetFiles,
    splits: Path,
    levels: Path,
    recipe: Recipe,
    variant: str,
    target: str,
    seeds: list[int],
    split_seeds: list[int],
    fine_levels: Path | None = None,
    workers: int = 1,
    device: str = "cpu",
    protocols: Sequence[str] = (),
) -> None:
    """As `train_job`, from files, under some `protocols` of the splits table, or all where none is named. `device` is
    cpu, auto or cuda (see `choose_device`).

    Raises InputError for an unknown variant, a protocol without a split, for files that are not what they should be,
    and for cuda without a GPU.
    """
    trainer, table, metadata = read_job(files, splits, levels, recipe, variant, target, fine_levels, protocols)
    train_job(output, trainer, table, seeds, metadata, workers, choose_device(device), split_seeds)


def read_job(
    files: DatasetFiles,
    splits: Path,
    levels: Path,
    recipe: Recipe,
    variant: str,
    target: str,
    fine_levels: Path | None = None,
    protocols: Sequence[str] = (),
) -> tuple[Trainer, pd.DataFrame, dict]:
    """What the runs of a job share, its splits, and what its predictions say of it. Raises InputError as
    `train_from_files` does."""
    data, card = read_dataset(files, target, recipe, get_variant(variant).prompts)
    metadata = {name: card[name] for name in ("benchmark", "synthetic", "encoders", "text_encoder")}
    metadata |= {"target": target, "recipe": recipe.name, "recipe_values": recipe.values, "variant": variant}
    table, own_levels = SPLITS.read(splits)[0], load_texts(fine_levels) if fine_levels else None
    if protocols:
        metadata["protocols"] = list(protocols)
        table = table[table["protocol"].isin(protocols)]
        if table.empty:
            raise InputError(f"{splits}: no split of {', '.join(protocols)}; split again, or name other protocols")
    return Trainer.of_texts(data, variant, recipe, load_texts(levels), own_levels), table, metadata


def train_job(
    output: Path,
    trainer: Trainer,
    splits: pd.DataFrame,
    seeds: list[int],
    metadata: dict,
    workers: int = 1,
    device: torch.device = CPU,
    split_seeds: list[int] | None = None,
    code: str = __name__,
) -> None:
    """Train every (protocol, split, seed) run of one job and write all test predictions to `output`: all `seeds` of a
    protocol of one split, `split_seeds` (all, if none are given) of one of several, whose splits vary training, too.
    `code` is the module whose fingerprint they carry.

    Every run depends on its own seed and split alone, so the grouping of runs into jobs, and on a CPU the `workers`,
    change nothing. On a GPU the number of runs that are trained together changes their last bits, so a resumed job
    trains as many at once as an undisturbed one. A killed job resumes at its first unfinished run.
    """
    prepare_process()
    data, variant, recipe = trainer.data, trainer.variant, trainer.recipe
    device = usable_device(trainer, device)
    tables = [data.f_c, data.f_f, data.views_c, data.views_f, data.tokens, data.starts, data.lengths, data.score]
    tables += [trainer.levels, trainer.fine_levels]
    contents = [None if table is None else zlib.crc32(table.numpy().tobytes()) for table in tables]
    metadata = {
        **metadata,
        "code": fingerprint(code, *get_variant(variant).modules),
        "device": device.type,
        "versions": {package: version(package) for package in ("torch", "numpy", "scipy")},
    }
    labels = [data.images, data.mos.tolist(), data.low, data.high]
    parts = Parts(output, [metadata, variant, recipe.values, contents, labels])
    several = splits.groupby("protocol")["split"].nunique() > 1
    runs = [
        Run(protocol, int(split), seed, assign_roles(data, group, f"{protocol}, split {split}"))
        for (protocol, split), group in splits.groupby(["protocol", "split"], sort=True)
        for seed in dict.fromkeys(split_seeds or seeds if several[protocol] else seeds)
    ]

    def part(run: Run) -> Path:
        return parts.path(f"{run.protocol}-{run.split}-{run.seed}-{digest(list(map(str, run.roles)))[:12]}.parquet")

    description = f"train {metadata['benchmark']} {metadata['target']} {recipe.name} {variant}"
    with alone(output):
        todo = [run for run in runs if not part(run).exists()]
        try:
            with naming_killed_workers(description):
                for run, table in progress(
                    train_runs(trainer, todo, workers, device, runs), len(todo), description, "runs"
                ):
                    for position, key in enumerate(("protocol", "split", "seed")):
                        table.insert(position, key, getattr(run, key))
                    write_table(part(run), table, {})
        except FailedRunError as error:
            raise FailedRunError(f"{description}, {error}") from None
        finished = pd.concat([read_table(part(run))[0] for run in runs], ignore_index=True)
        metadata |= {"trainable_parameters": count_trainable(trainer.build(seeds[0])), "runs": len(runs)}
        RUNS.write(output, finished, metadata)
        parts.clear()
