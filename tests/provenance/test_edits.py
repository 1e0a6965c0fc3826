"""What a results folder is refused for at little cost, on a folder of three files."""

import re
from pathlib import Path

import pandas as pd
import pytest

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256, write_table, write_text
from mstclipiqa.provenance import edits
from mstclipiqa.provenance.edits import describe_recipe, find_edits, is_store, recipe_of, refuse_edited

RUNS, STORE, TABLE = "agiqa-3k/runs/quality/slow/mst-clipiqa.parquet", "levels/slow.safetensors", "metrics.parquet"
VALUES = {"epochs": 20, "learning_rate": 5e-6}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_table(tmp_path / RUNS, pd.DataFrame({"a": [1]}), {"recipe_values": VALUES})
    write_table(tmp_path / TABLE, pd.DataFrame({"a": [1]}), {})
    write_text(tmp_path / STORE, "features")
    return tmp_path


def described(results: Path) -> dict:
    outputs = {name: sha256(results / name) for name in (RUNS, STORE, TABLE) if (results / name).exists()}
    return {"outputs": outputs, "recipes": {"slow": {"values": VALUES}}}


def test_a_folder_as_its_manifest_says_has_no_edits(results: Path):
    assert list(find_edits(results, described(results))) == []


@pytest.mark.parametrize("name", [RUNS, STORE, TABLE])
def test_what_is_missing_or_has_another_hash_is_named(results: Path, name: str):
    manifest = described(results)
    (results / name).write_bytes(b"other")
    wrong = f"{name}: its SHA-256 is not the one in the manifest; restore it, or delete it and run the workflow again"
    assert list(find_edits(results, manifest)) == [wrong]
    (results / name).unlink()
    assert list(find_edits(results, manifest)) == [f"{name}: is missing; copy it too, or run the workflow again"]
    assert list(find_edits(results, manifest, lambda left: left == name)) == []


def test_every_edit_is_named_and_what_is_left_out_hides_none_after_it(results: Path):
    manifest = described(results)
    for name in (RUNS, STORE, TABLE):
        (results / name).unlink()
    assert len(list(find_edits(results, manifest))) == 3
    assert [line.split(":")[0] for line in find_edits(results, manifest, is_store)] == [RUNS, TABLE]


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"recipe_values": VALUES | {"learning_rate": 1e-3}}, "learning_rate 0.001, and recipe slow .* has 5e-06"),
        ({"recipe_values": {"epochs": 20}}, "was trained with learning_rate None, and recipe slow of the manifest has"),
        ({"recipe_values": VALUES | {"alpha": 1}}, "was trained with alpha 1, and recipe slow .* has None"),
        ({"recipe_values": [1]}, "does not say by which values of slow it was trained"),
        ({}, "does not say by which values of slow it was trained"),
        ([1], "does not say by which values of slow it was trained"),
    ],
)
def test_predictions_by_another_recipe_are_found(results: Path, metadata: object, words: str):
    write_table(results / RUNS, pd.DataFrame({"a": [1]}), metadata)
    (line,) = find_edits(results, described(results))
    assert line.startswith(f"{RUNS}: ") and line.endswith("; delete it and run the workflow again")
    assert re.search(words, line)


def test_predictions_that_are_no_table_do_not_say_their_recipe(results: Path):
    write_text(results / RUNS, "no table")
    (line,) = find_edits(results, described(results))
    assert "does not say by which values of slow" in line


def test_predictions_of_a_recipe_that_the_manifest_has_not_are_another_checks(results: Path):
    write_table(results / RUNS, pd.DataFrame({"a": [1]}), {})
    assert list(find_edits(results, described(results) | {"recipes": {}})) == []


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        (RUNS, "slow"),
        ("a/runs/b/c/d.parquet", "c"),
        ("a/runs/b/c/d.csv", None),
        ("a/other/b/c/d.parquet", None),
        ("a/runs/b/c.parquet", None),
        ("a/runs/b/c/d/e.parquet", None),
        ("metrics.parquet", None),
    ],
)
def test_a_recipe_is_told_by_the_place_of_predictions(name: str, recipe: str | None):
    assert recipe_of(name) == recipe


def test_the_first_value_that_differs_is_named():
    said = describe_recipe({"b": 1, "a": 2}, {"b": 3, "a": 4}, "slow")
    assert said == "was trained with a 2, and recipe slow of the manifest has 4"


def test_stores_are_told_by_their_ending():
    assert is_store(STORE) and not is_store(TABLE) and not is_store("a.safetensors.txt")


def test_what_is_edited_is_refused_with_the_first_edit_and_how_many(results: Path, monkeypatch: pytest.MonkeyPatch):
    manifest = described(results)
    read = []
    monkeypatch.setattr(edits, "read_manifest", lambda path: read.append(path) or manifest)
    assert refuse_edited(results) is manifest and read == [results / "manifest.json"]
    (results / STORE).unlink()  # as it may be
    assert refuse_edited(results) is manifest
    write_text(results / STORE, "other")
    (results / TABLE).unlink()
    with pytest.raises(InputError) as error:
        refuse_edited(results)
    assert str(error.value).startswith(f"{results}/{STORE}: its SHA-256 is not the one in the manifest; restore it")
    assert str(error.value).endswith(f" (2 findings; `mstclipiqa verify {results}` names all)")
