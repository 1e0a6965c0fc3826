from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_manifest import CONFIG, FINGERPRINT, planted
from results_tables import table_of
from small_study import SmallStudy
from tampering import assert_found, edit_table, rehash, verify

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_json, write_table, write_text
from mstclipiqa.base.layout import METRICS, SAMPLES, SPLITS
from mstclipiqa.evaluation.per_run import evaluate_runs
from mstclipiqa.model.variants import get_variant
from mstclipiqa.provenance import folder, run_checks
from mstclipiqa.provenance.folder import PAPER_FILES, Folder
from mstclipiqa.provenance.run_checks import check_claims, check_metrics, check_runs, check_statistics, count_parameters


@pytest.mark.parametrize("by", [0.01, 3e-6])
def test_fit_that_is_not_the_predictions_is_found(by: float, study: SmallStudy):
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[5], "plcc_fitted"] += by

    edit_table(study.results / "metrics.parquet", change)
    rehash(study)
    assert_found(verify(study), "metrics.parquet", "plcc_fitted of agiqa-3k")


# On planted predictions, line for line

AGAIN, CODE, COUNT, TESTED = "delete it and run the workflow again", "abc", 12, 5
RUN = "agiqa-3k/runs/quality/slow/mst-clipiqa.parquet"
STAR = "agiqa-3k/runs/quality/slow/mst-clipiqa-star.parquet"
PROTOCOLS = {"lab-seed1": ["last", "best-on-test"], "grouped1": ["last", "best-on-test", "validation"]}


def configure(manifest: dict) -> None:
    manifest["config"] |= {"protocols": list(PROTOCOLS), "seeds": [0, 1]}
    manifest["outputs"] = {}


def samples() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    quality, correspondence = rng.uniform(0, 5, (2, COUNT))
    images = [f"{number}.png" for number in range(COUNT)]
    return pd.DataFrame({"image": images, "quality": quality, "correspondence": correspondence})


def splits() -> pd.DataFrame:
    roles = {
        "lab-seed1": ["test"] * TESTED + ["train"] * 7,
        "grouped1": ["train"] * 5 + ["test"] * TESTED + ["val"] * 2,
    }
    return pd.concat(
        [samples()[["image"]].assign(protocol=name, split=0, role=role) for name, role in roles.items()],
        ignore_index=True,
    )


def predictions(target: str, variant: str) -> pd.DataFrame:
    rng = np.random.default_rng(len(target + variant))
    tested = splits()[splits()["role"] == "test"].drop(columns="role")
    mos = samples().set_index("image")[target]
    runs = [
        tested[tested["protocol"] == protocol].assign(seed=seed, selection=selection, epoch=1)
        for protocol, selections in PROTOCOLS.items() for seed in (0, 1) for selection in selections
    ]  # fmt: skip
    table = pd.concat(runs, ignore_index=True)
    table["mos"] = table["image"].map(mos)
    return table.assign(prediction=table["mos"] + rng.normal(size=len(table)))


class Runs:
    """A folder of four jobs: `tables` and `described` are written, as they then are, by `check`."""

    def __init__(self, root: Path, change: Callable = configure):
        self.folder = planted(root, change)
        self.folder.samples["agiqa-3k"] = samples(), {"synthetic": True}
        self.folder.splits["agiqa-3k"] = splits()
        self.folder.read = lambda file, kinds: Folder.read(self.folder, file, {"image": "string"})
        self.tables, self.described = {}, {}
        identity = self.folder.identity
        for job in self.folder.jobs:
            self.tables[job.path] = predictions(job.target, job.variant)
            self.described[job.path] = {
                "benchmark": job.benchmark, "target": job.target, "recipe": job.recipe, "variant": job.variant,
                "synthetic": True, "encoders": {"coarse": identity("coarse"), "fine": identity("fine")},
                "text_encoder": identity("coarse", text=True), "code": CODE, "device": "cpu",
                "versions": {"torch": "1.0", "numpy": "1.0"}, "trainable_parameters": 7,
            }  # fmt: skip

    def write(self) -> None:
        for path, table in self.tables.items():
            write_table(self.folder.root / path, table, self.described[path])

    def check(self) -> list[str]:
        self.write()
        check_runs(self.folder)
        return self.folder.verdict.findings


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setattr(folder, "fingerprint", lambda data: FINGERPRINT)
    names = ("mstclipiqa.training.job", *get_variant("mst-clipiqa").modules)
    others = ("mstclipiqa.training.job", *get_variant("mst-clipiqa-star").modules)
    monkeypatch.setattr(run_checks, "fingerprint", lambda *modules: CODE if modules in (names, others) else "")
    monkeypatch.setattr(run_checks, "count_parameters", lambda found, recipe, variant: 7 if recipe == "slow" else 0)
    return Runs(tmp_path)


