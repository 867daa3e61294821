"""A bound and where to look for the instance at which it is tightest.

The *ratio* of an upper bound is exact / bound, of a lower bound bound / exact: 1 where the bound is attained, above 1
where it is broken, NaN where it says nothing. An instance is made from a vector theta of real numbers, so that any
optimiser can look for one.

Legend: ``d`` numbers in theta.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.chains import DenseOperator
from theory.conditionals import TableConditionals
from theory.laws import IsingLaw, JointLaw, ising
from theory.masks import k_uniform
from theory.samplers import block_gibbs

Array = NDArray[np.float64]

SITES = 3
"""Sites of the laws searched (bits): small enough for thousands of exact evaluations, large enough for k = 1, 2, 3."""

LARGEST_LOG_WEIGHT = 6.0
"""Log-weights and couplings are kept within this, so that every mass stays far above rounding."""

STATES, PARAMETERS = 2**SITES, SITES + comb(SITES, 2)


@dataclass(frozen=True)
class Bound:
    """A bound and its instances.

    Attributes:
        name: as on the command line.
        claim: which claim states it.
        statement: what is at most what.
        dimension: d.
        instance: from theta [d] to what the ratio is computed on, or None where theta names none.
        ratio: see the module's description.
        plain: the instance as plain data, from which it can be made again.
    """

    name: str
    claim: str
    statement: str
    dimension: int
    instance: Callable[[Array], Any]
    ratio: Callable[[Any], float]
    plain: Callable[[Any], dict[str, Any]]


def clipped(theta: Array) -> Array:
    """Log-weights within the limits."""
    return np.clip(theta, -LARGEST_LOG_WEIGHT, LARGEST_LOG_WEIGHT)


def table(theta: Array) -> JointLaw:
    """A law on `SITES` bits from its log-weights."""
    return JointLaw.from_log_weights(clipped(theta).reshape((2,) * SITES))


def two_bits(theta: Array) -> JointLaw:
    """A law on two bits from its log-weights."""
    return JointLaw.from_log_weights(clipped(theta).reshape(2, 2))


def two_laws(theta: Array) -> tuple[JointLaw, JointLaw]:
    """Two laws on two bits: the truth, and one whose conditionals were learned for it."""
    return two_bits(theta[:4]), two_bits(theta[4:])


def ising_model(theta: Array) -> IsingLaw:
    """An Ising model on `SITES` spins from its fields and couplings."""
    values = clipped(theta)
    couplings = np.zeros((SITES, SITES))
    couplings[np.triu_indices(SITES, 1)] = values[SITES:]
    return ising(couplings + couplings.T, values[:SITES])


def chain(law: JointLaw, size: int = 1) -> DenseOperator:
    """k-Gibbs of a law."""
    operator = block_gibbs(TableConditionals(law), k_uniform(law.sites, size))
    return DenseOperator(operator.to_dense(), True, law.probabilities)


def plain_law(law: JointLaw) -> dict[str, Any]:
    """A law as plain data."""
    return {"table": law.table.tolist()}


def plain_laws(laws: tuple[JointLaw, JointLaw]) -> dict[str, Any]:
    """Two laws as plain data."""
    return {**plain_law(laws[0]), "learned": laws[1].table.tolist()}


def plain_ising(law: IsingLaw) -> dict[str, Any]:
    """An Ising model as plain data."""
    return {"fields": law.fields.tolist(), "couplings": law.couplings.tolist()}
