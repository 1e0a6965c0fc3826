import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from planted_manifest import FINGERPRINT, planted
from small_study import SmallStudy
from tampering import FINE, PROMPTS, RUNS, SAMPLES, SPLITS, assert_found, edit_manifest, edit_table, rehash, verify

from mstclipiqa.base.files import sha256, write_json, write_text
from mstclipiqa.data.benchmarks import OF_PAPER
from mstclipiqa.provenance import folder
from mstclipiqa.provenance.manifest import PACKAGES
from mstclipiqa.provenance.manifest_checks import HARDWARE, check_manifest, check_outputs


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


# On a manifest alone, line for line


AGAIN = "delete it and run the workflow again"


@pytest.fixture
def same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "fingerprint", lambda data: FINGERPRINT)


def found_in(tmp_path: Path, change: Callable = lambda manifest: None, **options: bool) -> folder.Verdict:
    planted_folder = planted(tmp_path, change, **options)
    check_manifest(planted_folder)
    return planted_folder.verdict


def test_a_manifest_that_holds_has_neither_findings_nor_notes(same: None, tmp_path: Path):
    verdict = found_in(tmp_path)
    assert (verdict.findings, verdict.notes, dict(verdict.counts)) == ([], [], {"recipes": 1})


def test_order_is_no_difference(same: None, tmp_path: Path):
    def turn(manifest: dict) -> None:
        for key in ("variants", "protocols", "benchmarks", "versions", "hardware"):
            manifest[key] = dict(reversed(manifest[key].items()))
        manifest["recipes"]["slow"]["silent"].reverse()
        manifest["config"]["protocols"].reverse()

    assert found_in(tmp_path, turn).findings == []


def set_to(*path: str, value: object) -> Callable[[dict], None]:
    def change(manifest: dict) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        if value is None:
            del manifest[path[-1]]
        else:
            manifest[path[-1]] = value

    return change


NAMES = json.dumps(sorted(OF_PAPER))
SMALL = '{"model": "mst-small-16", "weights": "embedded"}'
STUDY_FILE = "agiqa-3k/samples.parquet"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (set_to("suite", value="other"), ["suite other; the configuration in it says planted"]),
        (set_to("title", value="Other"), ["title Other; the configuration in it says Planted"]),
        (set_to("variants", "mlp", value={}), [
            'variants ["mlp", "mst-clipiqa", "mst-clipiqa-star"]; the configuration in it says '
            '["mst-clipiqa", "mst-clipiqa-star"]',
        ]),
        (set_to("protocols", "lab-seed1", "selection", value="last"), [
            "protocol lab-seed1 is described otherwise than this version does"
        ]),
        (set_to("protocols", "random3", value={}), ["protocols [", "the configuration in it says ["]),
        (set_to("benchmarks", "koniq", value={"title": "K", "status": "absent", "reason": "x"}), [
            "benchmarks [", f"there are {NAMES}"
        ]),
        (set_to("benchmarks", "agiqa-1k", "status", value="present"), [
            "benchmark agiqa-1k is present, and not in the configuration", "names no output agiqa-1k/samples.parquet"
        ]),
        (set_to("benchmarks", "agiqa-3k", "status", value="absent"), [
            "no benchmark is present", "agiqa-3k is absent for null; the configuration says no folder data/agiqa-3k"
        ]),
        (set_to("benchmarks", "agiqa-3k", "title", value="KonIQ"), [
            "the title of benchmark agiqa-3k is KonIQ, not AGIQA-3K"
        ]),
        (set_to("benchmarks", "agiqa-1k", "reason", value="lost"), [
            "agiqa-1k is absent for lost; the configuration says not selected in this configuration"
        ]),
        (set_to("variants", "mst-clipiqa", "title", value="Ours"), [
            "variant mst-clipiqa is called and described otherwise than this version does"
        ]),
        (set_to("variants", "mst-clipiqa-star", "description", value="best"), [
            "variant mst-clipiqa-star is called and described otherwise than this version does"
        ]),
        (set_to("readings", value=["none"]), ["the readings are given otherwise than this version does"]),
        (set_to("readings", value=None), ["the readings are given otherwise than this version does"]),
        (set_to("versions", PACKAGES[0], value=None), ["versions are listed otherwise than this version does"]),
        (set_to("versions", "mine", value="1"), ["versions are listed otherwise than this version does"]),
        (set_to("hardware", HARDWARE[0], value=None), ["hardware is described otherwise than this version does"]),
        (set_to("hardware", value=None), ["hardware is described otherwise than this version does"]),
        (set_to("hardware", value=["a", "b"]), ["hardware is described otherwise than this version does"]),
        (set_to("encoders", "fine", "model", value="CLIP"), [
            f'encoder fine is {{"model": "CLIP", "weights": "embedded"}}; the configuration in it says {SMALL}'
        ]),
        (set_to("encoders", "fine", "weights", value="random:1"), [
            f'encoder fine is {{"model": "mst-small-16", "weights": "random:1"}}; the configuration in it says {SMALL}'
        ]),
        (set_to("encoders", "fine", "name", value="coarse"), ["encoder fine calls itself coarse"]),
        (set_to("encoders", "fine", "name", value=None), ["encoder fine calls itself null"]),
        (set_to("encoders", "fine", "precision", value="bfloat16"), [
            "encoder fine ran in bfloat16; the configuration says float32"
        ]),
        (set_to("encoders", "mine", value={"model": "m", "weights": "w", "name": "mine", "precision": "float32"}), [
            'encoder mine is {"model": "m", "weights": "w"}; '
            'the configuration in it says {"model": null, "weights": ""}'
        ]),
        (set_to("encoders", "coarse", value=None), [
            "describes no encoder coarse, which the configuration in it needs"
        ]),
        (set_to("encoders", "fine", value=None), ["describes no encoder fine, which the configuration in it needs"]),
        (set_to("outputs", STUDY_FILE, value=None), [
            f"names no output {STUDY_FILE}, which the configuration in it asks for"
        ]),
        (set_to("outputs", "mine.txt", value="0" * 64), [
            "names the output mine.txt, which the configuration in it does not ask for"
        ]),
        (set_to("recipes", "slow", "silent", value=[]), [
            "recipe slow: what its source is silent on is not what is not stated"
        ]),
        (set_to("recipes", "slow", "silent", value=None), [
            "recipe slow: what its source is silent on is not what is not stated"
        ]),
    ],
)  # fmt: skip
def test_each_edit_of_a_manifest_is_a_line(same: None, tmp_path: Path, change: Callable, lines: list[str]):
    verdict = found_in(tmp_path, change)
    assert all(line.startswith("manifest.json: ") and line.endswith(f"; {AGAIN}") for line in verdict.findings)
    for said in lines:
        assert [line for line in verdict.findings if said in line], verdict.findings
    if len(lines) == 1:
        assert len(verdict.findings) == 1, verdict.findings


