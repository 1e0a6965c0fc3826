"""Heat maps: SRCC by generator, on unseen generators, and between benchmarks."""

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Canvas

from mstclipiqa.base.layout import TRANSFER
from mstclipiqa.base.names import ENTERED
from mstclipiqa.model.variants import get_variant
from mstclipiqa.report.canvas import STYLE, Figure, finish
from mstclipiqa.report.results import Results
from mstclipiqa.report.rivals import RIVAL
from mstclipiqa.report.unseen_generators import unseen_generators

#: Of SRCC light to dark; of a gain or a loss from blue over white to red.
SCALE, DIVERGING = "YlGnBu", "vlag_r"

#: Cells that a figure has at most. Nobody reads more, which are in the tables, and matplotlib takes some 4 MB for each.
MOST_CELLS = 800


def transfer_map(results: Results) -> Figure | None:
    """SRCC of a model trained on one benchmark (rows) and tested on another (columns), a panel per model."""
    found = results.of_suite(TRANSFER)
    if found is None:
        return None
    table, metadata = found
    names = {name: results.title("benchmarks", name) for name in table["train_benchmark"].unique()}
    panels = {}
    for (variant, recipe), rows in table.groupby(["variant", "recipe"], sort=False):
        matrix = rows.pivot(index="train_benchmark", columns="test_benchmark", values="srcc")
        matrix = matrix.reindex(index=names, columns=names).rename(index=names, columns=names)
        title = f"{get_variant(variant).title}, {results.title('recipes', recipe)}" if recipe else RIVAL
        panels[title] = matrix
    caption = (
        f"SRCC ({metadata['target']}) of a model that was trained on one benchmark (row) and tested on another "
        "(column). The diagonal is its own benchmark."
    )
    return _draw("transfer_map", caption, panels, SCALE)


def generator_map(results: Results) -> Figure | None:
    """SRCC within each generator, a panel per benchmark and target, a row per model and protocol.

    Of the last recipe of the main grid and of entered scores, by each protocol's main selection.
    """
    table = results.statistics.get("generators")
    if table is None:
        return None
    rows = table[results.is_main(table) & (table["level"] == "generator") & table["variant"].isin(results.models)]
    rows = rows[rows["recipe"].isin([results.manifest["config"]["recipes"][-1], ENTERED])].dropna(subset=["srcc"])
    panels = {}
    for (benchmark, target), of_place in rows.groupby(["benchmark", "target"], sort=False):
        named = of_place.assign(
            row=[f"{results.title('variants', row.variant)}, {row.protocol}" for row in of_place.itertuples()]
        )
        matrix = named.pivot(index="row", columns="name", values="srcc")
        panels[f"{results.title('benchmarks', benchmark)}, {target}"] = matrix.reindex(index=named["row"].unique())
    caption = (
        "SRCC within the test images of one generator. Within a generator opinion scores vary less than over all "
        "images, so that SRCC is lower there."
    )
    return _draw("generator_map", caption, panels, SCALE)


def unseen_map(results: Results) -> Figure | None:
    """What SRCC loses on generators that training did not see, a panel per pair of protocols."""
    table = unseen_generators(results)
    if table is None:
        return None
    rows = table.full
    named = rows.assign(
        row=[
            f"{results.title('variants', row.variant)}, {results.title('recipes', row.recipe)}"
            if row.recipe
            else row.variant
            for row in rows.itertuples()
        ],
        column=[f"{results.title('benchmarks', row.benchmark)}, {row.target}" for row in rows.itertuples()],
    )
    panels = {
        protocol: of_protocol.pivot(index="row", columns="column", values="difference")
        for protocol, of_protocol in named.groupby("protocol", sort=False)
    }
    caption = (
        "SRCC on generators that training did not see, less that on the same images where it did. Red: an unseen "
        "generator is ranked worse."
    )
    return _draw("unseen_map", caption, panels, DIVERGING)


def _draw(name: str, caption: str, panels: dict[str, pd.DataFrame], colours: str) -> Figure | None:
    """A figure with a heat map per panel, one below the other; None without a panel, and for more than MOST_CELLS."""
    if not panels or sum(matrix.size for matrix in panels.values()) > MOST_CELLS:
        return None
    columns = max(matrix.shape[1] for matrix in panels.values())
    heights = [matrix.shape[0] + 1.4 for matrix in panels.values()]
    values = pd.concat([pd.Series(matrix.to_numpy().ravel()) for matrix in panels.values()])
    bounds = {"vmin": values.min(), "vmax": values.max()}
    if colours == DIVERGING:
        reach = values.abs().max()
        bounds = {"vmin": -reach, "vmax": reach}
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(min(9.4, 3.2 + 0.85 * columns), 0.3 + 0.24 * sum(heights)), layout="constrained")
        axes = canvas.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, (title, matrix) in zip(axes, panels.items(), strict=True):
            sns.heatmap(
                matrix, annot=True, fmt="+.2f" if colours == DIVERGING else ".2f", cmap=colours, cbar=False, ax=ax,
                linewidths=0.5, linecolor="none", annot_kws={"fontsize": 7}, **bounds,
            )  # fmt: skip
            ax.set_title(title, loc="left")
            ax.set(xlabel="", ylabel="")
            ax.tick_params(length=0, rotation=0)
        told = "; ".join(
            f"{title}: {row}, {column} {value:.3f}"
            for title, matrix in panels.items()
            for (row, column), value in matrix.stack().items()
        )
        return finish(canvas, name, caption, f"Heat map. {told}.")
