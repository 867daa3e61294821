r"""The slow part of a large chain: eigenvalues near 1, the sets they separate, and distances after any number of steps.

Let lambda_1 = 1, lambda_2, ..., lambda_m be the eigenvalues of largest modulus, phi_j and psi_j the right and left
eigenvectors with psi_i phi_j = [i = j]; phi_1 = 1 and psi_1 = pi. With Pi = sum_j phi_j psi_j (a projection that P
leaves alone) the law of a start nu after s + t steps is

    nu P^(s+t) = sum_j lambda_j^t (nu P^s phi_j) psi_j + r P^t,      r = nu P^s (I - Pi),  ||r P^t||_1 <= ||r||_1.

Once s steps have made r small, distances at all later times follow from m numbers, within ||r||_1 / 2: a mixing time of
10^5 steps takes a few hundred products. No reversibility is needed.

**Metastable sets.** The rows (phi_1, ..., phi_k)(x) of the first k eigenfunctions lie near the corners of a simplex;
each state joins the set of its largest barycentric coordinate, as in `theory.chains.metastability`.

Legend: ``S`` states, ``m`` modes, ``B`` starts.
Source: Deuflhard and Weber 2005 (PCCA+); Lehoucq, Sorensen, Yang, *ARPACK Users' Guide* (1998).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs, gmres

from theory.blas import one_blas_thread
from theory.chains.checks import States, check_states
from theory.chains.lanczos import NotConverged
from theory.chains.metastability import simplex_corners
from theory.chains.operator import TransitionOperator
from theory.chains.powers import point_masses
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

BASIS = 32
"""Arnoldi vectors that are kept."""
NEGLIGIBLE = 1e-3
"""Eigenvalues of less modulus are gone after a step or two."""
SMALL_REMAINDER = 1e-6
"""Remainder of the fast modes, ||r||_1, below which distances are taken from the slow ones."""


@dataclass(frozen=True, eq=False)
class LeadingModes:
    """Eigenvalues of largest modulus with their vectors.

    Attributes:
        values: [m], by distance from 1; the first is 1.
        functions: right eigenvectors phi_j as columns, [S, m].
        laws: left eigenvectors psi_j as rows, [m, S]; the first is the stationary law.
        residual: largest ||P phi - lambda phi||_2 and ||psi P - lambda psi||_2 of unit vectors.
    """

    values: Complex
    functions: Complex
    laws: Complex
    residual: float

    @property
    def law(self) -> Array:
        """The stationary law [S]."""
        return np.asarray(self.laws[0].real)

    @property
    def gaps(self) -> tuple[float, float] | None:
        """1 - max Re lambda and 1 - max |lambda| beside lambda_1; None where an eigenvalue that was not found, of a
        modulus below all these, might lie further to the right."""
        rest = self.values[1:]
        if not len(rest) or rest.real.max() < np.abs(rest).min():
            return None
        return max(0.0, 1 - float(rest.real.max())), max(0.0, 1 - float(np.abs(rest).max()))

    def distances(self, shares: Complex, steps: int) -> Array:
        """TV to the stationary law of the slow parts of some starts, ``steps`` steps on, [B].

        Args:
            shares: nu phi_j of each start, [B, m].
        """
        weights = shares[:, 1:] * self.values[1:] ** steps
        return np.asarray(0.5 * np.abs((weights @ self.laws[1:]).real).sum(axis=1))


def leading_modes(chain: TransitionOperator, count: int = 6, tolerance: float = 1e-8) -> LeadingModes:
    """The ``count`` eigenvalues of largest modulus, one more where a pair of conjugates would be cut.

    Raises:
        InvalidInput: fewer than ``count + 3`` states, or several closed classes.
        NotConverged: the iteration did not reach the tolerance.
        ExceedsMemory: the vectors would not fit.
    """
    if chain.states < count + 3:
        raise InvalidInput("states", chain.states, f"at least {count + 3} states for {count} modes")
    require_memory(8.0 * chain.states * (BASIS + 8 * count), "states", chain.states, "the Arnoldi vectors")
    with one_blas_thread():
        right_values, right = _extreme(chain.states, chain.apply, count)
        left_values, left = _extreme(chain.states, chain.propagate, count)
        values, right, left = _common(right_values, right, left_values, left)
        if not len(values) or abs(values[0] - 1) > 1e-9:
            raise NotConverged("the eigenvalue 1 was not found")
        if (np.abs(values[1:] - 1) < 1e-11).any():
            raise InvalidInput("chain", type(chain).__name__, "there are several closed classes")
        # Dual bases: psi_i phi_j = [i = j]; exact for a cluster of near-equal eigenvalues as well.
        right = right @ np.linalg.inv(left @ right)
        scale = right[:, 0].mean()
        right[:, 0], left[0] = 1.0, left[0] * scale
        residual = max(_residual(chain.apply, values, right.T), _residual(chain.propagate, values, left))
    if residual > tolerance:
        raise NotConverged(f"the slow modes have residual {residual:.2g}, above {tolerance:.2g}")
    return LeadingModes(values, right, left, residual)


def _common(right_values: Complex, right: Complex, left_values: Complex, left: Complex) -> tuple[Complex, ...]:
    """Eigenvalues that both iterations found, with independent vectors; those near 0 tell nothing about slow modes.

    The ends of what was found may cut a conjugate pair or a cluster in different places, and a scan's eigenvalue 0
    comes with Jordan blocks.
    """
    free = list(range(len(left_values)))
    first: list[int] = []
    second: list[int] = []
    for index, value in enumerate(right_values):
        near = min(free, key=lambda other: abs(left_values[other] - value), default=None)
        if near is not None and abs(left_values[near] - value) <= 1e-6 and abs(value) > NEGLIGIBLE:
            free.remove(near)
            first.append(index)
            second.append(near)
    while len(first) > 1:
        values = right_values[first]
        whole = all(np.abs(values - value.conjugate()).min() <= 1e-6 for value in values)
        if whole and np.linalg.cond(left[:, second].T @ right[:, first]) < 1e8:
            break
        first.pop()
        second.pop()
    return right_values[first], right[:, first], left[:, second].T


def _extreme(states: int, action: Callable[[Array], Array], count: int) -> tuple[Complex, Complex]:
    operator = LinearOperator((states, states), matvec=lambda v: action(np.asarray(v).reshape(-1)), dtype=np.float64)
    start = np.random.default_rng(0).random(states)
    try:
        values, vectors = eigs(
            operator, k=count, which="LM", ncv=min(states - 1, max(BASIS, 2 * count + 1)), v0=start, maxiter=500
        )
    except ArpackNoConvergence as error:
        raise NotConverged(f"Arnoldi iteration: {error}") from None
    order = np.argsort(np.abs(values - 1), kind="stable")
    return values[order], vectors[:, order]


def _residual(action: Callable[[Array], Array], values: Complex, rows: Complex) -> float:
    worst = 0.0
    for value, row in zip(values, rows, strict=True):
        unit = row / np.linalg.norm(row)
        image = action(np.ascontiguousarray(unit.real)) + 1j * action(np.ascontiguousarray(unit.imag))
        worst = max(worst, float(np.linalg.norm(image - value * unit)))
    return worst


class Distances:
    """Total variation to the stationary law at any time, from one start.

    Step by step until the fast modes are gone, by the slow ones from then on.

    Args:
        chain, modes: the chain and its `leading_modes`.
        start: a state.

    Attributes:
        error_bound: bound on the error of what the slow modes gave: half of the fast modes' remainder.
    """

    def __init__(self, chain: TransitionOperator, modes: LeadingModes, start: int) -> None:
        begin = check_states([start], chain.states, "start")
        self._chain, self._modes = chain, modes
        self._row = point_masses(begin, chain.states)[0]
        self._direct = [float(1 - modes.law[begin[0]])]
        self._shares: Complex | None = None
        self.error_bound = 0.0

    def at(self, time: int) -> float:
        """TV after ``time`` steps."""
        while time >= len(self._direct) and self._shares is None:
            self._step()
        if time < len(self._direct) or self._shares is None:
            return self._direct[time]
        return float(self._modes.distances(self._shares, time - len(self._direct) + 1)[0])

    def _step(self) -> None:
        self._row = self._chain.propagate(self._row)
        self._direct.append(float(0.5 * np.abs(self._row - self._modes.law).sum()))
        if len(self._direct) % 16 == 0:
            shares = (self._row @ self._modes.functions)[None]
            remainder = float(np.abs(self._row - (shares @ self._modes.laws).real[0]).sum())
            if remainder <= SMALL_REMAINDER:
                self._shares, self.error_bound = shares, remainder / 2

    def mixing_time(self, epsilon: float = 0.25) -> int:
        """First time at which the distance is at most eps.

        Raises:
            InvalidInput: eps outside (0, 1).
            NotConverged: none was found within 2^50 steps.
        """
        if not 0 < epsilon < 1:
            raise InvalidInput("epsilon", epsilon, "a distance in (0, 1) is needed")
        if self.at(0) <= epsilon:
            return 0
        low, high = 0, 1
        while self.at(high) > epsilon:
            low, high = high, 2 * high
            if high > 2**50:
                raise NotConverged("the slowest mode does not decay: several closed classes, up to rounding")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.at(middle) > epsilon else (low, middle)
        return high


def slow_starts(modes: LeadingModes, count: int = 4) -> States:
    """States from which mixing should take longest: extremes of the slowest functions, and of what they add up to."""
    functions = modes.functions[:, 1 : 1 + count].real
    picked = [functions.argmax(axis=0), functions.argmin(axis=0)]
    weights = np.abs(modes.functions[:, 1:]) * np.abs(modes.laws[1:]).sum(axis=1)
    for steps in (1, 4, 16, 64, 256):
        picked.append(np.argsort(-(weights * np.abs(modes.values[1:]) ** steps).sum(axis=1))[:2])
    return np.unique(np.concatenate(picked)).astype(np.int64)


def slow_sets(modes: LeadingModes, least: float, apart: float = 3.0) -> tuple[States, ...]:
    """Sets that the chain seldom leaves, heaviest first; one set where nothing is slow.

    There are as many as eigenvalues with a relaxation time 1 / (1 - lambda) of at least ``least`` steps, cut where that
    time drops most, by a factor of ``apart`` or more: without such a drop there is no scale that separates sets.
    """
    with np.errstate(divide="ignore"):
        times = 1 / np.maximum(1 - modes.values.real, 1e-300)
    real = np.abs(modes.values.imag) < 1e-9
    count = 1
    while count < len(times) and real[count] and times[count] >= least:
        count += 1
    drops = [times[k - 1] / max(times[k], 1.0) if k < len(times) else 0.0 for k in range(2, count + 1)]
    if not drops or max(drops) < apart:
        return (np.arange(len(modes.law)),)
    count = 2 + int(np.argmax(drops))
    functions = modes.functions[:, :count].real
    memberships = functions @ np.linalg.inv(functions[simplex_corners(functions)])
    labels = memberships.argmax(axis=1)
    masses = np.bincount(labels, weights=modes.law, minlength=count)
    return tuple(np.flatnonzero(labels == label) for label in np.argsort(-masses, kind="stable"))


def escape_time(chain: TransitionOperator, law: Array, inside: States) -> float:
    """Expected steps until the chain is outside a set A, from the law restricted to it.

    Solves (I - P_AA) h = 1 by iteration. Where A is seldom left, P_AA has an eigenvalue lambda near 1, and h is nearly
    its eigenvector over 1 - lambda; that part is taken first, 1 - lambda from the flow out of A, without cancellation.

    Raises:
        NotConverged: the iteration did not converge.
        InvalidInput: all states, which are never left.
    """
    if len(inside) == chain.states:
        raise InvalidInput("inside", "all states", "a set that can be left is needed")
    mask = np.zeros(chain.states)
    mask[inside] = 1.0
    weights = law * mask / float(law[inside].sum())
    guess = mask.copy()
    if len(inside) > BASIS:
        with one_blas_thread():
            _, right = _extreme(chain.states, lambda v: mask * chain.apply(mask * v), 1)
            _, left = _extreme(chain.states, lambda v: mask * chain.propagate(mask * v), 1)
        function, measure = np.abs(right[:, 0].real) * mask, np.abs(left[:, 0].real) * mask
        measure /= measure.sum()
        leaving = float(chain.propagate(measure) @ (1 - mask))
        guess = function / float(measure @ function) / leaving

    def product(vector: Array) -> Array:
        values = np.asarray(vector).reshape(-1)
        return np.asarray(values - mask * chain.apply(values * mask))

    operator = LinearOperator((chain.states, chain.states), matvec=product, dtype=np.float64)
    found, failed = gmres(operator, mask, x0=guess, rtol=1e-6, restart=2 * BASIS, maxiter=20)
    if failed:
        raise NotConverged("the escape time did not converge")
    return float(weights @ found)
