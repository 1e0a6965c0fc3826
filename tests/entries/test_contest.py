"""Ranks and pairs, against tests that scipy and numpy make of the same scores."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.api.notebook import splits
from mstclipiqa.base.names import TEST
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.entries.admission import runs_of_scores
from mstclipiqa.entries.contest import hold_contest, pairs_of, rank
from mstclipiqa.evaluation.paired_tests import holm

NOISE = {"good": 0.2, "alike": 0.21, "bad": 6.0}


@pytest.fixture(scope="module")
def contest(benchmark):
    rng = np.random.default_rng(11)
    samples = benchmark.samples
    table, counts = split_samples(samples, ["lab-seed1", "grouped3"], benchmark.card)
    runs = {}
    for name, noise in NOISE.items():
        predicted = samples["quality"] + noise * rng.normal(size=len(samples))
        scores = pd.DataFrame({"image": samples["image"], "prediction": predicted})
        runs[name] = runs_of_scores(scores, samples, table, "quality", name)
    return runs, hold_contest(runs, samples, counts, "quality", replicates=200)


def test_metrics_and_intervals_are_those_of_the_runs(contest, benchmark):
    runs, held = contest
    for row in held.metrics.itertuples():
        own = runs[row.variant]
        own = own[(own["protocol"] == row.protocol) & (own["split"] == row.split)]
        assert row.srcc == pytest.approx(stats.spearmanr(own["prediction"], own["mos"]).statistic)
        assert row.n == len(own)
    tested = splits(benchmark, "lab-seed1").query("role == @TEST")
    one = held.intervals.query("protocol == 'lab-seed1' and variant == 'good'").iloc[0]
    assert one["n_test"] == len(tested) and one["srcc_low"] < one["srcc"] < one["srcc_high"]


@pytest.mark.parametrize("protocol", ["lab-seed1", "grouped3"])
def test_a_rank_counts_the_methods_that_are_better_beyond_noise(contest, protocol):
    _, held = contest
    order = rank(held, protocol).set_index("variant")
    assert order["rank"].to_dict() == {"good": 1, "alike": 1, "bad": 3}
    assert order["tied"].to_dict() == {"good": ["alike"], "alike": ["good"], "bad": []}


def test_pairs_stand_once_and_are_adjusted_together(contest):
    _, held = contest
    pairs = pairs_of(held, "grouped3")
    names = [frozenset(pair) for pair in pairs[["variant", "against"]].to_numpy()]
    assert len(names) == len(set(names)) == 3
    assert pairs["p_all"].tolist() == pytest.approx(holm(pairs["p"].to_numpy()).tolist())


def test_trained_methods_of_one_run_are_compared_as_they_are(benchmark):
    """The noise is that of the images alone, and the table says so."""
    samples = benchmark.samples
    table, counts = split_samples(samples, ["lab-seed1"], benchmark.card)
    tested = table[table["role"] == TEST].drop(columns="role")
    rng = np.random.default_rng(5)
    runs = {}
    for name, noise in NOISE.items():
        mos = tested["image"].map(samples.set_index("image")["quality"])
        scores = tested.assign(prediction=mos + noise * rng.normal(size=len(tested)), seed=0)
        runs[name] = runs_of_scores(scores, samples, table, "quality", name)
    held = hold_contest(runs, samples, counts, "quality", replicates=200)
    assert held.comparisons["p"].isna().all()
    pairs = pairs_of(held, "lab-seed1")
    assert (pairs["noise"] == "images").all() and pairs["p_all"].between(0, 1).all()
    assert rank(held, "lab-seed1").set_index("variant")["rank"]["bad"] == 3
