"""What a configuration needs before any of it runs: what is there, what is missing, and exactly how to get it."""

import math
import os
import platform
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from packaging.requirements import Requirement

from mstclipiqa.base.device import describe_gpu
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.base.names import AUTO, CUDA, FLOAT32, TF32
from mstclipiqa.data.acquisition import State, inspect_folder, list_sources, published_hashes
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.pack_sources import find_pack, is_address, is_missing
from mstclipiqa.data.packs import read_pack
from mstclipiqa.encoders import clip
from mstclipiqa.encoders.clip import check_encoder, embedding_sizes, expected_sizes
from mstclipiqa.study.study import Study

#: Essential and there; there, but not what was published; not there but gone without, or got by the run itself;
#: essential and not there.
OK, CHECK, ABSENT, MISSING = "ok", "CHECK", "absent", "MISSING"

#: Tokens of a prompt with its ends, about, for the size of the prompt stores. AGIQA-3K's have 17.
TOKENS = 24


INSTALL = "pip install -e . in the checkout, in a fresh environment"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: a heading, its name, OK, CHECK, ABSENT or MISSING, what was found, what to do."""

    part: str
    subject: str
    status: str
    text: str
    how: tuple[str, ...] = ()


def diagnose(
    config: Mapping,
    recipes: Path,
    sources: Mapping,
    cache: Path,
    offline: bool = False,
    source: Path | str = "configuration",
) -> list[Finding]:
    """Look at everything that the configuration, read from `source`, needs. Nothing is downloaded, encoded or trained.

    Raises InputError for a configuration that the workflow would refuse whatever the data.
    """
    drawn, packs = config.get("draw") is not None, dict(config.get("packs") or {})
    as_if_there = {**config, "draw": config.get("draw") or {"seed": 0, "scale": 1}}
    if packs:
        as_if_there["packs"] = {name: file for name, file in packs.items() if not is_missing(name, file)}
    study = Study(as_if_there, recipes, source)  # every benchmark takes part, there or not
    root = study.data_root
    states = {}
    if not drawn:
        for name in study.benchmarks:
            if (root / name).is_dir() and name not in packs:
                states[name] = inspect_folder(get_benchmark(name), root / name, _facts(sources, name))
    findings = [
        _describe_pack(name, packs[name], cache, offline, config["when_missing"], _facts(sources, name))
        if name in packs
        else Finding("Benchmarks", name, OK, f"drawn by the workflow into {root / name}")
        if drawn
        else _describe_benchmark(name, states.get(name), root, _facts(sources, name), config["when_missing"])
        for name in study.benchmarks
    ]
    if not drawn and not states and not study.packed and config["when_missing"] == "skip":
        findings.append(Finding("Benchmarks", "all", MISSING, f"none of them is under {root}"))
    if study.texts_packed:
        findings.append(Finding("Encoders", "all", OK, "not needed: every benchmark comes from a feature pack"))
    else:
        findings += _describe_encoders(config["encoders"], sources["encoders"], offline) + _describe_sizes(study)
    findings += [_describe_versions(), _describe_device(), _describe_gpu(config, encodes=not study.texts_packed)]
    return findings + _describe_disk(study, states, sources, cache, [] if drawn else _from_images(study, packs))


def _from_images(study: Study, packs: Mapping) -> list[str]:
    """The benchmarks that are read from a folder."""
    return [name for name in study.benchmarks if name not in packs]


def _describe_pack(name: str, source: str, cache: Path, offline: bool, when_missing: str, facts: Mapping) -> Finding:
    """A benchmark's feature pack, looked through where it is at hand."""
    absent = ABSENT if when_missing == "skip" else MISSING
    try:
        file = find_pack(name, source, cache, offline=True)
    except InputError as error:
        if is_address(source) and not offline:
            return Finding("Benchmarks", name, ABSENT, f"its pack is downloaded by the run, from {source}")
        return Finding("Benchmarks", name, absent, str(error))
    try:
        pack = read_pack(file)
    except InputError as error:
        return Finding("Benchmarks", name, MISSING, str(error))
    features = "; ".join(entry["encoder"]["label"] for entry in pack.card["images"].values())
    text = (
        f"from the pack {file}: {len(pack.samples):,} images, features of {features}; licence: {pack.card['licence']}"
    )
    published, labels = published_hashes(facts), pack.card["label_files"]
    others = [file for file in labels if labels[file] not in published.get(Path(file).name, {labels[file]})]
    if others and not (pack.card["labels"] or {}).get("synthetic"):
        text += f"; made with {', '.join(others)} of OTHER BYTES THAN PUBLISHED"
        return Finding("Benchmarks", name, CHECK, text, ("numbers of other labels are not the benchmark's",))
    if pack.has_labels:
        return Finding("Benchmarks", name, OK, text)
    files = ", ".join(pack.card["label_files"])
    return Finding("Benchmarks", name, CHECK, f"{text}; it has no labels: {files} in data_root/{name} complete it")


