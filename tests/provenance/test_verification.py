"""A results folder that holds, and every way in which one is found not to: by an editor who leaves the manifest as it
is, and by one who puts the new hashes into it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_study import SmallStudy

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, sha256, write_json, write_table
from mstclipiqa.cli.main import main
from mstclipiqa.encoders.stores import read_store, write_store
from mstclipiqa.evaluation.per_run import evaluate_runs
from mstclipiqa.provenance import verification
from mstclipiqa.provenance.differences import describe_difference, find_difference
from mstclipiqa.provenance.verification import Verdict, stays_inside, verify_results

RUNS = "agiqa-3k/runs/quality/slow/mst-clipiqa.parquet"
SPLITS, SAMPLES = "agiqa-3k/splits.parquet", "agiqa-3k/samples.parquet"
FINE, PROMPTS = "agiqa-3k/features/fine.safetensors", "agiqa-3k/features/prompts.safetensors"


@pytest.fixture(autouse=True)
def same_code(small_study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that is tested may be edited meanwhile."""
    manifest = json.loads((small_study.results / "manifest.json").read_text())
    monkeypatch.setattr(verification, "fingerprint", lambda **_: manifest["code"]["fingerprint"])


@pytest.fixture
def study(small_study: SmallStudy, tmp_path: Path) -> SmallStudy:
    return small_study.copy(tmp_path / "study")


def edit_table(path: Path, change: Callable[[pd.DataFrame, dict], pd.DataFrame | None]) -> None:
    """Write a table again after `change` of its frame and metadata, which may be in place."""
    frame, metadata = read_table(path)
    changed = change(frame, metadata)
    write_table(path, frame if changed is None else changed, metadata)


def edit_manifest(study: SmallStudy, change: Callable[[dict], object]) -> None:
    path = study.results / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    write_json(path, manifest)


def rehash(study: SmallStudy) -> None:
    """Put the hashes of the files as they are into the manifest."""

    def change(manifest: dict) -> None:
        there = {name: study.results / name for name in manifest["outputs"]}
        manifest["outputs"] = {name: sha256(path) for name, path in there.items() if path.is_file()}

    edit_manifest(study, change)


def verify(study: SmallStudy, **options: object) -> Verdict:
    return verify_results(study.results, **{"config": study.config, **options})


def assert_found(verdict: Verdict, *words: str) -> None:
    """Some finding holds all words; each is one line."""
    assert all("\n" not in line and line.count("; ") for line in verdict.findings), verdict.findings
    assert [line for line in verdict.findings if all(word in line for word in words)], verdict.findings


# What holds


def test_untouched_results_hold(small_study: SmallStudy):
    verdict = verify(small_study, data_root=small_study.data)
    assert verdict.findings == [] and verdict.notes == []
    assert verdict.summary.startswith("2 recipes, ")
    manifest = json.loads((small_study.results / "manifest.json").read_text())
    images = len(read_table(small_study.results / SAMPLES)[0])
    metrics = read_table(small_study.results / "metrics.parquet")[0]
    assert verdict.counts["outputs by hash"] == len(manifest["outputs"])
    assert verdict.counts["samples"] == verdict.counts["images by hash"] == images
    assert verdict.counts["splits"] == 2 and verdict.counts["recipes"] == 2
    assert verdict.counts["rows of metrics"] == len(metrics) == 2 * 2 * 2 * (2 + 3)
    assert verdict.counts["predictions"] == metrics["n"].sum()
    assert verdict.counts["feature stores"] == 5 and verdict.counts["label files"] == 1
    assert verdict.counts["verdicts"] == len(json.loads((small_study.results / "claims.json").read_text())["claims"])


def test_results_of_other_code_are_no_finding_but_said(study: SmallStudy):
    edit_manifest(study, lambda manifest: manifest["code"].update(fingerprint="c0ffee", commit="abc"))
    verdict = verify(study)
    assert verdict.findings == []
    assert any("commit abc, and this is another" in note for note in verdict.notes)


