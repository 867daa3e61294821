"""C4: the two classes that are learned, with covers of known size: finitely many laws, and a box of parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import log
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from theory.bounds.finite_sample import best_cover_of_box, smallest_conditional, smallest_conditional_in_box
from theory.bounds.sample_size import asymptotic_total_variation
from theory.estimation import asymptotic_covariance, best_in_class, fit_in_box, from_counts, pair_losses
from theory.inequalities import tensorization_upper_bound
from theory.laws import IsingLaw, JointLaw, ising, random_ising
from theory.masks import MaskLaw, k_uniform

if TYPE_CHECKING:
    from experiments.claims.c4_finite_sample_bound import Parameters

Array = NDArray[np.float64]

Learned = tuple[JointLaw, float]
"""A learned law and a certified upper bound on its C_AT."""


@dataclass(frozen=True)
class Experiment:
    """One setting of the theorem.

    Attributes:
        kind: ``"finite"`` or ``"box"``.
        truth, masks: what the pairs are drawn from.
        beta, log_cover_size, epsilon: of the class.
        learn: from counts [M, S] of masks and sequences to the learned law and its C_AT.
        class_losses: loss of every law of a finite class, [laws, M, S], else None.
        asymptotic: lim sqrt(n) E TV of the unrestricted estimator, None for a finite class.
    """

    kind: str
    truth: JointLaw
    masks: MaskLaw
    beta: float
    log_cover_size: float
    epsilon: float
    learn: Callable[[Array], Learned]
    class_losses: Array | None
    asymptotic: float | None


def finite(parameters: Parameters, size: int, seed: int) -> Callable[[int], Experiment]:
    """The setting with a finite class around the truth, for every n."""
    generator = np.random.default_rng([seed, 1])
    masks = k_uniform(parameters.sites, size)
    truth = random_ising(parameters.sites, generator, parameters.scale)
    steps = parameters.spread * generator.normal(size=(parameters.laws - 1, truth.family.parameters))
    laws = [truth, *(truth.family.law(truth.theta + step) for step in steps)]
    losses = np.array([pair_losses(law, masks) for law in laws])
    beta = smallest_conditional(laws, masks)

    @cache
    def constant(chosen: int) -> float:
        return tensorization_upper_bound(laws[chosen], masks)

    def learn(counts: Array) -> Learned:
        chosen = best_in_class(losses, counts)
        return laws[chosen], constant(chosen)

    return lambda samples: Experiment("finite", truth, masks, beta, log(len(laws)), 0.0, learn, losses, None)


def box(parameters: Parameters, size: int, seed: int) -> Callable[[int], Experiment]:
    """The setting with a box of parameters around the truth, for every n."""
    truth = _truth_in_box(parameters, seed)
    masks = k_uniform(parameters.sites, size)
    low, high = -parameters.box, parameters.box
    beta = smallest_conditional_in_box(truth.family, low, high, masks)
    covariance = asymptotic_covariance(truth.family, truth.theta, masks)
    asymptotic = asymptotic_total_variation(truth.family, truth.theta, covariance)

    def learn(counts: Array) -> Learned:
        data = from_counts(counts, masks, 2)
        law = truth.family.law(fit_in_box(truth.family, data, low, high))
        return law, tensorization_upper_bound(law, masks)

    def at(samples: int) -> Experiment:
        epsilon, log_cover = best_cover_of_box(truth.family, low, high, samples, beta, parameters.delta)
        return Experiment("box", truth, masks, beta, log_cover, epsilon, learn, None, asymptotic)

    return at


def _truth_in_box(parameters: Parameters, seed: int) -> IsingLaw:
    """An Ising model whose parameters are uniform over the inner half of the box."""
    sites, generator = parameters.sites, np.random.default_rng([seed, 3])
    upper = np.triu(generator.uniform(-1, 1, size=(sites, sites)), 1) * parameters.box / 2
    return ising(upper + upper.T, generator.uniform(-1, 1, size=sites) * parameters.box / 2)
