"""A small results folder, written as the workflow writes it, for the report to read."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS
from config_files import RECIPES as RECIPE_FILES
from PIL import Image
from results_tables import table_of
from scipy import stats

from mstclipiqa.base.files import sha256, write_json
from mstclipiqa.base.layout import CLAIMS as CLAIMS_FILE
from mstclipiqa.base.layout import COMPARISONS, GATES, INTERVALS, MANIFEST, METRICS, READOUT, RUNS, SAMPLES, SPLITS
from mstclipiqa.base.names import GROUP
from mstclipiqa.claims.verdicts import claims_document
from mstclipiqa.model.variants import VARIANTS as KNOWN
from mstclipiqa.model.variants import get_variant

TITLES = {
    "agiqa-1k": "AGIQA-1K",
    "agiqa-3k": "AGIQA-3K",
    "aigciqa2023": "AIGCIQA2023",
    "aigiqa-20k": "AIGIQA-20K",
    "pku-aigiqa-4k": "PKU-AIGIQA-4K",
}
TARGETS = {
    "agiqa-1k": ["quality"],
    "agiqa-3k": ["quality", "correspondence"],
    "aigciqa2023": ["quality", "authenticity", "correspondence"],
    "aigiqa-20k": ["quality"],
    "pku-aigiqa-4k": ["quality", "authenticity", "correspondence"],
}
PROTOCOLS = {
    "lab-seed1": {
        "description": "rows shuffled by numpy with seed 1; the first 80 % train, by image",
        "selection": "best-on-test",
    },
    "grouped3": {
        "description": "three 80/20 splits by prompt, inner validation by prompt",
        "selection": "validation",
    },
}
SELECTIONS = {"lab-seed1": ["last", "best-on-test"], "grouped3": ["last", "validation"]}
SPLIT_COUNTS = {"lab-seed1": 1, "grouped3": 3}
RECIPES = ["released_code", "main_text"]
VARIANTS = ["mst-clipiqa", "mst-clipiqa-star"]
DESCRIPTIONS = dict.fromkeys(KNOWN, "a rival") | {
    "mst-clipiqa": "without the prompt",
    "mst-clipiqa-star": "with the prompt",
}


def encoder(patch: int, pretrained: bool) -> dict:
    return {
        "name": f"vit-b-{patch}",
        "model": f"ViT-B-{patch}-quickgelu",
        "weights": "openai" if pretrained else "random",
        "pretrained": pretrained,
        "label": f"CLIP ViT-B/{patch}, " + ("OpenAI weights" if pretrained else "random weights"),
        "weights_sha256": f"{patch}" * 32,
        "activation": "QuickGELU",
        "preprocessing": {"interpolation": "bicubic", "mean": [0.48, 0.46, 0.41], "size": [224, 224]},
        "precision": "float32",
        "dim": 512,
    }


def build(
    root: Path,
    present: dict[str, int] | None = None,
    synthetic: tuple[str, ...] = (),
    pretrained: bool = True,
    word: str = "",
    values: dict[str, list[float]] | None = None,
    timings: bool = True,
    probe: bool = False,
    variants: Sequence[str] = VARIANTS,
) -> Path:
    """A suite of the `present` benchmarks (name: images). `word` is put wherever texts of others may stand.

    `values` overrides a metric over the three grouped3 splits of AGIQA-3K quality, released_code,
    mst-clipiqa, validation.
    """
    rng = np.random.default_rng(0)
    present = {"agiqa-3k": 60} if present is None else present
    encoders = {"coarse": encoder(32, pretrained), "fine": encoder(16, pretrained)}
    data_root = root.parents[1] / "data"
    rows, outputs = [], {}
    for benchmark, images in present.items():
        names = [f"image {index:04d}.png" for index in range(images)]
        hashes = _draw(data_root / benchmark, names) if benchmark in synthetic else ["-"] * images
        _write_samples(SAMPLES.at(root, benchmark=benchmark), benchmark, names, hashes, benchmark in synthetic, word)
        _write_splits(SPLITS.at(root, benchmark=benchmark), benchmark, names)
        for target in TARGETS[benchmark]:
            for recipe in RECIPES:
                for variant in variants:
                    file = f"{benchmark}/runs/{target}/{recipe}/{variant}.parquet"
                    metadata = {
                        "benchmark": benchmark,
                        "target": target,
                        "recipe": recipe,
                        "variant": variant,
                        "trainable_parameters": 2_299_010 if variant == "mst-clipiqa-star" else 722_561,
                        "synthetic": benchmark in synthetic,
                        "encoders": encoders,
                    }
                    rows += _write_runs(root, file, names, metadata, rng)
                    outputs[file] = "0" * 64
        if timings:
            path = root / "timings" / "extract" / f"{benchmark}-coarse.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t900.1\n")
    metrics = table_of(METRICS, rows)
    for metric, numbers in (values or {}).items():
        chosen = (metrics["file"] == "agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet") & (
            metrics["selection"] == "validation"
        )
        metrics.loc[chosen, metric] = numbers
    if probe:
        for recipe in RECIPES:
            _write_probe(root, recipe, encoders)
            outputs |= dict.fromkeys((entry.path.format(recipe=recipe) for entry in (READOUT, GATES)), "0" * 64)
    # Shuffled: the report sorts the rows itself.
    METRICS.write(METRICS.at(root), metrics.sample(frac=1, random_state=1), {})
    write_json(MANIFEST.at(root), _manifest(present, encoders, outputs, word, data_root, variants))
    return root


def name_output(root: Path, path: Path) -> None:
    """Have the manifest of a results folder name a file in it; the report shows no other."""
    manifest = json.loads(MANIFEST.at(root).read_text(encoding="utf-8"))
    manifest["outputs"][path.relative_to(root).as_posix()] = "0" * 64
    write_json(MANIFEST.at(root), manifest)


def _draw(folder: Path, names: list[str]) -> list[str]:
    """A picture of a colour of its own for each name; their hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        Image.new("RGB", (300, 200), (4 * k % 256, 100, 0)).save(folder / name)
    return [sha256(folder / name) for name in names]