def test_copied_elsewhere_it_holds_still_and_what_cannot_be_checked_is_said(study: SmallStudy, tmp_path: Path):
    moved = shutil.move(study.results, tmp_path / "elsewhere")
    verdict = verify_results(Path(moved))
    assert verdict.findings == []
    assert [word for word in ("label files", "recipes", "verdicts") if word not in " ".join(verdict.notes)] == []


def test_file_that_no_one_asked_for_is_no_finding_but_said(study: SmallStudy):
    (study.results / "mine.txt").write_text("a note")
    (study.results / "logs").mkdir()
    (study.results / "logs" / "train.log").write_text("a log")
    verdict = verify(study)
    assert verdict.findings == []
    assert any("1 files" in note and "mine.txt" in note for note in verdict.notes)


# What was edited, with and without the manifest's knowledge


def edit_prediction(study: SmallStudy) -> None:
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[3], "prediction"] += 1.0

    edit_table(study.results / RUNS, change)


def edit_metric(study: SmallStudy) -> None:
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[5], "plcc"] += 1e-6

    edit_table(study.results / "metrics.parquet", change)


def edit_mos(study: SmallStudy) -> None:
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[3], "mos"] += 0.01

    edit_table(study.results / RUNS, change)


def edit_label(study: SmallStudy) -> None:
    """Of an image that is tested somewhere."""
    image = read_table(study.results / RUNS)[0]["image"].iloc[0]

    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame["image"] == image, "quality"] += 0.01

    edit_table(study.results / SAMPLES, change)


def edit_training_label(study: SmallStudy) -> None:
    tested = read_table(study.results / RUNS)[0]["image"]

    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[~frame["image"].isin(tested)][0], "quality"] += 0.01

    edit_table(study.results / SAMPLES, change)


def edit_split(study: SmallStudy) -> None:
    """Exchange a training and a test image."""

    def change(frame: pd.DataFrame, _: dict) -> None:
        lab = frame[frame["protocol"] == "lab-seed1"]
        chosen = [lab.index[lab["role"] == role][0] for role in ("train", "test")]
        frame.loc[chosen, "role"] = ["test", "train"]

    edit_table(study.results / SPLITS, change)


def edit_leakage(study: SmallStudy) -> None:
    def change(_: pd.DataFrame, metadata: dict) -> None:
        metadata["protocols"]["lab-seed1"][0]["test_prompts_in_train"] = 0

    edit_table(study.results / SPLITS, change)


def edit_interval(study: SmallStudy) -> None:
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[1], "srcc_low"] += 0.05

    edit_table(study.results / "intervals.parquet", change)


def edit_p_value(study: SmallStudy) -> None:
    edit_table(study.results / "comparisons.parquet", lambda frame, _: frame.assign(p_holm=frame["p_holm"] / 20))


def edit_verdict(study: SmallStudy) -> None:
    path = study.results / "claims.json"
    document = json.loads(path.read_text())
    document["claims"][7]["verdict"] = "reproduced"
    write_json(path, document)


def swap_recipe(study: SmallStudy) -> None:
    shutil.copy(study.runs("fast"), study.runs("slow"))


def swap_recipe_and_say_so(study: SmallStudy) -> None:
    """The predictions of the other recipe under the description of this one."""
    other, _ = read_table(study.runs("fast"))
    edit_table(study.runs("slow"), lambda *_: other)


def swap_target(study: SmallStudy) -> None:
    shutil.copy(study.runs(target="correspondence"), study.runs())


def other_seed(study: SmallStudy) -> None:
    edit_table(study.results / RUNS, lambda frame, _: frame.assign(seed=1))


def other_code(study: SmallStudy) -> None:
    edit_table(study.results / RUNS, lambda _, metadata: metadata.update(code="c0ffee"))


def other_encoder(study: SmallStudy) -> None:
    edit_table(study.results / RUNS, lambda _, metadata: metadata["encoders"]["fine"].update(weights_sha256="c0ffee"))


def drop_images(study: SmallStudy) -> None:
    """Those that were predicted worst."""

    def change(frame: pd.DataFrame, _: dict) -> pd.DataFrame:
        return frame[(frame["prediction"] - frame["mos"]).abs().rank() < len(frame) - 3]

    edit_table(study.results / RUNS, change)


