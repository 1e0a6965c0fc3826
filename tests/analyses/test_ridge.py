"""Ridge against the augmented least-squares problem."""

import numpy as np

from mstclipiqa.analyses.ridge import PENALTY, ridge

N, D = 60, 5


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
