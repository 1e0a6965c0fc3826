"""From stored predictions to metrics: one row per run and selection."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import read_table
from mstclipiqa.base.layout import METRICS as METRICS_TABLE
from mstclipiqa.base.layout import RUNS, SAMPLES, SPLITS
from mstclipiqa.base.names import ENTERED, JOB, RUN, TEST, VAL, VALIDATION
from mstclipiqa.base.workers import spread
from mstclipiqa.evaluation.metrics import METRICS

#: How far a stored MOS may be from the samples table's.
TOLERANCE = 1e-9


def evaluate_files(output: Path, paths: Sequence[Path], results: Path, workers: int = 1) -> None:
    """As `evaluate_runs`, into the metrics table `output`."""
    METRICS_TABLE.write(output, evaluate_runs(paths, results, workers), {"files": len(paths)})


def evaluate_runs(paths: Iterable[Path], results: Path, workers: int = 1) -> pd.DataFrame:
    """Metrics of every (protocol, split, seed, selection) in the predictions files `paths`, by so many processes.

    Columns: benchmark, target, recipe, variant, protocol, split, seed, selection, epoch, n, the METRICS, and
    `file`, the predictions relative to `results`. RMSE is in MOS units. Raises FailedRunError for a run whose
    metrics are undefined, InputError for a file that holds no predictions, or not those of `check_predictions`.
    """
    results = results.resolve()
    files = sorted({path.resolve() for path in paths})
    found = spread(partial(_evaluate_file, results), files, workers, "evaluate")
    return pd.DataFrame([row for rows in found for row in rows])


def _evaluate_file(results: Path, path: Path) -> list[dict]:
    """The rows of one file."""
    if not path.is_relative_to(results):
        raise InputError(f"{path}: lies outside the results folder {results}")
    predictions, metadata = read_table(path)
    if not set(RUNS.columns) <= set(predictions) or not set(JOB) <= set(metadata):
        raise InputError(f"{path}: holds no predictions; write it with `mstclipiqa train`")
    check_predictions(path, predictions, metadata, *_read_benchmark(results, metadata["benchmark"]))
    try:
        measured = measure_runs(predictions)
    except FailedRunError as error:
        raise FailedRunError(f"{path}, {error}") from None
    named = {name: metadata[name] for name in JOB}
    return [named | row | {"file": path.relative_to(results).as_posix()} for row in measured]


def _read_benchmark(results: Path, benchmark: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The samples and splits tables of a benchmark."""
    samples, splits = (entry.read(entry.at(results, benchmark=benchmark))[0] for entry in (SAMPLES, SPLITS))
    return samples, splits


def measure_runs(predictions: pd.DataFrame) -> list[dict]:
    """Epoch, n and the METRICS of every run and selection in predictions with the columns of RUN, epoch, image,
    prediction and mos. Raises FailedRunError, which names the run, where its metrics are undefined."""
    rows = []
    for key, run in predictions.groupby(RUN, sort=True):
        try:
            values = {name: metric(run["prediction"], run["mos"]) for name, metric in METRICS.items()}
        except FailedRunError as error:
            raise FailedRunError(f"{_name(key)}: {error}") from None
        rows.append(dict(zip(RUN, key, strict=True)) | {"epoch": int(run["epoch"].iloc[0]), "n": len(run)} | values)
    return rows


def check_predictions(
    path: Path, predictions: pd.DataFrame, metadata: dict, samples: pd.DataFrame, splits: pd.DataFrame
) -> None:
    """Hold the predictions in the file `path` against the samples and splits tables of their benchmark.

    Every split of the protocols that were run is there with every seed and selection that its protocol has, each with
    all test images of the split once, one epoch, and the samples' MOS; of entered scores, the splits that were entered.
    Raises InputError, which names the run, where one is not.
    """
    todo = "enter it again" if metadata["recipe"] == ENTERED else "train it again"
    if predictions.empty or predictions[RUN].isna().any(axis=None):
        raise InputError(f"{path}: no run, or a row that names none; {todo}")
    twice = predictions[predictions.duplicated([*RUN, "image"])]
    if len(twice):
        raise InputError(f"{path}, {_name(twice[RUN].iloc[0])}: image {twice['image'].iloc[0]} stands twice; {todo}")
    _check_complete(path, predictions, metadata, splits, todo)
    tested = splits[splits["role"] == TEST][["protocol", "split", "image"]]
    expected = predictions[RUN].drop_duplicates().merge(tested)
    both = expected.merge(predictions, on=[*RUN, "image"], how="outer", indicator="side")
    for side, what in (("left_only", "has no prediction"), ("right_only", "is none of its test images")):
        odd = both[both["side"] == side]
        if len(odd):
            first = odd.iloc[0]
            raise InputError(f"{path}, {_name(first[RUN])}: image {first['image']} {what} ({len(odd)} such); {todo}")
    epochs = predictions.groupby(RUN)["epoch"].nunique()
    if (epochs != 1).any():
        raise InputError(f"{path}, {_name(epochs.index[epochs != 1][0])}: rows of several epochs; {todo}")
    if metadata["target"] not in samples:
        raise InputError(f"{path}: target {metadata['target']!r} is no column of the samples table; {todo}")
    if (doubled := samples["image"].duplicated()).any():
        raise InputError(
            f"{path}: image {samples['image'][doubled].iloc[0]} stands twice in the samples table; read it again"
        )
    mos = predictions["image"].map(samples.set_index("image")[metadata["target"]])
    other = ~np.isclose(predictions["mos"], mos, rtol=0, atol=TOLERANCE)
    if other.any():
        row, value = predictions[other].iloc[0], mos[other].iloc[0]
        raise InputError(
            f"{path}, {_name(row[RUN])}: MOS of {row['image']} is {row['mos']}, and {value} in the samples table "
            f"({other.sum()} such rows); {todo}"
        )


def _check_complete(path: Path, predictions: pd.DataFrame, metadata: dict, splits: pd.DataFrame, todo: str) -> None:
    """No run of a split, seed or selection is missing, and there is none that the splits have not."""
    asked = splits[["protocol", "split"]].drop_duplicates()
    if metadata["recipe"] == ENTERED:  # whose authors may have trained on some splits alone
        asked = asked.merge(predictions[["protocol", "split"]].drop_duplicates())
    if isinstance(named := metadata.get("protocols"), list):
        asked = asked[asked["protocol"].isin(named)]
    validated = set(splits[splits["role"] == VAL][["protocol", "split"]].itertuples(index=False, name=None))
    kinds = predictions[["protocol", "seed", "selection"]].drop_duplicates()
    # Of a protocol without any prediction no seed or selection is known: its runs are missing under the name they have.
    expected = asked.merge(kinds, how="left")[RUN]
    has = [row.selection != VALIDATION or (row.protocol, row.split) in validated for row in expected.itertuples()]
    both = expected[np.array(has, dtype=bool)].merge(predictions[RUN].drop_duplicates(), how="outer", indicator="side")
    for side, what in (("left_only", "is missing"), ("right_only", "is none of the splits table")):
        odd = both[both["side"] == side]
        if len(odd):
            raise InputError(f"{path}: the run {_name(odd[RUN].iloc[0].dropna())} {what} ({len(odd)} such); {todo}")
    runs = len(predictions[RUN[:3]].drop_duplicates())
    if metadata.get("runs", runs) != runs:
        raise InputError(f"{path}: {runs} runs, and {metadata['runs']} were trained; {todo}")


def _name(key: Iterable) -> str:
    return ", ".join(map(str, key))