def _write_samples(path: Path, benchmark: str, names: list[str], hashes: list, synthetic: bool, word: str) -> None:
    card = {
        "benchmark": benchmark,
        "title": TITLES[benchmark],
        "paper": f"arXiv 0000.00000{word}",
        "licence": "not stated",
        "synthetic": synthetic,
        "label_files": {f"labels{word}.csv": "ab" * 32},
        "columns": {target: f"labels.csv, column mos_{target}{word}" for target in TARGETS[benchmark]},
        "ranges": {target: [0.0, 5.0] for target in TARGETS[benchmark]},
        "rows_read": len(names) + 1,
        "prompts_read": 12,
        "images": len(names),
        "prompts": 12,
        "prompt_groups": 12,
        "generators": {f"sd1.5{word}": len(names) - 20, "midjourney": 20},
        "mos": {target: {"min": 0.31, "max": 4.62, "mean": 2.5, "std": 0.9} for target in TARGETS[benchmark]},
        "defects": [
            {
                "what": f"label rows repeated with equal values{word}",
                "count": 1,
                "rule": "kept once",
                "examples": [f"image 0003{word}.png"],
            }
        ],
    }
    prompts = [f"prompt {k // 5}{word}" for k in range(len(names))]
    samples = {"image": names, "path": names, "sha256": hashes, "prompt": prompts, "generator": "sd1.5"}
    SAMPLES.write(path, table_of(SAMPLES, pd.DataFrame(samples)), card)


