"""What is measured beside the runs: rivals, costs, learning curves, transfer and the probe.

Rivals and costs are computed again. Curves and transfer would take training: of them the keys and counts are held, and
the points that a run of the suite has too. Of the probe, which renders and encodes images, the keys and ranges are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import MstclipiqaError
from mstclipiqa.base.layout import (
    BASELINES,
    CURVES,
    EFFICIENCY,
    FEATURES,
    GATES,
    METRICS,
    PROMPTS,
    READOUT,
    SAMPLES,
    SPLITS,
    STATISTICS,
    TRANSFER,
    ZERO_SHOT,
    ResultsFile,
)
from mstclipiqa.base.names import LAST, MODELS, QUALITY, TEST, TRAIN
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.encoders.architectures import is_at_hand
from mstclipiqa.model.variants import get_variant
from mstclipiqa.provenance.differences import find_difference, show
from mstclipiqa.provenance.folder import AGAIN, Folder
from mstclipiqa.study.study import Study

#: How far a rival's correlation may be from the stored one: on another machine, sums are rounded otherwise, and two
#: test images that are all but equal may change places.
RIVAL_TOLERANCE = 1e-4

#: How far a run of the suite and the same run trained once more may be apart, on a CPU with the same kernels.
RUN_TOLERANCE = 1e-6

#: The features that the probe reads, and the states of the model whose gates it moves.
PROBED, STATES = ("f_c", "f_f", "both", "z_initial", "z_trained"), ("initial", "trained")


@dataclass(frozen=True)
class Controls:
    """How controls are computed again. The analyses do it, which stand beside this room; the command line brings them.

    `baselines` takes the files as in analyses/baselines.BaselineFiles, by name, and gives the table and its metadata.
    `efficiency` takes a study, and gives the table.
    """

    baselines: Callable[..., tuple[pd.DataFrame, dict]]
    efficiency: Callable[[Study], pd.DataFrame]


def check_controls(folder: Folder, controls: Controls | None) -> None:
    """Rivals, costs, curves, transfer and probe are those of the study, as far as that can be computed."""
    if not folder.study:
        return
    runs = folder.metrics if not folder.verdict.findings else folder.metrics.iloc[:0]
    if folder.verdict.findings:
        folder.verdict.notes.append("curves and transfer beside the runs: what they rest on does not hold")
    benchmarks = [(benchmark, controls) for benchmark in folder.present if benchmark in folder.splits]
    folder.spread(_check_baselines, benchmarks)
    _check_efficiency(folder, folder.study, controls)
    if all(len(folder.splits.get(name, ())) for name in folder.present):
        _check_curves(folder, folder.study, runs)
        _check_transfer(folder, folder.study, runs)
        for recipe in folder.study.probed:
            _check_probe(folder, folder.study, recipe)


def read_table_of(folder: Folder, file: str, entry: ResultsFile) -> tuple[pd.DataFrame, dict] | None:
    """A table with one row for each key and no correlation beyond 1; None, with a finding, where it is none."""
    read = folder.read(file, entry.columns) if file in folder.manifest["outputs"] else None
    if read is None:
        return None
    table, key = read[0], list(entry.key)
    if table.duplicated(key).any():
        folder.verdict.find(file, f"says {show(list(map(str, table[table.duplicated(key)][key].iloc[0])))} twice")
        return None
    for column in {"srcc", "plcc", "value"} & set(table):
        outside = ~table[column].between(-1, 1)
        if outside.any():
            row = ", ".join(map(str, table[outside][key].iloc[0]))
            folder.verdict.find(file, f"{column} of {row} is {table[outside][column].iloc[0]}, no number from -1 to 1")
            return None
    return read


def hold(folder: Folder, file: str, held: dict, expected: dict) -> bool:
    """Whether what a file says of itself is what is expected of it; a finding where it is not."""
    differing = [key for key, value in expected.items() if held.get(key) != value]
    for key in differing:
        folder.verdict.find(file, f"its {key} is {show(held.get(key))}, not {show(expected[key])}")
    return not differing


# Rivals without a head


def _check_baselines(folder: Folder, controlled: tuple[str, Controls | None]) -> None:
    benchmark, controls = controlled
    file = BASELINES.path.format(benchmark=benchmark)
    read = read_table_of(folder, file, BASELINES)
    if read is None:
        return
    table, metadata = read
    names = {"benchmark": benchmark}
    expected = {"benchmark": benchmark, "synthetic": folder.samples[benchmark][1].get("synthetic")}
    if not hold(folder, file, metadata, expected) or not _is_whole(folder, file, benchmark, table, metadata):
        return
    stores = {role: FEATURES.path.format(encoder=role, **names) for role in ("coarse", "fine")}
    stores["paired"] = FEATURES.path.format(encoder=folder.config["text_encoder"], **names)
    entries = {"prompts": PROMPTS, "texts": ZERO_SHOT}
    entries |= {} if folder.is_packed(benchmark) else {"statistics": STATISTICS}
    stores |= {name: entry.path.format(**names) for name, entry in entries.items()}
    streams = [FEATURES.path.format(encoder=role, **names) for role in folder.config.get("streams", ())]
    if controls is None or not {*stores.values(), *streams} <= folder.stores:
        folder.verdict.notes.append(
            f"rivals of {benchmark}, but for their rows and counts: no features at hand that hold"
        )
        return
    tables = {name: entry.path.format(**names) for name, entry in {"samples": SAMPLES, "splits": SPLITS}.items()}
    files = {name: folder.root / path for name, path in (stores | tables).items()}
    try:
        again, said = controls.baselines(**files, streams=[folder.root / path for path in streams])
    except MstclipiqaError as error:
        folder.verdict.find(file, f"cannot be computed again ({folder.shorten(error).rstrip('.')})")
        return
    if difference := find_difference({key: metadata.get(key) for key in said}, said, "its metadata"):
        folder.verdict.find(file, f"{difference} is not what the features give")
    elif folder.compare(file, table, again, list(BASELINES.key), tolerance=RIVAL_TOLERANCE):
        folder.verdict.counts["rows of baselines"] += len(again)


def _is_whole(folder: Folder, file: str, benchmark: str, table: pd.DataFrame, metadata: dict) -> bool:
    """Whether every rival has a row for each target and split, or says that it is left out there; with the split's
    count of test images."""
    splits, targets = folder.splits[benchmark], get_benchmark(benchmark).targets
    try:
        without = {
            (entry["source"], entry["target"], entry["protocol"], split)
            for entry in metadata["left_out"] for split in entry["splits"]
        }  # fmt: skip
    except (TypeError, KeyError):
        folder.verdict.find(file, "does not say what it leaves out")
        return False
    counts = splits[splits["role"] == TEST].groupby(["protocol", "split"])["image"].size().rename("n").reset_index()
    sources = pd.DataFrame({"source": sorted({*table["source"], *(key[0] for key in without)})})
    expected = sources.merge(pd.DataFrame({"target": targets}), how="cross").merge(counts, how="cross")
    keys = expected[list(BASELINES.key)].itertuples(index=False, name=None)
    expected = expected[np.array([key not in without for key in keys], dtype=bool)]
    return folder.compare(file, table, expected, list(BASELINES.key))


# Costs


def _check_efficiency(folder: Folder, study: Study, controls: Controls | None) -> None:
    read = read_table_of(folder, EFFICIENCY.path, EFFICIENCY)
    if read is None:
        return
    models = dict.fromkeys((job.recipe, job.variant) for job in study.jobs)
    rows = [{"recipe": recipe, "variant": variant, "prompt": get_variant(variant).prompt} for recipe, variant in models]
    if not folder.compare(EFFICIENCY.path, read[0], pd.DataFrame(rows), list(EFFICIENCY.key)):
        return
    labels = {name: identity.get("label") for name, identity in folder.manifest["encoders"].items()}
    said = read[1].get("encoders")
    if study.texts_packed and isinstance(said, dict):  # counted on drawn weights, which do not matter
        labels, said = ({name: str(label).partition(",")[0] for name, label in one.items()} for one in (labels, said))
    if not isinstance(said, dict) or {name: said.get(name) for name in labels} != labels:
        folder.verdict.find(EFFICIENCY.path, "counted with other encoders than the manifest's")
    if controls is None or not folder.same_code:
        folder.verdict.notes.append("parameters and operations: they are counted again by the same code alone")
        return
    named = {encoder["model"] for encoder in study.config["encoders"].values()}
    if away := sorted(model for model in named if not is_at_hand(model)):
        folder.verdict.notes.append(f"parameters and operations: the folder of {away[0]} is not at hand")
        return
    try:
        again = controls.efficiency(study)
    except MstclipiqaError as error:
        folder.verdict.find(EFFICIENCY.path, f"cannot be counted again ({folder.shorten(error).rstrip('.')})")
        return
    if folder.compare(EFFICIENCY.path, read[0], again, list(EFFICIENCY.key)):
        folder.verdict.counts["rows of efficiency"] += len(again)


# Curves and transfer


def _check_curves(folder: Folder, study: Study, runs: pd.DataFrame) -> None:
    read = read_table_of(folder, CURVES.path, CURVES)
    if read is None or not study.curved:
        return
    table, metadata = read
    benchmark, recipes = study.curved
    rates = {name: study.recipes[name].learning_rate for name in recipes}
    splits = folder.splits[benchmark]
    names = list(dict.fromkeys(splits["protocol"]))
    protocol = next((name for name in names if name.startswith("grouped")), names[0])
    split = int(splits.loc[splits["protocol"] == protocol, "split"].min())
    tested = splits[(splits["protocol"] == protocol) & (splits["split"] == split)]["role"].value_counts()
    expected = {
        "benchmark": benchmark, "target": QUALITY, "protocol": protocol, "split": split,
        "seed": folder.config["seeds"][0], "learning_rates": rates, "test_images": int(tested.get(TEST, 0)),
    }  # fmt: skip
    if not hold(folder, CURVES.path, metadata, expected):
        return
    stopped = metadata.get("stopped")
    if not isinstance(stopped, list) or not all(isinstance(entry, dict) for entry in stopped):
        folder.verdict.find(CURVES.path, "does not say which runs stopped early")
        return
    early = {(entry.get("recipe"), entry.get("learning_rate")) for entry in stopped}
    points = [
        (recipe, MODELS[0], rate, epoch, role)
        for recipe, rate in table[["recipe", "learning_rate"]].drop_duplicates().itertuples(index=False, name=None)
        if recipe in rates and (recipe, rate) not in early
        for epoch in range(1, study.recipes[recipe].epochs + 1)
        for role in (TRAIN, TEST)
    ]
    stays = [key not in early for key in zip(table["recipe"], table["learning_rate"], strict=True)]
    whole = table[np.array(stays, dtype=bool)]
    if not folder.compare(CURVES.path, whole, pd.DataFrame(points, columns=list(CURVES.key)), list(CURVES.key)):
        return
    for recipe, rate in rates.items():
        own = table[(table["recipe"] == recipe) & np.isclose(table["learning_rate"], rate) & (table["role"] == TEST)]
        if (recipe, rate) not in early and own.empty:
            folder.verdict.find(CURVES.path, f"has no curve of {recipe} at its own learning rate, {rate}")
            continue
        run = {"recipe": recipe, "variant": MODELS[0], "benchmark": benchmark, "protocol": protocol, "split": split}
        for epoch, value in _of_run(folder, runs, **run)[["epoch", "srcc"]].itertuples(index=False, name=None):
            point = own[own["epoch"] == epoch]["srcc"]
            if not _agree(folder, point, value):
                what = f"SRCC of {recipe} after epoch {epoch} is {show(point.tolist())}"
                folder.verdict.find(CURVES.path, f"{what}; the same run of the suite has {value}")
    folder.verdict.counts["points of curves"] += len(table)


def _check_transfer(folder: Folder, study: Study, runs: pd.DataFrame) -> None:
    read = read_table_of(folder, TRANSFER.path, TRANSFER)
    if read is None or not study.transferred:
        return
    table, metadata = read
    names, carried = study.transferred, folder.config["recipes"][-1]
    protocols = {name: folder.splits[name]["protocol"].iloc[0] for name in names}
    expected = {
        "target": QUALITY, "recipe": carried, "seed": folder.config["seeds"][0], "protocols": protocols,
    }  # fmt: skip
    if not hold(folder, TRANSFER.path, metadata, expected):
        return
    rows = []
    for name in names:
        splits = folder.splits[name]
        splits = splits[splits["protocol"] == protocols[name]]
        own = splits[(splits["split"] == splits["split"].min()) & (splits["role"] == TEST)]
        for other in names:
            count = len(own) if other == name else len(folder.samples[other][0])
            for variant in (*MODELS, "ridge"):
                rows.append((name, other, variant, "" if variant == "ridge" else carried, count))
    columns = [*TRANSFER.key, "n"]
    if not folder.compare(TRANSFER.path, table, pd.DataFrame(rows, columns=columns), list(TRANSFER.key)):
        return
    for row in table[table["train_benchmark"] == table["test_benchmark"]].itertuples():
        splits = folder.splits[row.train_benchmark]
        split = int(splits.loc[splits["protocol"] == protocols[row.train_benchmark], "split"].min())
        run = {"recipe": carried, "variant": row.variant, "benchmark": row.train_benchmark, "split": split}
        run |= {"protocol": protocols[row.train_benchmark], "selection": LAST}
        for metric in ("srcc", "plcc"):
            for value in _of_run(folder, runs, **run)[metric]:
                if not _agree(folder, pd.Series([getattr(row, metric)]), value):
                    what = f"{metric} of {row.variant} on {row.train_benchmark} is {getattr(row, metric)}"
                    folder.verdict.find(TRANSFER.path, f"{what}; the same run of the suite has {value}")
    folder.verdict.counts["rows of transfer"] += len(table)


def _of_run(folder: Folder, rows: pd.DataFrame, **run: object) -> pd.DataFrame:
    """The rows of the metrics that are of a run on quality with the first seed; none of none."""
    if rows.empty:
        return pd.DataFrame(columns=list(METRICS.columns))
    for key, value in {"target": QUALITY, "seed": folder.config["seeds"][0], **run}.items():
        rows = rows[rows[key] == value]
    return rows


def _agree(folder: Folder, held: pd.Series, value: float) -> bool:
    """Whether a number of a run that was trained once more is the run's; on a GPU its neighbours move a run."""
    on_cpu = folder.manifest.get("hardware", {}).get("gpu") == "none" or folder.config["training"]["device"] == "cpu"
    return not on_cpu or (len(held) == 1 and bool(abs(held.iloc[0] - value) <= RUN_TOLERANCE))


