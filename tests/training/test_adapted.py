"""Encoders that are trained with a head: against torch's own optimiser, the frozen head, and a job that is killed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from encoder_families import write_model
from encoding import CPU, make_samples
from small_benchmark import HIGH, LOW, RECIPE, WIDTH, A, B, selected

from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.base.layout import RUNS
from mstclipiqa.base.names import LAST, TEST, TRAIN, VAL
from mstclipiqa.cli.main import main
from mstclipiqa.encoders.adaptation import read_inputs
from mstclipiqa.encoders.clip import Encoder, load_encoder
from mstclipiqa.model.build import count_trainable
from mstclipiqa.training.adapted import AdaptedTrainer, adapt
from mstclipiqa.training.dataset import Dataset, to_mos, to_score
from mstclipiqa.training.job import train_job
from mstclipiqa.training.losses import total_loss
from mstclipiqa.training.run import Run, Trainer

COUNT = 24
LAST_BLOCK = {"blocks": 1, "rank": None, "learning_rate": 2e-3}
WAYS = {"blocks": LAST_BLOCK, "lora": {**LAST_BLOCK, "blocks": None, "rank": 2}}
#: Its temperature is low: the levels are made up, and far from all features.
TUNED = replace(RECIPE, epochs=2, batch_size=8, temperature=5.0, adaptation=LAST_BLOCK)
ROLES = np.array([TRAIN, TRAIN, TEST, TRAIN, VAL, TRAIN] * (COUNT // 6), dtype=object)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(write_model(tmp_path_factory.mktemp("vit"), "clip-vit"), "random:1", CPU)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    root = tmp_path_factory.mktemp("images") / "root"
    return make_samples(root, COUNT), root


@pytest.fixture
def trained(encoder, images):
    """The trainer of a variant and recipe on the images, both of whose streams are by one encoder."""
    samples, root = images
    rng = np.random.default_rng(3)
    features = encoder.encode_images(read_inputs([encoder], samples, root, WAYS["lora"])[0])
    mos = rng.uniform(LOW, HIGH, COUNT)
    score = torch.from_numpy(to_score(mos, LOW, HIGH).astype(np.float32))
    data = Dataset(
        samples["image"].tolist(), features, features.clone(), torch.randn(4 * COUNT, WIDTH), 4 * torch.arange(COUNT),
        torch.full((COUNT,), 4), score, mos, LOW, HIGH,
    )  # fmt: skip
    levels = torch.from_numpy(rng.normal(size=(5, features.shape[1])).astype(np.float32))

    def make(variant: str = A, recipe=TUNED) -> AdaptedTrainer:
        frozen = Trainer(data, variant, replace(recipe, adaptation=None), levels)
        return adapt(frozen, recipe, [encoder, encoder], samples, root)

    return make


@pytest.mark.parametrize("adaptation", WAYS.values(), ids=WAYS)
def test_a_run_is_that_of_torchs_optimiser_written_out(trained, adaptation):
    """The head at the recipe's rate with its weight decay, the towers at theirs without, through the same batches."""
    recipe = replace(TUNED, adaptation=adaptation, schedule="cosine", final_learning_rate=1e-3)
    trainer = trained(B, recipe)
    model, data, generator = trainer.build(4), trainer.data, torch.Generator().manual_seed(4)
    towers = [p for p in model.fusion.towers.parameters() if p.requires_grad]
    head = [*model.head.parameters(), *model.fusion.fusion.parameters()]
    head = [p for p in head if p.requires_grad]
    optimiser = torch.optim.Adam(
        [{"params": head, "weight_decay": recipe.weight_decay}, {"params": towers, "weight_decay": 0.0}], lr=1.0
    )
    train = torch.from_numpy(np.flatnonzero(ROLES == TRAIN))
    for rate in ((recipe.learning_rate + 1e-3) / 2, 1e-3):  # half way down the cosine, and at its end
        share = adaptation["learning_rate"] / recipe.learning_rate
        optimiser.param_groups[0]["lr"], optimiser.param_groups[1]["lr"] = rate, rate * share
        for batch in train[torch.randperm(len(train), generator=generator)].split(recipe.batch_size):
            coarse, fine = model.fusion.towers
            z = model.fusion.fusion(coarse(data.f_c[batch]), fine(data.f_f[batch]))
            prediction = model.head(z, *data.prompts(batch))
            optimiser.zero_grad()
            total_loss(prediction, data.score[batch], recipe).backward()
            optimiser.step()
    test = torch.from_numpy(np.flatnonzero(ROLES == TEST))
    with torch.no_grad():
        expected = to_mos(model(data.f_c[test], data.f_f[test], *data.prompts(test)).numpy(), LOW, HIGH)
    found = selected(trainer.train(Run("lab-seed1", 0, 4, ROLES)), LAST)
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-4)


