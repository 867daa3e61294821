"""Distances between laws on a finite set, in nats where logarithms enter.

All functions take probability vectors (any shape, compared entry by entry) and use 0 ln 0 = 0; the second law of
`kullback_leibler` may lack mass, as one that is restricted to some outcomes does. Divergences are summed
in terms that are not negative, so that those of nearby laws keep their digits.
Source: Cover and Thomas, *Elements of Information Theory*, ch. 2 and 11.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr, xlogy

Array = NDArray[np.float64]

SERIES_RADIUS = 0.02
"""Below this |u|, (1 + u) ln(1 + u) - u is summed as a series; ten terms leave a relative error below 1e-17."""


LACKING = 1e-9
"""A difference of the sums of two laws beyond rounding: one of them is no probability law on these outcomes."""


def total_variation(left: ArrayLike, right: ArrayLike) -> float:
    """TV(p, r) = (1/2) sum |p - r|, in [0, 1]."""
    return float(0.5 * np.abs(np.asarray(left, dtype=np.float64) - np.asarray(right, dtype=np.float64)).sum())


def kullback_leibler(left: ArrayLike, right: ArrayLike, log_right: ArrayLike | None = None) -> float:
    """KL(p || r) = sum p ln(p / r) in nats; infinite where p has mass that r lacks.

    Args:
        left, right: p and r.
        log_right: ln r, for an r with masses below the smallest float.
    """
    p, r = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    difference = p - r
    near = np.abs(difference) < SERIES_RADIUS * r
    excess = np.divide(difference, r, out=np.zeros_like(difference), where=near)
    far = rel_entr(p, r)
    if log_right is not None:
        far = np.where((r == 0) & (p > 0), xlogy(p, p) - p * np.asarray(log_right, dtype=np.float64), far)
    # p ln(p/r) - p + r >= 0; far from r the logarithm is accurate as it is.
    total = float(np.where(near, r * entropy_density(excess), np.maximum(far - difference, 0.0)).sum())
    lacking = float(p.sum() - r.sum())
    # Of laws that both sum to 1 the difference is rounding, and would swallow a small divergence.
    return total + lacking if abs(lacking) > LACKING else total


def entropy(law: ArrayLike) -> float:
    """H(p) = -sum p ln p in nats."""
    p = np.asarray(law, dtype=np.float64)
    return float(-xlogy(p, p).sum())


def entropy_density(excess: Array) -> Array:
    """(1 + u) ln(1 + u) - u for u >= -1: non-negative, u^2 / 2 near 0, without cancellation.

    KL(r || q) = E_q of this at u = r/q - 1.
    """
    small = np.abs(excess) < SERIES_RADIUS
    near = np.where(small, excess, 0.0)
    series = np.zeros_like(near)
    for order in range(11, 1, -1):
        series = 1 / (order * (order - 1)) - near * series
    far = np.where(small, 0.0, excess)
    above = np.where(far > -1, far, 0.0)
    direct = np.where(far > -1, (1 + above) * np.log1p(above) - above, 1.0)
    return np.where(small, near**2 * series, direct)
