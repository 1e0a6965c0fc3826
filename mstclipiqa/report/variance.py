"""What a model's SRCC varies by: the images tested, the split, the seed, the epoch, the recipe, the scale of MOS."""

from functools import lru_cache

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Canvas

from mstclipiqa.base.names import ENTERED, MODELS, QUALITY
from mstclipiqa.report.canvas import STYLE, Figure, finish
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import DASH, Cell, Table, frame_of
from mstclipiqa.report.unseen_generators import OF_GENERATORS

#: The sources, and what is varied while all else stays.
SOURCES = {
    "images": "other test images: the bootstrap's standard error of one split's SRCC",
    "split": "other splits of a protocol, each the mean over its seeds",
    "seed": "other seeds on the same split",
    "epoch": "the epoch that is reported, of those that a protocol offers",
    "recipe": "the recipe of a source, each the mean over its runs",
    "scale": "the scale that is learned, the MOS as they are or mapped to the levels: recipes that differ in it alone",
}
PLACE = ["benchmark", "target", "variant", "protocol"]


@lru_cache(2)  # a table and its figure, real and drawn
def components(results: Results) -> pd.DataFrame:
    """The SD of SRCC by source, a column each: a row per model and protocol of a real benchmark, the mean over recipes,
    by the main selection where that does not vary. NaN where a source has one value. A recipe that changes one value of
    another is none of a source's, and protocols of generators are left out."""
    if not results.statistics:
        return pd.DataFrame(columns=[*PLACE, *SOURCES])
    runs = results.on_real(results.metrics)
    runs = runs[runs["variant"].isin(results.models) & (runs["recipe"] != ENTERED)]
    runs = runs[~runs["protocol"].isin(OF_GENERATORS)]
    scaled = [{change.base, change.changed} for change in results.changes if change.key == "trained_scale"]
    of_scale = runs[results.is_main(runs) & runs["recipe"].isin(set().union(*scaled))]
    runs, intervals = results.of_sources(runs), results.of_sources(results.statistics["intervals"])
    main = runs[results.is_main(runs)]
    intervals = intervals[results.is_main(intervals) & (intervals["splits"] == 1)]
    by_recipe = main.groupby([*PLACE, "recipe"], sort=False)["srcc"]
    by_split = main.groupby([*PLACE, "recipe", "split"], sort=False)["srcc"]
    reported = runs.groupby([*PLACE, "recipe", "selection"], sort=False)["srcc"].mean()
    found = {
        "images": intervals.groupby(PLACE, sort=False)["srcc_images_error"].mean(),
        "split": by_split.mean().groupby([*PLACE, "recipe"], sort=False).std().groupby(PLACE, sort=False).mean(),
        "seed": by_split.std().groupby(PLACE, sort=False).mean(),
        "epoch": reported.groupby([*PLACE, "recipe"], sort=False).std().groupby(PLACE, sort=False).mean(),
        "recipe": by_recipe.mean().groupby(PLACE, sort=False).std(),
        "scale": of_scale.groupby([*PLACE, "recipe"], sort=False)["srcc"].mean().groupby(PLACE, sort=False).std(),
    }
    rows = main[PLACE].drop_duplicates().set_index(PLACE)
    return rows.assign(**{name: values.reindex(rows.index) for name, values in found.items()}).reset_index()


def variance(results: Results) -> Table | None:
    """The components as SD of SRCC, beside the gain that the paper states. None without intervals, or on drawn
    benchmarks."""
    full = components(results)
    if full.empty:
        return None
    gains = results.paper.gains  # in points
    shown = [
        {
            "Method": results.title("variants", row["variant"]),
            "Protocol": row["protocol"],
            **{name.capitalize(): f"{row[name]:.4f}" if pd.notna(row[name]) else DASH for name in SOURCES},
            "Gain claimed": f"{gain / 100:+.4f}" if (gain := gains.get((row["target"], row["variant"]))) else DASH,
        }
        for row in full.to_dict("records")
    ]
    return Table(
        "variance",
        "What SRCC varies by: its SD over each source of variation, everything else kept.",
        full,
        frame_of(shown, list(shown[0])),
        numeric=(*(name.capitalize() for name in SOURCES), "Gain claimed"),
        stub=2,
        groups=[Cell(f"{results.title('benchmarks', row.benchmark)}, {row.target}") for row in full.itertuples()],
        grouped_by="Benchmark and target",
        notes=[
            *(f"{name.capitalize()}: {meaning}." for name, meaning in SOURCES.items()),
            "A dash: this suite has one value of it. “Gain claimed” is what the paper states over its best rival.",
        ],
    )


def found_in_variance(results: Results) -> list[str]:
    """One sentence on the first model's quality: the SD by source, beside the gain that the paper states."""
    full = components(results)
    full = full[(full["variant"] == MODELS[0]) & (full["target"] == QUALITY)]
    means = full[list(SOURCES)].mean().dropna()
    if means.empty:
        return []
    parts = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
    gain = results.paper.gains.get((QUALITY, MODELS[0]))
    beside = f" The gain that the paper states is {gain / 100:.3f}" if gain else ""
    above = [str(name) for name, value in means.items() if gain and value >= gain / 100]
    ends = f"; {', '.join(above)} alone move SRCC as far." if above else "." if gain else ""
    return [f"What does SRCC of {results.title('variants', MODELS[0])} vary by (SD)? {parts}.{beside}{ends}"]


def variance_bars(results: Results) -> Figure | None:
    """The same as bars, a panel per benchmark and target; of several protocols the mean of what each shows."""
    full = components(results)
    if full.empty:
        return None
    places = list(full.groupby(["benchmark", "target"], sort=False))
    sources = [name for name in SOURCES if full[name].notna().any()]
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(9.4, 2.4 * -(-len(places) // 3)), layout="constrained")
        panels = canvas.subplots(-(-len(places) // 3), 3, squeeze=False)
        for ax in panels.flat[len(places) :]:
            ax.set_visible(False)
        told = []
        for ax, ((benchmark, target), rows) in zip(panels.flat, places, strict=False):
            means = rows.groupby("variant", sort=False)[sources].mean()
            long = means.melt(ignore_index=False, var_name="source", value_name="sd").reset_index()
            long["variant"] = [results.title("variants", name) for name in long["variant"]]
            colours = sns.color_palette("colorblind", long["variant"].nunique())
            sns.barplot(long, y="source", x="sd", hue="variant", palette=colours, saturation=1, ax=ax)
            ax.set(title=f"{results.title('benchmarks', benchmark)}, {target}", xlabel="SD of SRCC", ylabel="")
            ax.legend(frameon=False, fontsize=6.5)
            sns.despine(ax=ax)
            told += [f"{row.variant}, {target}, {row.source}: {row.sd:.4f}" for row in long.dropna().itertuples()]
        caption = "What SRCC varies by: its SD over each source of variation, everything else kept."
        return finish(canvas, "variance", caption, f"Bars of SD by source. {'; '.join(told)}.")
