"""Metastable sets of a reversible chain.

A chain with k - 1 eigenvalues (beside lambda_1 = 1) near 1 has k sets that it seldom leaves. The first k eigenfunctions
are nearly constant on each of them, so that the states, mapped to the rows of the [S, k] matrix X of eigenfunctions,
lie near the corners of a simplex. The corners are found one by one as the state farthest from the span of those before
(inner simplex algorithm). Degrees of membership chi = X A that are non-negative and sum to 1 are got from there by
moving the faces of the simplex outward until every state is inside, and then made as crisp as a local search can
(largest sum_j <chi_j, chi_j> / <chi_j, 1>). Each state joins the set of its largest membership. The assignment is
deterministic; everything reported about the sets is exact for them.

Closed classes are sets that are never left; the eigenvalue 1 is then multiple, and nothing else changes. A transient
state has the mean of the memberships of where it enters a closed class.

Legend: ``S`` states, ``k`` sets. Source: Deuflhard and Weber 2005, *Linear Algebra and its Applications* 398; Röblitz
and Weber 2013, *Adv. Data Anal. Classif.* 7 (PCCA+); Bovier and den Hollander 2015, *Metastability*, for the link
between small eigenvalues and mean escape times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from theory.chains.checks import States
from theory.chains.classes import communicating_classes
from theory.chains.conductance import bottleneck_ratio_of
from theory.chains.hitting import HittingTimes, expected_escape_times, until_left
from theory.chains.operator import Chain, TransitionOperator, as_operator
from theory.chains.reversibility import is_reversible
from theory.chains.spectrum import symmetric_eigenvectors
from theory.chains.stationary import stationary_laws
from theory.errors import InvalidInput
from theory.memory import require_memory
from theory.pictures import Pictured

Array = NDArray[np.float64]

RESTARTS = 3
"""Searches, each with a fresh simplex of its own where the one before ended: corners of the loss stop it early."""
MOST_SEARCHED = 25
"""Free entries of A up to which the crispest memberships are searched for; above, the first feasible ones are taken."""


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
class MetastablePartition(Pictured):
    """A partition of the states into metastable sets, the heaviest first.

    Attributes:
        sets: the k sets.
        memberships: degrees of membership of every state, [S, k]: non-negative, rows sum to 1.
        eigenvalues: the leading k + 1 eigenvalues (k where S = k), descending: a wide step after the k-th speaks for k.
    """

    sets: tuple[MetastableSet, ...]
    memberships: Array
    eigenvalues: Array


def metastable_sets(chain: Chain, count: int) -> MetastablePartition:
    """Split the states into ``count`` metastable sets.

    With several closed classes the stationary law is the mixture in which each has the mass of its share of states.

    Raises:
        InvalidInput: ``count`` outside 2..S (transient states not counted) or below the number of closed classes, or a
            closed class that is not reversible.
        ExceedsMemory: the eigenvectors would not fit.
    """
    operator = as_operator(chain)
    laws = stationary_laws(operator)
    recurrent = np.sort(np.concatenate([found.states for found in laws]))
    fewest = max(2, len(laws))
    if not fewest <= count <= len(recurrent):
        raise InvalidInput(
            "count", count, f"must lie in {fewest}..{len(recurrent)}: no fewer sets than closed classes, which are sets"
        )
    law = np.sum([found.law * (len(found.states) / len(recurrent)) for found in laws], axis=0)
    inside = operator.held().block(recurrent, recurrent)
    if not is_reversible(inside, law[recurrent]):
        raise InvalidInput(
            "chain", "not reversible", "metastable sets are read from the spectrum of a reversible chain"
        )
    require_memory(4.0 * inside.nbytes, "states", len(recurrent), "the eigenvectors")
    values, vectors = symmetric_eigenvectors(inside)
    memberships = np.zeros((operator.states, count))
    memberships[recurrent] = _memberships(vectors[:, :count], np.sqrt(law[recurrent]))
    transient = communicating_classes(operator).transient
    if len(transient):
        entered = until_left(
            operator, transient, lambda held: held.block(transient, recurrent) @ memberships[recurrent]
        )
        memberships[transient] = entered / entered.sum(axis=1, keepdims=True)
    labels = memberships.argmax(axis=1)
    masses = np.bincount(labels, weights=law, minlength=count)
    heaviest = np.argsort(-masses, kind="stable")
    found = tuple(_describe(operator, law, np.flatnonzero(labels == label)) for label in heaviest)
    return MetastablePartition(found, memberships[:, heaviest], values[: count + 1])


def _memberships(vectors: Array, perron: Array) -> Array:
    """Non-negative memberships [S, k] in the span of the leading eigenfunctions, as crisp as a local search finds.

    Args:
        vectors: leading eigenvectors of the symmetrised chain, [S, k].
        perron: square roots of the stationary masses, [S].
    """
    # The constant function first: where the eigenvalue 1 is multiple, or nearly, the vectors are any basis.
    rest = vectors - np.outer(perron, perron @ vectors)
    others = np.linalg.svd(rest, full_matrices=False)[0][:, : vectors.shape[1] - 1]
    functions = np.column_stack([perron, others]) / perron[:, None]
    inner = np.linalg.inv(functions[simplex_corners(functions)])
    free = inner[1:, 1:]

    def loss(flat: Array) -> float:
        frame = _around(functions, flat.reshape(free.shape))
        return -float((np.square(frame) / frame[0]).sum())

    best = np.array(free, dtype=np.float64).reshape(-1)
    for _ in range(RESTARTS if free.size <= MOST_SEARCHED else 0):
        search = minimize(loss, best, method="Nelder-Mead", options={"maxiter": 200 * free.size, "fatol": 1e-10})
        if search.fun < loss(best):
            best = np.asarray(search.x, dtype=np.float64)
    for frame in (_around(functions, best.reshape(free.shape)), inner):
        memberships = np.maximum(functions @ frame, 0.0)
        memberships /= memberships.sum(axis=1, keepdims=True)
        if len(np.unique(memberships.argmax(axis=1))) == len(frame):
            break  # else a set has no state of its own: keep to the corners, cut off at 0
    return np.asarray(memberships)


def _around(functions: Array, free: Array) -> Array:
    """The matrix A [k, k] of a simplex around all states, from the directions [k - 1, k - 1] of all faces but one.

    Below its first row every row sums to 0, and the first is as small as chi >= 0 lets it be; all is scaled, so that
    chi sums to 1.
    """
    directions = np.column_stack([-free.sum(axis=1), free])
    offsets = -(functions[:, 1:] @ directions).min(axis=0)
    return np.asarray(np.vstack([offsets, directions]) / offsets.sum())


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
    carrying = states[law[states] > 0]
    return MetastableSet(
        states=states,
        mass=mass,
        escape_rate=bottleneck_ratio_of(operator, states, law),
        escape_time=float(law[carrying] @ escape.times[carrying]) / mass,
        escape_times=escape,
    )
