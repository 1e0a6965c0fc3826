"""What seen prompts are worth, against means and variances written out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.report.leakage_effect import found_of_leakage, leakage_effect, leaked
from mstclipiqa.report.recipe_effects import ratio_tested
from mstclipiqa.report.results_folder import read_results


@pytest.fixture
def results(make_results):
    """The runs of grouped3 once more as of ungrouped3, each 0.1 better, and the second split 0.04 more."""
    read = read_results(make_results())
    own = read.metrics[read.metrics["protocol"] == "grouped3"]
    added = own.assign(protocol="ungrouped3", srcc=own["srcc"] + 0.1 + 0.04 * (own["split"] == 1))
    manifest = read.manifest | {"protocols": read.manifest["protocols"] | {"ungrouped3": {"selection": "validation"}}}
    splits = {
        name: split | {"protocols": split["protocols"] | {"ungrouped3": split["protocols"]["grouped3"]}}
        for name, split in read.splits.items()
    }
    metrics = pd.concat([read.metrics, added], ignore_index=True)
    return replace(read, metrics=metrics, manifest=manifest, splits=splits)


def test_the_difference_has_the_noise_of_both_protocols(results):
    row = leaked(results).set_index(["target", "recipe", "variant"]).loc[("quality", "main_text", "mst-clipiqa")]
    runs = results.metrics.query("target == 'quality' and recipe == 'main_text' and variant == 'mst-clipiqa'")
    runs = runs[runs["selection"] == "validation"]
    one, two = (runs[runs["protocol"] == name]["srcc"].to_numpy() for name in ("ungrouped3", "grouped3"))
    parts = [(1 / 3 + ratio_tested(results, "agiqa-3k", "grouped3")) * np.var(part, ddof=1) for part in (one, two)]
    freedom = sum(parts) ** 2 / sum(part**2 / 2 for part in parts)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts))
    assert row["difference"] == pytest.approx(one.mean() - two.mean())
    assert (row["low"], row["high"]) == pytest.approx((row["difference"] - half, row["difference"] + half))


def test_the_table_and_the_sentence_say_it(results):
    table = leakage_effect(results)
    assert len(table.shown) == len(table.full) == 8  # two targets, recipes and models
    assert "ungrouped3 beside grouped3" in str(table.groups[0])
    assert "MST-CLIPIQA, AGIQA-3K, quality, grouped3, Released code: +0.1" in found_of_leakage(results)[0]


def test_without_the_protocol_by_image_there_is_none(make_results):
    assert leakage_effect(read_results(make_results())) is None and found_of_leakage(read_results(make_results())) == []
