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
        (0.9101, 0.9001, 0.92, NOT_REPRODUCED),  # above it too
        (0.8, np.nan, np.nan, NOT_REPRODUCED),
    ],
)
def test_a_number(measured, low, high, expected):
    assert judge_number(0.9, measured, low, high, 0.01)[0] == expected


@pytest.mark.parametrize(
    ("measured", "low", "high", "expected"),
    [
        (0.76, 0.7, 0.8, REPRODUCED),
        (0.5, -0.2, 1.2, WITHIN_NOISE),
        (0.5, 0.3, 0.7, DIRECTION_ONLY),
        (-0.5, -0.7, 1.2, WITHIN_NOISE),
        (-0.5, -0.7, -0.3, NOT_REPRODUCED),
        (0.0, -0.1, 0.1, NOT_REPRODUCED),
    ],
)
def test_a_gain(measured, low, high, expected):
    assert judge_gain(1.0, measured, low, high, 0.25)[0] == expected


@pytest.mark.parametrize(
    ("measured", "low", "expected"),
    [
        (0.01, 0.001, REPRODUCED),
        (0.01, 0.0, DIRECTION_ONLY),
        (0.01, np.nan, DIRECTION_ONLY),
        (0.0, -0.1, NOT_REPRODUCED),
        (-0.01, -0.1, NOT_REPRODUCED),
    ],
)
def test_an_ordering(measured, low, expected):
    assert judge_ordering(measured, low)[0] == expected
