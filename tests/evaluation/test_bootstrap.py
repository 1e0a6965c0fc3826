"""Resampling, against scipy, formulas written out and planted cases."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.evaluation.bootstrap import Resampled, bootstrap_runs, clusters_of, mean_over_runs


def samples_of(prompts: list[str], benchmark: str = "agiqa-3k") -> pd.DataFrame:
    """Images with these prompts, no two alike."""
    names = [f"{row}.png" for row in range(len(prompts))]
    return pd.DataFrame({"benchmark": benchmark, "image": names, "sha256": names, "prompt_group": prompts})


def test_resampled_correlations_are_those_of_the_repeated_values():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=60).round(1), rng.normal(size=60)  # ties in x
    y[:20] = x[:20]
    counts = rng.poisson(1, (60, 25))
    srcc, plcc = Resampled(y, counts).correlate(x)
    for r in range(25):
        repeated = np.repeat(x, counts[:, r]), np.repeat(y, counts[:, r])
        assert srcc[r] == pytest.approx(stats.spearmanr(*repeated).statistic, abs=1e-12)
        assert plcc[r] == pytest.approx(stats.pearsonr(*repeated).statistic, abs=1e-12)


def test_a_replicate_of_equal_values_or_none_is_undefined():
    counts = np.array([[3, 1, 0], [2, 1, 0], [0, 1, 0]])
    srcc, plcc = Resampled(np.array([1.0, 2.0, 3.0]), counts).correlate(np.array([0.1, 0.1, 0.7]))
    assert np.isnan(srcc).tolist() == np.isnan(plcc).tolist() == [True, False, True]


def test_resampling_draws_whole_prompts():
    """Fifteen prompts of 20 images that share their error: image by image, it would look like 300 opinions."""
    rng = np.random.default_rng(3)
    prompt = np.repeat(np.arange(15), 20)
    by_prompt = samples_of([f"prompt {number}" for number in prompt])
    without = by_prompt.assign(prompt_group="")
    mos = rng.normal(size=15)[prompt] + 0.3 * rng.normal(size=300)
    run = pd.DataFrame({"row": np.arange(300), "prediction": mos + rng.normal(size=15)[prompt], "mos": mos})
    ((of_prompts,), _), ((of_images,), _) = (bootstrap_runs([run], samples, 400) for samples in (by_prompt, without))
    assert of_prompts.std() > 2 * of_images.std()

    # Two images of one prompt, of opposite order: drawn together, every replicate has SRCC -1 or nothing.
    samples = samples_of(list("aabbccdd"))
    pair = pd.DataFrame({"row": [2, 3], "prediction": [1.0, 2.0], "mos": [2.0, 1.0]})
    of_prompts = bootstrap_runs([pair], samples, 400)[0][0]
    of_images = bootstrap_runs([pair], samples.assign(prompt_group=""), 400)[0][0]
    assert set(of_prompts[~np.isnan(of_prompts)]) == {-1}
    # No prompt b in (3/4)^4 of the replicates; not both images in 1 - (1 - 2 (7/8)^8 + (6/8)^8).
    assert np.isnan(of_prompts).mean() == pytest.approx(0.75**4, abs=0.08)
    assert np.isnan(of_images).mean() == pytest.approx(2 * 0.875**8 - 0.75**8, abs=0.08)


def test_images_without_a_prompt_have_one_each():
    clusters = clusters_of(samples_of(["a", "", "a", ""]))
    assert clusters[0] == clusters[2] and len(set(clusters)) == 3


def test_nearly_identical_prompts_are_drawn_together():
    assert len(set(clusters_of(samples_of(["a red cat on a mat", "a red cat on a rug", "snow"])))) == 2
    composed = ["cat, red, mat", "cat, blue, mat", "cat, blue, rug", "dog, red, mat"]  # by subject
    assert len(set(clusters_of(samples_of(composed, "agiqa-1k")))) == 2


def test_a_run_without_images_takes_no_part_and_too_many_leave_no_interval():
    drawn = np.array([[0.5, np.nan, 0.7, 0.9], [0.3, 0.4, 0.5, 0.7]])
    np.testing.assert_allclose(mean_over_runs(drawn), [0.4, 0.4, 0.6, 0.8])
    drawn[1, :2] = np.nan
    assert not len(mean_over_runs(drawn))
