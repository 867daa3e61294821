r"""How far the learned law can be from the truth after n masked pairs (claim C4).

Setting: n independent pairs (x, K); a class of laws whose masked-conditionals are all >= beta on their support; an
epsilon-cover of the class with C elements, in the sup-norm of ln p(x_K | x_{-K}) over pairs that can occur; theta_hat
minimises the empirical loss over the class. Every loss -ln p(x_K | x_{-K}) lies in [0, ln(1/beta)].

Statement: if the data law p belongs to the class, then with probability at least 1 - delta

    L(theta_hat) - L(p) <= 2 t + 2 epsilon,     t = ln(1/beta) sqrt( ln(2 C / delta) / (2 n) ),
    TV(p, p_theta_hat)^2 <= (1/2) C_AT(p_theta_hat) (2 t + 2 epsilon).

Proof: by Hoeffding, with probability >= 1 - delta, L <= L_n + t for all C elements of the cover and L_n(p) <= L(p) + t;
these are C + 1 <= 2 C one-sided events of probability at most delta / (2 C) each. With theta' the element of the cover
next to theta_hat: L(theta_hat) <= L(theta') + e <= L_n(theta') + t + e <= L_n(theta_hat) + t + 2 e <= L_n(p) + t + 2 e
<= L(p) + 2 t + 2 e. The excess is E_K E KL( p(. | x_{-K}) || p_theta_hat(. | x_{-K}) ), so that approximate
tensorization of entropy with constant C_AT(p_theta_hat) (claim C5) gives KL(p || p_theta_hat) <= C_AT (2 t + 2 e), and
Pinsker's inequality ends the proof. If p is not in the class, the same holds with p replaced by the best law of the
class in the first line, which adds its excess loss over p, the *misspecification*.

*Trained models.* Neither a minimiser nor realizability is needed where L_n(theta) - L_n(p) can be measured: the same
steps, without the one that compares theta_hat with p, give for every theta of the class at once

    L(theta) - L(p) <= 2 t + 2 epsilon + [L_n(theta) - L_n(p)].

Where every mask of each sequence is averaged, n is the number of sequences: the average lies in [0, ln(1/beta)] too. A
network with d parameters, each rounded to one of 2^b fixed numbers, is one of C = 2^(b d), with epsilon = 0.

*Observed loss (C4').* Let p~ be the empirical law of n independent sequences, L^ the training loss over m independent
masks for each of them, and H~ = L_p~(p~) the conditional entropy that p~ itself has under the masks, all in nats. With
probability at least 1 - delta, for every theta of the class at once,

    TV(p, p_theta) <= sqrt( (1/2) C_AT(p_theta) [ L^(theta) - H~ + s + 2 epsilon ] )
                      + (1/2) sqrt(q^N / n) + sqrt( ln(2/delta) / (2 n) ),
    s = ln(1/beta) sqrt( ln(2 C / delta) / (2 n m) ).

Proof: E TV(p, p~) <= (1/2) sqrt(q^N / n), and McDiarmid adds the last term with probability delta/2. Given the
sequences, the mask draws are independent, so that L_p~ <= L^ + s over the cover with probability 1 - delta/2
(Hoeffding), hence L_p~(theta) <= L^(theta) + s + 2 epsilon; KL(p~ || p_theta) <= C_AT (L_p~(theta) - H~) by C5 with
r = p~, and Pinsker ends the proof. Nothing is assumed about p; the paper states a form of this kind, whose constants
could not be checked here.

Legend: ``n`` pairs, ``d`` parameters, ``C`` size of the cover (its logarithm is passed, since it overflows).
Source: Li et al. 2024 (arXiv:2407.21046), theorem on finite-sample generalisation; constants as proved here.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from theory.errors import InvalidInput
from theory.estimation.estimator import check_box
from theory.laws.exponential_family import ExponentialFamily
from theory.laws.joint import JointLaw
from theory.masks import MaskLaw
from theory.memory import require_memory
from theory.states import block_indices

Array = NDArray[np.float64]


def smallest_conditional(laws: Iterable[JointLaw], masks: MaskLaw) -> float:
    """beta of a finite class: the smallest positive p(x_K | x_{-K}) over its laws, the masks and the sequences.

    Raises:
        InvalidInput: an empty class, or a law with another number of sites than the masks.
    """
    smallest = np.inf
    for law in laws:
        if law.sites != masks.sites:
            raise InvalidInput("laws", repr(law), f"the masks are for {masks.sites} sites")
        for mask in masks.masks:
            # Of a state in the support, even where the conditional is too small for a float: the bounds refuse 0.
            inside = law.support[block_indices(law.sites, law.symbols, mask)]
            smallest = min(smallest, float(law.conditional(mask)[inside].min()))
    if smallest == np.inf:
        raise InvalidInput("laws", "an empty class", "at least one law is needed")
    return smallest


def smallest_conditional_in_box(family: ExponentialFamily, lower: ArrayLike, upper: ArrayLike, masks: MaskLaw) -> float:
    """A lower bound on beta of the class {p_theta: lower <= theta <= upper}.

    1 / p_theta(x_K | x_{-K}) = sum_y e^{b(y) - b(x)} e^{theta . (T(y) - T(x))} over the block of x; each term is
    bounded by its maximum over the box.

    Raises:
        InvalidInput: a box or masks that do not fit the family.
        ExceedsMemory: the differences of statistics within the blocks would not fit in memory.
    """
    low, high = check_box(family, lower, upper)
    if masks.sites != family.sites:
        raise InvalidInput("masks", f"a law for {masks.sites} sites", f"a law for {family.sites} sites is needed")
    centre, radius = (low + high) / 2, (high - low) / 2
    worst = 1.0
    for mask in masks.masks:
        index = block_indices(family.sites, family.symbols, mask)
        require_memory(24.0 * index.size * index.shape[1] * family.parameters, "masks", masks.name, "all differences")
        statistics, base = family.statistics[index], family.base_log_weights[index]
        differences = statistics[:, None, :, :] - statistics[:, :, None, :]  # [C, x, y, d]
        exponents = differences @ centre + np.abs(differences) @ radius
        possible = np.isfinite(base)
        shift = np.where(possible, base, 0.0)
        terms = np.exp(exponents + shift[:, None, :] - shift[:, :, None]) * possible[:, None, :]
        worst = max(worst, float(terms.sum(axis=2)[possible].max(initial=1.0)))
    return 1 / worst


def log_cover_size_of_box(family: ExponentialFamily, lower: ArrayLike, upper: ArrayLike, epsilon: float) -> float:
    """ln of the size of an epsilon-cover of the class {p_theta: lower <= theta <= upper}, in the sup-norm above.

    The derivative of ln p_theta(x_K | x_{-K}) in theta_j is T_j(x) - E[T_j | x_{-K}], at most the range
    r_j = max T_j - min T_j in size. So cells of half-width epsilon / (d r_j) in coordinate j have radius at most
    epsilon around their centres, and ceil( d r_j (upper_j - lower_j) / (2 epsilon) ) of them cover that coordinate.

    Raises:
        InvalidInput: a box that does not fit the family, or epsilon <= 0.
    """
    low, high = check_box(family, lower, upper)
    if not 0 < epsilon < np.inf:
        raise InvalidInput("epsilon", epsilon, "a positive finite number is needed")
    ranges = np.ptp(family.statistics, axis=0)
    cells = np.ceil(family.parameters * ranges * (high - low) / (2 * epsilon))
    return float(np.log(np.maximum(cells, 1.0)).sum())


def uniform_deviation(samples: int, beta: float, delta: float, log_cover_size: float) -> float:
    """t = ln(1/beta) sqrt( ln(2 C / delta) / (2 n) ), in nats.

    Raises:
        InvalidInput: ``samples`` < 1, beta outside (0, 1], delta outside (0, 1), or a negative ``log_cover_size``.
    """
    if samples < 1:
        raise InvalidInput("samples", samples, "at least 1 pair is needed")
    check_class(beta, delta, log_cover_size)
    return log(1 / beta) * sqrt((log(2 / delta) + log_cover_size) / (2 * samples))


def excess_loss_bound(
    samples: int,
    beta: float,
    delta: float,
    log_cover_size: float,
    epsilon: float = 0.0,
    misspecification: float = 0.0,
) -> float:
    """Bound on L(theta_hat) - L(p) with probability >= 1 - delta, in nats.

    Args:
        samples: n, independent pairs (x, K) with one mask for each sequence.
        beta: smallest conditional of the class.
        delta: probability with which the bound may fail.
        log_cover_size: ln C; for a finite class ln of its size, with epsilon = 0.
        epsilon: radius of the cover, in nats.
        misspecification: L(best law of the class) - L(p), 0 if p is in the class; for a trained model that need not be
            the minimiser its L_n(theta) - L_n(p), where that is positive.

    Raises:
        InvalidInput: an argument out of range.
    """
    for argument, value in (("epsilon", epsilon), ("misspecification", misspecification)):
        if not 0 <= value < np.inf:
            raise InvalidInput(argument, value, "a finite number >= 0 is needed")
    return 2 * uniform_deviation(samples, beta, delta, log_cover_size) + 2 * epsilon + misspecification


def total_variation_bound(
    samples: int,
    beta: float,
    delta: float,
    tensorization: float,
    log_cover_size: float,
    epsilon: float = 0.0,
    misspecification: float = 0.0,
) -> float:
    """Bound on TV(p, p_theta_hat) with probability >= 1 - delta; a value above 1 says nothing.

    Args:
        tensorization: C_AT of the learned law under the same mask law, or an upper bound on it over the class.
        samples, beta, delta, log_cover_size, epsilon, misspecification: see `excess_loss_bound`.

    Raises:
        InvalidInput: an argument out of range.
    """
    check_tensorization(tensorization)
    excess = excess_loss_bound(samples, beta, delta, log_cover_size, epsilon, misspecification)
    return sqrt(tensorization * excess / 2)


def observed_loss_bound(
    samples: int,
    masks_per_sample: int,
    states: int,
    excess: float,
    beta: float,
    delta: float,
    tensorization: float,
    log_cover_size: float,
    epsilon: float = 0.0,
) -> float:
    """Bound C4' on TV(p, p_theta) with probability >= 1 - delta from what training shows; above 1 it says nothing.

    Args:
        samples: n, independent sequences.
        masks_per_sample: m, independent masks for each.
        states: q^N.
        excess: L^(theta) - H~, the training loss above the empirical conditional entropy, in nats; L^ alone gives a
            weaker bound. It may be slightly negative, since L^ is over the masks that were drawn.
        beta, delta, tensorization, log_cover_size, epsilon: see `total_variation_bound`.

    Raises:
        InvalidInput: an argument out of range.
    """
    for argument, value in (("masks_per_sample", masks_per_sample), ("states", states)):
        if value < 1:
            raise InvalidInput(argument, value, "at least 1 is needed")
    if not np.isfinite(excess):
        raise InvalidInput("excess", excess, "a finite number is needed")
    if not 0 <= epsilon < np.inf:
        raise InvalidInput("epsilon", epsilon, "a finite number >= 0 is needed")
    check_tensorization(tensorization)
    deviation = uniform_deviation(samples * masks_per_sample, beta, delta, log_cover_size)
    learned = sqrt(tensorization * max(0.0, excess + deviation + 2 * epsilon) / 2)
    return learned + sqrt(states / samples) / 2 + sqrt(log(2 / delta) / (2 * samples))


def best_cover_of_box(
    family: ExponentialFamily, lower: ArrayLike, upper: ArrayLike, samples: int, beta: float, delta: float
) -> tuple[float, float]:
    """(epsilon, ln C): the radius that makes the bound on the excess loss smallest for n pairs, and its cover.

    The radius depends on n but not on the data, so that the bound holds for it as for any other fixed radius.

    Raises:
        InvalidInput: an argument out of range.
    """

    def bound(log_epsilon: float) -> float:
        epsilon = float(np.exp(log_epsilon))
        log_cover = log_cover_size_of_box(family, lower, upper, epsilon)
        return excess_loss_bound(samples, beta, delta, log_cover, epsilon)

    # The loss lies in [0, ln(1/beta)]; a radius outside this bracket is beaten by one inside.
    largest = max(log(1 / beta), 1e-12)
    found = minimize_scalar(bound, bounds=(log(largest * 1e-8), log(largest)), method="bounded")
    epsilon = float(np.exp(found.x))
    return epsilon, log_cover_size_of_box(family, lower, upper, epsilon)


def check_class(beta: float, delta: float, log_cover_size: float) -> None:
    """Check beta in (0, 1], delta in (0, 1) and ln C >= 0.

    Raises:
        InvalidInput: one of them is out of range.
    """
    if not 0 < beta <= 1:
        raise InvalidInput("beta", beta, "the smallest conditional must lie in (0, 1]")
    if not 0 < delta < 1:
        raise InvalidInput("delta", delta, "must lie in (0, 1)")
    if not 0 <= log_cover_size < np.inf:
        raise InvalidInput("log_cover_size", log_cover_size, "ln of a size >= 1 is needed")


def check_tensorization(tensorization: float) -> None:
    """Check C_AT >= 1 (up to rounding), as it is for every law and mask law by the chain rule of KL.

    Raises:
        InvalidInput: it is smaller, or not finite.
    """
    if not 1 - 1e-9 <= tensorization < np.inf:
        raise InvalidInput("tensorization", tensorization, "the constant C_AT is a finite number >= 1")
