"""A head file is the workflow's run: its weights give that run's test predictions, and its card says what it is."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from toy import DIM, RECIPE, WIDTH, make_dataset, make_levels

from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.base.names import BEST_ON_TEST, LAST, TEST, TRAIN, VAL, VALIDATION
from mstclipiqa.cli.main import main
from mstclipiqa.encoders.stores import read_store, write_store
from mstclipiqa.scoring.trained_head import load_head, train_head, train_head_from_results
from mstclipiqa.training.dataset import to_mos
from mstclipiqa.training.job import train_job
from mstclipiqa.training.run import Trainer, predict

DATA, LEVELS = make_dataset(low=1.0), make_levels()
ROLES = np.array([TRAIN, TRAIN, TEST, VAL, TRAIN] * 12, dtype=object)
SPLITS = pd.concat(
    pd.DataFrame({"protocol": protocol, "split": split, "image": DATA.images, "role": roles})
    for protocol, split, roles in [
        ("grouped2", 0, ROLES),
        ("grouped2", 1, np.roll(ROLES, 1)),
        ("random1", 0, np.where(ROLES == VAL, TRAIN, ROLES)),
    ]
)


def identity(role):
    """An encoder's, as far as a card has to say it."""
    said = {"label": f"{role} encoder", "model": f"toy-{role}", "weights": "embedded", "weights_sha256": 64 * "0"}
    sizes = {"dim": DIM, "text_width": WIDTH, "context_length": 77}
    return {**said, "precision": "float32", "preprocessing": {}, **sizes}


METADATA = {
    "benchmark": "toy",
    "title": "Toy",
    "target": "quality",
    "synthetic": True,
    "encoders": {role: identity(role) for role in ("coarse", "fine")},
    "text_encoder": identity("coarse"),
}


@pytest.fixture(autouse=True)
def threads():
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


def make(path, run=("grouped2", 1, 3), variant="mst-clipiqa", recipe=RECIPE, selection=LAST, **options):
    trainer = Trainer.of_texts(DATA, variant, recipe, LEVELS, **options)
    train_head(path, trainer, SPLITS, run, METADATA, selection)
    return load_head(path)


@pytest.mark.parametrize("selection", [LAST, VALIDATION, BEST_ON_TEST])
@pytest.mark.parametrize("variant", ["mst-clipiqa", "mst-clipiqa-star", "mstfe-1", "coarse-only"])
def test_a_head_gives_the_test_predictions_of_the_workflows_run(tmp_path, variant, selection):
    # dropout and learnable levels: what training draws and what only some recipes learn
    recipe = replace(RECIPE, regression_dropout=0.2, learnable_levels=True, learning_rate=0.05)
    own = {"fine_levels": LEVELS} if variant == "mstfe-1" else {}
    head = make(tmp_path / "head.safetensors", variant=variant, recipe=recipe, selection=selection, **own)
    job = {"benchmark": "toy", "target": "quality"}
    trainer = Trainer.of_texts(DATA, variant, recipe, LEVELS, own.get("fine_levels"))
    train_job(tmp_path / "runs.parquet", trainer, SPLITS, [3], job)
    runs = read_table(tmp_path / "runs.parquet")[0]
    keys = ["protocol", "split", "seed", "selection"]
    run = runs[(runs[keys] == ["grouped2", 1, 3, selection]).all(axis=1)]
    rows = torch.tensor([DATA.images.index(image) for image in run["image"]])
    np.testing.assert_array_equal(to_mos(predict(head.model, DATA, rows).double(), 1.0, 100.0), run["prediction"])
    assert head.card["epoch"] == run["epoch"].iloc[0]
    assert head.card["test"]["n"] == len(run) == 12
    assert head.card["test"]["srcc"] == pytest.approx(stats.spearmanr(run["prediction"], run["mos"]).statistic)


def test_the_selected_epoch_is_kept_and_not_a_later_one(tmp_path):
    recipe = replace(RECIPE, learning_rate=0.05, epochs=6)  # too fast to improve to the end
    options = {"run": ("grouped2", 1, 2), "recipe": recipe}
    heads = {name: make(tmp_path / f"{name}.safetensors", selection=name, **options) for name in (LAST, VALIDATION)}
    assert heads[VALIDATION].card["epoch"] < heads[LAST].card["epoch"] == 6
    kept = {name: head.model.state_dict()["fusion.W_h.weight"] for name, head in heads.items()}
    assert not torch.equal(kept[LAST], kept[VALIDATION])


