"""Methods on one benchmark and target, held against each other: metrics, intervals, paired tests, ranks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mstclipiqa.base.layout import COMPARISONS, GENERATORS, INTERVALS, METRICS
from mstclipiqa.base.names import ENTERED, GROUP, RUN
from mstclipiqa.evaluation.comparisons import REPLICATES, compare_predictions
from mstclipiqa.evaluation.noise import Noise, known_image_noise
from mstclipiqa.evaluation.paired_tests import adjust_by_family, holm
from mstclipiqa.evaluation.per_run import measure_runs

#: From this adjusted p on, two methods are tied.
ALPHA = 0.05


@dataclass(frozen=True)
class Contest:
    """The tables of some methods, with the columns of the layout's tables of these names. A method is called in the
    column `variant`; the recipe of all is ENTERED."""

    metrics: pd.DataFrame
    intervals: pd.DataFrame
    comparisons: pd.DataFrame
    generators: pd.DataFrame


def hold_contest(
    runs: Mapping[str, pd.DataFrame],
    samples: pd.DataFrame,
    counts: Mapping[str, list[dict]],
    target: str,
    replicates: int = REPLICATES,
) -> Contest:
    """The contest of the methods whose predictions (columns of the layout's RUNS) are `runs`, by their names, on a
    benchmark's `samples`. `counts` is what `split_samples` says of the protocols. Raises FailedRunError for a run whose
    metrics are undefined."""
    row_of = pd.Series(samples.index, index=samples["image"])
    named = {"benchmark": samples["benchmark"].iloc[0], "target": target, "recipe": ENTERED}
    rows, predictions = [], []
    for name, table in runs.items():
        by_run = dict(iter(table.assign(row=table["image"].map(row_of)).sort_values("row").groupby(RUN)))
        for row in measure_runs(table):
            rows.append(named | {"variant": name} | row | {"file": name})
            predictions.append(by_run[tuple(row[key] for key in RUN)])
    metrics = pd.DataFrame(rows, columns=list(METRICS.columns))
    intervals, comparisons, generators = compare_predictions(metrics, predictions, samples, counts, replicates)
    return Contest(
        metrics,
        pd.DataFrame(intervals, columns=list(INTERVALS.columns)),
        adjust_by_family(pd.DataFrame(comparisons, columns=list(COMPARISONS.columns))),
        pd.DataFrame(generators, columns=list(GENERATORS.columns)),
    )


def rank(contest: Contest, protocol: str) -> pd.DataFrame:
    """The methods of a contest under a protocol, the greatest mean SRCC first: the columns of intervals, `rank`, and
    `tied`, the names of the methods that it is not told apart from.

    A method's rank is one more than the number of methods that are better by a paired test of SRCC, adjusted by Holm
    over all pairs under this protocol (`pairs_of`), and never better than that of a method with a greater mean. Pairs
    without a test are tied.
    """
    keys = [name for name in GROUP if name != "variant"]
    table = contest.intervals[contest.intervals["protocol"] == protocol]
    table = table.sort_values(["srcc", "variant"], ascending=[False, True], ignore_index=True)
    better = pairs_of(contest, protocol)
    better = better[better["p_all"] < ALPHA]
    won = {
        (row.variant, row.against) if row.difference > 0 else (row.against, row.variant) for row in better.itertuples()
    }
    names = list(table["variant"])
    table["rank"] = np.maximum.accumulate([1 + sum((other, name) in won for other in names) for name in names])
    table["tied"] = [
        [other for other in names if other != name and not {(other, name), (name, other)} & won] for name in names
    ]
    return table.drop(columns=keys)


def pairs_of(contest: Contest, protocol: str) -> pd.DataFrame:
    """Each pair of methods under a protocol once: the row of the comparisons by SRCC; `p_all`, its p adjusted by
    Holm over all of them; and `detectable`, the smallest difference that such an interval shows in 80 % of cases.

    Where too few runs tell what training varies, the test is of these predictions as they are: its noise is that of the
    images alone, as the column `noise` says. NaN where too few prompts were tested for any.
    """
    table = contest.comparisons
    table = table[(table["protocol"] == protocol) & (table["metric"] == "srcc") & (table["variant"] < table["against"])]
    table = table[table["against"].isin(set(contest.metrics["variant"]))].reset_index(drop=True)
    for row in table.itertuples():
        images = known_image_noise(row.images_error**2, row.prompts, of_difference=True)
        noise = images if np.isnan(row.p) else Noise(((row.noise, row.standard_error**2, row.freedom),))
        said = *noise.interval(row.difference), noise.differs(row.difference), noise.detectable
        table.loc[row.Index, ["low", "high", "p", "detectable"]] = said
    tested = table["p"].notna().to_numpy()
    adjusted = np.full(len(table), np.nan)
    adjusted[tested] = holm(table["p"].to_numpy()[tested])
    return table.assign(p_all=adjusted)
