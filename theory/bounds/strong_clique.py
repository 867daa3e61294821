"""Bounds for the Ising model with one strong clique: k-Gibbs is fast, independent parallel is stuck (claim C8).

    p(x) ∝ exp( sum_i h_i x_i + J sum_{i<j in C} x_i x_j ),  x in {-1, +1}^N,  C a clique of m sites,

wrong mode = { S_C <= -2 } with S_C = sum_{i in C} x_i, right mode = { x_C = (+1, ..., +1) }.

* k-Gibbs with k >= m. A mask contains the whole clique with probability C(N-m, k-m) / C(N, k), and then the clique is
  redrawn from its law, which no other site influences. So each step reaches the right mode with probability at least
  c = C(N-m, k-m)/C(N, k) p(x_C = +1), wherever it starts, and T >= ln(delta) / ln(1 - c) steps do so with probability
  at least 1 - delta.
* Independent parallel. From a wrong-mode state each clique site sees a sum of the others of at most -1 (m even; -2 for
  m odd, where S_C <= -3), turns + with probability at most s = 1 / (1 + exp(2 (J a - h))), a = 1 or 2, h = max h_i, and
  leaving the wrong mode needs at least m/2 (m odd: (m - 1)/2) of them to be + at once. Chernoff's bound on a binomial
  gives exp(-m kl(r || s)) with r = 1/2 (or (m - 1)/(2 m)), kl the relative entropy of two coins; for m even this is
  sech(J - h)^m. Hoeffding's weaker form for m even is exp(-m tanh(J - h)^2 / 2). One step leaves with probability at
  most that, so T steps stay with probability at least 1 - T times it; its logarithm serves cliques of any size.
* Exponent. The worst wrong-mode state has S_C = -2 (m odd: -3), for in any other every site turns + with a smaller
  probability. There the m/2 + 1 minus sites turn + with probability s and the m/2 - 1 plus sites, which see a sum that
  is less by 2, with t < s. Chernoff's bound on the sum of both binomials has the exact exponent of the escape.
* Two stages (claim C8'). Let A be the wrong mode, b_1 the largest probability to leave A in the first step, b_2 the
  largest to stay at the first and leave at the second. By the Markov property at step t - 2 the chance to leave at step
  t >= 2 is at most b_2, so P(leave within T steps) <= b_1 + (T - 1) b_2. After one step the chain is deep inside A,
  so that b_2 is far below b_1.
* Right mode. For a uniform field h, p(x_C = +1) = 1 / sum_j C(m, j) exp(-2 h j - 2 J j (m - j)), j the minus sites.

Source: Li et al. 2024 (arXiv:2407.21046), section 3; constants as proved here (Chernoff; Hoeffding 1963).
"""

from __future__ import annotations

from math import ceil, comb, exp, inf, isfinite, log, log1p, tanh

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, gammaln, log_expit, logsumexp

from theory.chains.birth_death import log_exit_probabilities
from theory.errors import InvalidInput


def redraw_probability(sites: int, clique_size: int, size: int, right_mass: float) -> float:
    """c: a lower bound on the chance that one k-Gibbs step reaches the right mode, from any state.

    Args:
        sites, clique_size, size: N, m, k with m <= k <= N.
        right_mass: p(x_C = +1).

    Raises:
        InvalidInput: sizes out of order, or a mass outside (0, 1].
    """
    _check_clique(clique_size)
    if not clique_size <= sites:
        raise InvalidInput("clique_size", clique_size, f"must be at most the number of sites, {sites}")
    if not clique_size <= size <= sites:
        raise InvalidInput("k", size, f"the mask must be able to hold the clique: {clique_size}..{sites}")
    if not 0 < right_mass <= 1:
        raise InvalidInput("right_mass", right_mass, "must lie in (0, 1]")
    return comb(sites - clique_size, size - clique_size) / comb(sites, size) * right_mass


def right_mode_mass(clique_size: int, coupling: float, field: float) -> float:
    """p(x_C = +1) for a clique that no other site influences, in a uniform field.

    Raises:
        InvalidInput: fewer than 2 clique sites, or a coupling or field that is not finite.
    """
    _check_clique(clique_size)
    for argument, value in (("coupling", coupling), ("field", field)):
        if not isfinite(value):
            raise InvalidInput(argument, value, "a finite number is needed")
    minus = np.arange(clique_size + 1)
    ways = gammaln(clique_size + 1) - gammaln(minus + 1) - gammaln(clique_size - minus + 1)
    return float(np.exp(-logsumexp(ways - 2 * field * minus - 2 * coupling * minus * (clique_size - minus))))


def steps_to_right_mode(
    sites: int, clique_size: int, size: int, right_mass: float, failure_probability: float
) -> int | float:
    """Steps T after which k-Gibbs has been in the right mode with probability >= 1 - delta, from any state.

    Infinite where the chance of one step is below the range of float64.

    Raises:
        InvalidInput: as `redraw_probability`, or delta outside (0, 1).
    """
    if not 0 < failure_probability < 1:
        raise InvalidInput("failure_probability", failure_probability, "must lie strictly between 0 and 1")
    chance = redraw_probability(sites, clique_size, size, right_mass)
    if chance == 0:
        return inf
    return 1 if chance == 1 else ceil(log(failure_probability) / log1p(-chance))


