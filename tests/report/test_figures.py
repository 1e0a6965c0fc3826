import io
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from results_beside import write_curves

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.report import figures
from mstclipiqa.report.canvas import INK
from mstclipiqa.report.results import read_results


@pytest.mark.parametrize("draw", [figures.scatter, figures.spread])
def test_figures_are_the_same_bytes_and_carry_no_date(make_results, draw):
    results = read_results(make_results())
    one, two = draw(results, "quality"), draw(results, "quality")
    assert (one.png, one.svg) == (two.png, two.svg)
    assert not re.search(r"<dc:date>|<metadata>|Matplotlib v", one.svg)
    assert Image.open(io.BytesIO(one.png)).info.keys() <= {"dpi"}


def test_the_probes_figure_is_the_same_bytes_too(make_results):
    results = read_results(make_results(probe=True))
    one, two = figures.readout(results), figures.readout(results)
    assert (one.png, one.svg) == (two.png, two.svg)
    assert "recipe Released code" in one.caption


def test_targets_without_runs_have_no_figure(make_results):
    results = read_results(make_results())
    assert figures.scatter(results, "authenticity") is None
    assert figures.spread(results, "authenticity") is None


def test_figures_name_their_run_and_numbers(make_results):
    results = read_results(make_results())
    figure = figures.scatter(results, "quality")
    run = results.metrics.query(
        "target == 'quality' and protocol == 'lab-seed1' and selection == 'best-on-test'"
        " and recipe == 'released_code' and variant == 'mst-clipiqa'"
    )
    assert "protocol lab-seed1, split 0, seed 0, best epoch on test, recipe Released code" in figure.caption
    assert f"AGIQA-3K · MST-CLIPIQA: SRCC {run['srcc'].item():.4f}" in figure.alt


def test_undefined_runs_are_mentioned_where_they_cannot_be_drawn(make_results):
    results = read_results(make_results(values={"srcc": [0.9, np.nan, 0.7]}))
    assert "The SRCC of 1 of 32 points is undefined" in figures.spread(results, "quality").caption


def test_inline_figures_follow_the_theme_and_share_no_id(make_results):
    results = read_results(make_results())
    inline = [figures.scatter(results, target).inline for target in ("quality", "correspondence")]
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in inline]
    assert ids[0] and not ids[0] & ids[1]
    for svg, own in zip(inline, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own
        assert INK not in svg and "currentColor" in svg
        assert ElementTree.fromstring(str(svg)).get("aria-label").startswith("Scatter plots")


def test_a_learning_rate_has_one_colour_in_every_panel(make_results, monkeypatch):
    root = make_results(present={"agiqa-1k": 40, "agiqa-3k": 60})
    write_curves(root)
    frame, metadata = read_table(root / "curves.parquet")
    own = frame[frame["recipe"] == frame["recipe"].iloc[0]]
    lowest = own["learning_rate"].min()
    other = own[own["learning_rate"] != lowest].assign(recipe="main_text")
    one = metadata["learning_rates"][own["recipe"].iloc[0]]
    metadata["learning_rates"]["main_text"], metadata["ridge"]["main_text"] = one, {"train": 0.5, "test": 0.5}
    kept = frame[frame["recipe"] != "main_text"]
    write_table(root / "curves.parquet", pd.concat([kept, other]), metadata)
    palettes = []
    monkeypatch.setattr(figures.sns, "lineplot", lambda *_, palette, **__: palettes.append(palette))
    assert figures.learning_curves(read_results(root)) is not None
    assert len(palettes) == 2 and lowest not in palettes[1]
    assert all(palettes[0][rate] == colour for rate, colour in palettes[1].items())
