"""The figures of the report, equal bytes from equal results: PNG on white, SVG that follows the theme."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mstclipiqa.base.layout import CURVES
from mstclipiqa.base.names import SELECTIONS
from mstclipiqa.model.variants import get_variant
from mstclipiqa.report import controls, efficiency
from mstclipiqa.report.canvas import COLOURS, DOTTED, INK, MARKERS, STYLE, Figure, finish
from mstclipiqa.report.probe_tables import FUSED, KINDS, STREAMS
from mstclipiqa.report.results import Results
from mstclipiqa.report.results_tables import printed_numbers

#: The learning curves of the weights that ship with the package, and their columns.
WEIGHTS = Path(__file__).parents[1] / "encoders" / "weights"
PRETRAINING = {
    "contrastive": "contrastive loss",
    "levels": "quality-level loss",
    "artefacts": "artefact loss",
    "auxiliary": "auxiliary loss",
    "retrieval": "retrieval, 64 ways",
    "zero_shot_quality": "zero-shot quality, SRCC",
}


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
    """SRCC of every run by protocol and selection, a panel per recipe and benchmark; None without runs."""
    metrics = results.of_main_variants(target)
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


def readout(results: Results) -> Figure | None:
    """What is read linearly from each stream and from the first recipe's fused features; None without a probe."""
    if not results.probes:
        return None
    recipe, probe = next(iter(results.probes.items()))
    names = STREAMS | {"z_trained": f"fused z, {FUSED['z_trained']}"}
    rows = probe.readout[probe.readout["features"].isin(names)]
    rows = rows.assign(factor=rows["factor"].str.replace("_", " "))
    kinds = {kind: rows[rows["kind"] == kind] for kind in KINDS}
    heights = [of_kind["factor"].nunique() for of_kind in kinds.values()]
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(9.4, 1.2 + 0.27 * sum(heights)), layout="constrained")
        panels = canvas.subplots(len(kinds), 1, height_ratios=heights)
        for ax, (kind, of_kind) in zip(panels, kinds.items(), strict=True):
            sns.pointplot(
                of_kind.assign(features=of_kind["features"].map(names)), x="value", y="factor", hue="features",
                hue_order=names.values(), palette=COLOURS, markers=MARKERS, errorbar="sd", linestyle="none",
                dodge=0.5, markersize=4, err_kws={"linewidth": 1}, legend=False, ax=ax,
            )  # fmt: skip
            for y, (_, factor) in enumerate(of_kind.groupby("factor", sort=False)):
                chance = factor["chance"].iloc[0]
                ax.plot([chance, chance], [y - 0.4, y + 0.4], color=INK, linewidth=0.8, linestyle=DOTTED)
            metrics = of_kind["metric"].replace("srcc", "SRCC").unique()
            ax.set(
                title=f"{KINDS[kind]}: how well each factor is read linearly", xlabel=" or ".join(metrics), ylabel=""
            )
            ax.grid(axis="y", color="#8b949e", alpha=0.25, linewidth=0.6)
            ax.tick_params(axis="y", length=0)
            sns.despine(ax=ax, left=True)
        legend = [
            Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4.5)
            for colour, marker, _ in zip(COLOURS, MARKERS, names, strict=True)
        ]
        legend.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=DOTTED))
        canvas.legend(legend, [*names.values(), "chance"], loc="outside lower right", ncols=len(legend), frameon=False)
        caption = (
            "What is read linearly from each stream: mean and sample SD over the folds of scenes, chance dotted. "
            f"Artefacts are told apart by {probe.readout['metric'].iloc[0]}, strengths by SRCC. "
            f"Fused z: recipe {results.title('recipes', recipe)}."
        )
        alt = "Dots with error bars: how well each factor is read from each stream. The numbers are in the table."
        return finish(canvas, "probe", caption, alt)


def learning_curves(results: Results) -> Figure | None:
    """SRCC by epoch at each learning rate, a panel per recipe, with ridge on the same features; None without curves."""
    found = controls.read(results, CURVES)
    if found is None:
        return None
    curves, metadata = found
    recipes = results.among("recipe", curves)
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(0.7 + 2.4 * len(recipes), 3.6), layout="constrained")
        panels = canvas.subplots(1, len(recipes), sharey=True, squeeze=False)[0]
        # A rate has one colour in every panel.
        every = sorted(curves["learning_rate"].unique())
        palette = dict(zip(every, sns.color_palette("colorblind", len(every)), strict=True))
        for ax, recipe in zip(panels, recipes, strict=True):
            of_recipe = curves[curves["recipe"] == recipe]
            rates = sorted(of_recipe["learning_rate"].unique())
            sns.lineplot(
                of_recipe, x="epoch", y="srcc", hue="learning_rate", hue_order=rates,
                palette={rate: palette[rate] for rate in rates}, style="role", style_order=["test", "train"],
                linewidth=1.1, estimator=None, legend=False, ax=ax,
            )  # fmt: skip
            ax.axhline(metadata["ridge"][recipe]["test"], color=INK, linewidth=0.8, linestyle=DOTTED)
            lines = [Line2D([], [], color=palette[rate], linewidth=1.1) for rate in rates]
            own = metadata["learning_rates"][recipe]
            names = [f"{rate:g}" + (" (its own)" if rate == own else "") for rate in rates]
            below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncols": 2, "frameon": False}
            ax.legend(lines, names, title="learning rate", fontsize=7, title_fontsize=7, **below)
            ax.set(title=results.title("recipes", recipe), xlabel="epoch", ylabel="SRCC")
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            sns.despine(ax=ax)
        legend = {
            "test": Line2D([], [], color=INK, linewidth=1.1),
            "train": Line2D([], [], color=INK, linewidth=1.1, linestyle=(0, (4, 1.5))),
            "ridge on the same features, test": Line2D([], [], color=INK, linewidth=0.8, linestyle=DOTTED),
        }
        canvas.legend(legend.values(), legend.keys(), loc="outside lower right", ncols=len(legend), frameon=False)
        caption = (
            f"SRCC after every epoch by learning rate, {get_variant(curves['variant'].iloc[0]).title}: "
            f"{metadata['target']} of {results.title('benchmarks', metadata['benchmark'])}, protocol "
            f"{metadata['protocol']}, split {metadata['split']}, seed {metadata['seed']}. A curve that still rises at "
            "its last epoch was trained too little."
        )
        alt = "Lines of SRCC by epoch, a panel per recipe. The numbers of the last epoch are in the table."
        return finish(canvas, "learning_curves", caption, alt)