def edit_store(study: SmallStudy, file: str, change: Callable[[dict], object]) -> None:
    tensors, metadata = read_store(study.results / file)
    change(metadata)
    write_store(study.results / file, tensors, metadata)


def features_of_another_encoder(study: SmallStudy) -> None:
    edit_store(study, FINE, lambda metadata: metadata["encoder"].update(weights_sha256="c0ffee"))


def features_of_other_images(study: SmallStudy) -> None:
    edit_store(study, FINE, lambda metadata: metadata["images"].reverse())


def other_prompts(study: SmallStudy) -> None:
    edit_store(study, PROMPTS, lambda metadata: metadata["texts"].reverse())


#: By edit: the file that is not the manifest's, and what a knowing editor is found out by.
EDITS = {
    edit_prediction: (RUNS, ["metrics.parquet", RUNS, "computed again"]),
    edit_metric: ("metrics.parquet", ["metrics.parquet", "plcc of agiqa-3k", "computed again (1 of 40 differ)"]),
    edit_mos: (RUNS, [RUNS, "mos of"]),
    edit_label: (SAMPLES, [RUNS, "mos of"]),
    edit_training_label: (SAMPLES, [SAMPLES, "of quality of its MOS"]),
    edit_split: (SPLITS, [SPLITS, "role of lab-seed1, 0"]),
    edit_leakage: (SPLITS, [SPLITS, "leakage"]),
    edit_interval: ("intervals.parquet", ["intervals.parquet", "srcc_low of agiqa-3k"]),
    edit_p_value: ("comparisons.parquet", ["comparisons.parquet", "p_holm of agiqa-3k"]),
    edit_verdict: ("claims.json", ["claims.json", "verdict of"]),
    swap_recipe: (RUNS, [RUNS, "its recipe", "(fast, not slow)"]),
    swap_recipe_and_say_so: (RUNS, ["metrics.parquet", RUNS, "computed again"]),
    swap_target: (RUNS, [RUNS, "its target", "(correspondence, not quality)"]),
    other_seed: (RUNS, [RUNS, "lacks"]),
    other_code: (RUNS, [RUNS, "another code"]),
    other_encoder: (RUNS, [RUNS, "its encoders"]),
    drop_images: (RUNS, [RUNS, "lacks"]),
    features_of_another_encoder: (FINE, [FINE, "another encoder"]),
    features_of_other_images: (FINE, [FINE, "other images"]),
    other_prompts: (PROMPTS, [PROMPTS, "other images or prompts"]),
}


@pytest.mark.parametrize("edit", [edit_prediction, edit_metric, edit_split], ids=lambda edit: edit.__name__)
def test_edit_is_found_by_its_hash(edit: Callable, study: SmallStudy):
    file, _ = EDITS[edit]
    edit(study)
    assert_found(verify(study), file, "SHA-256 is not the one in the manifest")


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_edit_with_a_new_hash_is_found_by_what_it_says(edit: Callable, study: SmallStudy):
    _, words = EDITS[edit]
    edit(study)
    rehash(study)
    verdict = verify(study)
    assert_found(verdict, *words)
    assert not [line for line in verdict.findings if "SHA-256" in line]


def test_label_changed_throughout_is_found_with_the_data_alone(study: SmallStudy):
    """Whoever makes all that follows anew leaves nothing in the folder to find; the label file tells."""
    edit_label(study)

    def describe(frame: pd.DataFrame, card: dict) -> None:
        card["mos"]["quality"] = {key: float(frame["quality"].agg(key)) for key in ("min", "max", "mean", "std")}

    edit_table(study.results / SAMPLES, describe)
    moved = read_table(study.results / SAMPLES)[0].set_index("image")["quality"]
    runs = sorted(study.results.glob("agiqa-3k/runs/*/*/*.parquet"))
    for path in study.results.glob("agiqa-3k/runs/quality/*/*.parquet"):
        edit_table(path, lambda frame, _: frame.assign(mos=frame["image"].map(moved)))
    write_table(study.results / "metrics.parquet", evaluate_runs(runs, study.results), {})
    arguments = ["--metrics", study.results / "metrics.parquet", "--results", study.results, "--out", study.results]
    assert CliRunner().invoke(main, ["compare", *map(str, arguments)]).exit_code == 0
    rehash(study)
    assert [line for line in verify(study).findings if "claims.json" not in line] == []
    assert_found(verify(study, data_root=study.data), SAMPLES, "quality of", "computed again (1 of 96 differ)")


