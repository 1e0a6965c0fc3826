"""A suite's results and report as one zip, described as an RO-Crate 1.1 (https://w3id.org/ro/crate/1.1), and the
verification of one that comes from elsewhere.

The description is a page of JSON-LD, written here by hand: the `rocrate` library would add identifiers and times of its
own. Images are never packed, but for the few small ones on the page, which says by which right. Prompts and MOS are, in
samples and predictions, under their benchmarks' licences.
"""

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import quote

from mstclipiqa.base.archives import extract, kind
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import atomic, read_description, sha256, write_json, write_text
from mstclipiqa.base.layout import EXTRACTION, MANIFEST, SAMPLES, TIMED
from mstclipiqa.provenance.control_checks import Controls
from mstclipiqa.provenance.differences import find_difference, show
from mstclipiqa.provenance.edits import is_store, refuse_edited
from mstclipiqa.provenance.folder import Folder, Verdict
from mstclipiqa.provenance.report_checks import AGAIN, check_report
from mstclipiqa.provenance.signatures import check_signature, signature_of
from mstclipiqa.provenance.verification import verify_folder

CRATE = "ro-crate-metadata.json"
LOCK = "requirements-lock.txt"

#: What is packed of a report.
REPORT_PARTS = ("index.html", "manifest.html", "summary.md", "tables/*", "figures/*")

MEDIA_TYPES = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".tex": "text/x-tex",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
}

#: What the page shows of the time that things took.
TIMINGS = (TIMED.path, EXTRACTION.path.format(benchmark="*", encoders="*"))

#: The earliest time that a zip can state, in place of when a file was written.
TIME = (1980, 1, 1, 0, 0, 0)

CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://schema.org/sha256"}]
PAPER = "https://arxiv.org/abs/2606.16799"


@dataclass(frozen=True)
class Bundle:
    """What was packed: how many files, and how many feature stores were left out."""

    files: int
    left_out: int


