"""What a results folder has beside the metrics, written small: controls, statistics, costs."""

from pathlib import Path

import numpy as np
import pandas as pd
from results_folder import name_output
from results_tables import table_of

from mstclipiqa.base.files import read_table
from mstclipiqa.base.layout import (
    ATTENTION,
    BASELINES,
    COMPARISONS,
    CURVES,
    EFFICIENCY,
    GENERATORS,
    INTERVALS,
    TIMED,
    TRANSFER,
)
from mstclipiqa.base.names import GROUP

TARGETS = ["quality", "correspondence"]
SPLITS = {"lab-seed1": [0], "grouped3": [0, 1, 2]}


def write_attention(
    root: Path, even: bool = False, seed: int = 0, norms: dict | None = None, recipe: str = "released_code"
) -> dict[str, list]:
    """The attention of the first run of MST-CLIPIQA* on quality, to four tokens of each prompt; weights by image."""
    frame = read_table(root / f"agiqa-3k/runs/quality/{recipe}/mst-clipiqa-star.parquet")[0]
    images = frame.loc[frame["protocol"] == "lab-seed1", "image"].unique()
    weights = {image: [0.25] * 4 if even else [0.1, 0.2, 0.25, 0.45] for image in images}
    rows = [(image, k, f"t{k}", weight) for image, own in weights.items() for k, weight in enumerate(own)]
    run = {"protocol": "lab-seed1", "split": 0, "seed": seed, "selection": "best-on-test"}
    said = {"recipe": recipe, "variant": "mst-clipiqa-star", "alpha": 0.05, **run}
    path = ATTENTION.at(root, benchmark="agiqa-3k", target="quality", recipe=recipe)
    table = pd.DataFrame(rows, columns=list(ATTENTION.columns))
    ATTENTION.write(path, table, said | {"norms": norms or {"initial": 20.0, "trained": 19.0}})
    name_output(root, path)
    return weights


def write_baselines(root):
    rows = [
        (source, target, protocol, split, 12, value + 0.1 * split, value)
        for source, value in {"ridge on f_c and f_f": 0.4, "generator mean": 0.2, "prompt mean": 0.1}.items()
        for target in TARGETS
        for protocol, splits in SPLITS.items()
        for split in splits
        if source != "prompt mean" or protocol == "lab-seed1"
    ]
    left_out = [
        {"source": "prompt mean", "target": target, "protocol": "grouped3", "splits": [0, 1, 2]} for target in TARGETS
    ]
    table = pd.DataFrame(rows, columns=list(BASELINES.columns))
    penalties = [
        {"source": "ridge on f_c and f_f", "by_split": {"0": 3.0}},
        {"source": "other", "by_split": {"0": 0.1}},
    ]
    penalties.append({"source": "ridge on f_c and f_f", "by_split": {"0": 30.0, "1": 10.0}})
    metadata = {"left_out": left_out, "penalties": penalties}
    BASELINES.write(BASELINES.at(root, benchmark="agiqa-3k"), table, metadata)
    name_output(root, BASELINES.at(root, benchmark="agiqa-3k"))


def write_curves(root):
    rows = [
        ("released_code", "mst-clipiqa", rate, epoch, role, value + 0.1 * epoch)
        for rate, value in {5e-6: 0.1, 5e-5: 0.4}.items()
        for epoch in (1, 2, 3)
        for role in ("train", "test")
        if rate == 5e-6 or epoch < 3
    ]
    metadata = {
        "benchmark": "agiqa-3k", "target": "quality", "protocol": "grouped3", "split": 0, "seed": 0,
        "train_images": 36, "test_images": 12, "learning_rates": {"released_code": 5e-6},
        "ridge": {"released_code": {"train": 0.9, "test": 0.65}},
        "stopped": [{"recipe": "released_code", "learning_rate": 5e-5, "reason": "the run has diverged"}],
    }  # fmt: skip
    CURVES.write(CURVES.at(root), pd.DataFrame(rows, columns=list(CURVES.columns)), metadata)
    name_output(root, CURVES.at(root))


