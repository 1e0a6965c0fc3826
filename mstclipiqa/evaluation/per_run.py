"""From stored predictions to metrics: one row per run and selection."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import read_table
from mstclipiqa.base.layout import METRICS as METRICS_TABLE
from mstclipiqa.base.layout import RUNS
from mstclipiqa.base.names import JOB, RUN
from mstclipiqa.evaluation.metrics import METRICS


def evaluate_files(output: Path, paths: Sequence[Path], results: Path) -> None:
    """As `evaluate_runs`, into the metrics table `output`."""
    METRICS_TABLE.write(output, evaluate_runs(paths, results), {"files": len(paths)})


def evaluate_runs(paths: Iterable[Path], results: Path) -> pd.DataFrame:
    """Metrics of every (protocol, split, seed, selection) in the predictions files `paths`.

    Columns: benchmark, target, recipe, variant, protocol, split, seed, selection, epoch, n, the METRICS, and
    `file`, the predictions relative to `results`. RMSE is in MOS units. Raises FailedRunError for a run whose
    metrics are undefined, InputError for a file that holds no predictions.
    """
    rows = []
    results = results.resolve()
    for path in sorted({path.resolve() for path in paths}):
        if not path.is_relative_to(results):
            raise InputError(f"{path}: lies outside the results folder {results}")
        predictions, metadata = read_table(path)
        if not set(RUNS.columns) <= set(predictions) or not set(JOB) <= set(metadata):
            raise InputError(f"{path}: holds no predictions; write it with `mstclipiqa train`")
        if predictions.empty or predictions[RUN].isna().any(axis=None) or predictions.duplicated([*RUN, "image"]).any():
            raise InputError(f"{path}: no run, an unnamed run or an image twice in one; delete it and run again")
        for key, run in predictions.groupby(RUN, sort=True):
            try:
                values = {name: metric(run["prediction"], run["mos"]) for name, metric in METRICS.items()}
            except FailedRunError as error:
                raise FailedRunError(f"{path}, {', '.join(map(str, key))}: {error}") from None
            rows.append(
                {
                    **{name: metadata[name] for name in JOB},
                    **dict(zip(RUN, key, strict=True)),
                    "epoch": int(run["epoch"].iloc[0]),
                    "n": len(run),
                    **values,
                    "file": path.relative_to(results).as_posix(),
                }
            )
    return pd.DataFrame(rows)
