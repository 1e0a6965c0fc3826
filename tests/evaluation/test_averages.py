"""Averages of two runs' predictions, against the means written out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.evaluation.averages import AVERAGES, average_runs
from mstclipiqa.evaluation.comparisons import compare_runs


def row(variant: str, seed: int, split: int = 0) -> dict:
    place = {"benchmark": "b", "target": "quality", "recipe": "r", "protocol": "p", "selection": "last"}
    return {**place, "variant": variant, "split": split, "seed": seed, "n": 20, "srcc": 0.0, "plcc": 0.0, "file": "f"}


def prediction(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    mos = np.random.default_rng(99).normal(size=20)
    return pd.DataFrame({"row": range(20), "prediction": mos + rng.normal(size=20), "mos": mos})


def test_streams_are_averaged_seed_by_seed_and_seeds_in_pairs():
    rows = [row(name, seed) for name in ("mst-clipiqa", "coarse-only", "fine-only") for seed in range(5)]
    predictions = [prediction(number) for number in range(len(rows))]
    runs, averaged = average_runs(pd.DataFrame(rows), predictions)
    assert runs.index.tolist() == list(range(len(averaged))) and len(runs) == 15 + 5 + 2 + 2
    pd.testing.assert_frame_equal(runs[:15], pd.DataFrame(rows))
    expected = {("averaged-streams", seed): (5 + seed, 10 + seed) for seed in range(5)}
    expected |= {("averaged-seeds", 0): (0, 1), ("averaged-seeds", 2): (2, 3)}  # the fifth has no partner
    placebo = {("other-seeds", 0): 1, ("other-seeds", 2): 3}  # the second of each pair, in place of the first
    found = {(run.variant, run.seed): place for place, run in runs[15:].iterrows()}
    assert found.keys() == expected.keys() | placebo.keys()
    for key, other in placebo.items():
        np.testing.assert_array_equal(averaged[found[key]]["prediction"], predictions[other]["prediction"])
    for key, (one, other) in expected.items():
        mean = (predictions[one]["prediction"] + predictions[other]["prediction"]) / 2
        made = averaged[found[key]]
        np.testing.assert_allclose(made["prediction"], mean)
        assert runs.loc[found[key], "srcc"] == pytest.approx(stats.spearmanr(mean, made["mos"]).statistic)
        assert runs.loc[found[key], "plcc"] == pytest.approx(stats.pearsonr(mean, made["mos"]).statistic)


def test_one_seed_or_one_stream_makes_no_average():
    rows = [row("mst-clipiqa", 0), row("mst-clipiqa", 0, split=1), row("coarse-only", 0)]
    runs, averaged = average_runs(pd.DataFrame(rows), [prediction(number) for number in range(3)])
    assert len(runs) == len(averaged) == 3


def test_models_are_compared_with_averages_which_are_compared_with_nothing(suite):
    results, scores = suite(mst_clipiqa=0.5, coarse_only=0.3, fine_only=1.5)
    intervals, comparisons, _ = compare_runs(scores, results, replicates=50)
    assert not set(AVERAGES) & (set(intervals["variant"]) | set(comparisons["variant"]))
    assert set(comparisons["against"]) == {"mst-clipiqa", "coarse-only", "fine-only", *AVERAGES} - {"other-seeds-star"}
    placebo = comparisons[comparisons["against"] == "other-seeds"]
    assert set(placebo["variant"]) == {"mst-clipiqa"}  # it is held against its own model alone
    own = comparisons[comparisons["variant"].eq("coarse-only") & comparisons["metric"].eq("srcc")]
    own = own[own["protocol"].eq("grouped3") & own["selection"].eq("last")].set_index("against")["difference"]
    # The suite's errors are alike but for their size: the mean of a good and a bad opinion lies between them.
    assert 0 < own["averaged-streams"] < own["fine-only"]
