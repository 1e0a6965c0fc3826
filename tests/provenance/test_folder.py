from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from planted_manifest import FINGERPRINT, planted
from small_study import SmallStudy
from tampering import RUNS, edit_manifest, verify

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_table, write_text
from mstclipiqa.provenance import folder
from mstclipiqa.provenance.folder import Folder, Verdict, stays_inside
from mstclipiqa.provenance.verification import verify_results

AGAIN = "delete it and run the workflow again"
RESTORE = "restore it, or delete it and run the workflow again"


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


# On a manifest alone


@pytest.fixture(autouse=True)
def of_the_manifest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "study" not in request.fixturenames:
        monkeypatch.setattr(folder, "fingerprint", lambda data: FINGERPRINT if data == ["."] else "")


def test_a_verdict_says_a_line_for_each_finding_and_counts():
    verdict = Verdict()
    assert (verdict.findings, verdict.notes, verdict.signed_by, verdict.summary) == ([], [], "", "")
    verdict.find("a.parquet", "has  two\nlines")
    verdict.find("b.parquet", "is missing", "copy it")
    assert verdict.findings == [f"a.parquet: has two lines; {AGAIN}", "b.parquet: is missing; copy it"]
    verdict.counts["predictions"] += 12_345
    verdict.counts["splits"] += 2
    assert verdict.summary == "12,345 predictions, 2 splits"


def test_a_folder_knows_what_its_manifest_says(tmp_path: Path):
    found = planted(tmp_path)
    assert (found.root, found.data_root, found.config_folder) == (tmp_path / "results", None, tmp_path / "config")
    assert found.present == ["agiqa-3k"] and found.config["suite"] == "planted" and not found.left_out("a")
    assert (found.samples, found.splits, found.stores, found.readable) == ({}, {}, set(), []) and found.metrics.empty
    assert len(found.jobs) == 2 * 2 and {job.recipe for job in found.jobs} == {"slow"}
    assert found.same_code


def test_a_recorded_study_is_the_manifests_whatever_lies_here(tmp_path: Path):
    study = planted(tmp_path).study
    assert (study.suite, study.drawn, study.data_root) == ("planted", False, Path("data"))
    assert study.benchmarks == ["agiqa-3k"] and study.variants == ["mst-clipiqa", "mst-clipiqa-star"]
    slow = study.recipes["slow"]
    assert (slow.name, slow.title, slow.source, slow.stated, slow.epochs) == ("slow", "Slow", "a test", {}, 2)
    assert len(study.jobs) == 4


def test_a_recorded_study_asks_for_no_folder_that_describes_a_model(tmp_path: Path):
    """It may lie on another machine: how many numbers its features have, the manifest says."""

    def elsewhere(manifest: dict) -> None:
        manifest["config"]["encoders"]["coarse"]["model"] = "local-dir:elsewhere/siglip"

    study = planted(tmp_path, elsewhere).study
    assert study.sizes["coarse"] == 4 and study.ruled_out == {} and study.outputs


def drawn(manifest: dict) -> None:
    manifest["config"]["draw"] = {"seed": 0, "scale": 0.1}


def untitled(manifest: dict) -> None:
    del manifest["recipes"]["slow"]["title"], manifest["recipes"]["slow"]["source"]


def test_a_recorded_study_may_be_drawn_and_its_recipes_untitled(tmp_path: Path):
    assert planted(tmp_path, drawn).study.drawn
    slow = planted(tmp_path, untitled).study.recipes["slow"]
    assert (slow.title, slow.source) == ("", "")


def without_recipe(manifest: dict) -> None:
    manifest["recipes"] = {}


def also_fast(manifest: dict) -> None:
    manifest["config"]["also"] = [{"recipes": ["fast"], "variants": ["mlp"], "benchmarks": ["agiqa-3k"]}]


def absent(manifest: dict) -> None:
    manifest["benchmarks"]["agiqa-3k"].update(status="absent", reason="x")


@pytest.mark.parametrize("change", [without_recipe, also_fast, absent])
def test_what_lacks_a_recipe_or_every_benchmark_is_no_study(tmp_path: Path, change: Callable):
    found = planted(tmp_path, change)
    assert found.study is None and found.verdict == Verdict()


def strange(manifest: dict) -> None:
    manifest["recipes"]["slow"]["values"]["unheard_of"] = 1


def test_recipes_of_another_shape_are_a_finding_of_the_same_code_and_a_note_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = planted(tmp_path, strange)
    assert found.study is None and found.verdict.notes == []
    (line,) = found.verdict.findings
    assert line.startswith("manifest.json: recipes of another version's shape (") and line.endswith(f"); {AGAIN}")
    monkeypatch.setattr(folder, "fingerprint", lambda data: "other")
    found = planted(tmp_path, strange)
    assert found.study is None and found.verdict.findings == []
    assert found.verdict.notes == [f"outputs and controls: {line}"]


def test_what_is_said_otherwise_is_a_finding_of_the_same_code_and_a_note_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = planted(tmp_path)
    found.said_otherwise("titles are given")
    assert found.verdict.findings == [f"manifest.json: titles are given otherwise than this version does; {AGAIN}"]
    assert found.verdict.notes == []
    monkeypatch.setattr(folder, "fingerprint", lambda data: "other")
    found = planted(tmp_path)
    found.said_otherwise("titles are given")
    assert found.verdict.notes == ["titles are given otherwise than this version, which is another"]
    assert found.verdict.findings == []


