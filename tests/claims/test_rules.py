"""The rules of the verdicts, at their edges."""

import numpy as np
import pytest

from mstclipiqa.claims.rules import (
    DIRECTION_ONLY,
    NOT_REPRODUCED,
    REPRODUCED,
    WITHIN_NOISE,
    judge_gain,
    judge_number,
    judge_ordering,
)


@pytest.mark.parametrize(
    ("measured", "low", "high", "expected"),
    [
        (0.89, 0.889, 0.891, REPRODUCED),  # at the band's edge, whatever the interval
        (0.91, np.nan, np.nan, REPRODUCED),
        (0.8899, 0.85, 0.90, WITHIN_NOISE),  # the interval ends at the claim
        (0.8899, 0.85, 0.8999, NOT_REPRODUCED),
        (0.9101, 0.9, 0.92, WITHIN_NOISE),  # it begins there
        (0.9101, 0.9001, 0.92, NOT_REPRODUCED),  # above it too
        (0.8, np.nan, np.nan, NOT_REPRODUCED),
    ],
)
def test_a_number(measured, low, high, expected):
    assert judge_number(0.9, measured, low, high, 0.01)[0] == expected


@pytest.mark.parametrize(
    ("claimed", "measured", "low", "high", "expected"),
    [
        (1.0, 0.76, 0.7, 0.8, REPRODUCED),
        (1.0, 0.5, -0.2, 1.2, WITHIN_NOISE),
        (1.0, 0.5, 0.3, 0.7, DIRECTION_ONLY),
        (1.0, -0.5, -0.7, 1.2, WITHIN_NOISE),
        (1.0, -0.5, -0.7, -0.3, NOT_REPRODUCED),
        (1.0, 0.0, -0.1, 0.1, NOT_REPRODUCED),
        (-1.0, -0.5, -0.7, -0.3, DIRECTION_ONLY),  # a loss
        (0.0, 0.5, 0.3, 0.7, NOT_REPRODUCED),  # no gain has no direction
    ],
)
def test_a_gain(claimed, measured, low, high, expected):
    assert judge_gain(claimed, measured, low, high, 0.25)[0] == expected


@pytest.mark.parametrize(
    ("measured", "low", "expected", "reason"),
    [
        (0.01, 0.001, REPRODUCED, "above 0 with the whole interval"),
        (0.01, 0.0, DIRECTION_ONLY, "above 0, but the interval is not"),
        (0.01, np.nan, DIRECTION_ONLY, "above 0, but the interval is not"),
        (0.0, -0.1, NOT_REPRODUCED, "not above 0"),
        (-0.01, -0.1, NOT_REPRODUCED, "not above 0"),
    ],
)
def test_an_ordering(measured, low, expected, reason):
    assert judge_ordering(measured, low) == (expected, reason)


@pytest.mark.parametrize(
    ("measured", "low", "high", "reason"),
    [
        (0.895, np.nan, np.nan, "-0.0050 from the claim, within ±0.01"),
        (0.95, 0.89, 0.99, "+0.0500 from the claim, inside the 95 % interval"),
        (0.95, 0.91, 0.99, "+0.0500 from the claim, outside the 95 % interval, but of the same sign"),
    ],
)
def test_a_reason_says_how_far_from_what(measured, low, high, reason):
    assert judge_gain(0.9, measured, low, high, 0.01)[1] == reason