def write_bundle(results: Path, reports: Path, out: Path, features: bool = False, date: str | None = None) -> Bundle:
    """Pack a suite into the zip `out`: equal inputs on one machine give equal bytes.

    `date` (YYYY-MM-DD) is the crate's date of publication; the day its manifest was written, if not given. Feature
    stores are packed only with `features`. Raises InputError where `out` is named as anything but a zip, where a file
    is missing or is not the manifest's, where predictions are by another recipe than the manifest's, and where other
    packages are installed than the results were made with, as the lock would misstate them.
    """
    if out.suffix != ".zip":
        raise InputError(f"{out}: a bundle is a zip; name it {out.stem.removesuffix('.tar')}.zip")
    manifest = refuse_edited(results)
    lock = lock_versions()
    for package, version in manifest["versions"].items():
        if package != "python" and f"{_normalise(package)}=={version}" not in lock:
            raise InputError(
                f"{MANIFEST.at(results)}: made with {package} {version}, which is not what is installed here; "
                "bundle where the results were made, or run the workflow again"
            )
    kept = [name for name in manifest["outputs"] if features or not is_store(name)]
    # As they lie in a checkout, so that the page's links lead to the results.
    suite = manifest["config"]["suite"]
    files = {f"results/{suite}/{name}": results / name for name in [MANIFEST.path, *kept]}
    for name in kept:
        if not (results / name).is_file():
            raise InputError(f"{results / name}: is missing; extract the features again, or leave --features out")
    # What the page shows beside the manifest's outputs.
    timings = [path for pattern in TIMINGS for path in results.glob(pattern)]
    files |= {f"results/{suite}/{path.relative_to(results).as_posix()}": path for path in timings}
    files |= {f"reports/{suite}/{path.relative_to(reports).as_posix()}": path for path in _report_files(reports)}

    written = date or f"{datetime.fromtimestamp((MANIFEST.at(results)).stat().st_mtime, UTC):%Y-%m-%d}"
    with tempfile.TemporaryDirectory() as folder:
        # What is written here becomes files too, so that all are hashed and packed alike.
        lock_file, crate_file = Path(folder, LOCK), Path(folder, CRATE)
        write_text(lock_file, "".join(f"{line}\n" for line in lock))
        files[LOCK] = lock_file
        left_out = len(manifest["outputs"]) - len(kept)
        write_json(crate_file, describe_crate(manifest, files, _licences(results, manifest), written, left_out))
        files[CRATE] = crate_file
        with atomic(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name in sorted(files):
                _pack(archive, name, files[name])
    return Bundle(len(files), left_out)


def _pack(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    info = zipfile.ZipInfo(name, TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # whatever the system, so that the bytes are the same
    info.external_attr = 0o644 << 16
    info.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(info, "w") as target:
        shutil.copyfileobj(source, target)


def _report_files(reports: Path) -> list[Path]:
    """The page, tables and figures. Raises InputError where there is no page, and for files of another kind."""
    found = sorted(path for pattern in REPORT_PARTS for path in reports.glob(pattern) if path.is_file())
    found = [path for path in found if path.name != ".snakemake_timestamp"]  # in folders that Snakemake has written
    if reports / "index.html" not in found:
        raise InputError(
            f"{reports}: no index.html; name a folder reports/<suite>, or write it with `mstclipiqa report`"
        )
    for path in found:
        if path.suffix not in MEDIA_TYPES:
            raise InputError(f"{path}: no part of a report; move it away")
    return found


def lock_versions() -> list[str]:
    """Every installed package as `name==version`, sorted, as pip freeze says it but without where it lies."""
    return sorted({f"{_normalise(found.metadata['Name'])}=={found.version}" for found in distributions()})


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licences(results: Path, manifest: dict) -> dict[str, str]:
    """The licence of each benchmark that took part, as its card states it."""
    present = [name for name, entry in manifest["benchmarks"].items() if entry["status"] == "present"]
    return {name: read_description(SAMPLES.at(results, benchmark=name))["licence"] for name in present}


def describe_crate(manifest: dict, files: dict[str, Path], licences: dict[str, str], date: str, left_out: int) -> dict:
    """The RO-Crate's JSON-LD: a root dataset of all `files` (by their name in the crate) with their hashes."""
    titles = {name: entry["title"] for name, entry in manifest["benchmarks"].items()}
    stated = "; ".join(f"{titles[name]}: {licence}" for name, licence in licences.items())
    features = f" {left_out} feature stores are left out: they are made again by extraction." if left_out else ""
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": manifest["title"],
        "description": (
            f"Results and report of the suite {manifest['suite']}: samples, splits, predictions for all test images of "
            "every run, metrics, verdicts on the paper's claims, and the manifest of what they were made from. "
            f"`mstclipiqa verify` computes them again. Holds no images.{features}"
        ),
        "datePublished": date,
        "license": {"@id": "#licences"},
        "citation": {"@id": PAPER},
        "mentions": {"@id": "#mstclipiqa"},
        "hasPart": [{"@id": quote(name)} for name in sorted(files)],
    }
    code = manifest["code"]
    entities = [
        {
            "@id": CRATE,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        },
        root,
        {
            "@id": "#licences",
            "@type": "CreativeWork",
            "name": "Licences",
            "description": (
                "Numbers and report: Apache-2.0. Prompts and MOS, in samples and predictions, stay under their "
                f"benchmarks' licences: {stated}."
            ),
        },
        {
            "@id": "#mstclipiqa",
            "@type": "SoftwareApplication",
            "name": "mstclipiqa",
            "softwareVersion": f"{code['version']}, commit {code['commit']}, fingerprint {code['fingerprint']}",
            "license": {"@id": "https://spdx.org/licenses/Apache-2.0"},
        },
        {"@id": "https://spdx.org/licenses/Apache-2.0", "@type": "CreativeWork", "name": "Apache License 2.0"},
        {"@id": PAPER, "@type": "ScholarlyArticle", "name": "Decoupling Semantics from Distortions (arXiv 2606.16799)"},
    ]
    for name, path in sorted(files.items()):
        entity = {
            "@id": quote(name),
            "@type": "File",
            "name": name,
            "contentSize": str(path.stat().st_size),
            "encodingFormat": MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
            "sha256": sha256(path),
        }
        if name == LOCK:
            entity["description"] = "The packages installed where the bundle was written."
        entities.append(entity)
    return {"@context": CONTEXT, "@graph": entities}


def verify_bundle(
    bundle: Path,
    data_root: Path | None = None,
    config: Path | None = None,
    controls: Controls | None = None,
    keys: Path | None = None,
    workers: int = 1,
) -> Verdict:
    """As `verify_results`, of a bundle; its files are held against its own description too.

    With `keys`, a public SSH key or allowed signers, it is to be signed by one of them. It is unpacked into a temporary
    folder as `archives.extract` does, which see for what is refused. Raises InputError where it is no bundle, or is not
    signed so.
    """
    signed_by = check_signature(bundle, keys) if keys else ""
    if kind(bundle) != "zip":
        raise InputError(f"{bundle}: not a zip; name a results folder, or a file that `mstclipiqa bundle` wrote")
    with tempfile.TemporaryDirectory() as unpacked:
        root = Path(unpacked).resolve()
        extract(bundle, root)
        described = _read_crate(bundle, root)
        findings = list(_check_files(root, described))
        suites = [path.parent for path in root.glob(f"results/*/{MANIFEST.path}")]
        if len(suites) != 1:
            raise InputError(f"{bundle}: holds {len(suites)} results folders, not one; get the bundle again")
        try:
            folder = Folder(suites[0], data_root, config, is_store, workers)
            verdict = verify_folder(folder, controls)
        except InputError as error:
            raise InputError(str(error).replace(f"{root}/", f"{bundle}: ")) from None
        verdict.counts["files of the bundle by hash"] = len(described)
        verdict.findings[:0] = findings
        _check_places(root, folder)
        lock = _check_lock(root, folder)
        check_report(folder, root / "reports" / folder.config["suite"], lock)
        if not verdict.findings:
            _check_description(root, folder)
        verdict.signed_by = signed_by
        if not keys and signature_of(bundle).exists():
            verdict.notes.append(f"who made it: {signature_of(bundle)} is held against a key by --signed-by alone")
        return verdict


def _read_crate(bundle: Path, root: Path) -> dict[str, str]:
    """The files that a bundle's description names, and their hashes. Raises InputError where it is none."""
    try:
        graph = json.loads((root / CRATE).read_text(encoding="utf-8"))["@graph"]
        return {str(entity["name"]): entity["sha256"] for entity in graph if entity["@type"] == "File"}
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        reason = type(error).__name__
        raise InputError(f"{bundle}: {CRATE} is no description of a bundle ({reason}); {AGAIN}") from None


def _check_files(root: Path, described: dict[str, str]) -> Iterator[str]:
    """What does not hold of the description: that it names the files that are there, and their hashes."""
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {CRATE}
    for name in sorted(there ^ described.keys()):
        what = "is in the bundle, and not in its description" if name in there else "is missing from the bundle"
        yield f"{name}: {what}; {AGAIN}"
    for name in sorted(there & described.keys()):
        if sha256(root / name) != described[name]:
            yield f"{name}: its SHA-256 is not the one in {CRATE}; {AGAIN}"


def _check_places(root: Path, folder: Folder) -> None:
    """Every file has a place in a bundle: results that the manifest names, timings, a report, lock and description."""
    suite = folder.config["suite"]
    known = {CRATE, LOCK, *(f"results/{suite}/{name}" for name in (MANIFEST.path, *folder.manifest["outputs"]))}
    known |= {path.relative_to(root).as_posix() for pattern in TIMINGS for path in folder.root.glob(pattern)}
    for name in sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()):
        if name not in known and not name.startswith(f"reports/{suite}/"):
            folder.verdict.find(name, "has no place in a bundle", AGAIN)


def _check_lock(root: Path, folder: Folder) -> dict[str, str]:
    """The versions in the lock, which has those of the manifest, and nothing but versions."""
    try:
        lines = (root / LOCK).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        folder.verdict.find(LOCK, f"cannot be read ({type(error).__name__})", AGAIN)
        return {}
    strange = [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.+!_-]+", line)]
    if strange:
        folder.verdict.find(LOCK, f"{show(strange[0])} is no package==version", AGAIN)
    versions = {line.partition("==")[0]: line.partition("==")[2] for line in lines}
    for package, version in folder.manifest["versions"].items():
        if package != "python" and versions.get(_normalise(package)) != version:
            folder.verdict.find(LOCK, f"{package} is not the manifest's {version}", AGAIN)
    return versions


def _check_description(root: Path, folder: Folder) -> None:
    """The description is the one that these files give, of the date that it states."""
    held = json.loads((root / CRATE).read_text(encoding="utf-8"))
    dates = [entity.get("datePublished") for entity in held["@graph"] if entity.get("@id") == "./"]
    if len(dates) != 1 or not re.fullmatch(r"\d{4}-\d\d-\d\d", str(dates[0])):
        folder.verdict.find(CRATE, f"the date of publication is {show(dates)}, not one as 2026-01-31", AGAIN)
        return
    paths = [path for path in root.rglob("*") if path.is_file() and path != root / CRATE]
    files = {path.relative_to(root).as_posix(): path for path in paths}
    left_out = sum(not (folder.root / name).is_file() for name in folder.manifest["outputs"])
    again = describe_crate(folder.manifest, files, _licences(folder.root, folder.manifest), dates[0], left_out)
    difference = find_difference(held, json.loads(json.dumps(again)), "the description")
    if difference and folder.same_code:
        folder.verdict.find(CRATE, f"{difference} is not what the files give", AGAIN)
    elif difference:
        folder.verdict.notes.append(f"{CRATE}: written otherwise than this version does ({difference})")
