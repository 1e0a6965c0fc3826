"""The tables of measured numbers: every metric, and the paper's Tables I, IV and V in their shape."""

from itertools import combinations

import numpy as np
import pandas as pd

from mstclipiqa.base.names import SELECTIONS
from mstclipiqa.base.words import spread
from mstclipiqa.report.paper import PAPER
from mstclipiqa.report.results import GROUP_ORDER, METRIC_TITLES, Results, cautions, ordered
from mstclipiqa.report.table import Cell, Table, frame_of, span

# Measured numbers


def summarise(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean, sample SD, least and greatest over splits and seeds: one row per group and metric.

    SD is empty for a single run. Where the metric of any run is undefined, `undefined` counts those runs and
    no statistic is given: the mean of the rest would be another quantity.
    """
    long = metrics.melt(id_vars=[*GROUP_ORDER, "file", "n"], value_vars=list(METRIC_TITLES), var_name="metric")
    summary = (
        long.groupby([*GROUP_ORDER, "metric"], sort=False)
        .agg(
            runs=("value", "size"),
            undefined=("value", lambda values: int(values.isna().sum())),
            mean=("value", "mean"),
            sd=("value", "std"),
            min=("value", "min"),
            max=("value", "max"),
            n_min=("n", "min"),
            n_max=("n", "max"),
            file=("file", "first"),
        )
        .reset_index()
    )
    statistics = ["mean", "sd", "min", "max"]
    summary[statistics] = summary[statistics].where(summary["undefined"] == 0)
    return summary


def number(statistics: pd.Series | dict) -> Cell:
    """Mean ± SD with the paper's four decimals, or how many runs are undefined."""
    if statistics["undefined"]:
        return Cell(f"{statistics['undefined']} of {statistics['runs']} runs undefined")
    return Cell(f"{statistics['mean']:.4f}", spread(statistics["sd"]))


def all_metrics(results: Results) -> Table:
    """Every metric of every group in long form."""
    summary = summarise(results.metrics)
    shown = summary.assign(
        metric=summary["metric"].map(METRIC_TITLES),
        value=[number(row) for row in summary.to_dict("records")],
        n=[span(np.array(ends)) for ends in zip(summary["n_min"], summary["n_max"], strict=True)],
    )
    return Table(
        "all_metrics",
        "Every metric: mean ± sample SD over splits and seeds.",
        summary,
        shown[[*GROUP_ORDER, "metric", "value", "runs", "n"]].astype(object),
    )


def comparison(results: Results, target: str) -> Table:
    """The results on `target`, method x recipe by protocol and selection, in the shape of the paper's table.

    The paper's printed rows come last, and never stand in the column of a synthetic benchmark. Without printed numbers,
    the columns are the benchmarks that were run.
    """
    number_in_paper, benchmarks = results.paper.table_of(target)
    shape = f"in the shape of the paper's Table {number_in_paper}" if number_in_paper else "on the benchmarks that ran"
    summary = summarise(results.of_main_variants(target))
    benchmarks = [name for name in dict.fromkeys([*benchmarks, *summary["benchmark"]]) if name in results.benchmarks]
    titles = {name: results.title("benchmarks", name) for name in benchmarks}
    shown, full, groups, not_run = [], [], [], set()
    for keys, rows in summary.groupby(["protocol", "selection", "recipe", "variant"], sort=False):
        protocol, selection, recipe, variant = keys
        method = results.title("variants", variant)
        cells: dict[tuple[str, str], str | Cell] = {("", "Method"): method}
        cells["", "Recipe"] = results.title("recipes", recipe)
        record = {"source": "measured", "method": method, "variant": variant, "recipe": recipe}
        record |= {"protocol": protocol, "selection": selection}
        for benchmark, title in titles.items():
            found = rows[rows["benchmark"] == benchmark].set_index("metric")
            if found.empty:
                if results.absent(benchmark) is None:
                    not_run.add(title)
                continue
            cells[title, "SRCC"] = number(found.loc["srcc"])
            cells[title, "PLCC"] = number(found.loc["plcc"])
            cells[title, "Runs"] = Cell(str(found["runs"].iloc[0]), files=(found["file"].iloc[0],))
            for metric in METRIC_TITLES:
                for statistic in ("mean", "sd", "undefined"):
                    record[f"{benchmark}_{metric}_{statistic}"] = found.loc[metric, statistic]
            for key in ("n_min", "n_max", "runs", "file"):
                record[f"{benchmark}_{key}"] = found[key].iloc[0]
        shown.append(cells)
        full.append(record)
        groups.append(_group(results, protocol, selection))
    for cells, record in _printed_rows(results, target, titles):
        shown.append(cells)
        full.append(record)
        groups.append(Cell(f"Printed in {PAPER}, Table {number_in_paper}", "a 4:1 split, epoch not stated"))
    columns = [("", "Method"), ("", "Recipe")]
    for title in titles.values():
        columns += [(title, "SRCC"), (title, "PLCC")]
        columns += [(title, "Runs")] if any((title, "Runs") in cells for cells in shown) else []

    def place(key: str) -> int:
        return next((i for i, name in enumerate(titles) if key.startswith(f"{name}_")), -1)

    absent = {title: results.absent(name) for name, title in titles.items()}
    notes = [f"{title} is absent: {reason}" for title, reason in absent.items() if reason is not None]
    notes += [f"{title}: a dash means this combination was not run in this suite." for title in sorted(not_run)]
    return Table(
        "_".join(filter(None, ["table", number_in_paper.lower(), target])),
        f"{target.capitalize()}, {shape}: mean ± sample SD over splits and seeds; no SD for a single run. The number "
        "of runs links to their predictions.",
        pd.DataFrame(full, columns=sorted({key: None for record in full for key in record}, key=place)),
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        best=tuple(column for column in columns if column[1] in ("SRCC", "PLCC")),
        stub=2,
        groups=groups,
        notes=notes + _alike(results, summary) + (cautions(results, titles) if len(summary) else []),
    )


def _alike(results: Results, summary: pd.DataFrame) -> list[str]:
    """A note for each variant that two recipes give the same numbers, with the settings that tell the recipes apart."""
    keys = [key for key in GROUP_ORDER if key not in ("recipe", "variant")]
    notes = []
    for variant, rows in summary.groupby("variant", sort=False):
        means = rows.pivot(index=[*keys, "metric"], columns="recipe", values="mean")
        for one, other in combinations(results.among("recipe", rows), 2):
            both = means[[one, other]].dropna()
            if len(both) and both[one].equals(both[other].rename(one)):
                values = [results.manifest["recipes"][name]["values"] for name in (one, other)]
                apart = [key for key in values[0] if values[0][key] != values[1].get(key)]
                titles = " and ".join(results.title("recipes", name) for name in (one, other))
                named = ", ".join(key.replace("_", " ") for key in apart) or "nothing"
                notes.append(
                    f"{titles} give equal numbers for {results.title('variants', variant)}: they differ in {named} "
                    "alone, which this model does not use."
                )
    return notes


def is_shown_first(results: Results, table: Table) -> pd.Series:
    """Which rows of a `comparison` are of their protocol's main selection, or printed in the paper."""
    rows = table.full.reindex(columns=["protocol", "selection"])
    return results.is_main(rows) | rows["protocol"].isna()


def _group(results: Results, protocol: str, selection: str) -> Cell:
    remarks = []
    if results.manifest["protocols"][protocol]["selection"] == selection:
        remarks.append("the main selection of this protocol")
    if selection == "best-on-test":
        remarks.append("chosen on the very images it is reported on, so optimistic")
    return Cell(f"{protocol}, {SELECTIONS[selection]}", "; ".join(remarks))


def printed_numbers(results: Results, target: str) -> dict[tuple[str, str, str], float]:
    """The paper's printed numbers for our variants, by (method, benchmark, metric). An entered method is none of them,
    however it is called.

    Only where the suite has a benchmark that is not synthetic, and none for a synthetic benchmark.
    """
    if set(results.cards) <= set(results.synthetic):
        return {}
    ours = [name for name in ordered(results.manifest, "variants") if name not in results.entered]
    titles = [results.title("variants", name) for name in ours]
    printed = results.paper.printed
    printed = printed[
        (printed["table"] == results.paper.table_of(target)[0])
        & printed["method"].isin(titles)
        & ~printed["benchmark"].isin(results.synthetic)
    ]
    keys = printed[["method", "benchmark", "metric"]].itertuples(index=False, name=None)
    return dict(zip(keys, printed["value"], strict=True))


def _printed_rows(results: Results, target: str, titles: dict[str, str]) -> list[tuple[dict, dict]]:
    printed = printed_numbers(results, target)
    rows = []
    for method in dict.fromkeys(method for method, _, _ in printed):
        cells = {("", "Method"): method}
        record: dict[str, str | float | None] = {"source": f"printed in {PAPER}", "method": method}
        for benchmark, title in titles.items():
            for metric in ("srcc", "plcc"):
                value = printed.get((method, benchmark, metric))
                record[f"{benchmark}_{metric}_mean"] = value
                if value is not None:
                    cells[title, METRIC_TITLES[metric]] = f"{value:.4f}"
        if len(cells) > 1:  # none of the benchmarks here is printed
            rows.append((cells, record))
    return rows
