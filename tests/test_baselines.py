"""Baselines: ridge against the augmented least-squares problem, and on splits that keep test images out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.baselines import PENALTY, SOURCES, ridge, ridge_baselines
from mstclipiqa.errors import InputError
from mstclipiqa.features import ImageFeatures

N, D = 60, 5


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(3, [1, 2, 3, 4, 5], (N, D))


def test_ridge_is_least_squares_with_the_penalty_as_further_rows(features):
    mos = np.random.default_rng(1).normal(size=N)
    train, test = features[:40], features[40:]
    x = (train - train.mean(0)) / train.std(0)
    augmented = np.vstack([x, np.sqrt(7.0) * np.eye(D)])
    weights, *_ = np.linalg.lstsq(augmented, np.concatenate([mos[:40] - mos[:40].mean(), np.zeros(D)]))
    expected = (test - train.mean(0)) / train.std(0) @ weights + mos[:40].mean()
    np.testing.assert_allclose(ridge(train, mos[:40], test, penalty=7.0), expected, rtol=1e-10)


def test_units_and_constant_features_do_not_matter(features):
    mos = features @ np.arange(D)
    plain = ridge(features[:40], mos[:40], features[40:])
    scaled = features * 10.0 ** np.arange(D)
    np.testing.assert_allclose(ridge(scaled[:40], mos[:40], scaled[40:]), plain)
    constant = np.column_stack([features, np.full(N, 4.0)])
    np.testing.assert_allclose(ridge(constant[:40], mos[:40], constant[40:]), plain)


def test_a_large_penalty_gives_the_mean_and_none_the_truth(features):
    mos = features @ np.arange(D) + 2
    np.testing.assert_allclose(ridge(features[:40], mos[:40], features[40:], 1e-9), mos[40:], rtol=1e-6)
    np.testing.assert_allclose(ridge(features[:40], mos[:40], features[40:], 1e15), mos[:40].mean(), rtol=1e-6)
    assert PENALTY == 300


@pytest.fixture
def benchmark(features):
    images = [f"{row}.png" for row in range(N)]
    samples = pd.DataFrame({"image": images, "quality": features @ np.arange(D)})
    roles = np.where(np.arange(N) % 4, "train", "test")
    splits = pd.concat(
        [
            pd.DataFrame({"protocol": "grouped2", "split": split, "image": images, "role": np.roll(roles, split)})
            for split in range(2)
        ]
    )
    return samples, splits


def stores(samples, **tables):
    noise = np.random.default_rng(2).normal(size=(N, 9))
    given = dict.fromkeys(("coarse", "fine", "statistics"), noise) | tables
    return {name: ImageFeatures(table.astype(np.float32), list(samples["image"]), {}) for name, table in given.items()}


def test_every_source_target_and_split_has_a_row(benchmark, features):
    samples, splits = benchmark
    samples["authenticity"] = -samples["quality"]
    rows = ridge_baselines(samples, splits, stores(samples), ["quality", "authenticity"])
    assert len(rows) == len(SOURCES) * 2 * 2 and not rows.duplicated(["source", "target", "protocol", "split"]).any()
    assert set(rows["n"]) == {15} and set(rows["protocol"]) == {"grouped2"}


def test_each_source_reads_its_own_columns(benchmark, features):
    """The truth is put into one place after another; noise is everywhere else."""
    samples, splits = benchmark
    colours = np.random.default_rng(3).normal(size=(N, 9))
    colours[:, [0, 3, 6]] = features[:, 2:]
    cases = {
        "coarse": (stores(samples, coarse=features), {"f_c", "f_c and f_f"}),
        "fine": (stores(samples, fine=features), {"f_f", "f_c and f_f"}),
        "colour": (stores(samples, statistics=colours), {"image statistics", "mean colour"}),
        "other statistics": (stores(samples, statistics=np.roll(colours, 1, axis=1)), {"image statistics"}),
    }
    for case, (given, readers) in cases.items():
        scores = ridge_baselines(samples, splits, given, ["quality"]).groupby("source")["srcc"].min()
        assert {source for source in SOURCES if scores[source] > 0.75} == readers, (case, scores)


def test_test_images_are_not_trained_on(benchmark):
    """Of pure noise there is nothing to read, however many columns it has."""
    samples, splits = benchmark
    noise = np.random.default_rng(2).normal(size=(N, 200))
    rows = ridge_baselines(samples, splits, stores(samples, coarse=noise), ["quality"])
    assert (rows["srcc"].abs() < 0.7).all()


def test_scores_are_those_of_scipy(benchmark, features):
    samples, splits = benchmark
    row = (
        ridge_baselines(samples, splits, stores(samples, fine=features), ["quality"])
        .set_index(["source", "split"])
        .loc[("f_f", 0)]
    )
    test = splits.query("split == 0")["role"].to_numpy() == "test"
    mos = samples["quality"].to_numpy()
    single = features.astype(np.float32).astype(float)
    predicted = ridge(single[~test], mos[~test], single[test])
    assert row["srcc"] == pytest.approx(stats.spearmanr(predicted, mos[test]).statistic)
    assert row["plcc"] == pytest.approx(stats.pearsonr(predicted, mos[test]).statistic)


def test_stores_of_other_images_are_named(benchmark):
    samples, splits = benchmark
    given = stores(samples)
    given["fine"] = ImageFeatures(given["fine"].features, ["other.png"] * N, {})
    with pytest.raises(InputError, match="fine features are of other images"):
        ridge_baselines(samples, splits, given, ["quality"])
