from functools import partial

import numpy as np
import pytest
from results_beside import write_statistics

from mstclipiqa.report import overview_figures as overview
from mstclipiqa.report.results_folder import read_results

VARIANTS = ["mst-clipiqa", "mst-clipiqa-star", "coarse-only", "fixed-gate"]


@pytest.fixture
def read(read_judged):
    return partial(read_judged, beside=write_statistics)


def test_without_a_measured_claim_the_forest_has_the_recomputed_gains(read):
    figure = overview.forest(read(synthetic=("agiqa-3k",)))
    assert figure.name == "forest"
    assert "Nothing is measured here that tests the paper" in figure.caption
    assert "gain-quality-star/srcc: printed 1.11, found 1.504" in figure.alt
    assert figure.alt.count("printed") == 10  # five gains in SRCC and PLCC


def test_the_forest_has_measured_numbers_of_rows_that_count(read):
    def measure(document):
        for row in document["claims"]:
            if row["id"] == "IV/MST-CLIPIQA/agiqa-3k/quality/srcc":
                row |= {"measured": 0.5 if row["counts"] else 0.1, "low": 0.4, "high": 0.6}

    figure = overview.forest(read(measure))
    assert "IV/MST-CLIPIQA/agiqa-3k/quality/srcc: printed 0.9091, found 0.5" in figure.alt
    assert "found 0.1." not in figure.alt and "found 0.1;" not in figure.alt
    assert "Measured by the recipe and the protocol" in figure.caption


def test_without_claims_there_is_no_forest(make_results):
    assert overview.forest(read_results(make_results())) is None


def test_ablations_name_their_place_and_follow_the_theme(read, monkeypatch):
    drawn, finish = [], overview.finish
    monkeypatch.setattr(overview, "finish", lambda canvas, *rest: drawn.append(canvas) or finish(canvas, *rest))
    figure = overview.ablation_dots(read(variants=VARIANTS))
    assert "recipe Released code, lab-seed1, best epoch on test" in figure.caption
    assert "currentColor" in figure.svg
    titles = [ax.get_title() for ax in drawn[0].axes[:2]]
    assert titles == ["AGIQA-3K, quality", "AGIQA-3K, correspondence"]
    assert overview.ablation_dots(read()) is None  # the two models alone are no ablation


def test_leakage_bars_have_the_shares_of_the_table(make_results):
    figure = overview.leakage_bars(read_results(make_results()))
    shares = [100 * s / (12 + s) for s in range(3)]  # as tests/results_folder writes them
    assert "AGIQA-3K, lab-seed1: 100" in figure.alt
    assert f"AGIQA-3K, grouped3: {np.mean(shares):.0f}" in figure.alt
