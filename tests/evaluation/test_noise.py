"""Noise, against Student's t by scipy, formulas written out, and designs whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.evaluation.noise import (
    IMAGES,
    SEEDS,
    Basis,
    Noise,
    Replicates,
    image_noise,
    noise_between_seeds,
    noise_of_mean,
    noise_of_one_run,
)


def runs_of(values):
    """Values (splits, seeds) by (split, seed)."""
    values = np.asarray(values, float)
    index = pd.MultiIndex.from_product([range(len(values)), range(values.shape[1])], names=["split", "seed"])
    return pd.Series(values.ravel(), index=index)


def replicates_of(runs, spread=0.01, by_prompt=True, prompts=30):
    drawn = 0.8 + spread * np.random.default_rng(0).normal(size=(runs, 500))
    return Replicates(drawn, Basis([np.arange(prompts)] * runs, tested_to_rest=0.25, by_prompt=by_prompt))


def test_one_source_is_students_test():
    values = np.array([0.3, 0.1, 0.4, 0.2])
    noise = Noise((("seeds", values.var(ddof=1) / 4, 3),))
    expected = stats.ttest_1samp(values, 0)
    assert noise.differs(values.mean()) == pytest.approx(expected.pvalue)
    assert noise.above(values.mean()) == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue)
    assert noise.interval(values.mean()) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_two_sources_have_welchs_degrees_of_freedom():
    one, other = np.array([0.3, 0.1, 0.4, 0.2]), np.array([1.0, 3.0, 2.5])
    noise = Noise((("a", one.var(ddof=1) / 4, 3),)) + Noise((("b", other.var(ddof=1) / 3, 2),))
    expected = stats.ttest_ind(one, other, equal_var=False)
    assert noise.freedom == pytest.approx(expected.df)
    assert noise.differs(one.mean() - other.mean()) == pytest.approx(expected.pvalue)
    assert noise.times(-100).error == pytest.approx(100 * noise.error)
    assert noise.names == ("a", "b")


def test_without_any_noise_and_with_unknown_noise():
    none, unknown = Noise((("seeds", 0.0, 4),)), Noise((("seeds", np.nan, 1),))
    assert (none.differs(0.0), none.differs(0.1), none.above(0.1), none.above(0.0)) == (1, 0, 0, 1)
    assert none.interval(0.1) == (0.1, 0.1)
    assert np.isnan([*unknown.interval(0.1), unknown.differs(0.1), unknown.detectable]).all()
    assert np.isnan(Noise().error)


def test_what_is_detectable_is_detected_in_four_cases_of_five():
    rng, error, seeds = np.random.default_rng(4), 0.01, 6
    detectable = Noise((("seeds", error**2 / seeds, seeds - 1),)).detectable
    found = 0
    for _ in range(2000):
        values = rng.normal(detectable, error, seeds)
        found += Noise((("seeds", values.var(ddof=1) / seeds, seeds - 1),)).interval(values.mean())[0] > 0
    assert 0.76 < found / 2000 < 0.84


def test_the_replicates_of_few_prompts_vary_too_little():
    drawn = np.random.default_rng(1).normal(size=1000)
    assert image_noise(drawn, 5).variance == pytest.approx(drawn.var(ddof=1) * (5 / 3) ** 2)
    assert image_noise(drawn, 5).freedom == 3
    assert image_noise(drawn, 32, of_difference=True).freedom == 10
    assert image_noise(drawn, 32, of_difference=True).variance == image_noise(drawn, 32).variance
    assert np.isnan(image_noise(drawn[:1], 5).variance) and np.isnan(image_noise(drawn, 2).variance)


def test_one_split_and_one_seed_know_the_images_alone():
    tested = replicates_of(1)
    noise = noise_of_mean(runs_of([[0.8]]), tested)
    assert noise.names == (IMAGES,) and noise.variance == tested.noise.variance


def test_seeds_stand_for_training_where_splits_are_few():
    values = runs_of([[0.80, 0.82], [0.70, 0.74]])
    noise = noise_of_mean(values, tested := replicates_of(4))
    within = (2 * 0.01**2 + 2 * 0.02**2) / 2
    assert noise.names == (IMAGES, SEEDS)
    assert noise.variance == pytest.approx(tested.noise.variance + within / 4)
    assert noise_between_seeds(values).variance == pytest.approx(within / 4)
    assert np.isnan(noise_between_seeds(runs_of([[0.8], [0.7]])).variance)


def test_splits_by_prompt_are_corrected_for_what_they_share():
    values, tested = runs_of([[0.8], [0.7], [0.9], [0.85]]), replicates_of(4)
    noise = noise_of_mean(values, tested)
    corrected = (1 / 4 + 0.25) * values.var()
    weight = 0.1 * 28
    assert noise.variance == pytest.approx((3 * corrected + weight * tested.noise.variance) / (3 + weight))
    assert noise.freedom == pytest.approx(3 + weight)
    empty = Replicates(np.full((4, 9), np.nan), tested.tested)
    assert noise_of_mean(values, empty).variance == pytest.approx(corrected)


def test_splits_by_image_add_what_training_varies():
    values, tested = runs_of([[0.8], [0.7], [0.9], [0.85]]), replicates_of(4, by_prompt=False)
    one = np.mean([row.var(ddof=1) * (30 / 28) ** 2 for row in tested.drawn])
    noise = noise_of_mean(values, tested)
    assert noise.variance == pytest.approx(tested.noise.variance + (values.var() - one) / 4)
    still = runs_of([[0.8], [0.8], [0.8], [0.8]])
    assert noise_of_mean(still, tested).variance == pytest.approx(tested.noise.variance)


@pytest.mark.parametrize("seeds", [2, 5, 12])
def test_a_further_run_on_the_same_images_is_held_by_its_interval(seeds):
    rng, held = np.random.default_rng(seeds), 0
    for _ in range(2000):
        *ours, theirs = rng.normal(0.9, 0.005, seeds + 1)
        low, high = noise_of_one_run(runs_of([ours]), None).interval(np.mean(ours))
        held += low <= theirs <= high
    assert 0.935 < held / 2000 < 0.965


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_further_run_on_another_split_is_held_by_its_interval(seeds):
    """Item by item: splits vary by 0.02, seeds by 0.01; the paper has one split and one seed."""
    rng, held, images = np.random.default_rng(seeds), 0, Noise((("images", 0.02**2, np.inf),))
    for _ in range(1000):
        ours = rng.normal(0.9, 0.02, (10, 1)) + rng.normal(0, 0.01, (10, seeds))
        theirs = rng.normal(0.9, 0.02) + rng.normal(0, 0.01)
        low, high = noise_of_one_run(runs_of(ours), images).interval(ours.mean())
        held += low <= theirs <= high
    assert 0.93 < held / 1000 < 0.97


def test_a_further_run_on_another_single_split_tests_other_images_too():
    images, values = Noise((("images", 0.02**2, 100),)), runs_of([[0.80, 0.82, 0.84]])
    noise = noise_of_one_run(values, images)
    assert noise.variance == pytest.approx(2 * 0.02**2 + 0.02**2 * (1 + 1 / 3))
    assert np.isnan(noise_of_one_run(runs_of([[0.8]]), images).variance)
