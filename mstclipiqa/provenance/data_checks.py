"""Samples, splits and features: held against the data folder, the protocols and the encoders."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.base.layout import SAMPLES, SPLITS
from mstclipiqa.base.names import TARGETS
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.data.published_splits import SPLIT_FILES
from mstclipiqa.data.samples import collect_samples, normalise_prompt
from mstclipiqa.data.translations import read_translations
from mstclipiqa.encoders.statistics import NAMES
from mstclipiqa.encoders.stores import TextFeatures, load_features, load_texts
from mstclipiqa.model.recipes import level_texts
from mstclipiqa.provenance.differences import find_difference, show
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
    _check_card(folder, file, samples, card)
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
    if ("pack" in card) != folder.is_packed(benchmark):
        folder.verdict.find(file, "not from where the configuration says, a pack or the benchmark's own files")
    elif folder.data_root is not None and not folder.is_packed(benchmark):
        _check_inputs(folder, benchmark, inputs, folder.data_root / benchmark)


def _check_card(folder: Folder, file: str, samples: pd.DataFrame, card: dict) -> None:
    """The samples are what their benchmark allows, and the card says of them what they are and how many."""
    benchmark, find = get_benchmark(card["benchmark"]), folder.verdict.find
    groups = samples["prompt"].map(normalise_prompt)
    if (other := samples["prompt_group"] != groups).any():
        row = samples[other].iloc[0]
        find(file, f"prompt_group of {row['image']} is {show(row['prompt_group'])}, not that of its prompt")
    if samples["row"].duplicated().any() or not (samples["row"] >= 0).all():
        find(file, "two images are of one label row")
    for target in TARGETS:
        low, high = benchmark.ranges.get(target, (None, None))
        inside = samples[target].isna() if low is None else samples[target].between(low, high)
        if not inside.all():
            row = samples[~inside].iloc[0]
            find(file, f"{target} of {row['image']} is {row[target]}, and the scale is {show([low, high])}")
    again = {
        "paper": benchmark.paper,
        "licence": benchmark.licence,
        "ranges": {target: list(benchmark.ranges[target]) for target in benchmark.targets},
        "prompts": samples["prompt"].nunique(),
        "prompt_groups": groups.nunique(),
        "generators": samples["generator"].value_counts().to_dict(),
    }
    for key, value in again.items():
        if card.get(key) != value:
            find(file, f"its card says {key} {show(card.get(key))}, not {show(value)}")


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
    samples, card = folder.samples[benchmark]
    protocols = folder.config["protocols"]
    published = [name for name in protocols if name.startswith("file-")]
    unknown = [name for name in published if not (SPLIT_FILES / f"{name.removeprefix('file-')}.csv").is_file()]
    if unknown:
        folder.verdict.notes.append(f"splits {', '.join(unknown)} of {benchmark}: their files are not at hand")
    given = [name for name in protocols if name not in unknown]
    stored = splits[~splits["protocol"].isin(unknown)]
    try:
        again, leakage = split_samples(samples, given, card) if given else (stored, {})
    except InputError as error:
        folder.verdict.find(file, str(error))
        return
    except (TypeError, AttributeError) as error:  # whoever wrote the card may have written anything
        folder.verdict.find(file, f"the card of its samples is of another shape ({type(error).__name__})")
        return
    said = metadata.get("protocols")
    if not isinstance(said, dict) or said | dict.fromkeys(unknown) != leakage | dict.fromkeys(unknown):
        folder.verdict.find(file, "its counts and leakage are not those of its splits")
    elif folder.compare(file, stored, again, ["protocol", "split", "image"]):
        folder.verdict.counts["splits"] += splits[["protocol", "split"]].drop_duplicates().shape[0]
    folder.splits[benchmark] = splits


def check_features(folder: Folder, benchmark: str) -> None:
    """The feature stores that are there are of the samples' images, by the manifest's encoders, one finite feature of
    the encoder's size for each."""
    if benchmark not in folder.samples:
        return
    for file in folder.manifest["outputs"]:
        place, _, name = file.removesuffix(".safetensors").rpartition("/")
        if place == f"{benchmark}/features" and (folder.root / file).is_file():
            check = _check_prompts if name == "prompts" else _check_images
            _check_store(folder, file, check, benchmark, name)


def check_levels(folder: Folder) -> None:
    """The stores of level texts are of their recipe's template, by the text tower that the configuration names."""
    for file in folder.manifest["outputs"]:
        if file.startswith("levels/") and (folder.root / file).is_file():
            name = file.removeprefix("levels/").removesuffix(".safetensors")
            _check_store(folder, file, _check_level_texts, name)


