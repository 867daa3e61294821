"""Maximising a functional over the laws on a finite support.

The search is local and starts from many places: it gives a law whose value is a certified lower bound on the supremum,
and nothing more. Laws are parametrised as r = softmax(theta), which keeps them positive; with g the gradient by r, the
gradient by theta is r (g - <r, g>).

Legend: ``T`` states in the support, ``n`` starts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from theory.blas import one_blas_thread
from theory.errors import InvalidInput
from theory.inequalities.masking_channel import MaskingChannel
from theory.inequalities.poincare import slowest_functions

Array = NDArray[np.float64]

Objective = Callable[[Array], tuple[float, Array]]
"""From a positive law [T] to its value and the gradient by its masses [T]."""

FLOOR = 1e-12
"""Share of the target mixed into every start, so that its logarithm is finite."""

FINALISTS = 4
"""Ascents that are followed to the end."""


def starting_laws(channel: MaskingChannel, count: int, generator: np.random.Generator) -> Array:
    """Places from which entropy functionals are known or suspected to be hard, shape [n, T].

    Tilts q exp(s f) along the slowest eigenfunctions f and halves {f > 0}, {f < 0} of the support; smoothed point
    masses at the least and the most likely state; and ``count`` each of random laws, random point masses and small
    random perturbations q (1 + eps f).

    Raises:
        InvalidInput: a negative ``count``.
    """
    if count < 0:
        raise InvalidInput("count", count, "a number of random starts >= 0")
    target = channel.target
    states = len(target)
    _, functions = slowest_functions(channel, 2)
    laws = []
    for function in functions[:, channel.support]:
        for strength in (-3.0, -1.0, -0.3, 0.3, 1.0, 3.0):
            laws.append(softmax(np.log(target) + strength * np.clip(function, -30, 30)))
        for half in (function > 0, function <= 0):
            laws.append(_normalise(np.where(half, target, 0.01 * target)))
    spikes = [int(target.argmin()), int(target.argmax()), *generator.integers(states, size=count)]
    laws += [_normalise(0.9 * (np.arange(states) == state) + 0.1 * target) for state in spikes]
    laws += [generator.dirichlet(np.full(states, 0.5)) for _ in range(count)]
    laws += [_normalise(target * (1 + 0.3 * generator.uniform(-1, 1, size=states))) for _ in range(count)]
    return (1 - FLOOR) * np.array(laws) + FLOOR * target


def maximise_over_laws(objective: Objective, starts: Array, iterations: int) -> list[Array]:
    """Laws [T] that local ascent (L-BFGS on theta) leads to, the best first.

    Every start is followed for a tenth of the iterations, the best `FINALISTS` of them to the end.

    Raises:
        InvalidInput: ``iterations`` below 1.
    """
    if iterations < 1:
        raise InvalidInput("iterations", iterations, "at least 1 iteration")

    def loss(theta: Array) -> tuple[float, Array]:
        # Masses that underflow would have an infinite logarithm.
        law = np.maximum(softmax(theta), np.finfo(np.float64).tiny)
        value, gradient = objective(law)
        return -value, -law * (gradient - law @ gradient)

    def ascend(points: list[Array], steps: int) -> list[Array]:
        options = {"maxiter": steps, "gtol": 1e-9, "ftol": 1e-13, "maxcor": 20}
        # The optimiser's own vectors are short; handing them to several BLAS threads makes it many times slower.
        with one_blas_thread():
            found = [minimize(loss, point, jac=True, method="L-BFGS-B", options=options) for point in points]
        return [np.asarray(end.x) for end in sorted(found, key=lambda end: float(end.fun))]

    screened = ascend(list(np.log(starts)), max(1, iterations // 10))
    return [np.asarray(softmax(theta)) for theta in ascend(screened[:FINALISTS], iterations)]


def _normalise(weights: Array) -> Array:
    return np.asarray(weights / weights.sum())
