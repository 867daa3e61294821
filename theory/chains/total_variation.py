"""Distance from stationarity over time.

d_x(t) = TV(P^t(x, .), pi) and d(t) = max_x d_x(t), pi the unique stationary law. Both are non-increasing in t, and with
dbar(t) = max_{x, y} TV(P^t(x, .), P^t(y, .)): d(t) <= dbar(t) <= 2 d(t), dbar(s + t) <= dbar(s) dbar(t), hence
d(s + t) <= 2 d(s) d(t).

Legend: ``S`` states, ``B`` starts, ``T`` times. Source: Levin, Peres, Wilmer, section 4.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from theory.chains.checks import States, check_states
from theory.chains.operator import DenseOperator, TransitionOperator, as_operator
from theory.chains.powers import PowerLadder, normalised, point_masses, step_error
from theory.chains.stationary import StationaryLaw, stationary_law
from theory.errors import InvalidInput
from theory.memory import require_memory
from theory.pictures import Pictured

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TotalVariationCurve(Pictured):
    """Distances from the stationary law at given times.

    Attributes:
        times: [T], ascending.
        starts: the states from which the chain was started, [B].
        distances: d_x(t), [T, B].
        law: the stationary law [S].
        error_bound: bound on the rounding error of the computed laws, in total variation, [T].
    """

    times: NDArray[np.int64]
    starts: States
    distances: Array
    law: Array
    error_bound: Array

    @property
    def worst(self) -> Array:
        """max over the starts at every time, [T]; d(t) where all states are starts."""
        return np.asarray(self.distances.max(axis=1))

    @property
    def worst_start(self) -> States:
        """The start that attains the maximum at every time, [T]."""
        return np.asarray(self.starts[self.distances.argmax(axis=1)])


def distances_to(rows: Array, law: Array) -> Array:
    """TV(row, law) for every row, [B]."""
    return np.clip(0.5 * cdist(rows, law[None, :], "cityblock")[:, 0], 0.0, 1.0)


def total_variation_curve(
    chain: TransitionOperator | ArrayLike, times: Iterable[int], starts: ArrayLike | None = None
) -> TotalVariationCurve:
    """d_x(t) at the given times, from every state or from the given starts.

    A chain that holds its matrix is advanced by its powers; any other, when starts are given, step by step, without its
    matrix.

    Args:
        chain: the chain; one closed class.
        times: whole numbers >= 0, in any order; repeated ones count once.
        starts: states to start from; all by default.

    Raises:
        InvalidInput: no times, a negative time, a start out of range, or several closed classes.
    """
    operator = as_operator(chain)
    moments = _check_times(times)
    begin = np.arange(operator.states) if starts is None else check_states(starts, operator.states, "starts")
    known = known_or_unique_law(operator)
    ladder = PowerLadder(operator) if starts is None or isinstance(operator, DenseOperator) else None
    require_memory(24.0 * len(begin) * operator.states, "starts", len(begin), "one law for each start")
    rows = point_masses(begin, operator.states)
    distances = np.empty((len(moments), len(begin)))
    errors = np.empty(len(moments))
    now, error = 0, 0.0
    for index, moment in enumerate(moments):
        if ladder is None:
            for _ in range(int(moment) - now):
                rows = normalised(operator.propagate(rows))
            error += (int(moment) - now) * step_error(operator.states)
        else:
            rows, added = ladder.advance(rows, int(moment) - now)
            error += added
        now = int(moment)
        distances[index] = distances_to(rows, known.law)
        errors[index] = min(1.0, error)
    return TotalVariationCurve(moments, begin, distances, known.law, errors)


def geometric_times(last: int, count: int = 60) -> NDArray[np.int64]:
    """About ``count`` whole times from 0 to ``last``, evenly spaced on a logarithmic axis, for plots.

    Raises:
        InvalidInput: ``last`` < 1 or ``count`` < 2.
    """
    if last < 1:
        raise InvalidInput("last", last, "at least 1 step is needed")
    if count < 2:
        raise InvalidInput("count", count, "at least 2 times are needed")
    return np.unique(np.concatenate([[0], np.rint(np.geomspace(1, last, count - 1))]).astype(np.int64))


def known_or_unique_law(operator: TransitionOperator) -> StationaryLaw:
    """The unique stationary law; a chain without a matrix that carries a law is trusted about it being the only one."""
    if operator.stationary is not None and not isinstance(operator, DenseOperator):
        law = np.asarray(operator.stationary, dtype=np.float64)
        change = float(np.abs(operator.propagate(law) - law).sum())
        return StationaryLaw(law, np.flatnonzero(law > 0), change, "known")
    return stationary_law(operator)


def _check_times(times: Iterable[int]) -> NDArray[np.int64]:
    listed = list(times)
    if not listed or any(time < 0 or int(time) != time for time in listed):
        raise InvalidInput("times", listed, "a non-empty list of whole numbers >= 0 is needed")
    return np.unique(np.array([int(time) for time in listed], dtype=np.int64))
