"""Eigenvalues, spectral gaps and relaxation times.

Definitions. The eigenvalues of P are those of its diagonal blocks over the communicating classes. Each closed class
contributes one eigenvalue 1 (its Perron root). Over all *other* eigenvalues lambda:
- absolute gap = 1 - max |lambda|, for any chain; 0 where there are several closed classes or one of period > 1;
- gap = 1 - max Re lambda, which for a reversible chain is 1 - lambda_2, so that C_P = 1/gap in Poincaré's inequality;
- relaxation time = 1 / absolute gap, infinite where that gap is 0.
A chain of one state has no other eigenvalue; its gaps are 1.

A reversible class with law pi is symmetrised: D^(1/2) P D^(-1/2) has the entries sqrt(P(x, y) P(y, x)), in which pi
does not appear. Gaps far below 1e-16 are then read from the Dirichlet form of the eigenfunctions, in which nothing
cancels: 1 - lambda = (1/2) sum_{x, y} (sqrt(P(x, y)) v_x - sqrt(P(y, x)) v_y)^2 for a unit eigenvector v.

Legend: ``S`` states. Source: Levin, Peres, Wilmer, sections 12.1, 12.2 and 13.2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, eigvals, eigvalsh

from theory.chains.classes import communicating_classes
from theory.chains.operator import TransitionOperator, as_operator
from theory.chains.reversibility import DETAILED_BALANCE_TOLERANCE
from theory.chains.stationary import stationary_laws_of
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]

Values = NDArray[np.inexact[Any]]
"""Eigenvalues: float64 where all are real, else complex128."""

NEAR_ONE = 1e-3
"""Eigenvalues this close to 1 (or -1) are refined with the Dirichlet form; others are accurate already."""
MOST_REFINED = 32
"""Most eigenvectors that take part in one refinement."""
CHUNK = 2**22
"""Numbers that one pass of the refinement holds at once."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """All eigenvalues of a chain, and its gaps.

    Attributes:
        eigenvalues: [S]; real and descending where the method is "symmetrised", else by descending modulus.
        gap: 1 - max Re lambda over the eigenvalues other than one Perron root for each closed class.
        absolute_gap: 1 - max |lambda| over the same.
        reversible: whether every closed class was found reversible.
        method: "symmetrised" where every class is reversible and closed, else "general".
        closed_classes: number of closed classes, the multiplicity of the eigenvalue 1.
        error_bound: bound on the error of each eigenvalue (backward error of the symmetric solver plus the measured
            asymmetry); None for the general solver, where none is known without the condition of the eigenvectors.
    """

    eigenvalues: Values
    gap: float
    absolute_gap: float
    reversible: bool
    method: str
    closed_classes: int
    error_bound: float | None

    @property
    def relaxation_time(self) -> float:
        """1 / absolute gap, infinite where it is 0."""
        return 1 / self.absolute_gap if self.absolute_gap > 0 else float("inf")


def spectrum(chain: TransitionOperator | ArrayLike) -> Spectrum:
    """Every eigenvalue and the gaps.

    Raises:
        InvalidInput: the chain is declared reversible, but detailed balance fails.
        ExceedsMemory: the dense matrix and its factors would not fit.
    """
    operator = as_operator(chain)
    require_memory(5.0 * operator.dense_bytes, "states", operator.states, "the eigenvalues of a dense matrix")
    matrix = operator.to_dense()
    classes = communicating_classes(operator)
    laws = iter(stationary_laws_of(operator, classes))
    found: list[Values] = []
    others: list[tuple[float, float]] = []  # (gap, absolute gap) of each class without its Perron root
    asymmetry = 0.0
    reversible = True
    for states, period in zip(classes.members, classes.periods, strict=True):
        block = matrix[np.ix_(states, states)]
        if period == 0:
            values = eigvals(block)
            others.append((1 - float(values.real.max()), 1 - float(np.abs(values).max())))
        else:
            law = next(laws).law[states]
            violation = _asymmetry(block, law)
            if operator.reversible and violation > np.sqrt(DETAILED_BALANCE_TOLERANCE):
                raise InvalidInput("reversible", True, f"detailed balance fails by {violation:.2g} of the largest flow")
            if operator.reversible is not False and (operator.reversible or violation <= DETAILED_BALANCE_TOLERANCE):
                asymmetry = max(asymmetry, violation)
                values, gap, absolute = _symmetrised(block, law)
            else:
                reversible = False
                values, gap, absolute = _general(block)
            others.append((gap, 0.0 if period > 1 else absolute))
        found.append(values)
    closed = len(classes.closed_members)
    gap, absolute = (min(values) for values in zip(*others, strict=True))
    if operator.states == 1:
        gap = absolute = 1.0
    symmetric = reversible and not len(classes.transient)
    return Spectrum(
        eigenvalues=_sorted(np.concatenate(found), by_modulus=not symmetric),
        gap=0.0 if closed > 1 else max(0.0, gap),
        absolute_gap=0.0 if closed > 1 else max(0.0, absolute),
        reversible=reversible,
        method="symmetrised" if symmetric else "general",
        closed_classes=closed,
        error_bound=4 * operator.states * float(np.finfo(np.float64).eps) + asymmetry if symmetric else None,
    )


def eigenvalues(chain: TransitionOperator | ArrayLike) -> Values:
    """All eigenvalues, ordered as in `Spectrum`."""
    return spectrum(chain).eigenvalues


def spectral_gap(chain: TransitionOperator | ArrayLike) -> float:
    """1 - max Re lambda over the eigenvalues other than the Perron root; 0 for several closed classes."""
    return spectrum(chain).gap


def absolute_spectral_gap(chain: TransitionOperator | ArrayLike) -> float:
    """1 - max |lambda| over the eigenvalues other than the Perron root; 0 for a periodic or reducible chain."""
    return spectrum(chain).absolute_gap


def relaxation_time(chain: TransitionOperator | ArrayLike) -> float:
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


def _general(block: Array) -> tuple[NDArray[np.complex128], float, float]:
    values = eigvals(block)
    rest = np.delete(values, np.abs(values - 1).argmin())
    return values, 1 - float(rest.real.max()), 1 - float(np.abs(rest).max())


def _symmetrised(block: Array, law: Array) -> tuple[Array, float, float]:
    """Eigenvalues, gap and absolute gap of a reversible irreducible class."""
    if len(block) == 1:
        return np.ones(1), np.inf, np.inf
    roots = np.sqrt(block)
    symmetric = roots * roots.T
    values = eigvalsh(symmetric)[::-1]
    gap = 1 - float(values[1])
    last = len(values) - 1
    if gap < NEAR_ONE:
        count = min(MOST_REFINED, int((values > 1 - NEAR_ONE).sum()))
        gap = _refine(block, law, eigh(symmetric, subset_by_index=(last - count + 1, last))[1], -1.0)
    low = 1 + float(values[-1])
    if low < NEAR_ONE:
        count = min(MOST_REFINED, int((values < NEAR_ONE - 1).sum()))
        low = _refine(block, law, eigh(symmetric, subset_by_index=(0, count - 1))[1], 1.0)
    return values, gap, min(gap, low)


def _refine(block: Array, law: Array, vectors: Array, sign: float) -> float:
    """Smallest Ritz value of I + sign P on the span of unit vectors, the constant function removed where sign = -1.

    A Ritz value is never below the exact one, and its error is of the second order in that of the vectors.
    """
    if sign < 0:
        perron = np.sqrt(law)
        rest = vectors - np.outer(perron, perron @ vectors)
        left, _, _ = np.linalg.svd(rest, full_matrices=False)
        vectors = left[:, : max(1, vectors.shape[1] - 1)]
        vectors = vectors - np.outer(perron, perron @ vectors)
        vectors = vectors / np.linalg.norm(vectors, axis=0)
    roots = np.sqrt(block)
    size, count = vectors.shape
    form = np.zeros((count, count))
    rows_at_once = max(1, CHUNK // (size * count))
    for first in range(0, size, rows_at_once):
        rows = slice(first, first + rows_at_once)
        leaving = roots[rows, :, None] * vectors[rows, None, :]
        arriving = roots[:, rows].T[:, :, None] * vectors[None, :, :]
        change = (leaving + sign * arriving).reshape(-1, count)
        form += 0.5 * change.T @ change
    return float(np.linalg.eigvalsh(form)[0]) if count > 1 else float(form[0, 0])
