"""Eigenvalues, spectral gaps and relaxation times.

Definitions. The eigenvalues of P are those of its diagonal blocks over the communicating classes. Each closed class
contributes one eigenvalue 1 (its Perron root). Over all *other* eigenvalues lambda:
- absolute gap = 1 - max |lambda|, for any chain; 0 where there are several closed classes or one of period > 1;
- gap = 1 - max Re lambda, which for a reversible chain is 1 - lambda_2, so that C_P = 1/gap in Poincaré's inequality;
- relaxation time = 1 / absolute gap, infinite where that gap is 0.
A chain of one state has no other eigenvalue; its gaps are 1.

A reversible class with law pi is symmetrised: D^(1/2) P D^(-1/2) has the entries sqrt(P(x, y) P(y, x)), in which pi
does not appear. Any other goes through the QR algorithm (`theory.chains.nonnormal`). Gaps that are small are computed
again to relative accuracy (`theory.chains.slow_modes`), and all come with intervals (`theory.chains.gaps`).

Legend: ``S`` states. Source: Levin, Peres, Wilmer, sections 12.1, 12.2 and 13.2.1.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, eigvals, eigvalsh

from theory.chains.classes import communicating_classes
from theory.chains.facts import fact
from theory.chains.gaps import EXACTLY_ZERO, WITHOUT_LIMIT, Enclosure, Gaps, least
from theory.chains.nonnormal import NEAR_ONE, gaps_of_class, slow_rates
from theory.chains.operator import Chain, TransitionOperator
from theory.chains.reversibility import DETAILED_BALANCE_TOLERANCE
from theory.chains.slow_modes import SMALLEST_MASS, NotReversible, leaving_rate, slowest_mode
from theory.chains.stationary import stationary_laws
from theory.errors import InvalidInput
from theory.memory import require_memory
from theory.pictures import Pictured

Array = NDArray[np.float64]

Values = NDArray[np.inexact[Any]]
"""Eigenvalues: float64 where all are real, else complex128."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Spectrum(Gaps, Pictured):
    """All eigenvalues of a chain, and its gaps.

    Attributes:
        eigenvalues: [S]; real and descending where the method is "symmetrised", else by descending modulus.
        reversible: whether every closed class was found reversible.
        method: "symmetrised" where every class is reversible and closed, else "general".
        closed_classes: number of closed classes, the multiplicity of the eigenvalue 1.
        error_bound: bound on the error of each eigenvalue (backward error of the symmetric solver plus the measured
            asymmetry); None for the general solver, where each eigenvalue has its own.
    """

    eigenvalues: Values
    reversible: bool
    method: str
    closed_classes: int
    error_bound: float | None


@fact
def spectrum(operator: TransitionOperator) -> Spectrum:
    """Every eigenvalue and the gaps.

    Raises:
        InvalidInput: the chain is declared reversible, but detailed balance fails.
        ExceedsMemory: the dense matrix and its factors would not fit.
    """
    require_memory(5.0 * operator.dense_bytes, "states", operator.states, "the eigenvalues of a dense matrix")
    matrix = operator.to_dense()
    classes = communicating_classes(operator)
    laws = iter(stationary_laws(operator))
    found: list[Values] = []
    gaps: list[Enclosure] = []
    absolute: list[Enclosure] = []
    error = 4 * operator.states * float(np.finfo(np.float64).eps)
    asymmetry = 0.0
    reversible = True
    for states, period in zip(classes.members, classes.periods, strict=True):
        block = matrix[np.ix_(states, states)]
        if period == 0:
            values, gap = _transient(block, np.delete(matrix[states], states, axis=1).sum(axis=1))
            low = gap
        elif len(law := next(laws).law[states]) == 1:
            values, gap, low = np.ones(1), WITHOUT_LIMIT, WITHOUT_LIMIT
        else:
            violation = _asymmetry(block, law)
            if operator.reversible and violation > np.sqrt(DETAILED_BALANCE_TOLERANCE):
                raise InvalidInput("reversible", True, f"detailed balance fails by {violation:.2g} of the largest flow")
            symmetric = operator.reversible is not False and (
                operator.reversible or violation <= DETAILED_BALANCE_TOLERANCE
            )
            try:
                if not symmetric:
                    raise NotReversible
                values, gap, low = _symmetrised(block, law, period, error + violation)
                asymmetry = max(asymmetry, violation)
            except NotReversible:
                reversible = False
                values, gap, low = gaps_of_class(block, law, period)
        found.append(values)
        gaps.append(gap)
        absolute.append(low)
    closed = len(classes.closed_members)
    if operator.states == 1:
        gaps = absolute = [Enclosure(1.0, 1.0, 1.0)]
    gap, low = (EXACTLY_ZERO if closed > 1 else least(each) for each in (gaps, absolute))
    all_symmetric = reversible and not len(classes.transient)
    return Spectrum(
        gap=gap.value,
        absolute_gap=low.value,
        gap_interval=gap.interval,
        absolute_gap_interval=low.interval,
        eigenvalues=_sorted(np.concatenate(found), by_modulus=not all_symmetric),
        reversible=reversible,
        method="symmetrised" if all_symmetric else "general",
        closed_classes=closed,
        error_bound=error + asymmetry if all_symmetric else None,
    )


