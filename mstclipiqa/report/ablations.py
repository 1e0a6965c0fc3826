"""The paper's ablations (Tables II, III, VI, VII) and our controls of the model, as tables of runs."""

import pandas as pd

from mstclipiqa.base.names import MODELS
from mstclipiqa.evaluation.averages import AVERAGES, PLACEBOS, seed_partners
from mstclipiqa.report.paper import CONTROLS, PAPER
from mstclipiqa.report.results import METRIC_TITLES, Results
from mstclipiqa.report.results_tables import number, summarise
from mstclipiqa.report.table import DASH, Cell, Table, frame_of

#: What varies in a table whose title in the claims does not say it.
SUBJECTS = {"VII": "streams and prompt"}
#: What varies in our own table.
OURS = "controls and fusions that the paper lacks"

#: What the tables say of their placebo.
PLACEBO = (
    "A placebo is the model itself by every second seed: a difference that is no larger than the placebo’s is none. "
    "The tests hold it against the other seeds."
)


def tables(results: Results) -> dict[str, Table]:
    """A table per ablation of which a variant beside the two models was run, by the name of its files.

    What no table of the paper names stands in our own: the controls, and every fusion that was added.
    """
    ours = dict.fromkeys((*CONTROLS, *results.added, "mst-clipiqa"), "")
    ablations = results.paper.ablations | {"controls": (OURS, ours)}
    made = (_ablation(results, table, SUBJECTS.get(table, title), names) for table, (title, names) in ablations.items())
    return {found.name: found for found in made if found is not None}


def _ablation(results: Results, table: str, subject: str, variants: dict[str, str]) -> Table | None:
    """SRCC and PLCC of a table's variants, by each protocol's main selection.

    It has the benchmarks, targets and recipes that a variant beside the two models was run on, and is None without any.
    """
    metrics = results.metrics[results.metrics["variant"].isin(variants)]
    metrics = metrics[results.is_main(metrics)]
    # The two models of the paper alone are compared by the tables of results.
    further = metrics["variant"].map(lambda name: name not in MODELS)
    compared = further.groupby([metrics[key] for key in ("benchmark", "target", "recipe")]).transform("any")
    if not compared.any():
        return None
    summary = summarise(pd.concat([metrics[compared], *_placebos(metrics[compared])], ignore_index=True))
    variants = {name: printed for own, known in variants.items() for name, printed in _with_placebo(own, known)}
    places = list(summary[["benchmark", "target"]].drop_duplicates().itertuples(index=False, name=None))
    titles = {place: f"{results.title('benchmarks', place[0])}, {place[1]}" for place in places}
    shown, groups = [], []
    for (recipe, protocol), rows in summary.groupby(["recipe", "protocol"], sort=False):
        for variant in (name for name in variants if name in set(rows["variant"])):
            title, printed = results.title("variants", variant), variants[variant]
            model = Cell(title, f"printed as {printed}" if printed not in ("", title) else "")
            cells: dict[tuple[str, str], str | Cell] = {("", "Variant"): model}
            for place in places:
                found = rows[(rows[["variant", "benchmark", "target"]] == [variant, *place]).all(axis=1)]
                found = found.set_index("metric")
                for metric in ("srcc", "plcc"):
                    cells[titles[place], METRIC_TITLES[metric]] = DASH if found.empty else number(found.loc[metric])
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
        if name in set(summary["variant"]) and name not in AVERAGES
    ]
    readings += [PLACEBO for _ in set(PLACEBOS.values()) & set(summary["variant"])][:1]
    missing = [name for name in variants if name not in set(summary["variant"]) and name not in AVERAGES]
    return Table(
        f"ablation_{table.lower()}",
        f"{number_of}: {subject}. Mean ± sample SD over splits and seeds, by each protocol's main selection.",
        summary,
        frame_of(shown, columns),
        numeric=tuple(columns[1:]),
        best=tuple(columns[1:]),
        groups=groups,
        notes=readings + [f"Not run in this suite: {', '.join(missing)}." for _ in missing[:1]],
    )


def _placebos(metrics: pd.DataFrame) -> list[pd.DataFrame]:
    """The runs of each placebo: those of its model by every second seed, where one split has several."""
    several = metrics.groupby(["benchmark", "target", "recipe", "protocol", "variant", "split"])["seed"]
    paired = metrics[several.transform("nunique") > 1]
    seconds = paired["seed"].isin(seed_partners(paired["seed"]))
    return [paired[seconds & (paired["variant"] == variant)].assign(variant=name) for variant, name in PLACEBOS.items()]


def _with_placebo(variant: str, printed: str) -> list[tuple[str, str]]:
    """A variant with its name in the paper, and its placebo, which the paper lacks."""
    return [(variant, printed), *[(PLACEBOS[variant], "") for _ in [variant] if variant in PLACEBOS]]


def _printed(results: Results, table: str, method: str, titles: dict[tuple[str, str], str]) -> dict:
    """The paper's row of a method, in the columns of benchmarks that are not synthetic."""
    printed = results.paper.printed
    printed = printed[(printed["table"] == table) & (printed["method"] == method)]
    cells = {
        (title, METRIC_TITLES[row.metric]): f"{row.value:.4f}"
        for (benchmark, target), title in titles.items()
        if benchmark not in results.synthetic
        for row in printed[(printed["benchmark"] == benchmark) & (printed["target"] == target)].itertuples()
    }
    return {("", "Variant"): method, **cells} if cells else {}
