"""A benchmark from a feature pack: its samples and stores held against the pack, and against images that are at hand.

Where the data folder has the images, a sample of them is encoded again: a feature may be off the fresh one by what
float16 rounds, and by what other kernels and batches do to the last bits.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.base.layout import FEATURES, PROMPTS, SAMPLES
from mstclipiqa.base.names import BFLOAT16, FLOAT32, TF32
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.pack_sources import pack_file
from mstclipiqa.data.packs import ROUNDING, Pack, read_pack
from mstclipiqa.data.samples import collect_samples, find_images
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.images import read_image
from mstclipiqa.encoders.stores import load_features, load_texts
from mstclipiqa.provenance.folder import RESTORE, Folder
from mstclipiqa.study.packing import samples_of

#: Images that are encoded again.
SAMPLE = 32

#: What other kernels and batches may change, in root mean squares of the features, by precision.
DRIFT = {FLOAT32: 1e-4, TF32: 1e-2, BFLOAT16: 5e-2}

#: Rows that are named; of the others, how many there are.
NAMED = 20


def check_pack(folder: Folder, benchmark: str) -> None:
    """Samples and stores are the pack's, where that is at hand; and what images that are at hand give."""
    if benchmark not in folder.samples or not folder.is_packed(benchmark):
        return
    pack = folder.samples[benchmark][1].get("pack")
    if not isinstance(pack, dict) or pack.get("sha256") not in folder.samples[benchmark][1]["label_files"].values():
        folder.verdict.find(SAMPLES.path.format(benchmark=benchmark), "does not say of which pack it is")
        return
    file = pack_file(benchmark, folder.config["packs"][benchmark])
    if file is None or not file.is_file():
        folder.verdict.notes.append(f"the pack of {benchmark}: not at hand")
    else:
        _check_against_pack(folder, benchmark, file, pack["sha256"])
    place = folder.data_root / benchmark if folder.data_root else None
    if place and place.is_dir():
        _check_against_images(folder, benchmark, place, pack)
    else:
        folder.verdict.notes.append(f"images of {benchmark}: none at hand, its features come from a pack")


def _check_against_pack(folder: Folder, benchmark: str, file: Path, digest: str) -> None:
    """Unpack it again and compare."""
    todo = "name the pack that the results were made of, or run the workflow again"
    try:
        pack = read_pack(file)
    except InputError as error:
        folder.verdict.findings.append(str(error))
        return
    if pack.sha256 != digest:
        folder.verdict.find(file, "another pack than the results were made of", todo)
        return
    findings = len(folder.verdict.findings)
    if pack.has_labels:
        again, _ = samples_of(file, pack, None)
        folder.compare(SAMPLES.path.format(benchmark=benchmark), folder.samples[benchmark][0], again, ["image"])
    arrays = {entry["encoder"]["label"]: pack.arrays[name] for name, entry in pack.card["images"].items()}
    place = f"{benchmark}/features/"
    for name in sorted(name for name in folder.stores if name.startswith(place)):
        if name == PROMPTS.path.format(benchmark=benchmark):
            same = _is_text_of(folder, name, pack, benchmark)
        else:
            store = load_features(folder.root / name)
            same = np.array_equal(store.features, arrays.get(store.metadata["encoder"]["label"], np.empty(0)))
        if not same:
            folder.verdict.find(name, "not the pack's", RESTORE)
    if len(folder.verdict.findings) == findings:
        folder.verdict.counts["packs"] += 1


def _is_text_of(folder: Folder, name: str, pack: Pack, benchmark: str) -> bool:
    """Whether the prompts' store is the pack's."""
    store = load_texts(folder.root / name)
    for own, entry in pack.card["texts"].items():
        if entry["prompts"]:
            count, ends = len(store.index), np.cumsum(pack.arrays[f"{own}.lengths"])
            return (
                np.array_equal(store.offsets[1:], ends[:count])
                and np.array_equal(store.tokens, pack.arrays[f"{own}.tokens"][: ends[count - 1]])
                and np.array_equal(store.pooled, pack.arrays[f"{own}.pooled"][:count])
            )
    return False


def _check_against_images(folder: Folder, benchmark: str, place: Path, pack: dict) -> None:
    """Images and labels in the data folder are those of the pack; a sample is encoded again."""
    known, (samples, _) = get_benchmark(benchmark), folder.samples[benchmark]
    todo = "give the images that were packed, or pack these"
    try:
        paths, _ = find_images(place, samples["image"])
    except InputError as error:
        folder.verdict.findings.append(str(error))
        return
    hashes = [sha256(paths[name]) for name in samples["image"]]
    others = samples.loc[samples["sha256"] != hashes, "image"].tolist()
    for name in others[:NAMED]:
        folder.verdict.find(paths[name], "another image than the one that was packed under this name", todo)
    if others[NAMED:]:
        folder.verdict.find(place, f"{len(others) - NAMED} more images are others than were packed", todo)
    try:
        again, card = collect_samples(known, place)
    except InputError as error:
        folder.verdict.notes.append(f"labels of {benchmark}: {error}")
    else:
        if sorted(card["label_files"].values()) != sorted(pack["label_files"].values()):
            folder.verdict.find(place, "label files of other bytes than those that were packed", todo)
        file = SAMPLES.path.format(benchmark=benchmark)
        stored = samples.drop(columns="path")
        if not others and folder.compare(file, stored, again.drop(columns="path"), ["image"], todo):
            folder.verdict.counts["label files"] += len(card["label_files"])
    if not others:
        folder.verdict.counts["images by hash"] += len(samples)
        chosen = samples.sort_values("sha256").iloc[:: max(1, len(samples) // SAMPLE)][:SAMPLE]
        _encode_again(folder, benchmark, chosen, paths)


def _encode_again(folder: Folder, benchmark: str, chosen: pd.DataFrame, paths: dict[str, Path]) -> None:
    """The stored features of some images are those that their encoder gives."""
    images = [read_image(paths[name], digest) for name, digest in zip(chosen["image"], chosen["sha256"], strict=True)]
    for role in folder.study.encoders(benchmark) if folder.study else ():
        file, asked = FEATURES.path.format(benchmark=benchmark, encoder=role), folder.config["encoders"][role]
        identity = folder.identity(role, benchmark=benchmark)
        if file not in folder.stores or not identity:
            continue
        try:
            encoder = load_encoder(asked["model"], asked["weights"], torch.device("cpu"), identity["precision"])
        except InputError as error:
            folder.verdict.notes.append(f"features of {benchmark} by {role}, encoded again: {error}")
            continue
        if encoder.identity["weights_sha256"] != identity["weights_sha256"]:
            folder.verdict.find(file, f"packed with other weights than {asked['weights']} of {asked['model']} has")
            continue
        fresh = encoder.encode_images(torch.stack([encoder.preprocess(image) for image in images])).numpy()
        stored = load_features(folder.root / file).features[chosen.index]
        allowed = ROUNDING * np.abs(fresh) + DRIFT[identity["precision"]] * np.sqrt((fresh**2).mean())
        wrong = (np.abs(fresh - stored) > allowed).any(axis=1)
        for name in chosen["image"][wrong][:NAMED]:
            folder.verdict.find(file, f"the feature of {name} is not what its encoder gives", RESTORE)
        folder.verdict.counts["features encoded again"] += int((~wrong).sum())