def eigenvalues(chain: Chain) -> Values:
    """All eigenvalues, ordered as in `Spectrum`."""
    return spectrum(chain).eigenvalues


def spectral_gap(chain: Chain) -> float:
    """1 - max Re lambda over the eigenvalues other than the Perron root; 0 for several closed classes."""
    return spectrum(chain).gap


def absolute_spectral_gap(chain: Chain) -> float:
    """1 - max |lambda| over the eigenvalues other than the Perron root; 0 for a periodic or reducible chain."""
    return spectrum(chain).absolute_gap


def relaxation_time(chain: Chain) -> float:
    """1 / absolute gap, infinite where that is 0."""
    return spectrum(chain).relaxation_time


def symmetric_eigenvectors(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues [S], descending, and unit eigenvectors [S, S] (columns) of sqrt(P(x, y) P(y, x)).

    For a chain reversible with respect to pi > 0, column j divided by sqrt(pi) is the j-th eigenfunction.
    """
    roots = np.sqrt(matrix)
    values, vectors = eigh(roots * roots.T)
    return values[::-1], vectors[:, ::-1]


def _sorted(values: Values, by_modulus: bool) -> Values:
    if not by_modulus:
        return -np.sort(-values.real)
    if not values.imag.any():
        values = values.real
    # Rounding the modulus keeps conjugate pairs together.
    return values[np.lexsort((-values.imag, -values.real, -np.abs(values).round(13)))]


def _asymmetry(block: Array, law: Array) -> float:
    """Largest violation of detailed balance, relative to the largest flow between two states."""
    flow = law[:, None] * block
    np.fill_diagonal(flow, 0.0)
    largest = float(flow.max())
    return float(np.abs(flow - flow.T).max()) / largest if largest > 0 else 0.0


def _transient(block: Array, exits: Array) -> tuple[Values, Enclosure]:
    """Eigenvalues of a class that is left, and 1 - its Perron root, which has the largest modulus."""
    values = eigvals(block)
    try:
        return values, leaving_rate(block, exits)
    except InvalidInput:  # below the range of float64
        return values, Enclosure.between(0.0, float(exits.max()))


def _symmetrised(block: Array, law: Array, period: int, error: float) -> tuple[Array, Enclosure, Enclosure]:
    """Eigenvalues, gap and absolute gap of a reversible irreducible class; ``error`` is that of the eigenvalues."""
    roots = np.sqrt(block)
    values = eigvalsh(roots * roots.T)[::-1]
    gap = _near_end(block, law, 1 - float(values[1]), error, alternating=False)
    if period > 1:
        return values, gap, EXACTLY_ZERO
    return values, gap, least([gap, _near_end(block, law, 1 + float(values[-1]), error, alternating=True)])


def _near_end(block: Array, law: Array, distance: float, error: float, alternating: bool) -> Enclosure:
    """The distance from an end of the spectrum, computed again to relative accuracy where it is small."""
    found = Enclosure.around(distance, error)
    if distance >= NEAR_ONE:
        return found
    with suppress(InvalidInput):  # below the range of float64
        if law.min() >= SMALLEST_MASS:
            return slowest_mode(block, law, alternating)[0]
        if not alternating:
            return slow_rates(block, law, 1).gap  # which does not divide by masses
    return found
