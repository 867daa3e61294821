"""How many sequences masked learning of a law needs, as a record: what is expected, and what is guaranteed.

An Ising model is learned among Ising models. Any other law, such as the one that a network's conditionals induce, is
learned among all laws on its support, with one parameter for each state but one: the logarithm of its mass over that of
the likeliest state. The class is the box of parameters within a half-width of the law's own. Three answers for each
mask size k:

    asymptotic        n at which E TV = target to first order, from tr of the asymptotic covariance (claim C1), with one
                      mask or every mask for each sequence; an approximation, no bound
    guaranteed        n at which bound C4 on TV is at most the target, with the smallest conditional, C_AT and the best
                      cover of the box computed
    observed loss     n at which bound C4' is, if training reaches the empirical conditional entropy

Where a bound is above 1 at the asymptotic n, it says nothing there; ``bound_at_asymptotic`` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from theory.bounds import (
    asymptotic_sample_size,
    best_cover_of_box,
    observed_loss_bound,
    smallest_conditional_in_box,
    total_variation_bound,
)
from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.inequalities import tensorization_upper_bound
from theory.laws import ExponentialFamily, ExponentialLaw, JointLaw
from theory.masks import k_uniform

LARGEST = 10**18
"""Sizes above this are reported as None: no data set is that large."""

LARGEST_SUPPORT = 512
"""States of a law that is learned among all laws: its information matrices have as many rows."""


def among_all_laws(law: JointLaw) -> ExponentialLaw:
    """The law as a member of the family of all laws on its support.

    Raises:
        InvalidInput: fewer than 2 states in the support, or more than `LARGEST_SUPPORT`.
    """
    support = np.flatnonzero(law.support)
    if not 2 <= len(support) <= LARGEST_SUPPORT:
        raise InvalidInput("law", f"{len(support)} states", f"2 to {LARGEST_SUPPORT} states in the support are needed")
    likeliest = int(law.probabilities.argmax())
    free = support[support != likeliest]
    statistics = np.zeros((law.states, len(free)))
    statistics[free, np.arange(len(free))] = 1.0
    base = np.where(law.support, 0.0, -np.inf)
    family = ExponentialFamily(law.sites, law.symbols, statistics, base_log_weights=base, name="all laws")
    theta = np.log(law.probabilities[free] / law.probabilities[likeliest])
    return ExponentialLaw(law.table, family, theta, law.name)


def induced_law(conditionals: ConditionalModel) -> ExponentialLaw:
    """The law that decoding a network from left to right induces, among all laws."""
    joint = conditionals.joint_conditional(range(conditionals.sites))[0]
    shape = (conditionals.symbols,) * conditionals.sites
    return among_all_laws(JointLaw.from_weights(np.asarray(joint).reshape(shape)))


def sample_sizes(
    law: ExponentialLaw, sizes: Iterable[int], target: float, delta: float = 0.05, width: float = 0.5
) -> dict[str, Any]:
    """Sample sizes for TV(p, learned law) <= target with k-uniform masks.

    Args:
        law: the truth, and the centre of the box.
        sizes: mask sizes k, each in 1..N.
        target: total variation wanted, in (0, 1].
        delta: probability with which the guarantees may fail.
        width: half-width of the box of parameters.

    Returns:
        ``sites``, ``parameters``, ``target``, ``delta``, ``width`` and ``by_k``, one row for each size: ``k``;
        ``asymptotic`` and ``asymptotic_all_masks`` (sequences); ``guaranteed`` and ``observed_loss`` (sequences, None
        above 10^18); ``beta`` (smallest conditional of the box), ``tensorization`` (certified upper end of C_AT at the
        truth), ``bound_at_asymptotic`` (C4's bound at the asymptotic n).

    Raises:
        InvalidInput: a size outside 1..N, a target or delta out of range, or a width that is not positive.
        ExceedsMemory: the smallest conditional of the box cannot be computed.
    """
    if not 0 < delta < 1:
        raise InvalidInput("delta", delta, "must lie in (0, 1)")
    if not 0 < width < np.inf:
        raise InvalidInput("width", width, "a positive finite number is needed")
    low, high = law.theta - width, law.theta + width
    rows = []
    for size in sizes:
        masks = k_uniform(law.sites, size)
        beta = smallest_conditional_in_box(law.family, low, high, masks)
        constant = tensorization_upper_bound(law, masks)

        def bound(samples: int, beta: float = beta, constant: float = constant) -> float:
            epsilon, log_cover = best_cover_of_box(law.family, low, high, samples, beta, delta)
            return total_variation_bound(samples, beta, delta, constant, log_cover, epsilon)

        def observed(samples: int, beta: float = beta, constant: float = constant) -> float:
            epsilon, log_cover = best_cover_of_box(law.family, low, high, samples, beta, delta)
            return observed_loss_bound(samples, 1, law.states, 0.0, beta, delta, constant, log_cover, epsilon)

        expected = asymptotic_sample_size(target, law.family, law.theta, masks)
        rows.append(
            {
                "k": size,
                "asymptotic": expected,
                "asymptotic_all_masks": asymptotic_sample_size(target, law.family, law.theta, masks, "all"),
                "guaranteed": _smallest(bound, target),
                "observed_loss": _smallest(observed, target),
                "beta": beta,
                "tensorization": constant,
                "bound_at_asymptotic": bound(expected),
            }
        )
    return {
        "sites": law.sites,
        "parameters": law.family.parameters,
        "target": target,
        "delta": delta,
        "width": width,
        "by_k": rows,
    }


def _smallest(bound: Callable[[int], float], target: float) -> int | None:
    """The n, to three digits and rounded up, from which a falling bound is at most the target."""
    if bound(LARGEST) > target:
        return None
    low, high = 1, LARGEST
    while high > 1.001 * low + 1:
        middle = int(np.sqrt(float(low) * float(high))) + 1
        low, high = (low, middle) if bound(middle) <= target else (middle, high)
    return high
