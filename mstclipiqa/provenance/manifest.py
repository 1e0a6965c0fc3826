"""The manifest: what a suite's results were made from, with what, and their hashes."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

from mstclipiqa import __version__
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.data.benchmarks import BENCHMARKS, get_benchmark
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.encoders.stores import load_features, load_texts
from mstclipiqa.model.variants import VARIANTS
from mstclipiqa.study.study import Study

#: Where this project reads or does something its own way, whatever the recipe.
READINGS = (
    "MOS is mapped linearly from the benchmark's nominal range to 1..5 for training; the sources are silent, and "
    "correlations do not change. RMSE is in MOS units.",
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

#: What the suite has, what each benchmark has, and what the probe of each recipe writes.
SUITE_TABLES = ("metrics", "intervals", "comparisons", "generators")
BENCHMARK_TABLES = ("samples", "splits", "baselines")
PROBE_TABLES = ("readout", "gates")

#: Of the whole suite, where it has them: what the controls write, and the verdicts.
CONTROLS = ("levels/zero_shot.safetensors", "curves.parquet", "transfer.parquet", "efficiency.parquet", "claims.json")

PACKAGES = (
    "torch", "torchvision", "open_clip_torch", "numpy", "scipy", "pandas", "pyarrow", "pillow", "snakemake",
)  # fmt: skip


def build_manifest(study: Study, results: Path) -> dict:
    """Describe the suite whose results lie under `results`; every hash is computed from the files now."""
    benchmarks = {name: {"title": get_benchmark(name).title} for name in BENCHMARKS}
    for name, reason in study.absent.items():
        benchmarks[name] |= {"status": "absent", "reason": reason}
    inputs = {}
    for name in study.benchmarks:
        _, card = read_table(results / name / "samples.parquet")
        truncated = load_texts(results / name / "features" / "prompts.safetensors").metadata["truncated"]
        benchmarks[name] |= {"status": "present", "prompts_truncated": len(truncated)}
        inputs |= {f"{name}/{path}": value for path, value in card["label_files"].items()}
    stores = {
        encoder: results / name / "features" / f"{encoder}.safetensors"
        for name in reversed(study.benchmarks)
        for encoder in study.encoders(name)
    }
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
            name: {"title": VARIANTS[name].title, "description": VARIANTS[name].description} for name in study.variants
        },
        "protocols": {name: describe_protocol(name) for name in study.config["protocols"]},
        "readings": list(READINGS),
        "inputs": inputs,
        "outputs": {path.relative_to(results).as_posix(): _hash(path) for path in sorted(_outputs(study, results))},
    }


def _hash(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run the step that writes it") from None


def _outputs(study: Study, results: Path) -> list[Path]:
    views = {
        name: [f"{encoder}-{recipe}" for (benchmark, recipe), encoders in study.views.items() for encoder in encoders
               if benchmark == name]
        for name in study.benchmarks
    }  # fmt: skip
    stores = {name: [*study.encoders(name), *views[name], "prompts", "statistics"] for name in study.benchmarks}
    return [
        *(results / f"{table}.parquet" for table in SUITE_TABLES),
        *(results / name / f"{table}.parquet" for name in study.benchmarks for table in BENCHMARK_TABLES),
        *(results / name / "features" / f"{store}.safetensors" for name, of in stores.items() for store in of),
        *(results / "levels" / f"{recipe}.safetensors" for recipe in study.recipes),
        *(results / "levels" / f"{recipe}-fine.safetensors" for recipe in study.with_two_towers),
        *(results / job.path for job in study.jobs),
        *(results / "probe" / recipe / f"{table}.parquet" for recipe in study.probed for table in PROBE_TABLES),
        *(path for path in (results / name for name in CONTROLS) if path.exists()),
    ]


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
    """The commit of the checkout this package runs from; None outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
