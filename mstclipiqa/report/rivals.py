"""Rivals without a head beside the models: ridge, zero-shot scores, means over groups."""

import pandas as pd

from mstclipiqa.base.files import read_description
from mstclipiqa.base.names import ENTERED, SELECTIONS, TARGETS
from mstclipiqa.base.words import spread
from mstclipiqa.report.results import Results, cautions, ordered
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: The rival on the very features that the paper's two models are given.
RIVAL = "ridge on f_c and f_f"

METRICS = ("srcc", "plcc")


def _selection(results: Results, protocol: str) -> str:
    """The selection of the heads: the protocol's main one, or the last epoch where that looks at the test images."""
    main = results.manifest["protocols"][protocol]["selection"]
    return "last" if main == "best-on-test" else main


def _selections(results: Results) -> str:
    """Which epoch the heads of each protocol are taken from, in words."""
    by_selection: dict[str, list[str]] = {}
    for protocol in ordered(results.manifest, "protocols"):
        by_selection.setdefault(SELECTIONS[_selection(results, protocol)], []).append(protocol)
    return "; ".join(f"{', '.join(protocols)}: {selection}" for selection, protocols in by_selection.items())


def _heads(results: Results) -> pd.DataFrame:
    """The runs of the models that rivals are compared to."""
    metrics = results.metrics[results.metrics["variant"].isin(results.models)]
    chosen = metrics["selection"] == metrics["protocol"].map(lambda name: _selection(results, name))
    return metrics[chosen | (metrics["recipe"] == ENTERED)].copy()


def baselines(results: Results) -> Table | None:
    """The models and every rival on the same test images: method by benchmark, per target and protocol."""
    if results.baselines.empty:
        return None
    heads = _heads(results)
    heads["source"] = [results.title("variants", name) for name in heads["variant"]]
    scores = pd.concat([heads, results.baselines.assign(recipe="")], ignore_index=True)
    keys = ["target", "protocol", "source", "recipe", "benchmark"]
    statistics = {"mean": lambda values: values.mean(skipna=False), "sd": "std"}
    full = (
        scores.groupby(keys, sort=False)
        .agg(
            runs=("n", "size"), n_min=("n", "min"), n_max=("n", "max"),
            **{f"{metric}_{name}": (metric, how) for metric in METRICS for name, how in statistics.items()},
            file=("file", "first"),
        )
        .reset_index()
    )  # fmt: skip
    if len(missing := _without_images(results)):
        full = pd.concat([full.astype({"n_min": "Int64", "n_max": "Int64"}), missing], ignore_index=True)
    titles = {name: results.title("benchmarks", name) for name in results.among("benchmark", scores)}
    shown, groups = [], []
    for target in TARGETS:
        for protocol in ordered(results.manifest, "protocols"):
            of_group = full[(full["target"] == target) & (full["protocol"] == protocol)]
            for (source, recipe), rows in of_group.groupby(["source", "recipe"], sort=False):
                cells = {("", "Method"): source, ("", "Recipe"): results.title("recipes", recipe) if recipe else DASH}
                for row in rows.to_dict("records"):
                    for metric in METRICS:
                        mean, sd = row[f"{metric}_mean"], row[f"{metric}_sd"]
                        known = Cell(f"{mean:.4f}", spread(sd))
                        undefined = Cell("undefined", "in some runs")
                        lacking = Cell(DASH, "needs the images") if not row["runs"] else undefined
                        cells[titles[row["benchmark"]], metric.upper()] = lacking if pd.isna(mean) else known
                shown.append(cells)
                remark = f"heads at the {SELECTIONS[_selection(results, protocol)]}"
                groups.append(Cell(f"{target.capitalize()}, {protocol}", remark))
    stub = [("", "Method"), ("", "Recipe")]
    columns = [*stub, *((title, metric.upper()) for title in titles.values() for metric in METRICS)]
    return Table(
        "baselines",
        f"{results.models_named[0].upper()}{results.models_named[1:]} beside rivals without a head, on the same test "
        "images: mean ± sample SD over splits, and over seeds where there are several.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        best=tuple(columns[2:]),
        stub=2,
        groups=groups,
        grouped_by="Target and protocol",
        notes=[
            "Ridge regression, group means and heads are trained on the same images, those for validation not among "
            "them. Ridge's penalty, of half decades from 0.1 to 100,000, has the least squared error over five inner "
            "folds of the training images, which keep whole what the split does: like prompts or generators. "
            f"{_penalties(results)} f_c and f_f are the configuration's coarse and fine features; image statistics "
            "and mean colour need no network.",
            "Zero-shot, with CLIP's temperature of 100: antonyms weighs “Good photo.” against “Bad photo.” as CLIP-IQA "
            "does, position embeddings kept; levels is the expectation over five level texts, untrained; CLIPScore is "
            "2.5 max(cos, 0) of image and prompt, meant for correspondence and shown for context elsewhere.",
            "Generator mean and prompt mean look at no image: the mean training MOS of the test image's generator, or "
            "prompt; of all training images where that is not among them.",
            "A noise ceiling is no rival: it is what raters' noise allows the true scores themselves, by simulation "
            "from the published SD over raters. How many ratings an MOS is the mean of is in no label file, "
            "so it is given for several; pages on AGIQA-3K say 21.",
            "Here neither heads nor rivals choose anything on test images.",
            *_left_out(results, titles),
            *cautions(results, titles),
        ],
    )  # fmt: skip