def test_encoders_that_only_some_recipes_need_may_be_absent(same: None, tmp_path: Path):
    assert found_in(tmp_path, set_to("encoders", "retokenised", value=None)).findings == []


def test_the_encoder_of_texts_is_needed_whichever_it_is(same: None, tmp_path: Path):
    def change(manifest: dict) -> None:
        manifest["config"]["text_encoder"] = "retokenised"
        del manifest["encoders"]["retokenised"]

    said = "describes no encoder retokenised, which the configuration in it needs"
    assert any(said in line for line in found_in(tmp_path, change).findings)


def test_weights_in_a_file_are_known_by_its_name(same: None, tmp_path: Path):
    def change(manifest: dict) -> None:
        manifest["config"]["encoders"]["fine"]["weights"] = "/my/weights.pt"
        manifest["encoders"]["fine"]["weights"] = "weights.pt"

    assert found_in(tmp_path, change).findings == []


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("epochs", 3, 2), ("title", "Quick", "Slow"), ("source", "arXiv", "a test"), ("unheard", 1, None)],
)
def test_a_recipe_that_is_not_its_files_says_where(
    same: None, tmp_path: Path, key: str, value: object, expected: object
):
    def change(manifest: dict) -> None:
        recipe = manifest["recipes"]["slow"]
        if key in ("title", "source"):
            recipe[key] = value
        else:
            recipe["values"][key] = value

    verdict = found_in(tmp_path, change)
    path = tmp_path / "config" / "recipes" / "slow.yaml"
    shown = json.dumps(expected) if not isinstance(expected, str) else expected
    (line,) = [line for line in verdict.findings if "recipe slow has" in line]
    todo = "run the workflow again, or verify beside the recipes it was run with"
    assert line == f"manifest.json: recipe slow has {key} {value}, {path} has {shown}; {todo}"
    assert not verdict.counts["recipes"]


def test_of_two_differences_of_a_recipe_the_first_in_its_order_is_named(same: None, tmp_path: Path):
    def change(manifest: dict) -> None:
        manifest["recipes"]["slow"]["title"], manifest["recipes"]["slow"]["values"]["weight_decay"] = "Quick", 7

    (line,) = found_in(tmp_path, change).findings
    assert "recipe slow has weight_decay 7, " in line


