r"""What errors in conditionals do to a chain: bounds for samplers that use learned conditionals.

Let P be the chain of a sampler with exact conditionals, Q the same with learned ones, p the data law, and

    delta(P) = max_{x, y} TV(P(x, .), P(y, .)),

Dobrushin's contraction coefficient: TV(mu P, nu P) <= delta(P) TV(mu, nu).

*Stationary law.* If TV(p Q, p) <= error, the stationary law pi of Q is within t error / (1 - delta(Q^t)) of p for every
t >= 1, because TV(pi, p) <= TV(pi Q^t, p Q^t) + TV(p Q^t, p) <= delta(Q^t) TV(pi, p) + t error.

*One sweep.* For single-site updates in any order, TV(p Q, p) <= sum_i e_i with e_i = E_{x_{-i} ~ p} TV of the learned
and the exact conditional of site i: the update of site i alone moves p by exactly e_i, and later ones do not add to it.

*At finite times.* Q^t - P^t = sum_{s < t} Q^{t-1-s} (Q - P) P^s gives, from any start,
TV(nu Q^t, nu P^t) <= max_x TV(Q(x, .), P(x, .)) * sum_{s < t} delta(P^s).

Legend: ``S`` states, ``N`` sites, ``T`` times.
Sources: Dobrushin 1956; Seneta, *Non-negative Matrices and Markov Chains* (2006), sections 3.1 and 4.3; Mitrophanov,
"Sensitivity and convergence of uniformly ergodic Markov chains", J. Appl. Probab. 42 (2005).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from theory.chains.operator import TransitionOperator
from theory.conditionals import ConditionalModel, TableConditionals
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.memory import require_memory

Array = NDArray[np.float64]


def least_overlap(matrix: Array) -> float:
    """1 - delta(P) = min_{x, y} sum_z min(P(x, z), P(y, z)) of a row-stochastic matrix [S, S], to relative accuracy."""
    require_memory(16.0 * matrix.size, "matrix", f"{len(matrix)} rows", "comparing every pair of rows")
    return min(float(np.minimum(matrix[row:], matrix[row]).sum(axis=1).min()) for row in range(len(matrix)))


def contraction_coefficient(matrix: Array) -> float:
    """delta(P) of a row-stochastic matrix [S, S]: the largest total variation between two rows."""
    return max(0.0, 1 - least_overlap(matrix))


def conditional_errors(conditionals: ConditionalModel, law: JointLaw) -> Array:
    """e_i = E_{x_{-i} ~ p} TV(learned p(x_i | x_{-i}), exact p(x_i | x_{-i})), shape [N].

    Raises:
        InvalidInput: another number of sites or symbols.
    """
    if (conditionals.sites, conditionals.symbols) != (law.sites, law.symbols):
        raise InvalidInput("law", law, f"{conditionals.sites} sites over {conditionals.symbols} symbols are needed")
    exact = TableConditionals(law)
    errors = []
    for site in range(law.sites):
        difference = conditionals.token_conditionals((site,))[0] - exact.token_conditionals((site,))[0]
        errors.append(0.5 * law.context_probabilities((site,)) @ np.abs(difference).sum(axis=1))
    return np.array(errors)


def stationary_distance_bound(learned: TransitionOperator, error: float, doublings: int = 12) -> float:
    """Bound on TV(stationary law of the learned chain, p), given TV(p Q, p) <= error.

    Args:
        learned: Q.
        error: for a sweep of single-site updates, the sum of `conditional_errors`.
        doublings: t = 1, 2, 4, ..., 2**doublings are tried, and the best one taken.

    Raises:
        InvalidInput: a negative error.
    """
    if not error >= 0:
        raise InvalidInput("error", error, "a number >= 0 is needed")
    power = learned.to_dense()
    best = 1.0
    for doubling in range(doublings + 1):
        if (time := 2.0**doubling) * error >= best:
            break
        overlap = least_overlap(power)
        if overlap > 0:
            best = min(best, time * error / overlap)
        power = power @ power
        power /= power.sum(axis=1, keepdims=True)
    return best


def divergence_of_runs_bound(exact: TransitionOperator, learned: TransitionOperator, times: Sequence[int]) -> Array:
    """Bound on TV(nu Q^t, nu P^t) over all starts nu, for each time, shape [T].

    Raises:
        InvalidInput: different numbers of states, or a time that is negative.
    """
    if exact.states != learned.states:
        raise InvalidInput("learned", f"{learned.states} states", f"{exact.states} states are needed")
    if len(times) == 0 or min(times) < 0:
        raise InvalidInput("times", list(times), "whole numbers >= 0 are needed")
    matrix = exact.to_dense()
    step = float(0.5 * np.abs(learned.to_dense() - matrix).sum(axis=1).max())
    sums, power = [0.0], np.eye(exact.states)
    for _ in range(max(times)):
        sums.append(sums[-1] + contraction_coefficient(power))
        power = power @ matrix
    return np.minimum(1.0, step * np.array(sums)[list(times)])