# The probe


def _check_probe(folder: Folder, study: Study, recipe: str) -> None:
    files = [(entry.path.format(recipe=recipe), entry) for entry in (READOUT, GATES)]
    read, read_gates = (read_table_of(folder, file, entry) for file, entry in files)
    if read is None or read_gates is None:
        return
    (readout, metadata), (gates, other) = read, read_gates
    benchmark = study.probed_benchmark
    assert benchmark, "a recipe is probed on one"
    splits = folder.splits[benchmark]
    protocol = splits["protocol"].iloc[0]
    expected = {
        "recipe": recipe, "variant": MODELS[0], "target": QUALITY, "benchmark": benchmark, "protocol": protocol,
        "split": int(splits.loc[splits["protocol"] == protocol, "split"].min()), "seed": folder.config["seeds"][0],
    }  # fmt: skip
    for (file, _), said in zip(files, (metadata, other), strict=True):
        if not hold(folder, file, said, expected | {"gates": metadata.get("gates")}):
            return
        weights = {role: identity.get("weights_sha256") for role, identity in folder.manifest["encoders"].items()}
        probed = said.get("encoders")
        used = {role: probed[role].get("weights_sha256") for role in probed} if isinstance(probed, dict) else {}
        if used != {role: weights.get(role) for role in ("coarse", "fine")}:
            folder.verdict.find(file, "probes other encoders than the manifest's")
            return
    of_one = readout[readout["features"] == PROBED[0]].drop(columns=["recipe", "features", "value"])
    whole = pd.DataFrame({"features": PROBED}).merge(of_one, how="cross").assign(recipe=recipe)
    folder.compare(files[0][0], readout, whole, list(READOUT.key))
    of_one = gates[gates["state"] == STATES[0]][["artefact"]]
    whole = pd.DataFrame({"state": STATES}).merge(of_one, how="cross").assign(recipe=recipe)
    folder.compare(files[1][0], gates, whole, list(GATES.key))
    if not np.isfinite(gates[["shift", "shift_sd", "movement", "movement_sd"]].to_numpy()).all():
        folder.verdict.find(files[1][0], "a shift or movement of the gates is not finite", AGAIN)
    folder.verdict.counts["rows of the probe"] += len(readout) + len(gates)
