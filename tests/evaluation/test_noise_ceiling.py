"""The noise ceiling against ratings whose true scores are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.evaluation.noise_ceiling import RATERS, noise_ceilings, simulate_truth

N = 3000


def rate(noise: float, raters: int):
    """True scores, and the MOS and SD over raters of ratings whose noise differs from image to image."""
    rng = np.random.default_rng(2)
    truth = rng.normal(3, 1, N)
    ratings = truth + noise * rng.uniform(0.5, 1.5, N) * rng.normal(size=(raters, N))
    return truth, ratings.mean(0), ratings.std(0, ddof=1)


@pytest.mark.parametrize(("noise", "raters"), [(0.6, 21), (2.0, 21), (2.0, 10), (1.5, 5)])
def test_true_scores_correlate_with_mos_as_the_simulated_ones_do(noise, raters):
    truth, mos, sd = rate(noise, raters)
    simulated = simulate_truth(mos, sd, raters)
    for correlation in (stats.spearmanr, stats.pearsonr):
        found = np.mean([correlation(draw, mos).statistic for draw in simulated[:20]])
        assert found == pytest.approx(correlation(truth, mos).statistic, abs=0.01)
    assert simulated.std() == pytest.approx(truth.std(), rel=0.05) and simulated.std() < mos.std()


def test_without_noise_the_truth_is_the_mos():
    mos = np.random.default_rng(1).normal(size=50)
    np.testing.assert_allclose(simulate_truth(mos, np.zeros(50), 5, draws=2), np.stack([mos, mos]))


def tables(count=200):
    truth, mos, sd = (values[:count] for values in rate(2.0, 10))
    images = [f"{row}.png" for row in range(count)]
    samples = pd.DataFrame({"image": images, "quality": mos, "quality_sd": sd, "correspondence": mos})
    roles = np.where(np.arange(count) % 4, "train", "test")
    splits = [
        pd.DataFrame({"protocol": "random2", "split": split, "image": images, "role": np.roll(roles, split)})
        for split in range(2)
    ]
    return samples, pd.concat(splits)


def test_a_row_for_each_number_of_raters_and_split_is_of_its_test_images():
    samples, splits = tables()
    rows = noise_ceilings(samples, splits, ["quality"])
    assert list(rows["source"].unique()) == [f"noise ceiling, {raters} raters" for raters in RATERS]
    assert len(rows) == len(RATERS) * 2 and set(rows["n"]) == {50}
    test = np.arange(200) % 4 == 1  # of split 1
    mos = samples["quality"].to_numpy()
    simulated = simulate_truth(mos, samples["quality_sd"].to_numpy(), 10)[:, test]
    row = rows[(rows["source"] == "noise ceiling, 10 raters") & (rows["split"] == 1)].iloc[0]
    assert row["srcc"] == pytest.approx(np.mean([stats.spearmanr(draw, mos[test]).statistic for draw in simulated]))
    assert row["plcc"] == pytest.approx(np.mean([stats.pearsonr(draw, mos[test]).statistic for draw in simulated]))
    assert rows.groupby("source", sort=False)["srcc"].mean().is_monotonic_increasing


def test_without_the_sd_of_each_target_there_is_no_ceiling():
    samples, splits = tables()
    assert noise_ceilings(samples, splits, ["quality", "correspondence"]).empty
