"""Runs stacked, as on a GPU, here on the CPU."""

import contextlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy
import torch
from small_benchmark import COUNT, DIM, RECIPE, A, B

from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.names import LEVELS, TRAIN
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.build import build_model
from mstclipiqa.model.variants import VARIANTS
from mstclipiqa.training.dataset import level_embeddings
from mstclipiqa.training.run import Trainer, train_run
from mstclipiqa.training.stacked import (
    EVALUATED,
    WARM_UP,
    Replayed,
    Stack,
    can_stack,
    centred_ranks,
    correlate,
    train_stacked,
)

STACKABLE = {
    "released_code": RECIPE,
    "main_text": replace(RECIPE, learnable_levels=True, learnable_temperature=False, gate_sparsity=0.1),
    "appendix": replace(RECIPE, schedule="cosine", warm_up_epochs=1, projection_bias=False, attention_norm=True,
                        regression_hidden=4, regression_skip=False, regression_dropout=0.3, views=2),
}  # fmt: skip


ONES = torch.ones(len(LEVELS), DIM)
STACKED = [name for name in sorted(VARIANTS) if can_stack(build_model(name, RECIPE, DIM, DIM, ONES, 0, ONES))]


def test_all_but_the_rivals_with_dropout_are_stacked():
    assert set(VARIANTS) - set(STACKED) == {"clip-agiqa-frozen", "ip-iqa-pool", "ma-agiqa-gate"}


@pytest.mark.parametrize("recipe", STACKABLE.values(), ids=STACKABLE)
@pytest.mark.parametrize("variant", STACKED)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_stacked_runs_are_what_they_are_alone(data, runs, levels, variant, recipe):
    """In float64: at this learning rate a few epochs make of float32's rounding whatever they like."""
    rng = torch.Generator().manual_seed(2)
    views = {f"views_{stream}": torch.randn(COUNT, 2, DIM, generator=rng) for stream in "cf"}
    data = replace(data, **views)
    data = replace(data, **{
        name: getattr(data, name).double() for name in ("f_c", "f_f", "tokens", "score", "views_c", "views_f")
    })  # fmt: skip
    embeddings = level_embeddings(levels, recipe).double()
    build = Trainer(data, variant, recipe, embeddings, embeddings.flip(1)).build
    stacked = {
        str(run): table
        for run, table in train_stacked(lambda seed: build(seed).double(), data, runs, recipe, torch.device("cpu"))
    }
    assert len(stacked) == len(runs)
    for run in runs:
        alone = train_run(build(run.seed).double(), data, run.roles, recipe, run.seed)
        pd.testing.assert_frame_equal(stacked[str(run)], alone, rtol=1e-6)


@pytest.mark.parametrize("variant", [name for name in STACKED if VARIANTS[name].many])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_runs_of_three_streams_are_stacked(data, runs, levels, variant):
    third = torch.randn(COUNT, 3, generator=torch.Generator().manual_seed(2))
    data = replace(data, f_f=torch.cat([data.f_f, third], dim=1), sizes=(DIM, DIM, 3))
    data = replace(data, **{name: getattr(data, name).double() for name in ("f_c", "f_f", "tokens", "score")})
    build = Trainer(data, variant, RECIPE, level_embeddings(levels, RECIPE).double()).build
    for run, table in train_stacked(lambda seed: build(seed).double(), data, runs[:2], RECIPE, torch.device("cpu")):
        alone = train_run(build(run.seed).double(), data, run.roles, RECIPE, run.seed)
        pd.testing.assert_frame_equal(table, alone, rtol=1e-6)


def test_stacked_runs_have_the_srcc_they_have_alone(data, runs, levels):
    recipe = replace(RECIPE, learning_rate=1e-3)
    trainer = Trainer(data, B, recipe, level_embeddings(levels, recipe))
    for run, found in train_stacked(trainer.build, data, runs, recipe, torch.device("cpu")):
        alone = trainer.train(run)
        assert found.drop(columns="prediction").equals(alone.drop(columns="prediction"))
        for selection, rows in found.groupby("selection"):
            expected = alone[alone["selection"] == selection]
            assert srcc(rows["prediction"], rows["mos"]) == pytest.approx(
                srcc(expected["prediction"], expected["mos"]), abs=1e-4
            )