def read(found: Folder, frame: pd.DataFrame | None, metadata: object = None, **kinds: str) -> object:
    if frame is not None:
        write_table(found.root / "a.parquet", frame, {} if metadata is None else metadata)
    return found.read("a.parquet", kinds or {"a": "integer"})


def test_a_table_is_read_where_it_holds_what_it_should(tmp_path: Path):
    found = planted(tmp_path)
    frame, metadata = read(found, pd.DataFrame({"a": [1], "b": ["x"]}), {"c": 1}, a="integer", b="string")
    assert frame["b"].tolist() == ["x"] and metadata == {"c": 1} and found.verdict.findings == []


@pytest.mark.parametrize(
    ("frame", "metadata", "kinds", "said"),
    [
        (pd.DataFrame({"a": [1.5]}), {}, {}, f"column a holds floating, not integer values; {RESTORE}"),
        (pd.DataFrame({"a": ["x", None]}), {}, {"a": "string"}, f"column a holds string, not string values; {RESTORE}"),
        (pd.DataFrame({"a": [1]}), ["no mapping"], {}, f"no description in its metadata; {RESTORE}"),
        (pd.DataFrame({"b": [1]}), {}, {}, "no column a; this is the table of another step"),
    ],
)
def test_a_table_of_something_else_is_named(tmp_path: Path, frame: object, metadata: object, kinds: dict, said: str):
    found = planted(tmp_path)
    assert read(found, frame, metadata, **kinds) is None
    assert found.verdict.findings == [f"a.parquet: {said}"]


def test_a_table_that_is_none_is_named_and_a_missing_one_is_found_by_its_hash(tmp_path: Path):
    found = planted(tmp_path)
    assert read(found, None) is None and found.verdict.findings == []
    write_text(found.root / "a.parquet", "no table of anything")
    assert read(found, None) is None
    (line,) = found.verdict.findings
    assert line.startswith("a.parquet: not a table of this project (")


def test_numbers_without_a_value_are_what_they_are(tmp_path: Path):
    assert read(planted(tmp_path), pd.DataFrame({"a": [1.5, None]}), a="floating") is not None


def test_tables_are_compared_within_a_tolerance_and_what_to_do_is_said(tmp_path: Path):
    found = planted(tmp_path)
    again = pd.DataFrame({"key": ["x"], "value": [1.0]})
    assert found.compare("a.parquet", again, again, ["key"]) is True and found.verdict.findings == []
    moved = again.assign(value=1.01)
    assert found.compare("a.parquet", moved, again, ["key"], tolerance=0.1) is True
    assert found.compare("a.parquet", moved, again, ["key"]) is False
    assert found.compare("a.parquet", moved, again, ["key"], "mend it") is False
    said = "a.parquet: value of x is 1.01, and 1.0 computed again (1 of 1 differ)"
    assert found.verdict.findings == [f"{said}; {AGAIN}", f"{said}; mend it"]


def test_a_line_names_files_from_the_folder(tmp_path: Path):
    found = planted(tmp_path)
    assert found.shorten(InputError(f"{tmp_path}/results/a:  is\nmissing")) == "a: is missing"


@pytest.mark.parametrize(
    ("key", "name"), [("inputs", "../secret"), ("outputs", "/etc/passwd"), ("outputs", "a/../b"), ("inputs", "")]
)
def test_a_file_outside_the_folder_is_named(tmp_path: Path, key: str, name: str):
    with pytest.raises(InputError) as error:
        planted(tmp_path, lambda manifest: manifest[key].update({name: "0" * 64}))
    path = tmp_path / "results" / "manifest.json"
    assert str(error.value) == f"{path}: {name!r} names a file outside the folder; {AGAIN}"


def test_a_manifest_that_is_none_says_what_to_do(tmp_path: Path):
    path = tmp_path / "manifest.json"
    with pytest.raises(InputError) as error:
        folder.read_manifest(path)
    assert str(error.value) == f"{path}: no such file; name a folder results/<suite>, or a bundle"
    path.write_text("{\n]")
    with pytest.raises(InputError) as error:
        folder.read_manifest(path)
    assert str(error.value).startswith(f"{path}: not JSON (Expecting") and str(error.value).endswith(f"); {AGAIN}")


def test_a_configuration_is_held_to_its_schema_and_called_the_manifests(tmp_path: Path):
    with pytest.raises(InputError, match=r"manifest\.json, config: "):
        planted(tmp_path, lambda manifest: manifest["config"].pop("seeds"))
    with pytest.raises(InputError, match=r"manifest\.json: "):
        planted(tmp_path, lambda manifest: manifest.pop("code"))
    with pytest.raises(InputError, match=r"manifest\.json, config: streams: third is none of the encoders"):
        planted(tmp_path, lambda manifest: manifest["config"].update(streams=["coarse", "third"]))


def test_an_identity_is_a_copy_without_the_role(tmp_path: Path):
    found = planted(tmp_path)
    identity = found.identity("coarse")
    assert "name" not in identity and identity["model"] == "mst-small-32"
    assert found.identity("coarse", text=True) == identity  # it is not rounded
    assert found.identity("twin") is None
