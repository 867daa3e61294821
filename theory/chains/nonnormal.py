"""Eigenvalues of matrices that are not symmetric, with their errors.

The QR algorithm returns the eigenvalues of B + E, |E| of the order of eps |B|. An eigenvalue with left and right unit
vectors y, x moves by about |E| / |y* x|; one of a Jordan block of size m becomes m eigenvalues on a circle of radius
|E|^(1/m), half of a unit for m = 50. So eigenvalues are grouped where the discs of radius |E| / |y* x| overlap, and
each counts as known within about twice the width of its group. That is first-order analysis with a safety factor, no
proof.

What exact structure tells comes first. Without the Perron root, the eigenvalues of P are those of P on functions modulo
constants, B(x, y) = P(x, y) - P(o, y) for a reference state o and x, y != o. Where rows of P agree, B is zero exactly,
and the strongly connected components of what remains give its spectrum block by block: a chain that has forgotten its
start after finitely many steps has a nilpotent B, often a triangular one.

Where all else fails, rho(B) <= |P^t - 1 pi|^(1/t) in the norm max_x sum_y, for every t.

Legend: ``S`` states. Source: Golub and Van Loan, *Matrix Computations*, section 7.2; Wilkinson, *The Algebraic
Eigenvalue Problem*, ch. 2.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eig
from scipy.sparse.csgraph import connected_components

from theory.chains.gaps import EXACTLY_ZERO, Enclosure, least
from theory.chains.slow_modes import EPS, SlowRates, inverse_modulo_constants, rates_of_inverse
from theory.errors import InvalidInput

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

BACKWARD = 4.0
"""Backward error of the QR algorithm in units of eps |B|_F."""

NEAR_ONE = 1e-3
"""Eigenvalues this close to 1 are computed again, to relative accuracy."""

MOST_DOUBLINGS = 40
"""P^(2^40) is the highest power whose norm is looked at."""


def eigenvalues_with_errors(matrix: Array, rounding: float = 0.0) -> tuple[Complex, Array]:
    """Eigenvalues and bounds on their errors, [S] each, to first order.

    Args:
        matrix: [S, S].
        rounding: error of the matrix itself, relative to its norm.
    """
    if len(matrix) == 1:
        return matrix[0].astype(np.complex128), np.abs(matrix[0]) * (EPS + rounding)
    norm = float(np.linalg.norm(matrix))
    backward = (BACKWARD * EPS + rounding) * norm
    # Entries below the backward error would only mislead the solver's balancing.
    matrix = np.where(np.abs(matrix) < EPS * norm / len(matrix), 0.0, matrix)
    values, left, right = eig(matrix, left=True, right=True)
    distances = np.abs(values[:, None] - values)
    with np.errstate(divide="ignore"):
        radii = backward / np.abs((left.conj() * right).sum(axis=0))
    # Values that coincide are perhaps one Jordan block that was not split: it would be a ring of this radius.
    coinciding = (distances <= backward).sum(axis=1)
    ring = norm * (backward / norm) ** (1 / coinciding) if norm > 0 else np.zeros(len(matrix))
    radii = np.where(coinciding > 1, np.minimum(radii, ring), radii)
    _, groups = connected_components(distances <= radii[:, None] + radii, directed=False)
    sizes = np.bincount(groups)
    centres = (np.bincount(groups, values.real) + 1j * np.bincount(groups, values.imag)) / sizes
    width = np.zeros(len(sizes))
    np.maximum.at(width, groups, np.abs(values - centres[groups]))
    # Of two values that came out too close by chance, the geometric mean with the radius tells how far they may be.
    spread = np.maximum(width[groups], np.sqrt(width[groups] * np.minimum(radii, norm)))
    errors = np.where(sizes[groups] > 1, np.maximum(2 * spread, np.minimum(radii, ring)), radii)
    return values.astype(np.complex128), errors


def modulo_constants(block: Array) -> tuple[Complex, Array]:
    """Eigenvalues of an irreducible chain without its Perron root, with bounds on their errors, [S - 1] each."""
    agreeing = np.zeros(len(block), dtype=np.int64)
    for column in block.T:
        _, position, counts = np.unique(column, return_inverse=True, return_counts=True)
        agreeing += counts[position]
    others = np.delete(np.arange(len(block)), int(agreeing.argmax()))
    quotient = block[np.ix_(others, others)] - block[int(agreeing.argmax()), others]
    _, labels = connected_components(quotient != 0, connection="strong")
    found = [
        eigenvalues_with_errors(quotient[np.ix_(members, members)])
        for members in (np.flatnonzero(labels == label) for label in np.unique(labels))
    ]
    return np.concatenate([values for values, _ in found]), np.concatenate([errors for _, errors in found])


def gaps_of_class(block: Array, law: Array, period: int) -> tuple[Complex, Enclosure, Enclosure]:
    """All eigenvalues [S], gap and absolute gap of an irreducible chain that need not be reversible; S >= 2."""
    values, errors = modulo_constants(block)
    gaps, absolutes = [], []
    near = np.abs(1 - values) < NEAR_ONE
    if near.any():
        # With times beyond the range of float64 the absolute errors stay, and swallow the value.
        with suppress(InvalidInput):
            slow = slow_rates(block, law, int(near.sum()))
            gaps, absolutes = [slow.gap], [slow.absolute_gap]
            # Those that rounding hides are 1 in float64 in any case.
            values[near] = 1 - np.where(np.abs(slow.rates) < 2 * NEAR_ONE, slow.rates, 0.0)
            errors[near] = np.inf
    far = np.isfinite(errors)
    for found, distances in ((gaps, 1 - values.real), (absolutes, 1 - np.abs(values))):
        d, e = distances[far], errors[far]
        if len(d):
            found.append(Enclosure.between(float((d - e).min()), float((d + e).min()), float(d.min())))
    gap, absolute = least(gaps), least(absolutes)
    absolute = EXACTLY_ZERO if period > 1 else absolute
    if gap.low == 0 or (absolute.low == 0 and period == 1):
        # What follows from the sum of the eigenvalues and from powers is less, but sure.
        least_gap, mean = 1 - _power_radius(block, law), (float(np.trace(block)) - 1) / (len(block) - 1)
        gap = Enclosure.between(max(gap.low, least_gap), min(gap.high, 1 - mean), gap.value)
        if period == 1:
            absolute = Enclosure.between(
                max(absolute.low, least_gap), min(absolute.high, 1 - abs(mean)), absolute.value
            )
    return np.concatenate([np.ones(1), values]), gap, absolute


def slow_rates(block: Array, law: Array, count: int) -> SlowRates:
    """The ``count`` smallest numbers 1 - lambda of an irreducible chain, to relative accuracy.

    Raises:
        InvalidInput: an expected time exceeds the range of float64.
        ExceedsMemory: the matrices would not fit.
    """
    matrix, scale, rounding = inverse_modulo_constants(block, law)
    values, errors = eigenvalues_with_errors(matrix, rounding)
    slow = np.argsort(-np.abs(values))[:count]
    return rates_of_inverse(values[slow], errors[slow], scale, len(block))


def _power_radius(block: Array, law: Array) -> float:
    """An upper bound on the modulus of every eigenvalue but the Perron root."""
    best, power, error = 1.0, block, len(block) * EPS
    for doubling in range(MOST_DOUBLINGS):
        norm = float(np.abs(power - law).sum(axis=1).max()) + error
        best = min(best, norm ** (0.5**doubling))
        if norm < 4 * error or error > 1:
            break
        power = power @ power
        power /= power.sum(axis=1, keepdims=True)
        error = 2 * error + len(block) * EPS
    return best
