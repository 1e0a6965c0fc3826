"""The interactive views of the page: claims, every run, and the predictions of a run. The page holds their data, and
Vega-Lite draws them from the specifications in templates/views."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import GROUP, MODELS, SELECTIONS
from mstclipiqa.report.claims import number, read_claims
from mstclipiqa.report.headline import source_of
from mstclipiqa.report.overview_figures import name_claim
from mstclipiqa.report.results import METRIC_TITLES, Results, ordered
from mstclipiqa.report.results_tables import printed_numbers

FOLDER = Path(__file__).parent
SPECIFICATIONS = FOLDER / "templates" / "views"
LIBRARY = FOLDER / "vega"
#: In the order that they are loaded in.
SCRIPTS = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")

#: How many predictions the page holds at most, of some ten bytes each, and how many rows of runs, of some hundred.
MOST_PREDICTIONS = 40_000
MOST_RUNS = 4_000

#: The group that the view of claims begins with, where a suite has it.
FIRST_GROUP = "Headline gains"


@dataclass(frozen=True)
class Views:
    """What the page's script is given: the specifications and data by view, and the runs files that it can show."""

    content: dict
    files: frozenset[str]
    predictions: int
    all_predictions: int


def make_views(results: Results) -> Views:
    """The views of a suite. Where it has more predictions than the page may hold, later runs are left out."""
    runs = _runs(results)
    shown, together = _predictions(results, runs)
    content = {"runs": _view_of_runs(results, runs), "predictions": shown, "claims": _view_of_claims(results)}
    chosen = [run["row"] for run in shown["data"]["runs"]]
    held = sum(len(run["predictions"]) for run in shown["data"]["runs"])
    return Views(content, frozenset(runs["file"].iloc[chosen]), held, together)


def library() -> str:
    """The code of Vega, with its licence."""
    code = "\n".join((LIBRARY / name).read_text(encoding="utf-8") for name in SCRIPTS)
    licence = (LIBRARY / "LICENSE").read_text(encoding="utf-8")
    return f"/* Vega, Vega-Lite, Vega-Embed\n{licence}*/\n" + "\n".join(
        line for line in code.splitlines() if not line.startswith("//# sourceMappingURL")
    )


def _specification(name: str, **choices: list[str]) -> dict:
    """The specification of a view, with the options of each choice; the first option is chosen."""
    specification = json.loads((SPECIFICATIONS / f"{name}.json").read_text(encoding="utf-8"))
    for parameter in specification.get("params", []):
        options = choices[parameter["name"]]
        parameter["bind"]["options"] = options
        parameter["value"] = options[0] if options else ""
    return specification


def _packed(frame: pd.DataFrame) -> dict[str, list | dict]:
    """A table as JSON, a list of values by column, without NaN; of words each once, as `levels`, with their `codes`."""
    packed: dict[str, list | dict] = {}
    for name, column in frame.items():
        if pd.api.types.is_numeric_dtype(column):
            packed[str(name)] = json.loads(column.to_json(orient="values", double_precision=10))
        else:
            codes, levels = pd.factorize(column)
            packed[str(name)] = {"codes": codes.tolist(), "levels": levels.tolist()}
    return packed


# Claims


def _view_of_claims(results: Results) -> dict | None:
    """Every claim that counts and for which a number was found; None without any."""
    document = read_claims(results)
    if document is None:
        return None
    rows = document["claims"]
    rows = rows[rows["counts"] & rows["measured"].notna()]
    if rows.empty:
        return None
    margins = {"points": document["margins"]["gain"], "parameters": document["margins"]["parameters"]}
    shown = pd.DataFrame([_claim(results, row, margins, document["margins"]) for row in rows.to_dict("records")])
    groups = sorted(shown["group"].unique(), key=lambda group: not group.startswith(FIRST_GROUP))
    return {"spec": _specification("claims", group=groups), "data": {"claims": _packed(shown)}}


