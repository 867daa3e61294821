"""Communicating classes, closed classes, transient states and periods.

Definitions, on the support graph (an edge x -> y wherever P(x, y) > 0, however small):
x and y *communicate* where each can be reached from the other; a class is *closed* where no edge leaves it; a state is
*transient* where its class is not closed (finite chains). The *period* of a closed class is the greatest common divisor
of the lengths of its cycles. A chain is *irreducible* where all states form one class, and *aperiodic* where every
closed class has period 1.

Legend: ``S`` states. Source: Levin, Peres, Wilmer, *Markov Chains and Mixing Times*, 2nd ed., sections 1.3 and 1.7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from theory.chains.checks import States, check_states
from theory.chains.facts import fact
from theory.chains.operator import Chain, TransitionOperator, as_operator
from theory.errors import InvalidInput

MOST_LEVELS = 64
"""Steps of the search that may show, without a matrix, that all states communicate."""


@dataclass(frozen=True, eq=False)
class CommunicatingClasses:
    """The classes of a chain, numbered by their smallest state.

    Attributes:
        labels: number of the class of every state, [S].
        members: states of each class, ascending.
        closed: whether each class is closed.
        periods: period of each closed class, 0 for a class that is not closed.
    """

    labels: States
    members: tuple[States, ...]
    closed: tuple[bool, ...]
    periods: tuple[int, ...]

    @property
    def closed_members(self) -> tuple[States, ...]:
        """States of each closed class."""
        return tuple(states for states, closed in zip(self.members, self.closed, strict=True) if closed)

    @property
    def closed_periods(self) -> tuple[int, ...]:
        """Period of each closed class."""
        return tuple(period for period in self.periods if period > 0)

    @property
    def transient(self) -> States:
        """States of all classes that are not closed, ascending."""
        return np.flatnonzero(~np.asarray(self.closed)[self.labels])

    @property
    def irreducible(self) -> bool:
        """Whether there is one class only."""
        return len(self.members) == 1

    @property
    def aperiodic(self) -> bool:
        """Whether every closed class has period 1."""
        return all(period == 1 for period in self.closed_periods)

    def describe(self, limit: int = 4) -> str:
        """The closed classes in words, for messages: ``2 closed classes: {0, 1}, {3, 4, 5, 6, ...}``."""
        shown = []
        for states in self.closed_members[:limit]:
            listed = ", ".join(str(state) for state in states[:limit])
            shown.append("{" + listed + (", ...}" if len(states) > limit else "}"))
        more = ", ..." if len(self.closed_members) > limit else ""
        count = len(self.closed_members)
        return f"{count} closed class{'es' if count > 1 else ''}: {', '.join(shown)}{more}"


def support_graph(chain: Chain) -> csr_array:
    """The adjacency matrix of the support graph, sparse [S, S].

    Raises:
        ExceedsMemory: the dense matrix would not fit.
    """
    return as_operator(chain).held().support()


@fact
def communicating_classes(operator: TransitionOperator) -> CommunicatingClasses:
    """All classes, which of them are closed, and their periods.

    Raises:
        ExceedsMemory: the chain is not simply one aperiodic class, and its dense matrix would not fit.
    """
    if _one_aperiodic_class(operator):
        every = np.arange(operator.states)
        return CommunicatingClasses(np.zeros(operator.states, dtype=np.int64), (every,), (True,), (1,))
    graph = support_graph(operator)
    count, found = connected_components(graph, directed=True, connection="strong")
    # Number the classes by their smallest state, so that the result does not depend on the search order.
    _, first = np.unique(found, return_index=True)
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(count)
    labels = rank[found]

    sources, targets = graph.nonzero()
    closed = np.ones(count, dtype=np.bool_)
    closed[labels[sources[labels[sources] != labels[targets]]]] = False

    order = np.argsort(labels, kind="stable")
    members = tuple(np.split(order, np.cumsum(np.bincount(labels, minlength=count))[:-1]))
    periods = tuple(
        _period(graph, states) if is_closed else 0 for states, is_closed in zip(members, closed, strict=True)
    )
    return CommunicatingClasses(labels, members, tuple(bool(value) for value in closed), periods)


def _one_aperiodic_class(operator: TransitionOperator) -> bool:
    """Whether few applications of the operator show that all states communicate and that one may stay where it is.

    True is certain. False says that it was not seen: the diameter may be above `MOST_LEVELS`, or the period above 1.
    """
    if operator.one_class:
        return True
    law = operator.stationary
    start = 0 if law is None else int(np.argmax(law))
    for step, stays in ((operator.propagate, True), (operator.apply, False)):
        reached = np.zeros(operator.states)
        reached[start] = 1.0
        count = 1
        for _ in range(MOST_LEVELS):
            found = step(reached) > 0
            if stays and not found[start]:
                return False
            stays = False
            reached = (found | (reached > 0)).astype(np.float64)
            before = count
            count = int(reached.sum())
            if count in (before, operator.states):
                break
        if count < operator.states:
            return False
    return True


def _period(graph: csr_array, states: States) -> int:
    """Greatest common divisor of the cycle lengths of a strongly connected, closed set of states.

    With distances l from any one state, it is the gcd of l(x) + 1 - l(y) over the edges x -> y (Denardo 1977).
    """
    inside, level = _levels(graph, states)
    sources, targets = inside.nonzero()
    return int(np.gcd.reduce(level[sources] + 1 - level[targets]))


def _levels(graph: csr_array, states: States) -> tuple[csr_array, States]:
    """The graph within a strongly connected set, and the distance of each of its states from the first."""
    inside = graph[states][:, states] if len(states) < graph.shape[0] else graph
    order, parents = breadth_first_order(inside, 0, directed=True, return_predecessors=True)
    level = np.zeros(len(states), dtype=np.int64)
    for state in order[1:]:
        level[state] = level[parents[state]] + 1
    return inside, level


@fact
def cyclic_classes(operator: TransitionOperator) -> tuple[tuple[States, ...], ...]:
    """For each closed class of period r its r cyclic classes, in the order in which the chain goes through them.

    From C_j every step leads to C_{j+1}, from C_{r-1} back to C_0; C_0 holds the smallest state. An aperiodic class
    is its own one cyclic class.
    """
    classes = communicating_classes(operator)
    found = []
    for states, period in zip(classes.closed_members, classes.closed_periods, strict=True):
        if period == 1:
            found.append((states,))
            continue
        phase = _levels(support_graph(operator), states)[1] % period
        found.append(tuple(states[phase == turn] for turn in range(period)))
    return tuple(found)


def closed_classes(chain: Chain) -> tuple[States, ...]:
    """States of each closed class, ascending, in the order of their smallest states."""
    return communicating_classes(chain).closed_members


def transient_states(chain: Chain) -> States:
    """States outside every closed class, ascending."""
    return communicating_classes(chain).transient


def period(chain: Chain) -> int:
    """The period of the one closed class.

    Raises:
        InvalidInput: there are several closed classes; `communicating_classes` gives the period of each.
    """
    classes = communicating_classes(chain)
    if len(classes.closed_periods) > 1:
        raise InvalidInput("chain", classes.describe(), "a chain with one closed class has one period")
    return classes.closed_periods[0]


def reachable_from(chain: Chain, starts: ArrayLike) -> States:
    """States that the chain can be in at some time when it starts in one of ``starts``, ascending: a closed set.

    Raises:
        InvalidInput: no start, or one out of range.
    """
    operator = as_operator(chain)
    graph = support_graph(operator).T.tocsr()
    return np.flatnonzero(backward_reachable(graph, check_states(starts, operator.states, "starts")))


def backward_reachable(graph: csr_array, target: States) -> NDArray[np.bool_]:
    """Which nodes of a graph have a path into ``target``, [S]."""
    size = graph.shape[0]
    # One extra node that points at the whole target turns the question into one breadth-first search.
    sources, targets = graph.nonzero()
    rows = np.concatenate([targets, np.full(len(target), size)])
    columns = np.concatenate([sources, target])
    reverse = csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size + 1, size + 1))
    reached = np.zeros(size + 1, dtype=np.bool_)
    reached[breadth_first_order(reverse, size, directed=True, return_predecessors=False)] = True
    return reached[:size]
