from dataclasses import replace

import numpy as np
import pytest
import torch
from small_benchmark import COUNT, HIGH, LOW, RECIPE, RECIPES, A, model_of, run_of, selected

from mstclipiqa.base.names import LAST, TEST, TRAIN
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.training.dataset import to_mos
from mstclipiqa.training.losses import total_loss
from mstclipiqa.training.optimiser import Adam, learning_rate
from mstclipiqa.training.run import predict, train_run


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


def test_gradients_and_parameters_may_lie_in_memory_in_any_way():
    """A convolution's on a GPU have their channels last; a gradient may be a transposed view."""
    torch.manual_seed(0)
    start = [torch.randn(5, 3, 2, 2).to(memory_format=torch.channels_last), torch.randn(4, 6)]
    gradients = [torch.randn(5, 3, 2, 2), torch.randn(6, 4).T]
    expected = [value.clone().requires_grad_() for value in start]
    reference = torch.optim.Adam(expected, lr=0.1, weight_decay=0.01)
    own = [value.clone().requires_grad_() for value in start]
    optimiser = Adam(own, 0.01)
    for _ in range(3):
        for parameter, gradient in zip(expected, gradients, strict=True):
            parameter.grad = gradient.clone()
        reference.step()
        optimiser.update(gradients, 0.1)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-6)


def test_a_parameter_that_the_loss_does_not_depend_on_stays_as_it_is():
    """Also by weight decay, and where it has a gradient in some steps alone."""
    expected = [torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)]
    own = [value.detach().clone().requires_grad_() for value in expected]
    reference, optimiser = torch.optim.Adam(expected, lr=0.1, weight_decay=0.01), Adam(own, 0.01)
    for gradients in ([torch.ones(2), None], [torch.ones(2), torch.ones(3)], [None, torch.ones(3)], [None, None]):
        for parameter, twin, gradient in zip(expected, own, gradients, strict=True):
            parameter.grad, twin.grad = gradient, gradient
        reference.step()
        optimiser.step(0.1)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-6)
