"""Faults of results that no reference may hold, and that need no reference to be seen."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import MANIFEST, RUNS, SAMPLES
from mstclipiqa.base.names import JOB, RUN
from mstclipiqa.base.workers import spread
from mstclipiqa.evaluation.metrics import plcc_fitted
from mstclipiqa.provenance.edits import find_edits
from mstclipiqa.provenance.measurement import KEYS, METRICS, read_measured_manifest
from mstclipiqa.study.jobs import Job

#: How far a metric may be from that of its predictions.
TOLERANCE = 1e-4


#: Each metric of the predictions of a run by another hand than the suite's own, but for the fit.
REFEREES: dict[str, Callable[[pd.DataFrame], float]] = {
    "srcc": lambda run: run["prediction"].corr(run["mos"], method="spearman"),
    "plcc": lambda run: run["prediction"].corr(run["mos"], method="pearson"),
    "plcc_fitted": lambda run: plcc_fitted(run["prediction"], run["mos"]),
    "krcc": lambda run: run["prediction"].corr(run["mos"], method="kendall"),
    "rmse": lambda run: ((run["prediction"] - run["mos"]) ** 2).mean() ** 0.5,
}


def find_faults(results: Path, rows: pd.DataFrame, workers: int = 1) -> list[str]:
    """What is wrong with the results in themselves, a line each: files that are not the manifest's, metrics that are no
    numbers, predictions that are missing, constant or not finite, or were trained by another recipe, MOS that are not
    the benchmark's, metrics that are not those of their predictions. So many processes read the predictions.
    """
    failures = [f"{name_run(row[KEYS])}: appears twice" for _, row in rows[rows.duplicated(KEYS)].iterrows()]
    failures += find_edits(results, read_measured_manifest(MANIFEST.at(results)))
    for metric in METRICS:
        failures += [
            f"{name_run(row[KEYS])}: {metric} is {row[metric]}"
            for _, row in rows[~np.isfinite(rows[metric])].iterrows()
        ]
    for found in spread(partial(_faults_of_job, results), list(rows.groupby(JOB)), workers, "check"):
        failures += found
    return failures


def _faults_of_job(results: Path, of_job: tuple[tuple, pd.DataFrame]) -> list[str]:
    """Those of one job, given with its rows."""
    key, rows = of_job
    job = Job(*key)
    try:
        predictions, _ = RUNS.read(results / job.path)
        samples, _ = SAMPLES.read(SAMPLES.at(results, benchmark=job.benchmark))
    except InputError as error:
        return [str(error)]
    return list(_faults_of_predictions(job, rows, predictions, samples.set_index("image")))


def _faults_of_predictions(
    job: Job, rows: pd.DataFrame, predictions: pd.DataFrame, samples: pd.DataFrame
) -> Iterator[str]:
    scores = samples.select_dtypes("number").reindex(predictions["image"])
    equal = [name for name in scores if np.allclose(scores[name], predictions["mos"], rtol=0, atol=1e-6)]
    if job.target not in equal:
        yield f"{job.path}: its MOS are not the benchmark's {job.target}" + "".join(
            f", but its {name}" for name in equal
        )
    runs = dict(iter(predictions.groupby(RUN)))
    for row in rows.itertuples():
        name, run = name_run(getattr(row, key) for key in KEYS), runs.get(tuple(getattr(row, key) for key in RUN))
        if run is None:
            yield f"{name}: has metrics, but no predictions in {job.path}"
        elif not np.isfinite(run["prediction"]).all():
            yield f"{name}: {int((~np.isfinite(run['prediction'])).sum())} of {len(run)} predictions are not finite"
        elif np.ptp(run["prediction"]) == 0:
            yield f"{name}: constant predictions ({run['prediction'].iloc[0]:g} for all {len(run)} images)"
        else:
            yield from _other_metrics(name, row, run)


def _other_metrics(name: str, row: tuple, run: pd.DataFrame) -> Iterator[str]:
    """The metrics of a run that are not those of its predictions."""
    for metric, referee in REFEREES.items():
        found, value = getattr(row, metric), referee(run)
        if abs(found - value) > TOLERANCE * (max(1, value) if metric == "rmse" else 1):
            yield f"{name}: {metric} is {found:.6f} in metrics.parquet, {value:.6f} of its predictions"


def name_run(key: Iterable[object]) -> str:
    """The values of KEYS, or of the first of them, for a person."""
    return " ".join(
        f"{name} {value}" if name in ("split", "seed") else str(value) for name, value in zip(KEYS, key, strict=False)
    )
