"""Runs stacked, as on a GPU, here on the CPU."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from small_benchmark import COUNT, DIM, RECIPE, A, B

from mstclipiqa.base.errors import FailedRunError
from mstclipiqa.base.names import LEVELS, TRAIN
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.build import build_model, has_dropout
from mstclipiqa.model.variants import RIVAL, VARIANTS
from mstclipiqa.training.dataset import level_embeddings
from mstclipiqa.training.run import Trainer, train_run
from mstclipiqa.training.stacked import train_stacked

STACKABLE = {
    "released_code": RECIPE,
    "main_text": replace(RECIPE, learnable_levels=True, gate_sparsity=0.1),
    "appendix": replace(RECIPE, schedule="cosine", warm_up_epochs=1, projection_bias=False, attention_norm=True,
                        regression_hidden=4, regression_skip=False, views=2),
}  # fmt: skip


ONES = torch.ones(len(LEVELS), DIM)
#: Those without dropout, which draws from one generator.
STACKED = [name for name in sorted(VARIANTS) if not has_dropout(build_model(name, RECIPE, DIM, DIM, ONES, 0, ONES))]


def test_all_but_some_rivals_are_stacked():
    assert {VARIANTS[name].head for name in set(VARIANTS) - set(STACKED)} == {RIVAL}


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