def test_runs_of_other_batch_counts_are_stacked_apart(runs):
    counts = {-(-(run.roles == TRAIN).sum() // RECIPE.batch_size) for run in runs}
    assert len(counts) > 1, "the test above would not see runs whose epochs differ in length"


def test_a_stacked_run_that_fails_is_named(data, runs, levels):
    recipe = replace(RECIPE, learning_rate=1e38)
    trainer = Trainer(data, A, recipe, level_embeddings(levels, recipe))
    with pytest.raises(FailedRunError, match=r"^(lab-seed1|grouped2), split \d, seed \d: the training loss is"):
        list(train_stacked(trainer.build, data, runs, recipe, torch.device("cpu")))


CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture
def equal_runs(runs):
    """Those of equally many batches, which are stacked together."""
    steps = [-(-(run.roles == TRAIN).sum() // RECIPE.batch_size) for run in runs]
    return [run for run, count in zip(runs, steps, strict=True) if count == max(steps, key=steps.count)]


@pytest.mark.parametrize("left", [1, 2, 3])
def test_a_resumed_stack_gives_the_same_bits_whatever_is_left(data, equal_runs, levels, left):
    recipe = STACKABLE["appendix"]
    views = {f"views_{stream}": torch.randn(COUNT, 2, DIM) for stream in "cf"}
    trainer = Trainer(replace(data, **views), B, recipe, level_embeddings(levels, recipe))
    whole = {str(run): table for run, table in train_stacked(trainer.build, trainer.data, equal_runs, recipe, CPU)}
    remaining = equal_runs[-left:]
    resumed = list(train_stacked(trainer.build, trainer.data, remaining, recipe, CPU, equal_runs))
    assert [str(run) for run, _ in resumed] == [str(run) for run in remaining]
    for run, table in resumed:
        assert table.equals(whole[str(run)])


@pytest.mark.parametrize("recipe", STACKABLE.values(), ids=STACKABLE)
@pytest.mark.parametrize("variant", [A, B, "cross-attention", "mstfe-1"])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_a_step_and_its_judgement_wait_for_no_value(data, equal_runs, levels, variant, recipe, monkeypatch):
    """On torch's device without values, where what asks for one fails, as it would while a graph is captured."""
    views = {f"views_{stream}": torch.randn(COUNT, 2, DIM) for stream in "cf"}
    embeddings = level_embeddings(levels, recipe)
    trainer = Trainer(replace(data, **views), variant, recipe, embeddings, embeddings)
    moved = {name: value.to(META) for name, value in vars(trainer.data).items() if isinstance(value, torch.Tensor)}
    known = replace(trainer.data, **moved | {"lengths": data.lengths})  # their longest is read once, before
    stack = Stack(trainer.build, known, equal_runs, recipe, META)
    stack.data = replace(known, **moved)
    updated = []
    monkeypatch.setattr(stack.optimiser, "update", lambda gradients, rate: updated.append((gradients, rate)))
    stack.step()  # but for the update, which torch does not have there
    [(gradients, rate)] = updated
    assert [g.shape for g in gradients] == [p.shape for p in stack.optimiser.parameters] and rate is stack.rate
    stack.objective.eval()
    for judged in stack.judged.values():
        if judged.count:
            scores, merits = judged.judge()
            assert scores.shape == (len(equal_runs), EVALUATED) and merits.shape == (len(equal_runs),)


def test_a_step_is_replayed_from_a_graph_that_is_captured_once(monkeypatch, capsys):
    log: list[str] = []

    class Graph:
        def replay(self) -> None:
            log.append("replay")

    @contextlib.contextmanager
    def inside(name: str):
        log.append(name)
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: inside("capture"))
    replayed = Replayed(lambda: log.append("step"), torch.device("cuda"), capture=True)
    for _ in range(WARM_UP + 3):
        replayed()
    assert log == [*["step"] * WARM_UP, "capture", "step", *["replay"] * 3]

    def waiting() -> None:
        log.append("step")
        if log[-2:] == ["capture", "step"]:
            raise RuntimeError("operation not permitted when stream is capturing")

    log.clear()
    replayed = Replayed(waiting, torch.device("cuda"), capture=True)
    for _ in range(WARM_UP + 2):
        replayed()
    assert log == [*["step"] * WARM_UP, "capture", "step", "step", "step"], "it is called where it cannot be captured"
    assert "cannot be captured (operation not permitted" in capsys.readouterr().err
    for device, capture in (("cuda", False), ("cpu", True)):
        log.clear()
        plain = Replayed(lambda: log.append("step"), torch.device(device), capture)
        for _ in range(WARM_UP + 3):
            plain()
        assert log == ["step"] * (WARM_UP + 3)


def test_what_a_graph_replays_is_what_is_called(data, equal_runs, levels):
    """A graph runs the same operations on the same tensors: so every tensor that a step reads stays where it is."""
    recipe = replace(STACKABLE["appendix"], views=0)
    stack = Stack(Trainer(data, B, recipe, level_embeddings(levels, recipe)).build, data, equal_runs, recipe, CPU)
    read = {"next": stack.next, "rate": stack.rate, "losses": stack.losses} | stack.tables | stack.leaves
    places = {name: tensor.data_ptr() for name, tensor in read.items()}
    for epoch in (1, 2):
        for part in (stack.launch, stack.draw_ahead, stack.see):
            part(epoch)
    read = {"next": stack.next, "rate": stack.rate, "losses": stack.losses} | stack.tables | stack.leaves
    assert {name: tensor.data_ptr() for name, tensor in read.items()} == places


def test_ranks_on_the_device_give_spearmans_correlation():
    rng = np.random.default_rng(0)
    present = torch.arange(40) < torch.tensor([[40], [33], [5]])
    values, rated = (torch.from_numpy(rng.integers(0, 12, (3, 40)).astype(float)) for _ in range(2))
    found = correlate(centred_ranks(values, present), centred_ranks(rated, present))
    for row, own in enumerate(present):
        expected = scipy.stats.spearmanr(values[row, own], rated[row, own]).statistic
        assert found[row].item() == pytest.approx(expected, abs=1e-14)
    flat = correlate(centred_ranks(torch.ones(1, 5), torch.ones(1, 5).bool()), torch.tensor([[-2, -1, 0, 1, 2]]))
    assert flat.isnan().all(), "nothing is said of constant predictions"


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_a_layer_that_nothing_depends_on_changes_nothing(data, runs, levels):
    """A fusion may define one, also where its runs are stacked."""
    plain = Trainer(data, A, RECIPE, level_embeddings(levels, RECIPE)).build

    def build(seed):
        model = plain(seed)
        model.fusion.add_module("unused", torch.nn.Linear(4, 3))
        return model

    expected = train_run(plain(runs[0].seed), data, runs[0].roles, RECIPE, runs[0].seed)
    pd.testing.assert_frame_equal(train_run(build(runs[0].seed), data, runs[0].roles, RECIPE, runs[0].seed), expected)
    ((_, stacked),) = train_stacked(build, data, runs[:1], RECIPE, torch.device("cpu"))
    pd.testing.assert_frame_equal(stacked, expected, rtol=1e-3)


def test_dropout_inside_a_fusion_cannot_be_stacked(data, levels):
    recipe = replace(RECIPE, regression_dropout=0.5)
    model = Trainer(data, B, recipe, level_embeddings(levels, recipe)).build(0)
    assert can_stack(model)
    model.fusion.add_module("thinned", torch.nn.Dropout(0.5))
    assert not can_stack(model)