def test_predictions_that_hold_are_counted(runs: Runs):
    assert runs.check() == [] and runs.folder.verdict.notes == []
    count = 2 * (2 + 3) * TESTED
    assert dict(runs.folder.verdict.counts) == {"prediction files": 4, "predictions": 4 * count}
    assert runs.folder.readable == runs.folder.jobs


def test_predictions_that_are_missing_are_found_by_their_hash(runs: Runs):
    del runs.tables[RUN]
    assert runs.check() == [] and runs.folder.verdict.counts["prediction files"] == 3
    assert len(runs.folder.readable) == 3


def test_predictions_without_splits_are_held_to_their_makers_alone(runs: Runs):
    runs.folder.splits = {}
    assert runs.check() == [] and dict(runs.folder.verdict.counts) == {}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("benchmark", "agiqa-1k", "its benchmark is not that of its place and the manifest (agiqa-1k, not agiqa-3k)"),
        ("target", "other", "its target is not that of its place and the manifest (other, not quality)"),
        ("recipe", "fast", "its recipe is not that of its place and the manifest (fast, not slow)"),
        ("variant", "mlp", "its variant is not that of its place and the manifest (mlp, not mst-clipiqa)"),
        ("synthetic", False, "its synthetic is not that of its place and the manifest (false, not true)"),
        ("encoders", {}, "its encoders is not that of its place and the manifest"),
        ("text_encoder", None, "its text_encoder is not that of its place and the manifest"),
        ("versions", {"torch": "2.0"}, "trained with torch 2.0, and the manifest says 1.0"),
        ("versions", {"mine": "2.0"}, "trained with mine 2.0, and the manifest says None"),
        ("code", "other", "trained by another code than the manifest's, which is this version's"),
        ("trainable_parameters", 8, "says 8 trained parameters; its model has 7"),
        ("device", "cuda", "trained on the device cuda, and the manifest says cpu, GPU none"),
        ("device", None, "trained on the device null, and the manifest says cpu, GPU none"),
    ],
)
def test_predictions_of_something_else_are_named(runs: Runs, key: str, value: object, said: str):
    runs.described[RUN][key] = value
    findings = runs.check()
    assert findings[0] == f"{RUN}: {said}; {AGAIN}"
    of_place = "of its place" in said
    others = [line.partition(": ")[2] for line in findings[1:]]  # of two runs, the first is what most are
    unlike = [f"trained by another code or versions than most runs of mst-clipiqa; {AGAIN}"]
    assert others == (unlike if key in ("code", "versions") else [])
    assert runs.folder.verdict.counts["prediction files"] == (3 if of_place else 4)


def test_the_fine_encoder_is_the_recipes(runs: Runs):
    runs.folder.manifest["recipes"]["slow"]["values"]["fine_stream"] = "retokenised"
    assert len(runs.check()) == 4 and all("its encoders" in line for line in runs.folder.verdict.findings)


