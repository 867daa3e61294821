"""Expected escape times that exceed every float, by state reduction on logarithms.

The chain watched only while it is among fewer and fewer states is again a Markov chain. State s is removed from a chain
with transition probabilities P and costs c per step (1 at first) by

    P(x, y) += P(x, s) P(s, y) / S,    c(x) += P(x, s) c(s) / S,    S = sum of P(s, y) over the other states y.

With S from a sum, not from 1 - P(s, s), only positive numbers are added, multiplied and divided, so that every
expected time has a relative error of order of the number of states times that of the entries (Grassmann, Taksar and
Heyman; O'Cinneide), and all of it can be done on logarithms: probabilities such as exp(-10^6), on which an escape from
the wrong mode of a large clique depends, are no obstacle.

Legend: ``w`` states in the set, one more state stands for everything outside it.
Source: O'Cinneide, "Entrywise perturbation theory and error analysis for Markov chains", Numer. Math. 65 (1993).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]


def log_expected_escape_times(log_matrix: Array, inside: NDArray[np.bool_]) -> Array:
    """ln E_x[steps until the chain leaves the set] for the states x of the set, ascending, shape [w].

    Args:
        log_matrix: ln P(x, y), shape [S, S]; -inf where a transition is impossible.
        inside: which states form the set, shape [S].

    Raises:
        InvalidInput: wrong shapes, an empty set or the set of all states, or a state that never gets out.
        ExceedsMemory: the working copy would not fit.
    """
    chosen = np.asarray(inside)
    if chosen.dtype != np.bool_ or log_matrix.shape != (len(chosen), len(chosen)):
        raise InvalidInput("inside", f"shape {chosen.shape}", "a boolean mask over the states of the square log_matrix")
    members = np.flatnonzero(chosen)
    width = len(members)
    if width in (0, len(chosen)):
        raise InvalidInput("inside", f"{width} states", f"the set must hold between 1 and {len(chosen) - 1} states")
    require_memory(24.0 * width * width, "inside", width, "the state reduction")
    logs = log_matrix[np.ix_(members, members)]
    leaving = np.logaddexp.reduce(log_matrix[np.ix_(members, np.flatnonzero(~chosen))], axis=1)
    costs = np.zeros(width)
    totals = np.empty(width)
    for s in range(width - 1, -1, -1):
        total = np.logaddexp(np.logaddexp.reduce(logs[s, :s]), leaving[s]) if s else leaving[s]
        if total == -np.inf:
            raise InvalidInput("inside", f"state {members[s]}", "it leads out of the set with probability 0")
        totals[s] = total
        share = logs[:s, s] - total
        np.logaddexp(logs[:s, :s], share[:, None] + logs[s, None, :s], out=logs[:s, :s])
        leaving[:s] = np.logaddexp(leaving[:s], share + leaving[s])
        costs[:s] = np.logaddexp(costs[:s], share + costs[s])
    # Back: from s the chain, watched on 0..s, leaves at cost c(s) / S towards a lower state or out of the set.
    times = np.empty(width)
    for s in range(width):
        onward = np.logaddexp.reduce(logs[s, :s] + times[:s]) if s else -np.inf
        times[s] = np.logaddexp(costs[s], onward) - totals[s]
    return times


def log_exit_probabilities(log_matrix: Array, inside: NDArray[np.bool_]) -> Array:
    """ln P_x(the next step leaves the set) for the states x of the set, ascending, shape [w]."""
    chosen = np.asarray(inside)
    return np.asarray(np.logaddexp.reduce(log_matrix[np.ix_(np.flatnonzero(chosen), np.flatnonzero(~chosen))], axis=1))
