"""Ends of the spectrum of a large symmetric operator, by Lanczos iteration with few vectors in memory.

From a unit vector v_1, A v_j = b_{j-1} v_{j-1} + a_j v_j + b_j v_{j+1} builds a tridiagonal matrix T_m. An eigenpair
(theta, s) of T_m gives y = sum_j s_j v_j with ||A y - theta y|| = b_m |s_m|, which tells when to stop. The vectors are
not orthogonalised against each other again: rounding then repeats eigenvalues that have converged already, but neither
moves the ends nor the residual of the first copy (Paige). An iteration therefore costs one product and a few passes
over three vectors, where an implicitly restarted one passes over its whole basis. y is summed from the v_j if they
fit in memory, and in a second run of the same recurrence otherwise. The residual that is returned is measured
on y itself.

Legend: ``S`` dimension, ``m`` iterations.
Source: Paige, J. Inst. Maths Applics 10 (1972) and 18 (1976); Cullum and Willoughby, *Lanczos Algorithms for Large
Symmetric Eigenvalue Computations* (1985), ch. 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.linalg.blas import daxpy

from theory.memory import available_bytes

Array = NDArray[np.float64]

MOST_ITERATIONS = 20_000
KEPT_BYTES = 1.5 * 2**30
"""Lanczos vectors are kept while they take at most this much memory, and a quarter of what is free."""
SPENT = 1e-14
"""A remainder this small, relative to the operator's norm of at most 1, leaves nothing to iterate on."""


class Eigenpair(NamedTuple):
    """An eigenvalue, its unit vector [S], and ||A y - theta y||."""

    value: float
    vector: Array
    residual: float


class NotConverged(RuntimeError):
    """The iteration stopped before the residual was small; no number is given."""


def extreme_eigenpairs(
    product: Callable[[Array], Array], start: Array, ends: Sequence[str], tolerance: float
) -> list[Eigenpair]:
    """Eigenpairs at the ends of the spectrum of A, restricted to the smallest invariant space with the start.

    Args:
        product: v -> A v for v of shape [S], a new array; A symmetric with norm at most 1.
        start: [S], not zero; random, so that it has a part in every eigenspace.
        ends: "top", "bottom" or both, in the order of the result.
        tolerance: largest residual that counts as converged.

    Raises:
        NotConverged: the tolerance was not reached.
    """
    first = start / np.linalg.norm(start)
    diagonal: list[float] = []
    beside: list[float] = []
    kept: list[Array] | None = [first]
    room = min(KEPT_BYTES, available_bytes() / 4)
    weights: dict[str, Array] = {}
    previous, here = np.zeros_like(first), first
    look = 1
    while len(weights) < len(ends):
        image = _next(product, previous, here, beside[-1] if beside else 0.0)
        diagonal.append(float(here @ image))
        image = daxpy(here, image, a=-diagonal[-1])
        beside.append(float(np.linalg.norm(image)))
        spent, count = beside[-1] <= SPENT, len(diagonal)
        if count >= look or spent:
            look = count + max(1, count // 10)
            for end in ends:
                if end not in weights:
                    _, vector = _end_of(diagonal, beside, end)
                    if spent or beside[-1] * abs(vector[-1]) <= tolerance / 10:
                        weights[end] = vector
        if count == MOST_ITERATIONS and len(weights) < len(ends):
            raise NotConverged(f"Lanczos iteration did not converge in {count} iterations")
        image /= max(beside[-1], np.finfo(float).tiny)
        previous, here = here, image
        if kept is not None:
            kept.append(image)
            kept = kept if len(kept) * image.nbytes <= room else None
    sums = {end: np.zeros_like(first) for end in ends}
    previous, here = np.zeros_like(first), first
    for index in range(max(len(vector) for vector in weights.values())):
        for end, vector in weights.items():
            if index < len(vector):
                sums[end] = daxpy(here if kept is None else kept[index], sums[end], a=vector[index])
        if kept is None:
            image = _next(product, previous, here, beside[index - 1] if index else 0.0)
            image = daxpy(here, image, a=-diagonal[index])
            image /= max(beside[index], np.finfo(float).tiny)
            previous, here = here, image
    return [_measured(product, sums[end], tolerance) for end in ends]


def _next(product: Callable[[Array], Array], previous: Array, here: Array, beside: float) -> Array:
    """A v_j - b_{j-1} v_{j-1}."""
    return np.asarray(daxpy(previous, product(here), a=-beside))


def _end_of(diagonal: list[float], beside: list[float], end: str) -> tuple[float, Array]:
    """The eigenpair of T_m at one end."""
    index = len(diagonal) - 1 if end == "top" else 0
    values, vectors = eigh_tridiagonal(diagonal, beside[:-1], select="i", select_range=(index, index))
    return float(values[0]), np.asarray(vectors[:, 0])


def _measured(product: Callable[[Array], Array], vector: Array, tolerance: float) -> Eigenpair:
    vector = vector / np.linalg.norm(vector)
    image = product(vector)
    value = float(vector @ image)
    residual = float(np.linalg.norm(image - value * vector))
    if not residual <= tolerance:
        raise NotConverged(f"Lanczos iteration ended with residual {residual:.2g}, above {tolerance:.2g}")
    return Eigenpair(value, vector, residual)
