"""Ridge against the augmented least-squares problem, and its penalty against folds written out."""

import numpy as np
import pandas as pd
import pytest

from mstclipiqa.analyses.ridge import (
    FOLDS,
    PENALTIES,
    Ridge,
    find_groupings,
    inner_folds,
    ridge_of_split,
)

N, D = 60, 5


def solve(train, mos, test, penalty):
    """Ridge as least squares, with the penalty as further rows."""
    x = (train - train.mean(0)) / train.std(0)
    augmented = np.vstack([x, np.sqrt(penalty) * np.eye(x.shape[1])])
    weights, *_ = np.linalg.lstsq(augmented, np.concatenate([mos - mos.mean(), np.zeros(x.shape[1])]))
    return (test - train.mean(0)) / train.std(0) @ weights + mos.mean()


@pytest.mark.parametrize("penalty", [0.1, 7.0, 1e5])
def test_ridge_is_least_squares_with_the_penalty_as_further_rows(features, penalty):
    mos = np.random.default_rng(1).normal(size=N)
    expected = solve(features[:40], mos[:40], features[40:], penalty)
    np.testing.assert_allclose(Ridge(features[:40]).predict(mos[:40], features[40:], penalty), expected, rtol=1e-10)


def test_more_features_than_images_are_fitted_too():
    features = np.random.default_rng(2).normal(size=(30, 80))
    mos = np.random.default_rng(3).normal(size=30)
    expected = solve(features[:20], mos[:20], features[20:], 3.0)
    np.testing.assert_allclose(Ridge(features[:20]).predict(mos[:20], features[20:], 3.0), expected, rtol=1e-8)


def test_units_and_constant_features_do_not_matter(features):
    mos = features @ np.arange(D)
    plain = Ridge(features[:40]).predict(mos[:40], features[40:], 30.0)
    scaled = features * 10.0 ** np.arange(D)
    np.testing.assert_allclose(Ridge(scaled[:40]).predict(mos[:40], scaled[40:], 30.0), plain)
    constant = np.column_stack([features, np.full(N, 4.0)])
    np.testing.assert_allclose(Ridge(constant[:40]).predict(mos[:40], constant[40:], 30.0), plain)


@pytest.mark.parametrize("width", [5, 60])
def test_a_feature_that_only_one_inner_fold_has_moves_no_penalty(width):
    """Without that fold it is constant, and rounding must not make it a feature of the others."""
    rng = np.random.default_rng(width)
    features, mos = rng.normal(size=(40, width)), rng.normal(size=40)
    alone = np.where(inner_folds(np.arange(40)) == 2, rng.normal(size=40), 0.1)[:, None]
    errors = np.zeros(len(PENALTIES))
    for fold in range(FOLDS):
        out = inner_folds(np.arange(40)) == fold
        both = features if fold == 2 else np.hstack([features, alone])
        for number, penalty in enumerate(PENALTIES):
            predicted = solve(both[~out], mos[~out], both[out], penalty)
            errors[number] += np.square(predicted - mos[out]).sum()
    assert Ridge(np.hstack([features, alone])).choose_penalty(mos) == PENALTIES[errors.argmin()]


@pytest.mark.parametrize("images", [25, 31, 45, 60])
def test_folds_share_their_sums_also_where_some_have_fewer_images_than_features(images):
    """With 30 features, folds of 25, 31, 45 and 60 images: none has its own sums, the whole alone, folds too."""
    rng = np.random.default_rng(images)
    features = rng.normal(size=(images + 5, 30)) * 10.0 ** rng.uniform(-3, 3, 30) + 10
    features[0, 3] = 1e5  # moves the mean of all, and is in one fold alone
    mos = rng.normal(size=images)
    train, folds = features[:images], inner_folds(np.arange(images))
    errors = np.zeros(len(PENALTIES))
    for fold in range(FOLDS):
        out = folds == fold
        predicted = [solve(train[~out], mos[~out], train[out], penalty) for penalty in PENALTIES]
        errors += ((np.array(predicted) - mos[out]) ** 2).sum(1)
        others = next(others for left_out, others in Ridge(train)._inner if (left_out == out).all())
        scaled = (train[out] - train.mean(0)) / train.std(0)
        np.testing.assert_allclose(others.predict(mos[~out], scaled, PENALTIES), np.transpose(predicted), rtol=1e-6)
    assert Ridge(train).choose_penalty(mos) == PENALTIES[int(errors.argmin())]


