"""Distances followed step by step, and the worst case over all states from a few of them.

d_x(t) = TV(P^t(x, .), pi) is non-increasing in t, and as P^(t+1)(x, .) = sum_y P(x, y) P^t(y, .), by convexity

    d_x(t + 1) <= sum_y P(x, y) d_y(t).                                                                       (*)

*Covering.* Follow some starts C exactly. With D_0 = 1 - pi and, step after step, D_{t+1} = min(D_t, P D_t), lowered at
the starts in C to their exact distances, (*) gives d_x(t) <= D_t(x) for every state x, at the price of one product a
step for all states together. In words: d_x(t) is at most the mean of d_y(t - s) over where and when the chain from x
first meets C. Likely states are met within few steps, and most starts come near long before the worst one does, so that
a few likely starts settle nearly all others. Where T is the largest mixing time of the starts in C and D_T <= eps
everywhere else, T is the worst case over all states. Otherwise some of the states that are not settled are followed
too; in the end all of them would be. Where d_x(t) is known to be the same for all states of a class (an orbit of a
symmetry), one start settles its class.

Legend: ``S`` states, ``B`` starts, ``R`` classes of states with equal distances.
Source: Levin, Peres, Wilmer, section 4.4, for monotony; (*) is the triangle inequality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.chains.checks import States
from theory.chains.operator import TransitionOperator
from theory.chains.powers import point_masses, step_error
from theory.chains.stationary import StationaryLaw
from theory.chains.total_variation import distances_to

Array = NDArray[np.float64]

BATCH_BYTES = 2**26
"""Laws that are carried on at the same time take about this much memory."""
LEVEL = 0.8
"""Covering starts are followed down to this part of eps: means over them then come below eps earlier."""
ROUNDS = 32
"""A round follows about this part of the classes, and at least `FEWEST`."""
FEWEST = 8
SUSPECTS = 2
"""Starts of each round that are taken for being the slowest ones by their bounds; the others are the likeliest."""
SLACK = 1e-9
"""Part of eps that a bound keeps below eps, beside its rounding."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        steps: the integer T.
        distance, previous: the largest distances at T and T - 1 (None where T = 0) over the starts that were looked at.
        worst: the start that has the second (at T = 0 the first).
        error: bound on the rounding error of the two.
        law_error: bound on the error from pi.
        settled: the largest bound on the distance at T of the starts that were not looked at; 0 where all were.
        followed: how many starts were looked at.
    """

    steps: int
    distance: float
    previous: float | None
    worst: int
    error: float
    law_error: float = 0.0
    settled: float = 0.0
    followed: int = 0


def law_error(known: StationaryLaw, time: int, distance: float) -> float:
    """Bound on delta = TV(pi as computed, pi) from its residual r: delta <= dbar(t) delta + t ||r||_1 / 2.

    dbar(t) <= 2 d(t) with distances to the computed pi as well; useless (then 1) unless d(t) < 1/2.
    """
    if distance >= 0.49:
        return 1.0
    leak = 0.5 * known.residual + step_error(len(known.law))
    return min(1.0, time * leak / (1 - 2 * distance))


def follow(
    operator: TransitionOperator, law: Array, starts: States, level: float, epsilon: float, maximum: int
) -> list[Array] | None:
    """d_x(0), d_x(1), ... of each start, as far as the first one that is at most ``level``, or to ``maximum``.

    Returns:
        One curve for each start; None where one of them is still farther than ``epsilon`` at ``maximum``.
    """
    curves: list[list[float]] = [[] for _ in starts]
    batch = max(1, BATCH_BYTES // (8 * operator.states))
    for first in range(0, len(starts), batch):
        alive = np.arange(first, min(first + batch, len(starts)))
        rows = point_masses(starts[alive], operator.states)
        steps = 0
        while True:
            distances = distances_to(rows, law)
            for index, distance in zip(alive.tolist(), distances.tolist(), strict=True):
                curves[index].append(distance)
            if steps == maximum and (distances > epsilon).any():
                return None
            far = distances > (level if steps < maximum else epsilon)
            if not far.any():
                break
            alive, rows = alive[far], rows if far.all() else rows[far]
            rows = operator.propagate(rows)
            steps += 1
    return [np.array(curve) for curve in curves]


def slowest_start(
    operator: TransitionOperator, known: StationaryLaw, starts: States, epsilon: float, maximum: int
) -> Found | None:
    """The largest mixing time over the starts, each followed until it is within eps; None where it is above maximum."""
    curves = follow(operator, known.law, starts, epsilon, epsilon, maximum)
    return None if curves is None else _slowest(known, starts, curves, epsilon)


def slowest_of_all(
    operator: TransitionOperator, known: StationaryLaw, alike: NDArray[np.int64], epsilon: float, maximum: int
) -> Found | None:
    """The largest mixing time over all states, by covering; None where it is above ``maximum``.

    Args:
        alike: a label for every state, [S]; states with the same label have the same distance at all times.
    """
    _, starts, labels = np.unique(alike, return_index=True, return_inverse=True)
    labels = labels.reshape(-1)
    classes = len(starts)
    weight = np.bincount(labels, known.law, classes)
    size = max(FEWEST, -(-classes // ROUNDS))
    bound = 1 - known.law[starts]
    curves: dict[int, Array] = {}
    while True:
        open_ = np.setdiff1d(np.flatnonzero(bound > 0), np.fromiter(curves, np.int64, len(curves)))
        slow = open_[np.argsort(-bound[open_], kind="stable")[:SUSPECTS]]
        rest = np.setdiff1d(open_, slow)
        likely = rest[np.argsort(-weight[rest], kind="stable")[: size - len(slow)]]
        chosen = np.concatenate([slow, likely])
        found = follow(operator, known.law, starts[chosen], LEVEL * epsilon, epsilon, maximum)
        if found is None:
            return None
        curves.update(zip(chosen.tolist(), found, strict=True))
        numbers = np.array(list(curves), dtype=np.int64)
        worst = _slowest(known, starts[numbers], list(curves.values()), epsilon)
        margin = worst.steps * (2 * step_error(operator.states) + 0.5 * known.residual)
        over = _cover(operator, known.law, labels, curves, worst.steps)[starts] + margin
        over[numbers] = 0.0
        if over.max() <= (1 - SLACK) * epsilon:
            return Found(
                worst.steps,
                worst.distance,
                worst.previous,
                worst.worst,
                worst.error,
                worst.law_error,
                float(over.max()),
                len(curves),
            )
        bound = np.where(over > (1 - SLACK) * epsilon, over, 0.0)


def _cover(
    operator: TransitionOperator, law: Array, labels: NDArray[np.int64], curves: dict[int, Array], steps: int
) -> Array:
    """D_t at t = ``steps``, [S]."""
    numbers = np.array(list(curves), dtype=np.int64)
    exact = np.ones(int(labels.max()) + 1)
    above = 1 - law
    for time in range(1, steps + 1):
        # A curve that has ended stays below its last value.
        exact[numbers] = [curve[min(time, len(curve) - 1)] for curve in curves.values()]
        above = np.minimum(np.minimum(above, operator.apply(above)), exact[labels])
    return above


def _slowest(known: StationaryLaw, starts: States, curves: list[Array], epsilon: float) -> Found:
    """The result for starts whose curves have come within eps."""
    times = np.array([int(np.argmax(curve <= epsilon)) for curve in curves])
    steps = int(times.max())
    last = np.flatnonzero(times == steps)
    distances = np.array([curves[index][steps] for index in last])
    before = distances if steps == 0 else np.array([curves[index][steps - 1] for index in last])
    return Found(
        steps=steps,
        distance=float(distances.max()),
        previous=None if steps == 0 else float(before.max()),
        worst=int(starts[last[before.argmax()]]),
        error=steps * step_error(len(known.law)),
        law_error=law_error(known, steps, float(distances.max())),
        followed=len(starts),
    )