# What is missing, added or cut


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


@pytest.mark.parametrize(
    "file", [RUNS, "metrics.parquet", SAMPLES, SPLITS, FINE, PROMPTS, "intervals.parquet", "claims.json"]
)
def test_truncated_file_is_found_even_with_its_hash(file: str, study: SmallStudy):
    path = study.results / file
    path.write_bytes(path.read_bytes()[:-100])
    rehash(study)
    assert_found(verify(study), file)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        (RUNS, lambda frame, _: frame.assign(prediction=frame["prediction"].astype(str))),
        (RUNS, lambda frame, _: frame.assign(image=[["a list"]] * len(frame))),
        (RUNS, lambda frame, _: frame.assign(image=None)),
        (RUNS, lambda frame, _: frame.assign(split=frame["split"] + 0.5)),
        (RUNS, lambda frame, _: frame.assign(prediction=1.0)),
        (RUNS, lambda frame, _: frame.assign(prediction=np.nan)),
        (RUNS, lambda frame, _: frame.drop(columns="mos")),
        (RUNS, lambda frame, _: frame.iloc[:0]),
        (RUNS, lambda frame, _: pd.concat([frame, frame])),
        (RUNS, lambda _, metadata: metadata.clear()),
        (RUNS, lambda _, metadata: metadata.update(recipe=["a list"], encoders="none")),
        (SPLITS, lambda frame, _: frame.iloc[:0]),
        (SPLITS, lambda frame, _: frame.assign(role="test")),
        (SPLITS, lambda frame, _: frame.assign(role=3)),
        (SPLITS, lambda _, metadata: metadata.update(protocols=["a list"])),
        (SAMPLES, lambda frame, _: frame.assign(quality="good")),
        (SAMPLES, lambda frame, _: frame.assign(image="one")),
        (SAMPLES, lambda frame, _: frame.iloc[:5]),
        (SAMPLES, lambda _, metadata: metadata.clear()),
        ("metrics.parquet", lambda frame, _: frame.assign(srcc="high")),
        ("metrics.parquet", lambda frame, _: frame.drop(columns="file")),
        ("metrics.parquet", lambda frame, _: pd.concat([frame, frame.iloc[:1]])),
        ("metrics.parquet", lambda frame, _: frame.iloc[1:]),
        ("intervals.parquet", lambda frame, _: frame.iloc[:0]),
    ],
)  # fmt: skip
def test_table_of_something_else_is_a_finding(file: str, change: Callable, study: SmallStudy):
    edit_table(study.results / file, change)
    rehash(study)
    assert_found(verify(study), file)


# What it was made from


def test_changed_label_file_is_found(study: SmallStudy):
    path = study.data / "agiqa-3k" / "data.csv"
    path.write_text(path.read_text() + "\n")
    assert_found(verify(study, data_root=study.data), str(path), "SHA-256")


def test_changed_image_is_found(study: SmallStudy):
    path = study.data / "agiqa-3k" / read_table(study.results / SAMPLES)[0]["path"].iloc[4]
    path.write_bytes(path.read_bytes() + b"\0")
    assert_found(verify(study, data_root=study.data), SAMPLES, f"sha256 of {path.name}")


def test_missing_inputs_are_found(study: SmallStudy):
    path = study.data / "agiqa-3k" / "data.csv"
    image = study.data / "agiqa-3k" / read_table(study.results / SAMPLES)[0]["path"].iloc[4]
    image.unlink()
    assert_found(verify(study, data_root=study.data), image.name, "not found")
    path.unlink()
    assert_found(verify(study, data_root=study.data), str(path), "is missing")


def test_other_recipe_than_the_file_is_found(study: SmallStudy):
    path = study.config / "recipes" / "slow.yaml"
    path.write_text(path.read_text().replace("0.0002", "0.0003"))
    assert_found(verify(study), "manifest.json", "recipe slow has learning_rate 0.0002", "0.0003")


