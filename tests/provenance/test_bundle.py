"""A bundle there and back, and bundles that were tampered with or were never one."""

import json
import shutil
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_study import SUITE, SmallStudy, run

from mstclipiqa.base import archives
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, sha256, write_json, write_table
from mstclipiqa.cli.main import main
from mstclipiqa.provenance.bundle import CRATE, LOCK, verify_bundle, write_bundle
from mstclipiqa.provenance.folder import Verdict

RESULTS, REPORTS = f"results/{SUITE}", f"reports/{SUITE}"
RUNS = f"{RESULTS}/agiqa-3k/runs/quality/slow/mst-clipiqa.parquet"
TABLE = f"{REPORTS}/tables/all_metrics.csv"


@pytest.fixture(scope="module")
def study(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """With its report."""
    study = small_study.copy(tmp_path_factory.mktemp("reported") / "study")
    paper = ["--paper-tables", study.config / "paper_tables.csv", "--claims", study.config / "claims.yaml"]
    run("report", "--results", study.results, *paper, "--out", study.reports)
    return study


@pytest.fixture(scope="module")
def bundle(study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "small.zip"
    write_bundle(study.results, study.reports, out)
    return out


@pytest.fixture
def unpacked(bundle: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "unpacked"
    zipfile.ZipFile(bundle).extractall(folder)
    return folder


def pack(folder: Path, out: Path) -> Path:
    return Path(shutil.make_archive(str(out), "zip", folder))


def crate_of(folder: Path) -> dict[str, dict]:
    return {entity["@id"]: entity for entity in json.loads((folder / CRATE).read_text())["@graph"]}


def rehash(folder: Path) -> None:
    """Make manifest and description agree with the files as they are."""
    path = folder / RESULTS / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in manifest["outputs"]:
        if (folder / RESULTS / name).is_file():
            manifest["outputs"][name] = sha256(folder / RESULTS / name)
    write_json(path, manifest)
    entities = crate_of(folder)
    for entity in entities.values():
        if entity["@type"] == "File" and (folder / entity["name"]).is_file():
            entity["sha256"] = sha256(folder / entity["name"])
    write_json(folder / CRATE, {"@graph": [entity for entity in entities.values()]})


def assert_found(verdict: Verdict, *words: str) -> None:
    assert [line for line in verdict.findings if all(word in line for word in words)], verdict.findings


# There and back


def test_bundle_holds_on_another_machine(bundle: Path, study: SmallStudy, tmp_path: Path):
    moved = shutil.copy(bundle, tmp_path / "elsewhere.zip")
    verdict = verify_bundle(Path(moved), config=study.config)
    assert verdict.findings == []
    metrics = read_table(study.results / "metrics.parquet")[0]
    assert verdict.counts["rows of metrics"] == len(metrics) and verdict.counts["predictions"] == metrics["n"].sum()
    assert verdict.counts["files of the bundle by hash"] == len(zipfile.ZipFile(bundle).namelist()) - 1
    assert verdict.counts["tables of the report"] > 10 and verdict.counts["verdicts"]
    stores = list(study.results.rglob("*.safetensors"))
    assert f"{len(stores)} feature stores: not in it" in verdict.notes


def test_bundle_is_held_against_the_data(bundle: Path, study: SmallStudy):
    assert verify_bundle(bundle, study.data, study.config).counts["images by hash"] == 96


def test_bundle_with_features_has_them_checked(study: SmallStudy, tmp_path: Path):
    packed = write_bundle(study.results, study.reports, tmp_path / "all.zip", features=True)
    verdict = verify_bundle(tmp_path / "all.zip", config=study.config)
    assert packed.left_out == 0 and verdict.findings == []
    assert verdict.counts["feature stores"] == 5
    assert not [note for note in verdict.notes if "feature stores" in note]


def test_equal_inputs_give_equal_bytes(bundle: Path, study: SmallStudy, tmp_path: Path):
    copy = study.copy(tmp_path / "copy")
    for path in copy.folder.rglob("*.parquet"):
        path.touch()
    write_bundle(copy.results, copy.reports, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_bundle_holds_what_it_should_and_no_image(bundle: Path, study: SmallStudy):
    with zipfile.ZipFile(bundle) as opened:
        names = opened.namelist()
        assert names == sorted(names)
        assert {info.date_time for info in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        text = opened.read(CRATE).decode() + opened.read(LOCK).decode()
    wanted = ["manifest.json", "metrics.parquet", "claims.json", "agiqa-3k/samples.parquet", "agiqa-3k/splits.parquet"]
    assert {f"{RESULTS}/{name}" for name in wanted} | {RUNS, TABLE, f"{REPORTS}/index.html", CRATE, LOCK} <= set(names)
    packed = {Path(name).suffix for name in names if name.startswith("results/")}
    assert packed == {".json", ".parquet"}
    assert not {Path(name).name for name in names} & set(
        read_table(study.results / "agiqa-3k/samples.parquet")[0]["image"]
    )
    assert str(study.folder) not in text and str(Path.home()) not in text


def test_lock_is_of_what_is_installed(unpacked: Path):
    lines = (unpacked / LOCK).read_text().splitlines()
    assert lines == sorted(lines)
    for name in ("torch", "pandas", "numpy"):
        assert f"{name}=={version(name)}" in lines
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in lines)


def test_description_is_an_ro_crate(unpacked: Path):
    """https://www.researchobject.org/ro-crate/specification/1.1: the root data entity, and every file."""
    document = json.loads((unpacked / CRATE).read_text())
    assert document["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    entities = crate_of(unpacked)
    assert len(entities) == len(document["@graph"])
    descriptor, root = entities[CRATE], entities["./"]
    assert descriptor["@type"] == "CreativeWork" and descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert root["@type"] == "Dataset" and {"name", "description", "datePublished", "license"} <= root.keys()
    assert "AGIQA-3K: MIT" in entities[root["license"]["@id"]]["description"]
    assert "feature stores are left out" in root["description"]
    there = {path.relative_to(unpacked).as_posix(): path for path in unpacked.rglob("*") if path.is_file()}
    assert {part["@id"] for part in root["hasPart"]} == there.keys() - {CRATE}
    for part in root["hasPart"]:
        entity, path = entities[part["@id"]], there[part["@id"]]
        assert entity["@type"] == "File" and entity["encodingFormat"]
        assert (entity["contentSize"], entity["sha256"]) == (str(path.stat().st_size), sha256(path))


def test_date_may_be_given(study: SmallStudy, tmp_path: Path):
    write_bundle(study.results, study.reports, tmp_path / "b.zip", date="2026-01-31")
    crate = json.loads(zipfile.ZipFile(tmp_path / "b.zip").read(CRATE))
    assert [entity["datePublished"] for entity in crate["@graph"] if entity["@id"] == "./"] == ["2026-01-31"]


# What is not bundled


def test_edited_results_are_not_bundled(study: SmallStudy, tmp_path: Path):
    copy = study.copy(tmp_path / "copy")
    copy.runs().write_bytes(copy.runs().read_bytes()[:-1])
    with pytest.raises(InputError, match="missing, or not the manifest's") as error:
        write_bundle(copy.results, copy.reports, tmp_path / "b.zip")
    assert str(copy.runs()) in str(error.value) and not (tmp_path / "b.zip").exists()


def test_lock_that_would_misstate_the_run_is_refused(study: SmallStudy, tmp_path: Path):
    copy = study.copy(tmp_path / "copy")
    path = copy.results / "manifest.json"
    path.write_text(path.read_text().replace(f'"numpy": "{version("numpy")}"', '"numpy": "1.0.0"'))
    with pytest.raises(InputError, match=r"made with numpy 1\.0\.0"):
        write_bundle(copy.results, copy.reports, tmp_path / "b.zip")


def test_folder_without_a_page_is_no_report(study: SmallStudy, tmp_path: Path):
    with pytest.raises(InputError, match=r"no index\.html"):
        write_bundle(study.results, tmp_path, tmp_path / "b.zip")


def test_snakemakes_marks_of_its_folders_are_left_out(study: SmallStudy, tmp_path: Path):
    copy = study.copy(tmp_path / "copy")
    (copy.reports / "figures" / ".snakemake_timestamp").touch()
    write_bundle(copy.results, copy.reports, tmp_path / "b.zip")
    assert not any("snakemake_timestamp" in name for name in zipfile.ZipFile(tmp_path / "b.zip").namelist())


def test_photograph_among_the_figures_is_refused(study: SmallStudy, tmp_path: Path):
    copy = study.copy(tmp_path / "copy")
    (copy.reports / "figures" / "photo.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(InputError, match=r"photo\.jpg: no part of a report"):
        write_bundle(copy.results, copy.reports, tmp_path / "b.zip")


# Tampering


def edit_prediction(folder: Path) -> None:
    frame, metadata = read_table(folder / RUNS)
    frame.loc[3, "prediction"] += 1
    write_table(folder / RUNS, frame, metadata)


def edit_report(folder: Path) -> None:
    path = folder / TABLE
    path.write_text(path.read_text().replace("0.", "0.9", 1))


def remove_predictions(folder: Path) -> None:
    (folder / RUNS).unlink()


def add_file(folder: Path) -> None:
    (folder / RESULTS / "added.txt").write_text("mine")


#: By what was done: the file it is found in by its hash, and what finds it where all hashes were made anew.
TAMPERING = {
    edit_prediction: (RUNS, ["metrics.parquet", "computed again"]),
    edit_report: (TABLE, [TABLE, "not what the results give"]),
    remove_predictions: (RUNS, [RUNS, "missing"]),
    add_file: (f"{RESULTS}/added.txt", ["added.txt", "not in its description"]),
}


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda tamper: tamper.__name__)
@pytest.mark.parametrize("knowing", [False, True])
def test_tampered_bundle_is_found_out(
    tamper: Callable, knowing: bool, unpacked: Path, study: SmallStudy, tmp_path: Path
):
    file, words = TAMPERING[tamper]
    tamper(unpacked)
    if knowing:
        rehash(unpacked)
    verdict = verify_bundle(pack(unpacked, tmp_path / "tampered"), config=study.config)
    assert_found(verdict, *(words if knowing else [file]))


# What is no bundle


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as error:
        verify_bundle(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def test_truncated_bundle_is_one_line(bundle: Path, tmp_path: Path):
    cut = tmp_path / "cut.zip"
    for share in (0.1, 0.5, 0.99):
        cut.write_bytes(bundle.read_bytes()[: int(share * bundle.stat().st_size)])
        assert "get it again" in refusal(cut)


@pytest.mark.parametrize("content", [b"", b"no zip", b"<!doctype html><html>quota</html>"])
def test_something_else_is_one_line(content: bytes, tmp_path: Path):
    path = tmp_path / "b.zip"
    path.write_bytes(content)
    assert "not a zip" in refusal(path)


@pytest.mark.parametrize("name", ["../../escaped.txt", "/escaped.txt", "results/../../escaped.txt", "..\\escaped.txt"])
def test_name_that_leads_out_is_refused(name: str, bundle: Path, tmp_path: Path):
    path = tmp_path / "folder" / "b.zip"
    path.parent.mkdir()
    shutil.copy(bundle, path)
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr(name, "out")
    assert repr(name) in refusal(path)
    assert not list(tmp_path.rglob("escaped.txt"))


def test_bomb_is_refused_before_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MINIMUM", 2**20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(CRATE, bytes(2**24))
    assert "times its size" in refusal(path)


@pytest.mark.parametrize(
    "crate", ["", "[]", "{}", '{"@graph": 3}', '{"@graph": [3]}', '{"@graph": [{"@type": "File"}]}']
)
def test_description_of_something_else_is_one_line(crate: str, unpacked: Path, tmp_path: Path):
    (unpacked / CRATE).write_text(crate)
    assert CRATE in refusal(pack(unpacked, tmp_path / "other"))


def test_zip_of_something_else_is_one_line(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.txt").write_text("mine")
    assert CRATE in refusal(pack(tmp_path / "mine", tmp_path / "other"))


# The verbs


def test_verbs_say_what_is_in_it_and_what_is_not(study: SmallStudy, tmp_path: Path):
    out = tmp_path / "small.zip"
    said = run("bundle", study.results, study.reports, "--out", out)
    assert said.startswith(f"{out}: ") and "feature stores are not in it (--features packs them)" in said
    said = run("verify", out, "--config", study.config)
    assert f"{out} holds: 2 recipes, " in said and "feature stores: not in it" in said


def test_verb_refuses_what_is_no_bundle(tmp_path: Path):
    (tmp_path / "b.zip").write_text("no zip")
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "b.zip")])
    assert done.exit_code == 1 and done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
