"""What the reported means are worth: bootstrap intervals, paired tests between variants, SRCC by generator.

Three sources of uncertainty are kept apart. The bootstrap resamples test images (prompts where the protocol splits by
prompt) under the models as trained; the SD over splits and the SD over seeds say what other training images or another
start of training would change.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import COMPARISONS, GENERATORS, INTERVALS, METRICS, RUNS, SAMPLES, SPLITS
from mstclipiqa.base.names import GROUP, RUN
from mstclipiqa.evaluation.bootstrap import LEVEL, SEED, bootstrap_runs, mean_over_runs, percentile_interval
from mstclipiqa.evaluation.by_generator import FEWEST_IMAGES, KINDS, score_by_generator
from mstclipiqa.evaluation.paired_tests import FAMILY, adjust_by_family, compare_variants

REPLICATES = 1000

#: The tables that are written, in the order in which `compare_runs` gives them.
TABLES = (INTERVALS, COMPARISONS, GENERATORS)
METADATA = {"replicates": REPLICATES, "seed": SEED, "level": LEVEL, "family": FAMILY, "fewest_images": FEWEST_IMAGES}


def compare_from_metrics(output: Path, metrics: Path, results: Path) -> None:
    """As `compare_runs`, of a metrics table, into the folder `output`."""
    for entry, table in zip(TABLES, compare_runs(METRICS.read(metrics)[0], results), strict=True):
        entry.write(entry.at(output), table, METADATA)


def compare_runs(
    metrics: pd.DataFrame, results: Path, replicates: int = REPLICATES
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Intervals, comparisons and the table by generator of all runs in `metrics`, read below `results`.

    They are those of TABLES. Raises InputError where the predictions, samples or splits are not
    those that the metrics were computed from.
    """
    kinds = read_yaml(KINDS)
    intervals, comparisons, generators = [], [], []
    for benchmark, runs in metrics.sort_values([*GROUP, "split", "seed"]).groupby("benchmark"):
        samples, _ = SAMPLES.read(SAMPLES.at(results, benchmark=benchmark))
        splits, metadata = SPLITS.read(SPLITS.at(results, benchmark=benchmark))
        runs = runs.assign(resampled=runs["protocol"].map(_resampled_units(metadata["protocols"])))
        runs, predictions = runs.reset_index(drop=True), _read_predictions(runs, samples, results)
        drawn = bootstrap_runs(runs, predictions, samples, replicates)
        intervals += [_interval(*group, *drawn) for group in runs.groupby(GROUP)]
        comparisons += compare_variants(runs, _count_roles(splits), drawn[0])
        generators += score_by_generator(runs, predictions, samples, kinds.get(benchmark, {}))
    return (
        pd.DataFrame(intervals, columns=list(INTERVALS.columns)),
        adjust_by_family(pd.DataFrame(comparisons, columns=list(COMPARISONS.columns))),
        pd.DataFrame(generators, columns=list(GENERATORS.columns)),
    )


def _resampled_units(leakage: dict[str, list[dict]]) -> dict[str, str]:
    """By protocol: prompts where no split tests a prompt that it trains on, images otherwise."""
    return {
        name: "images" if any(split["test_prompts_in_train"] for split in splits) else "prompts"
        for name, splits in leakage.items()
    }


def _read_predictions(runs: pd.DataFrame, samples: pd.DataFrame, results: Path) -> list[pd.DataFrame]:
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
        found |= {(file, *key): run for key, run in table.groupby(RUN)}
    keys = list(runs[["file", *RUN]].itertuples(index=False, name=None))
    for key, n in zip(keys, runs["n"], strict=True):
        if len(found.get(key, ())) != n:
            file, *run = key
            raise InputError(
                f"{results / file}: not the run {', '.join(map(str, run))} of metrics.parquet; evaluate again"
            )
    return [found[key] for key in keys]


def _count_roles(splits: pd.DataFrame) -> pd.DataFrame:
    """Images by role: a row per (protocol, split)."""
    return splits.groupby(["protocol", "split"])["role"].value_counts().unstack(fill_value=0)


# Intervals


def _interval(key: tuple, runs: pd.DataFrame, *drawn: np.ndarray) -> dict:
    """One row of the intervals: means over the runs of a group, with what they vary by."""
    row = dict(zip(GROUP, key, strict=True)) | {
        "runs": len(runs),
        "splits": runs["split"].nunique(),
        "seeds": runs["seed"].nunique(),
        "n_test": runs["n"].mean(),
        "resampled": runs["resampled"].iloc[0],
    }
    for metric, replicates in zip(("srcc", "plcc"), drawn, strict=True):
        low, high = percentile_interval(mean_over_runs(replicates[runs.index]))
        by_split = runs.groupby("split")[metric]
        row |= {
            metric: runs[metric].mean(),
            f"{metric}_low": low,
            f"{metric}_high": high,
            f"{metric}_sd_splits": by_split.mean().std(),
            f"{metric}_sd_seeds": by_split.std().mean(skipna=False),
        }
    return row