def _without_images(results: Results) -> pd.DataFrame:
    """A row, of no run, for each rival that needs images where a benchmark comes from a pack."""
    keys = ["benchmark", "file", "target", "protocol"]
    rows = [
        {**row, "source": source, "recipe": "", "runs": 0}
        for row in results.baselines[keys].drop_duplicates().to_dict("records")
        for source in read_description(results.root / row["file"]).get("need_images", [])
    ]
    return pd.DataFrame(rows, columns=[*keys, "source", "recipe", "runs"])


def _penalties(results: Results) -> str:
    """The sentence on the penalties that were chosen for RIVAL."""
    chosen = [
        penalty
        for file in results.baselines["file"].unique()
        for entry in read_description(results.root / file).get("penalties", [])
        if entry["source"] == RIVAL
        for penalty in entry["by_split"].values()
    ]
    ends = [f"{end:,.0f}" if end >= 1000 else f"{end:.3g}" for end in (min(chosen), max(chosen))] if chosen else []
    return f"Chosen for {RIVAL}: {' to '.join(ends)}." if ends else ""


def _left_out(results: Results, titles: dict[str, str]) -> list[str]:
    """A note per source on where it has no number."""
    found: dict[str, dict[str, list[str]]] = {}
    for file, benchmark in results.baselines[["file", "benchmark"]].drop_duplicates().itertuples(index=False):
        for entry in read_description(results.root / file).get("left_out", []):
            where = found.setdefault(entry["source"], {}).setdefault(entry["protocol"], [])
            where += [titles[benchmark]] if titles[benchmark] not in where else []
    return [
        f"{source[0].upper()}{source[1:]} has no number where every test image of a split gets the same prediction, "
        "which ranks nothing: "
        + "; ".join(f"{protocol} of {', '.join(benchmarks)}" for protocol, benchmarks in protocols.items())
        + "."
        for source, protocols in found.items()
    ]


def heads_against_ridge(results: Results) -> Table | None:
    """How often each of the models beats ridge regression on both streams, by recipe."""
    cell = ["benchmark", "target", "protocol"]
    rival = results.baselines[results.baselines["source"] == RIVAL].groupby(cell)["srcc"].mean()
    heads = _heads(results).groupby([*cell, "recipe", "variant"], sort=False)["srcc"]
    gain = (heads.agg(lambda runs: runs.mean(skipna=False)) - rival).rename("gain").dropna().reset_index()
    if gain.empty:
        return None
    full, shown = [], []
    for recipe in results.among("recipe", gain):
        for variant in results.among("variant", gain):
            gains = gain.loc[(gain["recipe"] == recipe) & (gain["variant"] == variant), "gain"]
            if len(gains):
                above = int((gains > 0).sum())
                record = {"recipe": recipe, "variant": variant, "cells": len(gains), "above": above}
                full.append(record | {"mean": gains.mean(), "min": gains.min(), "max": gains.max()})
                shown.append(
                    {
                        "Recipe": results.title("recipes", recipe),
                        "Method": results.title("variants", variant),
                        "Above ridge": f"{above} of {len(gains)}",
                        "Mean gain": f"{gains.mean():+.4f}",
                        "Least": f"{gains.min():+.4f}",
                        "Greatest": f"{gains.max():+.4f}",
                    }
                )
    columns = list(shown[0])
    return Table(
        "heads_against_ridge",
        "Do the heads beat ridge regression on f_c and f_f? SRCC gained over it, each benchmark, target and protocol "
        f"counted once, by its mean over splits and seeds ({_selections(results)}).",
        pd.DataFrame(full),
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
        notes=cautions(results, {name: results.title("benchmarks", name) for name in results.cards}),
    )
