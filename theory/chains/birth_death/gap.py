"""The spectrum of a birth-and-death chain, its smallest gaps to relative accuracy.

The Dirichlet form is E(f, f) = sum_n c(n) (f(n + 1) - f(n))^2, so that I - P, symmetrised by sqrt(pi), equals D^T D,
D the N x (N + 1) bidiagonal matrix of rows (-sqrt(up(n)), sqrt(down(n))). The eigenvalues of P are 1 and 1 - s^2 over
the singular values s of D, and small singular values of a bidiagonal matrix are determined by its entries to relative
accuracy (Demmel and Kahan 1990), where the eigenvalues of P near 1 lose everything below 1e-16. The singular
values are the positive eigenvalues of the symmetric tridiagonal matrix with zero diagonal and off-diagonal entries
sqrt(up(0)), sqrt(down(0)), sqrt(up(1)), ... (Golub and Kahan).

Gaps below the smallest float are reached by a second route. The *spectral gap* is 1 over the largest eigenvalue of the
positive operator on edges

    (T g)(n) = (1 / c(n)) sum_m g(m) pi({0..min(m, n)}) pi({max(m, n) + 1..N}),

which maps the differences g(n) = f(n + 1) - f(n) of a function f to those of the solution F of (I - P) F = f - E f. For
every g > 0, min T g / g <= 1 / gap <= max T g / g, and iterating g <- T g tightens both ends. All terms are
positive, so the iteration runs on logarithms.

Legend: N + 1 states, ``N`` edges.
Sources: M.-F. Chen, "Variational formulas and approximation theorems for the first eigenvalue in dimension one",
Sci. China A 44 (2001); Demmel and Kahan, "Accurate singular values of bidiagonal matrices", SIAM J. Sci. Stat. Comput.
11 (1990).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal, eigvalsh_tridiagonal

from theory.chains.birth_death.chain import BirthDeathChain
from theory.errors import InvalidInput

Array = NDArray[np.float64]

RELATIVE_WIDTH = 1e-12
"""The iteration stops when the two bounds on the gap are this close."""

SMALLEST_GAP = 1e-290
"""Below this the squares of singular values approach underflow."""


@dataclass(frozen=True, eq=False)
class SlowestMode:
    """The spectral gap 1 - lambda_2 and its eigenfunction.

    Attributes:
        log_gap: ln gap; the gap itself may lie below the smallest float.
        log_lower, log_upper: the gap is between their exponentials, up to ``rounding``.
        rounding: allowance for the rounding of the logarithms, see `log_rounding`.
        eigenfunction: increasing, mean 0 and variance 1 under pi, shape [N+1].
        iterations: steps of the iteration.
    """

    log_gap: float
    log_lower: float
    log_upper: float
    rounding: float
    eigenfunction: Array
    iterations: int

    @property
    def gap(self) -> float:
        """1 - lambda_2; 0 where it lies below the smallest float."""
        return math.exp(self.log_gap)

    @property
    def log_decay(self) -> float:
        """ln( -ln lambda_2 ), the logarithm of the rate at which the mode dies out; inf where lambda_2 <= 0."""
        if self.log_gap < -40:
            return self.log_gap
        return math.log(-math.log1p(-self.gap)) if self.gap < 1 else math.inf

    @property
    def relative_error(self) -> float:
        """Relative error of the gap: the enclosure and the allowance for rounding."""
        return math.expm1(max(self.log_upper - self.log_gap, self.log_gap - self.log_lower) + self.rounding)


def slowest_mode(chain: BirthDeathChain, maximum: int = 20_000) -> SlowestMode:
    """The spectral gap with an enclosure, however small it is.

    Args:
        chain: the chain.
        maximum: most iterations; their number grows where the second gap is close to the first.

    Raises:
        InvalidInput: the bounds are still apart after ``maximum`` iterations.
    """
    below, above, conductance = chain.log_below[:-1], chain.log_above[1:], chain.log_conductance
    differences = np.zeros(len(conductance))
    best_low, best_high = -np.inf, np.inf
    for iteration in range(1, maximum + 1):
        mapped = _map_differences(differences, below, above, conductance)
        ratios = mapped - differences
        best_low, best_high = max(best_low, float(ratios.min())), min(best_high, float(ratios.max()))
        differences = mapped - mapped.max()
        if best_high - best_low <= RELATIVE_WIDTH + log_rounding(chain):
            return SlowestMode(
                log_gap=-0.5 * (best_low + best_high),
                log_lower=-max(best_low, best_high),
                log_upper=-min(best_low, best_high),
                rounding=log_rounding(chain),
                eigenfunction=_standardised(np.concatenate([[0.0], np.cumsum(np.exp(differences))]), chain),
                iterations=iteration,
            )
    raise InvalidInput(
        "maximum", maximum, f"the gap is only known to a factor {math.exp(best_high - best_low):.6g} by then"
    )


def _map_differences(differences: Array, below: Array, above: Array, conductance: Array) -> Array:
    """ln T g for g = exp(differences)."""
    left = np.logaddexp.accumulate(differences + below)  # edges m <= n
    right = np.logaddexp.accumulate((differences + above)[::-1])[::-1]  # edges m >= n
    beyond = np.append(right[1:], -np.inf)  # edges m > n
    return np.asarray(np.logaddexp(above + left, below + beyond) - conductance)


def log_rounding(chain: BirthDeathChain) -> float:
    """Allowance for the error of ln pi and ln gap.

    Four roundings of the largest logarithm, and those of N accumulated sums taken as independent. An estimate: the
    worst case over signs would be larger.
    """
    unit = float(np.finfo(np.float64).eps)
    size = float(np.abs(chain.log_stationary).max() + np.abs(chain.log_conductance).max())
    return unit * (4 * size + 4 * math.sqrt(chain.states))


def _standardised(function: Array, chain: BirthDeathChain) -> Array:
    law = chain.stationary / chain.stationary.sum()
    centred = function - float(law @ function)
    return np.asarray(centred / math.sqrt(float(law @ centred**2)))


def gaps(chain: BirthDeathChain, count: int | None = None, skip: int = 0) -> Array:
    """1 - lambda_j in ascending order, without the 0 of the constant function; all N by default.

    With ``count``, that many of the smallest after ``skip`` smaller ones. These come from bisection, each to relative
    accuracy; all of them together from the QR iteration, to an absolute accuracy of about 1e-16 in their square roots.

    Raises:
        InvalidInput: ``skip`` and ``count`` beyond the N gaps, or gaps that underflow (`slowest_mode` finds the
            smallest all the same).
    """
    edges = chain.states - 1
    if skip < 0 or (count is not None and not 1 <= count <= edges - skip):
        raise InvalidInput("count, skip", (count, skip), f"there are {edges} gaps")
    roots = np.stack([np.exp(chain.log_up / 2), np.exp(chain.log_down / 2)], axis=1).reshape(-1)
    zeros = np.zeros(2 * edges + 1)
    if count is None:
        values = eigvalsh_tridiagonal(zeros, roots)[edges + 1 + skip :]
    else:
        # Positive eigenvalues follow the N negative ones and the zero. Bisection on a zero diagonal is accurate to the
        # last digits of each eigenvalue once its tolerance is set below all of them.
        values = eigh_tridiagonal(
            zeros,
            roots,
            eigvals_only=True,
            select="i",
            select_range=(edges + 1 + skip, edges + skip + count),
            lapack_driver="stebz",
            tol=1e-300,
        )
        if values[0] ** 2 < SMALLEST_GAP:
            raise InvalidInput("chain", "a gap below 1e-290", "it underflows; use slowest_mode")
    return np.asarray(np.sort(values) ** 2)


def smallest_eigenvalue(chain: BirthDeathChain) -> float:
    """The lowest eigenvalue of P, to absolute accuracy about 1e-15."""
    _, stay, _ = chain.bands
    off_diagonal = np.exp((chain.log_up + chain.log_down) / 2)
    lowest = eigvalsh_tridiagonal(stay, off_diagonal, select="i", select_range=(0, 0))
    return float(lowest[0])
