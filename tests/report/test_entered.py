"""Entered methods in the report of a real benchmark: in tables, figures and views, and never taken for a model."""

from dataclasses import replace

import pandas as pd
import pytest

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.base.names import ENTERED, MODELS
from mstclipiqa.report.headline import answers
from mstclipiqa.report.page import make_tables
from mstclipiqa.report.results import ENTERED_TITLE, Results
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.results_tables import printed_numbers
from mstclipiqa.report.run_figures import spread
from mstclipiqa.report.saturation import crowded
from mstclipiqa.report.views import make_views

FILE = f"agiqa-3k/runs/quality/{ENTERED}/other.parquet"


def enter(read: Results, method: str) -> Results:
    """The results with the scores of another method, which are those of the first model under its first recipe."""
    rows = read.metrics[(read.metrics["target"] == "quality") & (read.metrics["variant"] == MODELS[0])]
    rows = rows[read.is_main(rows) & (rows["recipe"] == rows["recipe"].iloc[0])]
    table, metadata = read_table(read.root / rows["file"].iloc[0])
    (read.root / FILE).parent.mkdir()
    write_table(read.root / FILE, table, metadata | {"recipe": ENTERED, "variant": "other"})
    card = {"name": "other", "method": method, "benchmark": "agiqa-3k", "target": "quality", "paper": "a paper"}
    card |= dict.fromkeys(("code", "licence", "training_data", "saw_test_images"), "not stated")
    described = {"title": method, "description": "entered scores"}
    manifest = read.manifest | {"variants": read.manifest["variants"] | {"other": described}}
    own = rows.assign(recipe=ENTERED, variant="other", file=FILE)
    said = metadata | {"recipe": ENTERED, "variant": "other", "doubts": ["a doubt"]}
    return replace(
        read,
        manifest=manifest | {"entries": {FILE: {"card": card}}},
        metrics=pd.concat([read.metrics, own], ignore_index=True),
        runs=read.runs | {FILE: said},
    )


@pytest.fixture
def results(make_results) -> Results:
    return enter(read_results(make_results()), "Other method")


def test_every_table_is_made_and_names_the_method(results):
    tables = make_tables(results)
    assert tables["entered_methods"].full["doubts"].tolist() == ["a doubt"]
    assert "Other method" in set(tables["quality"].shown["", "Method"])


def test_entered_scores_stand_after_the_recipes(results):
    assert results.among("recipe", results.metrics)[-1] == ENTERED


def test_no_level_is_looked_for_in_a_scale_of_their_own(results):
    assert ENTERED not in set(crowded(results)["recipe"])


def test_figures_and_views_show_them(results):
    assert ENTERED_TITLE in spread(results, "quality").svg
    view = make_views(results).content["runs"]
    assert view["spec"]["encoding"]["color"]["scale"]["domain"][-1] == ENTERED_TITLE
    assert ENTERED_TITLE in view["data"]["runs"]["recipe"]["levels"]


def test_the_page_counts_them_apart(results):
    assert "4 of entered scores" in dict(answers(results))["Data"]


def test_a_printed_number_is_of_no_entered_method(read_judged):
    read = read_judged()
    printed = printed_numbers(read, "quality")
    assert printed_numbers(enter(read, "LIQE"), "quality") == printed
