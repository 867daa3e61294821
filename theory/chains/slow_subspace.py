"""Small gaps of reversible chains that are too large for their matrix: Ritz values of the Dirichlet form.

Lanczos iteration finds the slow modes f_1, ..., f_k, those with 1 - lambda < `SLOW`, and 1 - lambda = delta of the next
one. Applying the chain a few hundred times takes out of them what is not slow, down to rounding. Their Dirichlet form

    E(f, g) = (1/2) sum_{x, y} pi(x) P(x, y) (f(x) - f(y)) (g(x) - g(y))

is a sum over pairs of states, which the operator adds up (`TransitionOperator.dirichlet_form`): the differences of
nearby floats are exact, so that nothing cancels. The smallest Ritz value mu of E against the variance on their span,
all of them together, is never below the gap. With R = (I - P) f - f H the residual on the span, in the norm of pi,

    gap >= mu - |R|^2 / (delta - mu),

the quadratic residual bound of Kato and Temple. R is rounding, 1e-15 or so, and its square 1e-30: gaps down to about
1e-28 have digits. delta comes from the iteration and its random start, as everything that it finds.

Legend: ``S`` states, ``k`` slow modes. Source: Parlett, *The Symmetric Eigenvalue Problem*, ch. 10 and 11.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from theory.chains.gaps import Enclosure
from theory.chains.lanczos import NotConverged, extreme_eigenpairs
from theory.chains.operator import TransitionOperator

Array = NDArray[np.float64]

SLOW = 1e-2
"""1 - lambda below which a mode counts as slow."""
MOST_SLOW = 12
"""Most slow modes that are looked for; with more, there is no lower end."""
SMOOTHINGS = 25
"""Steps of the lazy chain between two looks at the residual."""
LOOKS = 40
"""Most looks."""
FORM_ROUNDING = 1e-12
"""Relative rounding of the Dirichlet form, as a sum of non-negative terms."""


def slow_gap(
    chain: TransitionOperator, law: Array, product: Callable[[Array], Array], first: Array, tolerance: float
) -> tuple[Enclosure, Array]:
    """The gap, with the eigenfunction [S] that goes with it.

    Args:
        chain: reversible with respect to the law, with a Dirichlet form.
        law: pi > 0, [S].
        product: v -> A v, the symmetrised chain without its Perron vector.
        first: unit eigenvector of its largest eigenvalue, [S].
        tolerance: of the iteration.
    """
    vectors, delta = _slow_vectors(product, first, tolerance)
    root = np.sqrt(law)
    functions, residual = _smoothed(chain, root, vectors / root[:, None])
    form = chain.dirichlet_form(functions)
    gram = functions.T @ (law[:, None] * functions)
    values, mixtures = eigh(form, gram)
    mu = float(values[0])
    error = FORM_ROUNDING * mu + len(values) * float(np.finfo(np.float64).eps) * float(values[-1])
    below = residual**2 / (delta - mu) if delta > mu else np.inf
    return Enclosure.between(mu - error - below, mu + error, mu), functions @ mixtures[:, 0]


def _slow_vectors(product: Callable[[Array], Array], first: Array, tolerance: float) -> tuple[Array, float]:
    """Unit vectors of the slow modes, [S, k], and 1 - lambda of the next mode; 0 where it was not found."""
    generator = np.random.default_rng(1)
    found = first[:, None]

    def rest(vector: Array) -> Array:
        inside = vector - found @ (found.T @ vector)
        image = product(inside)
        return np.asarray(image - found @ (found.T @ image))

    while found.shape[1] < min(MOST_SLOW, len(first) - 2):
        start = rest(generator.normal(size=len(first)))
        try:
            pair = extreme_eigenpairs(rest, start, ("top",), tolerance)[0]
        except NotConverged:
            break
        if pair.value < 1 - SLOW:
            return found, 1 - pair.value - pair.residual
        vector = pair.vector - found @ (found.T @ pair.vector)
        found = np.column_stack([found, vector / np.linalg.norm(vector)])
    return found, 0.0


def _smoothed(chain: TransitionOperator, root: Array, functions: Array) -> tuple[Array, float]:
    """Functions of mean 0, orthonormal under pi, and |(I - P) f - f H|, the smallest that smoothing reaches."""
    best, smallest = functions, np.inf
    for _ in range(LOOKS):
        functions = _orthonormal(functions, root)
        image = chain.apply(functions)
        overlap = (root[:, None] * functions).T @ (root[:, None] * image)
        residual = float(np.linalg.norm(root[:, None] * (image - functions @ overlap)))
        if residual >= 0.9 * smallest:
            break
        best, smallest = functions, residual
        for _ in range(SMOOTHINGS):
            functions = 0.5 * (functions + chain.apply(functions))
    return best, smallest


def _orthonormal(functions: Array, root: Array) -> Array:
    centred = functions - (root**2 / (root @ root)) @ functions
    return np.asarray(np.linalg.qr(root[:, None] * centred)[0] / root[:, None])
