"""The figures of single runs: predictions against opinion scores, and SRCC of every run."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mstclipiqa.base.names import SELECTIONS
from mstclipiqa.report.canvas import COLOURS, DOTTED, INK, MARKERS, STYLE, Figure, finish
from mstclipiqa.report.results import Results
from mstclipiqa.report.results_tables import printed_numbers


def scatter(results: Results, target: str) -> Figure | None:
    """Predicted score against MOS on the test images of the example runs; None without runs."""
    shown = results.examples(target)
    if shown.empty:
        return None
    first = shown.iloc[0]
    benchmarks, variants = results.among("benchmark", shown), results.among("variant", shown)
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(results.models)}
    runs = {(run["benchmark"], run["variant"]): run for _, run in shown.iterrows()}
    with mpl.rc_context(STYLE):
        size = 0.5 + 2.2 * len(benchmarks), 0.3 + 2.35 * len(variants)
        canvas = Canvas(figsize=size, layout="constrained")
        panels = canvas.subplots(len(variants), len(benchmarks), squeeze=False)
        for (row, column), ax in np.ndenumerate(panels):
            run = runs.get((benchmarks[column], variants[row]))
            if run is None:
                ax.axis("off")
                continue
            _scatter_panel(ax, results, run, colours[variants[row]])
            ax.set_title(_run_title(results, run))
            ax.set_xlabel("predicted score" if row == len(variants) - 1 else "")
            ax.set_ylabel(f"MOS ({target})" if column == 0 else "")
        caption = (
            f"Predicted score against MOS ({target}), one point per test image: protocol "
            f"{first['protocol']}, split {first['split']}, seed {first['seed']}, {SELECTIONS[first['selection']]}, "
            f"recipe {results.title('recipes', first['recipe'])}. Dashed: identity. Solid: least-squares line. "
            "SRCC and PLCC are those of the run shown."
        )
        numbers = "; ".join(f"{_run_title(results, run)}: {_agreement(run, ', ')}" for _, run in shown.iterrows())
        alt = f"Scatter plots of predicted score against {target} MOS by benchmark and method. {numbers}."
        return finish(canvas, f"scatter_{target}", caption, alt)


def _scatter_panel(ax: Axes, results: Results, run: pd.Series, colour: str) -> None:
    predictions = results.predictions(run)
    x, y = predictions["prediction"].to_numpy(), predictions["mos"].to_numpy()
    low, high = results.cards[run["benchmark"]]["ranges"][run["target"]]
    low, high = min(low, x.min()), max(high, x.max())
    ax.plot([low, high], [low, high], color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    # Points are drawn as pixels: thousands of vector markers would make the page megabytes.
    size, alpha = (14, 0.8) if len(x) < 100 else (7, 0.5)
    ax.scatter(x, y, s=size, color=colour, alpha=alpha, linewidths=0, rasterized=True)
    if np.ptp(x) > 0:
        ends = np.array([x.min(), x.max()])
        ax.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color=INK, linewidth=1.2)
    margin = 0.03 * (high - low)
    ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), box_aspect=1)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    ax.text(0.04, 0.96, _agreement(run, "\n"), transform=ax.transAxes, va="top", fontsize=7.5)
    sns.despine(ax=ax)


def _run_title(results: Results, run: pd.Series) -> str:
    return f"{results.title('benchmarks', run['benchmark'])} · {results.title('variants', run['variant'])}"


def _agreement(run: pd.Series, separator: str) -> str:
    values = {"SRCC": run["srcc"], "PLCC": run["plcc"]}
    return separator.join(
        f"{name} undefined" if np.isnan(value) else f"{name} {value:.4f}" for name, value in values.items()
    )


def spread(results: Results, target: str) -> Figure | None:
    """SRCC of every run by protocol and selection, a panel per recipe of a source and benchmark; None without runs."""
    metrics = results.of_sources(results.of_main_variants(target))
    if not metrics["srcc"].notna().any():
        return None
    conditions = list(metrics[["protocol", "selection"]].drop_duplicates().itertuples(index=False, name=None))
    by_recipe = [metrics[metrics["recipe"] == recipe] for recipe in results.among("recipe", metrics)]
    shown = [(name, runs["recipe"].iloc[0]) for runs in by_recipe for name in results.among("benchmark", runs)]
    columns = len(results.among("benchmark", metrics))
    rows = -(-len(shown) // columns)
    # A line drawn through numbers of random encoders would invite the comparison that the page disclaims.
    printed = {} if results.untrained else printed_numbers(results, target)
    with mpl.rc_context(STYLE):
        size = 2.1 + 1.95 * columns, 0.5 + rows * (0.65 + 0.4 * len(conditions))
        canvas = Canvas(figsize=size, layout="constrained")
        panels = canvas.subplots(rows, columns, sharey=True, squeeze=False)
        for ax, (benchmark, recipe) in zip(panels.flat, shown, strict=False):
            runs = metrics[(metrics["recipe"] == recipe) & (metrics["benchmark"] == benchmark)]
            _spread_panel(ax, results, runs, benchmark, conditions, printed)
            ax.set_title(f"{results.title('benchmarks', benchmark)} · {results.title('recipes', recipe)}")
            ax.set_xlabel("SRCC")
        for ax in panels.flat[len(shown) :]:
            ax.set_visible(False)
        names = [f"{protocol}\n{SELECTIONS[selection]}" for protocol, selection in conditions]
        panels[0, 0].set_yticks(range(len(conditions)), names)
        panels[0, 0].set_ylim(len(conditions) - 0.5, -0.5)
        legend = {
            results.title("variants", name): Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4.5)
            for name, colour, marker, _ in _variant_styles(results)
        }
        if printed:
            legend["printed in the paper"] = Line2D([], [], color=INK, linewidth=0.8, linestyle=DOTTED)
        canvas.legend(legend.values(), legend.keys(), loc="outside lower right", ncols=len(legend), frameon=False)
        caption = (
            f"SRCC ({target}) of every run by protocol and selection; a point is one split and seed, "
            "a tick the mean of several. Every panel has its own scale. A difference smaller than this spread is no "
            "evidence."
        )
        if printed:
            caption += " Dotted: the number printed in the paper, in the colour of its method."
        undefined = int(metrics["srcc"].isna().sum())
        if undefined:
            caption += f" The SRCC of {undefined} of {len(metrics)} points is undefined; they are not drawn."
        alt = (
            f"Strip plots of SRCC per run for {target}, panels by benchmark and recipe, "
            f"rows by protocol and selection. The numbers are in the {target} table."
        )
        return finish(canvas, f"spread_{target}", caption, alt)


def _spread_panel(
    ax: Axes,
    results: Results,
    runs: pd.DataFrame,
    benchmark: str,
    conditions: list[tuple[str, str]],
    printed: dict[tuple[str, str, str], float],
) -> None:
    for variant, colour, marker, offset in _variant_styles(results):
        in_paper = printed.get((results.title("variants", variant), benchmark, "srcc"))
        if in_paper is not None:
            ax.axvline(in_paper, color=colour, linewidth=0.8, linestyle=DOTTED, zorder=1)
        own = runs[runs["variant"] == variant]
        rows = [conditions.index(key) + offset for key in zip(own["protocol"], own["selection"], strict=True)]
        ax.scatter(own["srcc"], rows, s=14, color=colour, marker=marker, alpha=0.75, linewidths=0)
        for row, srcc in own["srcc"].groupby(rows):
            if len(srcc) > 1 and srcc.notna().all():
                ax.plot([srcc.mean()] * 2, [row - 0.12, row + 0.12], color=INK, linewidth=1.4)
    ax.grid(axis="y", color="#8b949e", alpha=0.25, linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)


def _variant_styles(results: Results) -> list[tuple[str, str, str, float]]:
    """Each variant with its colour, its marker, and how far its points stand from the middle of a row."""
    variants = results.main_variants
    return [
        (name, COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)], 0.5 * ((k + 0.5) / len(variants) - 0.5))
        for k, name in enumerate(variants)
    ]
