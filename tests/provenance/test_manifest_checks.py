import shutil
from collections.abc import Callable

import pytest
from small_study import SmallStudy
from tampering import FINE, PROMPTS, RUNS, SAMPLES, SPLITS, assert_found, edit_manifest, rehash, verify

from mstclipiqa.base.files import sha256


def test_results_of_other_code_are_no_finding_but_said(study: SmallStudy):
    edit_manifest(study, lambda manifest: manifest["code"].update(fingerprint="c0ffee", commit="abc"))
    verdict = verify(study)
    assert verdict.findings == []
    assert any("commit abc, and this is another" in note for note in verdict.notes)


def test_file_that_no_one_asked_for_is_no_finding_but_said(study: SmallStudy):
    (study.results / "mine.txt").write_text("a note")
    (study.results / "logs").mkdir()
    (study.results / "logs" / "train.log").write_text("a log")
    verdict = verify(study)
    assert verdict.findings == []
    assert any("1 files" in note and "mine.txt" in note for note in verdict.notes)


@pytest.mark.parametrize(
    "file", [RUNS, "metrics.parquet", SAMPLES, SPLITS, FINE, "claims.json", "probe/slow/gates.parquet"]
)
def test_missing_file_is_found(file: str, study: SmallStudy):
    (study.results / file).unlink()
    assert_found(verify(study), file, "is missing")


@pytest.mark.parametrize("file", [RUNS, "metrics.parquet", "intervals.parquet", SAMPLES, SPLITS])
def test_missing_file_that_the_manifest_forgets_is_found(file: str, study: SmallStudy):
    (study.results / file).unlink()
    rehash(study)
    assert_found(verify(study), "manifest.json", f"names no output {file}")


def test_claimed_file_that_nobody_asked_for_is_found(study: SmallStudy):
    added = study.runs(variant="twin")
    shutil.copy(study.runs(), added)
    name = added.relative_to(study.results).as_posix()
    edit_manifest(study, lambda manifest: manifest["outputs"].update({name: sha256(added)}))
    assert_found(verify(study), "manifest.json", name, "does not ask for")


def test_other_recipe_than_the_file_is_found(study: SmallStudy):
    path = study.config / "recipes" / "slow.yaml"
    path.write_text(path.read_text().replace("0.0002", "0.0003"))
    assert_found(verify(study), "manifest.json", "recipe slow has learning_rate 0.0002", "0.0003")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["config"].update(seeds=[0, 1]), [RUNS, "lacks"]),
        (lambda m: m["config"].update(protocols=["lab-seed1"]), ["manifest.json", "protocols"]),
        (lambda m: m["config"].update(recipes=["slow"]), ["manifest.json", "recipes"]),
        (lambda m: m["config"].update(variants=["mst-clipiqa"]), ["manifest.json", "does not ask for"]),
        (lambda m: m["config"].update(suite="other"), ["manifest.json", "suite small", "says other"]),
        (lambda m: m["config"]["encoders"]["fine"].update(weights="random:1"), ["manifest.json", "encoder fine"]),
        (lambda m: m["encoders"]["fine"].update(weights_sha256="c0ffee"), [RUNS, "its encoders"]),
        (lambda m: m["inputs"].update({"agiqa-3k/data.csv": "0" * 64}), [SAMPLES, "other label files"]),
        (lambda m: m["benchmarks"]["agiqa-3k"].update(prompts_truncated=9), [PROMPTS, "truncates"]),
        (lambda m: m["protocols"]["lab-seed1"].update(selection="last"), ["manifest.json", "lab-seed1"]),
    ],
)  # fmt: skip
def test_edited_manifest_is_found(change: Callable, words: list[str], study: SmallStudy):
    edit_manifest(study, change)
    assert_found(verify(study), *words)
