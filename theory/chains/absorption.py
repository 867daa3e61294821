"""Where a chain ends: hitting and absorption probabilities and committors, without a horizon.

h(x) = P_x(A is ever reached) is the least non-negative solution of h = P h outside A, h = 1 on A. On the states T from
which A can be reached, but is not reached already, h = (I - P_TT)^(-1) P(T, A): the expected number of steps from T
into A. State reduction computes it without subtraction, so that probabilities of 1e-200 keep their digits, as do
chains that are nearly reducible; no horizon cuts it off. The *committor* q(x) = P_x(tau_B < tau_A) is the same with
both sets stopping.

Legend: ``S`` states, ``C`` closed classes. Source: Norris, *Markov Chains*, thm 1.3.2; E and Vanden-Eijnden, *J. Stat.
Phys.* 123 (2006), for committors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.checks import States, check_states
from theory.chains.classes import backward_reachable, communicating_classes
from theory.chains.facts import fact
from theory.chains.hitting import stopped_at, until_left
from theory.chains.operator import Chain, TransitionOperator, as_operator
from theory.chains.stationary import stationary_law
from theory.errors import InvalidInput

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Absorption:
    """In which closed class a chain ends, and when.

    Attributes:
        classes: states of each closed class, in the order of their smallest states.
        probabilities: P_x(the chain ends in the class), [S, C]; rows sum to 1.
        times: expected steps until a closed class is entered, [S].
    """

    classes: tuple[States, ...]
    probabilities: Array
    times: Array


@fact
def absorption(operator: TransitionOperator) -> Absorption:
    """Probabilities of each closed class and expected times until one is entered, from every state.

    Raises:
        InvalidInput: expected times beyond the range of float64.
        ExceedsMemory: the factors would not fit.
    """
    classes = communicating_classes(operator)
    closed, transient = classes.closed_members, classes.transient
    probabilities = np.zeros((operator.states, len(closed)))
    for index, states in enumerate(closed):
        probabilities[states, index] = 1.0
    times = np.zeros(operator.states)
    if len(transient):
        found = until_left(
            operator,
            transient,
            lambda entries: np.column_stack(
                [entries.block(transient, states).sum(axis=1) for states in closed] + [np.ones(len(transient))]
            ),
        )
        times[transient] = found[:, -1]
        # The sum is 1 up to rounding: dividing by it changes no ratio.
        probabilities[transient] = found[:, :-1] / found[:, :-1].sum(axis=1, keepdims=True)
    return Absorption(closed, probabilities, times)


def hitting_probabilities(chain: Chain, target: ArrayLike) -> Array:
    """P_x(the target is ever reached) from every state, [S]: exactly 0 where there is no way, 1 inside the target.

    Raises:
        InvalidInput: the target is empty or has states out of range.
        ExceedsMemory: the factors would not fit.
    """
    operator = as_operator(chain)
    return _reached_first(operator, check_states(target, operator.states, "target"), np.empty(0, dtype=np.int64))


def committor(chain: Chain, source: ArrayLike, target: ArrayLike) -> Array:
    """q(x) = P_x(the target is reached before the source), [S]: 0 on the source, 1 on the target.

    From states that may reach neither it is the probability to reach the target, and before the source if at all.

    Raises:
        InvalidInput: a set that is empty or out of range, or sets that overlap.
        ExceedsMemory: the factors would not fit.
    """
    operator = as_operator(chain)
    begin, goal = _disjoint(operator, source, target)
    return _reached_first(operator, goal, begin)


def backward_committor(chain: Chain, source: ArrayLike, target: ArrayLike) -> Array:
    """P(the chain was in the source more recently than in the target | X_0 = x) in stationarity, [S].

    It is the committor from target to source of the time reversal P*(x, y) = pi(y) P(y, x) / pi(x), and 1 - q where the
    chain is reversible.

    Raises:
        InvalidInput: as `committor`; or the chain has transient states or several closed classes.
        ExceedsMemory: the matrices would not fit.
    """
    operator = as_operator(chain)
    begin, goal = _disjoint(operator, source, target)
    law = stationary_law(operator).law
    if law.min() <= 0:
        raise InvalidInput("chain", "states without stationary mass", "a time reversal needs mass on every state")
    matrix = operator.to_dense()
    # Rows are not divided by their sums: reduction without subtraction never reads the diagonal.
    reversal = matrix.T * law / law[:, None]
    return committor(reversal / reversal.sum(axis=1, keepdims=True), goal, begin)


def _disjoint(operator: TransitionOperator, source: ArrayLike, target: ArrayLike) -> tuple[States, States]:
    begin = check_states(source, operator.states, "source")
    goal = check_states(target, operator.states, "target")
    if len(both := np.intersect1d(begin, goal)):
        raise InvalidInput("target", both.tolist(), "source and target must not overlap")
    return begin, goal


def _reached_first(operator: TransitionOperator, goal: States, avoided: States) -> Array:
    """P_x(goal is reached, and not after the avoided set)."""
    result = np.zeros(operator.states)
    result[goal] = 1.0
    ways = backward_reachable(stopped_at(operator, np.concatenate([goal, avoided])), goal)
    ways[goal] = False
    if len(between := np.flatnonzero(ways)):
        result[between] = until_left(operator, between, lambda entries: entries.block(between, goal).sum(axis=1))
    return np.minimum(result, 1.0)
