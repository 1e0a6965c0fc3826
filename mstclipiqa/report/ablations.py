"""The paper's ablations (Tables II, III, VI, VII) and our controls of the model, as tables of runs."""

from mstclipiqa.base.names import MODELS
from mstclipiqa.report.results import METRICS, PAPER, Results
from mstclipiqa.report.results_tables import number, summarise
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: By table: what varies, and its variants in the paper's order with the paper's name for each.
ABLATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "II": (
        "fusion",
        {
            "linear-interpolation": "Linear Interpolation",
            "adaptive-avg-pool": "AdaptiveAvgPool",
            "adaptive-max-pool": "AdaptiveMaxPool",
            "cross-attention": "Cross Attention",
            "mst-clipiqa": "GFF",
        },
    ),
    "III": ("text towers", {"mstfe-1": "MSTFE-1", "mst-clipiqa": "MSTFE-2"}),
    "VI": (
        "encoders",
        {"fine-only": "ViT-B/16", "coarse-only": "ViT-B/32", "mst-clipiqa": "ViT-B/32 + ViT-B/16"},
    ),
    "VII": (
        "streams and prompt",
        {
            "coarse-only": "single stream, no prompt",
            "mst-clipiqa": "MSTFE",
            "coarse-only-star": "cross-attention",
            "mst-clipiqa-star": "MSTFE + cross-attention",
        },
    ),
    "controls": (
        "controls of the model that the paper lacks",
        dict.fromkeys(("fixed-gate", "mlp", "twin", "mst-clipiqa"), ""),
    ),
}


def tables(results: Results) -> dict[str, Table]:
    """By the name of its files, a table per ablation that a variant beside the two models ran for."""
    made = {table: _ablation(results, table) for table in ABLATIONS}
    return {f"ablation_{table.lower()}": found for table, found in made.items() if found is not None}


def _ablation(results: Results, table: str) -> Table | None:
    """SRCC and PLCC of a table's variants where one beside the two models ran, by each protocol's main selection."""
    subject, variants = ABLATIONS[table]
    metrics = results.metrics[results.metrics["variant"].isin(variants)]
    metrics = metrics[results.is_main(metrics)]
    # The two models of the paper alone are compared by the tables of results.
    further = metrics["variant"].map(lambda name: name not in MODELS)
    compared = further.groupby([metrics[key] for key in ("benchmark", "target", "recipe")]).transform("any")
    summary = summarise(metrics[compared])
    if summary.empty:
        return None
    places = list(summary[["benchmark", "target"]].drop_duplicates().itertuples(index=False, name=None))
    titles = {place: f"{results.title('benchmarks', place[0])}, {place[1]}" for place in places}
    shown, groups = [], []
    for (recipe, protocol), rows in summary.groupby(["recipe", "protocol"], sort=False):
        for variant in (name for name in variants if name in set(rows["variant"])):
            cells = {("", "Variant"): Cell(results.title("variants", variant), variants[variant])}
            for place in places:
                found = rows[(rows[["variant", "benchmark", "target"]] == [variant, *place]).all(axis=1)]
                found = found.set_index("metric")
                for metric in ("srcc", "plcc"):
                    cells[titles[place], METRICS[metric]] = DASH if found.empty else number(found.loc[metric])
            shown.append(cells)
            groups.append(Cell(f"{protocol}, recipe {results.title('recipes', recipe)}"))
    for name in (name for name in variants.values() if name):
        cells = _printed(results, table, name, titles)
        if cells:
            shown.append(cells)
            groups.append(Cell(f"Printed in {PAPER}, Table {table}", "a 4:1 split, epoch not stated"))
    columns = [("", "Variant"), *((title, metric) for title in titles.values() for metric in ("SRCC", "PLCC"))]
    number_of = f"Table {table}" if table != "controls" else "Controls"
    readings = [
        f"{results.title('variants', name)}: {results.manifest['variants'][name]['description']}."
        for name in variants
        if name in set(summary["variant"])
    ]
    missing = [name for name in variants if name not in set(summary["variant"])]
    return Table(
        f"ablation_{table.lower()}",
        f"{number_of}: {subject}. Mean ± sample SD over splits and seeds, by each protocol's main selection.",
        summary,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        groups=groups,
        notes=readings + [f"Not run in this suite: {', '.join(missing)}." for _ in missing[:1]],
    )


def _printed(results: Results, table: str, method: str, titles: dict[tuple[str, str], str]) -> dict:
    """The paper's row of a method, in the columns of benchmarks that are the real ones."""
    printed = results.printed
    printed = printed[(printed["table"] == table) & (printed["method"] == method)]
    cells = {
        (title, METRICS[row.metric]): f"{row.value:.4f}"
        for (benchmark, target), title in titles.items()
        if benchmark not in results.synthetic
        for row in printed[(printed["benchmark"] == benchmark) & (printed["target"] == target)].itertuples()
    }
    return {("", "Variant"): method, **cells} if cells else {}
