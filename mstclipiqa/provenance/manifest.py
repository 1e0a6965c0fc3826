"""The manifest: what a suite's results were made from, with what, and their hashes."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256, write_json
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import FEATURES, PROMPTS, SAMPLES
from mstclipiqa.base.version import __version__
from mstclipiqa.data.benchmarks import get_benchmark, told_of
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.encoders.stores import load_features, read_description
from mstclipiqa.model.variants import get_variant
from mstclipiqa.study.study import Study

#: Where this project reads or does something its own way, whatever the recipe.
READINGS = (
    "The released code learns the MOS of its CSV as they are, and so do the recipes of silent sources. Which scale "
    "that CSV has is not known; here it is the benchmark's. Converged learns MOS mapped to 1..5. RMSE is in MOS units.",
    "The level texts and prompts of both streams come from one text tower (the configuration names it).",
    "Prompt padding is masked and prompts are truncated to the context length; the released code attends to "
    "padding, so its scores depend on which prompts share a batch, and stops at longer prompts.",
    "Images are converted to RGB before they are resized; open_clip's own transform converts after.",
    "Image features are the projected [CLS] embeddings as the encoder gives them, not normalised.",
    "The last batch of an epoch may be smaller than the others.",
    "Of equally good epochs the first is taken.",
    "An AGIQA-1K name that stands for two rows with different MOS is excluded before splitting, so its lab-seed "
    "splits have two rows fewer than the label file.",
    "A lab-seed split shuffles the rows of the label file that was found; for PKU-AIGIQA-4K read from its public "
    "copies instead of annotation.xlsx, that order is ours.",
)

PACKAGES = (
    "torch", "torchvision", "open_clip_torch", "numpy", "scipy", "pandas", "pyarrow", "pillow", "snakemake",
)  # fmt: skip


def write_manifest(output: Path, study: Study, results: Path) -> None:
    """As `build_manifest`, into the JSON file `output`."""
    write_json(output, build_manifest(study, results))


def build_manifest(study: Study, results: Path) -> dict:
    """Describe the suite whose results lie under `results`; every hash is computed from the files now."""
    names = told_of(study.config["benchmarks"])
    benchmarks: dict[str, dict[str, Any]] = {name: {"title": get_benchmark(name).title} for name in names}
    for name, reason in study.absent.items():
        benchmarks[name] |= {"status": "absent", "reason": reason}
    inputs: dict[str, str] = {}
    for name in study.benchmarks:
        _, card = SAMPLES.read(SAMPLES.at(results, benchmark=name))
        # Of the prompts' store the description alone: its token states are a gigabyte where prompts are many and long.
        prompts = PROMPTS.at(results, benchmark=name)
        truncated = read_description(prompts).get("truncated")
        if not isinstance(truncated, list):
            raise InputError(f"{prompts}: holds no text features; write it with `mstclipiqa extract`")
        benchmarks[name] |= {"status": "present", "prompts_truncated": len(truncated)}
        if name in study.packed:  # by which encoders, with which versions, whoever packed it
            benchmarks[name]["encoders"] = {
                role: load_features(FEATURES.at(results, benchmark=name, encoder=role)).metadata["encoder"]
                for role in study.encoders(name)
            }
        inputs |= {f"{name}/{path}": value for path, value in card["label_files"].items()}
    stores = {
        encoder: FEATURES.at(results, benchmark=name, encoder=encoder)
        # what is encoded here comes before what a pack has
        for name in [*study.packed, *(name for name in reversed(study.benchmarks) if name not in study.packed)]
        for encoder in study.encoders(name)
    }
    outputs = [*study.outputs, *(name for name in study.controls if (results / name).exists())]
    return {
        "suite": study.suite,
        "title": study.config["title"],
        "config": dict(study.config),
        "code": {
            "version": __version__,
            "fingerprint": fingerprint(data=["."]),
            "commit": _git_commit(),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "hardware": _describe_hardware(),
        "benchmarks": benchmarks,
        "encoders": {
            role: {"name": role, **load_features(stores[role]).metadata["encoder"]}
            for role in study.config["encoders"]
            if role in stores
        },
        "recipes": {
            name: {
                "title": recipe.title,
                "source": recipe.source,
                "values": recipe.values,
                "stated": recipe.stated,
                "silent": recipe.silent,
            }
            for name, recipe in study.recipes.items()
        },
        "variants": {
            name: {"title": get_variant(name).title, "description": get_variant(name).description}
            for name in study.variants
        }
        | {entry.name: {"title": entry.card["method"], "description": entry.description} for entry in study.entries},
        "entries": {entry.path: {"folder": str(entry.folder), **entry.identity} for entry in study.entries},
        "protocols": {name: describe_protocol(name) for name in study.config["protocols"]},
        "readings": list(READINGS),
        "inputs": inputs,
        "outputs": {name: _hash(results / name) for name in sorted(outputs)},
    }


def _hash(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run the step that writes it") from None


def _describe_hardware() -> dict[str, str | int | float]:
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # choose torch's kernels, and so the last bits
        "cores": os.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _git_commit() -> str | None:
    """The commit of the checkout this package runs from; None outside one.

    A repository that the package merely lies in, as in an environment inside another project, is none: there git keeps
    other files, or keeps the package elsewhere than at the top.
    """
    here = Path(__file__)
    place = f"{here.parents[1].name}/{here.parent.name}/"
    if _git("rev-parse", "--show-prefix") != place or not _git("ls-files", "--", here.name):
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(*arguments: str) -> str | None:
    """What git says of the folder of this file; None where it is in no repository, or git is not installed."""
    # Inside a hook these name the repository of the hook, wherever git is asked.
    elsewhere = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