def _claim(results: Results, row: dict, margins: dict, all_margins: dict) -> dict:
    margin = margins.get(row["unit"], all_margins.get(row["metric"], 0))
    claimed = None if pd.isna(row["claimed"]) else row["claimed"]
    return {
        "id": row["id"],
        "group": f"{row['group']} ({row['unit']})",
        "claim": name_claim(results, row | {"claim": row["id"].removesuffix("/printed")}),
        "statement": row["statement"],
        "claimed": claimed,
        "margin_low": None if claimed is None else claimed - margin,
        "margin_high": None if claimed is None else claimed + margin,
        # An ordering claims a margin above 0.
        "bound": 0 if row["unit"] == "margin" else None,
        "measured": row["measured"],
        "low": row["low"],
        "high": row["high"],
        "claimed_text": number(row, "claimed"),
        "measured_text": number(row, "measured")
        + ("" if pd.isna(row["low"]) else f" [{number(row, 'low')}, {number(row, 'high')}]"),
        "source": source_of(row["kind"], row["files"]),
        "verdict": row["verdict"],
        "reason": row["reason"],
    }


# Runs


def _runs(results: Results) -> pd.DataFrame:
    """Every run and selection, real benchmarks first. Of more than MOST_RUNS there are the main selections alone; of
    more of these the paper's two models, then the first protocol and the first by prompt."""
    rows, protocols = results.metrics, ordered(results.manifest, "protocols")
    by_prompt = [name for name in protocols if name.startswith("grouped")]
    for keep in (
        results.is_main,
        lambda found: found["variant"].isin(MODELS),
        lambda found: found["protocol"].isin([*protocols[:1], *by_prompt[:1]]),
    ):
        if len(rows) > MOST_RUNS:
            rows = rows[keep(rows)]
    if results.benchmarks and len(results.synthetic) < len(results.cards):
        drawn = rows["benchmark"].isin(results.synthetic)
        rows = pd.concat([rows[~drawn], rows[drawn]])
    return rows.reset_index(drop=True)


def _place(results: Results, row: dict) -> str:
    drawn = " (drawn)" if row["benchmark"] in results.synthetic else ""
    return f"{results.title('benchmarks', row['benchmark'])}{drawn}, {row['target']}"


def _condition(row: dict) -> str:
    return f"{row['protocol']}, {SELECTIONS[row['selection']]}"


