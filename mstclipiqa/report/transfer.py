"""Transfer: SRCC of models that were trained on one benchmark and tested on another."""

from mstclipiqa.base.layout import TRANSFER
from mstclipiqa.model.variants import get_variant
from mstclipiqa.report.results import Results, cautions
from mstclipiqa.report.rivals import RIVAL
from mstclipiqa.report.table import Cell, Table, frame_of


def transfer(results: Results) -> Table | None:
    """SRCC of models trained on one benchmark (rows) and tested on another (columns)."""
    found = results.of_suite(TRANSFER)
    if found is None:
        return None
    full, metadata = found
    titles = {name: results.title("benchmarks", name) for name in full["train_benchmark"].unique()}
    shown, groups = [], []
    for (variant, recipe, trained), rows in full.groupby(["variant", "recipe", "train_benchmark"], sort=False):
        cells: dict[tuple[str, str], str | Cell] = {("", "Trained on"): titles[trained]}
        for row in rows.to_dict("records"):
            own = row["test_benchmark"] == trained
            cells["Tested on", titles[row["test_benchmark"]]] = Cell(f"{row['srcc']:.4f}", "own" if own else "")
        shown.append(cells)
        named = f"{get_variant(variant).title}, {results.title('recipes', recipe)}" if recipe else RIVAL
        groups.append(Cell(named[0].upper() + named[1:]))
    columns = [("", "Trained on"), *(("Tested on", title) for title in titles.values())]
    protocols = ", ".join(dict.fromkeys(metadata["protocols"].values()))
    return Table(
        "transfer",
        f"SRCC ({metadata['target']}) across benchmarks: trained on the training images of one, tested on all images "
        "of another, and on the test images of its own.",
        full,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        grouped_by="Model",
        notes=[
            f"Trained on the first split of {protocols}, seed {metadata['seed']}, and taken after the last epoch. "
            "PLCC and the number of images are in the CSV.",
            *cautions(results, titles),
        ],
    )
