"""From a results folder to a feature pack, and from a pack to the files of a results folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import FEATURES, LEVELS, PROMPTS, SAMPLES, STATISTICS
from mstclipiqa.base.names import TARGETS
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.packs import OF_IMAGES, OF_LABELS, STORED, Pack, as_stored, read_pack, write_pack
from mstclipiqa.data.samples import collect_samples, normalise_prompt
from mstclipiqa.encoders.architectures import portable_name
from mstclipiqa.encoders.stores import TextFeatures, load_features, load_texts, write_store

#: The open_clip model of an encoder, its weights, and the store to fill.
Named = tuple[str, str, Path]

#: The store of texts that has the prompts.
TEXT = "text"


# Packing


def pack_from_results(output: Path, results: Path, benchmark: str, encoders: Sequence[str] = ()) -> str:
    """Write the pack of a benchmark whose images and prompts were encoded in a results folder; say what is in it.

    `encoders` are the names of its stores of image features to pack, all if none is given; augmented views and image
    statistics stay. All texts of the suite by an encoder of the pack are packed too: prompts, levels, zero-shot texts.
    Equal stores give equal bytes, and so does a results folder that was unpacked. Raises InputError where a store is
    missing, or of other images than the samples.
    """
    frame, card = SAMPLES.read(SAMPLES.at(results, benchmark=benchmark))
    stores = {
        name: load_features(FEATURES.at(results, benchmark=benchmark, encoder=name))
        for name in encoders or _list_encoders(results, benchmark)
    }
    if not stores:
        raise InputError(f"{results}: no features of {benchmark}; extract them first")
    for name, store in stores.items():
        if [store.images, store.metadata["sha256"]] != [frame[key].tolist() for key in ("image", "sha256")]:
            raise InputError(f"{results}: {name} features are of other images than the samples table; extract again")
    images = {name: _describe(store.metadata) for name, store in stores.items()}
    arrays = {name: store.features for name, store in stores.items()}
    texts = _collect_texts(results, benchmark, images)
    prompts = list(dict.fromkeys(frame["prompt"]))
    shared = get_benchmark(benchmark).open_labels or card["synthetic"]
    described = {}
    for name, parts in texts.items():
        first, *_ = parts
        if name == TEXT and first.translations:
            raise InputError(f"{results}: the prompts' store has translations, which no pack has; pack a suite without")
        if name == TEXT and first.metadata["texts"] != prompts:
            raise InputError(f"{results}: the prompts' store is of other prompts than the samples; extract again")
        entry, own = _pool(parts, prompts if name == TEXT else [])
        described[name] = {"prompts": 0, **entry}
        if name == TEXT:
            hashes = [sha256(prompt.encode()).hexdigest() for prompt in prompts]
            described[name] |= {"prompts": len(prompts) if shared else hashes}
        arrays |= {f"{name}.{part}": values for part, values in own.items()}
    known = get_benchmark(benchmark)
    write_pack(
        output,
        {
            "format": 1, "benchmark": benchmark, "title": known.title, "paper": known.paper, "licence": known.licence,
            "attribution": known.attribution or f"{known.title} ({known.paper})", "stored": STORED,
            "labels": {key: card[key] for key in card if key not in ("label_files", "pack")} if shared else None,
            "label_files": card.get("pack", card)["label_files"], "images": images, "texts": described,
        },
        _samples_to_pack(frame, list(known.ranges) if shared else []),
        arrays,
    )  # fmt: skip
    labels = "with its labels" if shared else "without its labels, which no licence lets be passed on"
    return f"{len(frame):,} images of {known.title} {labels}, by {', '.join(stores)}, in {STORED}"


def _list_encoders(results: Path, benchmark: str) -> list[str]:
    """The names of a benchmark's stores of features of whole images."""
    places = {STATISTICS.at(results, benchmark=benchmark), PROMPTS.at(results, benchmark=benchmark)}
    found = sorted(set(FEATURES.at(results, benchmark=benchmark, encoder="x").parent.glob("*.safetensors")) - places)
    return [path.stem for path in found if load_features(path).features.ndim == 2]


def _describe(metadata: Mapping) -> dict:
    """A store's entry in the card: its encoder as stored, and how it was made."""
    made = {key: metadata[key] for key in ("device", "batch_size") if key in metadata}
    return {"encoder": as_stored(metadata["encoder"]), "made": made}


