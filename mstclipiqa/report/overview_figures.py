"""The figures that a reader needs first: claims against what is found, the ablations, and leakage."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from mstclipiqa.base.names import SELECTIONS
from mstclipiqa.report import ablations, data_tables
from mstclipiqa.report.canvas import COLOURS, DOTTED, INK, MARKERS, STYLE, Figure, finish
from mstclipiqa.report.claims import read_claims
from mstclipiqa.report.results import GROUP_ORDER, Results

#: What the forest plot draws, with colour and marker.
PRINTED = ("printed", COLOURS[1], "D")
RECOMPUTED = ("recomputed from the paper’s tables", COLOURS[2], "s")
MEASURED = ("measured here, 95 % interval", COLOURS[0], "o")

#: The panels of the forest plot: the unit of its claims, and its title.
PANELS = {"points": "Gains, in points", "correlation": "SRCC of the paper’s models"}


def forest(results: Results) -> Figure | None:
    """The paper's gains, and the SRCC of its two models, against what is measured, or recomputed from its tables.

    A panel per unit with a row per claim, by the heading that the claim stands under. Only the row that counts is
    drawn. None without claims.json.
    """
    document = read_claims(results)
    if document is None:
        return None
    rows = document["claims"][document["claims"]["counts"]]
    numbers = rows["measured"].notna() & rows["claimed"].notna()
    rows = rows[numbers & rows["unit"].isin(PANELS) & rows["kind"].isin(["gain", "number", "arithmetic"])]
    # Of the tables, those of the two models alone: ablations have a figure of their own.
    main = {f"Table {table}" for table in set(results.paper.variants) - set(results.paper.ablations)}
    rows = rows[(rows["unit"] == "points") | (rows["place"].isin(main) & (rows["kind"] == "number"))]
    rows = rows[(rows["unit"] == "points") | (rows["metric"] == "srcc")]
    rows = rows.assign(claim=rows["id"].str.removesuffix("/printed"))
    shown = {unit: of_unit for unit, of_unit in rows.groupby("unit", sort=False)}
    panels = [unit for unit in PANELS if unit in shown]
    if not panels:
        return None
    heights = [shown[unit]["claim"].nunique() + 1 for unit in panels]
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(9.4, 1.0 + 0.19 * sum(heights)), layout="constrained")
        axes = canvas.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, unit in zip(axes, panels, strict=True):
            margin = document["margins"]["gain" if unit == "points" else "srcc"]
            _forest_panel(ax, results, shown[unit], margin)
            ax.set_title(PANELS[unit], loc="left")
        drawn = [PRINTED] + [entry for entry, kinds in ((RECOMPUTED, ["arithmetic"]), (MEASURED, ["gain", "number"]))
                             if rows["kind"].isin(kinds).any()]  # fmt: skip
        legend = {
            name: Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4.5)
            for name, colour, marker in drawn
        }
        canvas.legend(legend.values(), legend.keys(), loc="outside lower left", ncols=3, frameon=False)
        measured = rows["kind"].ne("arithmetic").any()
        caption = (
            "What the paper claims, and what is found. The band around a claim is the margin that still reproduces it. "
            + ("Measured by the recipe and the protocol that are most like the paper’s." if measured
               else "Nothing is measured here that tests the paper, so that its gains stand against its own tables.")
        )  # fmt: skip
        pairs = "; ".join(
            f"{row.claim}: printed {row.claimed:g}, found {row.measured:.4g}" for row in rows.itertuples()
        )
        return finish(canvas, "forest", caption, f"Dot plot of claims against what is found. {pairs}.")


def _forest_panel(ax: Axes, results: Results, rows: pd.DataFrame, margin: float) -> None:
    """A row per claim: the printed number with the margin, and each number found with its interval."""
    names = []
    for y, (_, of_claim) in enumerate(rows.groupby("claim", sort=False)):
        first = of_claim.iloc[0]
        names.append(name_claim(results, first))
        ax.fill_betweenx([y - 0.4, y + 0.4], first["claimed"] - margin, first["claimed"] + margin,
                         color=PRINTED[1], alpha=0.15, linewidth=0)  # fmt: skip
        ax.plot([first["claimed"]], [y], color=PRINTED[1], marker=PRINTED[2], markersize=4, linestyle="")
        for row in of_claim.to_dict("records"):
            _, colour, marker = RECOMPUTED if row["kind"] == "arithmetic" else MEASURED
            if pd.notna(row["low"]):
                ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.1)
            ax.plot([row["measured"]], [y], color=colour, marker=marker, markersize=4, linestyle="")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", color="#8b949e", alpha=0.25, linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)


def name_claim(results: Results, row: Mapping[str, Any]) -> str:
    """What a claim is of, as a label: the subject of its table, or its column, and its method and metric."""
    name, *words = row["claim"].removesuffix(f"/{row['metric']}").split("/")
    gains = {entry["id"]: entry["rule"].get("gain") for entry in results.paper.claims.get("statements", [])}
    if gain := gains.get(name):
        words = [results.paper.claims["tables"][gain["table"]]["title"], gain["ours"]]
    words = [results.title("benchmarks", word) if word in results.benchmarks else word for word in words]
    words = [f"Table {word}" if word in results.paper.claims.get("tables", ()) else word for word in words]
    return ", ".join([*(words or [name]), *filter(None, [row["metric"].upper()])])


def ablation_dots(results: Results) -> Figure | None:
    """SRCC of every variant of each ablation with its 95 % interval: a row of panels per table, a column per place.

    Of the first recipe and protocol that a table has, by that protocol's main selection. None without ablations or
    without intervals.
    """
    tables = ablations.tables(results)
    if not tables or "intervals" not in results.statistics:
        return None
    intervals = results.statistics["intervals"]
    shown: dict[str, pd.DataFrame] = {}
    for name, table in tables.items():
        full = table.full[GROUP_ORDER].drop_duplicates()
        first = full[["recipe", "protocol"]].eq(full[["recipe", "protocol"]].iloc[0]).all(axis=1)
        of_table = full[first].merge(intervals, on=GROUP_ORDER)
        if len(of_table):
            shown[name] = of_table
    if not shown:
        return None
    every = pd.concat(shown.values())[["benchmark", "target"]].drop_duplicates()
    places = list(every.itertuples(index=False, name=None))
    heights = [rows["variant"].nunique() + 1.5 for rows in shown.values()]
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(2.2 + min(2.2 * len(places), 10.5), 0.5 + 0.21 * sum(heights)), layout="constrained")
        panels = canvas.subplots(len(shown), len(places), squeeze=False, height_ratios=heights)
        untitled = set(places)
        for line, (name, rows) in zip(panels, shown.items(), strict=True):
            variants = list(rows["variant"].unique())
            for ax, place in zip(line, places, strict=True):
                here = rows[(rows[["benchmark", "target"]] == list(place)).all(axis=1)]
                ax.set_visible(not here.empty)
                _dots(ax, here, variants)
                if place in untitled and len(here):
                    untitled.remove(place)
                    ax.set_title(f"{results.title('benchmarks', place[0])}, {place[1]}")
                ax.set_yticks(range(len(variants)), [""] * len(variants))
            line[0].set_yticklabels([results.title("variants", variant) for variant in variants])
            line[0].set_ylabel(tables[name].caption.partition(":")[0])
        for ax in panels[-1]:
            ax.set_xlabel("SRCC")
        one = next(iter(shown.values())).iloc[0]
        caption = (
            f"SRCC of each variant with its 95 % interval, recipe {results.title('recipes', one['recipe'])}, "
            f"{one['protocol']}, {SELECTIONS[one['selection']]}. A dot without a line has no interval, as where one "
            "split was trained from one seed. Dotted: MST-CLIPIQA, where it was run."
        )
        alt = "Dots with intervals, a row of panels per ablation. The numbers are in the tables below."
        return finish(canvas, "ablations", caption, alt)


def _dots(ax: Axes, rows: pd.DataFrame, variants: list[str]) -> None:
    for row in rows.to_dict("records"):
        y = variants.index(row["variant"])
        if row["variant"] == "mst-clipiqa":
            ax.axvline(row["srcc"], color=INK, linewidth=0.8, linestyle=DOTTED)
        if pd.notna(row["srcc_low"]):
            ax.plot([row["srcc_low"], row["srcc_high"]], [y, y], color=COLOURS[0], linewidth=1.1)
        ax.plot([row["srcc"]], [y], color=COLOURS[0], marker=MARKERS[0], markersize=4, linestyle="")
    ax.set_ylim(len(variants) - 0.5, -0.5)
    ax.locator_params(axis="x", nbins=4)
    ax.grid(axis="y", color="#8b949e", alpha=0.25, linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)


def leakage_bars(results: Results) -> Figure | None:
    """The share of test images whose prompt is in training, by benchmark and protocol, mean over splits; None without
    splits."""
    full = data_tables.leakage(results).full.dropna(subset=["percent"])
    if full.empty:
        return None
    shares = full.assign(percent=full["percent"].astype(float))
    shares = shares.assign(benchmark=[results.title("benchmarks", name) for name in shares["benchmark"]])
    protocols, benchmarks = list(shares["protocol"].unique()), list(shares["benchmark"].unique())
    with mpl.rc_context(STYLE):
        rows = shares.groupby(["benchmark", "protocol"], sort=False).ngroups
        canvas = Canvas(figsize=(7.6, 0.85 + 0.2 * rows + 0.1 * len(benchmarks)), layout="constrained")
        ax = canvas.subplots()
        palette = dict(zip(protocols, sns.color_palette("colorblind", len(protocols)), strict=True))
        sns.barplot(
            shares, y="benchmark", x="percent", hue="protocol", palette=palette, saturation=1, errorbar=None,
            legend=False, ax=ax,
        )  # fmt: skip
        ax.set(ylabel="", xlabel="per cent of test images", xlim=(0, 105))
        for bars in (found for found in ax.containers if isinstance(found, BarContainer)):
            ax.bar_label(bars, fmt="{:.0f}", fontsize=6.5, padding=1)
        patches = [Rectangle((0, 0), 1, 1, color=palette[protocol]) for protocol in protocols]
        canvas.legend(patches, protocols, loc="outside upper left", ncols=6, frameon=False)
        sns.despine(ax=ax)
        caption = "Test images whose prompt was also in training, by protocol: per cent, mean over its splits."
        means = shares.groupby(["benchmark", "protocol"], sort=False)["percent"].mean()
        told = "; ".join(f"{name}, {protocol}: {value:.0f}" for (name, protocol), value in means.items())
        return finish(canvas, "leakage_bars", caption, f"Bars of leakage in per cent. {told}.")