@pytest.mark.parametrize(
    ("gpu", "asked", "holds"), [("A100", "auto", True), ("none", "auto", False), ("A100", "cpu", False)]
)
def test_a_gpu_is_the_manifests_and_the_configurations(runs: Runs, gpu: str, asked: str, holds: bool):
    runs.folder.manifest["hardware"]["gpu"], runs.folder.config["training"]["device"] = gpu, asked
    runs.described[RUN]["device"] = "cuda"
    said = f"{RUN}: trained on the device cuda, and the manifest says {asked}, GPU {gpu}; {AGAIN}"
    assert runs.check() == ([] if holds else [said])


def test_a_manifest_without_hardware_has_no_gpu(runs: Runs):
    del runs.folder.manifest["hardware"]
    runs.described[RUN]["device"] = "cuda"
    assert len(runs.check()) == 1


def test_other_code_and_parameters_are_not_held_to_this_version(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "fingerprint", lambda data: "other")
    for described in runs.described.values():
        described |= {"code": "other", "trainable_parameters": 8}
    assert runs.check() == []


def two_recipes(manifest: dict) -> None:
    configure(manifest)
    manifest["recipes"]["fast"] = manifest["recipes"]["slow"]
    manifest["config"]["recipes"] = ["slow", "fast"]


def test_a_run_of_other_versions_than_most_of_its_variant(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "fingerprint", lambda data: "other")
    runs = Runs(tmp_path, two_recipes)
    assert len(runs.tables) == 8
    for path, described in runs.described.items():
        described["code"] = "one" if path.endswith("star.parquet") else "two"
    assert runs.check() == []
    for key, value in (("code", "three"), ("versions", {"torch": "1.0"})):
        runs.folder.verdict.findings.clear()
        held = runs.described[RUN][key]
        runs.described[RUN][key] = value
        unlike = f"{RUN}: trained by another code or versions than most runs of mst-clipiqa; {AGAIN}"
        assert runs.check() == [unlike]
        runs.described[RUN][key] = held