def _collect_texts(results: Path, benchmark: str, images: Mapping[str, dict]) -> dict[str, list[TextFeatures]]:
    """The stores of the suite's texts by encoders of the pack, by the name they have in it, the prompts' first."""
    prompts = load_texts(PROMPTS.at(results, benchmark=benchmark))
    found, names = {TEXT: [prompts]}, {_weights_of(prompts): TEXT}
    for path in sorted(LEVELS.at(results, recipe="x").parent.glob("*.safetensors")):
        store = load_texts(path)
        own = [name for name, entry in images.items() if entry["encoder"]["weights_sha256"] == _weights_of(store)]
        if _weights_of(store) in names or own:
            name = names.setdefault(_weights_of(store), f"{TEXT}-{own[0] if own else ''}")
            found.setdefault(name, []).append(store)
    return found


def _weights_of(store: TextFeatures) -> str:
    return store.metadata["encoder"]["weights_sha256"]


def _pool(stores: Sequence[TextFeatures], prompts: Sequence[str]) -> tuple[dict, dict[str, np.ndarray]]:
    """Each text of several stores once: what the card says of them, and their arrays."""
    tokens, pooled, truncated = [], [], []
    place: dict[str, int] = {}
    for store in stores:
        for text, row in store.index.items():
            if text not in place:
                place[text] = len(place)
                tokens.append(store.tokens[store.offsets[row] : store.offsets[row + 1]])
                pooled.append(store.pooled[row])
                truncated += [place[text]] if text in store.metadata["truncated"] else []
    entry = _describe(stores[0].metadata) | {
        "texts": list(place)[len(prompts) :], "truncated": truncated, "tokens": sum(map(len, tokens)),
    }  # fmt: skip
    lengths = np.array([len(states) for states in tokens], dtype=np.int64)
    return entry, {"tokens": np.concatenate(tokens), "lengths": lengths, "pooled": np.stack(pooled)}


def _samples_to_pack(frame: pd.DataFrame, rated: Sequence[str]) -> pd.DataFrame:
    """The columns of a samples table that a pack has; with labels, those of the `rated` targets too."""
    targets = [target for target in TARGETS if target in rated]
    sds = [f"{target}_sd" for target in targets if f"{target}_sd" in frame]
    return frame[[*OF_IMAGES, *((*OF_LABELS, *targets, *sds) if rated else ())]]


# Unpacking


@dataclass(frozen=True)
class Unpacked:
    """What is to be made of a pack: a samples table, stores of image features, of the prompts, and of other texts."""

    samples: Path | None = None
    images: Sequence[Named] = ()
    prompts: Named | None = None
    texts: Sequence[tuple[str, str, Sequence[str], Path]] = ()


def unpack_files(file: Path, benchmark: str, wanted: Unpacked, precision: str, labels: Path | None = None) -> str:
    """Write what is wanted of the pack in `file`; say what was unpacked. Nothing is written before all was checked.

    `labels` is the benchmark's folder, for the label files that a pack lacks whose licence forbids them. Raises
    InputError where the pack is of another benchmark, by other encoders, lacks a text, or goes with other labels.
    """
    pack = read_pack(file)
    if pack.card["benchmark"] != benchmark:
        raise InputError(f"{file}: a pack of {pack.card['benchmark']}, not of {benchmark}; name {benchmark}'s")
    frame, card = samples_of(file, pack, labels)
    stores: list[tuple[Path, dict[str, np.ndarray], dict]] = []
    for model, weights, out in wanted.images:
        name = _find(file, pack.card["images"], model, weights, precision)
        tensors = {"features": pack.arrays[name].astype(np.float32)}
        FEATURES.check_tensors(tensors)
        known = {"images": frame["image"].tolist(), "sha256": frame["sha256"].tolist()}
        stores.append((out, tensors, _metadata(pack, "images", name) | known))
    asked = [(*wanted.prompts[:2], list(dict.fromkeys(frame["prompt"])), wanted.prompts[2])] if wanted.prompts else []
    for model, weights, texts, out in [*asked, *wanted.texts]:
        name = _find(file, pack.card["texts"], model, weights, "float32")
        tensors, truncated = _take_texts(file, pack, name, pack.texts(name, frame["prompt"]), texts)
        PROMPTS.check_tensors(tensors)
        known = {"texts": list(dict.fromkeys(texts)), "truncated": truncated}
        stores.append((out, tensors, _metadata(pack, "texts", name) | known))
    if wanted.samples:
        SAMPLES.write(wanted.samples, frame, card)
    for out, tensors, metadata in stores:
        write_store(out, tensors, metadata)
    return f"{card['title']}: {len(frame):,} images and {card['prompts']:,} prompts of the pack {pack.sha256[:12]}..."