def test_a_recipe_that_says_otherwise_what_is_stated_is_named(same: None, tmp_path: Path):
    verdict = found_in(tmp_path, set_to("recipes", "slow", "stated", value={}))
    assert any("recipe slow has stated {}, " in line for line in verdict.findings)


def test_recipes_that_are_not_at_hand_are_said(same: None, tmp_path: Path):
    verdict = found_in(tmp_path, config=False)
    assert (verdict.findings, verdict.notes) == ([], ["recipes slow: their files are not at hand"])

    def two(manifest: dict) -> None:
        manifest["recipes"] = {name: manifest["recipes"]["slow"] for name in ("slow", "fast", "other")}
        manifest["config"]["recipes"] = ["slow", "fast", "other"]

    assert "recipes fast, other: their files are not at hand" in found_in(tmp_path, two).notes


def test_results_of_another_version_are_said_and_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "fingerprint", lambda data: "other")
    verdict = found_in(tmp_path, set_to("readings", value=[]))
    assert verdict.findings == []
    assert verdict.notes == [
        "whether the code is the same: the results are by version 0.1.0, commit abc, and this is another; numbers that "
        "differ may be its doing",
        "the readings are given otherwise than this version, which is another",
    ]


def test_a_configuration_with_other_values_is_named_and_others_are_not(same: None, tmp_path: Path):
    config = planted(tmp_path).config
    (tmp_path / "config" / "a.yaml").write_text("[no mapping")
    (tmp_path / "config" / "b.yaml").write_text(yaml.safe_dump(config | {"suite": "another", "seeds": [7]}))
    assert found_in(tmp_path).notes == []
    path = tmp_path / "config" / "c.yaml"
    path.write_text(yaml.safe_dump(config | {"seeds": [7], "title": "x"}))
    keys = ", ".join(key for key in config if key in ("title", "seeds"))
    assert found_in(tmp_path).notes == [f"which configuration was run: {path} has other values of {keys}"]
    path.write_text(yaml.safe_dump(config))
    assert found_in(tmp_path).notes == []


@pytest.mark.parametrize("name", ["transfer.parquet", "curves.parquet", "probe/slow/gates.parquet"])
def test_a_table_that_no_one_asked_for_and_a_report_would_show(same: None, tmp_path: Path, name: str):
    def forget(manifest: dict) -> None:
        manifest["outputs"].pop(name, None)

    write_text(tmp_path / "results" / name, "a table")
    findings = found_in(tmp_path, forget).findings
    if name == "transfer.parquet":  # of two benchmarks
        assert findings == [f"{name}: no output of this configuration, and a report would show it; move it away"]
    else:
        assert findings == [f"manifest.json: names no output {name}, which the configuration in it asks for; {AGAIN}"]


# Outputs


def two_outputs(tmp_path: Path) -> folder.Folder:
    def change(manifest: dict) -> None:
        manifest["outputs"] = {name: sha256(tmp_path / "results" / name) for name in ("a.txt", "b.safetensors")}

    for name in ("a.txt", "b.safetensors"):
        write_text(tmp_path / "results" / name, name)
    return planted(tmp_path, change)


def test_outputs_as_the_manifest_says_are_counted(tmp_path: Path):
    found = two_outputs(tmp_path)
    check_outputs(found)
    assert (found.verdict.findings, found.verdict.notes) == ([], [])
    assert found.verdict.summary == "2 outputs by hash"


def test_outputs_that_may_be_missing_are_said_and_others_found(tmp_path: Path):
    found = two_outputs(tmp_path)
    found.left_out = lambda name: name.endswith(".safetensors")
    (found.root / "b.safetensors").unlink()
    write_text(found.root / "a.txt", "other")
    check_outputs(found)
    restore = "restore it, or delete it and run the workflow again"
    assert found.verdict.findings == [f"a.txt: its SHA-256 is not the one in the manifest; {restore}"]
    assert found.verdict.notes == ["1 feature stores: not in it"] and found.verdict.counts["outputs by hash"] == 0


def test_an_output_that_may_be_missing_and_is_not_is_held(tmp_path: Path):
    found = two_outputs(tmp_path)
    found.left_out = lambda name: True
    write_text(found.root / "b.safetensors", "other")
    check_outputs(found)
    assert len(found.verdict.findings) == 1 and found.verdict.notes == []
    assert found.verdict.counts["outputs by hash"] == 1


def test_files_that_the_manifest_does_not_name_are_counted_but_notes(tmp_path: Path):
    found = two_outputs(tmp_path)
    for name in ("z.txt", "c/mine.txt", "logs/train.log", "timings/a.tsv", "data/image.png"):
        write_text(found.root / name, "more")
    check_outputs(found)
    assert found.verdict.notes == ["2 files that the manifest does not name, e.g. c/mine.txt"]
