"""Statistical tests that several files share; each says how often it alarms where nothing is wrong."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

FALSE_ALARM = 1e-4
"""Chance that a correct source fails one chi-squared test."""


def chi_squared_fits(counts: np.ndarray, probabilities: np.ndarray) -> bool:
    """Whether counts of independent draws fit a law; wrong with probability about `FALSE_ALARM` where they do."""
    assert counts[probabilities == 0].sum() == 0
    possible = probabilities > 0
    expected = counts.sum() * probabilities[possible]
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    return bool(statistic < chi2.isf(FALSE_ALARM, max(int(possible.sum()) - 1, 1)))
