"""Samples, splits and features: held against the data folder, the protocols and the encoders."""

import json
from pathlib import Path

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.base.layout import SAMPLES, SPLITS
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.protocols import SPLIT_FILES, split_samples
from mstclipiqa.data.samples import collect_samples
from mstclipiqa.encoders.stores import read_store
from mstclipiqa.provenance.differences import find_difference
from mstclipiqa.provenance.folder import RESTORE, Folder


def check_samples(folder: Folder, benchmark: str) -> None:
    """The samples are the manifest's label files', and those that the data folder gives."""
    file = SAMPLES.path.format(benchmark=benchmark)
    read = folder.read(file, SAMPLES.columns)
    if read is None:
        return
    samples, card = read
    held = {"benchmark": card.get("benchmark"), "title": card.get("title"), "images": card.get("images")}
    expected = {"benchmark": benchmark, "title": get_benchmark(benchmark).title, "images": len(samples)}
    if held != expected or set(samples["benchmark"]) != {benchmark} or samples["image"].duplicated().any():
        folder.verdict.find(file, f"not a table of {len(samples)} different images of {benchmark}")
        return
    prefix = f"{benchmark}/"
    inputs = {k.removeprefix(prefix): v for k, v in folder.manifest["inputs"].items() if k.startswith(prefix)}
    if card.get("label_files") != inputs:
        folder.verdict.find(file, "read from other label files than the manifest names")
    if card.get("rows_read") == len(samples):  # otherwise its card counts rows that were excluded
        again = {
            target: {key: float(getattr(samples[target], key)()) for key in ("min", "max", "mean", "std")}
            for target in get_benchmark(benchmark).targets
        }
        difference = find_difference(card.get("mos"), again, "its MOS")
        if difference:
            folder.verdict.find(file, f"{difference} is not what its card says")
    folder.samples[benchmark] = samples, card
    folder.verdict.counts["samples"] += len(samples)
    if folder.data_root is not None:
        _check_inputs(folder, benchmark, inputs, folder.data_root / benchmark)


def _check_inputs(folder: Folder, benchmark: str, inputs: dict[str, str], place: Path) -> None:
    """The label files have the manifest's hashes, and reading the folder again gives the stored samples."""
    findings = len(folder.verdict.findings)
    todo = "give the data that the results were made from, or run the workflow again"
    for name, expected in inputs.items():
        if not (place / name).is_file():
            folder.verdict.find(place / name, "is missing", todo)
        elif sha256(place / name) != expected:
            folder.verdict.find(place / name, "its SHA-256 is not the one in the manifest", todo)
    if len(folder.verdict.findings) > findings:
        return
    try:
        again, card = collect_samples(get_benchmark(benchmark), place)
    except InputError as error:
        folder.verdict.findings.append(str(error))
        return
    file = SAMPLES.path.format(benchmark=benchmark)
    stored, stored_card = folder.samples[benchmark]
    card = json.loads(json.dumps(card))
    differing = [key for key in card if card[key] != stored_card.get(key)]
    if folder.compare(file, stored, again, ["image"], f"{place} gives another value; {todo}"):
        if differing:
            folder.verdict.find(file, f"its card says other {differing[0]} than {place} gives", todo)
        folder.verdict.counts["label files"] += len(inputs)
        folder.verdict.counts["images by hash"] += len(again)


def check_splits(folder: Folder, benchmark: str) -> None:
    """The splits are those that their protocols give, leakage included."""
    file = SPLITS.path.format(benchmark=benchmark)
    read = folder.read(file, SPLITS.columns)
    if read is None or benchmark not in folder.samples:
        return
    splits, metadata = read
    samples, _ = folder.samples[benchmark]
    protocols = folder.config["protocols"]
    published = [name for name in protocols if name.startswith("file-")]
    unknown = [name for name in published if not (SPLIT_FILES / f"{name.removeprefix('file-')}.csv").is_file()]
    if unknown:
        folder.verdict.notes.append(f"splits {', '.join(unknown)} of {benchmark}: their files are not at hand")
    given = [name for name in protocols if name not in unknown]
    stored = splits[~splits["protocol"].isin(unknown)]
    try:
        again, leakage = split_samples(samples, given) if given else (stored, {})
    except InputError as error:
        folder.verdict.find(file, str(error))
        return
    said = metadata.get("protocols")
    if not isinstance(said, dict) or said | dict.fromkeys(unknown) != leakage | dict.fromkeys(unknown):
        folder.verdict.find(file, "its counts and leakage are not those of its splits")
    elif folder.compare(file, stored, again, ["protocol", "split", "image"]):
        folder.verdict.counts["splits"] += splits[["protocol", "split"]].drop_duplicates().shape[0]
    folder.splits[benchmark] = splits


def check_features(folder: Folder, benchmark: str) -> None:
    """The feature stores that are there are of the samples' images, by the manifest's encoders."""
    if benchmark not in folder.samples:
        return
    samples, _ = folder.samples[benchmark]
    encoders = folder.manifest["encoders"]
    for file in folder.manifest["outputs"]:
        place, _, name = file.removesuffix(".safetensors").rpartition("/")
        if place != f"{benchmark}/features" or not (folder.root / file).is_file():
            continue
        try:
            _, metadata = read_store(folder.root / file)
        except InputError as error:
            folder.verdict.findings.append(folder.shorten(error))
            continue
        if not isinstance(metadata, dict):
            folder.verdict.find(file, "no description in its metadata", RESTORE)
            continue
        if name == "prompts":
            role, truncated = folder.config["text_encoder"], metadata.get("truncated")
            of_samples = metadata.get("texts") == list(dict.fromkeys(samples["prompt"]))
            counted = folder.manifest["benchmarks"][benchmark].get("prompts_truncated")
            if not isinstance(truncated, list) or len(truncated) != counted:
                folder.verdict.find(file, f"truncates other prompts than the {counted} that the manifest counts")
        else:
            role = next((role for role in encoders if name == role or name.startswith(f"{role}-")), None)
            of_samples = [metadata.get(key) for key in ("images", "sha256")] == [
                samples[key].tolist() for key in ("image", "sha256")
            ]
        if not of_samples:
            folder.verdict.find(file, "of other images or prompts than the samples table")
        elif role and metadata.get("encoder") != folder.identity(role):
            folder.verdict.find(file, f"by another encoder than the manifest's {role}")
        else:
            folder.verdict.counts["feature stores"] += 1
