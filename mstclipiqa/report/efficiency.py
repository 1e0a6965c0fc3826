"""What the models cost, beside their SRCC."""

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mstclipiqa.base.layout import EFFICIENCY, TIMED
from mstclipiqa.base.names import MODELS, SELECTIONS, TARGETS
from mstclipiqa.report.canvas import COLOURS, MARKERS, STYLE, Figure, finish
from mstclipiqa.report.results import Results
from mstclipiqa.report.results_tables import number, summarise
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

KEYS = ["recipe", "variant"]

#: CPU times are relative to this model's, or to the first one's where it was not run.
UNIT = MODELS[0]


def costs(results: Results) -> tuple[pd.DataFrame, dict] | None:
    """A row per recipe and variant, with the metadata of the timing; None where no costs were measured.

    A row has the cost, the times relative to those of the model that the metadata call `unit`, and the mean `srcc` with
    `sd`, `runs`, `undefined`, and its interval `low` to `high`. The SRCC is that on the benchmark, target and protocol
    (named in the metadata) on which most variants were run, or empty; of several, the first target and benchmark, and
    the last protocol.
    """
    counted, timed = results.of_suite(EFFICIENCY), results.of_suite(TIMED)
    if counted is None or timed is None:
        return None
    full, metadata = counted[0].merge(timed[0], how="left", on=KEYS), timed[1]
    summary = summarise(results.metrics[results.is_main(results.metrics)])
    summary = summary[summary["metric"] == "srcc"]
    place = ["benchmark", "target", "protocol", "selection"]
    counts = summary[place].value_counts(sort=False)
    most = counts[counts == counts.max()].reset_index()
    most = most[most["target"] == min(most["target"], key=list(TARGETS).index)]
    most = most[most["benchmark"] == most["benchmark"].iloc[0]]
    chosen = most[place].iloc[-1]  # the last protocol: those by prompt come after those by image
    summary = summary[(summary[place] == list(chosen)).all(axis=1)].rename(columns={"mean": "srcc"})
    full = full.merge(summary[[*KEYS, "srcc", "sd", "runs", "undefined"]], how="left", on=KEYS)
    full = full.merge(_intervals(results, place, list(chosen)), how="left", on=KEYS)
    name = UNIT if UNIT in set(full["variant"]) else full["variant"].iloc[0]
    unit = full[full["variant"] == name].iloc[0]
    for size in (1, 32):
        full[f"relative_{size}"] = full[f"ms_{size}"] / unit[f"ms_{size}"]
    return full, metadata | {"unit": name} | dict(zip(place, chosen, strict=True))


def _intervals(results: Results, place: list[str], chosen: list[str]) -> pd.DataFrame:
    """The 95 % interval of each recipe and variant there; no row without intervals."""
    names = {"srcc_low": "low", "srcc_high": "high"}
    table = results.statistics.get("intervals", pd.DataFrame(columns=[*place, *KEYS, *names]))
    return table[(table[place] == chosen).all(axis=1)][[*KEYS, *names]].rename(columns=names)


def describe_place(results: Results, metadata: dict) -> str:
    """Which benchmark, target, protocol and selection the SRCC beside the costs is of."""
    title = results.title("benchmarks", metadata["benchmark"])
    return f"{metadata['target']} of {title}, {metadata['protocol']}, {SELECTIONS[metadata['selection']]}"


def efficiency(results: Results) -> Table | None:
    """Parameters, operations and time of every model, beside its SRCC."""
    found = costs(results)
    if found is None:
        return None
    full, metadata = found
    on_gpu = metadata["device"] == "cuda"
    shown, groups = [], []
    for recipe in results.among("recipe", full):
        for row in full[full["recipe"] == recipe].to_dict("records"):
            streams = " and ".join(row["encoders"].split("+"))
            model = Cell(results.title("variants", row["variant"]), streams + ", prompt" * row["prompt"])
            cells: dict[str, str | Cell] = {"Model": model}
            cells |= {"Trained": f"{row['trained']:,}", "All parameters": f"{row['total'] / 1e6:,.1f} M"}
            cells |= {"GFLOP per image": f"{row['gflops']:#.3g}".rstrip(".")}
            if on_gpu:
                cells |= {"ms per image": f"{row['ms_1']:.2f}", "Images/s": f"{1e3 / row['ms_32']:,.0f}"}
            for size in (1, 32):
                relative = row[f"relative_{size}"]
                cells[f"Relative time, batch of {size}"] = DASH if pd.isna(relative) else f"{relative:.2f}"
            cells |= {"SRCC": DASH if pd.isna(row["runs"]) else number(pd.Series(row | {"mean": row["srcc"]}))}
            shown.append(cells)
            groups.append(Cell(results.title("recipes", recipe)))
    columns = list(shown[0])
    unit = results.title("variants", metadata["unit"])
    return Table(
        "efficiency",
        f"What each model costs: from image to score, beside its SRCC ({describe_place(results, metadata)}).",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Recipe",
        notes=[
            "Operations are the products and convolutions of one image and its prompt; a multiply-add counts as two. "
            "Of an encoder’s last layer only what its class token depends on is counted. Times are measured on "
            f"{metadata['machine']}, all parts in turn, {metadata['rounds']} rounds, without decoding, and given as "
            f"multiples of {unit}’s, in batches of 1 or 32 images.",
            "All parameters are those of the encoders and text tower in use too. A fusion that looks at one stream is "
            "charged for one encoder, and one that reads the prompt for the text tower.",
        ],
    )


def cost_dots(results: Results) -> Figure | None:
    """SRCC with its interval, trained parameters and time of every variant; None where no costs were measured."""
    found = costs(results)
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
            f"SRCC ({describe_place(results, metadata)}) with its 95 % interval where there is one, what a "
            f"model trains, and its time from image to score in batches of 32 on {metadata['machine']}."
        )
        alt = "Dots by variant: SRCC, trained parameters and time. The numbers are in the table."
        return finish(canvas, "costs", caption, alt)