def render(findings: Iterable[Finding]) -> str:
    """The findings as a page of text."""
    lines, part = [], None
    for finding in findings:
        if finding.part != part:
            lines += ["", finding.part] if part else [finding.part]
            part = finding.part
        lines.append(f"  {finding.status:<8} {finding.subject}: {finding.text}")
        lines += [f"  {'':<8}   {line}" for line in finding.how]
    return "\n".join(lines)


def conclude(findings: Iterable[Finding]) -> str:
    """The closing line: what is to be checked before numbers are believed. Raises InputError where something essential
    is missing."""
    findings = list(findings)
    missing, doubtful = ([one for one in findings if one.status == status] for status in (MISSING, CHECK))
    if missing:
        listed = "; ".join(finding.subject for finding in missing)
        raise InputError(f"essential and missing: {listed}; the page above says how to get each")
    if doubtful:
        listed = "; ".join(finding.subject for finding in doubtful)
        return f"Nothing essential is missing. CHECK FIRST, since numbers may be others than the benchmark's: {listed}."
    return "Nothing essential is missing."


def _facts(sources: Mapping, name: str) -> Mapping:
    """What the file of sources says of a benchmark; of one that it lacks, what the benchmark says of itself."""
    unlisted = {"licence": get_benchmark(name).licence, "files": [], "by_hand": []}
    return sources["benchmarks"].get(name, unlisted)


def _describe_benchmark(name: str, state: State | None, root: Path, facts: Mapping, when_missing: str) -> Finding:
    licence = f"licence: {facts['licence']}"
    if state is None:
        skipped = "; the run goes on without it (when_missing: skip)" if when_missing == "skip" else ""
        text = f"no folder {root / name}{skipped}; {licence}"
        how = _how_to_get(name, root, facts, ("labels", "images"))
        return Finding("Benchmarks", name, ABSENT if skipped else MISSING, text, how)
    if state.problem:
        text = f"labels cannot be read: {state.problem}; {licence}"
        return Finding("Benchmarks", name, MISSING, text, _how_to_get(name, root, facts, ("labels", "images")))
    said = {True: "as published", False: "OTHER BYTES THAN PUBLISHED", None: "(no published hash to compare)"}
    files = {known: [file for file in state.files if state.files[file] is known] for known in said}
    listed = "; ".join(f"{', '.join(names)} {said[known]}" for known, names in files.items() if names)
    text = f"{state.images:,} of {state.labelled:,} images; labels: {listed}; {licence}"
    if state.synthetic:
        text = f"drawn, not the benchmark; {text}"
    if state.doubts:
        text += f"; {'; '.join(state.doubts)}"
    if state.complete and state.doubts:
        names = "; ".join(_how_to_get(name, root, facts, ("labels",))[:1])
        how = (f"numbers of other labels are not the benchmark's; move them away, then {names}",)
        return Finding("Benchmarks", name, CHECK, text, how)
    if state.complete:
        return Finding("Benchmarks", name, OK, text)
    how = (*_how_to_get(name, root, facts, ("images",)), f"or do without it: move {root / name} away")
    return Finding("Benchmarks", name, MISSING, text, how)