def samples_of(file: Path, pack: Pack, labels: Path | None) -> tuple[pd.DataFrame, dict]:
    """The samples table of a pack and its card, which names the pack as what was read. An image's path is its name."""
    benchmark, own = pack.benchmark, pack.card["label_files"]
    said = {key: pack.card[key] for key in ("licence", "attribution", "stored")}
    read = {f"{benchmark.name}.zip": pack.sha256}
    said |= {"sha256": pack.sha256, "label_files": own}
    if pack.has_labels:
        frame = pack.samples.assign(
            benchmark=benchmark.name, path=pack.samples["image"],
            prompt_group=pack.samples["prompt"].map(normalise_prompt),
            **{target: np.nan for target in TARGETS if target not in benchmark.ranges},
        )  # fmt: skip
        columns = [name for name in SAMPLES.columns if name not in TARGETS]
        columns += [name for target in TARGETS for name in (target, f"{target}_sd") if name in frame]
        return frame[columns], pack.card["labels"] | {"label_files": read, "pack": said}
    if labels is None or not labels.is_dir():
        place = labels or "data_root/" + benchmark.name
        raise InputError(
            f"{file}: has no labels, since their licence does not allow it; put {', '.join(own)} of {benchmark.title} "
            f"into {place} (`mstclipiqa acquire {benchmark.name} --labels-only` gets them)"
        )
    try:
        frame, card = collect_samples(benchmark, labels, pack.samples)
    except InputError as error:
        raise InputError(f"{file}: {error}; give the label files that the pack was made with") from None
    if sorted(card["label_files"].values()) != sorted(own.values()):
        raise InputError(f"{labels}: label files of other bytes than {file} was made with ({', '.join(own)})")
    return frame, card | {"label_files": read | card["label_files"], "pack": said}


def _find(file: Path, entries: Mapping[str, dict], model: str, weights: str, precision: str) -> str:
    """The store of an encoder. Raises InputError where the pack has others."""
    called, names = portable_name(model), {weights, Path(weights).name}
    for name, entry in entries.items():
        identity = entry["encoder"]
        if identity["model"] == called and identity["weights"] in names and identity["precision"] == precision:
            return name
    held = "; ".join(entry["encoder"]["label"] for entry in entries.values())
    raise InputError(f"{file}: has nothing of {model}, weights {weights}, {precision}; it has features of {held}")


def _metadata(pack: Pack, kind: str, name: str) -> dict:
    entry = pack.card[kind][name]
    return {"encoder": entry["encoder"], **entry["made"], "pack": pack.sha256}


def _take_texts(
    file: Path, pack: Pack, name: str, held: Sequence[str], wanted: Sequence[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The tensors of some texts of a store, and those of them that were truncated."""
    entry = pack.card["texts"][name]
    hashes = entry["prompts"]
    if not isinstance(hashes, int) and hashes != [sha256(text.encode()).hexdigest() for text in held[: len(hashes)]]:
        raise InputError(f"{file}: of other prompts than the label files have; give those that it was made with")
    place = {text: row for row, text in enumerate(held)}
    wanted = list(dict.fromkeys(wanted))
    if missing := [text for text in wanted if text not in place]:
        raise InputError(f"{file}: has no text {missing[0][:80]!r} ({len(missing)} are missing); pack it with them")
    lengths = pack.arrays[f"{name}.lengths"]
    ends, rows = np.cumsum(lengths), [place[text] for text in wanted]
    tokens = [pack.arrays[f"{name}.tokens"][ends[row] - lengths[row] : ends[row]] for row in rows]
    tensors = {
        "tokens": np.concatenate(tokens).astype(np.float32),
        "offsets": np.cumsum([0, *lengths[rows]]),
        "pooled": pack.arrays[f"{name}.pooled"][rows].astype(np.float32),
    }
    cut = set(entry["truncated"])
    return tensors, [text for text in wanted if place[text] in cut]
