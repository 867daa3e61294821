"""Hitting and escape times.

tau_A = min{t >= 0: X_t in A}. Expected times are computed by state reduction, without subtraction, so that escape
probabilities of 1e-17 per step keep all their digits; they are infinite from states that do not reach A with
probability 1. The escape time of B is the hitting time of its complement.

Legend: ``S`` states, ``T`` steps. Source: Levin, Peres, Wilmer, chapter 10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from theory.chains.checks import States, check_states
from theory.chains.classes import backward_reachable, support_graph
from theory.chains.operator import Chain, MatrixOperator, TransitionOperator, as_operator
from theory.chains.state_reduction import reduce_states
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HittingTimes:
    """Expected times, in steps, until a set is reached.

    Attributes:
        times: E_x[tau_A] from every state, [S]; 0 inside the set, inf where it is missed with positive probability.
        target: the set A, ascending.
        starts: the states over which `worst` and `best` range: the states outside A.
    """

    times: Array
    target: States
    starts: States

    @property
    def worst(self) -> float:
        """max over the starts; 0 where there are none."""
        return float(self.times[self.starts].max()) if len(self.starts) else 0.0

    @property
    def worst_start(self) -> int | None:
        """The start with the longest expected time (the first of several)."""
        return int(self.starts[self.times[self.starts].argmax()]) if len(self.starts) else None

    @property
    def best(self) -> float:
        """min over the starts; 0 where there are none."""
        return float(self.times[self.starts].min()) if len(self.starts) else 0.0


def complement(chosen: States, states: int) -> States:
    """The states that were not chosen, ascending."""
    return np.setdiff1d(np.arange(states), chosen, assume_unique=True)


def _check_steps(steps: int) -> int:
    if steps < 0 or int(steps) != steps:
        raise InvalidInput("steps", steps, "a whole number >= 0 is needed")
    return int(steps)


def expected_hitting_times(chain: Chain, target: ArrayLike) -> HittingTimes:
    """E_x[tau_A] from every state x.

    Raises:
        InvalidInput: the target is empty or has states out of range.
        ExceedsMemory: the dense matrix and its factors would not fit.
    """
    operator = as_operator(chain)
    goal = check_states(target, operator.states, "target")
    outside = complement(goal, operator.states)
    times = np.zeros(operator.states)
    sure = _surely_hitting(operator, goal)
    times[~sure] = np.inf
    solved = outside[sure[outside]]
    if len(solved):
        times[solved] = until_left(operator, solved, lambda entries: np.ones(len(solved)))
    return HittingTimes(times, goal, outside)


def until_left(operator: TransitionOperator, states: States, cost: Callable[[MatrixOperator], Array]) -> Array:
    """Expected total cost collected in some states, all of which are left sooner or later, until they are left.

    Args:
        states: ascending, [R].
        cost: from the operator with its entries at hand to what each visit costs, >= 0, [R] or [R, B].

    Returns:
        As the cost, from every one of the states.

    Raises:
        ExceedsMemory: the factors would not fit.
    """
    require_memory(40.0 * len(states) ** 2, "states", len(states), "the reduction for hitting times")
    entries = operator.held()
    elsewhere = complement(states, operator.states)
    watched = np.zeros((len(states) + 1, len(states) + 1))  # state 0 stands for everything else
    watched[1:, 0] = entries.block(states, elsewhere).sum(axis=1)
    watched[1:, 1:] = entries.block(states, states)
    each = cost(entries)
    return reduce_states(watched).expected_cost(np.concatenate([np.zeros_like(each[:1]), each]))[1:]


def stopped_at(operator: TransitionOperator, states: States) -> csr_array:
    """The support graph [S, S] of the chain that stops where it enters one of the states."""
    going = np.ones(operator.states, dtype=np.bool_)
    going[states] = False
    return csr_array(support_graph(operator).multiply(going[:, None]))


def _surely_hitting(operator: TransitionOperator, goal: States) -> NDArray[np.bool_]:
    """Which states hit the goal with probability 1: those from which no state that cannot reach it can be entered."""
    stopped = stopped_at(operator, goal)  # paths end at the goal
    lost = np.flatnonzero(~backward_reachable(stopped, goal))
    return ~backward_reachable(stopped, lost) if len(lost) else np.ones(operator.states, dtype=np.bool_)


def expected_escape_times(chain: Chain, states: ArrayLike) -> HittingTimes:
    """Expected times until the chain leaves a set, from its states; inf where it may stay for ever.

    Raises:
        InvalidInput: the set is empty, out of range, or the whole state space.
    """
    operator = as_operator(chain)
    inside = check_states(states, operator.states, "states")
    if len(inside) == operator.states:
        raise InvalidInput("states", f"all {operator.states} states", "there must be a state outside to escape to")
    return expected_hitting_times(operator, complement(inside, operator.states))


def hitting_time_law(chain: Chain, target: ArrayLike, steps: int) -> Array:
    """P_x(tau_A = t) for t = 0..T and every start x, shape [T + 1, S]."""
    operator = as_operator(chain)
    goal = check_states(target, operator.states, "target")
    require_memory(8.0 * (_check_steps(steps) + 1) * operator.states, "steps", steps, "the laws of the hitting time")
    result = np.zeros((int(steps) + 1, operator.states))
    result[0, goal] = 1.0
    for step in range(1, int(steps) + 1):
        result[step] = operator.apply(result[step - 1])
        result[step, goal] = 0.0
    return result


def hitting_probability_within(chain: Chain, target: ArrayLike, steps: int) -> Array:
    """P_x(tau_A <= T) from every start x, shape [S]."""
    operator = as_operator(chain)
    goal = check_states(target, operator.states, "target")
    reached = np.zeros(operator.states)
    reached[goal] = 1.0
    for _ in range(_check_steps(steps)):
        reached = operator.apply(reached)
        reached[goal] = 1.0
    return np.minimum(reached, 1.0)


def escape_probability_within(chain: Chain, states: ArrayLike, steps: int) -> Array:
    """P_x(the chain has left the set by time T) from every state x, shape [S]; 1 outside the set."""
    operator = as_operator(chain)
    inside = check_states(states, operator.states, "states")
    outside = complement(inside, operator.states)
    if not len(outside):
        _check_steps(steps)
        return np.zeros(operator.states)
    return hitting_probability_within(operator, outside, steps)