def _write_splits(path: Path, benchmark: str, names: list[str]) -> None:
    test = len(names) // 5
    counts = {
        "lab-seed1": [(0, 0, len(names) - test, 0, test, test, 2, 1, 12, 12)],
        "grouped3": [(s, s, len(names) - 2 * test - s, test, test + s, s, 0, 0, 3, min(s, 1)) for s in range(3)],
    }
    keys = [
        "split",
        "counts_as",
        "train",
        "val",
        "test",
        "test_images_with_prompt_in_train",
        "test_images_with_near_prompt_in_train",
        "test_images_with_bytes_in_train",
        "test_prompts",
        "test_prompts_in_train",
    ]
    protocols = {name: [dict(zip(keys, row, strict=True)) for row in rows] for name, rows in counts.items()}
    metadata = {"benchmark": benchmark, "protocols": protocols}
    SPLITS.write(path, table_of(SPLITS, pd.DataFrame({"image": names, "role": "train"})), metadata)


def _write_runs(root: Path, file: str, names: list[str], metadata: dict, rng: np.random.Generator) -> list[dict]:
    tables, rows = [], []
    n = len(names) // 5
    for protocol, splits in SPLIT_COUNTS.items():
        for split in range(splits):
            mos = rng.uniform(0.5, 4.5, n)
            for selection in SELECTIONS[protocol]:
                noise = 0.7 + 0.25 * (metadata["recipe"] == "main_text") - 0.15 * (selection == "best-on-test")
                prediction = 0.8 * mos + 0.5 + rng.normal(0, noise, n)
                key = {"protocol": protocol, "split": split, "seed": 0, "selection": selection, "epoch": 7}
                tables.append(pd.DataFrame({**key, "image": names[:n], "prediction": prediction, "mos": mos}))
                rows.append(
                    {k: metadata[k] for k in ("benchmark", "target", "recipe", "variant")}
                    | key
                    | {
                        "n": n,
                        "srcc": stats.spearmanr(prediction, mos)[0],
                        "plcc": stats.pearsonr(prediction, mos)[0],
                        "plcc_fitted": stats.pearsonr(prediction, mos)[0],
                        "krcc": stats.kendalltau(prediction, mos)[0],
                        "rmse": float(np.sqrt(np.mean((prediction - mos) ** 2))),
                        "file": file,
                    }
                )
    RUNS.write(root / file, pd.concat(tables), metadata)
    return rows


#: Readouts of the probe: mean over the two folds, which lie 0.1 to either side of it.
READOUTS = {
    ("semantic", "object", "balanced accuracy"): {"f_c": 0.7, "f_f": 0.5, "both": 0.8},
    ("semantic", "style", "balanced accuracy"): {"f_c": 0.4, "f_f": 0.5, "both": 0.6},
    ("distortion", "which artefact", "balanced accuracy"): {"f_c": 0.3, "f_f": 0.6, "both": 0.6},
    ("distortion", "strength of colour_cast", "srcc"): {"f_c": -0.1, "f_f": 0.2, "both": 0.2},
}
ARTEFACTS = ["none", "blur", "colour_cast"]


def _write_probe(root: Path, recipe: str, encoders: dict) -> None:
    readout = pd.DataFrame(
        [
            (recipe, features, factor, kind, metric, split, value + (0.1 if split else -0.1), 0.25 * (metric != "srcc"))
            for (kind, factor, metric), values in READOUTS.items()
            for features, value in {**values, "z_initial": 0.3, "z_trained": 0.55}.items()
            for split in range(2)
        ],
        columns=list(READOUT.columns),
    )
    # f_f leads by the same in both folds, except in this factor.
    swapped = (readout["factor"] == "style") & (readout["features"] == "f_f")
    readout.loc[swapped, "value"] = [0.8, 0.2]
    gates = pd.DataFrame(
        [
            (recipe, artefact, 0.002 * k, 0.001, k / 2 if k else None, 0.02, 0.01, -k / 2 if k else None, state)
            for state in ("initial", "trained")
            for k, artefact in enumerate(ARTEFACTS)
        ],
        columns=list(GATES.columns),
    )
    shares = {"scene": 0.8, "artefact": 0.1, "strength": 0.025, "rest": 0.075}
    metadata = {
        "benchmark": "agiqa-3k", "protocol": "lab-seed1", "split": 0, "seed": 0, "target": "quality",
        "scenes": 640, "spoiled": 60, "encoders": encoders,
        "gates": {
            "initial": {"mean": 0.5, "moved": 0.0, "shares": shares},
            "trained": {"mean": 0.48, "moved": 0.0123, "shares": shares},
        },
    }  # fmt: skip
    READOUT.write(READOUT.at(root, recipe=recipe), readout, metadata)
    GATES.write(GATES.at(root, recipe=recipe), gates, metadata)


