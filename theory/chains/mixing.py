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
BATCH_BYTES = 2**26
"""Laws that are carried on at the same time, step by step, take about this much memory."""
EXTRA_LEVELS = 8
"""Powers beyond the mixing time that may be computed for the error bound."""


@dataclass(frozen=True)
class MixingTime:
    """A mixing time and how sure it is.

    Attributes:
        steps: t_mix(eps), an int; math.inf where the chain never mixes.
        epsilon: eps.
        distance: d(t_mix), None where the chain never mixes; step by step, over the starts that were farther than eps
            at t_mix - 1, the others being within it already.
        previous_distance: d(t_mix - 1), None where the chain never mixes or t_mix = 0.
        worst_start: the start that is farthest from pi at t_mix - 1 (at 0 where t_mix = 0), None where never.
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
) -> MixingTime:
    """t_mix(eps), worst case over all states or over the given starts.

    With starts, a chain of more than `FEW_STATES` that does not hold its matrix is run step by step from those starts
    alone, each until it is within eps; every other chain is run by its powers.

    Args:
        chain: the chain.
        epsilon: eps, in (0, 1).
        starts: states to start from; all by default.
        maximum: longest time to look for.

    Raises:
        InvalidInput: ``epsilon`` outside (0, 1), a start out of range, or a chain that mixes, but not by ``maximum``.
        ExceedsMemory: the powers would not fit.
    """
    operator = as_operator(chain)
    if not 0 < epsilon < 1:
        raise InvalidInput("epsilon", epsilon, "a distance in (0, 1) is needed")
    if maximum < 1:
        raise InvalidInput("maximum", maximum, "at least 1 step is needed")
    begin = np.arange(operator.states) if starts is None else check_states(starts, operator.states, "starts")
    by_steps = starts is not None and not isinstance(operator, DenseOperator) and operator.states > FEW_STATES
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
    search = _step_by_step if by_steps else _by_powers
    found = search(operator, known, begin, epsilon, maximum)
    if found is None:
        obstacle = _obstacle(operator, epsilon, begin) if by_steps else ""
        if obstacle:
            return MixingTime(math.inf, epsilon, None, None, None, False, 0.0, True, obstacle)
        raise InvalidInput("maximum", maximum, f"the distance is still above {epsilon}; a larger maximum is needed")
    bound = min(1.0, found.error + found.law_error)
    distance, previous = found.distance, found.previous
    return MixingTime(
        steps=found.steps,
        epsilon=epsilon,
        distance=distance,
        previous_distance=previous,
        worst_start=int(begin[found.worst]),
        all_starts=starts is None,
        error_bound=bound,
        certain=distance + bound <= epsilon and (previous is None or previous - bound > epsilon),
        reason="step by step from the given starts" if by_steps else "doubling of dense powers and binary descent",
    )


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


@dataclass(frozen=True)
class _Found:
    """What a search found: the integer, the distances around it, the position of the worst start, error bounds."""

    steps: int
    distance: float
    previous: float | None
    worst: int
    error: float
    law_error: float = 0.0


def _law_error(known: StationaryLaw, time: int, distance: float) -> float:
    """Bound on delta = TV(pi as computed, pi) from its residual r: delta <= dbar(t) delta + t ||r||_1 / 2.

    dbar(t) <= 2 d(t) with distances to the computed pi as well; useless (then 1) unless d(t) < 1/2.
    """
    if distance >= 0.49:
        return 1.0
    leak = 0.5 * known.residual + step_error(len(known.law))
    return min(1.0, time * leak / (1 - 2 * distance))


def _by_powers(
    operator: TransitionOperator, known: StationaryLaw, starts: States, epsilon: float, maximum: int
) -> _Found | None:
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
        return _Found(0, before, None, worst, 0.0, _law_error(known, 1 << later, distance_later))
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
    return _Found(high, reached, before, worst, error, _law_error(known, 1 << later, distance_later))


def _step_by_step(
    operator: TransitionOperator, known: StationaryLaw, starts: States, epsilon: float, maximum: int
) -> _Found | None:
    """Start after start is dropped once it has come within eps, for good: d_x is non-increasing.

    The starts go in batches that fit into memory, those of least stationary mass first: they tend to be the slowest,
    and a later batch has to be followed only as long as it is farther than eps.
    """
    law = known.law
    order = np.argsort(law[starts], kind="stable")
    batch = max(1, BATCH_BYTES // (8 * operator.states))
    best = _Found(0, 0.0, None, int(order[0]), 0.0)
    for first in range(0, len(order), batch):
        alive = order[first : first + batch]
        rows = point_masses(starts[alive], operator.states)
        distances = distances_to(rows, law)
        previous: Array | None = None
        steps = 0
        while (distances > epsilon).any():
            if steps >= maximum:
                return None
            far = distances > epsilon
            alive, rows, previous = alive[far], rows if far.all() else rows[far], distances[far]
            rows = operator.propagate(rows)
            steps += 1
            distances = distances_to(rows, law)
        found = _Found(
            steps,
            float(distances.max()),
            None if previous is None else float(previous.max()),
            int(alive[(distances if previous is None else previous).argmax()]),
            steps * step_error(operator.states),
            _law_error(known, steps, float(distances.max())),
        )
        if (found.steps, found.previous or 0.0) > (best.steps, best.previous or 0.0) or first == 0:
            best = found
    return best


def _farthest(rows: Array, law: Array) -> tuple[float, int]:
    """The largest distance over the rows, and which row has it."""
    distances = distances_to(rows, law)
    return float(distances.max()), int(distances.argmax())
