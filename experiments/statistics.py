"""Limits, confidence intervals and standardised deviations for Monte Carlo checks.

Quantiles come from scipy.special: scipy.stats takes longer to load than most claims to list.

Sources: Clopper and Pearson, Biometrika 26 (1934); Satterthwaite, Biometrics Bulletin 2 (1946).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainccinv, betaincinv, chdtr, chdtrc, chdtri, gammaincinv, ndtri, stdtrit

from theory.errors import InvalidInput

Array = NDArray[np.float64]


def normal_limit(tail: float) -> float:
    """The number that a standard normal variable exceeds with probability ``tail``."""
    return float(-ndtri(tail))


def student_limit(tail: float, freedom: float) -> float:
    """The number that a Student t variable exceeds with probability ``tail``."""
    return float(-stdtrit(freedom, tail))


def chi_squared_limits(freedom: float, tail: float) -> tuple[float, float]:
    """The numbers below and above which a chi-squared variable lies with probability ``tail`` each."""
    return float(2 * gammaincinv(freedom / 2, tail)), float(chdtri(freedom, tail))


def clopper_pearson(count: int, total: int, level: float) -> tuple[float, float]:
    """Interval that misses the probability behind ``count`` of ``total`` events with probability at most ``level``.

    Raises:
        InvalidInput: ``count`` outside 0..total, an empty total, or a level outside (0, 1).
    """
    if total < 1 or not 0 <= count <= total:
        raise InvalidInput("count", count, f"must lie in 0..{total}, out of at least 1")
    if not 0 < level < 1:
        raise InvalidInput("level", level, "must lie in (0, 1)")
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, level / 2))
    high = 1.0 if count == total else float(betainccinv(count + 1, total - count, level / 2))
    return low, high


def chi_squared_deviation(values: ArrayLike, freedom: ArrayLike) -> Array:
    """Chi-squared values as standard normal ones: z with the same tail probability, entry by entry; nan stays nan."""
    observed, degrees = np.broadcast_arrays(np.asarray(values, dtype=float), np.asarray(freedom, dtype=float))
    # Each half is read from its own tail, where the probability has not been rounded to 1.
    above = observed > degrees
    return np.where(above, -ndtri(chdtrc(degrees, observed)), ndtri(chdtr(degrees, observed)))


def quadratic_form_freedom(covariance: ArrayLike) -> float:
    """Degrees of freedom (tr C)^2 / tr C^2 of the scaled chi-squared law with the first two moments of |z|^2,
    z ~ N(0, C) (Satterthwaite)."""
    matrix = np.asarray(covariance, dtype=np.float64)
    return float(np.trace(matrix) ** 2 / np.sum(matrix * matrix.T))
