"""The controls in the report: rivals without a head, learning curves, and transfer between benchmarks.

A table is None where the suite lacks its data.
"""

import pandas as pd

from mstclipiqa.base.files import read_description
from mstclipiqa.base.layout import CURVES, TRANSFER, ResultsFile
from mstclipiqa.base.names import ENTERED, MODELS, SELECTIONS, TARGETS
from mstclipiqa.base.words import spread
from mstclipiqa.evaluation.averages import PLACEBOS
from mstclipiqa.model.variants import VARIANTS, get_variant
from mstclipiqa.report.paper import OTHER_PROMPTS, PAPER, TRANSLATION
from mstclipiqa.report.results import Results, cautions, ordered
from mstclipiqa.report.results_tables import printed_numbers
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: The rival on the very features that the paper's two models are given.
RIVAL = "ridge on f_c and f_f"

METRICS = ("srcc", "plcc")


def read(results: Results, entry: ResultsFile) -> tuple[pd.DataFrame, dict] | None:
    """A table of the whole suite with its metadata; None where the suite lacks it, or has it of recipes that it no
    longer runs, or of benchmarks that stand apart."""
    path = entry.at(results.root)
    if not path.exists():
        return None
    table, metadata = entry.read(path)
    of_suite = set(table["recipe"]) <= {"", *results.manifest["recipes"]}
    trained = set(table["train_benchmark"]) if "train_benchmark" in table else {metadata.get("benchmark")}
    return (table, metadata) if of_suite and not trained & set(results.apart) else None


# Rivals without a head


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
    return f"Chosen for {RIVAL}: {min(chosen):.3g} to {max(chosen):.3g}." if chosen else ""


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


# Does the prompt matter?


def prompts(results: Results) -> Table | None:
    """SRCC of MST-CLIPIQA* with its own and with other prompts, and what the own one gains over each."""
    if not results.statistics:
        return None
    named = (*MODELS[::-1], *OTHER_PROMPTS)
    means = results.statistics["intervals"]
    means = means[results.is_main(means) & means["variant"].isin(named)]
    others = means["variant"].isin(OTHER_PROMPTS)
    if not others.any():
        return None
    place = ["target", "protocol", "selection", "recipe", "benchmark"]
    means = means[others.groupby([means[key] for key in place]).transform("any")]
    gains = results.statistics["comparisons"]
    gains = gains[(gains["variant"] == MODELS[1]) & (gains["metric"] == "srcc")]
    gains = gains[[*place, "against", "difference", "low", "high"]].rename(columns={"against": "other"})
    full = means.rename(columns={"variant": "other"}).merge(gains, how="left", on=[*place, "other"])
    placebo = gains[gains["other"] == PLACEBOS[MODELS[1]]].merge(full[place].drop_duplicates())
    full = pd.concat([full, placebo], ignore_index=True)
    full = full[[*place, "other", "runs", "srcc", "difference", "low", "high"]].rename(columns={"other": "variant"})
    titles = {name: results.title("benchmarks", name) for name in results.among("benchmark", full)}
    shown, groups = [], []
    for (target, protocol, selection, recipe), rows in full.groupby(place[:-1], sort=False):
        for variant in (name for name in (*named, PLACEBOS[MODELS[1]]) if name in set(rows["variant"])):
            cells: dict[tuple[str, str], str | Cell] = {("", "Model and prompt"): results.title("variants", variant)}
            for row in rows[rows["variant"] == variant].to_dict("records"):
                title = titles[row["benchmark"]]
                cells[title, "SRCC"] = f"{row['srcc']:.4f}" if pd.notna(row["srcc"]) else DASH
                if variant != MODELS[1] and pd.notna(row["difference"]):
                    limits = f"[{row['low']:+.4f}, {row['high']:+.4f}]" if pd.notna(row["low"]) else "no interval"
                    cells[title, "Gain of the true prompt"] = Cell(f"{row['difference']:+.4f}", limits)
            shown.append(cells)
            heading = f"{target.capitalize()}: {protocol}, {SELECTIONS[selection]}"
            groups.append(Cell(f"{heading}; recipe {results.title('recipes', recipe)}"))
    stub = ("", "Model and prompt")
    columns = [stub, *((title, name) for title in titles.values() for name in ("SRCC", "Gain of the true prompt"))]
    present = [name for name in named if name in set(full["variant"])]
    return Table(
        "prompts",
        f"Does the prompt matter? {VARIANTS[MODELS[1]].title} with each image's own prompt, with others and "
        "without: mean SRCC, and what the own prompt gains over each on the same splits and seeds, with its 95 % "
        "interval.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Target, protocol, selection and recipe",
        notes=[
            _what_prompts_show(full[full["variant"].isin(OTHER_PROMPTS) & (full["variant"] != TRANSLATION)]),
            *(f"{results.title('variants', name)}: {results.manifest['variants'][name]['description']}."
              for name in present if name in OTHER_PROMPTS),
            *cautions(results, titles),
        ],
    )  # fmt: skip


