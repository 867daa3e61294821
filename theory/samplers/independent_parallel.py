"""Independent parallel: every site at once, x_i' ~ p(. | x_{-i}) given the *old* sequence.

The row of x is the product law of the leave-one-out conditionals at x. Its stationary law is in general not p, and it
need not be reversible. Source: Li et al. 2024, section 3 (there also "parallel Gibbs"; synchronous dynamics or
probabilistic cellular automaton in statistical physics).

Method. A row is a rank-one tensor. Cut into a left and a right half of the sites it is the outer product of two
vectors of about sqrt(S) entries, P(x, (y, z)) = A(x, y) B(x, z), so that for a function held as a matrix F(y, z)

    (P f)(x) = sum_z [A F](x, z) B(x, z),        nu P = A^T diag(nu) B:

one matrix product over all x each, 2 S^2 floating-point operations at the speed of dense linear algebra and no matrix
of size S x S. Slices of rows are independent tasks; each runs on one BLAS thread.

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.blas import one_blas_thread
from theory.chains.operator import TransitionOperator
from theory.conditionals import ConditionalModel
from theory.laws.joint import JointLaw
from theory.masks import MaskLaw
from theory.samplers.sampler import Sampler
from theory.samplers.threads import run_tasks, thread_count
from theory.states import require_states

Array = NDArray[np.float64]

SLICE_BYTES = 2**22
"""Rows are taken in slices whose half rows take about this much."""
GROUPS = 16
"""Vectors of partial sums in `propagate`; threads beyond this number would be idle."""
SERIAL_STATES = 2**10
"""Below this many states one thread does it all."""


class IndependentParallel(TransitionOperator):
    """Rows are rank-one tensors: P(x, .) = product over i of p(x_i' | x_{-i})."""

    def __init__(self, conditionals: ConditionalModel) -> None:
        self.sites = conditionals.sites
        self.symbols = conditionals.symbols
        self.states = require_states(self.sites, self.symbols, 8.0 * self.sites * self.symbols, "the conditionals")
        self.factors: Array = conditionals.leave_one_out()
        self._left = self.sites // 2
        # The slices do not depend on the number of threads, so neither do the results.
        half_row = 8 * self.symbols ** (self.sites - self._left)
        self._slice = max(1, min(self.states, SLICE_BYTES // (2 * half_row)))

    def rows(self, start: int, stop: int) -> Array:
        """Rows start..stop-1 of the matrix, shape [stop - start, S]."""
        return self._partial_rows(start, stop, 0, self.sites)

    def _partial_rows(self, start: int, stop: int, first: int, last: int) -> Array:
        """The factors of sites first..last-1 of some rows multiplied out, [stop - start, q**(last - first)]."""
        result = np.ones((stop - start, 1))
        for site in range(first, last):
            factor = self.factors[start:stop, site, :]
            result = (result[:, :, None] * factor[:, None, :]).reshape(stop - start, -1)
        return result

    def _halves(self, index: int) -> tuple[slice, Array, Array]:
        start = index * self._slice
        stop = min(start + self._slice, self.states)
        left = self._partial_rows(start, stop, 0, self._left)
        return slice(start, stop), left, self._partial_rows(start, stop, self._left, self.sites)

    @property
    def _slices(self) -> int:
        return -(-self.states // self._slice)

    def apply(self, function: Array) -> Array:
        columns = np.asarray(function, dtype=np.float64).reshape(self.states, -1)
        grids = np.ascontiguousarray(columns.T).reshape(columns.shape[1], self.symbols**self._left, -1)
        result = np.empty(columns.shape)

        def contract(index: int, thread: int) -> None:
            rows, left, right = self._halves(index)
            for column, grid in enumerate(grids):
                result[rows, column] = np.einsum("xz,xz->x", left @ grid, right)

        self._run(contract, self._slices)
        return result.reshape(function.shape)

    def propagate(self, law: Array) -> Array:
        masses = np.atleast_2d(np.asarray(law, dtype=np.float64))
        groups = min(GROUPS, self._slices)
        parts = np.zeros((groups, len(masses), self.symbols**self._left, self.symbols ** (self.sites - self._left)))

        def spread(group: int, thread: int) -> None:
            for index in range(group, self._slices, groups):
                rows, left, right = self._halves(index)
                for batch, mass in enumerate(masses):
                    parts[group, batch] += (left * mass[rows, None]).T @ right

        self._run(spread, groups)
        return parts.sum(axis=0).reshape(law.shape)

    def _run(self, task: Callable[[int, int], None], tasks: int) -> None:
        threads = thread_count() if self.states >= SERIAL_STATES else 1
        with one_blas_thread():
            run_tasks(task, tasks, threads)

    def _dense(self) -> Array:
        return self.rows(0, self.states)


def independent_parallel(conditionals: ConditionalModel) -> IndependentParallel:
    """The operator of independent parallel updates of all sites.

    Args:
        conditionals: where p(x_i | x_{-i}) comes from.
    """
    return IndependentParallel(conditionals)


@dataclass(frozen=True)
class ParallelSteps(Sampler):
    """`independent_parallel` by its name."""

    name: ClassVar[str] = "independent-parallel"
    step: ClassVar[str] = "every i at once, x_i' ~ p(. | x_-i)"
    uses_masks: ClassVar[str] = "none"
    redraws: ClassVar[str] = "all"
    reads_masked: ClassVar[bool] = True

    def build(
        self, conditionals: ConditionalModel, masks: MaskLaw, target: JointLaw | None = None
    ) -> TransitionOperator:
        return independent_parallel(conditionals)
