"""Exact mixing times.

t_mix(eps) = min{t >= 0: d(t) <= eps}, d(t) = max_x TV(P^t(x, .), pi). As d is non-increasing, the powers P, P^2, P^4,
... bracket it, and a binary descent through them finds the integer. The maximum over a part of the starts is
non-increasing as well.

Which starts come near at all is known beforehand. From x the chain ends in the cyclic classes C_0, ..., C_{r-1} of the
one closed class with probabilities h_j(x) (counted at times that are multiples of r), and d_x(t) decreases to
(1/2) sum_j |h_j(x) - 1/r|: 0 where r = 1, 1 - 1/r from inside the class. With several closed classes there is no
unique pi. Such chains never mix, and the result says so.

Beyond what float64 resolves, small chains are powered in fixed point (`theory.chains.exact_powers`).

Legend: ``S`` states, ``B`` starts. Source: Levin, Peres, Wilmer, sections 4.4 and 4.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.checks import check_law, check_states
from theory.chains.classes import communicating_classes, cyclic_classes
from theory.chains.covering import BATCH_BYTES, Found, law_error, slowest_of_all, slowest_start
from theory.chains.exact_powers import TooLong, exact_mixing_time
from theory.chains.operator import Chain, MatrixOperator, TransitionOperator, as_operator
from theory.chains.powers import PowerLadder, normalised, point_masses, step_error
from theory.chains.state_reduction import reduce_states
from theory.chains.stationary import StationaryLaw, stationary_law
from theory.chains.total_variation import distances_to, known_or_unique_law
from theory.errors import InvalidInput
from theory.memory import require_memory
from theory.pictures import Pictured

Array = NDArray[np.float64]

FEW_STATES = 256
"""Up to this many states dense powers are quicker than steps, however few the starts."""
LONGEST = 2**52
"""Longest time that is looked for in float64; rounding swamps any later one."""
EXACT_STATES = 256
"""Up to this many states a time that float64 does not settle is looked for by exact powers."""
LIMIT_ROUNDING = 1e-12
"""Distance between eps and a limit of the distances that is taken for rounding: they are equal then."""
EXTRA_LEVELS = 8
"""Powers beyond the mixing time that may be computed for the error bound."""


@dataclass(frozen=True)
class MixingTime(Pictured):
    """A mixing time and how sure it is.

    Attributes:
        steps: t_mix(eps), an int; math.inf where the chain never mixes.
        epsilon: eps.
        distance: d(t_mix), None where the chain never mixes; step by step, over the starts that were farther than eps
            at t_mix - 1, the others being known to be within it already.
        previous_distance: d(t_mix - 1), None where the chain never mixes or t_mix = 0. Where some starts settled the
            others, the largest over those alone: above eps, which proves the time, and a lower bound on d(t_mix - 1).
        worst_start: the start that has the previous distance (at t_mix = 0 the distance), None where never.
        all_starts: whether every state was a start; otherwise the maximum is over the given starts only.
        error_bound: bound on the error of the two distances, from rounding in the powers and from the residual of pi;
            the second supposes that the starts include a worst one. 1 where no bound was found.
        certain: whether the integer is certain: d(t_mix) + bound <= eps < d(t_mix - 1) - bound.
        reason: why the chain never mixes, or how the time was found.
    """

    steps: int | float
    epsilon: float
    distance: float | None
    previous_distance: float | None
    worst_start: int | None
    all_starts: bool
    error_bound: float
    certain: bool
    reason: str


class NotMixedBy(InvalidInput):
    """The chain mixes, but later than the longest time that was looked for, ``value`` steps."""


def mixing_time(
    chain: Chain,
    epsilon: float = 0.25,
    starts: ArrayLike | None = None,
    maximum: int | None = None,
    *,
    alike: ArrayLike | None = None,
) -> MixingTime:
    """t_mix(eps), worst case over all states or over the given starts.

    A chain of more than `FEW_STATES` that does not hold its matrix is run step by step where starts or classes of
    states are given: from each of the starts until it is within eps, or from as many classes as settle all others
    (`theory.chains.covering`). Every other chain is run by its powers; where these leave a doubt, or the time is beyond
    them, and there are at most `EXACT_STATES`, by exact powers of the matrix as it is held: its entries off the
    diagonal are taken as they are, and the diagonal as what they leave. Entries that are themselves rounded to 16
    digits move the time by as much, relative to it.

    Args:
        chain: the chain.
        epsilon: eps, in (0, 1).
        starts: states to start from; all by default.
        maximum: longest time to look for; by default as long as it can be resolved.
        alike: a label for every state, [S], the same where the distance is known to be the same at all times: orbits of
            a symmetry that the chain has, or ``range(S)`` where none is known. The worst case is that over all states.

    Raises:
        InvalidInput: ``epsilon`` outside (0, 1), a start out of range, starts together with classes, or another number
            of labels than of states.
        NotMixedBy: the chain mixes, but not by ``maximum``.
        ExceedsMemory: the powers would not fit.
    """
    operator = as_operator(chain)
    _check_search(epsilon, maximum)
    begin = np.arange(operator.states) if starts is None else check_states(starts, operator.states, "starts")
    labels = None if alike is None else _check_labels(alike, operator.states, starts)
    if labels is not None:
        begin = np.unique(labels, return_index=True)[1]
    iterated = not isinstance(operator, MatrixOperator) and operator.states > FEW_STATES
    if not (iterated and (starts is not None or labels is not None)):
        return _by_matrix(operator, begin, epsilon, maximum, starts is None)
    if operator.stationary is None and (obstacle := _obstacle(operator, epsilon, begin)):
        return _never(epsilon, starts is None, obstacle)
    known = known_or_unique_law(operator)
    rows = min(len(begin), BATCH_BYTES // (8 * operator.states) + 1)
    require_memory(32.0 * rows * operator.states, "starts", len(begin), "laws carried on at the same time")
    longest = LONGEST if maximum is None else maximum
    if labels is None:
        found = slowest_start(operator, known, begin, epsilon, longest)
        reason = "step by step from the given starts"
    else:
        found = slowest_of_all(operator, known, labels, epsilon, longest)
        reason = (
            ""
            if found is None
            else f"step by step from {found.followed} of {len(begin)} starts, which bound the others"
        )
    if found is None:
        if obstacle := _obstacle(operator, epsilon, begin):
            return _never(epsilon, starts is None, obstacle)
        raise _too_late(longest, epsilon)
    return _result(found, epsilon, starts is None, reason)


def mixing_time_from(chain: Chain, law: ArrayLike, epsilon: float = 0.25, maximum: int | None = None) -> MixingTime:
    """The first t with TV(nu P^t, pi) <= eps from an initial law nu, by powers.

    Args:
        chain, epsilon, maximum: as for `mixing_time`.
        law: nu, [S].

    Returns:
        As `mixing_time`, with no worst start; ``steps`` is infinite where the distance never comes down to eps.

    Raises:
        InvalidInput: ``epsilon`` outside (0, 1), or no law over the states.
        NotMixedBy, ExceedsMemory: as for `mixing_time`.
    """
    operator = as_operator(chain)
    _check_search(epsilon, maximum)
    return _by_matrix(operator, check_law(law, operator.states)[None, :], epsilon, maximum, False)


def _check_search(epsilon: float, maximum: int | None) -> None:
    if not 0 < epsilon < 1:
        raise InvalidInput("epsilon", epsilon, "a distance in (0, 1) is needed")
    if maximum is not None and maximum < 1:
        raise InvalidInput("maximum", maximum, "at least 1 step is needed")


def _by_matrix(
    operator: TransitionOperator, begin: NDArray[Any], epsilon: float, maximum: int | None, all_starts: bool
) -> MixingTime:
    """By powers of the matrix, in float64 where that settles it; ``begin`` are states, [R], or initial laws, [R, S]."""
    operator = (
        operator.held()
    )  # its powers need the matrix in any case, and made once it serves everything that follows
    if obstacle := _obstacle(operator, epsilon, begin):
        return _never(epsilon, all_starts, obstacle)
    require_memory(32.0 * len(begin) * operator.states, "starts", len(begin), "laws carried on at the same time")
    longest = LONGEST if maximum is None else maximum
    found = _by_powers(operator, stationary_law(operator), begin, epsilon, min(longest, LONGEST))
    result = None
    if found is not None:
        result = _result(found, epsilon, all_starts, "doubling of dense powers and binary descent")
        if result.certain:
            return result if begin.ndim == 1 else replace(result, worst_start=None)
    if operator.states <= EXACT_STATES and communicating_classes(operator).aperiodic:
        try:
            exact = exact_mixing_time(operator.to_dense(), begin, epsilon)
        except TooLong:
            pass
        else:
            if maximum is not None and exact.steps > maximum:
                raise _too_late(maximum, epsilon)
            return MixingTime(
                exact.steps,
                epsilon,
                exact.distance,
                exact.previous,
                int(begin[exact.worst]) if begin.ndim == 1 else None,
                all_starts,
                float(np.finfo(np.float64).eps),
                exact.certain,
                f"exact powers of the matrix as it is held, in {exact.bits} bits",
            )
    if result is None:
        raise _too_late(longest, epsilon)
    return result if begin.ndim == 1 else replace(result, worst_start=None)


def _too_late(longest: int, epsilon: float) -> NotMixedBy:
    return NotMixedBy("maximum", longest, f"the distance is still above {epsilon} after so many steps")


def _never(epsilon: float, all_starts: bool, reason: str) -> MixingTime:
    return MixingTime(math.inf, epsilon, None, None, None, all_starts, 0.0, True, reason)


def _result(found: Found, epsilon: float, all_starts: bool, reason: str) -> MixingTime:
    bound = min(1.0, found.error + found.law_error)
    near = max(found.distance, found.settled) + bound <= epsilon
    return MixingTime(
        steps=found.steps,
        epsilon=epsilon,
        distance=found.distance,
        previous_distance=found.previous,
        worst_start=found.worst,
        all_starts=all_starts,
        error_bound=bound,
        certain=near and (found.previous is None or found.previous - bound > epsilon),
        reason=reason,
    )


def _check_labels(alike: ArrayLike, states: int, starts: ArrayLike | None) -> NDArray[np.int64]:
    if starts is not None:
        raise InvalidInput("alike", "classes of all states", "give either starts or classes")
    labels = np.asarray(alike)
    if labels.shape != (states,) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput("alike", f"shape {labels.shape} of {labels.dtype}", f"{states} whole numbers are needed")
    return labels.astype(np.int64)


def _obstacle(operator: TransitionOperator, epsilon: float, begin: NDArray[Any]) -> str:
    """Why the distance never comes down to eps, or an empty string."""
    classes = communicating_classes(operator)
    if len(classes.closed_members) > 1:
        return f"reducible: {classes.describe()}; no law is the limit from every start"
    period = classes.closed_periods[0]
    if period == 1:
        return ""
    limits = _cyclic_limits(operator)
    ends = limits[begin] if begin.ndim == 1 else begin @ limits
    farthest = float(0.5 * np.abs(ends - 1 / period).sum(axis=1).max())
    if epsilon >= farthest - LIMIT_ROUNDING:
        return ""
    limit = f"1 - 1/{period}" if abs(farthest - 1 + 1 / period) <= LIMIT_ROUNDING else f"{farthest:.6g}"
    return f"periodic: period {period}, so that the distance stays at or above {limit}"


def _cyclic_limits(operator: TransitionOperator) -> Array:
    """h_j(x), [S, r]: the probability to be, at all late multiples of the period, in the j-th cyclic class."""
    turns = cyclic_classes(operator)[0]
    period, transient = len(turns), communicating_classes(operator).transient
    limits = np.zeros((operator.states, period))
    for turn, states in enumerate(turns):
        limits[states, turn] = 1.0
    if len(transient):
        # Entered at time s in C_j, the chain is in C_{j - s} at multiples of the period: clock and state together.
        entries = operator.held()
        inside = np.kron(np.roll(np.eye(period), 1, axis=1), entries.block(transient, transient))
        entering = np.stack([entries.block(transient, states).sum(axis=1) for states in turns])  # at clock 0, to C_j
        # From clock c the step leads to clock c + 1; C_j at clock c + 1 ends as class j - c - 1.
        ending = np.concatenate([np.roll(entering, -clock - 1, axis=0).T for clock in range(period)])
        size = len(inside)
        require_memory(40.0 * size**2, "states", size, "the reduction for the cyclic classes that are reached")
        watched = np.zeros((size + 1, size + 1))
        watched[1:, 0], watched[1:, 1:] = ending.sum(axis=1), inside
        cost = np.concatenate([np.zeros((1, period)), ending])
        found = reduce_states(watched).expected_cost(cost)[1 : len(transient) + 1]
        limits[transient] = found / found.sum(axis=1, keepdims=True)
    return limits


def _by_powers(
    operator: TransitionOperator, known: StationaryLaw, begin: NDArray[Any], epsilon: float, maximum: int
) -> Found | None:
    law = known.law
    ladder = PowerLadder(operator)

    def from_begin(level: int) -> Array:
        """The laws after 2^level steps."""
        rung = ladder.rung(level)
        return rung[begin] if begin.ndim == 1 else normalised(begin @ rung)

    def start(row: int) -> int:
        return int(begin[row]) if begin.ndim == 1 else row

    level = 0
    while (reached := _farthest(from_begin(level), law)[0]) > epsilon:
        if 1 << level >= maximum:
            return None
        level += 1
    # A power from which every state has clearly mixed, to bound the error of pi; a few levels further on at most.
    later = level
    while (distance_later := _farthest(ladder.rung(later), law)[0]) > 0.4 and later < level + EXTRA_LEVELS:
        later += 1

    # Invariant: d(low) > eps >= d(high).
    low, high, error = 0, 1 << level, 0.0
    rows: Array = point_masses(begin, operator.states) if begin.ndim == 1 else np.asarray(begin)
    before, worst = _farthest(rows, law)
    if before <= epsilon:
        return Found(0, before, None, start(worst), 0.0, law_error(known, 1 << later, distance_later))
    for step in range(level - 1, -1, -1):
        candidate = normalised(rows @ ladder.rung(step)) if low else from_begin(step)
        middle, farthest = _farthest(candidate, law)
        if middle > epsilon:
            low, rows, before, worst = low + (1 << step), candidate, middle, farthest
            error += ladder.errors[step] + step_error(operator.states)
        else:
            high, reached = low + (1 << step), middle
    if high > maximum:
        return None
    error += ladder.errors[0] + step_error(operator.states)
    return Found(high, reached, before, start(worst), error, law_error(known, 1 << later, distance_later))


def _farthest(rows: Array, law: Array) -> tuple[float, int]:
    """The largest distance over the rows, and which row has it."""
    distances = distances_to(rows, law)
    return float(distances.max()), int(distances.argmax())
