"""Small feature packs: of made-up features, and edited as whoever passes one on might."""

import json
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.archives import write_stored
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.packs import CARD, write_pack

DIM, WIDTH, COUNT = 4, 3, 6


def identity(model: str = "mst-small-32") -> dict:
    return {
        "label": f"{model}, weights embedded, stored in float16",
        "model": model,
        "weights": "embedded",
        "weights_sha256": sha256(model.encode()).hexdigest(),
        "pretrained": True,
        "precision": "float32",
        "preprocessing": {"size": [224, 224]},
        "dim": DIM,
        "text_width": WIDTH,
        "context_length": 77,
        "stored": "float16",
    }


def make_samples() -> pd.DataFrame:
    """Six images under three prompts, with their labels, as a pack has them."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "image": [f"image_{number}.jpg" for number in range(COUNT)],
            "sha256": [sha256(bytes([number])).hexdigest() for number in range(COUNT)],
            "width": 512,
            "height": 512,
            "row": range(COUNT),
            "prompt": [f"a prompt, no. {number // 2}" for number in range(COUNT)],
            "generator": "AttnGAN",
            **{
                column: rng.uniform(1, 4, COUNT)
                for column in ("quality", "correspondence", "quality_sd", "correspondence_sd")
            },
        }
    )


def make_card(samples: pd.DataFrame) -> dict:
    benchmark = get_benchmark("agiqa-3k")
    known = {"title": benchmark.title, "paper": benchmark.paper, "licence": benchmark.licence}
    made = {"device": "cpu"}
    labels = {
        "benchmark": "agiqa-3k", **known, "synthetic": False,
        "columns": {"quality": "mos_quality", "correspondence": "mos_align"},
        "ranges": {target: list(benchmark.ranges[target]) for target in benchmark.targets},
        "rows_read": len(samples), "prompts_read": 3, "images": len(samples), "prompts": 3, "prompt_groups": 3,
        "generators": {"AttnGAN": len(samples)},
        "mos": {
            target: {key: float(getattr(samples[target], key)()) for key in ("min", "max", "mean", "std")}
            for target in benchmark.targets
        },
        "excluded": {}, "defects": [],
    }  # fmt: skip
    texts = {"encoder": identity(), "made": made, "prompts": 3, "texts": ["a photo"], "truncated": [], "tokens": 10}
    return {
        "format": 1, "benchmark": "agiqa-3k", **known, "attribution": "its authors", "stored": "float16",
        "labels": labels, "label_files": {"data.csv": "ab" * 32},
        "images": {
            "coarse": {"encoder": identity(), "made": made | {"batch_size": 8}},
            "fine": {"encoder": identity("mst-small-16"), "made": made | {"batch_size": 8}},
        },
        "texts": {"text": texts},
    }  # fmt: skip


def make_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {
        "coarse": rng.normal(size=(COUNT, DIM)),
        "fine": rng.normal(size=(COUNT, DIM)),
        "text.tokens": rng.normal(size=(10, WIDTH)),
        "text.lengths": np.array([2, 4, 1, 3]),
        "text.pooled": rng.normal(size=(4, DIM)),
    }


def make_pack(path: Path) -> Path:
    """A pack of AGIQA-3K with labels."""
    samples = make_samples()
    write_pack(path, make_card(samples), samples, make_arrays())
    return path


def read_members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def edit_members(path: Path, edit: Callable[[dict[str, bytes]], object], honest: bool = True) -> None:
    """Edit a pack's members; where that is to be found out by more than their hashes, those are written anew."""
    members = read_members(path)
    edit(members)
    if honest and CARD in members:
        card = json.loads(members[CARD])
        for name, said in card["files"].items():
            if name in members:
                said |= {"bytes": len(members[name]), "sha256": sha256(members[name]).hexdigest()}
        members[CARD] = json.dumps(card).encode()
    write_stored(path, members)


def edit_card(path: Path, edit: Callable[[dict], object]) -> None:
    """Edit a pack's card."""

    def write(members: dict[str, bytes]) -> None:
        card = json.loads(members[CARD])
        edit(card)
        members[CARD] = json.dumps(card).encode()

    edit_members(path, write, honest=False)


def edit_table(path: Path, old: str, new: str) -> None:
    """Replace what samples.csv says."""

    def write(members: dict[str, bytes]) -> None:
        text = members["samples.csv"].decode()
        assert old in text
        members["samples.csv"] = text.replace(old, new, 1).encode()

    edit_members(path, write)
