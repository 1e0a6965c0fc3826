"""A results folder that holds, and every way in which one is found not to: by an editor who leaves the manifest as it
is, and by one who puts the new hashes into it."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_study import SmallStudy
from tampering import FINE, PROMPTS, RUNS, SAMPLES, SPLITS, assert_found, edit_table, rehash, verify

from mstclipiqa.base.files import read_table, write_json, write_table
from mstclipiqa.cli.checks import controls
from mstclipiqa.cli.main import main
from mstclipiqa.encoders.stores import read_store, write_store
from mstclipiqa.evaluation.per_run import evaluate_runs
from mstclipiqa.provenance.verification import verify_results

# What holds


#: What verification says that it is at.
STEPS = [
    "the manifest",
    "the hashes of all files",
    "agiqa-3k: samples, splits, features",
    "the levels",
    "the predictions",
    "the metrics",
    "rivals, curves, transfer and costs",
    "dissections",
    "attention to the prompts",
    "intervals and paired tests",
    "the verdicts",
]


def test_untouched_results_hold(small_study: SmallStudy, same_code: None, capsys: pytest.CaptureFixture[str]):
    verdict = verify(small_study, data_root=small_study.data)
    assert verdict.findings == [] and verdict.notes == []
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("verify")]
    assert said == [f"verify: {step} ({number} of {len(STEPS)})" for number, step in enumerate(STEPS, 1)]
    assert verdict.summary.startswith("2 recipes, ")
    manifest = json.loads((small_study.results / "manifest.json").read_text())
    images = len(read_table(small_study.results / SAMPLES)[0])
    metrics = read_table(small_study.results / "metrics.parquet")[0]
    assert verdict.counts["outputs by hash"] == len(manifest["outputs"])
    assert verdict.counts["samples"] == verdict.counts["images by hash"] == images
    assert verdict.counts["splits"] == 2 and verdict.counts["recipes"] == 2
    assert verdict.counts["rows of metrics"] == len(metrics) == 2 * 2 * 2 * (2 + 3)
    assert verdict.counts["predictions"] == metrics["n"].sum()
    assert verdict.counts["feature stores"] == 5 + 3 and verdict.counts["label files"] == 1  # 3 of texts
    for name in ("baselines", "efficiency"):
        table = next(path for path in small_study.results.rglob(f"{name}.parquet") if "timings" not in path.parts)
        assert verdict.counts[f"rows of {name}"] == len(read_table(table)[0]) > 0
    assert verdict.counts["points of curves"] == len(read_table(small_study.results / "curves.parquet")[0])
    assert verdict.counts["rows of the probe"] > 100
    assert verdict.counts["rows of dissections"] > 1000
    assert verdict.counts["rows of attention"] > 100
    assert verdict.counts["verdicts"] == len(json.loads((small_study.results / "claims.json").read_text())["claims"])


def test_copied_elsewhere_it_holds_still_and_what_cannot_be_checked_is_said(study: SmallStudy, tmp_path: Path):
    moved = shutil.move(study.results, tmp_path / "elsewhere")
    verdict = verify_results(Path(moved))
    assert verdict.findings == []
    assert [word for word in ("label files", "recipes", "verdicts") if word not in " ".join(verdict.notes)] == []


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


def edit_leakage(study: SmallStudy, key: str = "test_prompts_in_train") -> None:
    def change(_: pd.DataFrame, metadata: dict) -> None:
        metadata["protocols"]["lab-seed1"][0][key] += 1

    edit_table(study.results / SPLITS, change)


def edit_near_leakage(study: SmallStudy) -> None:
    edit_leakage(study, "test_images_with_near_prompt_in_train")


def edit_same_bytes(study: SmallStudy) -> None:
    edit_leakage(study, "test_images_with_bytes_in_train")


def edit_counts_as(study: SmallStudy) -> None:
    edit_leakage(study, "counts_as")


def edit_interval(study: SmallStudy) -> None:
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[1], "srcc"] += 0.05

    edit_table(study.results / "intervals.parquet", change)


def edit_difference(study: SmallStudy) -> None:
    def change(frame: pd.DataFrame, _: dict) -> pd.DataFrame:
        return frame.assign(difference=frame["difference"] / 20)

    edit_table(study.results / "comparisons.parquet", change)


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
    edit_near_leakage: (SPLITS, [SPLITS, "leakage"]),
    edit_same_bytes: (SPLITS, [SPLITS, "leakage"]),
    edit_counts_as: (SPLITS, [SPLITS, "leakage"]),
    edit_interval: ("intervals.parquet", ["intervals.parquet", "srcc of agiqa-3k"]),
    edit_difference: ("comparisons.parquet", ["comparisons.parquet", "difference of agiqa-3k"]),
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
    others = ("claims.json", "baselines.parquet", "curves.parquet")  # they could be made anew too
    assert [line for line in verify(study).findings if not line.startswith(others) and others[1] not in line] == []
    assert_found(verify(study, data_root=study.data), SAMPLES, "quality of", "computed again (1 of 96 differ)")


# What is missing, added or cut


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


def test_verb_says_what_was_checked(small_study: SmallStudy, same_code: None):
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
    *steps, last = done.stderr.splitlines()
    assert last.startswith(f"Error: {study.results}: does not hold (")
    assert steps and all(line.startswith("verify: ") for line in steps)


# By several processes


def test_workers_change_nothing(study: SmallStudy, capsys: pytest.CaptureFixture[str]):
    """Predictions and metrics are held by processes; what each finds is said in the order of the jobs."""
    edit_prediction(study)
    edit_metric(study)
    files = sorted(study.results.glob("*/runs/*/*/*.parquet"))
    edit_table(files[-1], lambda frame, metadata: metadata.update(code="other"))
    edit_table(files[0], lambda frame, metadata: frame.iloc[1:])
    rehash(study)
    capsys.readouterr()
    one, said = verify(study), capsys.readouterr().err
    two, also = verify(study, workers=2), capsys.readouterr().err
    assert len(one.findings) > 3 and any("metrics.parquet" in line for line in one.findings)
    assert two == one and also == said


def test_controls_can_be_sent_to_processes():
    assert pickle.loads(pickle.dumps(controls())) == controls()