@pytest.mark.parametrize("adaptation", WAYS.values(), ids=WAYS)
def test_encoders_that_hardly_move_give_the_predictions_of_frozen_ones(trained, adaptation):
    run = Run("lab-seed1", 0, 1, ROLES)
    still = trained(A, replace(TUNED, adaptation={**adaptation, "learning_rate": 1e-12}))
    moved = trained(A, replace(TUNED, adaptation=adaptation)).train(run)["prediction"]
    found, expected = still.train(run), still.frozen.train(run)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-3)
    apart = (moved - expected["prediction"]).abs().max()
    assert apart > 10 * (found["prediction"] - expected["prediction"]).abs().max()


def test_a_stream_that_the_model_does_not_look_at_is_not_trained(trained, encoder):
    for variant, towers in ((A, 2), ("coarse-only", 1), ("liqe-frozen", 1)):
        trainer = trained(variant)
        model, own = trainer.build(0), trainer.frozen.build(0)
        added = count_trainable(model) - count_trainable(own)
        assert added == towers * count_trainable(trained(A).build(0).fusion.towers[0])
    assert torch.equal(trainer.data.f_f, trainer.frozen.data.f_f)


def test_the_gates_sparsity_is_that_of_trained_features(trained):
    trainer = trained(A, replace(TUNED, gate_sparsity=1.0))
    model, inputs = trainer.build(0), (trainer.data.f_c[:3], trainer.data.f_f[:3])
    features = [tower(table) for tower, table in zip(model.fusion.towers, inputs, strict=True)]
    assert torch.equal(model.fusion.gate(*inputs), model.fusion.fusion.gate(*features))


def splits_of(images: pd.DataFrame) -> pd.DataFrame:
    whole = pd.DataFrame({"protocol": "lab-seed1", "split": 0, "image": images["image"], "role": ROLES})
    return whole[whole["role"] != VAL]


@pytest.mark.parametrize("adaptation", WAYS.values(), ids=WAYS)
def test_a_killed_job_resumes_to_the_same_bytes(trained, images, tmp_path, monkeypatch, adaptation):
    trainer = trained(A, replace(TUNED, adaptation=adaptation))
    metadata, done = {"benchmark": "toy", "target": "quality"}, []

    def train(name: str, stop_at: int | None = None) -> Path:
        def counted(self: AdaptedTrainer, run: Run) -> pd.DataFrame:
            if len(done) == stop_at:
                raise KeyboardInterrupt
            done.append(run.seed)
            return whole(self, run)

        with monkeypatch.context() as patch:
            whole = AdaptedTrainer.train
            patch.setattr(AdaptedTrainer, "train", counted)
            train_job(tmp_path / name, trainer, splits_of(images[0]), [0, 1], metadata)
        return tmp_path / name

    undisturbed = sha256(train("undisturbed.parquet"))
    done.clear()
    with pytest.raises(KeyboardInterrupt):
        train("runs.parquet", stop_at=1)
    assert sha256(train("runs.parquet")) == undisturbed
    assert done == [0, 1]


def test_runs_are_alike_in_workers(trained, images, tmp_path):
    trainer, metadata = trained(A), {"benchmark": "toy", "target": "quality"}
    for workers in (1, 2):
        train_job(tmp_path / str(workers), trainer, splits_of(images[0]), [0, 1], metadata, workers)
    assert sha256(tmp_path / "1") == sha256(tmp_path / "2")


def test_the_verb_writes_predictions_as_any_other_job(small_study, tmp_path):
    """From images; a model without a step would give the frozen features' scores, so these are near them."""
    recipes = small_study.copy(tmp_path / "study").config / "recipes"
    text = (recipes / "slow.yaml").read_text()
    stated = "  adaptation: {place: a test, value: {blocks: 1, rank: null, learning_rate: 1.0e-12}}\n"
    (recipes / "tuned.yaml").write_text(text.replace("values:\n", f"values:\n{stated}"))
    results = small_study.results
    features = results / "agiqa-3k" / "features"
    files = [f"--{name}={features / name}.safetensors" for name in ("coarse", "fine", "prompts")]
    files += [f"--{name}={results / 'agiqa-3k' / name}.parquet" for name in ("samples", "splits")]
    encoders = [f"--{role}-model=mst-small-{size}" for role, size in (("coarse", 32), ("fine", 16))]
    encoders += [f"--{role}-weights=embedded" for role in ("coarse", "fine")]
    out = tmp_path / "runs.parquet"
    done = CliRunner().invoke(main, [
        "train-adapted", *files, *encoders, f"--root={small_study.data / 'agiqa-3k'}",
        f"--levels={results / 'levels' / 'slow.safetensors'}", f"--recipe={recipes / 'tuned.yaml'}", "--seed=0",
        "--variant=mst-clipiqa", "--target=quality", f"--out={out}",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    found, metadata = RUNS.read(out)
    expected, frozen = read_table(small_study.runs())
    pd.testing.assert_frame_equal(found, expected, rtol=1e-2)
    assert metadata["recipe_values"]["adaptation"]["blocks"] == 1 and metadata["encoders"] == frozen["encoders"]
    assert metadata["trainable_parameters"] > frozen["trainable_parameters"]
    assert metadata["code"] != frozen["code"]
