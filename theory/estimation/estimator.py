r"""The maximum weighted-pseudolikelihood estimator: the exact minimiser of the convex loss L over R^d or a box.

**Newton with a certificate.** Along any unit direction v, phi(t) = L(theta + t v) has |phi'''| <= R phi'', with
R = sqrt(sum_j (max T_j - min T_j)^2), because a third central moment is at most the range times the variance. So
phi''(t) >= phi''(0) e^{-R t}, and phi'(t) > 0 once 1 - e^{-R t} > R nu / sqrt(lambda), where nu is the Newton
decrement, nu^2 = g . H^{-1} g, and lambda the smallest eigenvalue of H. Hence, if R nu < sqrt(lambda), a minimiser
exists, it is unique, and it lies within -ln(1 - R nu / sqrt(lambda)) / R of theta (compare Bach, "Self-concordant
analysis for logistic regression", EJS 4 (2010), proposition 2). Only with this certificate is a fit reported as
converged.

**Separable data.** The loss has no minimiser exactly where some direction v raises ln p_theta(x_K | x_{-K}) for ever:
v . (T(x) - T(y)) >= 0 for every observed pair and every y in its block, with one strict inequality (Albert and
Anderson, Biometrika 71 (1984)). A linear program decides this. The estimate is then at infinity and is reported so.

Legend: ``d`` parameters, g gradient, H Hessian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog, minimize

from theory.errors import InvalidInput
from theory.estimation.information import RANK_TOLERANCE
from theory.estimation.masked_data import MaskedData
from theory.estimation.pseudolikelihood import WeightedPseudolikelihood
from theory.laws.exponential_family import ExponentialFamily
from theory.memory import require_memory
from theory.pictures import Pictured

Array = NDArray[np.float64]
Status = Literal["converged", "separable", "unidentified", "stopped"]

PATIENCE = 15
"""Newton steps without a certificate after which separability is tested."""


@dataclass(frozen=True, eq=False)
class Estimate(Pictured):
    """Result of a fit.

    Attributes:
        theta: the estimate, or the last iterate where the fit did not converge, [d].
        status: ``converged``; ``separable`` (no finite optimum: the loss falls for ever along ``direction``);
            ``unidentified`` (the loss is constant along ``unidentified`` directions, so no optimum is unique);
            ``stopped`` (the limit on iterations was reached).
        loss: L(theta).
        error_bound: certified distance of theta from the optimum (up to rounding in the gradient), infinite where
            there is no certificate.
        iterations: Newton steps taken.
        unidentified: number of flat directions.
        direction: the direction of separation, [d], else None.
    """

    theta: Array
    status: Status
    loss: float
    error_bound: float
    iterations: int
    unidentified: int = 0
    direction: Array | None = None

    @property
    def converged(self) -> bool:
        """Whether theta is the unique optimum."""
        return self.status == "converged"


def fit(
    family: ExponentialFamily,
    data: MaskedData,
    start: ArrayLike | None = None,
    tolerance: float = 1e-9,
    maximum_iterations: int = 100,
) -> Estimate:
    """The minimiser of the weighted pseudolikelihood over R^d. Deterministic.

    Args:
        family: the model.
        data: the pairs.
        start: where Newton's method starts, [d]; 0 by default.
        tolerance: the certified distance from the optimum at which to stop.
        maximum_iterations: Newton steps after which to give up.
    """
    loss = WeightedPseudolikelihood(family, data)
    theta = np.zeros(family.parameters) if start is None else family.check_theta(start, "start").copy()
    gradient, hessian = loss.derivatives(theta)
    value = loss.value(theta)
    # The flat directions are those in which T is constant on every block: the same for every theta.
    eigenvalues = np.linalg.eigvalsh(loss.hessian(np.zeros(family.parameters)))
    flat = int((eigenvalues <= RANK_TOLERANCE * max(float(eigenvalues[-1]), 1e-300)).sum())
    if flat:
        return Estimate(theta, "unidentified", value, np.inf, 0, unidentified=flat)
    reach = float(np.linalg.norm(np.ptp(family.statistics, axis=0)))
    best = np.inf
    for iteration in range(maximum_iterations + 1):
        values, vectors = np.linalg.eigh(hessian)
        smallest = float(values[0])
        if smallest > 0:
            projected = vectors.T @ gradient
            step = -vectors @ (projected / values)
            decrement = float(np.sqrt(np.sum(projected**2 / values)))
            ratio = reach * decrement / np.sqrt(smallest)
            bound = -np.log1p(-ratio) / reach if ratio < 1 else np.inf
            # Newton's method squares a small ratio; where it does not even halve the bound, rounding stops it.
            if bound <= tolerance or (ratio < 0.1 and bound > best / 2):
                return Estimate(theta, "converged", value, float(bound), iteration)
            best = min(best, bound)
        else:  # the curvature has fallen below rounding: go downhill along the gradient instead
            step, decrement, bound = -gradient, float(np.linalg.norm(gradient)), np.inf
        if iteration == maximum_iterations:
            break
        if iteration == PATIENCE and bound == np.inf:
            direction = separating_direction(family, data)
            if direction is not None:
                return Estimate(theta, "separable", value, np.inf, iteration, direction=direction)
        theta, value = _line_search(loss, theta, value, step, float(gradient @ step))
        gradient, hessian = loss.derivatives(theta)
    direction = None if best < np.inf else separating_direction(family, data)
    if direction is not None:
        return Estimate(theta, "separable", value, np.inf, maximum_iterations, direction=direction)
    return Estimate(theta, "stopped", value, float(best), maximum_iterations)


def fit_in_box(family: ExponentialFamily, data: MaskedData, lower: ArrayLike, upper: ArrayLike) -> Array:
    """A minimiser of the weighted pseudolikelihood over the box lower <= theta <= upper, [d]. Always exists.

    Raises:
        InvalidInput: bounds of a wrong shape, not finite, or in the wrong order; or a search that failed.
    """
    low, high = check_box(family, lower, upper)
    loss = WeightedPseudolikelihood(family, data)
    result = minimize(
        lambda theta: (loss.value(theta), loss.gradient(theta)),
        (low + high) / 2,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000},
    )
    theta = np.clip(result.x, low, high)
    # At the minimiser a gradient step ends where it began, once it is clipped to the box again.
    stationarity = float(np.abs(np.clip(theta - loss.gradient(theta), low, high) - theta).max())
    if stationarity > 1e-5:
        raise InvalidInput("data", f"stationarity {stationarity:.1e}", "the search for the minimiser in the box failed")
    return theta


def best_in_class(losses: Sequence[Array] | Array, pair_counts: Array) -> int:
    """Index of the law with the smallest empirical loss; the first one of a tie.

    Args:
        losses: -ln p(x_K | x_{-K}) of each law of the class, shape [laws, M, S] (see `pseudolikelihood.pair_losses`).
        pair_counts: how often each mask and sequence was seen, shape [M, S].

    Raises:
        InvalidInput: shapes that differ.
    """
    stacked = np.asarray(losses, dtype=np.float64)
    if stacked.ndim != 3 or stacked.shape[1:] != pair_counts.shape or len(stacked) == 0:
        raise InvalidInput(
            "losses", f"an array of shape {stacked.shape}", f"shape [laws, *{pair_counts.shape}] is needed"
        )
    seen = pair_counts > 0
    return int((stacked[:, seen] @ pair_counts[seen]).argmin())


def separating_direction(family: ExponentialFamily, data: MaskedData) -> Array | None:
    """A direction along which the loss falls for ever, [d], or None where the loss has a minimiser.

    Raises:
        InvalidInput: the linear program could not be solved.
    """
    allowed = ~np.isinf(family.base_log_weights[data.blocks])
    if data.mask_log_probabilities is not None:
        allowed &= ~np.isinf(data.mask_log_probabilities)
    differences = []
    require_memory(32.0 * len(allowed) * family.parameters, "data", f"{data.contexts} contexts", "the linear program")
    for first, last in zip(data.starts[:-1], data.starts[1:], strict=True):
        block = data.blocks[first:last]
        observed = family.statistics[block[data.pair_weights[first:last] > 0]]
        # The first observed state against every candidate; all that are observed must tie with it.
        differences.append(observed[0] - family.statistics[block[allowed[first:last]]])
        differences.append(observed[1:] - observed[0])
    rows = np.unique(np.concatenate(differences), axis=0)
    result = linprog(-rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1), method="highs")
    if not result.success:
        raise InvalidInput("data", result.message, "the linear program for separability could not be solved")
    # The cone of such directions, cut off by the box, holds either 0 only or a point with a clear gain.
    return np.asarray(result.x) if -result.fun > 1e-6 * max(1.0, float(np.abs(rows).max())) else None


def check_box(family: ExponentialFamily, lower: ArrayLike, upper: ArrayLike) -> tuple[Array, Array]:
    """The corners of a box of parameters, [d] each; a single number stands for every coordinate.

    Raises:
        InvalidInput: a wrong shape, a bound that is not finite, or lower > upper.
    """
    corners = []
    for argument, bound in (("lower", lower), ("upper", upper)):
        values = np.asarray(bound, dtype=np.float64)
        corners.append(family.check_theta(np.full(family.parameters, values) if values.ndim == 0 else values, argument))
    if (corners[0] > corners[1]).any():
        raise InvalidInput("lower", corners[0].tolist(), "must not exceed upper")
    return corners[0], corners[1]


def _line_search(
    loss: WeightedPseudolikelihood, theta: Array, value: float, step: Array, slope: float
) -> tuple[Array, float]:
    """Halve the step until the loss falls by a quarter of what its slope promises (Armijo)."""
    length = 1.0
    for _ in range(60):
        candidate = theta + length * step
        reached = loss.value(candidate)
        # Below rounding of the loss the quadratic model is better than the comparison.
        if reached <= value + 0.25 * length * slope or -slope < 1e-13 * (1 + abs(value)):
            return candidate, reached
        length /= 2
    return theta, value
