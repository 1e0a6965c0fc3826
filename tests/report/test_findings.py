"""What experiments amount to, in sentences."""

from dataclasses import replace

import pandas as pd
import pytest
from results_tables import table_of

from mstclipiqa.base.layout import BASELINES
from mstclipiqa.report.findings import CEILING, found_against_ridge, found_of_ceiling, found_of_generators, further
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.rivals import RIVAL


@pytest.fixture
def results(make_results):
    """Ridge is 0.1 below MST-CLIPIQA on every split of grouped3, and raters allow 0.95."""
    read = read_results(make_results())
    own = read.metrics.query("variant == 'mst-clipiqa' and recipe == 'main_text' and selection == 'validation'")
    rows = [
        {"source": source, "target": run.target, "protocol": run.protocol, "split": run.split, "srcc": value}
        for run in own.itertuples()
        for source, value in ((RIVAL, run.srcc - 0.1), (f"{CEILING}, 5 raters", 0.95))
    ]
    baselines = table_of(BASELINES, rows).assign(benchmark="agiqa-3k", file="-")
    return replace(read, baselines=baselines)


def test_heads_are_held_against_ridge_split_by_split(results):
    (sentence,) = found_against_ridge(results)
    expected = "MST-CLIPIQA, AGIQA-3K, quality, grouped3, Main text: +0.100 [+0.100, +0.100], the head earns its"
    assert expected in sentence
    assert "lab-seed1" not in sentence  # its epoch is chosen on test images


def test_the_ceiling_stands_beside_the_best_model(results):
    (sentence,) = found_of_ceiling(results)
    assert "5 raters 0.950 (0.950 to 0.950 over splits). The best model has " in sentence
    assert sentence.endswith(": what is missing is the models’, not the raters’.")
    high = results.metrics.assign(srcc=0.96)
    assert found_of_ceiling(replace(results, metrics=high))[0].endswith("The best model has 0.960.")


def test_unseen_generators_are_held_against_seen_ones(results):
    own = results.metrics.query("protocol == 'grouped3' and selection == 'last'")
    pairs = [own.assign(protocol=name, srcc=own["srcc"] - lost)
             for name, lost in (("leave-generator-out", 0.2), ("generator-seen", 0.0))]  # fmt: skip
    described = dict.fromkeys(("leave-generator-out", "generator-seen"), {"selection": "last"})
    manifest = results.manifest | {"protocols": results.manifest["protocols"] | described}
    metrics = pd.concat([results.metrics, *pairs], ignore_index=True)
    (sentence,) = found_of_generators(replace(results, metrics=metrics, manifest=manifest))
    place = "MST-CLIPIQA, AGIQA-3K, quality, leave-generator-out, Main text"
    assert f"{place}: -0.200 [-0.200, -0.200], what is learned of seen" in sentence


def test_what_was_not_run_is_not_said(make_results, results):
    assert found_of_generators(results) == []
    drawn = read_results(make_results(synthetic=("agiqa-3k",)))
    assert further(drawn) == []