def _what_prompts_show(gains: pd.DataFrame) -> str:
    """The sentence that the intervals of the true prompt's gains amount to."""
    known = gains.dropna(subset=["low", "high"])
    if known.empty:
        return "No gain of the true prompt has an interval here: that takes several seeds, or splits."
    above, below = int((known["low"] > 0).sum()), int((known["high"] < 0).sum())
    said = (
        f"Of {len(known)} gains of the true prompt over another prompt or none, {above} have an interval above 0, "
        f"{below} one below 0, and {len(known) - above - below} one that holds 0."
    )
    if not above:
        return f"{said} Nothing here says that what a prompt says matters."
    return said


# Is the recipe enough?


def learning_rates(results: Results) -> Table | None:
    """SRCC after the last epoch of each recipe at each learning rate, beside ridge on the same features."""
    found = read(results, CURVES)
    if found is None:
        return None
    curves, metadata = found
    full = (
        curves.sort_values("epoch", kind="stable")
        .groupby(["recipe", "variant", "learning_rate", "role"], sort=False)
        .last()
        .unstack("role")
        .pipe(lambda wide: wide["srcc"].assign(epochs=wide["epoch", "test"]))
        .reset_index()
        .rename(columns={"train": "srcc_train", "test": "srcc_test"})
    )
    full["ridge_test"] = full["recipe"].map(lambda name: metadata["ridge"][name]["test"])
    shown, groups = [], []
    for recipe in results.among("recipe", full):
        group = Cell(results.title("recipes", recipe))
        for row in full[full["recipe"] == recipe].sort_values("learning_rate").to_dict("records"):
            own = row["learning_rate"] == metadata["learning_rates"][recipe]
            rate = Cell(f"{row['learning_rate']:g}", "the recipe's own" if own else "")
            cells: dict[str, str | Cell] = {"Learning rate": rate, "Epochs": str(int(row["epochs"]))}
            cells |= {f"SRCC, {role}": f"{row[f'srcc_{role}']:.4f}" for role in ("train", "test")}
            shown.append(cells | {"Test less ridge": f"{row['srcc_test'] - row['ridge_test']:+.4f}"})
            groups.append(group)
        ridge = metadata["ridge"][recipe]
        scores = {f"SRCC, {role}": f"{ridge[role]:.4f}" for role in ("train", "test")}
        shown.append({"Learning rate": RIVAL, "Epochs": DASH, **scores, "Test less ridge": DASH})
        groups.append(group)
    columns = list(shown[0])
    benchmark, train_images = metadata["benchmark"], metadata["train_images"]
    title = results.title("benchmarks", benchmark)
    printed = {} if results.untrained else printed_numbers(results, metadata["target"])
    model = get_variant(curves["variant"].iloc[0]).title
    in_paper = printed.get((model, benchmark, "srcc"))
    return Table(
        "learning_rates",
        f"SRCC of {model} after the last epoch by learning rate: {metadata['target']} of {title}, protocol "
        f"{metadata['protocol']}, split {metadata['split']}, seed {metadata['seed']}.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Recipe",
        notes=[
            f"Train is read on {train_images} training images, test on {metadata['test_images']}. Ridge is fitted to "
            "the images the head is trained on.",
            *(
                f"{results.title('recipes', entry['recipe'])} at {entry['learning_rate']:g} stopped early: "
                f"{entry['reason']}"
                for entry in metadata["stopped"]
            ),
            *([f"{PAPER} prints {in_paper:.4f} for this benchmark, on another split."] if in_paper else []),
            *cautions(results, {benchmark: title}),
        ],
    )


# Transfer


def transfer(results: Results) -> Table | None:
    """SRCC of models trained on one benchmark (rows) and tested on another (columns)."""
    found = read(results, TRANSFER)
    if found is None:
        return None
    full, metadata = found
    titles = {name: results.title("benchmarks", name) for name in full["train_benchmark"].unique()}
    shown, groups = [], []
    for (variant, recipe, trained), rows in full.groupby(["variant", "recipe", "train_benchmark"], sort=False):
        cells: dict[tuple[str, str], str | Cell] = {("", "Trained on"): titles[trained]}
        for row in rows.to_dict("records"):
            own = row["test_benchmark"] == trained
            cells["Tested on", titles[row["test_benchmark"]]] = Cell(f"{row['srcc']:.4f}", "own" if own else "")
        shown.append(cells)
        named = f"{get_variant(variant).title}, {results.title('recipes', recipe)}" if recipe else RIVAL
        groups.append(Cell(named[0].upper() + named[1:]))
    columns = [("", "Trained on"), *(("Tested on", title) for title in titles.values())]
    protocols = ", ".join(dict.fromkeys(metadata["protocols"].values()))
    return Table(
        "transfer",
        f"SRCC ({metadata['target']}) across benchmarks: trained on the training images of one, tested on all images "
        "of another, and on the test images of its own.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Model",
        notes=[
            f"Trained on the first split of {protocols}, seed {metadata['seed']}, and taken after the last epoch. "
            "PLCC and the number of images are in the CSV.",
            *cautions(results, titles),
        ],
    )


TABLES = (baselines, heads_against_ridge, prompts, learning_rates, transfer)
