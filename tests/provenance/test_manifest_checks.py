import json
import shutil
from collections.abc import Callable

import pytest
from small_study import SmallStudy
from tampering import FINE, PROMPTS, RUNS, SAMPLES, SPLITS, assert_found, edit_manifest, edit_table, rehash, verify

from mstclipiqa.base.files import sha256, write_json


def swap_titles(manifest: dict) -> None:
    """The page would give one model's numbers to the other."""
    one, other = (manifest["variants"][name] for name in ("mst-clipiqa", "mst-clipiqa-star"))
    one["title"], other["title"] = other["title"], one["title"]


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


@pytest.mark.parametrize(
    "file",
    [
        *(RUNS, "metrics.parquet", "intervals.parquet", SAMPLES, SPLITS, FINE, PROMPTS),
        *("claims.json", "efficiency.parquet", "curves.parquet", "probe/slow/gates.parquet"),
        *("agiqa-3k/baselines.parquet", "levels/slow.safetensors", "levels/zero_shot.safetensors"),
    ],
)
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
        # what held on commit eac8ac7
        (swap_titles, ["manifest.json", "variant mst-clipiqa is called and described otherwise"]),
        (lambda m: m["benchmarks"]["agiqa-1k"].update(title="KonIQ"), ["manifest.json", "title of benchmark agiqa-1k"]),
        (lambda m: m["benchmarks"]["agiqa-1k"].update(reason="lost"), ["manifest.json", "agiqa-1k is absent for lost"]),
        (lambda m: m["recipes"]["slow"].update(title="The paper's"), ["manifest.json", "recipe slow has title"]),
        (lambda m: m["recipes"]["slow"].update(source="arXiv"), ["manifest.json", "recipe slow has source arXiv"]),
        (lambda m: m["recipes"]["slow"]["stated"].update(epochs="Section 4"), ["manifest.json", "slow has stated"]),
        (lambda m: m["recipes"]["slow"].update(silent=[]), ["manifest.json", "recipe slow", "silent"]),
        (lambda m: m["recipes"]["slow"]["values"].update(epochs=20), [RUNS, "was trained with epochs 1", "has 20"]),
        (lambda m: m.update(readings=[]), ["manifest.json", "readings"]),
        (lambda m: m.pop("readings"), ["manifest.json", "readings"]),
        (lambda m: m.pop("hardware"), ["manifest.json", "hardware"]),
        (lambda m: m["hardware"].pop("gpu"), ["manifest.json", "hardware"]),
        (lambda m: m["versions"].update(numpy="1.0.0"), [RUNS, "trained with numpy", "the manifest says 1.0.0"]),
        (lambda m: m["versions"].pop("numpy"), ["manifest.json", "versions"]),
        (lambda m: m["config"]["extraction"].update(precision="bfloat16"), ["manifest.json", "ran in float32"]),
        (lambda m: m["encoders"]["fine"].update(precision="bfloat16"), ["manifest.json", "ran in bfloat16"]),
        (lambda m: m["encoders"]["fine"].update(name="coarse"), ["manifest.json", "fine calls itself coarse"]),
        (lambda m: m["encoders"].pop("retokenised"), ["manifest.json", "describes no encoder retokenised"]),
        (lambda m: m["benchmarks"]["agiqa-3k"].update(status="absent", reason="x"), ["manifest.json", "no benchmark"]),
    ],
)  # fmt: skip
def test_edited_manifest_is_found(change: Callable, words: list[str], study: SmallStudy):
    edit_manifest(study, change)
    assert_found(verify(study), *words)


def test_titles_of_other_code_are_no_finding_but_said(study: SmallStudy):
    edit_manifest(study, lambda manifest: manifest["code"].update(fingerprint="c0ffee"))
    edit_manifest(study, swap_titles)
    verdict = verify(study)
    assert verdict.findings == []
    assert any("variant mst-clipiqa is called and described otherwise" in note for note in verdict.notes)


def test_runs_on_a_gpu_that_the_manifest_has_not_are_found(study: SmallStudy):
    edit_table(study.results / RUNS, lambda _, metadata: metadata.update(device="cuda"))
    rehash(study)
    assert_found(verify(study), RUNS, "trained on the device cuda", "GPU none")


def test_table_that_a_report_would_show_and_no_one_asked_for_is_found(study: SmallStudy):
    shutil.copy(study.results / "curves.parquet", study.results / "transfer.parquet")
    assert_found(verify(study), "transfer.parquet", "a report would show it")


def test_configuration_that_says_otherwise_is_said(study: SmallStudy):
    """Nothing else in the folder says where the data lay."""
    manifest = json.loads((study.results / "manifest.json").read_text())
    write_json(study.config / "small.yaml", manifest["config"] | {"data_root": "elsewhere"})
    verdict = verify(study)
    assert verdict.findings == []
    assert any("small.yaml has other values of data_root" in note for note in verdict.notes)
