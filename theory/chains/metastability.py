"""Metastable sets of a reversible chain.

A chain with k - 1 eigenvalues (beside lambda_1 = 1) near 1 has k sets that it seldom leaves. The first k eigenfunctions
are nearly constant on each of them, so that the states, mapped to the rows of the [S, k] matrix of eigenfunctions, lie
near the corners of a simplex. The corners are found one by one as the state farthest from the span of those before
(inner simplex algorithm); barycentric coordinates give each state a degree of membership, and it joins the set of the
largest. The assignment is deterministic; everything reported about the sets is exact for them.

Legend: ``S`` states, ``k`` sets. Source: Deuflhard and Weber 2005, *Linear Algebra and its Applications* 398 (PCCA+);
Bovier and den Hollander 2015, *Metastability*, for the link between small eigenvalues and mean escape times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.checks import States
from theory.chains.conductance import bottleneck_ratio_of
from theory.chains.hitting import HittingTimes, expected_escape_times
from theory.chains.operator import TransitionOperator, as_operator
from theory.chains.reversibility import is_reversible
from theory.chains.spectrum import symmetric_eigenvectors
from theory.chains.stationary import stationary_law
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MetastableSet:
    """One of the sets that the chain seldom leaves.

    Attributes:
        states: the set A, ascending.
        mass: pi(A).
        escape_rate: Q(A, A^c) / pi(A), the probability of leaving in one step in stationarity.
        escape_time: expected steps until the set is left, started from pi restricted to A.
        escape_times: expected steps from every state of A, with the worst and the best start.
    """

    states: States
    mass: float
    escape_rate: float
    escape_time: float
    escape_times: HittingTimes


@dataclass(frozen=True, eq=False)
class MetastablePartition:
    """A partition of the states into metastable sets, the heaviest first.

    Attributes:
        sets: the k sets.
        memberships: barycentric coordinates of every state, [S, k]; rows sum to 1, small negative values can occur.
        eigenvalues: the leading k + 1 eigenvalues (k where S = k), descending: a wide step after the k-th speaks for k.
    """

    sets: tuple[MetastableSet, ...]
    memberships: Array
    eigenvalues: Array


def metastable_sets(chain: TransitionOperator | ArrayLike, count: int) -> MetastablePartition:
    """Split the states into ``count`` metastable sets.

    Raises:
        InvalidInput: ``count`` outside 2..S, a chain that is not reversible with respect to its unique stationary
            law, or one with transient states.
    """
    operator = as_operator(chain)
    if not 2 <= count <= operator.states:
        raise InvalidInput("count", count, f"the number of sets must lie in 2..{operator.states}")
    law = stationary_law(operator).law
    if law.min() == 0:
        raise InvalidInput(
            "chain", f"{int((law == 0).sum())} states without mass", "restrict the chain to its closed class"
        )
    if not is_reversible(operator, law):
        raise InvalidInput(
            "chain", "not reversible", "metastable sets are read from the spectrum of a reversible chain"
        )
    require_memory(4.0 * operator.dense_bytes, "states", operator.states, "the eigenvectors")
    values, vectors = symmetric_eigenvectors(operator.to_dense())
    functions = vectors[:, :count] / np.sqrt(law)[:, None]
    memberships = functions @ np.linalg.inv(functions[simplex_corners(functions)])
    labels = memberships.argmax(axis=1)
    masses = np.bincount(labels, weights=law, minlength=count)
    heaviest = np.argsort(-masses, kind="stable")
    found = tuple(_describe(operator, law, np.flatnonzero(labels == label)) for label in heaviest)
    return MetastablePartition(found, memberships[:, heaviest], values[: count + 1])


def simplex_corners(functions: Array) -> States:
    """Rows that span the largest simplex, picked greedily: farthest from the affine span of those before."""
    chosen = [int(np.square(functions).sum(axis=1).argmax())]
    rest = functions - functions[chosen[0]]
    for _ in range(1, functions.shape[1]):
        lengths = np.linalg.norm(rest, axis=1)
        farthest = int(lengths.argmax())
        chosen.append(farthest)
        direction = rest[farthest] / lengths[farthest]
        rest = rest - np.outer(rest @ direction, direction)
    return np.array(chosen)


def _describe(operator: TransitionOperator, law: Array, states: States) -> MetastableSet:
    escape = expected_escape_times(operator, states)
    mass = float(law[states].sum())
    return MetastableSet(
        states=states,
        mass=mass,
        escape_rate=bottleneck_ratio_of(operator, states, law),
        escape_time=float(law[states] @ escape.times[states]) / mass,
        escape_times=escape,
    )
