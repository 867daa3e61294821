"""State reduction: elimination of the states of a chain one by one without any subtraction.

Removing state n from a chain leaves the chain watched only while it is elsewhere:
P(i, j) + P(i, n) P(n, j) / s_n with s_n = sum_{j<n} P(n, j). Every operation is an addition, a product or a quotient
of non-negative numbers, so that relative errors stay small entry by entry, however close to reducible the chain is, and
the diagonal (where 1 - 1e-17 cannot be told from 1) is never read. States are removed from the last to the first, in
blocks of b: first within the block, where the states below it count together, then in the rows and columns outside by
substitution, (diag(s) - U) R' = R and C' (I - L) = C with the triangles U and L of the block, then by P + C' R' in all
that is left. Almost all of the work is matrix products.

Legend: ``S`` states. Source: Grassmann, Taksar, Heyman 1985, *Operations Research* 33(5), and O'Cinneide 1993,
*Numerische Mathematik* 65, for the entrywise error analysis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from theory.blas import one_blas_thread
from theory.errors import InvalidInput

Array = NDArray[np.float64]

ONE_THREAD = 2048
"""Largest number of states that is reduced in one thread: starting more takes longer than products of this size."""

BLOCK = 64
"""States that are removed between two matrix products; any value gives the same result up to rounding."""


@dataclass(frozen=True, eq=False)
class Reduction:
    """The factors left by the elimination.

    Attributes:
        factors: [S, S]; row n left of the diagonal is the law of the first state below n that is visited from n,
            column n above the diagonal the probabilities P(i, n) of the chain watched on 0..n.
        leaving: s_n, the probability of leaving n downward in one step of that chain, [S]; entry 0 is not used.
    """

    factors: Array
    leaving: Array

    def stationary_law(self) -> Array:
        """The stationary law [S]: pi_n = sum_{i<n} pi_i P(i, n) / s_n, scaled so that nothing overflows."""
        size = len(self.leaving)
        law = np.zeros(size)
        law[0] = 1.0
        inverse = np.ones(size)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            np.divide(1.0, self.leaving, out=inverse, where=np.arange(size) > 0)
            # Forward substitution, which only adds: the entries beside the diagonal enter with a minus sign.
            direct = solve_triangular(
                np.eye(size) - np.triu(self.factors, 1) * inverse, law, trans="T", check_finite=False
            )
            total = direct.sum()
        if np.isfinite(total) and direct.min() > np.finfo(np.float64).tiny:
            return np.asarray(direct / total)
        columns = np.ascontiguousarray(self.factors.T)
        for n in range(1, size):
            inflow = float(columns[n, :n] @ law[:n])
            if inflow > self.leaving[n]:
                law[:n] *= self.leaving[n] / inflow
                law[n] = 1.0
            else:
                law[n] = inflow / self.leaving[n]
        return law / law.sum()

    def expected_cost(self, cost: Array) -> Array:
        """Expected total of ``cost`` (>= 0, [S] or [S, B]) collected before state 0 is reached, from every state.

        Raises:
            InvalidInput: the expectation exceeds the range of float64.
        """
        size = len(self.leaving)
        if size > 1 and self.leaving[1:].min() < np.finfo(np.float64).tiny:
            raise InvalidInput(
                "chain", f"probability {self.leaving[1:].min():.2g}", "expected times exceed 1e308 steps"
            )
        upper, lower, inverse = self._triangles
        columns = cost.reshape(size, -1) * (np.arange(size) > 0)[:, None]
        watched = solve_triangular(upper, columns, lower=False) * inverse[:, None]
        watched[0] = 0.0
        return np.asarray(solve_triangular(lower, watched, lower=True)).reshape(cost.shape)

    @cached_property
    def _triangles(self) -> tuple[Array, Array, Array]:
        """I - U and I - L, whose solves only add: the off-diagonal entries enter with a minus sign; and 1 / s_n."""
        size = len(self.leaving)
        inverse = np.ones(size)
        inverse[1:] = 1 / self.leaving[1:]
        identity = np.eye(size)
        return identity - np.triu(self.factors, 1) * inverse, identity - np.tril(self.factors, -1), inverse


def reduce_states(matrix: Array) -> Reduction:
    """Eliminate all states but the first.

    Args:
        matrix: [S, S], non-negative; from every state, state 0 can be reached. The diagonal and row 0 below the
            diagonal are free. Overwritten.

    Raises:
        InvalidInput: the products of transition probabilities underflow to zero, or state 0 cannot be reached.
    """
    if matrix.shape[0] <= ONE_THREAD:
        with one_blas_thread():
            return _reduce(matrix)
    return _reduce(matrix)


def _reduce(matrix: Array) -> Reduction:
    """See `reduce_states`."""
    from theory.chains.state_reduction_kernels import eliminate_block

    size = matrix.shape[0]
    leaving = np.zeros(size)
    for high in range(size, 1, -BLOCK):
        low = max(high - BLOCK, 1)
        rows, columns = matrix[low:high, :low], matrix[:low, low:high]
        # Within the block the states below it count together: column 0 of `inner`.
        inner = np.empty((high - low, high - low + 1))
        inner[:, 0], inner[:, 1:] = rows.sum(axis=1), matrix[low:high, low:high]
        if (stuck := eliminate_block(inner, leaving[low:high])) >= 0:
            raise InvalidInput(
                "chain",
                f"state {low + stuck} of the class",
                "its way to the other states underflows: the probabilities are too small",
            )
        block = matrix[low:high, low:high] = inner[:, 1:]
        # What the elimination does to the rest of its rows and columns: two substitutions, which only add.
        upper, lower = np.diag(leaving[low:high]) - np.triu(block, 1), np.eye(high - low) - np.tril(block, -1)
        rows[:] = solve_triangular(upper, rows, check_finite=False)
        columns[:] = solve_triangular(lower, columns.T, lower=True, trans="T", check_finite=False).T
        matrix[:low, :low] += columns @ rows
    return Reduction(matrix, leaving)
