"""What is measured beside the runs, rewritten with new hashes: all of it held on commit eac8ac7."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from planted_manifest import FINGERPRINT, planted
from results_tables import table_of
from small_study import SmallStudy
from tampering import RUNS, assert_found, edit_table, rehash, verify

from mstclipiqa.base import layout
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.base.layout import TRANSFER
from mstclipiqa.provenance import control_checks
from mstclipiqa.provenance import folder as folder_module
from mstclipiqa.provenance.control_checks import RIVAL_TOLERANCE, RUN_TOLERANCE, Controls, check_controls
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
        (BASELINES, lambda frame, metadata: metadata.update(penalties=[]), ["penalties of its metadata"]),
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
    folder.config = {"recipes": ["fast", "other", "slow"], "seeds": [3], "training": {"device": "cpu"}}
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


# On planted tables, line for line


AGAIN = "delete it and run the workflow again"
TESTED, EPOCHS = 3, 2
SOURCES = ("ridge on f_c", "prompt mean")
PROBE = {"recipe": "slow", "variant": "mst-clipiqa", "target": "quality", "benchmark": "agiqa-3k"}
PROBE |= {"protocol": "lab-seed1", "split": 0, "seed": 5, "gates": {"initial": 1}}


class Beside:
    """A folder with all controls of one benchmark, by file: `tables` and `said` are written by `check`."""

    def __init__(self, root: Path):
        self.folder = planted(root, self.configure)
        self.folder.samples["agiqa-3k"] = pd.DataFrame({"image": range(8)}), {"synthetic": False}
        roles = ["test"] * TESTED + ["train"] * 5
        self.folder.splits["agiqa-3k"] = pd.concat([
            pd.DataFrame({"protocol": name, "split": split, "image": range(8), "role": roles})
            for name, split in (("lab-seed1", 0), ("grouped2", 0), ("grouped2", 1))
        ], ignore_index=True)  # fmt: skip
        self.controls = Controls(self.baselines, lambda study: self.tables["efficiency.parquet"])
        self.again: dict[str, object] = {}
        entries = {"coarse", "fine", "statistics", "prompts"}
        self.folder.stores = {f"agiqa-3k/features/{name}.safetensors" for name in entries}
        self.folder.stores.add("levels/zero_shot.safetensors")
        self.tables = {
            BASELINES: self.rivals(), "efficiency.parquet": self.costs(), CURVES: self.curves(),
            READOUT: self.readout(), GATES: self.gates(),
        }  # fmt: skip
        labels = {name: identity["label"] for name, identity in self.folder.manifest["encoders"].items()}
        encoders = {role: {"weights_sha256": role} for role in ("coarse", "fine")}
        self.said = {
            BASELINES: {"benchmark": "agiqa-3k", "synthetic": False, "left_out": [
                {"source": "prompt mean", "target": target, "protocol": "grouped2", "splits": [0, 1]}
                for target in ("quality", "correspondence")
            ]},
            "efficiency.parquet": {"encoders": labels},
            CURVES: {"benchmark": "agiqa-3k", "target": "quality", "protocol": "grouped2", "split": 0, "seed": 5,
                     "learning_rates": {"slow": 5e-6}, "test_images": TESTED,
                     "stopped": [{"recipe": "slow", "learning_rate": 1e-3}]},
            READOUT: PROBE | {"encoders": encoders}, GATES: PROBE | {"encoders": encoders},
        }  # fmt: skip
        run = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "slow", "variant": "mst-clipiqa", "split": 0}
        run |= {"protocol": "grouped2", "seed": 5, "selection": "last", "plcc": 0.1, "n": TESTED}
        others = [
            {"target": "correspondence"}, {"seed": 6}, {"split": 1}, {"protocol": "lab-seed1"},
            {"variant": "mst-clipiqa-star"}, {"benchmark": "agiqa-1k"}, {"recipe": "fast"},
        ]  # fmt: skip
        rows = [
            run | {"epoch": EPOCHS, "srcc": 0.2},
            *(run | other | {"epoch": EPOCHS, "srcc": 0.9} for other in others),
        ]
        self.folder.metrics = pd.DataFrame(rows)

    @staticmethod
    def configure(manifest: dict) -> None:
        manifest["config"] |= {"protocols": ["lab-seed1", "grouped2"], "seeds": [5, 6]}
        manifest["outputs"] = dict.fromkeys([BASELINES, EFFICIENCY, CURVES, READOUT, GATES], "0" * 64)
        manifest["hardware"]["gpu"] = "none"
        for role, identity in manifest["encoders"].items():
            identity["weights_sha256"] = role

    @staticmethod
    def rivals() -> pd.DataFrame:
        rows = [
            {"source": source, "target": target, "protocol": protocol, "split": split, "n": TESTED, "srcc": 0.5,
             "plcc": 0.4}
            for source in SOURCES for target in ("quality", "correspondence")
            for protocol, split in (("lab-seed1", 0), ("grouped2", 0), ("grouped2", 1))
            if source != "prompt mean" or protocol == "lab-seed1"
        ]  # fmt: skip
        return table_of(layout.BASELINES, rows)

    @staticmethod
    def costs() -> pd.DataFrame:
        rows = [
            {"recipe": "slow", "variant": name, "prompt": name.endswith("star"), "trained": 9, "gflops": 1.0}
            for name in ("mst-clipiqa", "mst-clipiqa-star")
        ]
        return table_of(layout.EFFICIENCY, rows)

    @staticmethod
    def curves() -> pd.DataFrame:
        rows = [
            {"recipe": "slow", "variant": "mst-clipiqa", "learning_rate": rate, "epoch": epoch, "role": role,
             "srcc": epoch / 10}
            for rate in (5e-6, 5e-5, 1e-3) for epoch in range(1, EPOCHS + 1) for role in ("train", "test")
            if rate < 1e-3 or epoch == 1
        ]  # fmt: skip
        return table_of(layout.CURVES, rows)

    @staticmethod
    def readout() -> pd.DataFrame:
        rows = [
            {"recipe": "slow", "features": features, "factor": factor, "split": split, "value": 0.5, "chance": 0.2}
            for features in control_checks.PROBED for factor in ("object", "style") for split in (0, 1)
        ]  # fmt: skip
        return table_of(layout.READOUT, rows)

    @staticmethod
    def gates() -> pd.DataFrame:
        numbers = dict.fromkeys(("shift", "shift_sd", "movement", "movement_sd"), 0.1)
        rows = [
            {"recipe": "slow", "artefact": name, "state": state} | numbers
            for state in control_checks.STATES for name in ("none", "blur")
        ]  # fmt: skip
        return table_of(layout.GATES, rows)

    def baselines(self, streams: list[Path], **files: Path) -> tuple[pd.DataFrame, dict]:
        if "error" in self.again:
            raise InputError("coarse features are of other images.")
        assert {name: path.relative_to(self.folder.root).as_posix() for name, path in files.items()} == {
            "coarse": "agiqa-3k/features/coarse.safetensors", "fine": "agiqa-3k/features/fine.safetensors",
            "paired": "agiqa-3k/features/coarse.safetensors", "prompts": "agiqa-3k/features/prompts.safetensors",
            "statistics": "agiqa-3k/features/statistics.safetensors", "texts": "levels/zero_shot.safetensors",
            "samples": "agiqa-3k/samples.parquet", "splits": "agiqa-3k/splits.parquet",
        }  # fmt: skip
        named = self.folder.config.get("streams", [])
        assert streams == [self.folder.root / f"agiqa-3k/features/{name}.safetensors" for name in named]
        return self.again.get("table", self.rivals()), {"benchmark": "agiqa-3k"} | self.again.get("said", {})

    def check(self, controls: bool = True) -> list[str]:
        for file, table in self.tables.items():
            write_table(self.folder.root / file, table, self.said[file])
        check_controls(self.folder, self.controls if controls else None)
        return self.folder.verdict.findings


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Beside:
    monkeypatch.setattr(folder_module, "fingerprint", lambda data: FINGERPRINT)
    return Beside(tmp_path)


def test_controls_that_hold_are_counted(beside: Beside):
    assert beside.check() == [] and beside.folder.verdict.notes == []
    counts = {"rows of baselines": 8, "rows of efficiency": 2, "points of curves": 10, "rows of the probe": 24}
    assert dict(beside.folder.verdict.counts) == counts


def test_controls_that_the_manifest_does_not_name_are_not_read(beside: Beside):
    beside.folder.manifest["outputs"] = {}
    for file in beside.tables:
        beside.tables[file] = beside.tables[file].iloc[:1]
    assert beside.check() == [] and dict(beside.folder.verdict.counts) == {}


def test_without_a_study_nothing_is_held(beside: Beside):
    beside.folder.manifest["recipes"] = {}
    beside.tables[BASELINES] = beside.tables[BASELINES].iloc[1:]
    assert beside.check() == [] and beside.folder.verdict.notes == []


def test_what_the_runs_rest_on_is_said_where_it_does_not_hold(beside: Beside):
    beside.folder.verdict.find("a", "is wrong")
    beside.folder.metrics["srcc"] = 0.7  # which is not looked at then
    assert len(beside.check()) == 1
    assert beside.folder.verdict.notes == ["curves and transfer beside the runs: what they rest on does not hold"]


def test_without_splits_rivals_curves_and_probe_are_not_held(beside: Beside):
    beside.folder.splits = {}
    assert beside.check() == [] and dict(beside.folder.verdict.counts) == {"rows of efficiency": 2}


def test_what_takes_the_analyses_or_features_is_said(beside: Beside):
    assert beside.check(controls=False) == []
    rivals = "rivals of agiqa-3k, but for their rows and counts: no features at hand that hold"
    costs = "parameters and operations: they are counted again by the same code alone"
    assert beside.folder.verdict.notes == [rivals, costs]
    assert not {"rows of baselines", "rows of efficiency"} & beside.folder.verdict.counts.keys()


@pytest.mark.parametrize("store", ["agiqa-3k/features/statistics.safetensors", "levels/zero_shot.safetensors"])
def test_rivals_take_every_store(beside: Beside, store: str):
    beside.folder.stores.remove(store)
    assert beside.check() == [] and len(beside.folder.verdict.notes) == 1


def test_costs_are_counted_again_by_the_same_code_alone(beside: Beside, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder_module, "fingerprint", lambda data: "other")
    assert beside.check() == [] and len(beside.folder.verdict.notes) == 1


def edited(beside: Beside, file: str, change: Callable) -> list[str]:
    frame, said = beside.tables[file].copy(), dict(beside.said[file])
    changed = change(frame, said)
    beside.tables[file], beside.said[file] = changed if isinstance(changed, pd.DataFrame) else frame, said
    return beside.check()


def says(**said: object) -> Callable:
    return lambda _, metadata: metadata.update(said)


def cell(column: str, value: object, row: int = 1) -> Callable:
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[row, column] = value

    return change


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (BASELINES, cell("srcc", 1.5), "srcc of ridge on f_c, quality, grouped2, 0 is 1.5, no number from -1 to 1"),
        (BASELINES, cell("plcc", np.nan), "plcc of ridge on f_c, quality, grouped2, 0 is nan, no number from -1 to 1"),
        (BASELINES, double, 'says ["ridge on f_c", "quality", "lab-seed1", "0"] twice'),
        (BASELINES, cell("n", 4), "n of ridge on f_c, quality, grouped2, 0 is 4, and 3 computed again (1 of 8 differ)"),
        (BASELINES, cut, "lacks 1 of 8 rows, e.g. prompt mean, correspondence, lab-seed1, 0"),
        (BASELINES, says(benchmark="agiqa-1k"), "its benchmark is agiqa-1k, not agiqa-3k"),
        (BASELINES, says(synthetic=True), "its synthetic is true, not false"),
        (BASELINES, says(left_out=3), "does not say what it leaves out"),
        (BASELINES, says(left_out=[{}]), "does not say what it leaves out"),
        (BASELINES, says(left_out=[]), "lacks 4 of 12 rows, e.g. prompt mean, correspondence, grouped2, 0"),
        (
            BASELINES,
            cell("srcc", 0.5 + 2 * RIVAL_TOLERANCE),
            "srcc of ridge on f_c, quality, grouped2, 0 is 0.5002, an",
        ),
        (EFFICIENCY, cell("prompt", False), "prompt of slow, mst-clipiqa-star is False, and True computed again"),
        (EFFICIENCY, cut, "lacks 1 of 2 rows, e.g. slow, mst-clipiqa-star"),
        (EFFICIENCY, says(encoders={}), "counted with other encoders than the manifest's"),
        (EFFICIENCY, says(encoders=3), "counted with other encoders than the manifest's"),
        (CURVES, cell("srcc", -1.5), "srcc of slow, mst-clipiqa, 5e-06, 1, test is -1.5, no number from -1 to 1"),
        (CURVES, says(benchmark="agiqa-1k"), "its benchmark is agiqa-1k, not agiqa-3k"),
        (CURVES, says(target="correspondence"), "its target is correspondence, not quality"),
        (CURVES, says(protocol="lab-seed1"), "its protocol is lab-seed1, not grouped2"),
        (CURVES, says(split=1), "its split is 1, not 0"),
        (CURVES, says(seed=6), "its seed is 6, not 5"),
        (CURVES, says(learning_rates={}), 'its learning_rates is {}, not {"slow": 5e-06}'),
        (CURVES, says(test_images=4), "its test_images is 4, not 3"),
        (CURVES, says(stopped=3), "does not say which runs stopped early"),
        (CURVES, says(stopped=[3]), "does not say which runs stopped early"),
        (CURVES, says(stopped=[]), "lacks 2 of 12 rows, e.g. slow, mst-clipiqa, 0.001, 2, test"),
        (CURVES, cut, None),  # of a run that stopped early
        (CURVES, lambda frame, _: frame.iloc[1:], "lacks 1 of 8 rows, e.g. slow, mst-clipiqa, 5e-06, 1, train"),
        (
            CURVES,
            lambda frame, _: frame[frame["learning_rate"] > 1e-5],
            "has no curve of slow at its own learning rate, ",
        ),
        (CURVES, cell("srcc", 0.25, 3), "SRCC of slow after epoch 2 is [0.25]; the same run of the suite has 0.2"),
        (CURVES, cell("srcc", 0.2 + 0.9 * RUN_TOLERANCE, 3), None),
        (CURVES, cell("srcc", 0.2 + 1.5 * RUN_TOLERANCE, 3), "SRCC of slow after epoch 2 is [0.2000015]; the same run"),
        (READOUT, cell("value", 2.0), "value of f_c, object, 1 is 2.0, no number from -1 to 1"),
        (READOUT, double, 'says ["f_c", "object", "0"] twice'),
        (READOUT, cut, "lacks 1 of 20 rows, e.g. z_trained, style, 1"),
        (READOUT, cell("chance", 0.3, 19), "chance of z_trained, style, 1 is 0.3, and 0.2 computed again"),
        (READOUT, says(split=1), "its split is 1, not 0"),
        (READOUT, says(variant="mlp"), "its variant is mlp, not mst-clipiqa"),
        (READOUT, says(encoders=3), "probes other encoders than the manifest's"),
        (READOUT, says(encoders={"coarse": {"weights_sha256": "coarse"}}), "probes other encoders than the manifest's"),
        (GATES, says(encoders={}), "probes other encoders than the manifest's"),
        (GATES, says(gates={}), 'its gates is {}, not {"initial": 1}'),
        (GATES, cut, "lacks 1 of 4 rows, e.g. trained, blur"),
        (GATES, cell("shift", np.inf), "a shift or movement of the gates is not finite"),
        (GATES, cell("movement_sd", np.nan), "a shift or movement of the gates is not finite"),
    ],
)
def test_each_edit_of_a_control_is_a_line(beside: Beside, file: str, change: Callable, said: str | None):
    findings = edited(beside, file, change)
    if said is None:
        assert findings == []
    else:
        (line,) = findings
        assert line.startswith(f"{file}: {said}") and line.endswith(f"; {AGAIN}")


@pytest.mark.parametrize(
    ("again", "said"),
    [
        ({"error": 1}, "cannot be computed again (coarse features are of other images)"),
        ({"said": {"penalty": 300}}, "penalty of its metadata is not what the features give"),
        (
            {"table": Beside.rivals().assign(srcc=0.6)},
            "srcc of prompt mean, correspondence, lab-seed1, 0 is 0.5, and 0.6",
        ),
        ({"table": Beside.rivals().assign(srcc=0.5 + 0.9 * RIVAL_TOLERANCE)}, None),
    ],
)
def test_rivals_are_held_to_what_the_features_give(beside: Beside, again: dict, said: str | None):
    beside.again = again
    findings = beside.check()
    assert len(findings) == (said is not None)
    assert all(line.startswith(f"{BASELINES}: {said}") and line.endswith(f"; {AGAIN}") for line in findings)
    assert beside.folder.verdict.counts["rows of baselines"] == (0 if said else 8)


def test_rivals_are_computed_on_every_stream_that_is_named(beside: Beside):
    beside.folder.config["streams"] = ["coarse", "retokenised"]
    assert beside.check() == []
    assert beside.folder.verdict.notes == [
        "rivals of agiqa-3k, but for their rows and counts: no features at hand that hold"
    ]
    beside.folder.stores.add("agiqa-3k/features/retokenised.safetensors")
    assert beside.check() == [] and beside.folder.verdict.counts["rows of baselines"] == 8


def test_costs_that_cannot_be_counted_again_are_a_finding(beside: Beside):
    def fail(study: object) -> pd.DataFrame:
        raise InputError("encoder fine: is gone.")

    beside.controls = Controls(beside.baselines, fail)
    assert beside.check() == [f"efficiency.parquet: cannot be counted again (encoder fine: is gone); {AGAIN}"]


def test_costs_of_a_model_whose_folder_is_elsewhere_are_not_counted_again(beside: Beside):
    beside.folder.study.config["encoders"]["fine"]["model"] = "local-dir:elsewhere/siglip"
    assert beside.check() == []
    assert "parameters and operations: the folder of local-dir:elsewhere/siglip is not at hand" in (
        beside.folder.verdict.notes
    )
    assert "rows of efficiency" not in beside.folder.verdict.counts


def test_costs_are_held_to_the_models(beside: Beside):
    beside.controls = Controls(beside.baselines, lambda study: Beside.costs().assign(trained=10))
    (line,) = beside.check()
    assert line.startswith(
        "efficiency.parquet: trained of slow, mst-clipiqa is 9, and 10 computed again (2 of 2 differ)"
    )


@pytest.mark.parametrize(
    ("gpu", "device", "held"), [("A100", "auto", False), ("A100", "cpu", True), ("none", "auto", True)]
)
def test_on_a_gpu_a_curve_may_end_elsewhere_than_its_run(beside: Beside, gpu: str, device: str, held: bool):
    beside.folder.manifest["hardware"]["gpu"], beside.folder.config["training"]["device"] = gpu, device
    assert len(edited(beside, CURVES, cell("srcc", 0.25, 3))) == held


def test_curves_without_a_grouped_protocol_are_of_the_first(beside: Beside):
    splits = beside.folder.splits["agiqa-3k"]
    beside.folder.splits["agiqa-3k"] = splits[splits["protocol"] == "lab-seed1"]
    beside.tables[BASELINES] = beside.tables[BASELINES][beside.tables[BASELINES]["protocol"] == "lab-seed1"]
    beside.again["table"] = beside.tables[BASELINES]
    findings = edited(beside, CURVES, says(protocol="lab-seed1"))
    # The run of the suite under this protocol has 0.9.
    assert [line.split(";")[1] for line in findings] == [" the same run of the suite has 0.9"]
