"""Bottleneck ratio (conductance).

Phi(A) = Q(A, A^c) / pi(A) with Q(A, A^c) = sum_{x in A, y not in A} pi(x) P(x, y), and Phi* = min Phi(A) over the sets
with 0 < pi(A) <= 1/2. The definition needs no reversibility; for a reversible chain Phi*^2 / 2 <= gap <= 2 Phi*
(Cheeger; Jerrum and Sinclair, Lawler and Sokal), and for any chain t_mix(1/4) >= 1 / (4 Phi*).

Up to 20 states every set is examined. Above, the sets are the level sets of the second eigenfunction of the additive
reversibilisation (P + P*)/2, which has the same Q(A, A^c) as P; the best of them is an upper bound on Phi*. All sums
are of non-negative terms, so that ratios of 1e-17 keep their digits.

Legend: ``S`` states. Source: Levin, Peres, Wilmer, sections 7.2 and 13.2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.checks import States, check_law, check_states
from theory.chains.operator import TransitionOperator, as_operator
from theory.chains.reversibility import edge_measure
from theory.chains.spectrum import symmetric_eigenvectors
from theory.chains.stationary import stationary_law
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]

ENUMERATED_STATES = 20
"""Largest number of states for which all 2^S sets are examined."""
SMALLEST_MASS = 1e-290
"""States of less mass are in none of the sets: the flow out of them may underflow."""
SMALLEST_FLOW = 1e-300
"""Products below this may have lost digits to underflow,"""
LOST = 5e-324
"""as much as this at most, which is added to a flow for each of its terms: no ratio is too small then."""
HALF_TOLERANCE = 1e-12
"""Excess over 1/2 of a set's mass that is taken for rounding."""


@dataclass(frozen=True, eq=False)
class BottleneckRatio:
    """The smallest ratio found, and where.

    Attributes:
        ratio: Phi(A); equal to Phi* where ``exact``, otherwise an upper bound on it.
        states: the set A, ascending.
        mass: pi(A).
        exact: whether every set was examined.
        method: "enumeration" or "sweep".
    """

    ratio: float
    states: States
    mass: float
    exact: bool
    method: str


def bottleneck_ratio_of(
    chain: TransitionOperator | ArrayLike, states: ArrayLike, law: ArrayLike | None = None
) -> float:
    """Phi(A) of one set A: the probability per step of leaving it, in stationarity.

    Raises:
        InvalidInput: the set has no stationary mass.
    """
    operator = as_operator(chain)
    inside = check_states(states, operator.states, "states")
    masses = stationary_law(operator).law if law is None else check_law(law, operator.states)
    mass = float(masses[inside].sum())
    if mass == 0:
        raise InvalidInput("states", f"{len(inside)} states", "the set must have positive stationary mass")
    outside = np.setdiff1d(np.arange(operator.states), inside, assume_unique=True)
    flow = masses[inside] @ operator.to_dense()[np.ix_(inside, outside)].sum(axis=1)
    return float(flow) / mass


def bottleneck_ratio(chain: TransitionOperator | ArrayLike, law: ArrayLike | None = None) -> BottleneckRatio:
    """Phi*, exactly up to 20 states of positive mass, by a sweep above.

    Args:
        chain: the chain.
        law: a stationary law; the unique one by default.

    Raises:
        InvalidInput: only one state has positive stationary mass, or no law is given for a chain with several closed
            classes.
    """
    operator = as_operator(chain)
    masses = stationary_law(operator).law if law is None else check_law(law, operator.states)
    carrying = np.flatnonzero(masses > SMALLEST_MASS)
    if len(carrying) < 2:
        raise InvalidInput("chain", "one state with mass", "a bottleneck needs two states of positive stationary mass")
    flow = edge_measure(operator, masses)[np.ix_(carrying, carrying)]
    steps = operator.to_dense()[np.ix_(carrying, carrying)]
    inside = masses[carrying]
    # In stationarity no more flows into the states left out than their mass.
    unseen = float(masses[masses <= SMALLEST_MASS].sum())
    if (masses.min() == 0 and len(carrying) < len(masses)) or ((flow < SMALLEST_FLOW) & (steps > 0)).any():
        unseen += LOST * operator.states**2
    exact = len(carrying) <= ENUMERATED_STATES
    ratio, chosen = _enumerate(flow, inside, unseen) if exact else _sweep(flow, inside, unseen)
    return BottleneckRatio(
        ratio, carrying[chosen], float(inside[chosen].sum()), exact, "enumeration" if exact else "sweep"
    )


def _subset_sums(values: Array) -> Array:
    """Sum of ``values`` over every subset of 0..n-1, shape [2^n], bit i of the index telling whether i is in."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums, sums + value])
    return sums


def _enumerate(flow: Array, masses: Array, unseen: float) -> tuple[float, States]:
    states = len(masses)
    require_memory(8.0 * 6 * 2**states, "states", states, f"all 2^{states} sets")
    cuts = np.zeros(1)  # Q(A, {0..i-1} \\ A) for every A within the first i states
    for i in range(states):
        into = _subset_sums(flow[:i, i])  # Q(A, i)
        out_of = _subset_sums(flow[i, :i])[::-1]  # Q(i, {0..i-1} \\ A): the complement has the reversed index
        cuts = np.concatenate([cuts + into, cuts + out_of])
    mass = _subset_sums(masses)
    allowed = (mass > 0) & (mass <= 0.5 + HALF_TOLERANCE)
    ratios = np.full(len(cuts), np.inf)
    np.divide(cuts + unseen, mass, out=ratios, where=allowed)
    best = int(ratios.argmin())
    return float(ratios[best]), np.flatnonzero(best >> np.arange(states) & 1)


def _sweep(flow: Array, masses: Array, unseen: float) -> tuple[float, States]:
    require_memory(48.0 * flow.size, "states", len(masses), "the sweep along the second eigenfunction")
    _, vectors = symmetric_eigenvectors(0.5 * (flow + flow.T) / masses[:, None])
    # Where the gap is below rounding the first two vectors are any basis of their span: take the part orthogonal to
    # the constant function.
    perron = np.sqrt(masses)
    second = np.linalg.svd(vectors[:, :2] - np.outer(perron, perron @ vectors[:, :2]), full_matrices=False)[0][:, 0]
    order = np.argsort(second / perron, kind="stable")
    sorted_flow = flow[np.ix_(order, order)]
    # forward[i, j]: flow out of the first i + 1 states into those from position j on, summed without subtraction.
    forward = np.cumsum(np.cumsum(sorted_flow[:, ::-1], axis=1)[:, ::-1], axis=0)
    cuts = np.diagonal(forward, offset=1)
    below = np.cumsum(masses[order])[:-1]
    above = np.cumsum(masses[order][::-1])[::-1][1:]
    ratios = (cuts + unseen) / np.minimum(below, above)
    best = int(ratios.argmin())
    chosen = order[: best + 1] if below[best] <= above[best] else order[best + 1 :]
    return float(ratios[best]), np.sort(chosen)
