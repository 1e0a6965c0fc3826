from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_benchmark import HIGH, LOW, RECIPE, run_of, selected

from mstclipiqa.base.names import BEST_ON_TEST, LAST, TEST, TRAIN, VAL, VALIDATION
from mstclipiqa.evaluation.metrics import srcc


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_selections_are_the_epochs_they_say(data, roles, seed, falling):
    """Training for k epochs ends where training for longer is after epoch k, and with test and validation
    images exchanged the same run predicts the validation images. Of negative SRCC, too, the greatest is best."""
    recipe = replace(RECIPE, learning_rate=0.05, epochs=6)
    if falling:
        data = replace(data, mos=LOW + HIGH - data.mos)
    exchanged = np.where(roles == VAL, TEST, np.where(roles == TEST, VAL, roles))
    ends, merits = [], {BEST_ON_TEST: [], VALIDATION: []}
    for epochs in range(1, recipe.epochs + 1):
        for chosen, selection in ((roles, BEST_ON_TEST), (exchanged, VALIDATION)):
            end = selected(run_of(data, chosen, recipe=replace(recipe, epochs=epochs), seed=seed), LAST)
            assert (end["epoch"] == epochs).all()
            merits[selection].append(srcc(end["prediction"], end["mos"]))
            if selection == BEST_ON_TEST:
                ends.append(end)
    run = run_of(data, roles, recipe=recipe, seed=seed)
    for selection, epoch in (
        (LAST, recipe.epochs),
        *((selection, 1 + int(np.argmax(merits[selection]))) for selection in (VALIDATION, BEST_ON_TEST)),
    ):
        rows = selected(run, selection)
        assert (rows["epoch"] == epoch).all()
        assert rows["prediction"].equals(ends[epoch - 1]["prediction"])
    best = selected(run, BEST_ON_TEST)
    assert srcc(best["prediction"], best["mos"]) == max(merits[BEST_ON_TEST])


def test_the_three_selections_differ_somewhere(data, roles):
    """Or the test above would compare an epoch with itself."""
    recipe = replace(RECIPE, learning_rate=0.05, epochs=6)
    epochs = [run_of(data, roles, recipe=recipe, seed=seed).groupby("selection")["epoch"].first() for seed in range(4)]
    for one, other in ((LAST, VALIDATION), (LAST, BEST_ON_TEST), (VALIDATION, BEST_ON_TEST)):
        assert any(found[one] != found[other] for found in epochs)


def test_test_mos_has_no_part_in_the_choice_on_validation(data, roles):
    recipe = replace(RECIPE, learning_rate=0.05, epochs=6)
    mos = np.where(roles == TEST, data.mos[::-1], data.mos)
    for seed in range(4):
        expected = selected(run_of(data, roles, recipe=recipe, seed=seed), VALIDATION)
        found = selected(run_of(replace(data, mos=mos), roles, recipe=recipe, seed=seed), VALIDATION)
        pd.testing.assert_frame_equal(found.drop(columns="mos"), expected.drop(columns="mos"), check_exact=True)


def test_without_validation_images_there_is_no_choice_on_validation(data, roles):
    run = run_of(data, np.where(roles == VAL, TRAIN, roles))
    assert set(run["selection"]) == {LAST, BEST_ON_TEST}
