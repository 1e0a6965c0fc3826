"""Every other reading of a contradicted gain, against gains worked out by hand from the printed tables."""

from itertools import combinations

import pandas as pd
import pytest
from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS

from mstclipiqa.claims.paper import load_claims, read_paper
from mstclipiqa.claims.readings import enumerate_readings, try_readings


@pytest.fixture(scope="module")
def paper():
    return read_paper(CLAIMS, PAPER_TABLES, PRIOR_RESULTS)


@pytest.fixture(scope="module")
def tried(paper):
    return {row["id"]: row for row in try_readings(paper, load_claims(CLAIMS, PAPER_TABLES, PRIOR_RESULTS))}


def rule_of(paper, name):
    return next(entry["rule"]["gain"] for entry in paper.document["statements"] if entry["id"] == name)


def test_every_contradicted_gain_is_read_otherwise(tried):
    names = ("quality-star", "quality", "authenticity-star", "correspondence-star", "two-scales")
    assert list(tried) == [f"gain-{name}/{metric}" for name in names for metric in ("srcc", "plcc")]


def test_089_is_the_gain_in_per_cent_of_liqe_on_two_benchmarks(tried):
    """By hand, from Table IV: AGIQA-1K 0.8990 over 0.8927, AIGCIQA2023 0.8701 over 0.8608."""
    found = {
        reading["way"]: reading["value"]
        for reading in tried["gain-quality/srcc"]["hits"]
        if (reading["ours"], reading["rival"]) == ("MST-CLIPIQA", "LIQE")
        and reading["columns"] == ("agiqa-1k", "aigciqa2023")
    }
    assert found == {
        "per cent, ratio of means": pytest.approx(100 * ((0.8990 + 0.8701) / (0.8927 + 0.8608) - 1)),
        "per cent, mean of ratios": pytest.approx(50 * (0.8990 / 0.8927 + 0.8701 / 0.8608 - 2)),
    }
    assert all(round(value, 2) == 0.89 for value in found.values())


def test_the_gain_of_two_scales_is_that_over_the_weaker_encoder(tried):
    for metric in ("srcc", "plcc"):
        first = tried[f"gain-two-scales/{metric}"]["hits"][0]
        assert (first["rival"], first["columns"], first["way"]) == ("ViT-B/32", ("average",), "points, mean")


@pytest.mark.parametrize("metric", ["srcc", "plcc"])
def test_no_reading_of_the_gain_in_authenticity_gives_its_figure(tried, metric):
    row = tried[f"gain-authenticity-star/{metric}"]
    assert row["hits"] == [] and abs(row["nearest"]["value"] - row["claimed"]) > 0.005


def test_readings_are_counted_and_those_that_fit_by_chance_estimated(paper, tried):
    """Table IV: five benchmarks have 31 subsets; the rivals that are printed on two of them have three."""
    rule = rule_of(paper, "gain-quality")
    readings = list(enumerate_readings(paper, rule, "srcc"))
    subsets = [count for count in range(1, 6) for _ in combinations(range(5), count)]
    ways = sum(2 + (count > 1) + 2 * (count > 2) for count in subsets)  # a median of two is their mean
    assert len(subsets) == 31 and ways == 120
    printed = pd.read_csv(PAPER_TABLES).query("table == 'IV' and metric == 'srcc' and not method.str.contains('MST')")
    everywhere = (printed["method"].value_counts() == 5).sum()
    assert len(readings) == 2 * (everywhere * ways + 7) == tried["gain-quality/srcc"]["tried"]  # MA-AGIQA: 2 + 2 + 3
    assert len({(r.ours, r.rival, r.columns, r.way) for r in readings}) == len(readings)
    row = tried["gain-quality/srcc"]
    near = sum(0.39 <= reading.value <= 1.39 for reading in readings)
    assert row["by_chance"] == pytest.approx(near / 100)
    assert (row["named_tried"], row["named_hits"]) == (ways, 2)


def test_hits_round_to_the_figure_and_the_rest_do_not(paper, tried):
    for name, row in tried.items():
        statement, metric = name.rsplit("/", 1)
        readings = list(enumerate_readings(paper, rule_of(paper, statement), metric))
        fitting = [reading for reading in readings if abs(reading.value - row["claimed"]) < 0.005 + 1e-9]
        assert len(fitting) == len(row["hits"])
        assert abs(row["nearest"]["value"] - row["claimed"]) == min(abs(r.value - row["claimed"]) for r in readings)
