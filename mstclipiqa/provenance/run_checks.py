"""Predictions and all that follows from them: metrics, intervals, tests and verdicts computed again."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import torch

from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import CLAIMS, METRICS, RUNS
from mstclipiqa.base.names import BEST_ON_TEST, ENTERED, JOB, LAST, LEVELS, RUN, TEST, VAL, VALIDATION
from mstclipiqa.claims.verdicts import claims_document
from mstclipiqa.encoders.adaptation import check_adaptable, count_adapted
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.entries.admission import admit, find_doubts
from mstclipiqa.entries.entry import SCORES, Entry
from mstclipiqa.evaluation.comparisons import TABLES, compare_runs
from mstclipiqa.evaluation.per_run import check_predictions, evaluate_runs
from mstclipiqa.model.build import build_model, count_trainable, used_encoders
from mstclipiqa.model.variants import PAIR, get_variant, stream_roles
from mstclipiqa.provenance.differences import find_difference, kinds, show
from mstclipiqa.provenance.folder import AGAIN, PAPER_FILES, RESTORE, Folder
from mstclipiqa.study.jobs import Job, protocols_of, seeds_of


def check_runs(folder: Folder) -> None:
    """Predictions are of the job that their path names, of the images that the splits test, beside their MOS, and
    all trained by one code."""
    codes: dict[tuple[str, bool], Counter] = {}
    described = {}
    for job, code in zip(folder.jobs, folder.spread(_check_trained, folder.jobs), strict=True):
        if code is None:
            continue
        folder.readable.append(job)
        described[job] = code
        codes.setdefault((job.variant, adapts(folder, job.recipe)), Counter())[code] += 1
    for entry in folder.entries:
        _check_entered(folder, entry)
    for job, own in described.items():
        usual, _ = codes[job.variant, adapts(folder, job.recipe)].most_common(1)[0]
        if own != usual:
            folder.verdict.find(job.path, f"trained by another code or versions than most runs of {job.variant}")


def _check_trained(folder: Folder, job: Job) -> str | None:
    """Hold the predictions of one job; the code and versions that they say trained them, None where they are none."""
    read = folder.read(job.path, RUNS.columns)
    if read is None:
        return None
    table, metadata = read
    _is_by(folder, job, metadata)
    if job.benchmark in folder.splits and _is_of(folder, job, metadata) and _tests(folder, job, table):
        folder.verdict.counts["prediction files"] += 1
        folder.verdict.counts["predictions"] += len(table)
    return json.dumps([metadata.get("code"), metadata.get("versions")], sort_keys=True)


def _check_entered(folder: Folder, entry: Entry) -> None:
    """Entered scores are those of the entry that the manifest describes: its folder's, where it is at hand."""
    read, find = folder.read(entry.path, RUNS.columns), folder.verdict.find
    if read is None or entry.benchmark not in folder.splits:
        return
    table, metadata = read
    (samples, card), splits = folder.samples[entry.benchmark], folder.splits[entry.benchmark]
    named = next(told for told in folder.manifest["entries"].values() if told["card"] == entry.card)
    held = {key: named[key] for key in ("card", "scores_sha256")}
    place = {"recipe": ENTERED, "target": entry.target}
    try:
        check_predictions(folder.root / entry.path, table, place, samples, splits)
        doubts = find_doubts(table, samples, entry.target)
    except InputError as error:
        folder.verdict.findings.append(folder.shorten(error))
        return
    except FailedRunError as error:
        find(entry.path, str(error))
        return
    expected = {
        **{"benchmark": entry.benchmark, "target": entry.target, "recipe": ENTERED, "variant": entry.name},
        **{"synthetic": card.get("synthetic"), "encoders": {}, "entry": held},
        "doubts": doubts,
    }
    for key in (key for key, value in expected.items() if metadata.get(key) != value):
        find(entry.path, f"its {key} is not that of its place and the manifest ({show(metadata.get(key))})")
    if not all(file.is_file() for file in entry.files):
        folder.verdict.notes.append(f"{entry.path}: the entry {entry.folder} is not at hand")
    elif sha256(entry.folder / SCORES) != held["scores_sha256"]:
        find(
            entry.path,
            f"{entry.folder / SCORES} has other scores by now",
            "enter them again, and run the workflow again",
        )
    elif not folder.compare(entry.path, table, admit(entry, samples, card, splits)[0], [*RUN, "image"]):
        return
    folder.readable.append(entry)
    folder.verdict.counts["entered methods"] += 1


