"""The losses by hand, and one run against a run written out in the test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from small_benchmark import (
    COUNT,
    DIM,
    HIGH,
    LOW,
    RANGES,
    RECIPE,
    RECIPES,
    WIDTH,
    A,
    B,
    make_levels,
    make_samples,
    make_stores,
    model_of,
)

from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.names import BEST_ON_TEST, LAST, TEST, TRAIN, VAL, VALIDATION
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.encoders.stores import ImageFeatures
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.training.dataset import assemble_dataset, to_mos, to_score
from mstclipiqa.training.losses import gate_sparsity, ranking_loss, total_loss
from mstclipiqa.training.optimiser import learning_rate
from mstclipiqa.training.run import draw_batches, predict, train_run


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def samples():
    return make_samples()


@pytest.fixture
def stores(samples):
    return make_stores(samples)


@pytest.fixture
def data(samples, stores):
    return assemble_dataset(samples, RANGES, "quality", **stores)


@pytest.fixture
def levels():
    return make_levels()


@pytest.fixture
def splits(samples):
    return split_samples(samples, ["lab-seed1", "grouped2"])[0]


@pytest.fixture
def roles():
    """Ten images without a role, the others in a fixed mixture of train, val and test."""
    roles = np.array([TRAIN, TEST, TRAIN, VAL, TRAIN] * (COUNT // 5), dtype=object)
    roles[:10] = np.nan
    return roles


def run_of(data, roles, variant=B, recipe=RECIPE, seed=0):
    return train_run(model_of(variant, recipe, seed), data, roles, recipe, seed)


def selected(run, selection):
    return run[run["selection"] == selection].reset_index(drop=True)


# Scores and losses


def test_the_nominal_range_maps_to_the_five_levels_and_back():
    np.testing.assert_allclose(to_score(np.array([20.0, 35.0, 50.0, 80.0]), 20, 80), [1, 2, 3, 5])
    mos = np.random.default_rng(0).uniform(-3, 9, 50)
    np.testing.assert_allclose(to_mos(to_score(mos, 0, 5), 0, 5), mos)
    np.testing.assert_allclose(to_score(to_mos(mos, 1, 100), 1, 100), mos)


def ranking_by_hand(p, q, margin):
    pairs = [(i, j) for i in range(len(p)) for j in range(len(p)) if q[i] != q[j]]
    terms = [max(0.0, -np.sign(q[i] - q[j]) * (p[i] - p[j]) + margin) for i, j in pairs]
    return np.mean(terms) if terms else 0.0


@pytest.mark.parametrize("margin", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("size", [1, 2, 8])
def test_losses_are_the_papers_equations(margin, size):
    rng = np.random.default_rng(size)
    recipe = replace(RECIPE, ranking_weight=0.3, ranking_margin=margin)
    for _ in range(5):
        p, q = rng.uniform(1, 5, size), rng.integers(1, 5, size).astype(float)  # with ties
        ranking = ranking_by_hand(p, q, margin)
        p_, q_ = torch.from_numpy(p), torch.from_numpy(q)
        assert ranking_loss(p_, q_, margin).item() == pytest.approx(ranking, abs=1e-12)
        assert total_loss(p_, q_, recipe).item() == pytest.approx(((p - q) ** 2).mean() + 0.3 * ranking, abs=1e-12)


def test_ranking_costs_nothing_in_the_right_order_and_the_distance_in_the_wrong_one():
    q = torch.tensor([1.0, 2.0, 4.0])
    assert ranking_loss(q, q, margin=1.0) == 0
    assert ranking_loss(-q, q, margin=0.0).item() == pytest.approx((1 + 3 + 2) / 3)


def test_a_batch_of_equal_scores_is_not_ranked():
    p = torch.tensor([1.0, 4.0], requires_grad=True)
    loss = ranking_loss(p, torch.full((2,), 3.0), margin=0.1)
    loss.backward()
    assert loss == 0
    assert (p.grad == 0).all()


# The dataset


def test_a_dataset_joins_every_sample_with_its_own_features(samples, stores, data):
    assert data.images == samples["image"].tolist()
    np.testing.assert_array_equal(data.mos, samples["quality"])
    np.testing.assert_allclose(data.score, 1 + 4 * (samples["quality"] - LOW) / (HIGH - LOW), rtol=1e-6)
    np.testing.assert_array_equal(data.f_c, stores["coarse"].features)
    np.testing.assert_array_equal(data.f_f, stores["fine"].features)
    rows = [41, 0, 7, 7, 59]
    tokens, padding = data.prompts(torch.tensor(rows))
    texts = stores["prompts"]
    expected = []
    for row in rows:
        text = texts.index[samples["prompt"][row]]
        expected.append(texts.tokens[texts.offsets[text] : texts.offsets[text + 1]])
    assert tokens.shape == (len(rows), max(map(len, expected)), WIDTH)
    for states, pad, wanted in zip(tokens, padding, expected, strict=True):
        np.testing.assert_array_equal(states[~pad], wanted)
        assert pad[: len(wanted)].logical_not().all()


def test_predictions_of_a_row_do_not_depend_on_the_other_rows(data):
    model = model_of()
    torch.nn.init.ones_(model.head.alpha)
    with torch.inference_mode():
        together = predict(model, data, torch.arange(COUNT))
        alone = torch.cat([predict(model, data, torch.tensor([row])) for row in range(COUNT)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda samples, stores: {"target": "authenticity"},
            "toy has no authenticity MOS; it has quality, correspondence",
        ),
        (lambda samples, stores: {"samples": samples[::-1]}, "coarse features are of other images"),
        (lambda samples, stores: {"samples": samples.head(50)}, "coarse features are of other images"),
        (
            lambda samples, stores: {"fine": replace(stores["fine"], metadata={"sha256": ["changed"] * COUNT})},
            "fine features are of other images",
        ),
        (
            lambda samples, stores: {"samples": samples.assign(prompt=["never encoded"] + ["prompt 1"] * (COUNT - 1))},
            "1 prompts are not encoded, e.g. 'never encoded'",
        ),
        (
            lambda samples, stores: {"fine": replace(stores["fine"], features=np.zeros((COUNT, DIM + 1)))},
            "differ in size",
        ),
    ],
)
def test_stores_that_do_not_fit_are_refused(samples, stores, change, message):
    arguments = {"samples": samples, "ranges": RANGES, "target": "quality", **stores}
    with pytest.raises(InputError, match=message) as error:
        assemble_dataset(**arguments | change(samples, stores))
    assert "\n" not in str(error.value)


# One run


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


def test_training_is_adam_with_the_decay_in_the_gradient(data, roles):
    """Against Adam as its paper writes it, over three steps of one batch each."""
    recipe = replace(RECIPE, epochs=3, batch_size=COUNT, weight_decay=0.5)
    tables = {name: getattr(data, name).double() for name in ("f_c", "f_f", "tokens", "score")}
    data = replace(data, **tables)
    model, reference = model_of(A).double(), model_of(A).double()
    train_run(model, data, roles, recipe, seed=0)

    rows = torch.from_numpy(np.flatnonzero(roles == TRAIN))
    weights = [weight for weight in reference.parameters() if weight.requires_grad]
    m = [torch.zeros_like(weight) for weight in weights]
    v = [torch.zeros_like(weight) for weight in weights]
    for step in (1, 2, 3):
        loss = total_loss(predict(reference, data, rows), data.score[rows], recipe)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for k, weight in enumerate(weights):
                g = gradients[k] + recipe.weight_decay * weight
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g**2
                m_hat, v_hat = m[k] / (1 - 0.9**step), v[k] / (1 - 0.999**step)
                weight -= recipe.learning_rate * m_hat / (v_hat.sqrt() + 1e-8)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    torch.testing.assert_close(trained, weights, rtol=0, atol=1e-8)


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


# Schedules, views and the optional term


def test_the_appendix_warms_up_and_falls_along_a_cosine():
    recipe = load_recipe(RECIPES / "appendix.yaml")
    rates = [learning_rate(recipe, epoch) for epoch in range(1, 51)]
    assert rates[:5] == pytest.approx([2e-5, 4e-5, 6e-5, 8e-5, 1e-4])
    falling = 1e-6 + (1e-4 - 1e-6) * (1 + np.cos(np.pi * np.arange(1, 46) / 45)) / 2
    assert rates[5:] == pytest.approx(falling.tolist())
    assert rates[-1] == pytest.approx(1e-6)


def test_a_constant_schedule_is_constant():
    assert {learning_rate(RECIPE, epoch) for epoch in range(1, 21)} == {RECIPE.learning_rate}


def test_training_follows_the_schedule(data, roles):
    """Four epochs of a falling rate against the same written out, with torch's own scheduler."""
    recipe = replace(RECIPE, schedule="cosine", final_learning_rate=1e-3)
    model, generator = model_of(A, recipe), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=recipe.epochs, eta_min=1e-3)
    train = torch.from_numpy(np.flatnonzero(roles == TRAIN))
    for _ in range(recipe.epochs):
        scheduler.last_epoch += 1  # before the epoch: the last epoch is the one at the final rate
        optimiser.param_groups[0]["lr"] = scheduler._get_closed_form_lr()[0]
        for batch in torch.randperm(len(train), generator=generator).split(recipe.batch_size):
            optimiser.zero_grad()
            total_loss(predict(model, data, train[batch]), data.score[train[batch]], recipe).backward()
            optimiser.step()
    test = torch.from_numpy(np.flatnonzero(roles == TEST))
    expected = to_mos(predict(model, data, test).detach().numpy(), LOW, HIGH)
    run = selected(run_of(data, roles, A, recipe), LAST)
    np.testing.assert_allclose(run["prediction"], expected, rtol=1e-4)


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


def test_views_of_other_images_or_another_encoder_are_refused(samples, stores):
    coarse = stores["coarse"]
    coarse.metadata["encoder"] = stores["fine"].metadata["encoder"] = {"label": "toy"}
    views = ImageFeatures(np.zeros((COUNT, 2, DIM), np.float32), coarse.images, dict(coarse.metadata))
    assert assemble_dataset(samples, RANGES, "quality", **stores, coarse_views=views).views_c.shape == (COUNT, 2, DIM)
    for wrong, message in (
        (replace(views, features=coarse.features), "coarse views are no augmented views"),
        (replace(views, metadata={**views.metadata, "encoder": {"label": "other"}}), "by the encoder of the features"),
        (replace(views, images=views.images[::-1]), "coarse views are of other images"),
    ):
        with pytest.raises(InputError, match=message):
            assemble_dataset(samples, RANGES, "quality", **stores, coarse_views=wrong)


def test_gate_sparsity_is_the_mean_distance_to_a_closed_gate():
    gate = torch.tensor([[0.1, 0.5], [0.8, 1.0]])
    assert gate_sparsity(gate).tolist() == pytest.approx([(0.1 + 0.5) / 2, (0.2 + 0) / 2])


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
