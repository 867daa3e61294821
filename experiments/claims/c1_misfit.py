"""C1 beyond the equality: a family that lacks the truth, for which the covariance is the sandwich H⁻¹ V H⁻¹."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from experiments.claim import Check
from experiments.estimation.limit import FALSE_ALARM
from experiments.statistics import chi_squared_limits, chi_squared_power
from theory.estimation import WeightedPseudolikelihood, empirical_law, fit, population
from theory.laws import ExponentialFamily, ising_family, ising_on, named_graph
from theory.masks import k_uniform

if TYPE_CHECKING:
    from experiments.claims.c1_information_matrix_equality import Parameters

MISFIT_SETS = 400
"""Data sets for that fit, enough to tell the two covariances apart."""

MISFIT = 0.3
"""Coupling of the ferromagnet that independent spins are fitted to; their covariance is wrong by a factor above 2."""


@dataclass(frozen=True)
class Misfit:
    """n Var along the worst direction, its interval and what the sandwich predicts, in units of the equality's."""

    samples: int
    excess: float
    low: float
    high: float


def measure(parameters: Parameters, seed: int) -> Misfit:
    """Independent spins fitted to a ferromagnet: the Hessian H and V = E[s sᵀ] differ, and n Cov is H⁻¹ V H⁻¹.

    Both are compared along the direction in which V exceeds H most. Every site is masked, so that the loss is the
    likelihood and the estimator that of the fields, artanh of the mean spins.
    """
    sites, samples = parameters.learned_sites, max(parameters.samples)
    law = ising_on(named_graph("complete", sites), MISFIT, 0.1)
    family = ExponentialFamily(sites, 2, ising_family(sites).statistics[:, :sites], name="independent spins")
    masks = k_uniform(sites, sites)
    spins = family.statistics
    means = law.probabilities @ spins
    hessian = WeightedPseudolikelihood(family, population(law, masks)).hessian(np.arctanh(means))
    scores = spins - means
    outer = scores.T * law.probabilities @ scores
    values, vectors = eigh(outer, hessian)
    direction = vectors[:, -1]  # H v, on which n Var of the estimator is vᵀ V v by the sandwich, vᵀ H v by the equality
    generator = np.random.default_rng([seed, 4])
    errors = []
    for _ in range(MISFIT_SETS):
        observed = law.sample(samples, generator)
        estimate = fit(family, population(empirical_law(observed, 2), masks), start=np.arctanh(means))
        errors.append(float(direction @ hessian @ (estimate.theta - np.arctanh(means))))
    variance = samples * float(np.mean(np.square(errors)))
    below, above = chi_squared_limits(MISFIT_SETS, FALSE_ALARM / 2)
    low, high = variance * MISFIT_SETS / above, variance * MISFIT_SETS / below
    return Misfit(samples, float(values[-1]), low, high)


def checks(found: Misfit) -> list[Check]:
    alternative = ("the inverse Hessian alone", chi_squared_power(MISFIT_SETS, FALSE_ALARM / 2, found.excess))
    detail = (
        f"independent spins fitted to a ferromagnet, n = {found.samples}, {MISFIT_SETS} data sets; "
        f"chi-squared interval, false-alarm rate {FALSE_ALARM:g}; in units of vᵀ H v"
    )
    return [
        Check.interval_contains(
            "a family that lacks the truth: n Var along the worst direction against the sandwich H⁻¹ V H⁻¹",
            (found.low, found.high),
            found.excess,
            detail,
        ).against(*alternative),
        Check.interval_at_most(
            "there the equality fails: the inverse Hessian alone is rejected as covariance",
            (-found.high, -found.low),
            -1.0,
            detail,
        ).against(*alternative),
    ]
