"""A number about a decoder, and what it is.

Every number says what it is:

    exact       by enumeration, or by a formula
    unbiased    a mean over samples; the interval covers the true value in 95% of the runs
    upper       a bound from above (where it is a mean over samples, the interval is that of the bound)
    lower       a bound from below
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import student_limit

Array = NDArray[np.float64]

LEVEL = 0.95
ROUNDING = 1e-10
"""Nats of a whole sequence below which a number is zero up to rounding."""


@dataclass(frozen=True)
class Estimate:
    """A number, what it is, and the interval of what was estimated (both ends alike where that is exact)."""

    value: float
    kind: str
    interval: tuple[float, float]

    @staticmethod
    def exact(value: float, kind: str = "exact") -> Estimate:
        value = 0.0 if abs(value) < ROUNDING else value
        return Estimate(value, kind, (value, value))

    @staticmethod
    def mean(values: Array, kind: str) -> Estimate:
        """The mean of independent values; where one is infinite, so is what they estimate."""
        if np.isinf(values).any():
            return Estimate.exact(math.inf, "exact" if kind == "unbiased" else kind)
        if np.abs(values).max() < ROUNDING:
            return Estimate.exact(0.0, kind)
        center = float(values.mean())
        width = half_width(values)
        return Estimate(center, kind, (center - width, center + width))


def half_width(values: Array) -> float:
    """Half the length of the interval for the mean; 0 where more values would say nothing (one is infinite)."""
    if np.isinf(values).any():
        return 0.0
    if len(values) < 2:
        return math.inf
    return student_limit((1 - LEVEL) / 2, len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
