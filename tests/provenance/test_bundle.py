"""A bundle there and back, and bundles that were tampered with or were never one."""

import json
import shutil
import subprocess
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
from mstclipiqa.provenance import report_checks
from mstclipiqa.provenance.bundle import CRATE, LOCK, verify_bundle, write_bundle
from mstclipiqa.provenance.folder import Folder, Verdict
from mstclipiqa.provenance.report_checks import ACTIVE
from mstclipiqa.provenance.signatures import check_signature, sign

RESULTS, REPORTS = f"results/{SUITE}", f"reports/{SUITE}"
RUNS = f"{RESULTS}/agiqa-3k/runs/quality/slow/mst-clipiqa.parquet"
TABLE, PAGE = f"{REPORTS}/tables/all_metrics.csv", f"{REPORTS}/index.html"
CURVES_FIGURE, SCRIPT = f"{REPORTS}/figures/learning_curves.svg", b"<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def same_code_here(same_code: None) -> None:
    """The code that is tested may be edited meanwhile."""


MADE: dict[tuple, tuple] = {}


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report of equal results is made again once for all tests: that takes most of a verification."""
    make = report_checks._make_again

    def make_once(folder: Folder, sources: list[Path], reports: Path) -> tuple:
        key = sha256(folder.root / "manifest.json"), folder.data_root
        if key not in MADE:
            MADE[key] = make(folder, sources, reports)
        return MADE[key]

    monkeypatch.setattr(report_checks, "_make_again", make_once)


@pytest.fixture(scope="module")
def study(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """With its report."""
    study = small_study.copy(tmp_path_factory.mktemp("reported") / "study")
    paper = ["--paper-tables", study.config / "paper_tables.csv", "--claims", study.config / "claims.yaml"]
    paper += ["--prior-results", study.config / "prior_results.csv"]
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
    listed = {entity["name"] for entity in crate_of(folder).values() if entity["@type"] == "File"}
    path = folder / RESULTS / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in manifest["outputs"]:
        if (folder / RESULTS / name).is_file():
            manifest["outputs"][name] = sha256(folder / RESULTS / name)
    write_json(path, manifest)
    document = json.loads((folder / CRATE).read_text())
    there = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    graph = [entity for entity in document["@graph"] if entity["@type"] != "File" or entity["name"] in there]
    graph += [{"@type": "File", "@id": name, "name": name} for name in sorted(there.keys() - listed - {CRATE})]
    for entity in graph:
        if entity["@type"] == "File":
            entity |= {"sha256": sha256(there[entity["name"]])}
            entity |= {"contentSize": str(there[entity["name"]].stat().st_size)}
    write_json(folder / CRATE, document | {"@graph": graph})


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
    reported = [path for path in study.reports.rglob("*") if path.is_file()]
    assert verdict.counts["tables of the report"] + verdict.counts["other files of the report"] == len(reported)
    assert not [path for path in reported if path.suffix == ".svg" and ACTIVE.search(path.read_bytes())]
    assert not [note for note in verdict.notes if "report" in note and "pictures" not in note]
    stores = list(study.results.rglob("*.safetensors"))
    assert f"{len(stores)} feature stores: not in it" in verdict.notes


def test_bundle_is_held_against_the_data(bundle: Path, study: SmallStudy):
    assert verify_bundle(bundle, study.data, study.config).counts["images by hash"] == 96


def test_bundle_with_features_has_them_checked(study: SmallStudy, tmp_path: Path):
    packed = write_bundle(study.results, study.reports, tmp_path / "all.zip", features=True)
    verdict = verify_bundle(tmp_path / "all.zip", config=study.config)
    assert packed.left_out == 0 and verdict.findings == []
    assert verdict.counts["feature stores"] == 5 + 3
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
    assert f"{RESULTS}/timings/efficiency.parquet" in names  # the page shows it
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
    with pytest.raises(InputError, match="its SHA-256 is not the one in the manifest") as error:
        write_bundle(copy.results, copy.reports, tmp_path / "b.zip")
    assert str(copy.runs()) in str(error.value) and not (tmp_path / "b.zip").exists()


@pytest.mark.parametrize("name", ["b.tar.gz", "b", "b.7z", "zip"])
def test_other_ending_than_a_zips_is_refused(name: str, study: SmallStudy, tmp_path: Path):
    with pytest.raises(InputError, match=r"a bundle is a zip; name it \w+\.zip$") as error:
        write_bundle(study.results, study.reports, tmp_path / name)
    assert str(tmp_path / name) in str(error.value) and list(tmp_path.iterdir()) == []


def train_otherwise(study: SmallStudy) -> None:
    """The recipe was edited while the runs went on, and restored before the manifest was written."""
    frame, metadata = read_table(study.runs())
    metadata["recipe_values"]["learning_rate"] = 1e-3
    write_table(study.runs(), frame, metadata)
    path = study.results / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["outputs"][RUNS.removeprefix(f"{RESULTS}/")] = sha256(study.runs())
    write_json(path, manifest)


def edit_a_table(study: SmallStudy) -> None:
    frame, metadata = read_table(study.results / "metrics.parquet")
    write_table(study.results / "metrics.parquet", frame.assign(srcc=0.99), metadata)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (train_otherwise, "was trained with learning_rate 0.001, and recipe slow of the manifest has 0.0002"),
        (edit_a_table, "metrics.parquet: its SHA-256 is not the one in the manifest"),
        (lambda study: study.runs().unlink(), "mst-clipiqa.parquet: is missing"),
    ],
)
def test_bundle_and_report_are_not_made_of_what_verify_refuses(
    spoil: Callable, words: str, study: SmallStudy, tmp_path: Path
):
    copy = study.copy(tmp_path / "copy")
    spoil(copy)
    before = (copy.reports / "index.html").read_bytes()
    for verb in (
        ["bundle", copy.results, copy.reports, "--out", tmp_path / "b.zip"],
        ["report", "--results", copy.results, "--out", copy.reports],
    ):
        done = CliRunner().invoke(main, [str(word) for word in verb])
        assert done.exit_code == 1 and words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "b.zip").exists() and (copy.reports / "index.html").read_bytes() == before


def test_report_is_made_of_results_without_features(study: SmallStudy, tmp_path: Path):
    """As they are in a bundle."""
    copy = study.copy(tmp_path / "copy")
    for path in copy.results.rglob("*.safetensors"):
        path.unlink()
    run("report", "--results", copy.results, "--out", tmp_path / "again")
    with pytest.raises(InputError, match="is missing; extract the features again"):
        write_bundle(copy.results, copy.reports, tmp_path / "b.zip", features=True)


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


def edit(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    """A change of the first place in a file."""

    def tamper(folder: Path) -> None:
        content = (folder / name).read_bytes()
        assert old in content
        (folder / name).write_bytes(content.replace(old, new, 1))

    tamper.__name__ = f"edit_{Path(name).name}_{len(new)}"
    return tamper


def remove(name: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        (folder / name).unlink()

    tamper.__name__ = f"remove_{Path(name).name}"
    return tamper


def add(name: str, content: bytes = b"#!/bin/sh\n") -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    tamper.__name__ = f"add_{Path(name).name}"
    return tamper


def another_picture(folder: Path) -> None:
    """A sample image that is no JPEG."""
    path = folder / PAGE
    content = path.read_bytes()
    start = content.index(b"data:image/jpeg")
    path.write_bytes(content[:start] + b"https://example.org/a.jpg" + content[content.index(b'"', start) :])


MD, TEX = f"{REPORTS}/tables/all_metrics.md", f"{REPORTS}/tables/all_metrics.tex"
PNG, SUMMARY = f"{REPORTS}/figures/learning_curves.png", f"{REPORTS}/summary.md"

#: What held on commit eac8ac7 with all hashes made anew.
PASSED = {
    edit(PAGE, b"</body>", SCRIPT + b"</body>"): (PAGE, [PAGE, "not what the results give"]),
    edit(PAGE, b"0.", b"1."): (PAGE, [PAGE, "not what the results give"]),
    another_picture: (PAGE, [PAGE, "not what the results give"]),
    remove(PAGE): (PAGE, [PAGE, "is missing: a bundle has a page"]),
    edit(MD, b"0.", b"0.9"): (MD, [MD, "not what the results give"]),
    edit(TEX, b"0.", b"0.9"): (TEX, [TEX, "not what the results give"]),
    edit(SUMMARY, b"runs", b"real runs"): (SUMMARY, [SUMMARY, "not what the results give"]),
    edit(CURVES_FIGURE, b"<g ", b'<g onload="alert(1)" '): (
        CURVES_FIGURE,
        [CURVES_FIGURE, "not what the results give"],
    ),
    edit(PNG, b"IDAT", b"IDAT"[::-1]): (PNG, [PNG, "not what the results give"]),
    remove(TABLE): (TABLE, [TABLE, "is missing from the report"]),
    add("run-me.sh"): ("run-me.sh", ["run-me.sh", "has no place in a bundle"]),
    add(f"{RESULTS}/run-me.sh"): ("run-me.sh", [f"{RESULTS}/run-me.sh", "has no place in a bundle"]),
    add(f"{RESULTS}/timings/run-me.sh"): ("run-me.sh", ["timings/run-me.sh", "has no place in a bundle"]),
    add(f"{REPORTS}/run-me.sh"): ("run-me.sh", [f"{REPORTS}/run-me.sh", "no part of a report"]),
    add(f"{REPORTS}/tables/mine.csv"): ("mine.csv", ["tables/mine.csv", "no part of a report"]),
    edit(LOCK, b"torch==", b"torch @ https://example.org/torch-"): (LOCK, [LOCK, "is no package==version"]),
    edit(LOCK, b"numpy==", b"numpy==9"): (LOCK, [LOCK, "numpy is not the manifest's"]),
    edit(CRATE, b"Holds no images", b"Holds images"): (None, [CRATE, "is not what the files give"]),
    edit(CRATE, b'"datePublished": "', b'"datePublished": "in '): (None, [CRATE, "date of publication"]),
}

#: By what was done: the file it is found in by its hash, and what finds it where all hashes were made anew.
TAMPERING = {
    edit_prediction: (RUNS, ["metrics.parquet", "computed again"]),
    edit_report: (TABLE, [TABLE, "not what the results give"]),
    remove_predictions: (RUNS, [RUNS.removeprefix(f"{RESULTS}/"), "is missing; copy it too"]),
    add_file: (f"{RESULTS}/added.txt", ["added.txt", "has no place in a bundle"]),
    **PASSED,
}


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda tamper: tamper.__name__)
@pytest.mark.parametrize("knowing", [False, True])
def test_tampered_bundle_is_found_out(
    tamper: Callable, knowing: bool, unpacked: Path, study: SmallStudy, tmp_path: Path
):
    file, words = TAMPERING[tamper]
    if file is None and not knowing:
        pytest.skip("the description has no hash")
    tamper(unpacked)
    if knowing:
        rehash(unpacked)
    verdict = verify_bundle(pack(unpacked, tmp_path / "tampered"), config=study.config)
    assert_found(verdict, *(words if knowing else [file]))


def other_versions(folder: Path) -> None:
    edit(LOCK, b"matplotlib==", b"matplotlib==9")(folder)


def test_report_of_other_versions_is_said_not_to_be_compared(unpacked: Path, study: SmallStudy, tmp_path: Path):
    """Tables as CSV are, and drawings still hold nothing that runs."""
    other_versions(unpacked)
    edit(PAGE, b"0.", b"1.")(unpacked)
    rehash(unpacked)
    verdict = verify_bundle(pack(unpacked, tmp_path / "other"), config=study.config)
    assert verdict.findings == []
    assert any("1 files of the report, e.g. index.html" in note and "matplotlib" in note for note in verdict.notes)
    edit(CURVES_FIGURE, b"<g ", b'<g onload="alert(1)" ')(unpacked)
    rehash(unpacked)
    verdict = verify_bundle(pack(unpacked, tmp_path / "active"), config=study.config)
    assert_found(verdict, CURVES_FIGURE, "holds 'onload=', which no drawing of this project does")
    edit_report(unpacked)
    rehash(unpacked)
    assert_found(
        verify_bundle(pack(unpacked, tmp_path / "csv"), config=study.config), TABLE, "not what the results give"
    )


def test_report_without_the_papers_files_is_held_to_its_places(unpacked: Path, tmp_path: Path):
    add(f"{REPORTS}/run-me.sh")(unpacked)
    edit(CURVES_FIGURE, b"</svg>", SCRIPT + b"</svg>")(unpacked)
    rehash(unpacked)
    verdict = verify_bundle(pack(unpacked, tmp_path / "other"))
    assert_found(verdict, "run-me.sh", "no part of a report")
    assert_found(verdict, CURVES_FIGURE, "holds '<script'")


# Who made it


def make_key(folder: Path, name: str) -> Path:
    """A new SSH key."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH is not installed")
    folder.mkdir(exist_ok=True)
    arguments = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / name]
    subprocess.run(arguments, check=True)
    return folder / name


