"""How predictions crowd at the levels, counted by hand."""

import numpy as np
import pytest

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.saturation import crowded, crowding, found_of_saturation, saturation


def test_crowding_by_hand():
    found = crowding(np.array([1.0, 1.04, 1.06, 2.5, 2.5, 2.5004, 4.96, 5.2, 0.98, 3.0]))
    # at a level: 1.0, 1.04, 4.96, 0.98, 3.0; the three of 2.5 are one value
    assert found["at_level"] == 0.5 and found["distinct"] == 0.8
    assert found["tied"] == pytest.approx(3 * 2 / 90)


def test_evenly_spread_predictions_have_a_tenth_at_a_level():
    assert crowding(np.linspace(1, 5, 400_001))["at_level"] == pytest.approx(0.1, abs=1e-3)


@pytest.fixture
def results(make_results):
    """A model whose every prediction is the third level, 2.5 of 0 to 5, but for one image."""
    root = make_results()
    path = root / "agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet"
    table, metadata = read_table(path)
    first = table["image"] == table["image"].iloc[0]
    write_table(path, table.assign(prediction=np.where(first, 3.01, 2.5)), metadata)
    read = read_results(root)
    for recipe in read.manifest["recipes"].values():
        recipe["values"]["trained_scale"] = "levels"
    return read


def test_predictions_are_weighed_on_the_scale_of_the_levels(results):
    rows = crowded(results).set_index(["target", "protocol", "recipe", "variant"])
    row = rows.loc[("quality", "lab-seed1", "released_code", "mst-clipiqa")]
    tested = results.metrics.query("protocol == 'lab-seed1'")["n"].iloc[0]
    assert row["at_level"] >= 1 - 1 / tested and row["distinct"] <= 2 / tested
    for recipe in results.manifest["recipes"].values():  # as they are, 2.5 is between two levels
        recipe["values"]["trained_scale"] = "mos"
    rows = crowded(results).set_index(["target", "protocol", "recipe", "variant"])
    assert rows.loc[("quality", "lab-seed1", "released_code", "mst-clipiqa"), "at_level"] <= 1 / tested


def test_the_table_and_the_sentence_say_it(results):
    table = saturation(results)
    assert len(table.shown) == len(table.full) and "At a level" in table.shown
    (sentence,) = found_of_saturation(results)
    assert sentence.startswith("Does the template head saturate? Of evenly spread predictions 10 % lie at a level.")


def test_drawn_benchmarks_say_nothing(make_results):
    drawn = read_results(make_results(synthetic=("agiqa-3k",)))
    assert saturation(drawn) is None and found_of_saturation(drawn) == []
