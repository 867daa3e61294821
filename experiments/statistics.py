"""Limits, confidence intervals and standardised deviations for Monte Carlo checks.

Quantiles come from scipy.special: scipy.stats takes longer to load than most claims to list.

Sources: Clopper and Pearson, Biometrika 26 (1934); Satterthwaite, Biometrics Bulletin 2 (1946); Mantel, "The detection
of disease clustering and a generalized regression approach", Cancer Research 27 (1967).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc, betainccinv, betaincinv, chdtr, chdtrc, chdtri, gammaincinv, ndtri, stdtrit

from theory.errors import InvalidInput

Array = NDArray[np.float64]


def normal_limit(tail: float) -> float:
    """The number that a standard normal variable exceeds with probability ``tail``."""
    return float(-ndtri(tail))


def student_limit(tail: float, freedom: float) -> float:
    """The number that a Student t variable exceeds with probability ``tail``."""
    return float(-stdtrit(freedom, tail))


def chi_squared_limits(freedom: float, tail: float) -> tuple[float, float]:
    """The numbers below and above which a chi-squared variable lies with probability ``tail`` each."""
    return float(2 * gammaincinv(freedom / 2, tail)), float(chdtri(freedom, tail))


def clopper_pearson(count: int, total: int, level: float) -> tuple[float, float]:
    """Interval that misses the probability behind ``count`` of ``total`` events with probability at most ``level``.

    Raises:
        InvalidInput: ``count`` outside 0..total, an empty total, or a level outside (0, 1).
    """
    if total < 1 or not 0 <= count <= total:
        raise InvalidInput("count", count, f"must lie in 0..{total}, out of at least 1")
    if not 0 < level < 1:
        raise InvalidInput("level", level, "must lie in (0, 1)")
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, level / 2))
    high = 1.0 if count == total else float(betainccinv(count + 1, total - count, level / 2))
    return low, high


def clopper_pearson_power(total: int, level: float, bound: float, probability: float) -> float:
    """Probability that the upper end of `clopper_pearson` is above ``bound``, of events with that ``probability``."""
    below = [count for count in range(total + 1) if clopper_pearson(count, total, level)[1] <= bound]
    return float(bdtrc(below[-1], total, probability)) if below else 1.0


def chi_squared_power(freedom: float, tail: float, factor: float, allowance: float = 0.0) -> float:
    """Probability that the interval of a variance excludes the predicted one, where it is ``factor`` times that.

    The interval is that of `chi_squared_limits` with ``tail``, widened by ``allowance`` of the predicted variance.
    """
    low, high = chi_squared_limits(freedom, tail)
    above = chdtrc(freedom, high * (1 + allowance) / factor)
    return float(above + chdtr(freedom, max(0.0, low * (1 - allowance)) / factor))


def chi_squared_deviation(values: ArrayLike, freedom: ArrayLike) -> Array:
    """Chi-squared values as standard normal ones: z with the same tail probability, entry by entry; nan stays nan."""
    observed, degrees = np.broadcast_arrays(np.asarray(values, dtype=float), np.asarray(freedom, dtype=float))
    # Each half is read from its own tail, where the probability has not been rounded to 1.
    above = observed > degrees
    return np.where(above, -ndtri(chdtrc(degrees, observed)), ndtri(chdtr(degrees, observed)))


def quadratic_form_freedom(covariance: ArrayLike) -> float:
    """Degrees of freedom (tr C)^2 / tr C^2 of the scaled chi-squared law with the first two moments of |z|^2,
    z ~ N(0, C) (Satterthwaite)."""
    matrix = np.asarray(covariance, dtype=np.float64)
    return float(np.trace(matrix) ** 2 / np.sum(matrix * matrix.T))


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """Result of `site_permutation_test`.

    Attributes:
        correlations: rank correlation of each pair of matrices, [R].
        greater, less: p-values of a mean correlation that is too large, or too small, for matrices that have nothing
            to do with each other.
        null: the mean correlations of the permuted matrices, [draws].
    """

    correlations: Array
    greater: float
    less: float
    null: Array


def site_permutation_test(
    left: ArrayLike, right: ArrayLike, draws: int, generator: np.random.Generator
) -> PermutationTest:
    """Whether two kinds of pairwise matrices rank the pairs of sites alike, by relabelling the sites of one kind.

    The pairs of one matrix are not independent, the labels of its sites are exchangeable if it has nothing to do with
    the other: the mean rank correlation over replicates is compared with that under independent random relabellings
    (Mantel's test). With the observed one among them, the p-values are valid for every number of draws.

    Args:
        left, right: replicates of symmetric matrices, [R, N, N]; the entries above the diagonals are read.
        draws: random relabellings.
        generator: for the relabellings.

    Raises:
        InvalidInput: shapes that differ or are not [R, N, N] with N >= 3, a matrix with all pairs alike, or
            ``draws`` < 1.
    """
    first, second = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 3 or first.shape[1] != first.shape[2] or first.shape[1] < 3:
        raise InvalidInput("left", [first.shape, second.shape], "the same shape [R, N, N] is needed, N >= 3")
    if draws < 1:
        raise InvalidInput("draws", draws, "at least 1 is needed")
    ranks = [(_pair_ranks(a), _pair_ranks(b)) for a, b in zip(first, second, strict=True)]
    observed = np.array([float((a * b).sum()) for a, b in ranks])
    null = np.zeros(draws)
    for a, b in ranks:
        for draw in range(draws):
            order = generator.permutation(len(a))
            null[draw] += (a[np.ix_(order, order)] * b).sum() / len(ranks)
    # Relabelling changes the order of summation: correlations that are equal may differ in the last digits.
    mean = observed.mean()
    greater = (1 + int((null >= mean - 1e-12).sum())) / (1 + draws)
    less = (1 + int((null <= mean + 1e-12).sum())) / (1 + draws)
    return PermutationTest(observed, greater, less, null)


def _pair_ranks(matrix: Array) -> Array:
    """Ranks of the pairs of sites (mean rank for ties), centred and scaled to norm 1 as a matrix, diagonal 0, [N, N].

    The sum of the products of two such matrices is Spearman's correlation.
    """
    upper = np.triu_indices(len(matrix), 1)
    _, place, counts = np.unique(matrix[upper], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    if len(counts) == 1:
        raise InvalidInput("left", "a matrix with all pairs alike", "ranks need pairs that differ")
    result = np.zeros_like(matrix)
    result[upper] = ranks - ranks.mean()
    result += result.T
    return np.asarray(result / np.linalg.norm(result))
