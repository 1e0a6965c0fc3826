import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
from config_files import CLAIMS, PAPER_TABLES
from results_beside import write_statistics
from results_folder import add_claims
from scipy.stats import spearmanr

from mstclipiqa.base.names import MODELS
from mstclipiqa.report import views
from mstclipiqa.report.claims import claim_tables
from mstclipiqa.report.intervals import intervals
from mstclipiqa.report.results import METRIC_TITLES
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.results_tables import all_metrics
from mstclipiqa.report.views import LIBRARY, SCRIPTS, library, make_views


def table_of(packed: dict) -> pd.DataFrame:
    """The table that a view has packed."""
    return pd.DataFrame(
        {
            name: [held["levels"][code] for code in held["codes"]] if isinstance(held, dict) else held
            for name, held in packed.items()
        }
    )


@pytest.fixture
def results(make_results):
    root = make_results(present={"agiqa-3k": 60, "agiqa-1k": 60}, synthetic=("agiqa-1k",))
    add_claims(root)
    write_statistics(root)
    return read_results(root, PAPER_TABLES, CLAIMS)


def test_runs_have_the_numbers_of_the_tables(results):
    runs = table_of(make_views(results).content["runs"]["data"]["runs"])
    assert len(runs) == len(results.metrics) and list(runs["row"]) == list(range(len(runs)))
    long = runs.melt(["place", "condition", "variant", "recipe"], list(METRIC_TITLES), "metric")
    means = long.groupby(["place", "condition", "variant", "recipe", "metric"])["value"].mean()
    # The same means as in the table of all metrics, in another order.
    assert np.allclose(sorted(means), sorted(all_metrics(results).full["mean"]), atol=1e-9)
    # Real benchmarks come first, and drawn ones say so.
    assert runs["place"].iloc[0] == "AGIQA-3K, quality" and runs["place"].iloc[-1].startswith("AGIQA-1K (drawn), ")


def test_means_have_the_intervals_of_the_table(results):
    real, _ = results.parted()
    means = table_of(make_views(results).content["runs"]["data"]["means"])
    full = intervals(real).full
    shown = means[means["place"].str.startswith("AGIQA-3K,")]
    assert len(shown) == len(full)
    for column in ("srcc", "srcc_low", "srcc_high", "plcc_low"):
        expected = full[column].to_numpy()
        assert np.allclose(shown[column].to_numpy(float), expected, atol=1e-9, equal_nan=True)


def test_claims_have_the_numbers_of_the_tables(results):
    claims = table_of(make_views(results).content["claims"]["data"]["claims"]).set_index("id")
    full = claim_tables(results)["all_claims"].full
    full = full[full["counts"] & full["measured"].notna()].set_index("id")
    assert len(full) > 100 and set(claims.index) == set(full.index)
    full = full.loc[claims.index]
    assert np.allclose(claims["measured"], full["measured"], atol=1e-9)
    assert np.allclose(claims["claimed"].astype(float), full["claimed"].astype(float), atol=1e-9, equal_nan=True)
    assert list(claims["verdict"]) == list(full["verdict"])
    # Two claims of one group never share a row of the drawing.
    assert not claims.duplicated(["group", "claim", "source", "statement"]).any()


def test_predictions_give_the_srcc_of_their_run(results):
    content = make_views(results).content
    runs, data = table_of(content["runs"]["data"]["runs"]), content["predictions"]["data"]
    main = results.is_main(results.metrics).sum()
    assert len(data["runs"]) == main
    first = {f"{run['test']}/{run['target']}": run for run in reversed(data["runs"])}
    assert first.keys() == data["mos"].keys()  # the folder of the tests has MOS of its own for every runs file
    for key, run in first.items():
        of_run, mos = runs.iloc[run["row"]], data["mos"][key]
        names = [data["images"][run["benchmark"]]["names"][image] for image in data["tests"][run["test"]]]
        assert len(set(names)) == len(mos) == len(run["predictions"]) == of_run["n"]
        assert spearmanr(run["predictions"], mos)[0] == pytest.approx(of_run["srcc"], abs=1e-4)
        assert run["name"].endswith(f"split {of_run['split']}, seed {of_run['seed']}")
    for benchmark, images in data["images"].items():  # those that are tested, and no others
        tested = {number for test, rows in data["tests"].items() if test.startswith(f"{benchmark}/") for number in rows}
        assert sorted(tested) == list(range(len(images["names"]))) and len(images["generator"]) == len(tested)


def test_of_too_many_predictions_those_of_the_models_come_first(results, monkeypatch):
    monkeypatch.setattr(views, "MOST_PREDICTIONS", 30)
    made = make_views(results)
    assert 0 < made.predictions <= 30 < made.all_predictions
    held = [run["row"] for run in made.content["predictions"]["data"]["runs"]]
    runs = table_of(made.content["runs"]["data"]["runs"])
    assert made.files == set(runs["file"].iloc[held])


def test_of_too_many_runs_the_main_selections_are_kept(results, monkeypatch):
    main = results.metrics[results.is_main(results.metrics)]
    assert len(main) < len(results.metrics)
    monkeypatch.setattr(views, "MOST_RUNS", len(main))
    data = make_views(results).content["runs"]["data"]
    assert len(table_of(data["runs"])) == len(main)
    monkeypatch.setattr(views, "MOST_RUNS", 1)
    few = make_views(results).content["runs"]["data"]
    assert set(table_of(few["runs"])["variant"]) == {results.title("variants", name) for name in MODELS}
    assert 1 < len(table_of(few["runs"])) <= main["variant"].isin(MODELS).sum()
    assert len(table_of(few["means"])) <= len(table_of(data["means"]))


def test_what_is_packed_is_json(results):
    assert "NaN" not in json.dumps(make_views(results).content)


def test_suites_without_runs_or_claims_have_no_such_view(make_results):
    content = make_views(read_results(make_results(present={}))).content
    assert content["runs"] is None and content["claims"] is None
    assert content["predictions"]["data"]["runs"] == []


def test_the_library_is_that_of_its_card_and_has_its_licence():
    card = (LIBRARY / "README.md").read_text()
    for name in SCRIPTS:
        told = re.search(rf"`{re.escape(name)}` \|.*\| (\w{{64}}) \|", card)[1]
        assert hashlib.sha256((LIBRARY / name).read_bytes()).hexdigest() == told
    code = library()
    assert code.startswith("/* Vega") and "Redistribution and use" in code and "</script" not in code