def costs(results: Results) -> Figure | None:
    """SRCC with its interval, trained parameters and time of every variant; None where no costs were measured."""
    found = efficiency.costs(results)
    if found is None:
        return None
    full, metadata = found
    full = full.dropna(subset=["srcc", "relative_32"])
    if full.empty:
        return None
    recipes, variants = results.among("recipe", full), results.among("variant", full)
    full["millions"] = full["trained"] / 1e6
    axes = {
        "srcc": f"SRCC ({metadata['target']})",
        "millions": "trained parameters, millions",
        "relative_32": f"time per image ({results.title('variants', metadata['unit'])} = 1)",
    }
    with mpl.rc_context(STYLE):
        size = 9.4, 0.9 + (0.12 + 0.1 * len(recipes)) * len(variants)
        canvas = Canvas(figsize=size, layout="constrained")
        panels = canvas.subplots(1, len(axes), sharey=True)
        for ax, (column, label) in zip(panels, axes.items(), strict=True):
            for k, (recipe, colour, marker) in enumerate(zip(recipes, COLOURS, MARKERS, strict=False)):
                rows = full[full["recipe"] == recipe]
                y = rows["variant"].map(variants.index) + 0.7 * ((k + 0.5) / len(recipes) - 0.5)
                ax.plot(rows[column], y, color=colour, marker=marker, markersize=4, linestyle="")
                if column == "srcc":
                    ax.hlines(y, rows["low"], rows["high"], color=colour, linewidth=1.1)
            ax.xaxis.set_major_locator(MaxNLocator(5))
            ax.set(xlabel=label, xlim=None if column == "srcc" else (0, 1.1 * full[column].max()))
            ax.grid(axis="y", color="#8b949e", alpha=0.25, linewidth=0.6)
            sns.despine(ax=ax)
        panels[0].set_yticks(range(len(variants)), [results.title("variants", name) for name in variants])
        panels[0].set_ylim(len(variants) - 0.5, -0.5)
        legend = {
            results.title("recipes", name): Line2D([], [], color=colour, marker=marker, markersize=4.5, linestyle="")
            for name, colour, marker in zip(recipes, COLOURS, MARKERS, strict=False)
        }
        canvas.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=4, frameon=False)
        caption = (
            f"SRCC ({efficiency.describe_place(results, metadata)}) with its 95 % interval where there is one, what a "
            f"model trains, and its time from image to score in batches of 32 on {metadata['machine']}."
        )
        alt = "Dots by variant: SRCC, trained parameters and time. The numbers are in the table."
        return finish(canvas, "costs", caption, alt)


def pretraining(results: Results) -> Figure | None:
    """How the embedded encoders learned, a panel per loss and per test; None where no encoder is embedded."""
    models = [entry["model"] for entry in results.manifest["encoders"].values() if entry.get("weights") == "embedded"]
    files = {model: WEIGHTS / f"{model}.csv" for model in models}
    curves = {model: pd.read_csv(path) for model, path in files.items() if path.is_file()}
    if not curves:
        return None
    names = PRETRAINING
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(7.6, 3.6), layout="constrained")
        panels = canvas.subplots(2, 3).ravel()
        for ax, (column, title) in zip(panels, names.items(), strict=True):
            for (_, curve), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
                ax.plot(curve["step"], curve[column], color=colour, marker=marker, markersize=2.5, linewidth=1.1)
            ax.set(title=title, xlabel="step")
            sns.despine(ax=ax)
        lines = [
            Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=1.1)
            for colour, marker, _ in zip(COLOURS, MARKERS, curves, strict=False)
        ]
        canvas.legend(lines, curves, loc="outside lower right", ncols=len(curves), frameon=False)
        ends = "; ".join(
            f"{model} {curve['retrieval'].iloc[-1]:.3f} and {curve['zero_shot_quality'].iloc[-1]:.3f}"
            for model, curve in curves.items()
        )
        caption = (
            "Pretraining of the embedded pair on drawn pictures: losses of the training batch, and on 768 held-out "
            "pictures the share of captions found among 64 and the SRCC of zero-shot quality with the true strength of "
            f"the artefacts. At the end: {ends}."
        )
        return finish(canvas, "pretraining", caption, f"Lines by training step. At the end: {ends}.")
