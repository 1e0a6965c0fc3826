"""What is measured beside the runs, rewritten with new hashes: all of it held on commit eac8ac7."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_study import SmallStudy
from tampering import RUNS, assert_found, edit_table, rehash, verify

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.base.layout import TRANSFER
from mstclipiqa.provenance import control_checks
from mstclipiqa.provenance.folder import Folder, Verdict

BASELINES, READOUT, GATES = "agiqa-3k/baselines.parquet", "probe/slow/readout.parquet", "probe/slow/gates.parquet"
CURVES, EFFICIENCY = "curves.parquet", "efficiency.parquet"


def lower(column: str, by: float = 0.05) -> Callable:
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[1], column] -= by

    return change


def leave_out(frame: pd.DataFrame, metadata: dict) -> pd.DataFrame:
    """The best rival on its worst target, said to be constant."""
    key = frame.sort_values("srcc").iloc[-1][["source", "target", "protocol"]]
    there = (frame[key.index] == key).all(axis=1)
    metadata["left_out"].append(key.to_dict() | {"splits": frame[there]["split"].tolist()})
    return frame[~there]


def own_rate(frame: pd.DataFrame, _: dict) -> None:
    """The last point of a curve that a run of the suite has too."""
    chosen = (frame["recipe"] == "slow") & (frame["learning_rate"] == 2e-4) & (frame["role"] == "test")
    frame.loc[chosen, "srcc"] += 0.01


def double(frame: pd.DataFrame, _: dict) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[:1]])


def cut(frame: pd.DataFrame, _: dict) -> pd.DataFrame:
    return frame.iloc[:-1]


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (BASELINES, lower("srcc"), ["srcc of", "computed again (1 of"]),
        (BASELINES, lower("plcc", 0.001), ["plcc of", "computed again (1 of"]),
        (BASELINES, lower("srcc", 3), ["no number from -1 to 1"]),
        (BASELINES, lower("n", 1), ["n of", "computed again"]),
        (BASELINES, cut, ["lacks 1 of"]),
        (BASELINES, double, ["twice"]),
        (BASELINES, leave_out, ["is not what the features give"]),
        (BASELINES, lambda frame, metadata: metadata.update(left_out=3), ["does not say what it leaves out"]),
        (BASELINES, lambda frame, metadata: metadata.update(penalty=1.0), ["penalty of its metadata"]),
        (BASELINES, lambda frame, metadata: metadata["encoders"].clear(), ["encoders of its metadata"]),
        (EFFICIENCY, lower("trained", 1), ["trained of slow", "computed again"]),
        (EFFICIENCY, lower("total", 1), ["total of slow", "computed again"]),
        (EFFICIENCY, lower("gflops"), ["gflops of slow", "computed again"]),
        (EFFICIENCY, lambda frame, _: frame.assign(encoders="coarse"), ["encoders of fast"]),
        (EFFICIENCY, lambda frame, _: frame.assign(prompt=False), ["prompt of fast"]),
        (EFFICIENCY, cut, ["lacks 1 of"]),
        (EFFICIENCY, lambda _, metadata: metadata["encoders"].update(fine="CLIP"), ["other encoders"]),
        (CURVES, own_rate, ["SRCC of slow after epoch 1", "the same run of the suite has"]),
        (CURVES, cut, ["lacks 1 of"]),
        (CURVES, lower("srcc", 3), ["no number from -1 to 1"]),
        (CURVES, lambda frame, _: frame[frame["learning_rate"] != 2e-4], ["no curve of slow at its own learning rate"]),
        (CURVES, lambda frame, _: frame[frame["recipe"] != "slow"], ["no curve of slow"]),
        (CURVES, lambda frame, metadata: metadata.update(protocol="lab-seed1"), ["its protocol is lab-seed1"]),
        (CURVES, lambda frame, metadata: metadata.update(stopped=3), ["does not say which runs stopped early"]),
        (READOUT, lower("value", 3), ["no number from -1 to 1"]),
        (READOUT, cut, ["lacks 1 of"]),
        (READOUT, lower("chance"), ["chance of"]),
        (READOUT, lambda _, metadata: metadata.update(benchmark="agiqa-1k"), ["its benchmark is agiqa-1k"]),
        (READOUT, lambda _, metadata: metadata["encoders"]["fine"].update(weights_sha256="0"), ["other encoders"]),
        (GATES, cut, ["lacks 1 of"]),
        (GATES, lambda frame, _: frame.assign(shift=np.inf), ["not finite"]),
        (GATES, lambda _, metadata: metadata["gates"]["trained"].update(mean=0.9), ["its gates"]),
        (RUNS, lambda _, metadata: metadata.update(trainable_parameters=9), ["says 9 trained parameters; its model"]),
    ],
)  # fmt: skip
def test_consistent_rewrite_is_found(file: str, change: Callable, words: list[str], study: SmallStudy):
    edit_table(study.results / file, change)
    rehash(study)
    assert_found(verify(study), file, *words)


# Transfer, of which the small study has none


CARRIED = [("agiqa-1k", 5, 20), ("agiqa-3k", 6, 30)]  # name, tested images, images


@pytest.fixture
def carried(tmp_path: Path) -> Folder:
    """A folder of two benchmarks, with a model of each that was carried over to the other."""
    folder = Folder.__new__(Folder)
    folder.root, folder.verdict = tmp_path, Verdict()
    folder.config = {"recipes": ["fast", "slow"], "seeds": [3], "training": {"device": "cpu"}}
    folder.manifest = {"outputs": {"transfer.parquet": ""}, "hardware": {"gpu": "none"}}
    folder.samples = {name: (pd.DataFrame({"image": range(images)}), {}) for name, _, images in CARRIED}
    folder.splits = {
        name: pd.DataFrame({"protocol": "lab-seed1", "split": 0, "role": ["test"] * tested + ["train"] * 9})
        for name, tested, _ in CARRIED
    }
    rows, runs = [], []
    for name, tested, _ in CARRIED:
        for variant in ("mst-clipiqa", "mst-clipiqa-star", "ridge"):
            model = {"variant": variant, "recipe": "" if variant == "ridge" else "slow", "srcc": 0.5, "plcc": 0.4}
            for other, _, images in CARRIED:
                pair = {"train_benchmark": name, "test_benchmark": other, "n": tested if name == other else images}
                rows.append(pair | model)
            run = {"benchmark": name, "target": "quality", "protocol": "lab-seed1", "split": 0, "seed": 3}
            runs.append(run | {"selection": "last"} | model)
    folder.metrics = pd.DataFrame([run for run in runs if run["variant"] != "ridge"])
    metadata = {"target": "quality", "recipe": "slow", "seed": 3}
    metadata["protocols"] = {name: "lab-seed1" for name, _, _ in CARRIED}
    write_table(tmp_path / "transfer.parquet", pd.DataFrame(rows)[list(TRANSFER.columns)], metadata)
    return folder


def check_transfer(folder: Folder) -> Verdict:
    study = SimpleNamespace(transferred=[name for name, _, _ in CARRIED])
    control_checks._check_transfer(folder, study, folder.metrics)
    return folder.verdict


def test_transfer_holds(carried: Folder):
    verdict = check_transfer(carried)
    assert verdict.findings == [] and verdict.counts["rows of transfer"] == 12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lower("n", 1), ["n of agiqa-1k, agiqa-3k", "computed again"]),
        (lower("srcc", 3), ["no number from -1 to 1"]),
        (cut, ["lacks 1 of"]),
        (double, ["twice"]),
        (lambda frame, _: frame.assign(srcc=0.6), ["on agiqa-1k is 0.6; the same run of the suite has 0.5"]),
        (lambda frame, metadata: metadata.update(recipe="fast"), ["its recipe is fast"]),
        (lambda frame, metadata: metadata.update(seed=0), ["its seed is 0"]),
        (lambda frame, metadata: metadata.update(protocols={}), ["its protocols is {}"]),
    ],
)  # fmt: skip
def test_transfer_that_the_runs_contradict_is_found(change: Callable, words: list[str], carried: Folder):
    edit_table(carried.root / "transfer.parquet", change)
    assert_found(check_transfer(carried), "transfer.parquet", *words)


def test_what_takes_features_and_what_takes_the_analyses_is_said(study: SmallStudy):
    notes = verify(study, controls=None).notes
    assert any("rivals of agiqa-3k" in note for note in notes) and any("operations" in note for note in notes)
    (study.results / "agiqa-3k" / "features" / "coarse.safetensors").unlink()
    verdict = verify(study, left_out=lambda name: name.endswith("coarse.safetensors"))
    assert verdict.findings == [] and any("no features at hand" in note for note in verdict.notes)


def test_rivals_whose_features_are_no_features_are_said_and_no_traceback(study: SmallStudy):
    path = study.results / "agiqa-3k" / "features" / "statistics.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    rehash(study)
    verdict = verify(study)
    assert_found(verdict, "statistics.safetensors")
    assert any("rivals of agiqa-3k" in note for note in verdict.notes)


def test_curves_rest_on_the_runs_of_the_suite(small_study: SmallStudy):
    """What the check of curves relies on."""
    curves, _ = read_table(small_study.results / CURVES)
    metrics, _ = read_table(small_study.results / "metrics.parquet")
    own = curves[(curves["recipe"] == "slow") & (curves["learning_rate"] == 2e-4) & (curves["role"] == "test")]
    run = metrics[(metrics["file"] == RUNS) & (metrics["protocol"] == "grouped1") & (metrics["selection"] == "last")]
    assert own["srcc"].tolist() == pytest.approx(run["srcc"].tolist(), abs=1e-12)
