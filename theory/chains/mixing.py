"""Exact mixing times.

t_mix(eps) = min{t >= 0: d(t) <= eps}, d(t) = max_x TV(P^t(x, .), pi). As d is non-increasing, the powers P, P^2, P^4,
... bracket it, and a binary descent through them finds the integer. The maximum over a part of the starts is
non-increasing as well.

A chain with several closed classes has no unique pi, and one of period r keeps d(t) >= 1 - 1/r for ever: such chains
never mix, and the result says so.

Legend: ``S`` states, ``B`` starts. Source: Levin, Peres, Wilmer, sections 4.4 and 4.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.checks import States, check_states
from theory.chains.classes import communicating_classes
from theory.chains.covering import BATCH_BYTES, Found, law_error, slowest_of_all, slowest_start
from theory.chains.operator import DenseOperator, TransitionOperator, as_operator
from theory.chains.powers import PowerLadder, normalised, point_masses, step_error
from theory.chains.stationary import StationaryLaw, stationary_law
from theory.chains.total_variation import distances_to, known_or_unique_law
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]

FEW_STATES = 256
"""Up to this many states dense powers are quicker than steps, however few the starts."""
LONGEST = 2**52
"""Longest time that is looked for by default; rounding swamps any later one."""
EXTRA_LEVELS = 8
"""Powers beyond the mixing time that may be computed for the error bound."""


@dataclass(frozen=True)
class MixingTime:
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


def mixing_time(
    chain: TransitionOperator | ArrayLike,
    epsilon: float = 0.25,
    starts: ArrayLike | None = None,
    maximum: int = LONGEST,
    *,
    alike: ArrayLike | None = None,
) -> MixingTime:
    """t_mix(eps), worst case over all states or over the given starts.

    A chain of more than `FEW_STATES` that does not hold its matrix is run step by step where starts or classes of
    states are given: from each of the starts until it is within eps, or from as many classes as settle all others
    (`theory.chains.covering`). Every other chain is run by its powers.

    Args:
        chain: the chain.
        epsilon: eps, in (0, 1).
        starts: states to start from; all by default.
        maximum: longest time to look for.
        alike: a label for every state, [S], the same where the distance is known to be the same at all times: orbits of
            a symmetry that the chain has, or ``range(S)`` where none is known. The worst case is that over all states.

    Raises:
        InvalidInput: ``epsilon`` outside (0, 1), a start out of range, starts together with classes, another number of
            labels than of states, or a chain that mixes, but not by ``maximum``.
        ExceedsMemory: the powers would not fit.
    """
    operator = as_operator(chain)
    if not 0 < epsilon < 1:
        raise InvalidInput("epsilon", epsilon, "a distance in (0, 1) is needed")
    if maximum < 1:
        raise InvalidInput("maximum", maximum, "at least 1 step is needed")
    begin = np.arange(operator.states) if starts is None else check_states(starts, operator.states, "starts")
    labels = None if alike is None else _check_labels(alike, operator.states, starts)
    if labels is not None:
        begin = np.unique(labels, return_index=True)[1]
    iterated = not isinstance(operator, DenseOperator) and operator.states > FEW_STATES
    by_steps = iterated and (starts is not None or labels is not None)
    if not by_steps:
        # Its powers need the matrix in any case, and made once it serves everything that follows.
        operator = DenseOperator(operator.to_dense(), operator.reversible, operator.stationary)
    if not by_steps or operator.stationary is None:
        obstacle = _obstacle(operator, epsilon, begin)
        if obstacle:
            return MixingTime(math.inf, epsilon, None, None, None, starts is None, 0.0, True, obstacle)
        known = stationary_law(operator)
    else:
        known = known_or_unique_law(operator)
    rows = min(len(begin), BATCH_BYTES // (8 * operator.states) + 1) if by_steps else len(begin)
    require_memory(32.0 * rows * operator.states, "starts", len(begin), "laws carried on at the same time")
    reason = "doubling of dense powers and binary descent"
    if not by_steps:
        found = _by_powers(operator, known, begin, epsilon, maximum)
    elif labels is None:
        found = slowest_start(operator, known, begin, epsilon, maximum)
        reason = "step by step from the given starts"
    else:
        found = slowest_of_all(operator, known, labels, epsilon, maximum)
        if found is not None:
            reason = f"step by step from {found.followed} of {len(begin)} starts, which bound the others"
    if found is None:
        obstacle = _obstacle(operator, epsilon, begin) if by_steps else ""
        if obstacle:
            return MixingTime(math.inf, epsilon, None, None, None, starts is None, 0.0, True, obstacle)
        raise InvalidInput("maximum", maximum, f"the distance is still above {epsilon}; a larger maximum is needed")
    bound = min(1.0, found.error + found.law_error)
    distance, previous = found.distance, found.previous
    near = max(distance, found.settled) + bound <= epsilon
    return MixingTime(
        steps=found.steps,
        epsilon=epsilon,
        distance=distance,
        previous_distance=previous,
        worst_start=found.worst,
        all_starts=starts is None,
        error_bound=bound,
        certain=near and (previous is None or previous - bound > epsilon),
        reason=reason,
    )


def _check_labels(alike: ArrayLike, states: int, starts: ArrayLike | None) -> NDArray[np.int64]:
    if starts is not None:
        raise InvalidInput("alike", "classes of all states", "give either starts or classes")
    labels = np.asarray(alike)
    if labels.shape != (states,) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput("alike", f"shape {labels.shape} of {labels.dtype}", f"{states} whole numbers are needed")
    return labels.astype(np.int64)


def _obstacle(operator: TransitionOperator, epsilon: float, starts: States) -> str:
    """Why the distance never comes down to eps, or an empty string."""
    classes = communicating_classes(operator)
    if len(classes.closed_members) > 1:
        return f"reducible: {classes.describe()}; no law is the limit from every start"
    period = classes.closed_periods[0]
    # A start inside the closed class keeps to one of its cyclic classes, each of mass 1/period, at every time.
    if epsilon < 1 - 1 / period and np.isin(starts, classes.closed_members[0]).any():
        return f"periodic: period {period}, so that the distance stays at or above 1 - 1/{period}"
    return ""


def _by_powers(
    operator: TransitionOperator, known: StationaryLaw, starts: States, epsilon: float, maximum: int
) -> Found | None:
    law = known.law
    ladder = PowerLadder(operator)
    level = 0
    while (reached := _farthest(ladder.rung(level)[starts], law)[0]) > epsilon:
        if 1 << level >= maximum:
            return None
        level += 1
    # A power from which every state has clearly mixed, to bound the error of pi; a few levels further on at most.
    later = level
    while (distance_later := _farthest(ladder.rung(later), law)[0]) > 0.4 and later < level + EXTRA_LEVELS:
        later += 1

    # Invariant: d(low) > eps >= d(high).
    low, high, error = 0, 1 << level, 0.0
    rows = point_masses(starts, operator.states)
    before, worst = _farthest(rows, law)
    if before <= epsilon:
        return Found(0, before, None, int(starts[worst]), 0.0, law_error(known, 1 << later, distance_later))
    for step in range(level - 1, -1, -1):
        candidate = normalised(rows @ ladder.rung(step)) if low else ladder.rung(step)[starts]
        middle, farthest = _farthest(candidate, law)
        if middle > epsilon:
            low, rows, before, worst = low + (1 << step), candidate, middle, farthest
            error += ladder.errors[step] + step_error(operator.states)
        else:
            high, reached = low + (1 << step), middle
    if high > maximum:
        return None
    error += ladder.errors[0] + step_error(operator.states)
    return Found(high, reached, before, int(starts[worst]), error, law_error(known, 1 << later, distance_later))


def _farthest(rows: Array, law: Array) -> tuple[float, int]:
    """The largest distance over the rows, and which row has it."""
    distances = distances_to(rows, law)
    return float(distances.max()), int(distances.argmax())