def _check_store(folder: Folder, file: str, check: Callable[..., str | None], *names: str) -> None:
    """Read a store and say what `check` has against it."""
    try:
        wrong = check(folder, file, *names)
    except InputError as error:
        folder.verdict.findings.append(folder.shorten(error))
        return
    except (TypeError, LookupError, AttributeError) as error:  # whoever wrote it may have written anything
        wrong = f"metadata of another shape ({type(error).__name__})"
    if wrong:
        folder.verdict.find(file, wrong, RESTORE)
    else:
        folder.stores.add(file)
        folder.verdict.counts["feature stores"] += 1


def _check_prompts(folder: Folder, file: str, benchmark: str, name: str) -> str | None:
    """What is wrong with the store of a benchmark's prompts."""
    texts = load_texts(folder.root / file)
    counted, truncated = (
        folder.manifest["benchmarks"][benchmark].get("prompts_truncated"),
        texts.metadata.get("truncated"),
    )
    if not isinstance(truncated, list) or len(truncated) != counted:
        return f"truncates other prompts than the {counted} that the manifest counts"
    prompts = list(dict.fromkeys(folder.samples[benchmark][0]["prompt"]))
    translated = [texts.translations.get(prompt) for prompt in prompts] if texts.translations else []
    if texts.metadata["texts"] != list(dict.fromkeys([*prompts, *translated])):
        return "of other images or prompts than the samples table"
    file = folder.config.get("translations", {}).get(benchmark)
    if bool(file) != bool(texts.translations):
        return "has translations, and the configuration names none" if texts.translations else "has no translations"
    if file and Path(file).is_file() and texts.translations != read_translations(Path(file), prompts):
        return f"has other translations than {file}"
    return _wrong_texts(folder, texts, folder.config["text_encoder"], benchmark)


def _check_level_texts(folder: Folder, file: str, name: str) -> str | None:
    """What is wrong with a store of level texts, or of the zero-shot rivals' texts, which this room does not know."""
    texts, recipes = load_texts(folder.root / file), folder.manifest["recipes"]
    recipe = name if name in recipes else name.removesuffix("-fine")
    if recipe in recipes and texts.metadata["texts"] != level_texts(recipes[recipe]["values"]["template"]):
        return f"of other texts than the levels in the template of {recipe}"
    return _wrong_texts(folder, texts, "fine" if recipe != name else folder.config["text_encoder"])


def _wrong_texts(folder: Folder, texts: TextFeatures, role: str, benchmark: str = "") -> str | None:
    identity = folder.identity(role, text=True, benchmark=benchmark)
    if identity is None or texts.metadata["encoder"] != identity:
        return f"by another encoder than the manifest's {role}"
    sizes = {"tokens": (texts.tokens, identity["text_width"]), "pooled": (texts.pooled, identity["dim"])}
    return next(filter(None, (_wrong_values(name, array, (size,)) for name, (array, size) in sizes.items())), None)


def _check_images(folder: Folder, file: str, benchmark: str, name: str) -> str | None:
    """What is wrong with a store of image features, of augmented views or of statistics."""
    store, (samples, _) = load_features(folder.root / file), folder.samples[benchmark]
    if [store.images, store.metadata["sha256"]] != [samples[key].tolist() for key in ("image", "sha256")]:
        return "of other images or prompts than the samples table"
    if name == "statistics":
        if store.metadata["encoder"].get("names") != list(NAMES):
            return "of other statistics than this version's"
        return _wrong_values("features", store.features, (len(NAMES),))
    encoders, recipes = folder.manifest["encoders"], folder.manifest["recipes"]
    # By its whole name: an encoder's may begin with another's.
    views = {f"{role}-{recipe}": (role, recipe) for role in encoders for recipe in recipes}
    role, recipe = (views | {role: (role, None) for role in encoders}).get(name, (name, None))
    if role not in encoders or store.metadata["encoder"] != folder.identity(role, benchmark=benchmark):
        return f"by another encoder than the manifest's {role}"
    shape = (recipes[recipe]["values"]["views"],) if recipe else ()
    return _wrong_values("features", store.features, (*shape, store.metadata["encoder"]["dim"]))


def _wrong_values(name: str, values: np.ndarray, shape: tuple[int, ...]) -> str | None:
    """Whether some features are not of one `shape` each, or hold what is no number."""
    if values.shape[1:] != shape:
        return f"{name} of shape {values.shape[1:]} each, and the manifest says {shape}"
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())
        return f"{name} of {count:,} rows are not finite"
    return None
