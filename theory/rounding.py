"""Numbers that should sum to 1, and how far off the digits that were given let them be.

Probabilities come as float64 from a computation, as float32 from a network, or as decimals from a printed table. Each
kind has its own rounding, which says how far a sum may be from 1 without a mistake:

- *float64*: what the caller takes for the rounding of a computation;
- *a narrower type*, or float64 values that are all float32 numbers: each of n terms is off by its unit roundoff
  relative to itself, and the total by which they were divided by some more, which grows like sqrt(n);
- *d decimals* (at least `FEWEST_DIGITS`, fewer may be a mistake): n/2 units of the last one;
- *d significant digits* (at least as many): half a unit of the d-th of each term. Many numbers have both forms, and the
  coarser one is taken.

Legend: ``n`` terms of a sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST_DIGITS = 6
MOST_DIGITS = 12
"""Numbers with more digits than this are taken for results of a computation."""


def resolution(given: NDArray[Any]) -> float:
    """eps of the narrower type that holds the numbers as they were given: float16, float32 or float64."""
    if np.issubdtype(given.dtype, np.floating) and np.finfo(given.dtype).bits < 64:
        return float(np.finfo(given.dtype).eps)
    values = np.asarray(given, dtype=np.float64)
    narrow = np.array_equal(values.astype(np.float32), values)
    return float(np.finfo(np.float32 if narrow else np.float64).eps)


def sum_tolerance(given: NDArray[Any], least: float) -> float:
    """How far the sums over the last axis may be from 1 if nothing but rounding is wrong.

    Args:
        given: non-negative numbers as they were given, in the type in which they were given, [..., n].
        least: the tolerance for results of a computation in float64.
    """
    terms = max(1, given.shape[-1])
    values = np.asarray(given, dtype=np.float64)
    if (epsilon := resolution(given)) > np.finfo(np.float64).eps:
        return max(least, _of_type(epsilon, terms))
    positive = values[values > 0]
    scale = 10.0 ** np.floor(np.log10(positive))
    decimals, significant = _digits(positive), _digits(positive / scale, 1)
    explained = [0.5 * terms * 10.0**-decimals] * (decimals > 0) + [5 * 10.0**-significant] * (significant > 0)
    return max([least, *explained])


def _of_type(epsilon: float, terms: int) -> float:
    return epsilon * (8 + 2 * float(np.sqrt(terms)))


def _digits(values: Array, before_the_point: int = 0) -> int:
    """The fewest digits, from `FEWEST_DIGITS` on, that give the values up to their own rounding; 0 where none do."""
    for digits in range(FEWEST_DIGITS, MOST_DIGITS + 1):
        rounded = np.round(values, digits - before_the_point)
        if (np.abs(rounded - values) <= 1e-15 * np.maximum(values, 1e-3)).all():
            return digits
    return 0
