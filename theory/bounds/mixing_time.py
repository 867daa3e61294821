"""Bounds on the worst-case mixing time t_mix(eps) = min { t : max_x TV(P^t(x, .), pi) <= eps } (claim C6).

Each function returns (lower, upper) in steps; an end that the theorem does not give is 0 or infinity. The bounds hold
for the exact integer t_mix.

* relaxation time, reversible chains with absolute gap 1/t_rel (Levin, Peres and Wilmer, 2nd ed., thms 12.4 and 12.5):
      (t_rel - 1) ln(1/(2 eps)) <= t_mix(eps) <= ceil( t_rel ln(1/(eps pi_min)) ).
* bottleneck, any chain (the argument of LPW thm 7.4): for every set A with pi(A) <= 1/2, d(t) >= 1/2 - t Phi(A), hence
      t_mix(eps) >= (1/2 - eps) / Phi(A),   that is 1/(4 Phi) at eps = 1/4.
* entropy contraction, block dynamics whose target satisfies approximate tensorization of entropy with constant C_AT:
      KL(delta_x P^t || pi) <= (1 - 1/C_AT)^t ln(1/pi_min), so that by Pinsker
      t_mix(eps) <= C_AT ( ln ln(1/pi_min) + ln(1/(2 eps^2)) ) + 1.

Source: Li et al. 2024 (arXiv:2407.21046), section 3; Levin, Peres and Wilmer, *Markov Chains and Mixing Times*.
"""

from __future__ import annotations

from math import ceil, inf, log

from numpy.typing import ArrayLike

from theory.chains import (
    TransitionOperator,
    as_operator,
    bottleneck_ratio,
    is_reversible,
    spectrum,
    stationary_law,
)
from theory.errors import InvalidInput

Bounds = tuple[float, float]
Interval = tuple[float, float]


def mixing_time_bounds(
    chain: TransitionOperator | ArrayLike, epsilon: float = 0.25, tensorization_constant: float | None = None
) -> dict[str, Bounds]:
    """Every bound that applies to a chain, by name.

    The worst case is over all states, which must all have stationary mass: `theory.chains.restrict` a chain to the
    support of its law first.

    Args:
        chain: a chain with one closed class.
        epsilon: distance to be reached.
        tensorization_constant: an upper bound on C_AT, for block dynamics where one is known.

    Returns:
        "bottleneck" always, "relaxation time" for reversible chains, "entropy contraction" where the constant is given.

    Raises:
        InvalidInput: an argument outside its range, several closed classes, or fewer than two states, or states without
            stationary mass.
    """
    operator = as_operator(chain)
    law = stationary_law(operator).law
    minimum = float(law.min())
    if operator.states < 2:
        raise InvalidInput("chain", "one state", "bounds on mixing need at least 2 states")
    if minimum == 0:
        raise InvalidInput("chain", f"{int((law == 0).sum())} states without mass", "restrict the chain to its support")
    bounds = {"bottleneck": bottleneck_bounds(bottleneck_ratio(operator, law).ratio, epsilon)}
    if is_reversible(operator, law):
        bounds["relaxation time"] = relaxation_time_bounds(spectrum(operator).relaxation_interval, minimum, epsilon)
    if tensorization_constant is not None:
        bounds["entropy contraction"] = entropy_contraction_bounds(tensorization_constant, minimum, epsilon)
    return bounds


def relaxation_time_bounds(
    relaxation_time: float | Interval, minimum_mass: float, epsilon: float = 0.25, log_minimum: float | None = None
) -> Bounds:
    """From the relaxation time of a reversible chain.

    Args:
        relaxation_time: 1 / absolute gap, in steps; infinite where the gap is 0. An interval (low, high) that holds it
            gives the bounds that hold for all of it.
        minimum_mass: the smallest stationary mass.
        epsilon: distance to be reached.
        log_minimum: ln of the smallest stationary mass, where the mass itself lies below the smallest float.

    Raises:
        InvalidInput: an argument outside its range.
    """
    logarithm = _check(epsilon, minimum_mass, log_minimum)
    shortest, longest = relaxation_time if isinstance(relaxation_time, tuple) else (relaxation_time, relaxation_time)
    if not 1 <= shortest <= longest:
        raise InvalidInput("relaxation_time", relaxation_time, "at least 1 step")
    lower, upper = inf, inf
    if shortest < inf:
        lower = max(0.0, (shortest - 1) * log(1 / (2 * epsilon)))
    elif epsilon >= 0.5:
        # An eigenvalue of modulus 1 keeps d(t) at or above 1/2, which says nothing about larger distances.
        lower = 0.0
    if longest < inf:
        upper = float(ceil(longest * (log(1 / epsilon) - logarithm)))
    return (lower, upper)


def bottleneck_bounds(ratio: float, epsilon: float = 0.25) -> Bounds:
    """From the bottleneck ratio Phi(A) of any set A of stationary mass at most 1/2 (the best one is Phi*).

    Raises:
        InvalidInput: an argument outside its range.
    """
    _check(epsilon, 0.5)
    if not ratio >= 0:
        raise InvalidInput("ratio", ratio, "a number >= 0 is needed")
    if epsilon >= 0.5:
        return (0.0, inf)
    return (inf if ratio == 0 else (0.5 - epsilon) / ratio, inf)


def entropy_contraction_bounds(
    tensorization_constant: float, minimum_mass: float, epsilon: float = 0.25, log_minimum: float | None = None
) -> Bounds:
    """From an upper bound on the constant C_AT of approximate tensorization of entropy.

    The bound is on the chain that the constant belongs to: block dynamics with the same mask law. ``log_minimum`` as in
    `relaxation_time_bounds`.

    Raises:
        InvalidInput: an argument outside its range.
    """
    logarithm = _check(epsilon, minimum_mass, log_minimum)
    if not tensorization_constant >= 1:
        raise InvalidInput("tensorization_constant", tensorization_constant, "at least 1")
    if tensorization_constant == inf:
        return (0.0, inf)
    # The number of steps after which exp(-t / C) ln(1/pi_min) <= 2 eps^2; none where that holds at once.
    steps = tensorization_constant * (log(-logarithm) + log(1 / (2 * epsilon**2)))
    return (0.0, max(steps, 0.0) + 1)


def _check(epsilon: float, minimum_mass: float, log_minimum: float | None = None) -> float:
    """ln of the smallest mass, after a check of the arguments."""
    if not 0 < epsilon < 1:
        raise InvalidInput("epsilon", epsilon, "must lie strictly between 0 and 1")
    if log_minimum is None:
        if not 0 < minimum_mass < 1:
            raise InvalidInput("minimum_mass", minimum_mass, "must lie strictly between 0 and 1")
        return log(minimum_mass)
    if not -inf < log_minimum < 0:
        raise InvalidInput("log_minimum", log_minimum, "must be negative and finite")
    return log_minimum