def _titled(results: Results, frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that tell the runs apart in the view."""
    records = frame.to_dict("records")
    return pd.DataFrame(
        {
            "place": [_place(results, row) for row in records],
            "condition": [_condition(row) for row in records],
            "variant": [results.title("variants", row["variant"]) for row in records],
            "recipe": [results.title("recipes", row["recipe"]) for row in records],
        }
    )


def _view_of_runs(results: Results, runs: pd.DataFrame) -> dict | None:
    """Every run as a dot, with the mean and the interval of each group of runs; None without runs."""
    if runs.empty:
        return None
    columns = ["split", "seed", "epoch", "n", "file"]
    shown = pd.concat([_titled(results, runs), runs[[*columns, *METRIC_TITLES]]], axis=1)
    main = results.is_main(runs)
    conditions = list(dict.fromkeys([*shown["condition"][main], *shown["condition"]]))
    data = {"runs": _packed(shown.assign(row=range(len(shown))))}
    data["means"] = _means(results, runs)
    data["printed"] = _packed(_printed(results, runs))
    specification = _specification(
        "runs", place=list(shown["place"].unique()), condition=conditions, metric=list(METRIC_TITLES)
    )
    specification["params"][2]["bind"]["labels"] = list(METRIC_TITLES.values())
    order = [results.title("variants", name) for name in results.among("variant", runs)]
    specification["encoding"]["y"]["sort"] = order
    recipes = [results.title("recipes", name) for name in results.among("recipe", runs)]
    specification["encoding"]["yOffset"]["sort"] = recipes
    specification["encoding"]["color"]["scale"] = {"domain": recipes, "range": _colours(len(recipes))}
    return {"spec": specification, "data": data}


def _colours(count: int) -> list[str]:
    """Colours without the vermilion of printed numbers."""
    return [("#1f8acb", "#009e73", "#cc79a7", "#8b6fc0", "#9a7d0a")[k % 5] for k in range(count)]


def _means(results: Results, runs: pd.DataFrame) -> dict:
    """The means over the runs with their intervals; averages of variants, which no run is of, are left out."""
    intervals = results.statistics.get("intervals")
    if intervals is None or intervals.empty:
        return {}
    intervals = intervals.merge(runs[GROUP].drop_duplicates())
    numbers = [f"{metric}{end}" for metric in ("srcc", "plcc") for end in ("", "_low", "_high")]
    return _packed(pd.concat([_titled(results, intervals), intervals[["runs", *numbers]]], axis=1))


def _printed(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """The paper's printed numbers, where they may stand beside what is measured."""
    found: dict[tuple[str, str], dict] = {}
    for target in () if results.untrained else runs["target"].unique():
        for (method, benchmark, metric), value in printed_numbers(results, target).items():
            if benchmark in results.cards:
                place = _place(results, {"benchmark": benchmark, "target": target})
                found.setdefault((place, method), {"place": place, "variant": method})[metric] = value
    return pd.DataFrame(found.values())


# Predictions


def _predictions(results: Results, runs: pd.DataFrame) -> tuple[dict, int]:
    """The predictions of the runs by their main selection, and how many these have together.

    First come the paper's two models, then the other variants, each in the order of `runs`, until the page holds
    MOST_PREDICTIONS.
    """
    main = runs[results.is_main(runs)]
    models = main["variant"].isin(MODELS)
    ranked = pd.concat([main[models], main[~models]])
    ranked = ranked[ranked["n"].cumsum() <= MOST_PREDICTIONS]
    predictions = {row: run[["image", "prediction", "mos"]] for row, run in results.each_run(ranked)}
    samples = {}
    for name, held in ranked.groupby("benchmark", sort=False):
        table, _ = SAMPLES.read(SAMPLES.at(results.root, benchmark=name))
        samples[name] = table[table["image"].isin({image for row in held.index for image in predictions[row]["image"]})]
    chosen: list[dict] = []
    tests: dict[str, list[int]] = {}
    mos: dict[str, list[float]] = {}
    for row, run in ranked.sort_index().iterrows():
        rows = predictions[row].sort_values("image")
        test = f"{run['benchmark']}/{run['protocol']}/{run['split']}"
        names = pd.Index(samples[run["benchmark"]]["image"])
        tests.setdefault(test, [int(k) for k in names.get_indexer(rows["image"])])
        mos.setdefault(f"{test}/{run['target']}", [float(value) for value in rows["mos"]])
        described = {key: run[key] for key in ("benchmark", "target")}
        described |= {"row": int(row), "test": test, "name": _named(results, run), "file": Path(run["file"]).stem}
        described["group"] = f"{_place(results, run.to_dict())}: {results.title('variants', run['variant'])}"
        chosen.append(described | {"predictions": [round(float(value), 5) for value in rows["prediction"]]})
    images = {name: _images(table) for name, table in samples.items()}
    data = {"runs": chosen, "tests": tests, "mos": mos, "images": images}
    return {"spec": _specification("predictions"), "data": data}, int(main["n"].sum())


def _images(samples: pd.DataFrame) -> dict:
    """Names and generators of the images that runs test, a list each; generators by their place among `generators`."""
    codes, generators = pd.factorize(samples["generator"], sort=True)
    return {
        "names": list(samples["image"]),
        "generators": list(generators),
        "generator": [int(code) for code in codes],
    }


def _named(results: Results, run: pd.Series) -> str:
    return ", ".join(
        [results.title("recipes", run["recipe"]), run["protocol"], f"split {run['split']}", f"seed {run['seed']}"]
    )
