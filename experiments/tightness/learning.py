"""Bounds on learning by masking: efficiency (C1 to C3) and finite samples (C4, C4')."""

from __future__ import annotations

from functools import cache
from math import exp, nan
from typing import Any

import numpy as np
from scipy.linalg import eigvalsh
from scipy.special import gammaln, xlogy

from experiments.tightness.bound import (
    PARAMETERS,
    Array,
    Bound,
    ising_model,
    plain_ising,
    plain_law,
    two_bits,
)
from theory.bounds import (
    best_cover_of_box,
    observed_loss_bound,
    smallest_conditional_in_box,
    total_variation_bound,
)
from theory.estimation import pseudolikelihood_information, score_covariances, whitened_family
from theory.inequalities import MaskingChannel, poincare_constant
from theory.laws import IsingLaw, JointLaw, ising
from theory.masks import k_uniform

DELTA, WIDTH = 0.05, 1.0
"""Of the finite-sample bounds: chance of failure, and half-width of the class, the fields of one spin around 0."""


def law_and_statistic(theta: Array) -> tuple[JointLaw, Array]:
    """A law on two bits and a statistic of the sequence."""
    return two_bits(theta[:4]), theta[4:]


def coin_and_samples(theta: Array) -> tuple[float, int]:
    """The field of one spin, inside the class, and a number of samples in 10 to 10^5."""
    return WIDTH * float(np.tanh(theta[0])), round(10 ** (1 + 4 / (1 + exp(-float(np.clip(theta[1], -20, 20))))))


def _information(law: IsingLaw, size: int) -> Array:
    family = whitened_family(law)
    return pseudolikelihood_information(family, np.zeros(family.parameters), k_uniform(law.sites, size))


def _efficiency(law: IsingLaw) -> float:
    smallest = float(np.linalg.eigvalsh(_information(law, 1))[0])
    return 1 / smallest / poincare_constant(law, k_uniform(law.sites, 1)).value


def _masking_more(law: IsingLaw) -> float:
    return float(eigvalsh(_information(law, 1), _information(law, 2))[-1])


def _all_masks(law: IsingLaw) -> float:
    family, masks = whitened_family(law), k_uniform(law.sites, 1)
    between, _ = score_covariances(family, np.zeros(family.parameters), masks)
    return float(eigvalsh(between, _information(law, 1))[-1])


def _efficiency_of_statistic(instance: tuple[JointLaw, Array]) -> float:
    law, statistic = instance
    channel = MaskingChannel(law, k_uniform(law.sites, 1))
    variance = float(channel.variance(statistic))
    if variance < 1e-12:
        return nan
    # The Fisher information of exp(theta f) at 0 is Var f; that of one masked site, the mean of Var(f | x_-i).
    return variance / float(channel.local_variance(statistic)) / poincare_constant(law, channel.masks).value


@cache
def _coins() -> tuple[IsingLaw, float]:
    """The class of one spin's fields, and its smallest conditional."""
    law = ising(np.zeros((1, 1)), np.zeros(1))
    return law, smallest_conditional_in_box(law.family, [-WIDTH], [WIDTH], k_uniform(1, 1))


def _quantile(field: float, samples: int) -> tuple[float, float]:
    """The total variation that the fit in the class exceeds with probability at most DELTA, and its loss above H~."""
    truth, counts = 1 / (1 + exp(-2 * field)), np.arange(samples + 1)
    largest = 1 / (1 + exp(-2 * WIDTH))
    shares = counts / samples
    fits = np.clip(shares, 1 - largest, largest)
    distance, order = np.abs(fits - truth), np.argsort(np.abs(fits - truth), kind="stable")
    ways = gammaln(samples + 1) - gammaln(counts + 1) - gammaln(samples - counts + 1)
    reached = np.cumsum(np.exp(ways + counts * np.log(truth) + (samples - counts) * np.log1p(-truth))[order])
    place = int(order[min(int(np.searchsorted(reached, 1 - DELTA)), samples)])
    loss = xlogy(shares, shares / fits) + xlogy(1 - shares, (1 - shares) / (1 - fits))
    return float(distance[place]), float(loss[place])


def _finite_sample(instance: tuple[float, int], observed: bool) -> float:
    field, samples = instance
    law, beta = _coins()
    radius, log_cover = best_cover_of_box(law.family, [-WIDTH], [WIDTH], samples, beta, DELTA)
    exact, excess = _quantile(field, samples)
    if observed:
        return exact / observed_loss_bound(samples, 1, 2, excess, beta, DELTA, 1.0, log_cover, radius)
    return exact / total_variation_bound(samples, beta, DELTA, 1.0, log_cover, radius)


def _plain_coin(instance: tuple[float, int]) -> dict[str, Any]:
    return {"field": instance[0], "samples": instance[1], "delta": DELTA, "width": WIDTH}


BOUNDS = (
    Bound(
        "all-masks",
        "C1",
        "Cov E_K s <= I_PL: averaging all masks never hurts, k = 1, all fields and couplings",
        PARAMETERS,
        ising_model,
        _all_masks,
        plain_ising,
    ),
    Bound(
        "masking-more",
        "C2",
        "I_1 <= I_2 (Loewner order): the largest eigenvalue of I_1 against I_2, all fields and couplings",
        PARAMETERS,
        ising_model,
        _masking_more,
        plain_ising,
    ),
    Bound(
        "efficiency",
        "C3",
        "largest eigenvalue of I Γ <= C_P, all fields and couplings as parameters",
        PARAMETERS,
        ising_model,
        _efficiency,
        plain_ising,
    ),
    Bound(
        "efficiency-of-a-statistic",
        "C3",
        "I Γ <= C_P for the one-parameter family of a statistic f",
        8,
        law_and_statistic,
        _efficiency_of_statistic,
        lambda instance: {**plain_law(instance[0]), "statistic": instance[1].tolist()},
    ),
    Bound(
        "finite-sample",
        "C4",
        "the 95% quantile of TV(p, fit) <= the bound for n pairs, one spin",
        2,
        coin_and_samples,
        lambda instance: _finite_sample(instance, False),
        _plain_coin,
    ),
    Bound(
        "observed-loss",
        "C4",
        "the 95% quantile of TV(p, fit) <= the bound C4' by the observed loss there, one spin",
        2,
        coin_and_samples,
        lambda instance: _finite_sample(instance, True),
        _plain_coin,
    ),
)