def test_runs_of_trained_encoders_are_by_a_code_of_their_own(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def tuned(manifest: dict) -> None:
        two_recipes(manifest)
        slow, adaptation = manifest["recipes"]["slow"], {"blocks": 1, "rank": None, "learning_rate": 1e-4}
        manifest["recipes"]["fast"] = {**slow, "values": {**slow["values"], "adaptation": adaptation}}

    runs = Runs(tmp_path, tuned)
    codes = {"mstclipiqa.training.job": CODE, "mstclipiqa.training.adapted": "adapted"}
    monkeypatch.setattr(run_checks, "fingerprint", lambda module, *others: codes[module])
    monkeypatch.setattr(run_checks, "count_parameters", lambda found, recipe, variant: 7)
    own = [path for path, described in runs.described.items() if described["recipe"] != "slow"]
    assert len(own) == 4
    other = "trained by another code than the manifest's, which is this version's"
    assert runs.check() == [f"{path}: {other}; {AGAIN}" for path in own]
    for path in own:
        runs.described[path]["code"] = "adapted"
    runs.folder.verdict.findings.clear()
    assert runs.check() == []


def test_parameters_of_trained_encoders_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By hand: all of the coarse encoder; of both their last block, layer norm and projection."""
    monkeypatch.setattr(folder, "fingerprint", lambda data: FINGERPRINT)
    adaptation = {"blocks": 1, "rank": None, "learning_rate": 1e-4}

    def tune(manifest: dict) -> None:
        manifest["recipes"]["slow"]["values"] |= {"adaptation": adaptation}
        for identity in manifest["encoders"].values():
            identity |= {"dim": 256, "text_width": 128}

    w, m, dim, layers, patches = 192, 384, 256, 4, 49
    block = 2 * 2 * w + 3 * w * w + 3 * w + w * w + w + w * m + m + m * w + w
    gff = 2 * (dim * dim + dim) + 2 * dim * 128 + 128 + 128 * dim + dim + 1
    tuned = planted(tmp_path, tune)
    assert count_parameters(tuned, "slow", "mst-clipiqa") == gff + 2 * (block + 2 * w + w * dim)
    adaptation["blocks"] = None
    everything = 3 * 32 * 32 * w + w + (patches + 1) * w + layers * block + 2 * 2 * w + w * dim
    assert count_parameters(planted(tmp_path, tune), "slow", "liqe-frozen") == dim * dim + everything


def test_trained_encoders_that_are_not_known_here_are_not_counted(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise InputError("encoder local-dir:a: give a folder with open_clip_config.json")

    monkeypatch.setattr(run_checks, "count_parameters", refuse)
    assert runs.check() == []
    said = "its trained parameters (encoder local-dir:a: give a folder with open_clip_config.json)"
    assert f"{RUN}: {said}" in runs.folder.verdict.notes


@pytest.mark.parametrize("adaptation", ["all", {}, {"blocks": "x", "rank": None, "learning_rate": 1}, 1])
def test_an_adaptation_of_another_shape_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adaptation: object):
    monkeypatch.setattr(folder, "fingerprint", lambda data: FINGERPRINT)
    spoilt = planted(tmp_path, lambda manifest: manifest["recipes"]["slow"]["values"].update(adaptation=adaptation))
    assert spoilt.study is None
    assert (
        len(spoilt.verdict.findings) == 1
        and "manifest.json, recipe slow: values.adaptation" in spoilt.verdict.findings[0]
    )


def test_texts_are_encoded_in_float32_whatever_the_images_are(runs: Runs, tmp_path: Path):
    def rounded(manifest: dict) -> None:
        configure(manifest)
        for identity in manifest["encoders"].values():
            identity |= {"precision": "bfloat16", "label": f"{identity['label']}, bfloat16"}

    runs = Runs(tmp_path, rounded)
    assert runs.check() == [] and runs.described[RUN]["text_encoder"]["precision"] == "float32"
    assert runs.described[RUN]["encoders"]["coarse"]["precision"] == "bfloat16"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.assign(mos=table["mos"] + 0.01), "mos of "),
        (lambda table: table.iloc[1:], "lacks 1 of 50 rows"),
        (lambda table: table[table["seed"] == 0], "lacks 25 of 50 rows"),
        (lambda table: table[table["selection"] != "best-on-test"], "lacks 20 of 50 rows"),
        (lambda table: table[table["selection"] != "validation"], "lacks 10 of 50 rows"),
        (lambda table: table.replace({"image": {"0.png": "11.png"}}), "lacks 4 of 54 rows"),
        (lambda table: pd.concat([table, table.iloc[:1].assign(split=1)]), "should not have 1 of 51 rows"),
    ],
)
def test_predictions_are_of_what_the_splits_test(runs: Runs, change: Callable, said: str):
    runs.tables[RUN] = change(runs.tables[RUN])
    (line,) = runs.check()
    assert line.startswith(f"{RUN}: {said}") and line.endswith(f"; {AGAIN}")
    assert runs.folder.verdict.counts["prediction files"] == 3


def test_splits_that_test_nothing_hold_no_predictions(runs: Runs):
    runs.folder.splits["agiqa-3k"] = splits().assign(role="train")
    assert runs.check() == [] and runs.folder.verdict.counts["prediction files"] == 0


# Parameters, of the real models


def test_parameters_are_counted_between_the_manifests_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = planted(tmp_path, configure)
    assert count_parameters(found, "slow", "mst-clipiqa") is None  # it says no width of texts
    for role in ("coarse", "fine"):
        found.manifest["encoders"][role] |= {"dim": 8, "text_width": 16}
    hidden = found.study.recipes["slow"].gate_hidden
    expected = 16 * hidden + hidden + 8 * hidden + 8 + 2 * (8 * 8 + 8) + 1
    assert count_parameters(found, "slow", "mst-clipiqa") == expected
    assert count_parameters(found, "slow", "mst-clipiqa-star") > expected
    found.manifest["encoders"]["coarse"]["dim"] = "8"
    assert count_parameters(found, "slow", "mst-clipiqa") is None
    del found.manifest["encoders"]["coarse"]
    assert count_parameters(found, "slow", "mst-clipiqa") is None


# What follows from them


def evaluated(runs: Runs) -> pd.DataFrame:
    """Metrics of the planted predictions; evaluation needs samples and splits beside them."""
    place = runs.folder.root / "agiqa-3k"
    SAMPLES.write(place / "samples.parquet", table_of(SAMPLES, samples()), {"ranges": {}})
    SPLITS.write(place / "splits.parquet", table_of(SPLITS, splits()), {})
    runs.check()
    return evaluate_runs([runs.folder.root / job.path for job in runs.folder.readable], runs.folder.root)


@pytest.fixture
def metrics(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.setattr("mstclipiqa.evaluation.per_run.check_predictions", lambda *_: None)
    runs.folder.read = lambda file, kinds: Folder.read(
        runs.folder, file, kinds if file in LATER else {"image": "string"}
    )
    table = evaluated(runs)
    write_table(runs.folder.root / "metrics.parquet", table, {})
    return table


LATER = ("metrics.parquet", "intervals.parquet", "comparisons.parquet", "generators.parquet")


def test_metrics_that_hold_are_counted_and_kept(runs: Runs, metrics: pd.DataFrame):
    check_metrics(runs.folder)
    assert runs.folder.verdict.findings == [] and runs.folder.verdict.counts["rows of metrics"] == len(metrics) == 40
    assert len(runs.folder.metrics) == 40 and set(METRICS.key) <= set(runs.folder.metrics)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.assign(srcc=table["srcc"] + 1e-6), "srcc of agiqa-3k, "),
        (lambda table: table.iloc[1:], "lacks 1 of 40 rows"),
        (lambda table: table.assign(n="many"), "column n holds string, not integer values"),
    ],
)
def test_metrics_that_are_not_the_predictions_are_found(runs: Runs, metrics: pd.DataFrame, change: Callable, said: str):
    write_table(runs.folder.root / "metrics.parquet", change(metrics), {})
    check_metrics(runs.folder)
    (line,) = runs.folder.verdict.findings
    assert line.startswith(f"metrics.parquet: {said}") and runs.folder.verdict.counts["rows of metrics"] == 0


def test_rows_of_predictions_that_cannot_be_evaluated_are_left_out(runs: Runs, metrics: pd.DataFrame):
    frame = runs.tables[RUN].assign(prediction=1.0)
    write_table(runs.folder.root / RUN, frame, runs.described[RUN])
    write_text(runs.folder.root / STAR, "no table")
    check_metrics(runs.folder)
    assert len(runs.folder.verdict.findings) == 2 and runs.folder.verdict.counts["rows of metrics"] == 20
    constant = next(line for line in runs.folder.verdict.findings if "constant" in line)
    assert constant.endswith(f"; {AGAIN}") and str(runs.folder.root) not in constant
    assert any(line.startswith(f"{STAR}: not a table of this project") for line in runs.folder.verdict.findings)


def test_without_splits_there_are_no_metrics_to_hold(runs: Runs, metrics: pd.DataFrame):
    runs.folder.splits = {}
    check_metrics(runs.folder)
    assert runs.folder.verdict.findings == [] and runs.folder.metrics.empty


def test_a_missing_table_of_metrics_is_found_by_its_hash(runs: Runs, metrics: pd.DataFrame):
    (runs.folder.root / "metrics.parquet").unlink()
    check_metrics(runs.folder)
    assert runs.folder.verdict.findings == [] and len(runs.folder.metrics) == 40


def test_statistics_are_computed_again(runs: Runs, metrics: pd.DataFrame, monkeypatch: pytest.MonkeyPatch):
    check_metrics(runs.folder)
    made = [
        pd.DataFrame({name: ["a"] for name in entry.key} | {"value": [float(number)]})
        for number, entry in enumerate(run_checks.TABLES)
    ]
    asked = []
    monkeypatch.setattr(
        run_checks, "compare_runs", lambda rows, root, workers: asked.append((rows, root, workers)) or made
    )
    for table, entry in zip(made, run_checks.TABLES, strict=True):
        write_table(runs.folder.root / entry.path, table, {})
    check_statistics(runs.folder)
    assert asked[0][0] is runs.folder.metrics and asked[0][1:] == (runs.folder.root, runs.folder.workers)
    assert runs.folder.verdict.findings == [] and runs.folder.verdict.notes == []
    counts = {
        name: runs.folder.verdict.counts[f"rows of {name}"] for name in ("intervals", "comparisons", "generators")
    }
    assert counts == dict.fromkeys(counts, 1)
    for table, entry in zip(made, run_checks.TABLES, strict=True):
        write_table(runs.folder.root / entry.path, table.assign(value=9.0), {})
    check_statistics(runs.folder)
    assert [line.split(": value")[0] for line in runs.folder.verdict.findings] == list(LATER[1:])
    check_statistics(runs.folder)
    said = "intervals, paired tests, generators, verdicts: what they rest on does not hold"
    assert len(runs.folder.verdict.findings) == 3 and runs.folder.verdict.notes == [said]


# Verdicts


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder whose claims come out as one verdict."""
    found = planted(tmp_path, configure)
    for name in PAPER_FILES:
        write_text(tmp_path / "config" / name, (CONFIG / name).read_text())
    again = {"claims": [{"id": "one", "verdict": "reproduced", "measured": 0.5}]}

    def document(claims: Path, tables: Path, prior: Path, root: Path, recipes: Path, evidence: frozenset[str]) -> dict:
        config = tmp_path / "config"
        assert [claims, tables, prior] == [config / name for name in PAPER_FILES]
        assert (root, recipes, evidence) == (found.root, config / "recipes", set(found.manifest["outputs"]))
        return again

    monkeypatch.setattr(run_checks, "claims_document", document)
    write_json(found.root / "claims.json", again)
    return found


def test_verdicts_that_hold_are_counted(judged: Folder):
    check_claims(judged)
    assert judged.verdict.findings == [] and judged.verdict.counts["verdicts"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"claims": [{"id": "one", "verdict": "untestable", "measured": 0.5}]}', "verdict of one is not what "),
        ('{"claims": []}', "claims of the document is not what "),
        ("[" * 100_000, "not JSON ("),
        ("no", "not JSON (Expecting value"),
    ],
)
def test_other_verdicts_are_found(judged: Folder, text: str, said: str):
    write_text(judged.root / "claims.json", text)
    check_claims(judged)
    (line,) = judged.verdict.findings
    assert line.startswith(f"claims.json: {said}") and judged.verdict.counts["verdicts"] == 0
    if "not what" in said:
        assert line.endswith(f"is not what {judged.config_folder / 'claims.yaml'} and the runs give; {AGAIN}")
    else:
        assert line.endswith("; restore it, or delete it and run the workflow again")


def test_verdicts_are_not_held_where_something_else_does_not_hold_or_is_not_at_hand(judged: Folder):
    judged.verdict.find("a", "is wrong")
    write_text(judged.root / "claims.json", "no")
    check_claims(judged)
    assert len(judged.verdict.findings) == 1 and judged.verdict.notes == []
    judged.verdict.findings.clear()
    (judged.config_folder / "paper_tables.csv").unlink()
    check_claims(judged)
    judged.config_folder = None
    check_claims(judged)
    assert judged.verdict.findings == []
    said = "verdicts: one of claims.yaml, paper_tables.csv, prior_results.csv is not at hand"
    assert judged.verdict.notes == [said, said]
