"""Product laws and mixtures of product laws.

A product law is p(x) = prod_i f_i(x_i). A mixture of products is p(x) = sum_z w_z prod_i f_{z,i}(x_i): a latent class
picks the law of every site at once, the simplest model of multimodality.

Legend: ``N`` sites, ``q`` symbols, ``Z`` components.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.laws.joint import LOG_TINY, SUM_TOLERANCE, JointLaw, logarithms, normalised_masses
from theory.rounding import sum_tolerance
from theory.states import require_states

Array = NDArray[np.float64]


class ProductLaw(JointLaw):
    """A product law.

    Attributes:
        factors: f_i(a), shape [N, q].
    """

    def __init__(self, table: ArrayLike, factors: Array, name: str, log_table: Array | None = None) -> None:
        super().__init__(table, name, log_table)
        self.factors = factors


class MixtureOfProducts(JointLaw):
    """A mixture of product laws.

    Attributes:
        weights: w_z, shape [Z].
        factors: f_{z,i}(a), shape [Z, N, q].
    """

    def __init__(
        self, table: ArrayLike, weights: Array, factors: Array, name: str, log_table: Array | None = None
    ) -> None:
        super().__init__(table, name, log_table)
        self.weights = weights
        self.factors = factors


def product_law(factors: ArrayLike, name: str = "product law") -> ProductLaw:
    """Independent sites.

    Args:
        factors: f_i(a), shape [N, q], rows summing to 1.
        name: shown in results.

    Raises:
        InvalidInput: a wrong shape, or a row that is not a law.
    """
    rows = stochastic(factors, "factors", 2)
    require_states(rows.shape[0], rows.shape[1], 24.0, "the product law")
    if smallest_product(rows) < LOG_TINY:
        table, logs = normalised_masses(_log_product(rows))
        return ProductLaw(table, rows, name, logs)
    return ProductLaw(reduce(np.multiply.outer, rows), rows, name)


def mixture_of_products(weights: ArrayLike, factors: ArrayLike, name: str = "mixture of products") -> MixtureOfProducts:
    """A latent class z with law w, and given z independent sites.

    Args:
        weights: w_z, shape [Z], summing to 1.
        factors: f_{z,i}(a), shape [Z, N, q], last axis summing to 1.
        name: shown in results.

    Raises:
        InvalidInput: wrong shapes, or entries that are no laws.
    """
    classes = stochastic(weights, "weights", 1)
    rows = stochastic(factors, "factors", 3)
    if len(classes) != len(rows):
        raise InvalidInput("weights", f"{len(classes)} weights", f"one per component ({len(rows)}) is needed")
    require_states(rows.shape[1], rows.shape[2], 24.0, "the mixture")
    table = np.zeros((rows.shape[2],) * rows.shape[1])
    for weight, component in zip(classes, rows, strict=True):
        table += weight * reduce(np.multiply.outer, component)
    logs = None
    if smallest_product(rows) < LOG_TINY:
        parts = (np.log(w) + _log_product(component) for w, component in zip(classes, rows, strict=True) if w > 0)
        table, logs = normalised_masses(reduce(np.logaddexp, parts))
    return MixtureOfProducts(table, classes, rows, name, logs)


def stochastic(values: ArrayLike, argument: str, dimensions: int) -> Array:
    """A copy of an array whose last axis holds laws, normalised exactly.

    Raises:
        InvalidInput: another number of axes, entries that are negative or NaN, or sums that are not 1.
    """
    given = np.asarray(values)
    laws = np.array(given, dtype=np.float64)
    if laws.ndim != dimensions or laws.size == 0:
        raise InvalidInput(
            argument, f"an array of shape {laws.shape}", f"a non-empty array of {dimensions} axes is needed"
        )
    sums = laws.sum(axis=-1, keepdims=True)
    off = np.abs(sums - 1).max()
    if not (laws >= 0).all() or not (off <= SUM_TOLERANCE or off <= sum_tolerance(given, SUM_TOLERANCE)):
        raise InvalidInput(argument, laws.tolist(), "entries must be >= 0 and sum to 1 along the last axis")
    return np.asarray(laws / sums)


def smallest_product(factors: Array) -> float:
    """ln of the least product of positive entries of [..., N, q], one from each of the N rows, at most."""
    logs = np.log(factors, out=np.zeros_like(factors), where=factors > 0)
    return float(logs.min(axis=-1).sum(axis=-1).min())


def _log_product(factors: Array) -> Array:
    """ln of the product law's table, -inf where a factor is 0."""
    return np.asarray(reduce(np.add.outer, logarithms(factors)))
