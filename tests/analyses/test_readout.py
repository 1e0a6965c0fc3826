"""The readout against brute force."""

import numpy as np
import pandas as pd
import pytest
import torch
from probing import DIM, noise

from mstclipiqa.analyses.probe_images import FOLDS, SEMANTIC
from mstclipiqa.analyses.readout import Ridge, balanced_accuracy, read_out


def one_hot(values: pd.Series) -> torch.Tensor:
    return torch.tensor(pd.get_dummies(values).to_numpy(float))


@pytest.mark.parametrize("penalty", [0.5, 50.0])
def test_left_out_residuals_are_those_of_refitting_without_each_group(penalty: float):
    train, targets = noise(24, 5), noise(24, 2, seed=1)
    ridge = Ridge(train, group=4)
    x = np.column_stack([np.ones(24), ((train - train.mean(0)) / train.std(0, correction=0)).numpy()])
    # an intercept without penalty, and the penalty as further rows of the least-squares problem
    rows = np.sqrt(penalty) * np.eye(6)[1:]
    for start in range(0, 24, 4):
        out = np.arange(start, start + 4)
        kept = np.setdiff1d(np.arange(24), out)
        coefficients, *_ = np.linalg.lstsq(
            np.vstack([x[kept], rows]), np.vstack([targets.numpy()[kept], np.zeros((5, 2))])
        )
        expected = targets.numpy()[out] - x[out] @ coefficients
        np.testing.assert_allclose(ridge.left_out(targets, penalty)[out].numpy(), expected, atol=1e-10)


def test_prediction_is_ridge_under_the_penalty_that_generalises():
    train, test, weights = noise(60, 5), noise(9, 5, seed=1), noise(5, 2, seed=2)
    ridge = Ridge(train, group=3)
    np.testing.assert_allclose(ridge.predict(train @ weights + 7, test), test @ weights + 7, rtol=0.02, atol=0.02)
    unrelated = noise(60, 1, seed=3)
    assert (ridge.predict(unrelated, test) - unrelated.mean()).abs().max() < 0.2
    constant = Ridge(torch.cat([train, torch.full((60, 1), 4.0)], 1), group=3)
    both = constant.predict(train @ weights, torch.cat([test, torch.full((9, 1), 4.0)], 1))
    np.testing.assert_allclose(both, ridge.predict(train @ weights, test))


def test_balanced_accuracy_weighs_classes_alike():
    predicted, true = np.array(list("aaab")), np.array(list("aabb"))
    assert balanced_accuracy(predicted, true) == 0.75
    assert balanced_accuracy(np.array(list("aaaa")), np.array(list("aaab"))) == 0.5


def test_readout_finds_what_the_features_hold_and_nothing_else(images: pd.DataFrame):
    known = torch.cat([one_hot(images["object"]), torch.tensor(images["strength"].tolist()).double()[:, None]], 1)
    table = read_out({"known": known, "noise": noise(len(images), DIM)}, images)
    values = table.groupby(["features", "factor"])["value"].mean()
    assert values["known", "object"] == 1
    assert values["known", "strength of any"] > 0.99 and values["known", "strength of blur"] > 0.99
    chance = table.groupby("factor")["chance"].first()
    assert (chance["object"], chance["position"], chance["which artefact"], chance["strength of any"]) == (
        1 / 8, 1 / 4, 1 / 11, 0,
    )  # fmt: skip
    for name in ("style", "background", "count", "colour"):
        assert abs(values["known", name] - chance[name]) < 0.1
        assert abs(values["noise", name] - chance[name]) < 0.1
    assert (table.groupby(["features", "factor"])["split"].nunique() == FOLDS).all()
    assert set(table.loc[table["kind"] == "semantic", "factor"]) == set(SEMANTIC)


def test_knowing_the_training_scenes_by_heart_helps_nothing(images: pd.DataFrame):
    """Were a scene in both, its other renderings would give it away."""
    table = read_out({"scene": one_hot(images["scene"]) + 1e-3 * noise(len(images), images["scene"].nunique())}, images)
    of_scene = table[table["factor"].isin(["object", "style", "background"])]
    assert (of_scene.groupby("factor")["value"].mean() < 2 * of_scene.groupby("factor")["chance"].first()).all()
