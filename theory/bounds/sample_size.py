r"""How many samples bring the learned law within a given total variation of the truth.

By claim C1 and the delta method, sqrt(n)(theta_hat - theta*) -> N(0, Gamma) and
dp(x) = p(x) (T(x) - E[T]) . dtheta give

    sqrt(n) E TV(p, p_theta_hat)  ->  (1/2) sqrt(2/pi) sum_x p(x) sqrt( u(x) . Gamma u(x) ),    u(x) = T(x) - E[T].

It is an approximation for large n, not a bound: it says what n gives E TV = target to first order. What is enough
whatever the law is `theory.bounds.finite_sample` (claim C4), and usually much more.

Legend: ``n`` samples, ``d`` parameters, ``S`` states. Source: van der Vaart, *Asymptotic Statistics* (1998), ch. 3
(delta method).
"""

from __future__ import annotations

from math import ceil, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.estimation.information import MaskCount, asymptotic_covariance
from theory.laws.exponential_family import ExponentialFamily
from theory.masks import AdaptiveMaskLaw, MaskLaw

Array = NDArray[np.float64]


def asymptotic_total_variation(family: ExponentialFamily, theta: ArrayLike, covariance: ArrayLike) -> float:
    """lim sqrt(n) E TV(p, p_theta_hat) for an estimator with n Cov(theta_hat) -> covariance.

    Raises:
        InvalidInput: a covariance that is not [d, d].
    """
    gamma = np.asarray(covariance, dtype=np.float64)
    if gamma.shape != (family.parameters, family.parameters):
        raise InvalidInput(
            "covariance", f"an array of shape {gamma.shape}", f"shape ({family.parameters}, {family.parameters})"
        )
    masses = family.probabilities(theta)
    centred = family.statistics - masses @ family.statistics
    variances = ((centred @ gamma) * centred).sum(axis=1)
    return 0.5 * sqrt(2 / pi) * float(masses @ np.sqrt(np.maximum(variances, 0.0)))


def asymptotic_sample_size(
    target: float,
    family: ExponentialFamily,
    theta: ArrayLike,
    masks: MaskLaw | AdaptiveMaskLaw,
    masks_per_sample: MaskCount = 1,
) -> int:
    """The n at which E TV(p, p_theta_hat) = ``target`` to first order: an approximation for small targets, no bound.

    Args:
        target: the expected total variation wanted, in (0, 1].
        family, theta: the true law.
        masks, masks_per_sample: how the estimator is trained.

    Raises:
        InvalidInput: a target outside (0, 1], or a parameter that the masked tokens do not identify.
    """
    _check_target(target)
    covariance = asymptotic_covariance(family, theta, masks, masks_per_sample)
    return max(1, ceil((asymptotic_total_variation(family, theta, covariance) / target) ** 2))


def _check_target(target: float) -> None:
    if not 0 < target <= 1:
        raise InvalidInput("target", target, "a total variation in (0, 1] is needed")
