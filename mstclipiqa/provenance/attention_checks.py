"""Attention to the prompts: every test image's tokens are there, their weights add up, and the run is the suite's.

To compute the weights again takes training. So the keys are held against the split and the prompts, the weights of each
image to their sum, and the SRCC of what was trained to that of the suite's run.
"""

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import ATTENTION, PROMPTS
from mstclipiqa.base.names import TEST
from mstclipiqa.encoders.stores import load_texts
from mstclipiqa.provenance.control_checks import RUN_TOLERANCE, hold, read_table_of
from mstclipiqa.provenance.folder import Folder
from mstclipiqa.study.jobs import Job, seeds_of
from mstclipiqa.training.dataset import first_split

#: How far from 1 the weights of an image's tokens may add up: they are rounded to six decimals.
SUM_TOLERANCE = 1e-4


def check_attention(folder: Folder) -> None:
    """The table of every run whose attention the study keeps."""
    for job in folder.study.attended if folder.study else ():
        if len(folder.splits.get(job.benchmark, ())):
            _check_one(folder, job)


def _check_one(folder: Folder, job: Job) -> None:
    file, (samples, card) = ATTENTION.path.format_map(vars(job)), folder.samples[job.benchmark]
    splits = folder.splits[job.benchmark]
    protocol, split = first_split(splits)
    splits = splits[splits["protocol"] == protocol]
    run = {
        "protocol": protocol, "split": split, "seed": seeds_of(folder.config, splits["split"].nunique())[0],
        "selection": folder.manifest["protocols"][protocol]["selection"],
    }  # fmt: skip
    read = read_table_of(folder, file, ATTENTION)
    if read is None or not hold(folder, file, read[1], vars(job) | run | {"synthetic": card.get("synthetic")}):
        return
    table, metadata = read
    tested = splits[(splits["split"] == split) & (splits["role"] == TEST)]["image"]
    lengths = _lengths(folder, job.benchmark)
    if lengths is None:
        folder.verdict.notes.append(f"the tokens of {file}: no prompts at hand that hold")
    else:
        prompts = samples.set_index("image")["prompt"]
        rows = [(image, position) for image in tested for position in range(lengths[prompts[image]])]
        if not folder.compare(file, table, pd.DataFrame(rows, columns=list(ATTENTION.key)), list(ATTENTION.key)):
            return
    sums = table.groupby("image")["weight"].sum()
    odd = sums.index[((sums - 1).abs() > SUM_TOLERANCE) | (table.groupby("image")["weight"].min() < 0)]
    if len(odd):
        folder.verdict.find(file, f"the weights of {odd[0]} are no shares: they add up to {sums[odd[0]]:.6f}")
    _hold_run(folder, file, metadata, vars(job) | run)
    folder.verdict.counts["rows of attention"] += len(table)


def _lengths(folder: Folder, benchmark: str) -> dict[str, int] | None:
    """The number of tokens of each prompt; None where their store does not hold, or is not there."""
    file = PROMPTS.path.format(benchmark=benchmark)
    if file not in folder.stores:
        return None
    try:
        store = load_texts(folder.root / file, with_tokens=False)
    except InputError:
        return None
    return {text: int(store.offsets[row + 1] - store.offsets[row]) for text, row in store.index.items()}


def _hold_run(folder: Folder, file: str, metadata: dict, run: dict) -> None:
    """The SRCC of what was trained again is that of the suite's run, on a CPU."""
    if folder.verdict.findings or folder.config["training"]["device"] != "cpu" or folder.metrics.empty:
        return
    runs = folder.metrics[(folder.metrics[list(run)] == list(run.values())).all(axis=1)]
    for srcc in runs["srcc"]:
        if not abs(metadata.get("srcc", float("nan")) - srcc) <= RUN_TOLERANCE:
            folder.verdict.find(file, f"its SRCC is {metadata.get('srcc')}; the same run of the suite has {srcc}")