def _how_to_get(name: str, root: Path, facts: Mapping, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """The command that downloads what has a source, what is to be got by hand, and where to put it."""
    if not facts["files"]:
        return (f"no source is listed: put its {' and '.join(kinds)} anywhere below {root / name}",)
    packed = f"without images: a feature pack by these encoders, as packs: {{{name}: FILE}} (docs/packs.md)"
    entries = [entry for entry in facts["files"] if entry["kind"] in kinds]
    command = f"mstclipiqa acquire {name} --data-root {root}"
    lines = []
    if entries:
        listed = ", ".join(f"{entry['name']} ({_hosts(entry)})" for entry in entries)
        lines.append(f"download: {command}   gets {listed}")
    if not any(entry["kind"] == "images" for entry in entries):
        lines.append("images: no source that answers unattended is known")
    lines += [f"by hand: {line}" for line in facts["by_hand"]]
    lines.append(f"then:     {command} --archive FILE, or unpack it anywhere below {root / name}")
    return (*([packed] if "images" in kinds else []), *lines)


def _hosts(entry: Mapping) -> str:
    sources = list_sources(entry)
    hosts = dict.fromkeys(source.url.split("/")[2] for source in sources)
    size = next((f", {math.ceil(source.size / 1e3):,} kB" for source in sources if source.size), "")
    return f"{' or '.join(hosts)}{size}"


def _describe_encoders(encoders: Mapping, listed: list[Mapping], offline: bool) -> list[Finding]:
    roles: dict[tuple[str, str], list[str]] = defaultdict(list)
    for role, encoder in encoders.items():
        roles[encoder["model"], encoder["weights"]].append(role)
    findings = []
    for (model, weights), names in roles.items():
        subject = f"{model}, {weights} ({', '.join(names)})"
        try:
            _, tag, file = check_encoder(model, weights)
        except InputError as error:
            findings.append(Finding("Encoders", subject, MISSING, str(error)))
            continue
        known = [one for one in listed if (one["model"], one["weights"]) == (model.partition("@")[0], weights)]
        size = f", about {known[0]['bytes'] / 1e6:,.0f} MB" if known else ""
        licence = f"; licence: {known[0]['licence']}" if known else ""
        if tag is None:
            text = f"weights {file.name} are there" if file else "random weights, drawn when needed"
            findings.append(Finding("Encoders", subject, OK, f"{text}; the activation fits"))
            continue
        found = find_weights(tag)
        place = f"huggingface.co/{tag['hf_hub'].rstrip('/')}" if tag.get("hf_hub") else tag["url"]
        if found is None:
            text = f"the activation fits; the weights are not there{size}{licence}"
            how = f"open_clip downloads them at first use from {place} into {HF_HUB_CACHE}; without a network, copy "
            how += "that folder from a machine that has them"
            findings.append(Finding("Encoders", subject, MISSING if offline else ABSENT, text, (how,)))
        elif not _is_whole(found):
            text = f"{found}: damaged, its sha256 is not the one it was stored under"
            findings.append(Finding("Encoders", subject, MISSING, text, (f"delete {found.resolve()} and run again",)))
        else:
            findings.append(Finding("Encoders", subject, OK, f"the activation fits; weights {found}{licence}"))
    return findings


def _describe_sizes(study: Study) -> list[Finding]:
    """A finding where the streams have not one embedding size, which the names of timm's backbones do not say."""
    encoders = {role: one for role, one in study.config["encoders"].items() if role in study.paired}
    try:
        sizes = embedding_sizes(encoders)
    except InputError:
        return []  # said of the encoder itself
    if len(set(sizes.values())) <= 1:
        return []
    listed = ", ".join(f"{role} {size}" for role, size in sizes.items())
    how = ("choose encoders of one embedding size",)
    return [Finding("Encoders", "streams", MISSING, f"they give other counts of numbers an image: {listed}", how)]


def find_weights(tag: Mapping) -> Path | None:
    """Where open_clip would find the weights of a pretrained configuration without a network; None if nowhere."""
    return clip.find_weights(tag, HF_HUB_CACHE)


def _is_whole(path: Path) -> bool:
    """The hub's cache keeps large files under their sha256; of others nothing is known."""
    name = path.resolve().name
    return not re.fullmatch(r"[0-9a-f]{64}", name) or sha256(path) == name


def _describe_versions() -> Finding:
    unfit = []
    try:
        required = requires("mstclipiqa") or []
    except PackageNotFoundError:
        text = "this checkout is not installed, so what it requires is not known"
        return Finding("Machine", "versions", MISSING, text, (INSTALL,))
    for line in required:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            installed = "not installed"
        if installed == "not installed" or not requirement.specifier.contains(installed, prereleases=True):
            unfit.append(f"{requirement} ({installed})")
    shown = ", ".join(f"{name} {version(name)}" for name in ("torch", "open_clip_torch", "snakemake"))
    text = f"Python {platform.python_version()}, {shown}"
    if unfit:
        return Finding("Machine", "versions", MISSING, f"{text}; not as required: {', '.join(unfit)}", (INSTALL,))
    return Finding("Machine", "versions", OK, f"{text}, and all others as required")


def _describe_device() -> Finding:
    memory = psutil.virtual_memory().total / 2**30
    return Finding("Machine", "device", OK, f"{os.cpu_count()} cores, {memory:.0f} GiB of memory")


def _describe_gpu(config: Mapping, encodes: bool) -> Finding:
    """The GPU, the driver, and the build of torch; a GPU that cannot be used is missing where a key asks for one. The
    precision of encoders counts where the study `encodes` images."""
    strict = {
        f"{part}: device": (CUDA, AUTO)
        for part in ("extraction", "training")
        if config[part].get("device", AUTO) == CUDA
    }
    if encodes and config["extraction"]["precision"] == TF32:
        strict["extraction: precision"] = TF32, FLOAT32
    text, wrong = describe_gpu()
    if strict and not torch.cuda.is_available():
        how = wrong or "take a machine with a GPU"
        how += f"; or set {' and '.join(f'{key} to {other}' for key, (_, other) in strict.items())}"
        text += f"; one is asked for by {' and '.join(f'{key} {value}' for key, (value, _) in strict.items())}"
        return Finding("Machine", "GPU", MISSING, text, (how,))
    return Finding("Machine", "GPU", CHECK if wrong else OK, text, (wrong,) if wrong else ())


def _describe_disk(study: Study, states: Mapping, sources: Mapping, cache: Path, read: list[str]) -> list[Finding]:
    """What is still to be written, summed by file system, against what is free there."""
    hub = Path(HF_HUB_CACHE)
    needs: dict[Path, float] = {study.data_root: 0, cache: 0, Path("results"): 0, hub: 0}
    unknown = []
    for name in read:
        facts, state = _facts(sources, name), states.get(name)
        if state and state.complete:
            continue
        sizes = [source.size for entry in facts["files"] for source in list_sources(entry)[:1] if source.size]
        archives = [entry for entry in facts["files"] if entry["kind"] == "images"]
        archive = next((source.size for entry in archives for source in list_sources(entry) if source.size), None)
        needs[cache] += sum(sizes)
        needs[study.data_root] += facts.get("image_bytes") or archive or 0
        unknown += [] if facts.get("image_bytes") or archive else [name]
    if read:
        needs[Path("results")] += _result_bytes(study, states, sources)
    named = (
        []
        if study.texts_packed
        else [(encoder["model"].partition("@")[0], encoder["weights"]) for encoder in study.config["encoders"].values()]
    )
    for one in sources["encoders"]:
        key = one["model"], one["weights"]
        needs[hub] += one["bytes"] if key in named and _lacks_weights(*key) else 0
    systems: dict[int, list[Path]] = defaultdict(list)
    for path in needs:
        systems[_existing(path).stat().st_dev].append(path)
    findings = []
    for paths in systems.values():
        needed, free = sum(needs[path] for path in paths), shutil.disk_usage(_existing(paths[0])).free
        text = f"about {needed / 1e9:.1f} GB still to be written, {free / 1e9:.1f} GB free"
        if unknown and study.data_root in paths:
            text += f"; not counted, since their size is not published: the images of {', '.join(unknown)}"
        subject = "disk of " + ", ".join(map(str, paths))
        findings.append(Finding("Machine", subject, OK if needed < free else MISSING, text))
    return findings


def _lacks_weights(model: str, weights: str) -> bool:
    try:
        tag = check_encoder(model, weights)[1]
    except InputError:
        return False
    return tag is not None and find_weights(tag) is None


def _result_bytes(study: Study, states: Mapping, sources: Mapping) -> int:
    """Features and prompt stores, which outweigh all else in the results folder."""
    try:
        dim, width = expected_sizes(study.config)
    except InputError:
        return 0
    total = 0
    for name in study.benchmarks:
        state = states.get(name)
        images = state.labelled if state else get_benchmark(name).images or 0
        views = sum(
            study.recipes[recipe].views * len(encoders) for (of, recipe), encoders in study.views.items() if of == name
        )
        total += images * ((len(study.encoders(name)) + views) * dim + TOKENS * width) * 4
    return total


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())
