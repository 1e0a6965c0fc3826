"""What one value of a recipe moves, against differences written out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.evaluation.noise import noise_over_splits
from mstclipiqa.report.recipe_effects import (
    Change,
    effects,
    found_of_recipes,
    ratio_tested,
    recipe_effects,
)
from mstclipiqa.report.results import Results
from mstclipiqa.report.results_folder import read_results

VALUES = {"ranking_weight": 1.0, "temperature": 100.0, "trained_scale": "levels"}


def with_recipes(results: Results, **changes: dict) -> Results:
    """The results with further recipes that change values of `released_code`, and its runs under each, 0.01 lower."""
    base = {"title": "Released", "values": VALUES}
    recipes = {"released_code": base} | {
        name: {"title": name.title(), "values": VALUES | values} for name, values in changes.items()
    }
    own = results.metrics[results.metrics["recipe"] == "released_code"]
    runs = [own, *(own.assign(recipe=name, srcc=own["srcc"] - 0.01 * own["split"]) for name in changes)]
    manifest = results.manifest | {"recipes": recipes}
    manifest["config"] = manifest["config"] | {"recipes": ["released_code"], "also": []}
    return replace(results, metrics=pd.concat(runs, ignore_index=True), manifest=manifest)


@pytest.fixture
def results(make_results):
    return read_results(make_results())


def test_recipes_that_differ_in_one_value_are_found_once(results):
    made = with_recipes(
        results,
        zero={"ranking_weight": 0},
        ten={"ranking_weight": 10.0},
        both={"ranking_weight": 0, "temperature": 1.0},
    )
    assert made.changes == [
        Change("ranking_weight", "released_code", "ten"), Change("ranking_weight", "released_code", "zero"),
    ]  # fmt: skip


def test_frozen_encoders_are_the_value_that_trained_ones_are_held_against(results):
    """The frozen recipe does not have the key at all."""
    adaptation = {"blocks": 1, "rank": None, "learning_rate": 1e-4}
    made = with_recipes(results, tuned={"adaptation": adaptation}, all={"adaptation": {**adaptation, "blocks": None}})
    assert made.changes == [
        Change("adaptation", "released_code", "all"), Change("adaptation", "released_code", "tuned"),
    ]  # fmt: skip
    shown = recipe_effects(made).shown
    assert set(shown["From"]) == {"frozen encoders"}
    assert set(shown["To"]) == {"last block trained at 0.0001", "all trained at 0.0001"}
    lora = {"adaptation": {**adaptation, "blocks": 2, "rank": 8}}
    assert set(recipe_effects(with_recipes(results, lora=lora)).shown["To"]) == {
        "last 2 blocks with LoRA of rank 8 at 0.0001"
    }


def test_a_gain_is_of_the_same_splits_and_seeds(results):
    made = with_recipes(results, cooled={"temperature": 10.0})
    table = effects(made).set_index(["target", "variant", "protocol"])
    row = table.loc[("quality", "mst-clipiqa", "grouped3")]
    gains = np.array([0, -0.01, -0.02])
    ratio = ratio_tested(made, "agiqa-3k", "grouped3")
    half = stats.t.ppf(0.975, 2) * np.sqrt((1 / 3 + ratio) * gains.var(ddof=1))
    assert row["difference"] == pytest.approx(-0.01) and row["key"] == "temperature"
    assert (row["low"], row["high"]) == pytest.approx((-0.01 - half, -0.01 + half))
    assert np.isnan(table.loc[("quality", "mst-clipiqa", "lab-seed1"), "low"])  # one split, one seed
    assert len(recipe_effects(made).shown) == len(table)
    assert "AGIQA-3K, quality: 10 for 100 in Released, MST-CLIPIQA, grouped3: -0.010 [" in found_of_recipes(made)[0]


def test_without_a_single_change_there_is_no_table(results, make_results):
    assert recipe_effects(with_recipes(results)) is None and found_of_recipes(with_recipes(results)) == []
    drawn = read_results(make_results(synthetic=("agiqa-3k",)))
    assert recipe_effects(with_recipes(drawn, cooled={"temperature": 10.0})) is None


def test_noise_over_splits_is_nadeau_and_bengios():
    values = np.array([0.1, 0.4, 0.2, 0.6])
    noise = noise_over_splits(values, 0.25)
    assert noise.variance == pytest.approx((1 / 4 + 0.25) * values.var(ddof=1)) and noise.freedom == 3
    assert np.isnan(noise_over_splits(values[:1], 0.25).variance)