def _is_by(folder: Folder, job: Job, metadata: dict) -> None:
    """Predictions are by the code, the versions and the device of the manifest, and of a model of as many parameters as
    the job's has."""
    find, versions, device = folder.verdict.find, folder.manifest["versions"], metadata.get("device")
    for package, said in (metadata.get("versions") or {}).items():
        if said != versions.get(package):
            find(job.path, f"trained with {package} {said}, and the manifest says {versions.get(package)}")
    gpu = folder.manifest.get("hardware", {}).get("gpu", "none")
    if device != "cpu" and (device != "cuda" or gpu == "none" or folder.config["training"]["device"] == "cpu"):
        asked = f"{folder.config['training']['device']}, GPU {gpu}"
        find(job.path, f"trained on the device {show(device)}, and the manifest says {asked}")
    if not folder.same_code:
        return
    module = "mstclipiqa.training.adapted" if adapts(folder, job.recipe) else "mstclipiqa.training.job"
    if metadata.get("code") != fingerprint(module, *get_variant(job.variant).modules):
        find(job.path, "trained by another code than the manifest's, which is this version's")
    try:
        count = count_parameters(folder, job.recipe, job.variant)
    except InputError as error:
        folder.verdict.notes.append(f"{job.path}: its trained parameters ({folder.shorten(error)})")
        return
    if metadata.get("trainable_parameters") != count:
        find(job.path, f"says {show(metadata.get('trainable_parameters'))} trained parameters; its model has {count}")


def count_parameters(folder: Folder, recipe: str, variant: str) -> int | None:
    """The parameters that a variant trains under a recipe, between the manifest's encoders, and of these where they are
    trained too; None where it describes no encoders of this version's shape. Raises InputError for an encoder that is
    trained and not known here, as one that a folder describes."""
    coarse, text = (folder.manifest["encoders"].get(role, {}) for role in ("coarse", folder.config["text_encoder"]))
    dim, width = coarse.get("dim"), text.get("text_width")
    if not folder.study or not isinstance(dim, int) or not isinstance(width, int):
        return None
    chosen, streams = folder.study.recipes[recipe], folder.study.streams(recipe, variant)
    sizes = [folder.manifest["encoders"].get(role, {}).get("dim", dim) for role in streams]
    with torch.device("meta"):  # sizes alone: no weight is drawn
        levels = torch.zeros(len(LEVELS), dim)
        count = count_trainable(build_model(variant, chosen, dim, width, levels, 0, levels, sizes))
    if chosen.adaptation:
        levels = torch.randn(len(LEVELS), dim)
        model = build_model(variant, chosen, dim, width, levels, 0, levels)
        for role in used_encoders(model, streams, width):
            encoder = load_encoder(folder.config["encoders"][role]["model"], "random:0", torch.device("cpu"))
            check_adaptable(encoder, chosen.adaptation)
            count += count_adapted(encoder, chosen.adaptation)
    return count


def adapts(folder: Folder, recipe: str) -> bool:
    """Whether a recipe trains the encoders too, which is another code."""
    return folder.manifest["recipes"].get(recipe, {"values": {}})["values"].get("adaptation") is not None


def _is_of(folder: Folder, job: Job, metadata: dict) -> bool:
    """Whether predictions say that they are of a job, and of the suite's encoders."""
    values = folder.manifest["recipes"].get(job.recipe, {"values": {}})["values"]
    streams = get_variant(job.variant).encoders(values.get("fine_stream"), folder.config.get("streams", PAIR))
    expected = {name: getattr(job, name) for name in JOB} | {
        "synthetic": folder.samples[job.benchmark][1].get("synthetic"),
        "encoders": {
            stream: folder.identity(encoder, benchmark=job.benchmark)
            for stream, encoder in zip(stream_roles(len(streams)), streams, strict=True)
        },
        "text_encoder": folder.identity(folder.config["text_encoder"], text=True, benchmark=job.benchmark),
    }
    differing = [key for key, value in expected.items() if metadata.get(key) != value]
    for key in differing:
        held, value = metadata.get(key), expected[key]
        shown = f" ({show(held)}, not {show(value)})" if isinstance(value, str | bool) else ""
        folder.verdict.find(job.path, f"its {key} is not that of its place and the manifest{shown}")
    return not differing


