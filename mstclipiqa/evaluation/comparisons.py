"""What the reported means are worth: intervals, paired tests between variants, SRCC by generator.

An interval holds the noise of whatever varied (evaluation/noise): the test images with their prompts, and what training
varies, which the splits show, or the seeds. The SD over splits and the SD over seeds stand beside it.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_description
from mstclipiqa.base.layout import COMPARISONS, GENERATORS, INTERVALS, METRICS, RUNS, SAMPLES, SPLITS
from mstclipiqa.base.names import GROUP, RUN
from mstclipiqa.base.workers import spread
from mstclipiqa.data.benchmarks.benchmark import KINDS
from mstclipiqa.evaluation.averages import average_runs
from mstclipiqa.evaluation.bootstrap import SEED
from mstclipiqa.evaluation.by_generator import FEWEST_IMAGES, score_by_generator
from mstclipiqa.evaluation.noise import LEVEL, noise_of_mean
from mstclipiqa.evaluation.paired_tests import FAMILY, adjust_by_family, compare_variants
from mstclipiqa.evaluation.resamples import Resamples, resample

REPLICATES = 1000

#: The tables that are written, in the order in which `compare_runs` gives them.
TABLES = (INTERVALS, COMPARISONS, GENERATORS)
METADATA = {"replicates": REPLICATES, "seed": SEED, "level": LEVEL, "family": FAMILY, "fewest_images": FEWEST_IMAGES}


def compare_from_metrics(output: Path, metrics: Path, results: Path, workers: int = 1) -> None:
    """As `compare_runs`, of a metrics table, into the folder `output`."""
    for entry, table in zip(TABLES, compare_runs(METRICS.read(metrics)[0], results, workers=workers), strict=True):
        entry.write(entry.at(output), table, METADATA)


def compare_runs(
    metrics: pd.DataFrame, results: Path, replicates: int = REPLICATES, workers: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Intervals, comparisons and the table by generator of all runs in `metrics`, read below `results`, by so many
    processes.

    They are those of TABLES. Raises InputError where the predictions, samples or splits are not
    those that the metrics were computed from.
    """
    by_benchmark = list(metrics.sort_values([*GROUP, "split", "seed"]).groupby("benchmark"))
    found = list(spread(partial(_compare_benchmark, results, replicates), by_benchmark, workers, "compare"))
    intervals, comparisons, generators = (
        pd.DataFrame([row for rows in part for row in rows], columns=list(entry.columns))
        for entry, part in zip(TABLES, zip(*found, strict=True), strict=True)
    )
    return intervals, adjust_by_family(comparisons), generators


def _compare_benchmark(
    results: Path, replicates: int, of_benchmark: tuple[str, pd.DataFrame]
) -> tuple[list[dict], list[dict], list[dict]]:
    """The rows of TABLES of one benchmark, given with the rows of its runs."""
    benchmark, runs = of_benchmark
    samples, _ = SAMPLES.read(SAMPLES.at(results, benchmark=benchmark))
    counts = read_description(SPLITS.at(results, benchmark=benchmark))["protocols"]
    runs = runs.reset_index(drop=True)
    return compare_predictions(runs, read_predictions(runs, samples, results), samples, counts, replicates)


def compare_predictions(
    runs: pd.DataFrame,
    predictions: list[pd.DataFrame],
    samples: pd.DataFrame,
    counts: Mapping[str, list[dict]],
    replicates: int = REPLICATES,
) -> tuple[list[dict], list[dict], list[dict]]:
    """The rows of TABLES, before any adjustment, of the `runs` of one benchmark, numbered from 0, and the predictions
    of each: row in `samples`, prediction, mos. `counts` is what the splits table's metadata say of its protocols."""
    with_averages, all_predictions = average_runs(runs, predictions)
    resamples = resample(with_averages, all_predictions, samples, counts, replicates)
    kinds = read_yaml(KINDS).get(runs["benchmark"].iloc[0], {})
    return (
        [interval_of(key, group, resamples) for key, group in runs.groupby(GROUP)],
        compare_variants(with_averages, resamples),
        score_by_generator(runs, predictions, samples, kinds),
    )


def read_predictions(runs: pd.DataFrame, samples: pd.DataFrame, results: Path) -> list[pd.DataFrame]:
    """For every row of `runs` its test images in samples order: row in `samples`, prediction, MOS."""
    row_of = pd.Series(samples.index, index=samples["image"])
    found: dict[tuple, pd.DataFrame] = {}
    for file in runs["file"].unique():
        table, _ = RUNS.read(results / file)
        table["row"] = table["image"].map(row_of)
        if table["row"].isna().any():
            strange = table["image"][table["row"].isna()].iloc[0]
            raise InputError(f"{results / file}: image {strange} is not in the samples table; train again")
        table = table.astype({"row": int}).sort_values("row")
        found |= {(file, *key): run[["row", "prediction", "mos"]] for key, run in table.groupby(RUN)}
    keys = list(runs[["file", *RUN]].itertuples(index=False, name=None))
    for key, n in zip(keys, runs["n"], strict=True):
        if len(found.get(key, ())) != n:
            file, *run = key
            raise InputError(
                f"{results / file}: not the run {', '.join(map(str, run))} of metrics.parquet; evaluate again"
            )
    return [found[key] for key in keys]


# Intervals


def interval_of(key: tuple, runs: pd.DataFrame, resamples: Resamples) -> dict:
    """One row of the intervals: means over the runs of a group, with what they vary by."""
    row = dict(zip(GROUP, key, strict=True)) | {
        "runs": len(runs),
        "splits": runs["split"].nunique(),
        "seeds": runs["seed"].nunique(),
        "n_test": runs["n"].mean(),
    }
    index = pd.MultiIndex.from_frame(runs[["split", "seed"]])
    for metric in resamples.drawn:
        replicates = resamples.of(metric, runs.index.to_numpy())
        values = pd.Series(runs[metric].to_numpy(), index)
        noise, by_split = noise_of_mean(values, replicates), values.groupby("split")
        low, high = noise.interval(values.mean())
        row |= {
            "prompts": replicates.tested.count,
            "noise": ", ".join(noise.names),
            metric: values.mean(),
            f"{metric}_low": low,
            f"{metric}_high": high,
            f"{metric}_images_error": replicates.noise.error,
            f"{metric}_sd_splits": by_split.mean().std(),
            f"{metric}_sd_seeds": by_split.std().mean(skipna=False),
        }
    return row
