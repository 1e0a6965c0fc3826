"""The rules of the verdicts, at their edges, and on the results of known truth that version 1 let pass."""

import numpy as np
import pandas as pd
import pytest
from config_files import PAPER_TABLES

from mstclipiqa.claims.rules import (
    DIRECTION_ONLY,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    REPRODUCED,
    UNKNOWN,
    judge_gain,
    judge_number,
    judge_ordering,
)

NONE = (np.nan, np.nan)


@pytest.mark.parametrize(
    ("measured", "low", "high", "expected"),
    [
        (0.90, 0.89, 0.91, REPRODUCED),  # the interval fills the margin
        (0.90, 0.889, 0.91, INCONCLUSIVE),  # and reaches beyond it
        (0.905, 0.901, 0.909, REPRODUCED),  # other than the claim, but within the margin
        (0.90, *NONE, INCONCLUSIVE),  # nothing says how certain it is
        (0.89, 0.88, 0.90, INCONCLUSIVE),  # the interval ends at the claim
        (0.8899, 0.85, 0.8999, NOT_REPRODUCED),
        (0.9101, 0.9, 0.9205, INCONCLUSIVE),  # it begins there
        (0.9101, 0.9001, 0.92, NOT_REPRODUCED),  # above it too
        (0.80, 0.60, 0.92, INCONCLUSIVE),  # 43 images
    ],
)
def test_a_number(measured, low, high, expected):
    assert judge_number(0.9, measured, low, high, 0.01)[0] == expected


@pytest.mark.parametrize(
    ("measured", "low", "high", "expected"),
    [
        (1.0, 0.8, 1.2, REPRODUCED),
        (0.76, 0.7, 0.8, DIRECTION_ONLY),
        (0.5, 0.3, 0.7, DIRECTION_ONLY),
        (1.5, 1.3, 1.7, DIRECTION_ONLY),
        (0.76, -0.4, 1.9, INCONCLUSIVE),
        (0.0, -1.2, 1.2, INCONCLUSIVE),
        (-0.5, -0.7, -0.3, NOT_REPRODUCED),
        (0.0, -0.1, 0.1, NOT_REPRODUCED),
        (0.5, *NONE, INCONCLUSIVE),
    ],
)
def test_a_gain(measured, low, high, expected):
    assert judge_gain(1.0, measured, low, high, 0.25, 0.5)[0] == expected


def test_a_claimed_loss_is_judged_by_its_own_sign():
    assert judge_gain(-1.0, -0.5, -0.7, -0.3, 0.25, 0.5)[0] == DIRECTION_ONLY
    assert judge_gain(-1.0, 0.5, 0.3, 0.7, 0.25, 0.5)[0] == NOT_REPRODUCED


@pytest.mark.parametrize("sign", [-1, 1])
def test_no_gain_has_no_direction(sign):
    low, high = sorted((sign * 0.3, sign * 0.7))
    assert judge_gain(0.0, sign * 0.5, low, high, 0.25, 0.5)[0] == NOT_REPRODUCED


def test_the_bound_on_no_gain_is_no_direction():
    assert judge_gain(1.0, 0.2, 0.0, 0.4, 0.25, 0.5)[0] == NOT_REPRODUCED
    assert judge_gain(-1.0, -0.2, -0.4, 0.0, 0.25, 0.5)[0] == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("claimed", "measured", "low", "high"), [(1.11, 0.0, -1.2, 1.2), (0.48, -0.60, -1.8, 0.6), (0.48, 0.23, -0.9, 1.4)]
)
def test_a_gain_that_may_be_none_is_never_reproduced(claimed, measured, low, high):
    verdict, reason = judge_gain(claimed, measured, low, high, 0.25, 0.5)
    assert verdict == INCONCLUSIVE
    assert "80 % power" in reason


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        (0.04, 1.0, REPRODUCED),
        (0.05, 1.0, REPRODUCED),
        (0.051, 1.0, INCONCLUSIVE),
        (1.0, 0.051, INCONCLUSIVE),
        (1.0, 0.05, NOT_REPRODUCED),
        (*NONE, INCONCLUSIVE),
    ],
)
def test_an_ordering(above, below, expected):
    assert judge_ordering(0.01, above, below, 0.02)[0] == expected


@pytest.mark.parametrize("half_width", [0.002, 0.009, 0.025, 0.045])
def test_numbers_two_points_low_pass_as_nothing(half_width):
    """Under version 1, 110 of the 152 were within noise. Wide intervals decide nothing, narrow ones say no."""
    printed = pd.read_csv(PAPER_TABLES)["value"]
    expected = NOT_REPRODUCED if half_width < 0.02 else INCONCLUSIVE
    for claimed in printed:
        low = claimed - 0.02
        assert judge_number(claimed, low, low - half_width, low + half_width, 0.01)[0] == expected


@pytest.mark.parametrize(
    ("rule", "values", "reason"),
    [
        (judge_number, (0.9, 0.895, 0.891, 0.899, 0.01), "-0.0050 from the claim, the whole interval within ±0.01"),
        (judge_number, (0.9, 0.95, 0.91, 0.99, 0.01), "+0.0500 from the claim, outside the 95 % interval"),
        (judge_number, (0.9, 0.95, *NONE, 0.01), f"+0.0500 from the claim; {UNKNOWN}"),
        (
            judge_number,
            (0.9, 0.95, 0.89, 0.99, 0.01),
            "+0.0500 from the claim; the interval holds the claim and reaches beyond ±0.01",
        ),
        (
            judge_gain,
            (0.9, 0.95, 0.91, 0.99, 0.01, 0.3),
            "+0.0500 from the claim, outside the 95 % interval, but of the same sign beyond doubt",
        ),
        (
            judge_gain,
            (0.9, 0.95, 0.75, 1.15, 0.01, 0.29),
            "+0.0500 from the claim; the interval holds the claim and reaches beyond ±0.01; "
            "a gain of 0.29 could have been shown (80 % power)",
        ),
        (judge_gain, (0.9, 0.95, *NONE, 0.01, 0.3), f"+0.0500 from the claim; {UNKNOWN}"),
        (judge_gain, (0.9, 0.9, 0.89, 0.91, 0.01, 0.3), "+0.0000 from the claim, the whole interval within ±0.01"),
        (judge_ordering, (0.01, 0.03, 1.0, 0.02), "above 0, p 0.03"),
        (judge_ordering, (-0.01, 1.0, 0.0004, 0.02), "below 0, p 0.0004"),
        (judge_ordering, (0.01, *NONE, np.nan), f"+0.0100; {UNKNOWN}"),
        (
            judge_ordering,
            (0.01, 0.2, 1.0, 0.0286),
            "+0.0100 is neither above nor below 0 beyond doubt; a margin of 0.0286 could have been shown (80 % power)",
        ),
    ],
)
def test_a_reason_says_how_far_from_what(rule, values, reason):
    assert rule(*values)[1] == reason


def test_an_interval_may_be_a_point():
    assert judge_number(0.9, 0.9, 0.9, 0.9, 0.01)[0] == REPRODUCED
    assert judge_gain(1.0, 0.5, 0.5, 0.5, 0.25, 0.5)[0] == DIRECTION_ONLY
