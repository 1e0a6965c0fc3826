"""Trained models taken apart: every row is there, and what a run of the suite has too is that run's.

To compute a dissection again takes training. So the keys and counts are held, the models as trained against the suite's
runs of the same splits and seed, and which thresholds validation chose against what validation gave.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from mstclipiqa.base.layout import DECODING, DISSECTION, INTERVENTIONS, MOVEMENT, SKIPPING, ResultsFile
from mstclipiqa.base.names import COARSE, FROZEN, MODELS, QUALITY, TEST, VALIDATION
from mstclipiqa.provenance.control_checks import RUN_TOLERANCE, hold, read_table_of
from mstclipiqa.provenance.folder import Folder
from mstclipiqa.study.study import Study

#: What takes the gate's place, the features that streams are read from, and what is skipped by and to which share, as
#: the analyses name them, which stand beside this room.
GATES = ("as trained", "at 0.5", "at its mean", "shuffled among images", "plain sum")
FEATURES = ("f_c", "f_f", *(f"z of {name}, {state}" for name in (*MODELS, FROZEN) for state in ("initial", "trained")))
RULES, SCORERS = ("gate", "sure", "chance", "hindsight"), ("the model", COARSE)
SHARES = tuple(step / 20 for step in range(21))

#: The loss of SRCC on validation images that a chosen threshold stays within.
ALLOWED = 0.005


def check_dissections(folder: Folder) -> None:
    """The tables of every dissection that the configuration asks for."""
    for benchmark, recipe in folder.study.dissected if folder.study else ():
        if benchmark in folder.splits and folder.study:
            _check_one(folder, folder.study, benchmark, recipe)


def _check_one(folder: Folder, study: Study, benchmark: str, recipe: str) -> None:
    splits = folder.splits[benchmark]
    protocol = next((name for name in study.config["protocols"] if name.startswith("grouped")), "")
    splits = splits[splits["protocol"] == protocol]
    numbers = sorted(splits["split"].unique().tolist())
    expected = {
        "benchmark": benchmark, "synthetic": folder.samples[benchmark][1].get("synthetic"), "target": QUALITY,
        "recipe": recipe, "protocol": protocol, "seed": folder.config["seeds"][0], "splits": len(numbers),
    }  # fmt: skip
    tested = splits[splits["role"] == TEST].groupby("split")["image"].size()
    whole = {
        INTERVENTIONS.path: _rows(("variant", "intervention", "split"), MODELS, GATES, numbers).assign(
            n=lambda rows: rows["split"].map(tested)
        ),
        DECODING.path: _rows(("features", "stream", "split"), FEATURES, ("coarse", "fine"), numbers),
        SKIPPING.path: _rows(("rule", "scorer", "aimed", "split"), RULES, SCORERS, SHARES, numbers),
    }
    for entry in DISSECTION:
        file = entry.path.format(benchmark=benchmark, recipe=recipe)
        read = read_table_of(folder, file, entry)
        if read is None or not hold(folder, file, read[1], expected):
            continue
        table = read[0]
        rows = whole[entry.path] if entry.path in whole else _moved(folder, benchmark, splits, table)
        if not folder.compare(file, table, rows.assign(recipe=recipe), list(entry.key)):
            continue
        _check_numbers(folder, file, entry, table, protocol)
        folder.verdict.counts["rows of dissections"] += len(table)


def _rows(names: tuple[str, ...], *values: Sequence) -> pd.DataFrame:
    return pd.DataFrame(list(product(*values)), columns=list(names))


def _moved(folder: Folder, benchmark: str, splits: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The keys of the gates: every dimension of each generator that a split tests several images of, and of all."""
    generator = folder.samples[benchmark][0].set_index("image")["generator"]
    tested = splits[splits["role"] == TEST].assign(generator=lambda rows: rows["image"].map(generator))
    sizes = tested.groupby(["split", "generator"])["image"].size()
    named = [*sizes[sizes > 1].index, *((split, "all") for split in tested["split"].unique())]
    dimensions = range(max(1, table["dimension"].nunique()))
    rows = [(variant, name, number, split) for variant, (split, name), number in product(MODELS, named, dimensions)]
    return pd.DataFrame(rows, columns=["variant", "generator", "dimension", "split"])


def _check_numbers(folder: Folder, file: str, entry: ResultsFile, table: pd.DataFrame, protocol: str) -> None:
    """What can be held of a table's numbers."""
    if entry is INTERVENTIONS:
        own = table[table["intervention"] == GATES[0]]
        _hold_runs(folder, file, own, protocol)
    elif entry is SKIPPING:
        _hold_runs(folder, file, table[table["aimed"] == 0].assign(variant=MODELS[0]), protocol)
        for (rule, scorer, split), rows in table.groupby(["rule", "scorer", "split"]):
            rows = rows.sort_values("aimed")
            kept = (rows["srcc_val"] >= rows["srcc_val"].iloc[0] - ALLOWED).tolist()
            last = kept.index(False) - 1 if False in kept else len(kept) - 1
            if np.flatnonzero(rows["chosen"]).tolist() != [last]:
                what = f"{rule}, {scorer}, split {split}: another share is chosen than validation gives"
                folder.verdict.find(file, what)
    elif entry is MOVEMENT and not (table["mean"].between(0, 1) & table["sd"].between(0, 1)).all():
        folder.verdict.find(file, "a gate's mean or SD is no number from 0 to 1")
    elif entry is DECODING and not (table["r2"] <= 1).all():
        folder.verdict.find(file, "a share of variance is above 1, or no number")


def _hold_runs(folder: Folder, file: str, table: pd.DataFrame, protocol: str) -> None:
    """SRCC of models as trained is that of the suite's runs of the same splits and seed, where it has them."""
    if folder.verdict.findings or folder.config["training"]["device"] != "cpu":
        return
    runs = folder.metrics
    runs = runs[(runs["target"] == QUALITY) & (runs["protocol"] == protocol) & (runs["selection"] == VALIDATION)]
    runs = runs[(runs["seed"] == folder.config["seeds"][0]) & (runs["benchmark"] == file.partition("/")[0])]
    both = table.merge(runs, on=["recipe", "variant", "split"], suffixes=("", "_run"))
    for row in both[(both["srcc"] - both["srcc_run"]).abs() > RUN_TOLERANCE].head(1).itertuples():
        what = f"SRCC of {row.variant}, split {row.split}, is {row.srcc}"
        folder.verdict.find(file, f"{what}; the same run of the suite has {row.srcc_run}")
