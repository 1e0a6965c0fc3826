import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from mstclipiqa.report import run_figures
from mstclipiqa.report.canvas import INK
from mstclipiqa.report.results_folder import read_results


@pytest.mark.parametrize("draw", [run_figures.scatter, run_figures.spread])
def test_figures_are_the_same_bytes_and_carry_no_date(make_results, draw):
    results = read_results(make_results())
    one, two = draw(results, "quality"), draw(results, "quality")
    assert (one.png, one.svg) == (two.png, two.svg)
    assert not re.search(r"<dc:date>|<metadata>|Matplotlib v", one.svg)
    assert Image.open(io.BytesIO(one.png)).info.keys() <= {"dpi"}


def test_targets_without_runs_have_no_figure(make_results):
    results = read_results(make_results())
    assert run_figures.scatter(results, "authenticity") is None
    assert run_figures.spread(results, "authenticity") is None


def test_figures_name_their_run_and_numbers(make_results):
    results = read_results(make_results())
    figure = run_figures.scatter(results, "quality")
    run = results.metrics.query(
        "target == 'quality' and protocol == 'lab-seed1' and selection == 'best-on-test'"
        " and recipe == 'released_code' and variant == 'mst-clipiqa'"
    )
    assert "protocol lab-seed1, split 0, seed 0, best epoch on test, recipe Released code" in figure.caption
    assert f"AGIQA-3K · MST-CLIPIQA: SRCC {run['srcc'].item():.4f}" in figure.alt


def test_undefined_runs_are_mentioned_where_they_cannot_be_drawn(make_results):
    results = read_results(make_results(values={"srcc": [0.9, np.nan, 0.7]}))
    assert "The SRCC of 1 of 32 points is undefined" in run_figures.spread(results, "quality").caption


def test_inline_figures_follow_the_theme_and_share_no_id(make_results):
    results = read_results(make_results())
    inline = [run_figures.scatter(results, target).inline for target in ("quality", "correspondence")]
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in inline]
    assert ids[0] and not ids[0] & ids[1]
    for svg, own in zip(inline, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own
        assert INK not in svg and "currentColor" in svg
        assert ElementTree.fromstring(str(svg)).get("aria-label").startswith("Scatter plots")