def log_escape_probability_bound(clique_size: int, coupling: float, largest_field: float) -> float:
    """ln of `escape_probability_bound`, for cliques and couplings of any size.

    Raises:
        InvalidInput: as `escape_probability_bound`.
    """
    _check_strong(clique_size, coupling, largest_field)
    if clique_size % 2 == 0:
        gap = coupling - largest_field
        return -clique_size * (gap + log1p(exp(-2 * gap)) - log(2))  # ln cosh that does not overflow
    log_odds = -2 * (2 * coupling - largest_field)
    log_stay = -log1p(exp(log_odds))
    needed = (clique_size - 1) / (2 * clique_size)
    if log(needed / (1 - needed)) <= log_odds:
        return 0.0
    entropy = -needed * log(needed) - (1 - needed) * log1p(-needed)
    return min(0.0, clique_size * (entropy + needed * log_odds + log_stay))


def escape_probability_bound(clique_size: int, coupling: float, largest_field: float) -> float:
    """Chernoff bound on the chance that one independent-parallel step leaves the wrong mode, from any of its states.

    Raises:
        InvalidInput: fewer than 2 clique sites, a coupling that is not positive, or a field that is not below it.
    """
    return exp(log_escape_probability_bound(clique_size, coupling, largest_field))


def log_escape_probability_exponent(clique_size: int, coupling: float, largest_field: float) -> float:
    """ln of Chernoff's bound at the worst wrong-mode state; divided by m it tends to the exact exponent of the escape.

    Raises:
        InvalidInput: as `escape_probability_bound`.
    """
    _check_strong(clique_size, coupling, largest_field)
    total = -2 if clique_size % 2 == 0 else -3
    minus, plus = (clique_size - total) // 2, (clique_size + total) // 2
    needed = clique_size // 2
    # A minus site sees S_C + 1, a plus site S_C - 1.
    odds = 2 * (coupling * np.array([total + 1, total - 1]) + largest_field)
    counts = np.array([minus, plus])

    def excess(tilt: float) -> float:
        return float(counts @ expit(odds + tilt)) - needed

    if excess(0.0) >= 0:
        return 0.0
    high = 1.0 - float(odds.min())
    while excess(high) < 0:  # needed < minus + plus, so that a large tilt turns enough of them
        high *= 2
    tilt = brentq(excess, 0.0, high, xtol=1e-12)
    # ln E e^{tilt Y} of a coin with log-odds o is ln(1 + e^{o + tilt}) - ln(1 + e^o).
    return min(0.0, float(counts @ (log_expit(-odds) - log_expit(-odds - tilt))) - tilt * needed)


def log_escape_probability_hoeffding(clique_size: int, coupling: float, largest_field: float) -> float:
    """ln of Hoeffding's weaker form of `escape_probability_bound`, for an even clique.

    Raises:
        InvalidInput: an odd clique, or as `escape_probability_bound`.
    """
    _check_strong(clique_size, coupling, largest_field)
    if clique_size % 2:
        raise InvalidInput("clique_size", clique_size, "the Hoeffding form is for an even clique")
    return -clique_size * tanh(coupling - largest_field) ** 2 / 2


def staying_probability_bound(clique_size: int, coupling: float, largest_field: float, steps: int) -> float:
    """Lower bound on the chance that independent parallel is still in the wrong mode after all of T steps."""
    if steps < 0:
        raise InvalidInput("steps", steps, "a number >= 0 is needed")
    return max(0.0, 1 - steps * escape_probability_bound(clique_size, coupling, largest_field))


def log_two_stage_bound(log_kernel: ArrayLike, inside: ArrayLike, steps: int) -> float:
    """ln of b_1 + (T - 1) b_2: an upper bound on the chance to leave a set of states within T steps, from any of them.

    Args:
        log_kernel: [S, S], ln of a transition matrix (of a lumped chain, say); -inf where it is 0.
        inside: [S], which states are in the set.
        steps: T >= 1.

    Raises:
        InvalidInput: shapes that do not fit, no state inside or none outside, or T < 1.
    """
    logs, within = np.asarray(log_kernel, dtype=np.float64), np.asarray(inside, dtype=bool)
    if logs.ndim != 2 or logs.shape[0] != logs.shape[1] or within.shape != (len(logs),):
        raise InvalidInput("log_kernel", f"shapes {logs.shape} and {within.shape}", "[S, S] and [S] are needed")
    if not within.any() or within.all():
        raise InvalidInput("inside", f"{int(within.sum())} of {len(within)} states", "some but not all states")
    if steps < 1:
        raise InvalidInput("steps", steps, "at least 1 step")
    leaving = log_exit_probabilities(logs, within)
    later = logsumexp(logs[np.ix_(within, within)] + leaving, axis=1)
    rest = later.max() + log(steps - 1) if steps > 1 else -inf
    return float(np.logaddexp(leaving.max(), rest))


def escape_time_bound(clique_size: int, coupling: float, largest_field: float) -> float:
    """Lower bound on the expected number of independent-parallel steps until the wrong mode is left.

    Each step leaves with probability at most b, so that the expected time is at least 1/b.
    """
    bound = escape_probability_bound(clique_size, coupling, largest_field)
    return inf if bound == 0 else 1 / bound


def _check_clique(clique_size: int) -> None:
    if clique_size < 2:
        raise InvalidInput("clique_size", clique_size, "a clique needs at least 2 sites")


def _check_strong(clique_size: int, coupling: float, largest_field: float) -> None:
    _check_clique(clique_size)
    if not 0 < coupling < inf:
        # With J <= 0 the states deepest in the wrong mode are the ones that leave it.
        raise InvalidInput("coupling", coupling, "must be positive and finite")
    if not isfinite(largest_field) or not largest_field < coupling:
        raise InvalidInput("largest_field", largest_field, f"must be finite and below the coupling, {coupling}")
