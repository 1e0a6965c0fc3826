"""Paired tests, against formulas written out."""

import numpy as np
import pytest
from scipy import stats

from mstclipiqa.evaluation.paired_tests import corrected_error, holm, paired_test


def test_corrected_t_is_nadeau_and_bengios():
    differences = np.array([0.02, 0.01, 0.03, -0.01, 0.02])
    error = corrected_error(differences, 600 / 2400)
    mean, variance = differences.mean(), ((differences - differences.mean()) ** 2).sum() / 4
    t = mean / np.sqrt((1 / 5 + 1 / 4) * variance)
    p, low, high = paired_test(mean, error, 4)
    assert p == pytest.approx(2 * (1 - stats.t.cdf(t, 4)))
    assert (high - mean) / error == pytest.approx(2.776445, abs=1e-6)
    assert mean - low == pytest.approx(high - mean)


def test_without_spread_no_difference_has_p_one():
    assert paired_test(0.0, 0.0, 2) == (1.0, 0.0, 0.0)
    assert paired_test(0.1, 0.0, np.inf) == (0.0, 0.1, 0.1)
    assert paired_test(1.96, 1.0, np.inf)[0] == pytest.approx(0.05, abs=1e-4)


def test_holm_by_hand():
    # 0.01 * 4, then 0.03 * 3, then max(0.09, 0.035 * 2), then max(0.09, 0.05)
    np.testing.assert_allclose(holm(np.array([0.05, 0.01, 0.035, 0.03])), [0.09, 0.04, 0.09, 0.09])
    np.testing.assert_allclose(holm(np.array([0.7, 0.8])), [1, 1])
