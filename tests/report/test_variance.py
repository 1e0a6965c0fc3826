"""The components of variance, against standard deviations written out."""

import numpy as np
import pandas as pd
import pytest
from config_files import CLAIMS, PAPER_TABLES
from results_beside import write_statistics

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.variance import SOURCES, components, found_in_variance, variance, variance_bars


@pytest.fixture
def results(make_results):
    root = make_results()
    write_statistics(root)
    intervals, metadata = read_table(root / "intervals.parquet")
    intervals["splits"] = np.where(intervals["protocol"] == "lab-seed1", 1, 3)
    write_table(root / "intervals.parquet", intervals.assign(srcc_images_error=0.03), metadata)
    return read_results(root, PAPER_TABLES, CLAIMS)


def test_each_source_varies_alone(results):
    table = components(results).set_index(["target", "variant", "protocol"])
    row = table.loc[("quality", "mst-clipiqa", "grouped3")]
    runs = results.metrics.query("target == 'quality' and variant == 'mst-clipiqa' and protocol == 'grouped3'")
    main = runs[runs["selection"] == "validation"]
    by_recipe = {name: rows["srcc"].to_numpy() for name, rows in main.groupby("recipe")}
    assert row["split"] == pytest.approx(np.mean([values.std(ddof=1) for values in by_recipe.values()]))
    assert row["recipe"] == pytest.approx(np.std([values.mean() for values in by_recipe.values()], ddof=1))
    reported = runs.groupby(["recipe", "selection"])["srcc"].mean().unstack()
    assert row["epoch"] == pytest.approx(reported.std(axis=1, ddof=1).mean())
    assert pd.isna(row["seed"]) and pd.isna(row["images"])  # one seed; images are read of one split
    assert table.loc[("quality", "mst-clipiqa", "lab-seed1"), "images"] == pytest.approx(0.03)
    assert pd.isna(table.loc[("quality", "mst-clipiqa", "lab-seed1"), "split"])


def test_the_gain_claimed_stands_beside_it(results):
    table = variance(results)
    row = table.shown[(table.shown["Method"] == "MST-CLIPIQA") & (table.shown["Protocol"] == "lab-seed1")].iloc[0]
    assert row["Gain claimed"] == "+0.0089" and row["Images"] == "0.0300" and row["Split"] == "—"
    assert [note.partition(":")[0].lower() for note in table.notes[: len(SOURCES)]] == list(SOURCES)
    assert "MST-CLIPIQA, quality, images: 0.0300" in variance_bars(results).alt


def test_the_scale_is_a_source_of_its_own(results):
    """A recipe that learns the MOS as they are and differs from another in that alone."""
    for name, recipe in results.manifest["recipes"].items():
        recipe["values"] = {"trained_scale": "mos" if name == "main_text" else "levels"}
    row = components(results).set_index(["target", "variant", "protocol"]).loc[("quality", "mst-clipiqa", "grouped3")]
    runs = results.metrics.query("target == 'quality' and variant == 'mst-clipiqa' and selection == 'validation'")
    assert row["scale"] == pytest.approx(runs.groupby("recipe")["srcc"].mean().std())
    assert pd.isna(row["recipe"])  # the other is no source's
    (sentence,) = found_in_variance(results)
    assert "scale 0." in sentence and "The gain that the paper states is 0.009" in sentence


def test_nothing_is_said_of_drawn_benchmarks(make_results):
    root = make_results(synthetic=("agiqa-3k",))
    write_statistics(root)
    assert variance(read_results(root)) is None and variance_bars(read_results(root)) is None