def _tests(folder: Folder, job: Job, table: pd.DataFrame) -> bool:
    """Whether predictions are of all the images that the splits test, for every seed, and beside their MOS."""
    splits, (samples, _) = folder.splits[job.benchmark], folder.samples[job.benchmark]
    splits = splits[splits["protocol"].isin(protocols_of(folder.config, job))]
    validated = splits[splits["role"] == VAL][["protocol", "split"]].drop_duplicates()
    tested = splits[splits["role"] == TEST][["protocol", "split", "image"]]
    if tested.empty:
        return False
    selections = [(LAST, tested), (BEST_ON_TEST, tested), (VALIDATION, tested.merge(validated))]
    again = pd.concat([
        images.assign(seed=seed, selection=selection)
        for selection, asked in selections for protocol, images in asked.groupby("protocol")
        for seed in seeds_of(folder.config, splits.loc[splits["protocol"] == protocol, "split"].nunique())
    ])  # fmt: skip
    again["mos"] = again["image"].map(samples.set_index("image")[job.target])
    return folder.compare(job.path, table, again, [*RUN, "image"])


def check_metrics(folder: Folder) -> None:
    """Every row of the metrics is what the predictions give."""
    measured = folder.spread(_measure, folder.readable)
    failed = [job.path for job, rows in zip(folder.readable, measured, strict=True) if rows is None]
    found = [rows for rows in measured if rows is not None]
    if not found:
        return
    folder.metrics = pd.concat(found, ignore_index=True)
    read = folder.read(METRICS.path, kinds(folder.metrics))
    if read is None:
        return
    stored = read[0][~read[0]["file"].isin(failed)]
    if folder.compare(METRICS.path, stored, folder.metrics, list(METRICS.key)):
        folder.verdict.counts["rows of metrics"] += len(stored)


def _measure(folder: Folder, job: Job | Entry) -> pd.DataFrame | None:
    """The metrics of one file of predictions; None where they cannot be computed."""
    if job.benchmark not in folder.splits:  # there are no samples or splits to hold them against: that is a finding
        return None
    try:
        return evaluate_runs([folder.root / job.path], folder.root)
    except InputError as error:
        folder.verdict.findings.append(folder.shorten(error))
    except FailedRunError as error:
        folder.verdict.findings.append(f"{folder.shorten(error)}; {AGAIN}")
    return None


def check_statistics(folder: Folder) -> None:
    """Intervals, paired tests and the table by generator are what the predictions give."""
    if folder.verdict.findings:
        folder.verdict.notes.append("intervals, paired tests, generators, verdicts: what they rest on does not hold")
        return
    for entry, again in zip(TABLES, compare_runs(folder.metrics, folder.root, workers=folder.workers), strict=True):
        read = folder.read(entry.path, kinds(again[list(entry.key)]))
        if read and folder.compare(entry.path, read[0], again, list(entry.key)):
            folder.verdict.counts[f"rows of {Path(entry.path).stem}"] += len(again)


def check_claims(folder: Folder) -> None:
    """The verdicts are what runs and claims give."""
    path = folder.root / CLAIMS.path
    if folder.verdict.findings:
        return
    if not folder.paper_files:
        folder.verdict.notes.append(f"verdicts: one of {', '.join(PAPER_FILES)} is not at hand")
        return
    claims, printed, prior = folder.paper_files
    decided = claims_document(
        claims, printed, prior, folder.root, claims.with_name("recipes"), frozenset(folder.manifest["outputs"])
    )
    again = json.loads(json.dumps(decided))
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        folder.verdict.find(CLAIMS.path, f"not JSON ({error})", RESTORE)
        return
    difference = find_difference(stored, again)
    if difference:
        folder.verdict.find(CLAIMS.path, f"{difference} is not what {claims} and the runs give")
    else:
        folder.verdict.counts["verdicts"] += len(again["claims"])
