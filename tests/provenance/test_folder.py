from collections.abc import Callable
from pathlib import Path

import pytest
from small_study import SmallStudy
from tampering import RUNS, edit_manifest, verify

from mstclipiqa.base.errors import InputError
from mstclipiqa.provenance.folder import Folder, stays_inside
from mstclipiqa.provenance.verification import verify_results


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("outputs"), ["outputs"]),
        (lambda m: m.update(outputs=[]), ["outputs"]),
        (lambda m: m["outputs"].update({RUNS: "short"}), ["short"]),
        (lambda m: m["outputs"].update({"../../secret": "0" * 64}), ["'../../secret'", "outside"]),
        (lambda m: m["inputs"].update({"/etc/passwd": "0" * 64}), ["'/etc/passwd'", "outside"]),
        (lambda m: m["config"].pop("seeds"), ["config", "seeds"]),
        (lambda m: m["config"].update(variants=["unheard-of"]), ["unheard-of"]),
    ],
)  # fmt: skip
def test_manifest_that_says_too_little_is_one_line(change: Callable, words: list[str], study: SmallStudy):
    edit_manifest(study, change)
    with pytest.raises(InputError) as error:
        verify(study)
    assert "\n" not in str(error.value)
    assert [word for word in words if word not in str(error.value)] == []


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "[" * 100_000, '{"suite": 1}'])
def test_something_else_than_a_manifest_is_one_line(text: str, tmp_path: Path):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json") as error:
        verify_results(tmp_path)
    assert "\n" not in str(error.value)


def test_folder_without_a_manifest_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match=r"manifest\.json: no such file"):
        verify_results(tmp_path)


@pytest.mark.parametrize("name", ["", "/a", "a//b", "../a", "a/../b", "a/.", "C:/a", "a\\b", "a\nb", "a/"])
def test_names_that_lead_elsewhere(name: str):
    assert not stays_inside(name)


def test_text_tower_of_a_rounded_encoder_is_not_rounded():
    folder = Folder.__new__(Folder)
    rounded = {"name": "coarse", "model": "m", "precision": "bfloat16", "label": "m, weights w, bfloat16"}
    folder.manifest = {"encoders": {"coarse": rounded}}
    assert folder.identity("coarse") == {"model": "m", "precision": "bfloat16", "label": "m, weights w, bfloat16"}
    assert folder.identity("coarse", text=True) == {"model": "m", "precision": "float32", "label": "m, weights w"}
    assert folder.identity("fine") is None


def test_a_pack_has_its_own_encoders():
    """Whoever packed it, with whatever versions; rounding and storage are two things."""
    stored = {"model": "m", "precision": "bfloat16", "stored": "float16", "label": "m, bfloat16, stored in float16"}
    folder = Folder.__new__(Folder)
    folder.config = {"packs": {"agiqa-3k": "pack.zip"}}
    folder.manifest = {
        "encoders": {"coarse": {"model": "m", "precision": "bfloat16", "label": "m, bfloat16"}},
        "benchmarks": {"agiqa-3k": {"encoders": {"coarse": stored}}, "agiqa-1k": {}},
    }
    assert folder.identity("coarse", benchmark="agiqa-3k") == stored
    text = folder.identity("coarse", text=True, benchmark="agiqa-3k")
    assert text == stored | {"precision": "float32", "label": "m, stored in float16"}
    assert folder.identity("coarse", benchmark="agiqa-1k") == folder.identity("coarse")
    assert folder.identity("fine", benchmark="agiqa-3k") is None


def test_benchmarks_stand_in_the_configurations_order():
    """Which of them curves are drawn of depends on it."""
    folder = Folder.__new__(Folder)
    folder.config = {"benchmarks": ["agiqa-3k", "agiqa-1k", "unheard-of"]}
    present = {"status": "present"}
    folder.manifest = {"benchmarks": {"agiqa-1k": present, "agiqa-3k": present, "aigiqa-20k": present}}
    assert folder.present == ["agiqa-3k", "agiqa-1k", "aigiqa-20k"]


def test_manifest_of_recipes_of_another_shape_is_said(study: SmallStudy):
    edit_manifest(study, lambda manifest: manifest["code"].update(fingerprint="c0ffee"))
    edit_manifest(study, lambda manifest: manifest["recipes"]["slow"]["values"].update(unheard_of=1))
    verdict = verify(study)
    assert any("recipes of another version's shape" in note for note in verdict.notes)