def test_a_large_penalty_gives_the_mean_and_none_the_truth(features):
    mos = features @ np.arange(D) + 2
    np.testing.assert_allclose(Ridge(features[:40]).predict(mos[:40], features[40:], 1e-9), mos[40:], rtol=1e-6)
    np.testing.assert_allclose(Ridge(features[:40]).predict(mos[:40], features[40:], 1e15), mos[:40].mean(), rtol=1e-6)


# The penalty


@pytest.mark.parametrize("noise", [0.1, 3.0, 30.0])
def test_the_penalty_has_the_least_squared_error_on_left_out_images(features, noise):
    mos = features @ np.arange(D) + noise * np.random.default_rng(4).normal(size=N)
    folds = inner_folds(np.arange(N))
    errors = []
    for penalty in PENALTIES:
        predicted = np.empty(N)
        for fold in range(FOLDS):
            out = folds == fold
            predicted[out] = solve(features[~out], mos[~out], features[out], penalty)
        errors.append(np.mean((predicted - mos) ** 2))
    assert Ridge(features).choose_penalty(mos) == PENALTIES[int(np.argmin(errors))]


def test_clean_mos_take_a_small_penalty_and_noise_a_large_one(features):
    assert Ridge(features).choose_penalty(features @ np.arange(D)) == PENALTIES[0]
    assert Ridge(features).choose_penalty(np.random.default_rng(5).normal(size=N)) > 300


def test_inner_folds_part_no_group_and_are_of_nearly_one_size():
    groups = np.random.default_rng(6).integers(0, 17, 300)
    folds = inner_folds(groups)
    assert set(folds) == set(range(FOLDS))
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    assert np.ptp(np.bincount(folds)) <= np.bincount(groups).max()
    np.testing.assert_array_equal(folds, inner_folds(groups))
    assert set(inner_folds(np.array([7, 7, 3]))) == {0, 1}


def test_what_groups_share_is_not_taken_for_what_features_tell():
    """Features name the group, and MOS are the group's own: of an unseen group they tell nothing. Only folds by group
    see that."""
    rng = np.random.default_rng(7)
    groups = np.repeat(np.arange(20), 10)
    features = rng.normal(size=(20, 30))[groups] + 0.05 * rng.normal(size=(200, 30))
    mos = rng.normal(size=20)[groups]
    assert Ridge(features).choose_penalty(mos) < 10 < Ridge(features, groups).choose_penalty(mos)


def test_inner_folds_keep_whole_what_the_split_does():
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(24), 10)
    features = rng.normal(size=(24, 30))[groups] + 0.05 * rng.normal(size=(240, 30))
    mos = rng.normal(size=24)[groups]
    by_group, by_image = groups < 20, np.arange(240) % 6 > 0
    other = np.arange(240) % 2
    for found in ([groups], [other, groups]):
        expected = Ridge(features[by_group], groups[by_group]).choose_penalty(mos[by_group])
        assert ridge_of_split(features, by_group, ~by_group, found).choose_penalty(mos[by_group]) == expected > 10
        expected = Ridge(features[by_image]).choose_penalty(mos[by_image])
        assert ridge_of_split(features, by_image, ~by_image, found).choose_penalty(mos[by_image]) == expected < 10


def test_groupings_are_clusters_of_like_prompts_and_generators():
    prompts = ["a red fox", "a red fox", "two blue whales", "a chair"]
    samples = pd.DataFrame({"benchmark": "toy", "image": list("abcd"), "sha256": list("wxyz"), "prompt_group": prompts})
    clusters, generators = find_groupings(samples.assign(generator=["one", "two", "one", "one"]))
    assert clusters[0] == clusters[1] and len(set(clusters)) == 3
    assert list(generators) == [0, 1, 0, 0]
