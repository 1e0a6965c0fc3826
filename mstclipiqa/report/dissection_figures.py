"""The figures of trained models taken apart: how far gates move, and SRCC against the operations of the encoders."""

import math

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from mstclipiqa.base.names import MODELS
from mstclipiqa.report.canvas import DOTTED, INK, STYLE, Figure, finish
from mstclipiqa.report.dissection import ALL_GENERATORS, RULES, SCORERS, movements, skipped
from mstclipiqa.report.results import Results

#: Panels beside one another.
COLUMNS = 3
#: A legend below a panel.
SMALL = {"fontsize": "x-small", "frameon": False, "handlelength": 1.2, "columnspacing": 1.0}


def gate_histogram(results: Results) -> Figure | None:
    """How many dimensions' gates move how far over images: a line per generator, a panel per recipe. Of MST-CLIPIQA;
    None without a dissection."""
    full = movements(results)
    full = full[full["variant"] == MODELS[0]]
    if full.empty:
        return None
    panels = list(full.groupby(["benchmark", "recipe"], sort=False))
    with mpl.rc_context(STYLE):
        columns = min(COLUMNS, len(panels))
        lines = math.ceil(len(panels) / columns)
        canvas = Canvas(figsize=(9.4, 3.2 * lines), layout="constrained")
        axes = list(canvas.subplots(lines, columns, squeeze=False, sharey=True).flat)
        told = []
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        for ax, ((benchmark, recipe), rows) in zip(axes, panels, strict=False):
            names = list(rows["generator"].unique())
            colours = dict(zip(names, [INK, *sns.husl_palette(len(names) - 1, l=0.55)], strict=True))
            sns.histplot(
                rows,
                x="sd",
                hue="generator",
                palette=colours,
                element="step",
                fill=False,
                bins=25,
                linewidth=1,
                legend=False,
                ax=ax,
            )
            ax.set(title=f"{results.title('benchmarks', benchmark)}, {results.title('recipes', recipe)}")
            ax.set(xlabel="SD of a gate over images", ylabel="dimensions")
            sns.despine(ax=ax)
            medians = rows.groupby("generator", sort=False)["sd"].median()
            told.append(f"{benchmark}, {recipe}: {', '.join(f'{name} {value:.3f}' for name, value in medians.items())}")
            labels = ["all generators" if name == ALL_GENERATORS else name for name in names]
            drawn = [Line2D([], [], color=colours[name]) for name in names]
            ax.legend(drawn, labels, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=3, **SMALL)
        caption = "How far the gates of MST-CLIPIQA move: dimensions by the SD of their gate over the test images."
        return finish(canvas, "gate_histogram", caption, f"Histograms of SD by generator. Medians: {'; '.join(told)}.")


def skipping_curve(results: Results) -> Figure | None:
    """SRCC against operations as fine encodings are skipped: a line per rule, a panel per scorer. Of the first recipe
    that was dissected; None without a dissection, or costs."""
    full = skipped(results).dropna(subset=["operations"])
    if full.empty:
        return None
    full = full[(full[["benchmark", "recipe"]] == full[["benchmark", "recipe"]].iloc[0]).all(axis=1)]
    colours = dict(zip(RULES, sns.color_palette("colorblind", len(RULES)), strict=True))
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(9.4, 3.0), layout="constrained")
        axes = canvas.subplots(1, len(SCORERS), sharey=True)
        for ax, (scorer, title) in zip(axes, SCORERS.items(), strict=True):
            rows = full[full["scorer"] == scorer]
            for rule, line in rows.groupby("rule", sort=False):
                line = line.sort_values("operations")
                ax.plot(100 * line["operations"], line["srcc"], color=colours[str(rule)], linewidth=1.2)
            ax.axhline(_whole(rows), color=INK, linewidth=0.7, linestyle=DOTTED)
            ax.set(title=f"Scored without f_f by {title}", xlabel="operations, % of running both encoders")
            sns.despine(ax=ax)
        axes[0].set_ylabel("SRCC")
        lines = [Line2D([], [], color=colour) for colour in colours.values()]
        canvas.legend(lines, [f"decides: {name}" for name in RULES.values()], loc="outside lower center", ncols=2,
                      frameon=False)  # fmt: skip
        one = full.iloc[0]
        caption = (
            f"SRCC against operations where the fine encoder is run for some images alone: "
            f"{results.title('benchmarks', one['benchmark'])}, quality, {one['protocol']}, recipe "
            f"{results.title('recipes', one['recipe'])}. Dotted: every image."
        )
        at_half = full[full["aimed"] == 0.5]
        told = "; ".join(f"{row.rule}, {row.scorer}: {row.difference:+.3f}" for row in at_half.itertuples())
        return finish(canvas, "skipping_curve", caption, f"Curves. Change of SRCC with half skipped: {told}.")


def _whole(rows: pd.DataFrame) -> float:
    """SRCC with every fine encoding."""
    return float(rows.loc[rows["aimed"] == 0, "srcc"].iloc[0])
