"""Gaps and stationary laws of chains that are too large for a dense matrix.

The operator is only applied. A reversible chain with known law pi > 0 is symmetrised, A = D^(1/2) P D^(-1/2) with
D = diag(pi), its top eigenvector sqrt(pi) is taken out, and Lanczos iteration (`theory.chains.lanczos`) finds the ends
of what remains; for a unit vector v an eigenvalue lies within ||A v - theta v|| of theta. Any other chain goes through
Arnoldi iteration (ARPACK) on nu -> nu P; there the residual does not bound the error, and the result says so.

Every result carries its residual. Where the iteration did not converge, an error is raised: an unconverged number is
never returned.

Legend: ``S`` states. Source: Levin, Peres, Wilmer, section 12.1; Lehoucq, Sorensen, Yang, *ARPACK Users' Guide* (1998).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import daxpy
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigs

from theory.blas import one_blas_thread
from theory.chains.checks import check_law
from theory.chains.classes import communicating_classes
from theory.chains.conductance import LOST
from theory.chains.gaps import EXACTLY_ZERO, Enclosure, Gaps, least
from theory.chains.lanczos import NotConverged, extreme_eigenpairs
from theory.chains.nonnormal import NEAR_ONE
from theory.chains.operator import DenseOperator, TransitionOperator
from theory.chains.powers import UNIT_ROUNDOFF
from theory.chains.slow_modes import NotReversible, slowest_mode, slowest_rates
from theory.chains.slow_subspace import slow_gap
from theory.chains.stationary import stationary_laws
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

BASIS = 32
"""Arnoldi vectors that are kept: the memory is about this many vectors over the states."""

MULTIPLE = 1e-9
"""Eigenvalues this close to 1 are taken for the eigenvalue 1 of a closed class."""


DIGITS = 1e-6
"""A gap whose residual is more than this part of it is computed again by a route that keeps its digits."""

VECTOR_ROUNDING = 64.0
"""Rounding of one product with the chain, in units of the roundoff: no residual is smaller."""

REDUCED_STATES = 2**13
"""Up to this many states state reduction, in the dense matrix, takes over where the Dirichlet form does not do."""


@dataclass(frozen=True, eq=False, kw_only=True)
class IterativeGaps(Gaps):
    """The gaps of a large chain.

    Attributes:
        residual: largest ||A v - theta v||_2 of the eigenpairs behind the two numbers.
        certain: whether the intervals hold the true gaps (symmetrised chains); otherwise they are the residual.
        method: "Lanczos" or "Arnoldi", and "state reduction" or "Dirichlet form" where the gap was computed again.
        function: eigenfunction of the gap [S], unit variance under pi; None for Arnoldi.
    """

    residual: float
    certain: bool
    method: str
    function: Array | None


@dataclass(frozen=True, eq=False)
class IterativeLaw:
    """The stationary law of a large chain with the residual ||pi P - pi||_1."""

    law: Array
    residual: float


def lanczos_gaps(chain: TransitionOperator, law: ArrayLike | None = None, tolerance: float = 1e-10) -> IterativeGaps:
    """Gaps of a chain that is reversible with respect to a positive law.

    Args:
        chain: declared reversible; its symmetry is checked on random vectors.
        law: pi; by default the law that the chain carries.
        tolerance: largest residual that counts as converged.

    Raises:
        InvalidInput: no law, a law with zeros, fewer than 3 states, a chain that is not reversible, or a tolerance that
            is not positive.
        NotConverged: the iteration did not reach the tolerance.
        ExceedsMemory: the vectors would not fit.
    """
    _check_tolerance(tolerance)
    known = chain.stationary if law is None else law
    if known is None:
        raise InvalidInput("law", None, "a reversible chain is symmetrised with its stationary law")
    pi = check_law(known, chain.states)
    if pi.min() <= 0:
        raise InvalidInput("law", "zero masses", "every state needs stationary mass; restrict the chain to the support")
    if chain.states < 3:
        raise InvalidInput("states", chain.states, "at least 3 states; use theory.chains.spectrum for fewer")
    require_memory(12.0 * 8 * chain.states, "states", chain.states, "the Lanczos vectors")
    root = np.sqrt(pi)

    def symmetrised(vector: Array) -> Array:
        image = np.asarray(chain.apply(vector / root), dtype=np.float64)
        image = np.multiply(image, root)
        return np.asarray(daxpy(root, image, a=-float(root @ image)))

    left, right = np.random.default_rng(0).normal(size=(2, chain.states))
    left, right = (vector - root * (root @ vector) for vector in (left, right))
    scale = float(np.linalg.norm(left) * np.linalg.norm(right))
    if abs(left @ symmetrised(right) - right @ symmetrised(left)) > 1e-9 * scale:
        raise InvalidInput("chain", type(chain).__name__, "must be reversible with respect to the law")
    ends = ("top",) if chain.nonnegative else ("top", "bottom")
    # The passes over vectors are short: more than one BLAS thread would cost more than it brings.
    with one_blas_thread():
        pairs = extreme_eigenpairs(symmetrised, left, ends, tolerance)
    residual = max(pair.residual for pair in pairs) + VECTOR_ROUNDING * UNIT_ROUNDOFF
    gap, method, vector = Enclosure.around(1 - pairs[0].value, residual), "Lanczos", pairs[0].vector
    function = vector / root
    if residual > DIGITS * (1 - pairs[0].value):
        gap, method, function = _small_gap(chain, pi, symmetrised, vector, tolerance, gap)
    # 1 + the least eigenvalue; without negative ones the gap decides.
    low = Enclosure.around(1 + min((pair.value for pair in pairs[1:]), default=0.0), residual)
    absolute = least([gap, low])
    return _gaps(gap, absolute, residual, method, function, certain=True)


def _small_gap(
    chain: TransitionOperator,
    law: Array,
    product: Callable[[Array], Array],
    vector: Array,
    tolerance: float,
    rough: Enclosure,
) -> tuple[Enclosure, str, Array]:
    """A gap that the residual of the iteration swallows, how it was found, and its eigenfunction.

    The Dirichlet form is quick, state reduction in the matrix reaches gaps of any size.
    """
    best, method, function = rough, "Lanczos", vector / np.sqrt(law)
    try:
        best, function = slow_gap(chain, law, product, vector, tolerance)
        method = "Lanczos, Dirichlet form"
    except NotImplementedError:
        pass
    if best.high - best.low > DIGITS * best.high and chain.states <= REDUCED_STATES:
        try:
            best, function = slowest_mode(chain.to_dense(), law)
            method = "Lanczos, state reduction"
        except (InvalidInput, NotReversible):  # too slow for float64, masses below it, or no memory for the matrix
            pass
    return best, method, function


def arnoldi_gaps(chain: TransitionOperator, tolerance: float = 1e-8) -> tuple[IterativeLaw, IterativeGaps]:
    """Stationary law and gaps of any chain with one closed class, aperiodic or not.

    Raises:
        InvalidInput: fewer than 8 states, several closed classes (the eigenvalue 1 is multiple), or a tolerance that is
            not positive.
        NotConverged: the iteration did not reach the tolerance.
        ExceedsMemory: the vectors would not fit.
    """
    _check_tolerance(tolerance)
    if chain.states < 8:
        raise InvalidInput("states", chain.states, "at least 8 states; use theory.chains.spectrum for fewer")
    basis = min(BASIS, chain.states)
    require_memory((basis + 8.0) * 16 * chain.states, "states", chain.states, "the Arnoldi vectors")

    def step(vector: Array) -> Array:
        return chain.propagate(np.ascontiguousarray(vector).reshape(-1))

    operator = LinearOperator((chain.states, chain.states), matvec=step, dtype=np.float64)
    start = np.full(chain.states, 1 / chain.states) + np.random.default_rng(0).random(chain.states) / chain.states

    def extreme(which: str) -> tuple[Complex, Complex, float]:
        try:
            values, vectors = eigs(operator, k=4, which=which, v0=start, ncv=basis, tol=tolerance / 100)
        except (ArpackNoConvergence, ArpackError) as error:
            raise NotConverged(f"Arnoldi iteration did not converge: {error}") from None
        images = np.stack([step(np.real(v)) + 1j * step(np.imag(v)) for v in vectors.T], axis=1)
        residual = float(np.linalg.norm(images - vectors * values, axis=0).max())
        if residual > tolerance:
            raise NotConverged(f"Arnoldi iteration ended with residual {residual:.2g}, above {tolerance:.2g}")
        # The eigenvalue 1 comes first; a period above 4 may crowd it out of the largest moduli.
        order = np.argsort(np.abs(values - 1), kind="stable")
        return values[order], vectors[:, order], residual

    values, vectors, residual = extreme("LM")
    if residual > DIGITS * np.sort(np.abs(values - 1))[1] or (np.abs(values - 1) < MULTIPLE).sum() > 1:
        return _nearly_reducible(chain, values, residual)
    found = bool(abs(values[0] - 1) < MULTIPLE)
    largest = float(np.abs(values[found:]).max())
    rightmost = float(values[1:].real.max())
    # Eigenvalues that were not found have at most the least modulus that was. If that does not settle which lies
    # furthest to the right, the right end is looked for by itself.
    if not found or rightmost < np.abs(values).min():
        values, vectors, other = extreme("LR")
        residual, rightmost = max(residual, other), float(values[1:].real.max())
    law = _as_law(np.real(vectors[:, 0]), tolerance)
    law_residual = float(np.abs(step(law) - law).sum())
    if law_residual > tolerance:
        raise NotConverged(f"the stationary law has residual {law_residual:.2g}, above {tolerance:.2g}")
    gap, absolute = Enclosure.around(1 - rightmost, residual), Enclosure.around(1 - largest, residual)
    return IterativeLaw(law, law_residual), _gaps(gap, absolute, residual, "Arnoldi")


def _gaps(
    gap: Enclosure,
    absolute: Enclosure,
    residual: float,
    method: str,
    function: Array | None = None,
    certain: bool = False,
) -> IterativeGaps:
    return IterativeGaps(
        gap=gap.value,
        absolute_gap=absolute.value,
        gap_interval=gap.interval,
        absolute_gap_interval=absolute.interval,
        residual=residual,
        certain=certain,
        method=method,
        function=function,
    )


def _nearly_reducible(
    chain: TransitionOperator, values: Complex, residual: float
) -> tuple[IterativeLaw, IterativeGaps]:
    """Law and gaps where other eigenvalues are so near to 1 that iteration would mix them up: by state reduction."""
    near = "the eigenvalue 1 is multiple up to rounding: there are several closed classes, or sets that are hardly left"
    if chain.states > REDUCED_STATES:
        raise InvalidInput("chain", type(chain).__name__, near)
    dense = DenseOperator(chain.to_dense(), stationary=chain.stationary)
    classes = communicating_classes(dense)
    if len(classes.closed_members) > 1:
        raise InvalidInput(
            "chain", type(chain).__name__, "the eigenvalue 1 is multiple: there are several closed classes"
        )
    known = stationary_laws(dense)[0]
    slow = slowest_rates(dense.to_dense(), known.law, min(6, chain.states - 3))
    far = values[np.abs(1 - values) > NEAR_ONE]
    gap = least([slow.gap, *(Enclosure.around(float(d), residual) for d in 1 - far.real)])
    absolute = least([slow.absolute_gap, *(Enclosure.around(float(d), residual) for d in 1 - np.abs(far))])
    if classes.closed_periods[0] > 1:
        absolute = EXACTLY_ZERO
    return IterativeLaw(known.law, known.residual), _gaps(gap, absolute, residual, "Arnoldi, state reduction")


def _as_law(vector: Array, tolerance: float) -> Array:
    """The eigenvector of the eigenvalue 1, scaled to total mass 1."""
    masses = vector / vector.sum()
    # Entries of the size of rounding may come out below 0; anything larger is a failure.
    if masses.min() < -tolerance:
        raise NotConverged(f"the stationary law came out with a mass of {masses.min():.2g}")
    masses = np.maximum(masses, 0.0)
    return np.asarray(masses / masses.sum())


def _check_tolerance(tolerance: float) -> None:
    if not tolerance > 0:
        raise InvalidInput("tolerance", tolerance, "must be positive")


def sweep_ratio(chain: TransitionOperator, law: Array, function: Array, cuts: int = 64) -> float:
    """Smallest bottleneck ratio Phi(A) over about ``cuts`` level sets A of a function with pi(A) <= 1/2.

    Q(A, A^c) = sum over x outside A of pi(x)-weighted flow out of A, computed as (pi 1_A) P summed outside A: no
    cancellation. Any A gives a valid upper bound on the bottleneck ratio, and so a valid lower bound on mixing.
    """
    order = np.argsort(function, kind="stable")
    best = float("inf")
    for direction in (order, order[::-1]):
        mass = np.cumsum(law[direction])
        allowed = int(np.searchsorted(mass, 0.5 + 1e-12, side="right"))
        if allowed == 0:
            continue
        sizes = np.searchsorted(mass, np.geomspace(mass[0], mass[allowed - 1], cuts // 2)) + 1
        # And where the function jumps, from one set that is hardly left to another.
        jumps = np.argsort(-np.abs(np.diff(function[direction])), kind="stable")[: cuts // 8] + 1
        sizes = np.unique(np.concatenate([sizes, jumps]))
        for size in sizes[sizes <= allowed]:
            inside = np.zeros(chain.states)
            inside[direction[:size]] = law[direction[:size]]
            flow = chain.propagate(inside)
            flow[direction[:size]] = 0.0
            best = min(best, float((flow.sum() + LOST * chain.states**2) / mass[size - 1]))
    return best
