"""Paired tests, against formulas written out."""

import numpy as np

from mstclipiqa.evaluation.paired_tests import holm


def test_holm_by_hand():
    # 0.01 * 4, then 0.03 * 3, then max(0.09, 0.035 * 2), then max(0.09, 0.05)
    np.testing.assert_allclose(holm(np.array([0.05, 0.01, 0.035, 0.03])), [0.09, 0.04, 0.09, 0.09])
    np.testing.assert_allclose(holm(np.array([0.7, 0.8])), [1, 1])
