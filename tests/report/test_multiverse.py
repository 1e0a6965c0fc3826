"""Specification curves, against the gains written out run by run."""

from dataclasses import replace

import pandas as pd
import pytest
from scipy import stats

from mstclipiqa import report
from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.report.multiverse import (
    METRICS,
    PAIR,
    found_in_specifications,
    multiverse,
    specification_curves,
    specifications,
)
from mstclipiqa.report.results_folder import read_results

VARIANTS = ("mst-clipiqa", "mst-clipiqa-star", "coarse-only", "fixed-gate")


@pytest.fixture
def results(make_results):
    return read_results(make_results(variants=VARIANTS))


def test_a_specification_is_one_choice_of_everything(results):
    table = specifications(results)
    keys = [*PAIR, "recipe", "protocol", "split", "seed", "selection", "metric"]
    assert not table.duplicated(keys).any() and set(table["metric"]) == set(METRICS)
    metrics = results.metrics.set_index(["target", "recipe", "protocol", "split", "seed", "selection", "variant"])
    for row in table.sample(50, random_state=0).itertuples():
        place = (row.target, row.recipe, row.protocol, row.split, row.seed, row.selection)
        expected = metrics.loc[(*place, row.variant), row.metric] - metrics.loc[(*place, row.against), row.metric]
        assert row.gain == pytest.approx(expected, abs=1e-12)
    runs = len(results.metrics) // len(VARIANTS)
    # against the coarse stream, a frozen gate, and of the star against the first model, by each metric
    assert len(table) == 3 * runs * len(METRICS)


def test_a_recipe_that_changes_one_value_of_another_is_no_choice_of_somebody(results):
    values = {"ranking_weight": 1.0, "temperature": 100.0}
    recipes = {
        name: {"title": name, "values": values | changed}
        for name, changed in {"released_code": {}, "cooled": {"temperature": 10.0}}.items()
    }
    own = results.metrics[results.metrics["recipe"] == "released_code"]
    manifest = results.manifest | {"recipes": recipes}
    manifest["config"] = manifest["config"] | {"recipes": list(recipes), "also": []}
    both = replace(results, metrics=pd.concat([own, own.assign(recipe="cooled")], ignore_index=True), manifest=manifest)
    table = specifications(both)
    assert set(table["recipe"]) == {"released_code"} and len(table) == len(specifications(replace(both, metrics=own)))


def test_doubles_are_counted_and_left_out(make_results):
    """Four images have the bytes of another one. Without those that a run tests, its metrics are others."""
    root = make_results(variants=VARIANTS)
    path = SAMPLES.at(root, benchmark="agiqa-3k")
    samples, card = read_table(path)
    hashes = [f"{row // 2 if row < 4 else row:064x}" for row in range(len(samples))]
    write_table(path, samples.assign(sha256=hashes), card)
    results = read_results(root)
    doubled = set(samples["image"][:4])
    without = results.metrics_without_doubles
    assert len(without) and set(without["benchmark"]) == {"agiqa-3k"}
    row = without.iloc[0]
    predictions = results.predictions(row)
    kept = predictions[~predictions["image"].isin(doubled)]
    assert row["n"] == len(kept) < len(predictions)
    assert row["srcc"] == pytest.approx(stats.spearmanr(kept["prediction"], kept["mos"]).statistic)
    table = specifications(results)
    assert set(table["doubles"]) == {"in", "out"}
    assert "out " in multiverse(results).shown["By doubles"].iloc[0]
    assert f"In how many of {len(table):,} specifications" in found_in_specifications(results)[0]


def test_the_share_is_that_of_specifications_in_which_it_is_better(results):
    table, single = multiverse(results), specifications(results)
    assert table.full["specifications"].sum() == len(single)
    for row in table.full.itertuples():
        own = single[(single["against"] == row.against) & (single["target"] == row.target)]
        own = own[own["variant"] == row.variant]["gain"]
        assert row.holds == pytest.approx((own > 0).mean()) and row.median == pytest.approx(own.median())
    shown = table.shown.iloc[0]
    assert shown["By protocol"].startswith("lab-seed1 ") and "SRCC" in shown["By metric"]
    assert str(shown["Holds in"]).endswith(f"of {table.full['specifications'].iloc[0]:,}")


def test_the_curves_say_what_they_show(results):
    figure = specification_curves(results)
    assert "MST-CLIPIQA over Coarse stream only, quality: above 0 in " in figure.alt
    assert "from the top: lab-seed1, grouped3." in figure.caption


def test_of_many_pairs_each_question_and_rival_has_one_curve(results, monkeypatch):
    monkeypatch.setattr(report.multiverse, "MOST_PANELS", 5)
    figure = specification_curves(results)
    assert "3 of 6 pairs, each on one benchmark" in figure.caption
    assert figure.alt.count(", quality: above 0 in ") == figure.alt.count("above 0 in ") == 3


def test_drawn_benchmarks_and_models_alone_have_none(make_results):
    drawn = read_results(make_results(variants=VARIANTS, synthetic=("agiqa-3k",)))
    assert multiverse(drawn) is None and specification_curves(drawn) is None
