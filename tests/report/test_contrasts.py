"""What each part of the model gains, on planted comparisons."""

import numpy as np
import pandas as pd
import pytest
from results_beside import write_attention, write_statistics
from results_tables import table_of

from mstclipiqa.base.layout import COMPARISONS
from mstclipiqa.report.contrasts import contrast_dots, contrasts, found_in_short, found_on_real_benchmarks
from mstclipiqa.report.results_folder import read_results

VARIANTS = ("mst-clipiqa", "mst-clipiqa-star", "coarse-only", "fine-only", "fixed-gate", "star-permuted")


def row(variant: str, against: str, low: float, high: float, **others) -> dict:
    """A comparison of the last recipe under grouped3."""
    known = {"difference": (low + high) / 2, "standard_error": (high - low) / 4, "freedom": 30.0, "noise": "images"}
    place = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "main_text", "protocol": "grouped3"}
    return {**place, "selection": "validation", "metric": "srcc", "variant": variant, "against": against,
            "low": low, "high": high, **known, **others}  # fmt: skip


@pytest.fixture
def read(make_results):
    def read(*rows, **options):
        root = make_results(variants=VARIANTS, **options)
        write_statistics(root)
        COMPARISONS.write(COMPARISONS.at(root), table_of(COMPARISONS, rows), {})
        return read_results(root)

    return read


PLANTED = (
    row("mst-clipiqa", "coarse-only", 0.01, 0.05),
    row("coarse-only", "mst-clipiqa", -0.05, -0.01),
    row("mst-clipiqa", "fine-only", -0.02, 0.06),
    row("mst-clipiqa", "fixed-gate", -0.05, -0.01),
    row("mst-clipiqa", "fixed-gate", -0.05, -0.01, metric="plcc"),
    row("mst-clipiqa", "fixed-gate", 0.3, 0.5, selection="last"),
    row("mst-clipiqa-star", "star-permuted", np.nan, np.nan, difference=0.1),
)


def test_a_part_helps_hurts_or_is_not_shown_to_do_either(read):
    table = contrasts(read(*PLANTED))
    found = dict(zip(table.full["against"], table.full["found"], strict=True))
    assert found == {
        "coarse-only": "helps", "fine-only": "not shown", "fixed-gate": "hurts", "star-permuted": "no interval",
    }  # fmt: skip
    # What 80 % power needs: (t_0.975 + t_0.8) standard errors, of 30 degrees of freedom.
    shown = table.full.set_index("against")["shown_from"]
    assert shown["fine-only"] == pytest.approx((2.0423 + 0.8538) * 0.02, abs=1e-5)
    assert pd.isna(shown["star-permuted"])
    assert str(table.shown.iloc[1]["Gain of SRCC"]) == "+0.0200 [-0.020, +0.060]"


def test_each_question_is_answered_in_a_sentence(read):
    scales, gate = found_on_real_benchmarks(read(*PLANTED))  # nothing is said where there is no interval
    assert scales.startswith("Does a second scale help? Over Coarse stream only (AGIQA-3K, quality): ")
    assert "+0.030 (grouped3): helps" in scales
    assert "+0.020 (grouped3): not shown (takes 0.058)" in scales
    assert gate.endswith("-0.030 (grouped3): hurts.")
    figure = contrast_dots(read(*PLANTED))
    assert "mst-clipiqa over fine-only, quality, grouped3: +0.020" in figure.alt


def test_drawn_benchmarks_answer_nothing(read):
    results = read(*PLANTED, synthetic=("agiqa-3k",))
    assert contrast_dots(results) is None and contrasts(results) is None and found_on_real_benchmarks(results) == []


def test_without_a_variant_beside_the_models_nothing_is_asked(read, make_results):
    assert contrasts(read(row("mst-clipiqa-star", "mst-clipiqa", 0.01, 0.05))) is None


def test_in_short_rivals_stand_by_what_is_found(read):
    results = read(*PLANTED)
    assert found_in_short(results, "Does a second scale help?") == [
        ("On AGIQA-3K", "helps over Coarse stream only; no gain shown over Fine stream only")
    ]
    assert found_in_short(results, "Does the gate help?") == [("On AGIQA-3K", "hurts over Gate frozen at 0.5")]
    assert found_in_short(results, "Does anything help?") == []
    other = row("mst-clipiqa", "fixed-gate", 0.01, 0.05, protocol="lab-seed1", selection="best-on-test")
    assert found_in_short(read(*PLANTED, other), "Does the gate help?")[0][1] == (
        "differs by protocol over Gate frozen at 0.5"
    )


def test_where_attention_is_put_out_the_answer_on_the_prompt_says_so(read):
    star = row("mst-clipiqa-star", "star-permuted", -0.02, 0.06, recipe="main_text")
    results = read(star)
    assert "put out" not in found_on_real_benchmarks(results)[0]
    write_attention(results.root, even=True, norms={"initial": 20.0, "trained": 0.0}, recipe="main_text")
    results = read_results(results.root)
    results.manifest["recipes"]["main_text"]["values"]["weight_decay"] = 0.001
    assert found_on_real_benchmarks(results)[0].endswith("is put out in training: see “Does the prompt matter?”.")