def write_transfer(root):
    rows = [
        (trained, tested, variant, recipe, 60, 0.7 if trained == tested else 0.3, 0.5)
        for variant, recipe in (("mst-clipiqa", "main_text"), ("ridge", ""))
        for trained in ("agiqa-1k", "agiqa-3k")
        for tested in ("agiqa-1k", "agiqa-3k")
    ]
    protocols = dict.fromkeys(("agiqa-1k", "agiqa-3k"), "lab-seed1")
    metadata = {"target": "quality", "recipe": "main_text", "seed": 0, "protocols": protocols}
    TRANSFER.write(TRANSFER.at(root), pd.DataFrame(rows, columns=list(TRANSFER.columns)), metadata)
    name_output(root, TRANSFER.at(root))


def write_statistics(root: Path) -> None:
    """The three tables of statistics, about the means of the metrics."""
    metrics, _ = read_table(root / "metrics.parquet")
    means = metrics.groupby(GROUP)["srcc"].mean().reset_index()
    grouped = means["protocol"] == "grouped3"
    intervals = means.assign(
        noise=np.where(grouped, "images and splits", "images"),
        srcc_low=means["srcc"] - 0.1,
        srcc_high=means["srcc"] + 0.1,
        srcc_sd_splits=np.where(grouped, 0.02, np.nan),
        srcc_sd_seeds=np.nan,
    )
    tested = means[(means["variant"] != "mst-clipiqa") & ("mst-clipiqa" in set(means["variant"]))]
    comparisons = tested.drop(columns="srcc").assign(
        against="mst-clipiqa",
        metric="srcc",
        noise="images, seeds",
        difference=0.0123,
        p=0.01,
        p_holm=0.02,
        family_size=2.0,
    )
    kinds = [
        ("generator", "AttnGAN", "GAN", 2, 0, np.nan),
        ("generator", "SD1.5", "diffusion", 2, 0, 0.5),
        ("generator", "GLIDE", "diffusion", 2, 0, 0.7),
        ("kind", "GAN", "GAN", 2, 2, np.nan),
        ("kind", "diffusion", "diffusion", 2, 0, 0.6),
    ]
    columns = ["level", "name", "kind", "runs", "runs_undefined", "srcc"]
    generators = means.drop(columns="srcc").merge(pd.DataFrame(kinds, columns=columns), how="cross")
    generators["runs_too_small"] = 0
    for entry, table in ((INTERVALS, intervals), (COMPARISONS, comparisons), (GENERATORS, generators)):
        entry.write(entry.at(root), table_of(entry, table.sample(frac=1, random_state=2)), {})


COSTS = {
    "mst-clipiqa": ("coarse+fine", False, 722_561, 150_000_000, 43.9, 8.0, 2.0),
    "mst-clipiqa-star": ("coarse+fine", True, 2_299_010, 200_000_000, 49.8, 10.0, 3.0),
    "coarse-only": ("coarse", False, 262_657, 88_000_000, 8.8, 2.0, 0.5),
}


def write_costs(root: Path, variants: list[str], device: str = "cpu") -> None:
    """What models cost under the first recipe; those not in COSTS as much as the last one."""
    rows = [("released_code", name, *COSTS.get(name, COSTS["coarse-only"])) for name in variants]
    metadata = {"device": device, "machine": "one CPU thread" if device == "cpu" else "a GPU", "rounds": 5}
    frame = pd.DataFrame(rows, columns=[*EFFICIENCY.columns, "ms_1", "ms_32"])
    EFFICIENCY.write(EFFICIENCY.at(root), frame[list(EFFICIENCY.columns)], {})
    name_output(root, EFFICIENCY.at(root))
    TIMED.write(TIMED.at(root), frame[list(TIMED.columns)], metadata)