# The manifest


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


# Numbers


def test_fit_that_rounding_decides_is_said_and_no_finding(study: SmallStudy, monkeypatch: pytest.MonkeyPatch):
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[5], "plcc_fitted"] += 0.01

    edit_table(study.results / "metrics.parquet", change)
    rehash(study)
    assert_found(verify(study), "metrics.parquet", "plcc_fitted of agiqa-3k")
    monkeypatch.setattr(verification, "plcc_fitted", lambda prediction, _: prediction[0] * 1e12)
    verdict = verify(study)
    assert not [line for line in verdict.findings if "metrics.parquet" in line]
    assert any(note.startswith("1 fitted PLCC") for note in verdict.notes)


def test_tables_differ_by_more_than_rounding():
    again = pd.DataFrame({"key": ["a", "b"], "value": [1.0, np.nan], "word": ["x", "y"]})
    assert describe_difference(again.iloc[::-1], again, ["key"]) is None
    assert describe_difference(again.assign(value=[1 + 1e-12, np.nan]), again, ["key"]) is None
    assert "value of a is 1.001" in describe_difference(again.assign(value=[1.001, np.nan]), again, ["key"])
    assert "value of b is 0.0, and nan" in describe_difference(again.assign(value=[1, 0.0]), again, ["key"])
    assert "word of b is z, and y" in describe_difference(again.assign(word=["x", "z"]), again, ["key"])
    assert "lacks 1 of 2 rows, e.g. b" in describe_difference(again.iloc[:1], again, ["key"])
    assert "should not have 1 of 2 rows, e.g. b" in describe_difference(again, again.iloc[:1], ["key"])


def test_documents_differ_by_more_than_rounding():
    again = {"claims": [{"id": "one", "measured": 0.5, "files": ["a"]}, {"id": "two", "measured": None, "files": []}]}
    assert find_difference(json.loads(json.dumps(again)), again) is None
    for change, where in (
        (lambda d: d["claims"][0].update(measured=0.6), "measured of one"),
        (lambda d: d["claims"][1].update(measured=0.0), "measured of two"),
        (lambda d: d["claims"][0].update(files=["b"]), "files of one, 0"),
        (lambda d: d["claims"].pop(), "claims of the document"),
    ):
        changed = json.loads(json.dumps(again))
        change(changed)
        assert find_difference(changed, again) == where
    assert find_difference({"claims": [{"measured": 0.5 + 1e-12}]}, {"claims": [{"measured": 0.5}]}) is None


# Damage at random


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_is_found_and_never_a_traceback(seed: int, study: SmallStudy):
    """One file of the folder with some bytes changed, its new hash in the manifest half of the time."""
    rng = np.random.default_rng(seed)
    names = sorted(json.loads((study.results / "manifest.json").read_text())["outputs"])
    path = study.results / names[rng.integers(len(names))]
    damaged = np.frombuffer(path.read_bytes(), np.uint8).copy()
    damaged[rng.integers(0, len(damaged), 20)] ^= rng.integers(1, 256, 20, dtype=np.uint8)
    path.write_bytes(damaged.tobytes())
    if seed % 2:
        rehash(study)
        verify(study)  # what only a hash guards may pass
    else:
        assert_found(verify(study), path.relative_to(study.results).as_posix())


# The verb


def test_verb_says_what_was_checked(small_study: SmallStudy):
    arguments = ["verify", small_study.results, "--config", small_study.config, "--data-root", small_study.data]
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{small_study.results} holds: 2 recipes, ") and done.stdout.count("\n") == 1
    assert "40 rows of metrics" in done.stdout


def test_verb_says_what_does_not_hold(study: SmallStudy):
    edit_prediction(study)
    done = CliRunner().invoke(main, ["verify", str(study.results), "--config", str(study.config)])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert f"{RUNS}: its SHA-256 is not the one in the manifest; restore it" in done.stdout
    assert done.stderr.startswith(f"Error: {study.results}: does not hold (") and done.stderr.count("\n") == 1
