"""Information matrices and asymptotic covariances of weighted pseudolikelihood estimators (claims C1 and C2).

For a pair (x, K) the *score* is s = grad ln p_theta(x_K | x_{-K}); for an exponential family s = T(x) - E[T | x_{-K}].
The *pseudolikelihood information* is I_PL = E_{x,K}[s s^T] = E_K E[Cov(T | x_{-K})], equal to the Hessian of L at the
true parameter (information-matrix equality). With n independent sequences and m independent masks for each,

    n Cov(theta_hat)  ->  I_PL^{-1} [ Cov_x(E_K s) + (1/m) E_x Cov_K(s) ] I_PL^{-1},

which is I_PL^{-1} for m = 1 and lies below it otherwise; m = "all" averages every mask. The same holds for adaptive
masks P(K | x) with the K-aware conditional p_theta(x_K | x_{-K}, K) proportional to p_theta(x) P(K | x).

Legend: ``S`` states, ``d`` parameters, ``C`` contexts of one mask, ``B`` states in a block.
Sources: Li et al. 2024 (arXiv:2407.21046), theorems on asymptotic efficiency; van der Vaart, *Asymptotic Statistics*
(1998), theorem 5.21 (the sandwich).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr, solve_triangular

from theory.errors import InvalidInput
from theory.estimation.masked_data import check_masks
from theory.laws.exponential_family import ExponentialFamily, ExponentialLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw
from theory.memory import require_memory
from theory.states import block_indices

Array = NDArray[np.float64]
MaskCount = int | Literal["all"]

RANK_TOLERANCE = 1e-12
"""Eigenvalues below this fraction of the largest count as zero."""


def pseudolikelihood_information(
    family: ExponentialFamily, theta: ArrayLike, masks: MaskLaw | AdaptiveMaskLaw
) -> Array:
    """I_PL = E_{x,K}[s s^T], from the score of every pair, shape [d, d]."""
    result = np.zeros((family.parameters, family.parameters))
    for _, joint, score in _scores(family, theta, masks):
        result += score.T @ (joint[:, None] * score)
    return result


def expected_conditional_covariance(
    family: ExponentialFamily, theta: ArrayLike, masks: MaskLaw | AdaptiveMaskLaw
) -> Array:
    """E_K E[Cov(T | x_{-K})] = Cov(T) - E_K Cov(E[T | x_{-K}]), by the law of total covariance, shape [d, d].

    Equal to `pseudolikelihood_information` and computed without any score: cheaper, since only one conditional mean
    per context is needed, but with cancellation where almost all of the variance lies between contexts.
    """
    check_masks(masks, family.sites, family.states)
    masses = family.probabilities(theta)
    centred = family.statistics - masses @ family.statistics
    result = centred.T @ (masses[:, None] * centred)
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        index = block_indices(family.sites, family.symbols, mask)
        joint = (masses * probability)[index]
        totals = joint.sum(axis=1)
        seen = totals > 0
        sums = (joint[seen, None, :] @ centred[index[seen]])[:, 0, :]
        result -= sums.T @ (sums / totals[seen, None])
    return np.asarray((result + result.T) / 2)


def score_covariances(
    family: ExponentialFamily, theta: ArrayLike, masks: MaskLaw | AdaptiveMaskLaw
) -> tuple[Array, Array]:
    """Cov_x(E_K s), the part that more masks cannot remove, and E_x Cov_K(s), the part that they can; both [d, d].

    Their sum is I_PL.
    """
    masses = family.probabilities(theta)
    mean = np.zeros_like(family.statistics)
    total = np.zeros((family.parameters, family.parameters))
    for index, joint, score in _scores(family, theta, masks):
        total += score.T @ (joint[:, None] * score)
        # joint / masses = P(K | x) wherever the sequence is possible.
        share = joint / np.where(masses[index] > 0, masses[index], 1.0)
        mean[index] += share[:, None] * score
    between = mean.T @ (masses[:, None] * mean)
    return between, total - between


def asymptotic_covariance(
    family: ExponentialFamily,
    theta: ArrayLike,
    masks: MaskLaw | AdaptiveMaskLaw,
    masks_per_sample: MaskCount = 1,
) -> Array:
    """lim n Cov(theta_hat) for n sequences with ``masks_per_sample`` masks each (an integer or "all"), shape [d, d].

    Raises:
        InvalidInput: the information is singular, or ``masks_per_sample`` is neither "all" nor an integer >= 1.
    """
    if masks_per_sample != "all" and (not isinstance(masks_per_sample, int) or masks_per_sample < 1):
        raise InvalidInput("masks_per_sample", masks_per_sample, 'an integer >= 1 or "all" is needed')
    if masks_per_sample == 1:
        return invert_information(pseudolikelihood_information(family, theta, masks))
    between, within = score_covariances(family, theta, masks)
    inverse = invert_information(between + within)
    middle = between if masks_per_sample == "all" else between + within / masks_per_sample
    return np.asarray(inverse @ middle @ inverse)


def invert_information(information: ArrayLike) -> Array:
    """Inverse of an information matrix [d, d].

    Raises:
        InvalidInput: the matrix is singular: some directions of the parameter are not identified by the masked tokens.
    """
    matrix = _symmetric(information, "information")
    values, vectors = np.linalg.eigh(matrix)
    missing = int((values <= RANK_TOLERANCE * max(float(values[-1]), 0.0)).sum())
    if missing:
        raise InvalidInput(
            "information",
            f"a matrix of rank {len(values) - missing}",
            f"must be invertible; {missing} of {len(values)} directions of the parameter are not identified",
        )
    return np.asarray((vectors / values) @ vectors.T)


def whitened_family(law: ExponentialLaw) -> ExponentialFamily:
    """The law's family in coordinates in which its Fisher information is the identity and its own parameter is 0.

    The statistics are those of the family, centred and orthonormal under the law. Loewner orders and the eigenvalues of
    I Gamma do not depend on the coordinates; in these ones nearly deterministic laws do not spoil them.

    Raises:
        InvalidInput: statistics that are linearly dependent under the law: the parameter is not identified.
    """
    family, masses = law.family, law.probabilities
    centred = family.statistics - masses @ family.statistics
    triangle = qr(np.sqrt(masses)[:, None] * centred, mode="r")[0][: family.parameters]
    sizes = np.abs(np.diagonal(triangle))
    if len(sizes) < family.parameters or sizes.min() <= RANK_TOLERANCE * sizes.max():
        raise InvalidInput("law", law.name, "its statistics must be linearly independent under the law")
    statistics = solve_triangular(triangle, centred.T, trans="T").T
    return ExponentialFamily(
        law.sites, law.symbols, statistics, base_log_weights=law.log_probabilities, name=family.name
    )


def loewner_margin(upper: ArrayLike, lower: ArrayLike) -> float:
    """Smallest eigenvalue of ``upper - lower``: the order lower <= upper holds exactly where this is >= 0.

    Raises:
        InvalidInput: matrices that are not symmetric or differ in shape.
    """
    high, low = _symmetric(upper, "upper"), _symmetric(lower, "lower")
    if high.shape != low.shape:
        raise InvalidInput("lower", f"shape {low.shape}", f"the shape of upper, {high.shape}, is needed")
    return float(np.linalg.eigvalsh(high - low)[0])


def _scores(
    family: ExponentialFamily, theta: ArrayLike, masks: MaskLaw | AdaptiveMaskLaw
) -> Iterator[tuple[NDArray[np.int64], Array, Array]]:
    """For each mask: state numbers [S] in block order, p(x) P(K | x) [S], and scores [S, d] in that order.

    A state that has probability zero given its context is yielded with its weight of zero.
    """
    check_masks(masks, family.sites, family.states)
    require_memory(32.0 * family.statistics.size, "family", family.name, "the scores of one mask")
    masses = family.probabilities(theta)
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        index = block_indices(family.sites, family.symbols, mask)
        joint = (masses * probability)[index]
        totals = joint.sum(axis=1, keepdims=True)
        conditional = joint / np.where(totals > 0, totals, 1.0)
        grouped = family.statistics[index]
        score = grouped - conditional[:, None, :] @ grouped
        yield index.ravel(), joint.ravel(), score.reshape(-1, family.parameters)


def _symmetric(matrix: ArrayLike, argument: str) -> Array:
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.size == 0:
        raise InvalidInput(argument, f"an array of shape {values.shape}", "a square matrix is needed")
    if not np.isfinite(values).all() or not np.allclose(values, values.T, rtol=1e-8, atol=1e-10 * np.abs(values).max()):
        raise InvalidInput(argument, "a matrix", "a finite symmetric matrix is needed")
    return np.asarray((values + values.T) / 2)
