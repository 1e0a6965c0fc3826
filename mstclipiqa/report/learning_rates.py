"""Is the recipe enough? SRCC by learning rate and epoch, beside ridge on the same features."""

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mstclipiqa.base.layout import CURVES
from mstclipiqa.model.variants import get_variant
from mstclipiqa.report.canvas import DOTTED, INK, STYLE, Figure, finish
from mstclipiqa.report.paper import PAPER
from mstclipiqa.report.results import Results, cautions
from mstclipiqa.report.results_tables import printed_numbers
from mstclipiqa.report.rivals import RIVAL
from mstclipiqa.report.table import DASH, Cell, Table, frame_of


def learning_rates(results: Results) -> Table | None:
    """SRCC after the last epoch of each recipe at each learning rate, beside ridge on the same features."""
    found = results.of_suite(CURVES)
    if found is None:
        return None
    curves, metadata = found
    full = (
        curves.sort_values("epoch", kind="stable")
        .groupby(["recipe", "variant", "learning_rate", "role"], sort=False)
        .last()
        .unstack("role")
        .pipe(lambda wide: wide["srcc"].assign(epochs=wide["epoch", "test"]))
        .reset_index()
        .rename(columns={"train": "srcc_train", "test": "srcc_test"})
    )
    full["ridge_test"] = full["recipe"].map(lambda name: metadata["ridge"][name]["test"])
    shown, groups = [], []
    for recipe in results.among("recipe", full):
        group = Cell(results.title("recipes", recipe))
        for row in full[full["recipe"] == recipe].sort_values("learning_rate").to_dict("records"):
            own = row["learning_rate"] == metadata["learning_rates"][recipe]
            rate = Cell(f"{row['learning_rate']:g}", "the recipe's own" if own else "")
            cells: dict[str, str | Cell] = {"Learning rate": rate, "Epochs": str(int(row["epochs"]))}
            cells |= {f"SRCC, {role}": f"{row[f'srcc_{role}']:.4f}" for role in ("train", "test")}
            shown.append(cells | {"Test less ridge": f"{row['srcc_test'] - row['ridge_test']:+.4f}"})
            groups.append(group)
        ridge = metadata["ridge"][recipe]
        scores = {f"SRCC, {role}": f"{ridge[role]:.4f}" for role in ("train", "test")}
        shown.append({"Learning rate": RIVAL, "Epochs": DASH, **scores, "Test less ridge": DASH})
        groups.append(group)
    columns = list(shown[0])
    benchmark, train_images = metadata["benchmark"], metadata["train_images"]
    title = results.title("benchmarks", benchmark)
    printed = {} if results.untrained else printed_numbers(results, metadata["target"])
    model = get_variant(curves["variant"].iloc[0]).title
    in_paper = printed.get((model, benchmark, "srcc"))
    return Table(
        "learning_rates",
        f"SRCC of {model} after the last epoch by learning rate: {metadata['target']} of {title}, protocol "
        f"{metadata['protocol']}, split {metadata['split']}, seed {metadata['seed']}.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Recipe",
        notes=[
            f"Train is read on {train_images} training images, test on {metadata['test_images']}. Ridge is fitted to "
            "the images the head is trained on.",
            *(
                f"{results.title('recipes', entry['recipe'])} at {entry['learning_rate']:g} stopped early: "
                f"{entry['reason']}"
                for entry in metadata["stopped"]
            ),
            *([f"{PAPER} prints {in_paper:.4f} for this benchmark, on another split."] if in_paper else []),
            *cautions(results, {benchmark: title}),
        ],
    )


def learning_curves(results: Results) -> Figure | None:
    """SRCC by epoch at each learning rate, a panel per recipe, with ridge on the same features; None without curves."""
    found = results.of_suite(CURVES)
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