@pytest.fixture
def signed(bundle: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A signed bundle, and the key."""
    key, copy = make_key(tmp_path / "keys", "alice"), tmp_path / "alices.zip"
    shutil.copy(bundle, copy)
    assert sign(copy, key) == tmp_path / "alices.zip.sig"
    return copy, key


def test_signature_says_who_made_it(signed: tuple[Path, Path], tmp_path: Path):
    bundle, key = signed
    assert check_signature(bundle, key.with_suffix(".pub")).startswith("alice.pub with ED25519 key SHA256:")
    other = make_key(tmp_path / "keys", "bob").with_suffix(".pub").read_text()
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"# ours\n\nbob@example.org {other}alice@example.org {key.with_suffix('.pub').read_text()}")
    assert check_signature(bundle, allowed).startswith("alice@example.org with ED25519 key SHA256:")


def refused_signature(bundle: Path, keys: Path) -> str:
    with pytest.raises(InputError) as error:
        check_signature(bundle, keys)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_key_another_bundle_and_another_purpose_are_refused(signed: tuple[Path, Path], tmp_path: Path):
    bundle, key = signed
    other = make_key(tmp_path / "keys", "bob")
    assert "not by a key of" in refused_signature(bundle, other.with_suffix(".pub"))
    bundle.write_bytes(bundle.read_bytes()[:-1])
    assert "of another bundle" in refused_signature(bundle, key.with_suffix(".pub"))
    (tmp_path / "alices.zip.sig").unlink()
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "file", bundle], check=True, capture_output=True)
    assert "not by a key of" in refused_signature(bundle, key.with_suffix(".pub"))


def test_what_is_no_signature_and_no_key_is_one_line(signed: tuple[Path, Path], tmp_path: Path):
    bundle, key = signed
    public = key.with_suffix(".pub")
    for content in (b"", b"no key", b"\xff\xfe"):
        (tmp_path / "keys.txt").write_bytes(content)
        assert "keys.txt" in refused_signature(bundle, tmp_path / "keys.txt")
    (tmp_path / "alices.zip.sig").write_text("no signature")
    assert "alices.zip.sig: not by a key of" in refused_signature(bundle, public)
    (tmp_path / "alices.zip.sig").unlink()
    assert "alices.zip.sig: no such signature" in refused_signature(bundle, public)
    with pytest.raises(InputError, match=r"keys\.txt: cannot sign with it"):
        sign(bundle, tmp_path / "keys.txt")


def test_machine_without_openssh_is_one_line(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "key").write_text("a key")
    (tmp_path / "b.zip.sig").write_text("a signature")
    shutil.copy(bundle, tmp_path / "b.zip")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"^ssh-keygen is not installed.*; install OpenSSH$"):
        sign(tmp_path / "b.zip", tmp_path / "key")
    assert "ssh-keygen is not installed" in refused_signature(tmp_path / "b.zip", tmp_path / "key")


def test_verbs_sign_and_hold(study: SmallStudy, tmp_path: Path):
    key, out = make_key(tmp_path / "keys", "alice"), tmp_path / "small.zip"
    said = run("bundle", study.results, study.reports, "--out", out, "--sign", key)
    assert f"{out}.sig: its signature" in said
    said = run("verify", out, "--config", study.config, "--signed-by", key.with_suffix(".pub"))
    for words in (f"{out} is signed by alice.pub with ED25519 key ", f"{out} holds: "):
        assert [line for line in said.splitlines() if line.startswith(words)], said
    assert f"{out}.sig is held against a key by --signed-by alone" not in said
    assert "who made it: " in run("verify", out, "--config", study.config)
    other = make_key(tmp_path / "keys", "bob").with_suffix(".pub")
    done = CliRunner().invoke(main, ["verify", str(out), "--signed-by", str(other)])
    assert done.exit_code == 1 and done.stdout == "" and "not by a key of" in done.stderr
    done = CliRunner().invoke(main, ["verify", str(study.results), "--signed-by", str(other)])
    assert done.exit_code == 1 and "name the bundle" in done.stderr


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
