"""What the reported means are worth: bootstrap intervals, paired tests between variants, SRCC by generator.

Three sources of uncertainty are kept apart. The bootstrap resamples test images (prompts where the protocol splits by
prompt) under the models as trained; the SD over splits and the SD over seeds say what other training images or another
start of training would change.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from mstclipiqa.config import read_yaml
from mstclipiqa.errors import FailedRunError, InputError
from mstclipiqa.evaluation import JOB, RUN
from mstclipiqa.files import read_table
from mstclipiqa.metrics import srcc
from mstclipiqa.splits import TEST, TRAIN, describe_protocol

REPLICATES = 1000
SEED = 16799
LEVEL = 0.95

#: An interval or a test is left empty where more than this share of its resampled runs have no correlation. Only
#: benchmarks of a dozen prompts come near: a replicate may draw none that a split tests.
MOST_UNDEFINED = 0.25

#: The variant that all others are held against.
BASE = "mst-clipiqa"

#: From so many splits on, tests rest on the differences between splits.
FEWEST_SPLITS = 3
CORRECTED_T, PAIRED_BOOTSTRAP = "corrected resampled t", "paired bootstrap"

#: SRCC within a generator counts only runs with at least so many test images of it.
FEWEST_IMAGES = 10

GENERATORS = Path(__file__).parent / "benchmarks" / "generators.yaml"
KINDS = ("GAN", "diffusion", "autoregressive", "unknown")

GROUP = [*JOB, "protocol", "selection"]

#: What is tested together, and adjusted together: all benchmarks, targets and variants of one of these.
FAMILY = ["recipe", "protocol", "selection"]

INTERVALS = [
    *(*GROUP, "runs", "splits", "seeds", "n_test", "resampled"),
    *("srcc", "srcc_low", "srcc_high", "plcc", "plcc_low", "plcc_high"),
    *("srcc_sd_splits", "srcc_sd_seeds", "plcc_sd_splits", "plcc_sd_seeds"),
]
COMPARISONS = [
    *(*GROUP, "against", "runs", "splits", "n_test", "n_train", "method", "resampled"),
    *("srcc_difference", "low", "high", "standard_error", "p", "p_holm", "family_size"),
]
BY_GENERATOR = [*GROUP, "level", "name", "kind", "runs", "n_test", "runs_too_small", "runs_undefined", "srcc"]

#: The columns of each table, by the name of its file.
COLUMNS = {"intervals": INTERVALS, "comparisons": COMPARISONS, "generators": BY_GENERATOR}
METADATA = {"replicates": REPLICATES, "seed": SEED, "level": LEVEL, "family": FAMILY, "fewest_images": FEWEST_IMAGES}


def compare_runs(
    metrics: pd.DataFrame, results: Path, replicates: int = REPLICATES
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Intervals, comparisons and the table by generator of all runs in `metrics`, read below `results`.

    Columns INTERVALS, COMPARISONS and BY_GENERATOR. Raises InputError where the predictions, samples or splits are not
    those that the metrics were computed from.
    """
    kinds = read_yaml(GENERATORS)
    intervals, comparisons, generators = [], [], []
    for benchmark, runs in metrics.sort_values([*GROUP, "split", "seed"]).groupby("benchmark"):
        samples, _ = read_table(results / benchmark / "samples.parquet", ["image", "prompt_group", "generator"])
        splits, metadata = read_table(results / benchmark / "splits.parquet", ["protocol", "split", "image", "role"])
        runs = runs.assign(resampled=runs["protocol"].map(_resampled_units(metadata["protocols"])))
        runs, predictions = runs.reset_index(drop=True), _read_predictions(runs, samples, results)
        drawn = bootstrap_runs(runs, predictions, samples, replicates)
        intervals += [_interval(*group, *drawn) for group in runs.groupby(GROUP)]
        comparisons += _compare_variants(runs, _count_roles(splits), drawn[0])
        generators += _by_generator(runs, predictions, samples, kinds.get(benchmark, {}))
    return (
        pd.DataFrame(intervals, columns=INTERVALS),
        _adjust(pd.DataFrame(comparisons, columns=COMPARISONS)),
        pd.DataFrame(generators, columns=BY_GENERATOR),
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
    found = {}
    for file in runs["file"].unique():
        table, _ = read_table(results / file, [*RUN, "image", "prediction", "mos"])
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


# Resampling


def bootstrap_runs(
    runs: pd.DataFrame, predictions: list[pd.DataFrame], samples: pd.DataFrame, replicates: int
) -> tuple[np.ndarray, np.ndarray]:
    """SRCC and PLCC (runs, replicates) of every run under the same resamples of its benchmark.

    A replicate draws as many images, or prompts with all their images, as the benchmark has, with replacement; a run
    keeps those that it tested. So runs that share images move together, as they would with other images. NaN where a
    replicate leaves a run too little to correlate. In simulations of 300 draws intervals of a mean held the truth in
    93 to 96 % of cases, with ten prompts in 87 %.
    """
    counts = {
        "images": _draw(np.arange(len(samples)), replicates),
        "prompts": _draw(pd.factorize(samples["prompt_group"])[0], replicates),
    }
    drawn = np.empty((2, len(runs), replicates))
    for i, (unit, run) in enumerate(zip(runs["resampled"], predictions, strict=True)):
        drawn[:, i] = weighted_correlations(run["prediction"], run["mos"], counts[unit][run["row"]])
    return drawn[0], drawn[1]


def _draw(unit: np.ndarray, replicates: int) -> np.ndarray:
    """How often each image is drawn, (images, replicates), when the units 0, 1, ... that they belong to are."""
    units = unit.max() + 1
    counts = np.random.default_rng(SEED).multinomial(units, np.full(units, 1 / units), replicates)
    return counts.T.astype(np.float32)[unit]


def weighted_correlations(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SRCC and PLCC (replicates,) of x and y (n,) where image i stands `counts[i, r]` times in replicate r.

    Equal to ranking the repeated values, ties averaged, and correlating. NaN where x or y is constant.
    """
    x, y, counts = np.asarray(x, float), np.asarray(y, float), np.asarray(counts, float)
    a, b = _centred_ranks(x, counts), _centred_ranks(y, counts)
    weighted = counts * a
    with np.errstate(invalid="ignore", divide="ignore"):
        norm = np.einsum("nr,nr->r", weighted, a) * np.einsum("nr,nr,nr->r", counts, b, b)
        rank = np.einsum("nr,nr->r", weighted, b) / np.sqrt(norm)
        x, y = x - x.mean(), y - y.mean()
        total, sx, sy, sxx, syy, sxy = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y]) @ counts
        linear = (total * sxy - sx * sy) / np.sqrt((total * sxx - sx**2) * (total * syy - sy**2))
    # A constant is exactly so in ranks; in values rounding may leave a spread.
    return rank, np.where(np.isnan(rank), np.nan, linear)


def _centred_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average ranks of the repeated values less their mean, (n, replicates)."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) > 0])
    tied = np.add.reduceat(counts[order], starts, axis=0)
    ranks = np.cumsum(tied, axis=0)
    total = ranks[-1].copy()
    ranks -= (tied + total) / 2
    place = np.empty(len(values), int)
    place[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(values)]))
    return ranks[place]


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


def mean_over_runs(drawn: np.ndarray) -> np.ndarray:
    """The replicates of a mean over runs, from those of each, (runs, replicates).

    A run takes no part in a replicate that leaves it too little to correlate, which makes the mean vary rather more. No
    replicate at all where that befell too many.
    """
    defined = ~np.isnan(drawn)
    if defined.mean() < 1 - MOST_UNDEFINED:
        return np.empty(0)
    some = defined.any(axis=0)
    return np.nansum(drawn, axis=0)[some] / defined.sum(axis=0)[some]


def percentile_interval(replicates: np.ndarray) -> tuple[float, float]:
    """The central 95 % of the replicates; (NaN, NaN) of none."""
    if not len(replicates):
        return np.nan, np.nan
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


# Paired tests


def _compare_variants(runs: pd.DataFrame, roles: pd.DataFrame, drawn: np.ndarray) -> list[dict]:
    """Every variant against BASE, on the runs (split, seed) that both have."""
    rows = []
    for key, group in runs.groupby([name for name in GROUP if name != "variant"]):
        by_variant = dict(iter(group.reset_index(names="place").groupby("variant")))
        base = by_variant.pop(BASE, None)
        for variant, other in by_variant.items() if base is not None else ():
            both = other.merge(base, on=["split", "seed"], suffixes=("", "_base"))
            if both.empty:
                continue
            by_split = (both["srcc"] - both["srcc_base"]).groupby(both["split"]).mean()
            protocol = group["protocol"].iloc[0]
            sizes = roles.loc[[(protocol, split) for split in by_split.index], [TRAIN, TEST]].mean()
            if len(by_split) >= FEWEST_SPLITS:
                method, freedom = CORRECTED_T, len(by_split) - 1
                error = corrected_error(by_split.to_numpy(), sizes[TEST] / sizes[TRAIN])
            else:
                method, freedom = PAIRED_BOOTSTRAP, np.inf
                error = bootstrap_error(mean_over_runs(drawn[both["place"]] - drawn[both["place_base"]]))
            difference = float(by_split.mean())
            p, low, high = paired_test(difference, error, freedom)
            rows.append(
                dict(zip([name for name in GROUP if name != "variant"], key, strict=True))
                | {"variant": variant, "against": BASE, "runs": len(both), "splits": len(by_split)}
                | {"n_test": sizes[TEST], "n_train": sizes[TRAIN], "method": method}
                | {"resampled": group["resampled"].iloc[0] if method == PAIRED_BOOTSTRAP else ""}
                | {"srcc_difference": difference, "standard_error": error, "p": p, "low": low, "high": high}
            )
    return rows


def corrected_error(differences: np.ndarray, test_to_train: float) -> float:
    """Standard error of the mean of J differences from overlapping training sets.

    Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003: the variance over splits
    times 1/J + n_test/n_train.
    """
    return float(np.sqrt((1 / len(differences) + test_to_train) * np.var(differences, ddof=1)))


def bootstrap_error(differences: np.ndarray) -> float:
    """SD of the replicates of a difference; NaN of none."""
    return float(differences.std(ddof=1)) if len(differences) else np.nan


def paired_test(difference: float, error: float, freedom: float) -> tuple[float, float, float]:
    """Two-sided p and 95 % interval (low, high) of a difference; infinite freedom is the normal distribution.

    Without any spread p is 1 for no difference and 0 for any other.
    """
    if error == 0:
        return float(difference == 0), difference, difference
    margin = stats.t.ppf((1 + LEVEL) / 2, freedom) * error
    return float(2 * stats.t.sf(abs(difference) / error, freedom)), difference - margin, difference + margin


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment (Scandinavian Journal of Statistics 6, 1979): k-th smallest p times m - k + 1,
    never falling, at most 1."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.arange(len(p), 0, -1) * np.asarray(p, float)[order]))
    return adjusted


def _adjust(comparisons: pd.DataFrame) -> pd.DataFrame:
    """With Holm's p in each family, over the tests that could be made."""
    tested = comparisons["p"].notna()
    by_family = comparisons[tested].groupby(FAMILY)["p"]
    comparisons["p_holm"] = by_family.transform(holm).astype(float)
    comparisons["family_size"] = by_family.transform("size").astype(float)
    return comparisons


# By generator


def _by_generator(
    runs: pd.DataFrame, predictions: list[pd.DataFrame], samples: pd.DataFrame, kinds: dict[str, dict]
) -> list[dict]:
    """SRCC within each generator and each kind, at the main selection of each protocol: the mean over runs.

    Runs with fewer than FEWEST_IMAGES test images of it do not count; where the SRCC of any other is undefined there is
    none, and `runs_undefined` counts them.
    """
    labels = pd.DataFrame({"generator": samples["generator"]})
    labels["kind"] = [kinds.get(name, {}).get("kind", "unknown") for name in labels["generator"]]
    rows = []
    for key, group in runs.groupby(GROUP):
        described = dict(zip(GROUP, key, strict=True))
        if described["selection"] != describe_protocol(described["protocol"])["selection"]:
            continue
        for level in ("generator", "kind"):
            for name, members in labels.groupby(level):
                tested = [run[run["row"].isin(members.index)] for run in map(predictions.__getitem__, group.index)]
                counted = [run for run in tested if len(run) >= FEWEST_IMAGES]
                scores = [_srcc_or_none(run) for run in counted]
                undefined = scores.count(None)
                rows.append(
                    described
                    | {"level": level, "name": name, "kind": members["kind"].iloc[0], "runs": len(counted)}
                    | {"n_test": np.mean([len(run) for run in counted]) if counted else np.nan}
                    | {"runs_too_small": len(tested) - len(counted), "runs_undefined": undefined}
                    | {"srcc": np.mean(scores) if counted and not undefined else np.nan}
                )
    return rows


def _srcc_or_none(run: pd.DataFrame) -> float | None:
    try:
        return srcc(run["prediction"], run["mos"])
    except FailedRunError:
        return None
