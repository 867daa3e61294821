"""The slowest modes of a chain to relative accuracy, however slow they are.

Kill an irreducible chain at one state o. Its Green function G(x, y), the expected visits to y before o from x, is
non-negative and comes out of state reduction without any subtraction, each entry to relative accuracy. I - P acts on
functions modulo constants, and its inverse there is h -> G (h - pi h), o the reference where the result is 0.

*Reversible chains.* In coordinates sqrt(pi), with Q the projection orthogonal to sqrt(pi), that inverse is
K = Q D^(1/2) G D^(-1/2) Q, symmetric with eigenvalues 1/(1 - lambda). So 1/gap is the *largest* eigenvalue of K, a
number that rounding cannot swallow: as E(f, f) >= gap Var(f) >= gap pi(o) E(f^2) for f(o) = 0, the part of K that Q
cancels is at most 1/pi(o) times as large as what stays, pi(o) >= 1/S for the likeliest state.
Eigenvalues near -1: on the *double cover*, states x+ and x- with steps from one sign to the other, the functions that
change sign with the sheet have the eigenvalues -lambda, and 1 + min lambda is their smallest gap.

*Other chains.* Eigenvalues of W = G - tau pi, tau = G 1 the expected time to reach o, are 1/(1 - lambda) as well: the
largest ones give the eigenvalues of P near 1. Those that rounding hides behind much larger ones are at least bounded:
every eigenvalue of S states has |arg(1 - lambda)| <= pi/2 - pi/S, so that Re(1 - lambda) >= |1 - lambda| sin(pi/S).

*Transient classes.* 1 - lambda for the Perron root of a block that is left is 1/rho(G), G its Green function; rho(G)
lies between min (G u)/u and max (G u)/u for every u > 0 (Collatz and Wielandt).

Legend: ``S`` states, ``B`` batch. Sources: Levin, Peres, Wilmer, sections 2.2 and 12.1; Grassmann, Taksar and Heyman
1985 and O'Cinneide 1993 for state reduction; Alfa, Xue and Ye, *Math. Comp.* 71 (2002), for what it keeps accurate;
Dmitriev and Dynkin 1945 for the angle.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs, eigsh

from theory.chains.gaps import Enclosure, least
from theory.chains.lanczos import NotConverged
from theory.chains.state_reduction import reduce_states
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)

ROUNDING = 8.0
"""Rounding of a Green function, relative, in units of S eps: entries grow by about one rounding for each state."""

DENSE_MODES = 64
"""Up to this many states K is diagonalised; above, Lanczos iteration finds its top end."""

SMALLEST_MASS = 1e-280
"""Masses below this are not divided by."""

SYMMETRIC = 1e-6
"""Violation of symmetry of K, relative, above which the chain does not count as reversible: detailed balance may hold
in all large flows and fail in the tiny ones that decide the gap."""

BALANCED = 1e-9
"""The Perron root of a Green function is looked for until its two bounds are this close, relatively."""

MOST_PRODUCTS = 200
"""Products that this takes at most."""


class SlowRates(NamedTuple):
    """Numbers 1 - lambda near 0, and what they say about the gaps.

    Attributes:
        rates: 1 - lambda, [count].
        gap, absolute_gap: the smallest of their real parts, and of 1 - |lambda|.
    """

    rates: NDArray[np.complex128]
    gap: Enclosure
    absolute_gap: Enclosure


class NotReversible(Exception):
    """Detailed balance fails in the flows that decide the gap."""


class GreenFunction:
    """The Green function of a chain killed at its first state.

    Args:
        matrix: [S, S], non-negative; state 0 can be reached from all others. The diagonal is not read. Overwritten.

    Attributes:
        times: expected steps to reach state 0, [S].

    Raises:
        InvalidInput: some expected time exceeds the range of float64.
        ExceedsMemory: the factors would not fit.
    """

    def __init__(self, matrix: Array) -> None:
        require_memory(3.0 * matrix.nbytes, "states", len(matrix), "the factors of state reduction")
        self._reduction = reduce_states(matrix)
        self.times = self._reduction.expected_cost(np.ones(len(matrix)))
        if not np.isfinite(self.times).all():
            raise InvalidInput("chain", "expected times", "expected times exceed 1e308 steps")

    def __call__(self, functions: Array) -> Array:
        """G f for f of shape [S, B], positive and negative parts apart, so that nothing cancels before the end."""
        batch = functions.shape[1]
        parts = np.concatenate([np.maximum(functions, 0.0), np.maximum(-functions, 0.0)], axis=1)
        images = self._reduction.expected_cost(parts)
        return images[:, :batch] - images[:, batch:]


def slowest_mode(block: Array, law: Array, alternating: bool = False) -> tuple[Enclosure, Array]:
    """Smallest 1 - lambda of a reversible irreducible chain beside its Perron root, and the eigenfunction.

    Args:
        block: [S, S], at least 2 states.
        law: its stationary law, masses of at least `SMALLEST_MASS`.
        alternating: the smallest 1 + lambda instead; the chain has period 1.

    Returns:
        The number and f, [S], mean 0 (unless alternating) and variance 1.

    Raises:
        NotReversible: the chain is not symmetric enough for this.
        InvalidInput: the number lies below the range of float64, or a mass below `SMALLEST_MASS`.
        ExceedsMemory: the factors would not fit.
    """
    if law.min() < SMALLEST_MASS:
        raise InvalidInput("law", float(law.min()), f"masses of at least {SMALLEST_MASS:g}")
    size = len(block)
    if alternating:
        require_memory(4.0 * block.nbytes, "states", size, "the double cover of the chain")
        block, law = np.kron(np.array([[0.0, 1.0], [1.0, 0.0]]), block), np.tile(law / 2, 2)
    order = _heaviest_first(law)
    green = GreenFunction(block[np.ix_(order, order)])
    scale, root = float(green.times.max()), np.sqrt(law)

    def project(vectors: Array) -> Array:
        vectors = vectors - np.outer(root, root @ vectors)
        if alternating:
            odd = 0.5 * (vectors[:size] - vectors[size:])
            vectors = np.concatenate([odd, -odd])
        return vectors

    def inverse(vectors: Array) -> Array:
        functions = project(vectors.reshape(len(law), -1)) / root[:, None]
        images = np.empty_like(functions)
        images[order] = green(functions[order]) / scale
        return project(root[:, None] * images)

    def with_sign(vector: Array) -> Array:
        return np.concatenate([vector, -vector]) if alternating else vector

    generator = np.random.default_rng(0)
    left, right = (project(with_sign(v)[:, None])[:, 0] for v in generator.normal(size=(2, size)))
    top, vector = _largest(inverse, left)
    image = inverse(vector)[:, 0]
    residual = float(np.linalg.norm(image - top * vector))
    pair = inverse(np.stack([left, right], axis=1))
    asymmetry = float(abs(left @ pair[:, 1] - right @ pair[:, 0]) / (np.linalg.norm(left) * np.linalg.norm(right)))
    if asymmetry > SYMMETRIC * top:
        raise NotReversible
    relative = (residual + asymmetry) / top + ROUNDING * len(law) * EPS / float(law.max())
    value = 1 / top / scale
    function = (vector / root)[:size]
    return Enclosure.around(value, value * relative), function / np.sqrt(law[:size] / law[:size].sum() @ function**2)


def _largest(product: Callable[[Array], Array], start: Array) -> tuple[float, Array]:
    """The largest eigenvalue of a symmetric product [S, B] -> [S, B], and its unit vector [S]."""
    size = len(start)
    if size > DENSE_MODES:
        operator = LinearOperator((size, size), matvec=lambda v: product(v)[:, 0], dtype=np.float64)
        with suppress(ArpackNoConvergence):  # many modes that are equally slow, to the last digits
            values, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=1e-14)
            return float(values[0]), vectors[:, 0]
    matrix = product(np.eye(size))
    values, vectors = eigh(0.5 * (matrix + matrix.T), subset_by_index=[size - 1, size - 1])
    return float(values[0]), vectors[:, 0]


def inverse_modulo_constants(block: Array, law: Array) -> tuple[Array, float, float]:
    """W, whose eigenvalues are 1/(1 - lambda) over all eigenvalues of an irreducible chain but its Perron root.

    Returns:
        W divided by a scale and similar to it by sqrt(pi), [S - 1, S - 1]; the scale; the rounding of W, relative to
        its norm.

    Raises:
        InvalidInput: an expected time exceeds the range of float64.
        ExceedsMemory: the matrices would not fit.
    """
    order = _heaviest_first(law)
    green = GreenFunction(block[np.ix_(order, order)])
    inverse = green(np.eye(len(block))) - np.outer(green.times, law[order])
    root, scale = np.sqrt(np.maximum(law[order], SMALLEST_MASS)), float(green.times.max())
    matrix = root[:, None] * (inverse / scale) / root
    return matrix[1:, 1:], scale, ROUNDING * len(block) * EPS / float(law.max())


def rates_of_inverse(values: NDArray[np.complex128], errors: Array, scale: float, states: int) -> SlowRates:
    """From eigenvalues of W / scale and their errors, [count] each, to the numbers 1 - lambda."""
    gaps, absolutes = [], []
    for value, error in zip(values, errors, strict=True):
        if error < 0.5 * abs(value):
            z = complex(1 / value / scale)
            bound = abs(z) * float(error / (abs(value) - error))
            gaps.append(Enclosure.around(z.real, bound))
            absolutes.append(Enclosure.around((2 * z.real - abs(z) ** 2) / (1 + abs(1 - z)), bound))  # 1 - |1 - z|
        else:
            least_real = float(np.sin(np.pi / states) / (abs(value) + error) / scale)
            gaps.append(Enclosure.between(least_real, 1.0))
            absolutes.append(Enclosure.between(0.5 * least_real, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return SlowRates(1 / values / scale, least(gaps), least(absolutes))


def slowest_rates(block: Array, law: Array, count: int) -> SlowRates:
    """The ``count`` numbers 1 - lambda of least modulus of a chain with one closed class, by Arnoldi iteration on W.

    What is taken for an error here is the residual with the rounding of W, which is not a bound.

    Raises:
        InvalidInput: an expected time exceeds the range of float64.
        NotConverged: the iteration did not reach its tolerance.
        ExceedsMemory: the matrices would not fit.
    """
    order = _heaviest_first(law)
    green = GreenFunction(block[np.ix_(order, order)])
    masses, scale = law[order], float(green.times.max())
    root = np.sqrt(np.maximum(masses, SMALLEST_MASS))

    def inverse(vector: Array) -> Array:
        function = np.concatenate([[0.0], vector.reshape(-1)]) / root
        centred = function - masses @ function
        return np.asarray((root * green(centred[:, None])[:, 0] / scale)[1:])

    size = len(block) - 1
    operator = LinearOperator((size, size), matvec=inverse, dtype=np.float64)
    start = np.random.default_rng(0).normal(size=size)
    try:
        values, vectors = eigs(operator, k=count, which="LM", v0=start, tol=1e-12)
    except ArpackNoConvergence as error:
        raise NotConverged(f"Arnoldi iteration did not converge: {error}") from None
    images = np.stack([inverse(v.real) + 1j * inverse(v.imag) for v in vectors.T], axis=1)
    residuals = np.linalg.norm(images - vectors * values, axis=0) + ROUNDING * size * EPS * np.abs(values).max()
    return rates_of_inverse(values, residuals, scale, len(block))


def leaving_rate(block: Array, exits: Array) -> Enclosure:
    """1 - lambda for the Perron root of a class that is left, to relative accuracy.

    Args:
        block: [S, S], one communicating class.
        exits: the probability of leaving it, [S], some positive.

    Raises:
        InvalidInput: the number lies below the range of float64.
        ExceedsMemory: the factors would not fit.
    """
    size = len(block)
    matrix = np.zeros((size + 1, size + 1))
    matrix[1:, 0], matrix[1:, 1:] = exits, block
    green = GreenFunction(matrix)
    scale = float(green.times.max())
    here, low, high = green.times[1:] / scale, 0.0, np.inf
    for _ in range(MOST_PRODUCTS):
        image = green(np.concatenate([[0.0], here])[:, None])[1:, 0] / scale
        ratios = image / here
        low, high = max(low, float(ratios.min())), min(high, float(ratios.max()))
        if high <= low * (1 + BALANCED):
            break
        here = np.maximum(image / image.max(), SMALLEST_MASS)
    rounding = ROUNDING * size * EPS
    return Enclosure.between((1 - rounding) / high / scale, (1 + rounding) / low / scale, 2 / (low + high) / scale)


def _heaviest_first(law: Array) -> NDArray[np.int64]:
    heaviest = int(law.argmax())
    return np.concatenate([[heaviest], np.delete(np.arange(len(law)), heaviest)])