def _manifest(
    present: dict[str, int], encoders: dict, outputs: dict, word: str, data_root: Path, variants: Sequence[str]
) -> dict:
    values = {"lr": 5e-6, "batch": 8, "epochs": 20, "margin": 0.1}
    return {
        "suite": "tiny",
        "title": "MST-CLIPIQA: a tiny suite",
        "config": {
            "benchmarks": list(TITLES),
            "data_root": str(data_root),
            "protocols": list(PROTOCOLS),
            "recipes": RECIPES,
            "variants": list(variants),
            "encoders": {"coarse": "vit-b-32", "fine": "vit-b-16"},
        },
        "code": {"version": "0.1.0", "fingerprint": "c0ffee" * 10, "commit": None},
        "versions": {"python": "3.12.3", "torch": "2.13.0"},
        "hardware": {"cpu": "2 cores", "gpu": None, "memory_gib": 8},
        "benchmarks": {
            name: {"title": title, "status": "present", "prompts_truncated": 1}
            if name in present
            else {"title": title, "status": "absent", "reason": f"no folder data/{name}{word}"}
            for name, title in TITLES.items()
        },
        "encoders": encoders,
        "recipes": {
            "released_code": {
                "title": "Released code",
                "source": "github.com/YMlinfeng/MST-CLIPIQA, commit 9737ca8",
                "values": values,
                "stated": dict.fromkeys(values, "train.py"),
                "silent": [],
            },
            "main_text": {
                "title": "Main text",
                "source": "arXiv 2606.16799v1, Sections 3 and 4",
                "values": values,
                "stated": {"lr": "Section 4.1", "batch": "Section 4.1"},
                "silent": ["epochs", "margin"],
            },
        },
        "variants": {name: {"title": get_variant(name).title, "description": DESCRIPTIONS[name]} for name in variants},
        "protocols": PROTOCOLS,
        "readings": [f"Prompts are truncated at 77 tokens{word}.", "Padding is masked in the attention."],
        "inputs": {f"data/agiqa-3k/labels{word}.csv": "ab" * 32},
        "outputs": outputs,
    }


def add_claims(root: Path) -> Path:
    """Holds the claims against a small results folder; a second seed under lab-seed1 has 0.002 more in each metric."""
    metrics, _ = METRICS.read(METRICS.at(root))
    second = metrics[metrics["protocol"] == "lab-seed1"].assign(seed=1)
    second[["srcc", "plcc"]] += 0.002
    METRICS.write(METRICS.at(root), pd.concat([metrics, second], ignore_index=True), {})
    intervals = metrics.groupby(GROUP).agg(srcc=("srcc", "mean"), plcc=("plcc", "mean"), runs=("n", "size"))
    INTERVALS.write(INTERVALS.at(root), table_of(INTERVALS, intervals.reset_index()), {})
    COMPARISONS.write(COMPARISONS.at(root), table_of(COMPARISONS), {})
    write_json(CLAIMS_FILE.at(root), claims_document(CLAIMS, PAPER_TABLES, PRIOR_RESULTS, root, RECIPE_FILES))
    # Only the verdicts need them; the page is made without tables of intervals.
    METRICS.write(METRICS.at(root), metrics, {})
    INTERVALS.at(root).unlink()
    COMPARISONS.at(root).unlink()
    return root