def test_the_card_says_what_the_head_is(tmp_path):
    head = make(tmp_path / "head.safetensors", variant="mst-clipiqa-star")
    card = head.card
    assert (card["protocol"], card["split"], card["seed"], card["selection"]) == ("grouped2", 1, 3, "last")
    assert card["train_images"] == 36 and card["recipe"]["learning_rate"] == RECIPE.learning_rate
    assert card | METADATA == card
    assert (card["low"], card["high"]) == (1.0, 100.0)
    assert head.summary["encoders"] == {"coarse": "coarse encoder", "fine": "fine encoder"}
    assert head.summary["recipe"] == RECIPE.name
    json.dumps(head.summary)
    assert head.target == "quality" and head.model.uses_prompt and not head.model.training


def test_level_embeddings_come_with_the_head(tmp_path):
    make(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(read_store(tmp_path / "head.safetensors")[0]["head.levels"], LEVELS.pooled)


def test_a_head_has_the_same_bytes_again(tmp_path):
    make(tmp_path / "a.safetensors")
    make(tmp_path / "b.safetensors")
    assert sha256(tmp_path / "a.safetensors") == sha256(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"run": ("grouped2", 2, 0)}, "grouped2, split 2: not in the splits table; it has grouped2 \\(2\\), random1"),
        ({"run": ("lab-seed1", 0, 0)}, "lab-seed1, split 0"),
        ({"run": ("random1", 0, 0), "selection": VALIDATION}, "no validation images"),
        ({"recipe": replace(RECIPE, views=2)}, "augmented views"),
        ({"variant": "mstfe-1"}, "fine encoder's text tower"),
    ],
)
def test_what_cannot_be_trained_is_one_line(tmp_path, options, words):
    with pytest.raises(InputError, match=words) as raised:
        make(tmp_path / "head.safetensors", **options)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_run_on_flat_images_is_named(tmp_path, monkeypatch):
    flat = replace(DATA, f_c=torch.ones_like(DATA.f_c), f_f=torch.ones_like(DATA.f_f))
    monkeypatch.setitem(globals(), "DATA", flat)
    with pytest.raises(FailedRunError, match=r"^head of toy quality \w+ mst-clipiqa, grouped2, split 1, seed 3: pred"):
        make(tmp_path / "head.safetensors")


def test_what_is_no_head_is_refused(tmp_path):
    make(tmp_path / "head.safetensors")
    tensors, card = read_store(tmp_path / "head.safetensors")
    spoilt = {
        "no trained head": (tensors, {"texts": []}),
        "do not fit mst-clipiqa": ({**tensors, "fusion.W_g.bias": tensors["fusion.W_g.bias"][1:]}, card),
        "another version": (tensors, {**card, "recipe": {**card["recipe"], "momentum": 0.9}}),
        "unknown variant": (tensors, {**card, "variant": "clip"}),
    }
    for words, (own, metadata) in spoilt.items():
        write_store(tmp_path / "spoilt.safetensors", own, metadata)
        with pytest.raises(InputError, match=words):
            load_head(tmp_path / "spoilt.safetensors")
    (tmp_path / "text.safetensors").write_text("weights")
    for name in ("text.safetensors", "absent.safetensors"):
        with pytest.raises(InputError, match=f"{name}.*train-head"):
            load_head(tmp_path / name)


def test_the_command_offers_every_selection():
    (option,) = [option for option in main.commands["train-head"].params if option.name == "selection"]
    assert list(option.type.choices) == [LAST, VALIDATION, BEST_ON_TEST] and option.default == LAST


def test_a_control_of_prompts_is_no_head_to_score_with(tmp_path):
    with pytest.raises(InputError, match="star-permuted: its prompts are not the images' own, so it scores none"):
        train_head_from_results(
            tmp_path / "head", tmp_path, "toy", ("grouped2", 0, 0), "star-permuted", RECIPE, "quality"
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["fine", "text"])
def test_no_head_is_trained_on_a_model_of_a_folder(place, tmp_path):
    folder = identity("fine") | {"model": "local-dir:small"}
    changed = {"text_encoder": folder} if place == "text" else {"encoders": METADATA["encoders"] | {"fine": folder}}
    with pytest.raises(InputError, match="^local-dir:small: a model of a folder, .*; train heads on encoders that"):
        trainer = Trainer.of_texts(DATA, "mst-clipiqa", RECIPE, LEVELS)
        train_head(tmp_path / "head", trainer, SPLITS, ("grouped2", 1, 3), METADATA | changed)
    assert not (tmp_path / "head").exists()
