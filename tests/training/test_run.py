"""One run against a run written out in the test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from small_benchmark import COUNT, DIM, HIGH, LOW, RECIPE, A, B, model_of, run_of, selected

from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.names import BEST_ON_TEST, LAST, TEST, TRAIN, VAL, VALIDATION
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.training.losses import gate_sparsity, total_loss
from mstclipiqa.training.run import draw_batches, predict, train_run


def test_predictions_of_a_row_do_not_depend_on_the_other_rows(data):
    model = model_of()
    torch.nn.init.ones_(model.head.alpha)
    with torch.inference_mode():
        together = predict(model, data, torch.arange(COUNT))
        alone = torch.cat([predict(model, data, torch.tensor([row])) for row in range(COUNT)])
    torch.testing.assert_close(together, alone)


def test_batches_hold_every_position_once():
    rows = torch.arange(21) + 5
    found = [own for own, _ in draw_batches(rows, replace(RECIPE, batch_size=8), torch.Generator().manual_seed(0))]
    assert [len(batch) for batch in found] == [8, 8, 5]
    assert sorted(torch.cat(found).tolist()) == list(range(5, 26))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("variant", [A, B])
def test_training_lowers_the_loss_and_ranks_unseen_images(data, roles, variant, seed):
    # a softer softmax than the recipe's, which random level embeddings saturate
    recipe = replace(RECIPE, epochs=15, learning_rate=0.02, temperature=10.0)
    rows = torch.from_numpy(np.flatnonzero(roles == TRAIN))
    model = model_of(variant, recipe, seed)

    def loss():
        with torch.inference_mode():
            return total_loss(predict(model, data, rows), data.score[rows], recipe)

    before = loss()
    run = train_run(model, data, roles, recipe, seed)
    assert loss() < before / 2
    last = selected(run, LAST)
    assert srcc(last["prediction"], last["mos"]) > 0.6


@pytest.mark.parametrize("variant", [A, B])
def test_a_run_predicts_its_test_images_in_mos_units(data, roles, variant):
    model = model_of(variant)
    run = train_run(model, data, roles, RECIPE, seed=0)
    test = np.flatnonzero(roles == TEST)
    assert set(run["selection"]) == {LAST, VALIDATION, BEST_ON_TEST}
    for selection in (LAST, VALIDATION, BEST_ON_TEST):
        rows = selected(run, selection)
        assert rows["image"].tolist() == [data.images[row] for row in test]
        np.testing.assert_array_equal(rows["mos"], data.mos[test])
        assert rows["epoch"].nunique() == 1
    with torch.inference_mode():
        score = predict(model, data, torch.from_numpy(test)).numpy()
    np.testing.assert_allclose(selected(run, LAST)["prediction"], LOW + (score - 1) * (HIGH - LOW) / 4, rtol=1e-6)


@pytest.mark.parametrize("variant", [A, B])
def test_equal_seeds_give_equal_bits_and_other_seeds_do_not(data, roles, variant):
    first = run_of(data, roles, variant, seed=3)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    pd.testing.assert_frame_equal(run_of(data, roles, variant, seed=3), first, check_exact=True)
    assert torch.equal(torch.get_rng_state(), state)
    other = selected(run_of(data, roles, variant, seed=4), LAST)
    assert not np.allclose(other["prediction"], selected(first, LAST)["prediction"])


def test_the_seed_decides_the_batches_too(data, roles):
    runs = [train_run(model_of(seed=0), data, roles, RECIPE, seed) for seed in (0, 1)]
    assert not np.allclose(*(selected(run, LAST)["prediction"] for run in runs))


def test_images_without_a_role_and_held_out_mos_have_no_effect(data, roles):
    expected = run_of(data, roles)
    idle = torch.from_numpy(np.flatnonzero([role not in (TRAIN, VAL, TEST) for role in roles]))
    held_out = torch.from_numpy(np.flatnonzero([role in (VAL, TEST) for role in roles]))
    f_c, score = data.f_c.clone(), data.score.clone()
    f_c[idle], score[idle], score[held_out] = 1e3, 1e3, -1e3
    pd.testing.assert_frame_equal(run_of(replace(data, f_c=f_c, score=score), roles), expected, check_exact=True)


@pytest.mark.parametrize("variant", [A, B])
def test_a_diverging_run_fails(data, roles, variant):
    with pytest.raises(FailedRunError, match="diverged|non-finite|constant"):
        run_of(data, roles, variant, replace(RECIPE, learning_rate=1e38))


def test_a_loss_that_is_no_number_fails_the_run(data, roles):
    f_c = data.f_c.clone()
    f_c[int(np.flatnonzero(roles == TRAIN)[0])] = torch.nan
    with pytest.raises(FailedRunError, match="loss is nan in epoch 1"):
        run_of(replace(data, f_c=f_c), roles, A)


@pytest.mark.parametrize("variant", [A, B])
def test_constant_predictions_fail_the_run(data, roles, variant):
    same = {name: torch.ones(COUNT, DIM) for name in ("f_c", "f_f")}
    same |= {"tokens": torch.ones_like(data.tokens)}
    with pytest.raises(FailedRunError, match="predictions are constant"):
        run_of(replace(data, **same), roles, variant)


# Views and the optional terms


def with_views(data, views_c, views_f):
    return replace(data, views_c=views_c, views_f=views_f)


def test_views_that_are_the_images_change_only_the_batches_drawn(data, roles):
    """Trained on V copies of the image, in batches of all images, a run is what it is without views."""
    views = [stream[:, None].repeat(1, 3, 1) for stream in (data.f_c, data.f_f)]
    recipe = replace(RECIPE, batch_size=COUNT, epochs=3)
    plain = selected(run_of(data, roles, A, recipe), LAST)
    viewed = selected(run_of(with_views(data, *views), roles, A, replace(recipe, views=3)), LAST)
    np.testing.assert_allclose(viewed["prediction"], plain["prediction"], rtol=1e-4)


def test_training_sees_the_views_and_testing_the_images(data, roles):
    recipe = replace(RECIPE, views=2)
    views = [torch.randn(COUNT, 2, DIM, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    run = run_of(with_views(data, *views), roles, A, recipe)
    assert run.equals(run_of(with_views(data, *views), roles, A, recipe))
    elsewhere = replace(data, f_c=data.f_c + torch.from_numpy((roles == TRAIN)[:, None]) * 9)
    assert run.equals(run_of(with_views(elsewhere, *views), roles, A, recipe)), "training images themselves are unseen"
    assert not run.equals(run_of(with_views(data, views[0] * 2, views[1]), roles, A, recipe))


def test_gate_sparsity_closes_gates(data, roles):
    def openness(weight):
        recipe = replace(RECIPE, gate_sparsity=weight, epochs=10)
        model = model_of(A, recipe)
        train_run(model, data, roles, recipe, 0)
        return gate_sparsity(model.fusion.gate(data.f_c, data.f_f)).mean().item()

    assert openness(100.0) < openness(0.0) / 2


def test_dropout_is_the_seeds_and_leaves_the_callers_random_numbers_alone(data, roles):
    recipe = replace(RECIPE, regression_dropout=0.5)
    torch.manual_seed(5)
    first = run_of(data, roles, B, recipe)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    torch.manual_seed(6)
    assert first.equals(run_of(data, roles, B, recipe))
    assert not first.equals(run_of(data, roles, B, RECIPE))
