"""Means over runs with their intervals, and paired tests of variants."""

import pandas as pd

from mstclipiqa.base.names import MODELS, SELECTIONS, TARGETS
from mstclipiqa.base.words import in_words
from mstclipiqa.model.variants import get_variant
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

ALPHA = 0.05


def _only_models(results: Results) -> list[str]:
    titles = [results.title("variants", name) for name in results.models]
    return [
        f"Shown: {in_words(titles)}, main selection of each protocol. The file in tables/ has every variant and "
        "selection."
    ]


def _by_benchmark(columns: list[str], results: Results, rows: pd.DataFrame) -> list[tuple[str, str]]:
    titles = [results.title("benchmarks", name) for name in results.among("benchmark", rows)]
    return [(title, column) for title in titles for column in columns]


def intervals(results: Results) -> Table | None:
    """SRCC with its bootstrap interval, SD over splits and SD over seeds, each by itself."""
    rows = results.shown_statistics("intervals")
    if rows.empty:
        return None
    spreads = {"srcc_sd_splits": "SD splits", "srcc_sd_seeds": "SD seeds"}
    spreads = {column: title for column, title in spreads.items() if rows[column].notna().any()}
    shown, groups = [], []
    for key, group in rows.groupby(["target", "protocol", "selection", "recipe", "variant"], sort=False):
        target, protocol, selection, recipe, variant = key
        cells: dict[tuple[str, str], str | Cell] = {("", "Method"): results.title("variants", variant)}
        cells["", "Recipe"] = results.title("recipes", recipe)
        for row in group.to_dict("records"):
            title = results.title("benchmarks", row["benchmark"])
            known = pd.notna(row["srcc_low"])
            limits = f"[{row['srcc_low']:.3f}, {row['srcc_high']:.3f}]" if known else "no interval"
            cells[title, "SRCC"] = Cell(f"{row['srcc']:.4f}", limits)
            for column, name in spreads.items():
                cells[title, name] = f"{row[column]:.4f}" if pd.notna(row[column]) else DASH
        shown.append(cells)
        groups.append(Cell(f"{target.capitalize()}: {protocol}, {SELECTIONS[selection]}", _varied(group)))
    columns = [("", "Method"), ("", "Recipe"), *_by_benchmark(["SRCC", *spreads.values()], results, rows)]
    return Table(
        "intervals",
        "Mean SRCC over runs with its 95 % interval; beside it the SD over splits (of means over seeds) and over seeds "
        "(mean over splits), where there are several.",
        results.statistics["intervals"],
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
        groups=groups,
        grouped_by="Target, protocol and selection",
        notes=[
            *_only_models(results),
            "An interval holds the noise of what varied, which each heading names: the images tested (a bootstrap of "
            "prompts with all their images), and splits or seeds, which show what training varies. That of images "
            "alone says nothing of training. How often such intervals hold the truth: docs/calibration.md.",
        ],
    )


def _varied(rows: pd.DataFrame) -> str:
    return f"noise of {' or '.join(sorted(rows['noise'].unique()))}"


def paired_tests(results: Results) -> Table | None:
    """Every variant against the paper's first, by family of tests."""
    if not results.statistics:
        return None
    table = results.statistics["comparisons"]
    rows = table[results.is_main(table) & (table["against"] == MODELS[0]) & (table["metric"] == "srcc")]
    shown, groups = [], []
    for (recipe, protocol, selection), family in rows.groupby(["recipe", "protocol", "selection"], sort=False):
        heading = f"{results.title('recipes', recipe)}: {protocol}, {SELECTIONS[selection]}"
        size = family["family_size"].max()
        count = 0 if pd.isna(size) else int(size)
        remark = f"{count} test{'s' * (count != 1)}, {_varied(family)}"
        for variant, tests in family.groupby("variant", sort=False):
            cells: dict[tuple[str, str], str | Cell] = {("", "Method"): results.title("variants", variant)}
            for test in tests.to_dict("records"):
                place = results.title("benchmarks", test["benchmark"]), test["target"].capitalize()
                cells[place] = Cell(f"{test['difference']:+.4f}", _p(test["p_holm"]))
            shown.append(cells)
            groups.append(Cell(heading, remark))
    measured = {(benchmark, target) for benchmark, target in zip(rows["benchmark"], rows["target"], strict=True)}
    columns = [
        (results.title("benchmarks", benchmark), target.capitalize())
        for benchmark in results.among("benchmark", rows)
        for target in TARGETS
        if (benchmark, target) in measured
    ]
    columns = [("", "Method"), *columns]
    return Table(
        "paired_tests",
        f"Paired tests: SRCC of each variant less that of {get_variant(MODELS[0]).title} on the same splits and seeds, "
        "with Holm's adjusted p.",
        table,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Recipe, protocol and selection",
        notes=[
            f"{(rows['p_holm'] < ALPHA).sum()} of {rows['p_holm'].notna().sum()} tests have an adjusted p below "
            f"{ALPHA}. The adjustment is within a heading: one recipe, protocol and selection, all its benchmarks, "
            "targets and variants; across headings nothing is adjusted.",
            "Seeds alone make two models differ. So there is no test where one split was trained from one seed. "
            "The file in tables/ has every two variants, and PLCC.",
        ],
    )


def _p(p: float) -> str:
    if pd.isna(p):
        return "no test"
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"
