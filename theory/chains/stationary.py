"""Stationary laws.

pi is stationary where pi P = pi. A finite chain has exactly one stationary law for each closed class (extreme points);
it is unique where there is one closed class, and it has mass 0 on transient states. The laws are computed by state
reduction (`theory.chains.state_reduction`), which is accurate entry by entry also for nearly reducible chains. Where
the builder declares the chain reversible, they follow from detailed balance along a spanning tree of each class,

    ln pi(y) = ln pi(x) + ln P(x, y) - ln P(y, x),

in S^2 operations instead of S^3, and the residual tells whether the declaration is true.

Legend: ``S`` states. Source: Levin, Peres, Wilmer, sections 1.5 and 1.7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.checks import States, check_law
from theory.chains.classes import communicating_classes
from theory.chains.facts import fact
from theory.chains.operator import Chain, TransitionOperator, as_operator
from theory.chains.state_reduction import reduce_states
from theory.errors import InvalidInput
from theory.memory import require_memory
from theory.pictures import Pictured

Array = NDArray[np.float64]

KNOWN_LAW_TOLERANCE = 1e-8
"""Largest residual of a law that the chain carries; a larger one is a mistake of its builder, not rounding."""

BALANCED_LAW_TOLERANCE = 1e-12
"""Largest residual of a law from detailed balance; above it, state reduction decides."""


@dataclass(frozen=True, eq=False)
class StationaryLaw(Pictured):
    """A stationary law and how it was obtained.

    Attributes:
        law: masses of all states, [S].
        states: the closed class that carries it, ascending.
        residual: ||pi P - pi||_1.
        method: "state reduction", "detailed balance" or "known", the last where the chain carries the law.
    """

    law: Array
    states: States
    residual: float
    method: str


def residual(chain: Chain, law: ArrayLike) -> float:
    """||pi P - pi||_1: zero where the law is stationary."""
    operator = as_operator(chain)
    masses = check_law(law, operator.states)
    return float(np.abs(operator.propagate(masses) - masses).sum())


def stationary_law(chain: Chain) -> StationaryLaw:
    """The unique stationary law; the one that the chain carries, where it does.

    Raises:
        InvalidInput: several closed classes, so that the law is not unique; or the law that the chain carries is not
            stationary.
    """
    operator = as_operator(chain)
    classes = communicating_classes(operator)
    if len(classes.closed_members) > 1:
        raise InvalidInput(
            "chain",
            classes.describe(),
            "a unique stationary law needs one closed class; stationary_laws gives them all",
        )
    return stationary_laws(operator)[0]


@fact
def stationary_laws(operator: TransitionOperator) -> tuple[StationaryLaw, ...]:
    """One stationary law for each closed class; every other stationary law is a mixture of them.

    Raises:
        InvalidInput: the law that the chain carries is not stationary.
        ExceedsMemory: a closed class is too large for state reduction.
    """
    classes = communicating_classes(operator)
    if len(classes.closed_members) == 1 and operator.stationary is not None:
        return (_known_law(operator, classes.closed_members[0]),)
    entries = operator.held()
    found = []
    for states in classes.closed_members:
        if operator.reversible and (masses := _balanced_law(entries.block(states, states))) is not None:
            law = np.zeros(operator.states)
            law[states] = masses
            if (error := residual(operator, law)) <= BALANCED_LAW_TOLERANCE:
                found.append(StationaryLaw(law, states, error, "detailed balance"))
                continue
        require_memory(16.0 * len(states) ** 2, "states", len(states), "state reduction")
        law = np.zeros(operator.states)
        law[states] = reduce_states(entries.block(states, states)).stationary_law()
        found.append(StationaryLaw(law, states, residual(operator, law), "state reduction"))
    return tuple(found)


def _balanced_law(block: Array) -> Array | None:
    """The law that detailed balance along a breadth-first tree gives to an irreducible block; None where an edge of the
    tree has no edge back, so that the chain is not reversible."""
    logs = np.full(len(block), -np.inf)
    logs[0] = 0.0
    seen = logs == 0
    frontier = np.flatnonzero(seen)
    while not seen.all():
        outside = np.flatnonzero(~seen)
        rows = block[np.ix_(frontier, outside)]
        best = rows.argmax(axis=0)
        forward = rows[best, np.arange(len(outside))]
        reached = forward > 0
        new, parents, forward = outside[reached], frontier[best[reached]], forward[reached]
        backward = block[new, parents]
        if not len(new) or backward.min() <= 0:
            return None
        logs[new] = logs[parents] + np.log(forward) - np.log(backward)
        seen[new] = True
        frontier = new
    masses = np.exp(logs - logs.max())
    return np.asarray(masses / masses.sum())


def _known_law(operator: TransitionOperator, states: States) -> StationaryLaw:
    law = check_law(operator.stationary, operator.states, "stationary")  # type: ignore[arg-type]
    error = residual(operator, law)
    if error > KNOWN_LAW_TOLERANCE:
        raise InvalidInput("stationary", f"a law with residual {error:.2g}", "the chain does not leave it unchanged")
    return StationaryLaw(law, states, error, "known")
