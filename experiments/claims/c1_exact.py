"""C1, exactly: the curvature of the masked loss against the second moment of its scores, by several routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Progress, columns
from experiments.figures import differences, headline, new_figure
from theory.estimation import (
    WeightedPseudolikelihood,
    asymptotic_covariance,
    expected_conditional_covariance,
    loewner_margin,
    population,
    pseudolikelihood_information,
    whitened_family,
)
from theory.laws import IsingLaw, JointLaw, random_ising
from theory.masks import AdaptiveMaskLaw, Mask, MaskLaw, adaptive, bernoulli, k_uniform, uniform_ratio
from theory.states import block_indices

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.claims.c1_information_matrix_equality import Parameters

Array = NDArray[np.float64]

ROUNDING = 1e-10
"""Largest difference of two float64 routes to the same matrix of entries of order 1."""

STENCIL = 0.005
STENCIL_ERROR = 1e-6
"""Step of the fourth-order second difference, and more than its error for curvatures of order 1."""


@dataclass(frozen=True)
class Exact:
    """A model and a mask law: I_PL by several routes, and what more masks for each sequence change."""

    mask: str
    hessian_error: float
    covariance_error: float
    curvature: list[float]
    quadratic_form: list[float]
    fisher_form: list[float]
    loewner: list[float]
    reverse: list[float]


def checks(instances: Sequence[Exact]) -> list[Check]:
    """The information matrix by every route, and what more masks for each sequence change."""
    exact = columns(instances)
    count = f"{len(instances)} pairs of a model and a mask law"
    return [
        Check.equal(
            "Hessian of L against E[s sᵀ]", exact["hessian_error"], 0.0, ROUNDING, f"largest entry; {count}"
        ).by_algebra(),
        Check.equal(
            "curvature of L by finite differences against vᵀ E[s sᵀ] v",
            exact["curvature"],
            exact["quadratic_form"],
            STENCIL_ERROR,
            "random directions v; the loss is read from tables of conditionals",
            wrong=("the Fisher information, as if all sites were masked", exact["fisher_form"]),
        ),
        Check.equal(
            "E[s sᵀ] against E_K E[Cov(T | x_-K)]", exact["covariance_error"], 0.0, ROUNDING, "law of total covariance"
        ).by_algebra(),
        Check.at_least(
            "more masks per sequence never hurt, smallest eigenvalue of the difference",
            exact["loewner"],
            0.0,
            ROUNDING,
            "(Γ_m - Γ_m') / tr Γ_m for m, m' = 1, 2, 4, all in turn; coordinates of unit Fisher information",
        ).against("more masks hurt", float((exact["reverse"] < -ROUNDING).mean())),
    ]


def attracted(sites: int, size: int) -> AdaptiveMaskLaw:
    """Adaptive masks of ``size`` sites: P(K | x) grows with the number of spins +1 under the mask."""

    def weight(x: NDArray[np.int64], mask: Mask) -> Array:
        return np.asarray(0.25 + x[:, list(mask)].sum(axis=1), dtype=np.float64)

    return adaptive(sites, 2, k_uniform(sites, size).masks, weight, f"adaptive, k = {size}")


def measure(parameters: Parameters, seed: int, progress: Progress) -> list[Exact]:
    sites = parameters.sites
    laws: list[MaskLaw | AdaptiveMaskLaw] = [k_uniform(sites, k) for k in range(1, sites + 1)]
    laws += [bernoulli(sites, 0.3), uniform_ratio(sites), attracted(sites, 1), attracted(sites, 2)]
    result = []
    for instance in range(parameters.instances):
        generator = np.random.default_rng([seed, 1, instance])
        model = random_ising(sites, generator, parameters.scale)
        family, theta = model.family, model.theta
        whitened, zero = whitened_family(model), np.zeros(family.parameters)
        for number, masks in enumerate(laws):
            done = (instance + number / len(laws)) / parameters.instances
            progress(0.3 * done, f"information matrices, {masks.name}")
            information = pseudolikelihood_information(family, theta, masks)
            hessian = WeightedPseudolikelihood(family, population(model, masks)).hessian(theta)
            covariance = expected_conditional_covariance(family, theta, masks)
            directions = generator.normal(size=(parameters.directions, family.parameters))
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            gammas = [asymptotic_covariance(whitened, zero, masks, m) for m in (1, 2, 4, "all")]
            forms = (information, family.fisher_information(theta))
            quadratic, fisher = ([float(v @ matrix @ v) for v in directions] for matrix in forms)
            result.append(
                Exact(
                    masks.name,
                    hessian_error=float(np.abs(hessian - information).max()),
                    covariance_error=float(np.abs(covariance - information).max()),
                    curvature=[_curvature(model, masks, v) for v in directions],
                    quadratic_form=quadratic,
                    fisher_form=fisher,
                    loewner=[loewner_margin(a, b) / float(np.trace(a)) for a, b in pairwise(gammas)],
                    reverse=[loewner_margin(b, a) / float(np.trace(a)) for a, b in pairwise(gammas)],
                )
            )
    return result


def _curvature(model: IsingLaw, masks: MaskLaw | AdaptiveMaskLaw, direction: Array) -> float:
    """Second derivative of L along a direction at the truth, by a fourth-order central difference."""
    values = [_loss(model, model.family.law(model.theta + step * STENCIL * direction), masks) for step in range(-2, 3)]
    return float(np.dot([-1, 16, -30, 16, -1], values)) / (12 * STENCIL**2)


def _loss(truth: JointLaw, law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw) -> float:
    """E[-ln p_theta(x_K | x_{-K}, K)], from tables: the mask-aware conditional is that of p_theta(x) P(K | x)."""
    total = 0.0
    for mask, chance in zip(masks.masks, masks.probabilities, strict=True):
        aware = JointLaw.from_weights((law.probabilities * chance).reshape(law.table.shape)).conditional(mask)
        weights = (truth.probabilities * chance)[block_indices(law.sites, law.symbols, mask)]
        seen = weights > 0
        total -= float(weights[seen] @ np.log(aware[seen]))
    return total


def draw(data: Mapping[str, Any]) -> Figure:
    """Curvature of the loss less the second moment of the scores."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in data["exact"]:
        name = row["mask"]
        kind = "k-uniform" if name.endswith("-uniform") else "adaptive" if name.startswith("adaptive") else name
        kinds.setdefault(kind, []).append(row)
    groups = {}
    for kind, rows in kinds.items():
        predicted, measured = (np.ravel([row[key] for row in rows]) for key in ("quadratic_form", "curvature"))
        groups[kind] = (predicted, measured, predicted)
    figure, (axes,) = new_figure(width=5.0, height=4.2)
    differences(axes, groups, STENCIL_ERROR, "nats")
    axes.set_xlabel("predicted: $v^T E[s s^T] v$ (nats)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3)
    worst = max(float(np.abs(measured - predicted).max()) for predicted, measured, _ in groups.values())
    largest = max(float(np.max(predicted)) for predicted, _, _ in groups.values())
    headline(
        figure,
        f"The curvature of the loss, up to {largest:.2g} nats, is the second moment of the scores to {worst:.1g}, for "
        "every mask law",
    )
    return figure
