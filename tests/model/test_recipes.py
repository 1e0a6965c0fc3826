"""Recipes: what each source states, complete, and refused where it is not."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mstclipiqa.base.documents import read_yaml, validate
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import digest
from mstclipiqa.model.recipes import COMPLETE, VALUES, load_planned, load_recipe

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "config" / "recipes"
SCHEMA = REPOSITORY / "mstclipiqa" / "base" / "schemas" / "recipe.schema.yaml"
FILES = sorted(FOLDER.glob("*.yaml"))

RELEASED_CODE = {
    "fine_stream": "fine",
    "optimiser": "adam",
    "learning_rate": 5e-6,
    "weight_decay": 1e-3,
    "batch_size": 8,
    "epochs": 20,
    "schedule": "constant",
    "warm_up_epochs": 0,
    "final_learning_rate": 0,
    "ranking_weight": 1.0,
    "ranking_margin": 0.1,
    "gate_sparsity": 0,
    "gate_hidden": 128,
    "projection_bias": True,
    "template": "a photo with {} quality",
    "learnable_levels": False,
    "temperature": 100.0,
    "learnable_temperature": True,
    "attention_heads": 8,
    "attention_norm": False,
    "regression_hidden": None,
    "regression_skip": True,
    "regression_dropout": 0,
    "augmentation": None,
    "views": 0,
    "trained_scale": "mos",
}
MAIN_TEXT = {  # the rest it does not state
    "fine_stream": "fine",
    "optimiser": "adam",
    "learning_rate": 5e-6,
    "weight_decay": 1e-3,
    "batch_size": 8,
    "projection_bias": True,
    "template": "a photo of {} quality",
    "learnable_levels": True,
    "attention_heads": 8,
    "gate_sparsity": 0,
    "regression_hidden": None,
    "regression_skip": True,
}
APPENDIX = {  # the rest it does not state
    "fine_stream": "retokenised",
    "optimiser": "adam",
    "learning_rate": 1e-4,
    "weight_decay": 1e-2,
    "batch_size": 32,
    "epochs": 50,
    "schedule": "cosine",
    "warm_up_epochs": 5,
    "final_learning_rate": 1e-6,
    "ranking_weight": 0.1,
    "ranking_margin": 0.05,
    "gate_hidden": 256,
    "projection_bias": False,
    "attention_norm": True,
    "regression_hidden": 128,
    "regression_skip": False,
    "regression_dropout": 0.1,
    "augmentation": {"flip": 0.5, "scale": [0.8, 1.0], "ratio": [0.9, 1.1], "brightness": 0.1, "contrast": 0.1},
    "views": 4,
}


@pytest.fixture
def folder(tmp_path):
    """A copy of the recipes that a test may spoil."""
    return Path(shutil.copytree(FOLDER, tmp_path / "recipes"))


def edit(path, change):
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


def refused(path):
    """The one line with which a recipe is refused."""
    with pytest.raises(InputError) as error:
        load_recipe(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recipe_fits_the_schema(path):
    validate(read_yaml(path), SCHEMA, path)
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.title
    assert recipe.source
    assert all(recipe.stated.values())


def test_the_schema_knows_the_values_of_a_recipe_and_no_others():
    assert set(read_yaml(SCHEMA)["properties"]["values"]["properties"]) == set(VALUES)


def test_the_released_code_is_complete():
    recipe = load_recipe(FOLDER / f"{COMPLETE}.yaml")
    assert recipe.values == RELEASED_CODE
    assert recipe.silent == []
    assert set(recipe.stated) == set(VALUES)
    assert recipe.adaptation is None


@pytest.mark.parametrize(("name", "states"), [("main_text", MAIN_TEXT), ("appendix", APPENDIX)])
def test_a_recipe_takes_what_it_does_not_state_from_the_released_code(name, states):
    recipe = load_recipe(FOLDER / f"{name}.yaml")
    assert recipe.values == RELEASED_CODE | states
    assert set(recipe.stated) == set(states)
    assert recipe.silent == [key for key in RELEASED_CODE if key not in states]


def test_values_say_nothing_of_where_they_stand():
    recipe = load_recipe(FOLDER / "main_text.yaml")
    assert replace(recipe, name="other", title="", source="", stated={}).values == recipe.values


def test_a_misspelt_key_is_named(folder):
    path = folder / "main_text.yaml"
    edit(path, lambda document: document["values"].update(learning_rte={"value": 1e-5, "place": "main text"}))
    message = refused(path)
    assert message.startswith(f"{path}: values: ")
    assert "'learning_rte' was unexpected" in message and "recipe.schema.yaml" in message


def test_a_value_that_no_source_states_is_named(folder):
    path = folder / f"{COMPLETE}.yaml"
    edit(path, lambda document: document["values"].pop("epochs"))
    assert f"{path}: no value for epochs" in refused(path)
    assert f"{path}: no value for epochs" in refused(folder / "main_text.yaml")


def test_a_fault_of_the_released_code_is_not_laid_at_another_recipe(folder):
    edit(folder / f"{COMPLETE}.yaml", lambda document: document["values"].update(epoch={"value": 1, "place": ""}))
    assert f"{COMPLETE}.yaml" in refused(folder / "main_text.yaml").split(":")[0]


@pytest.mark.parametrize(
    "text",
    [
        "title: x\nsource: y\n",
        "title: x\nsource: y\nvalues:\n",
        "title: x\nsource: y\nvalues: [epochs]\n",
        "title: x\nsource: y\nvalues: {epochs: 3}\n",
        "title: x\nsource: y\nvalues: {epochs: {value: 3}}\n",
        "title: x\nsource: y\nvalues: {epochs: {place: text}}\n",
        "- a list\n",
        "",
        "{unclosed",
    ],
)
def test_what_is_no_recipe_is_refused(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text)
    assert refused(path).startswith(f"{path}: ")


def test_missing_files_are_named(folder):
    assert refused(folder / "mine.yaml") == f"{folder / 'mine.yaml'}: no such file"
    (folder / f"{COMPLETE}.yaml").unlink()
    assert refused(folder / "main_text.yaml") == f"{folder / COMPLETE}.yaml: no such file"


def test_frozen_encoders_leave_no_value_behind():
    """So that what was trained before encoders could be is still by the recipe that it names."""
    recipe = load_recipe(FOLDER / "converged.yaml")
    assert "adaptation" not in recipe.values and "adaptation" not in recipe.silent
    assert recipe.digest == digest(recipe.values)[:16] != load_recipe(FOLDER / "adapted_all.yaml").digest


@pytest.mark.parametrize(
    "value",
    [
        {"blocks": 1},
        {"blocks": 0, "rank": None, "learning_rate": 1e-4},
        {"blocks": 1, "rank": 0, "learning_rate": 1e-4},
        {"blocks": 1, "rank": None, "learning_rate": 0},
        {"blocks": 1, "rank": None, "learning_rate": 1e-4, "alpha": 8},
        "all",
    ],
    ids=str,
)
def test_an_adaptation_that_training_cannot_use_is_refused(folder, value):
    path = folder / "converged.yaml"
    edit(path, lambda document: document["values"].update(adaptation={"value": value, "place": "mine"}))
    assert "adaptation" in refused(path)


def test_augmented_views_beside_an_adaptation_are_refused(folder):
    adaptation = {"value": {"blocks": 1, "rank": None, "learning_rate": 1e-4}, "place": "mine"}
    edit(folder / "appendix.yaml", lambda document: document["values"].update(adaptation=adaptation))
    assert "appendix.yaml: trains the encoders, and on cached features" in refused(folder / "appendix.yaml")


@pytest.mark.parametrize("key", ["title", "source"])
def test_a_recipe_without_title_or_source_is_refused(folder, key):
    path = folder / "main_text.yaml"
    edit(path, lambda document: document.pop(key))
    assert key in refused(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("learning_rate", "5e-6"),  # PyYAML reads 5e-6, without a point, as text
        ("optimiser", "sgd"),  # training knows one optimiser and one schedule, and would ignore another name
        ("schedule", "linear"),
        ("epochs", 0),
        ("epochs", 2.5),
        ("template", "a photo"),
    ],
)
def test_a_value_that_training_cannot_use_is_refused(folder, key, value):
    path = folder / "main_text.yaml"
    edit(path, lambda document: document["values"].update({key: {"value": value, "place": "mine"}}))
    assert key in refused(path)


def test_a_recipe_edited_since_it_was_planned_is_refused(tmp_path):
    """Also where it is restored later: what a job computes with is what its plan says."""
    for name in ("released_code", "appendix"):
        shutil.copy(REPOSITORY / "config" / "recipes" / f"{name}.yaml", tmp_path)
    path = tmp_path / "appendix.yaml"
    planned = load_recipe(path)
    assert load_planned(f"{path}#{planned.digest}") == planned == load_planned(str(path))
    text = path.read_text()
    path.write_text(f"# a comment\n{text}")
    assert load_planned(f"{path}#{planned.digest}") == planned
    path.write_text(text.replace("learning_rate: {value: 1.0e-4", "learning_rate: {value: 1.0e-3"))
    with pytest.raises(InputError, match=r"appendix\.yaml: other values than this run was planned with"):
        load_planned(f"{path}#{planned.digest}")
    load_planned(f"{path}#{planned.views_digest}", views=True)
    path.write_text(text.replace("flip: 0.5", "flip: 0.25"))
    with pytest.raises(InputError, match="other values"):
        load_planned(f"{path}#{planned.views_digest}", views=True)


@pytest.mark.parametrize(
    ("name", "base", "changed"),
    [
        ("converged_ranking_0", "converged", {"ranking_weight": 0}),
        ("converged_ranking_tenth", "converged", {"ranking_weight": 0.1}),
        ("converged_ranking_ten", "converged", {"ranking_weight": 10}),
        ("released_code_ranking_0", "released_code", {"ranking_weight": 0}),
        ("converged_weight_decay_0", "converged", {"weight_decay": 0}),
        ("converged_temperature_frozen", "converged", {"learnable_temperature": False}),
        ("converged_temperature_ten", "converged", {"temperature": 10.0}),
        ("converged_gate_sparsity", "converged", {"gate_sparsity": 1.0}),
        ("converged_mos_scale", "converged", {"trained_scale": "mos"}),
        ("adapted_last_block", "converged", {"adaptation": {"blocks": 1, "rank": None, "learning_rate": 1e-4}}),
        ("adapted_lora", "converged", {"adaptation": {"blocks": None, "rank": 8, "learning_rate": 1e-4}}),
        ("adapted_all", "converged", {"adaptation": {"blocks": None, "rank": None, "learning_rate": 5e-6}}),
    ],
)
def test_a_recipe_that_asks_after_one_value_differs_in_it_alone(name, base, changed):
    own, other = load_recipe(FOLDER / f"{name}.yaml").values, load_recipe(FOLDER / f"{base}.yaml").values
    assert own == other | changed != other
