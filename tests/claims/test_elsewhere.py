"""What others published, held against the paper's numbers: planted cases, and the file that ships."""

import numpy as np
import pandas as pd
import pytest
from config_files import PRIOR_RESULTS

from mstclipiqa.claims.elsewhere import judge_another_split, judge_elsewhere, spread_of_splits
from mstclipiqa.claims.rules import CONSISTENT, CONTRADICTED, INCONCLUSIVE, UNTESTABLE
from mstclipiqa.data.prior_results import read_prior_results

COLUMN = ("agiqa-3k", "quality")
OURS = ["MST-CLIPIQA", "MST-CLIPIQA*"]


def published(*rows):
    """Rows of (method, SRCC, standing, split) on COLUMN."""
    table = pd.DataFrame(rows, columns=["method", "srcc", "standing", "split"])
    return table.assign(benchmark=COLUMN[0], target=COLUMN[1], plcc=np.nan)


@pytest.mark.parametrize(
    ("rows", "expected", "margin"),
    [
        ([("A", 0.89, "elsewhere", "")], CONSISTENT, 0.01),
        ([("A", 0.90, "elsewhere", "")], INCONCLUSIVE, 0.0),  # a tie is not better
        ([("A", 0.91, "elsewhere", "")], INCONCLUSIVE, -0.01),  # under another protocol
        ([("A", 0.91, "elsewhere", "lab-seed1")], CONTRADICTED, -0.01),
        ([("A", 0.92, "elsewhere", ""), ("B", 0.91, "elsewhere", "lab-seed1")], CONTRADICTED, -0.02),
        ([("A", 0.91, "elsewhere", "lab-seed0")], INCONCLUSIVE, -0.01),
        ([("A", 0.91, "later", "lab-seed1"), ("B", 0.89, "elsewhere", "")], CONSISTENT, 0.01),
        ([("A", 0.91, "doubted", ""), ("B", 0.89, "elsewhere", "")], CONSISTENT, 0.01),
        ([("A", 0.91, "paper", "lab-seed1"), ("B", 0.89, "elsewhere", "")], CONSISTENT, 0.01),
        ([("MST-CLIPIQA", 0.91, "elsewhere", ""), ("B", 0.89, "elsewhere", "")], CONSISTENT, 0.01),
        ([("A", 0.91, "paper", "")], UNTESTABLE, None),
    ],
)
def test_a_number_among_those_of_others(rows, expected, margin):
    measured, verdict, _ = judge_elsewhere(published(*rows), COLUMN, "srcc", 0.90, OURS, "lab-seed1")
    assert verdict == expected
    assert measured == (None if margin is None else pytest.approx(margin))


def test_reasons_say_who_is_higher_and_what_came_later():
    rows = published(("A", 0.91, "elsewhere", ""), ("A", 0.93, "elsewhere", ""), ("B", 0.92, "later", "lab-seed1"))
    assert judge_elsewhere(rows, COLUMN, "srcc", 0.90, OURS, "lab-seed1")[2] == (
        "1 of 1 methods published elsewhere are as high or higher; 1 more first published after the paper; A: 0.9300, "
        "none by a protocol known to be the paper's"
    )
    assert judge_elsewhere(rows, COLUMN, "plcc", 0.90, OURS, "lab-seed1")[1] == UNTESTABLE


def test_on_eight_of_ten_targets_a_higher_srcc_is_published():
    """And on seven of them by others than a paper that came later."""
    prior = read_prior_results(PRIOR_RESULTS)
    counted = prior[prior["standing"].isin(["elsewhere", "later"]) & (prior["benchmark"] != "pku-i2iqa")]
    ours = prior[prior["method"].isin(OURS)].groupby(["benchmark", "target"])["srcc"].max()
    assert len(ours) == 10
    for standings, expected in ((("elsewhere", "later"), 8), (("elsewhere",), 7)):
        best = counted[counted["standing"].isin(standings)].groupby(["benchmark", "target"])["srcc"].max()
        assert (best.reindex(ours.index) > ours).sum() == expected


SPLITS = ["lab-seed0", "lab-seed1", "lab-seed2", "lab-seed42"]


def on_splits(**scores):
    return published(
        *((m, s, "later", split) for m, values in scores.items() for split, s in zip(SPLITS, values, strict=False))
    )


def test_the_spread_of_differences_is_that_of_methods_on_the_same_splits():
    rows = on_splits(LIQE=[0.90, 0.92, 0.94, 0.96], A=[0.91, 0.93, 0.95, 0.97], B=[0.90, 0.94, 0.94, 0.98])
    spread = spread_of_splits(rows, COLUMN, "srcc", "LIQE")
    assert spread["sd"] == pytest.approx(np.std([0.90, 0.92, 0.94, 0.96], ddof=1))
    # A is always ahead by the same, B by 0 or 0.02.
    assert spread["sd_difference"] == pytest.approx(np.std([0, 0.02, 0, 0.02], ddof=1) / 2)
    assert (spread["splits"], spread["methods"]) == (4, 2)
    for gain, expected in ((0.013, CONSISTENT), (0.011, INCONCLUSIVE), (-0.02, INCONCLUSIVE)):
        assert judge_another_split(rows, COLUMN, "srcc", "LIQE", gain)[1] == expected


@pytest.mark.parametrize("scores", [{"LIQE": [0.9] * 3, "A": [0.9] * 3}, {"LIQE": [0.9] * 4}, {"A": [0.9] * 4}])
def test_fewer_splits_or_methods_decide_nothing(scores):
    assert judge_another_split(on_splits(**scores), COLUMN, "srcc", "LIQE", 0.05)[1] == UNTESTABLE


@pytest.mark.parametrize(("benchmark", "printed"), [("agiqa-1k", 0.0144), ("agiqa-3k", 0.0125)])
def test_the_spread_of_liqe_is_the_published_one(benchmark, printed):
    """arXiv 2607.05605, Table XX, prints the SD of the four splits as a population; ours is that of a sample."""
    spread = spread_of_splits(read_prior_results(PRIOR_RESULTS), (benchmark, "quality"), "srcc", "LIQE")
    assert spread["splits"] == 4 and spread["methods"] == 8
    assert spread["sd"] * np.sqrt(3 / 4) == pytest.approx(printed, abs=5e-5)
