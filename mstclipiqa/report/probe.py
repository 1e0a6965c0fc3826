"""The tables of the probe: what each stream carries, and what moves the gates."""

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from mstclipiqa.base.words import spread
from mstclipiqa.report.canvas import COLOURS, DOTTED, INK, MARKERS, STYLE, Figure, finish
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: The features that factors are read from, as the page names them. The fused ones are of a recipe's model.
STREAMS = {"f_c": "f_c (coarse)", "f_f": "f_f (fine)", "both": "both"}

FUSED = {"z_initial": "before training", "z_trained": "trained"}

KINDS = {"semantic": "What is depicted", "distortion": "How it is rendered"}

READOUT_METRICS = {"srcc": "SRCC"}


def stream_difference(readout: pd.DataFrame) -> pd.DataFrame:
    """f_f less f_c by factor (rows, in order): mean and SD over the folds of the difference within each."""
    by_fold = readout.pivot(index=["kind", "factor", "split"], columns="features", values="value")
    difference = (by_fold["f_f"] - by_fold["f_c"]).groupby(["kind", "factor"]).agg(["mean", "std"])
    return difference.loc[list(readout[["kind", "factor"]].drop_duplicates().itertuples(index=False, name=None))]


def readout(results: Results) -> Table:
    """How well each factor is read linearly from each stream and from each recipe's fused features."""
    probes = results.probes
    full = pd.concat([probe.readout.assign(recipe=name) for name, probe in probes.items()], ignore_index=True)
    # The streams are the same under every recipe.
    first = full[full["recipe"] == full["recipe"].iloc[0]]
    difference = stream_difference(first)
    shown, groups = [], []
    for (kind, metric, factor), rows in first.groupby(["kind", "metric", "factor"], sort=False):
        cells = {("", "Factor"): factor.replace("_", " "), ("", "Chance"): f"{rows['chance'].iloc[0]:.3f}"}
        for name, title in STREAMS.items():
            cells["The encoders' features", title] = _mean_and_sd(rows[rows["features"] == name]["value"])
        mean, sd = difference.loc[(kind, factor)]
        cells["The encoders' features", "f_f − f_c"] = Cell(f"{mean:+.3f}", spread(sd, 3))
        for recipe, probe in probes.items():
            of_factor = probe.readout[probe.readout["factor"] == factor]
            for name, title in FUSED.items():
                cells[_fused(results, recipe), title] = _mean_and_sd(of_factor[of_factor["features"] == name]["value"])
        shown.append(cells)
        groups.append(Cell(f"{KINDS[kind]}: {READOUT_METRICS.get(metric, metric)}"))
    columns = list(dict.fromkeys(column for cells in shown for column in cells))
    return Table(
        "probe_readout",
        "What is read linearly from each stream: mean ± sample SD over "
        f"{first['split'].nunique()} folds of scenes, none of which the readout was trained on.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Factor and metric",
        notes=[
            *(_division_of_labour(kind, rows) for kind, rows in difference.groupby(level="kind", sort=False)),
            "A stream that is ahead on both kinds is the better stream, not a specialised one. A value below chance "
            "reads nothing, as one at chance does.",
        ],
    )


def _fused(results: Results, recipe: str) -> str:
    return f"Fused z, {results.title('recipes', recipe)}"


def _mean_and_sd(values: pd.Series) -> Cell:
    return Cell(f"{values.mean():.3f}", spread(values.std(), 3))


def _division_of_labour(kind: str, difference: pd.DataFrame) -> str:
    """The claim of the paper on one kind of factor, and the count of factors on either side of it."""
    sign, claimed, other = (-1, "f_c", "f_f") if kind == "semantic" else (1, "f_f", "f_c")
    ahead = sign * difference["mean"]
    clear = ahead.abs() > difference["std"]
    return (
        f"{KINDS[kind]}: if the claim holds, {claimed} is ahead. It is on {int((ahead > 0).sum())} of {len(ahead)} "
        f"factors, on {int(((ahead > 0) & clear).sum())} by more than the SD of the difference; {other} is on "
        f"{int(((ahead < 0) & clear).sum())} by as much."
    )


def gates(results: Results) -> Table:
    """How each artefact moves the gates of the same scene; `full` has the untrained model too."""
    full = pd.concat([probe.gates.assign(recipe=name) for name, probe in results.probes.items()], ignore_index=True)
    shown, groups = [], []
    for row in full[full["state"] == "trained"].to_dict("records"):
        none = row["artefact"] == "none"
        cells = {"Artefact": "none: from one clean scene to the next" if none else row["artefact"].replace("_", " ")}
        for name, sign in (("shift", "+"), ("movement", "")):
            mean, sd, strength = 1000 * row[name], 1000 * row[f"{name}_sd"], row[f"{name}_srcc"]
            cells[f"{name.capitalize()}, 10⁻³"] = Cell(f"{mean:{sign}z.2f}", spread(sd, 2))
            cells[f"{name.capitalize()} by strength, SRCC"] = DASH if pd.isna(strength) else f"{strength:+z.2f}"
        shown.append(cells)
        groups.append(Cell(results.title("recipes", row["recipe"])))
    columns = list(shown[0])
    return Table(
        "probe_gates",
        "How the trained model's gates g (0..1) answer to each artefact, against the clean picture of the same scene: "
        "mean ± sample SD over scenes, and the rank correlation with the artefact's strength.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Recipe",
        notes=[
            "Shift is the change of g averaged over dimensions: positive moves towards f_c, negative towards f_f. "
            "Movement averages the absolute change, so that dimensions which move apart do not cancel.",
            "The first row, of no artefact, compares different clean scenes: what semantics does at fixed distortion.",
            "The CSV holds the model before training too.",
        ],
    )


def gate_variance(results: Results) -> Table:
    """Whether the gates vary with the scene or with the distortion, by recipe, before training and after."""
    full = pd.DataFrame(
        [
            {"recipe": recipe, "state": state, "mean": entry["mean"], "moved": entry["moved"], **entry["shares"]}
            for recipe, probe in results.probes.items()
            for state, entry in probe.metadata["gates"].items()
        ]
    )
    shares = {"scene": "Scene", "artefact": "Which artefact", "strength": "Its strength", "rest": "Rest"}
    shown = [
        {
            "Recipe": results.title("recipes", row["recipe"]),
            "Model": FUSED[f"z_{row['state']}"],
            "Mean gate": f"{row['mean']:.3f}",
            "Moved by training, 10⁻³": f"{1000 * row['moved']:.2f}" if row["state"] == "trained" else DASH,
        }
        | {title: f"{100 * row[name]:.1f} %" for name, title in shares.items()}
        for row in full.to_dict("records")
    ]
    columns = list(shown[0])
    notes = [
        f"{row['Recipe']}: in the trained model the scene explains {row['Scene']} of what the gates vary, and which "
        f"artefact lies on it, and how strongly, {100 * (entry['artefact'] + entry['strength']):.1f} %."
        for row, entry in zip(shown, full.to_dict("records"), strict=True)
        if entry["state"] == "trained"
    ]
    return Table(
        "probe_gate_variance",
        "What the gates vary with: shares of their variance over all renderings of all spoiled scenes, summed over "
        "dimensions. The rest is what an artefact does to one scene and not to another. Beside them, the mean absolute "
        "change of a gate by training.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[2:]),
        stub=2,
        notes=notes,
    )


def readout_dots(results: Results) -> Figure | None:
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
