"""Arguments that several chain functions share: sets of states and laws over the states."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.rounding import sum_tolerance

Array = NDArray[np.float64]
States = NDArray[np.int64]

LAW_SUM_TOLERANCE = 1e-8
"""Largest deviation of the total mass from 1 that is taken for rounding in a law from outside."""


def check_states(chosen: ArrayLike, states: int, argument: str) -> States:
    """A non-empty set of states as ascending numbers; a boolean mask of shape [S] is taken as well.

    Raises:
        InvalidInput: the set is empty, or a state lies outside 0..S-1.
    """
    values = np.asarray(chosen)
    if values.dtype == np.bool_:
        if values.shape != (states,):
            raise InvalidInput(argument, f"a mask of shape {values.shape}", f"a mask needs shape ({states},)")
        values = np.flatnonzero(values)
    values = np.unique(values)
    if values.size == 0:
        raise InvalidInput(argument, "an empty set", "at least one state is needed")
    if not np.issubdtype(values.dtype, np.integer):
        raise InvalidInput(argument, f"type {values.dtype}", "states are given as integers or as a boolean mask")
    if values[0] < 0 or values[-1] >= states:
        raise InvalidInput(argument, [int(values[0]), int(values[-1])], f"states are numbered 0..{states - 1}")
    return values.astype(np.int64)


def check_law(law: ArrayLike, states: int, argument: str = "law") -> Array:
    """A probability vector [S], normalised exactly.

    Raises:
        InvalidInput: wrong shape, a negative or non-finite mass, or a sum that is not 1.
    """
    given = np.asarray(law)
    values = given.astype(np.float64)
    if values.shape != (states,):
        raise InvalidInput(argument, f"shape {values.shape}", f"one mass per state, shape ({states},), is needed")
    if not np.isfinite(values).all() or values.min() < 0:
        raise InvalidInput(argument, "negative or non-finite masses", "masses are finite and >= 0")
    total = float(values.sum())
    if abs(total - 1) > LAW_SUM_TOLERANCE and abs(total - 1) > sum_tolerance(given, LAW_SUM_TOLERANCE):
        raise InvalidInput(argument, f"sum {total!r}", "the masses must sum to 1")
    return values / total
