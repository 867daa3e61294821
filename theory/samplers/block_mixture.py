"""Operators that draw a mask and change only the masked sites.

Given x, draw K with probability P(K | x) and replace x_K by a draw from a *block kernel* B_K(x_{-K}; x_K, x_K'):

    P(x, x') = sum_K P(K | x) B_K(x_{-K}; x_K, x_K') [x'_{-K} = x_{-K}].

Every sampler that works by masking (block Gibbs, k-parallel, confidence remasking, Metropolis-Hastings) is such a
mixture and differs only in B_K.

Legend: ``S = q**N`` states, ``k = |K|``, ``b = q**k`` block values, ``C = q**(N-k)`` contexts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from theory.chains.operator import TransitionOperator
from theory.errors import InvalidInput
from theory.masks import AdaptiveMaskLaw, Mask, MaskLaw
from theory.samplers.threads import run_tasks, thread_count, thread_limit
from theory.states import require_states

Array = NDArray[np.float64]

BlockKernel = Callable[[Mask], Array]
"""From a mask to B_K: shape [C, b, b], or [C, 1, b] where the new block does not depend on the old one."""


class BlockMixture(TransitionOperator):
    """P = sum_K P(K | x) B_K.

    Args:
        symbols: q.
        masks: the mask law, adaptive or not.
        kernel: block kernel of each mask.
        reversible, stationary: known structure.

    Raises:
        ExceedsMemory: even one vector over the states would not fit.
    """

    def __init__(
        self,
        symbols: int,
        masks: MaskLaw | AdaptiveMaskLaw,
        kernel: BlockKernel,
        reversible: bool | None = None,
        stationary: Array | None = None,
    ) -> None:
        self.sites = masks.sites
        self.symbols = symbols
        self.masks = masks
        self.states = require_states(masks.sites, symbols, 24.0, "vectors")
        self.reversible = reversible
        self.stationary = stationary
        self._kernel = kernel
        if isinstance(masks, AdaptiveMaskLaw) and masks.probabilities.shape[1] != self.states:
            raise InvalidInput(
                "masks", f"P(K | x) for {masks.probabilities.shape[1]} sequences", f"{self.states} are needed"
            )

    def _axes(self, mask: Mask) -> list[int]:
        return [site for site in range(self.sites) if site not in mask] + list(mask)

    def _group(self, values: Array, mask: Mask) -> Array:
        """[S, B] -> [C, b, B]."""
        batch = values.shape[1]
        grid = values.reshape((self.symbols,) * self.sites + (batch,))
        return grid.transpose([*self._axes(mask), self.sites]).reshape(-1, self.symbols ** len(mask), batch)

    def _ungroup(self, values: Array, mask: Mask) -> Array:
        """[C, b, B] -> [S, B]."""
        batch = values.shape[2]
        grid = values.reshape((self.symbols,) * self.sites + (batch,))
        back = np.argsort(self._axes(mask))
        return grid.transpose([*back, self.sites]).reshape(self.states, batch)

    def _weights(self, index: int, mask: Mask) -> Array:
        """P(K | x) as [C, b, 1], or [1, 1, 1] where it does not depend on x."""
        if isinstance(self.masks, MaskLaw):
            return self.masks.probabilities[index].reshape(1, 1, 1)
        return self._group(self.masks.probabilities[index][:, None], mask)

    def apply(self, function: Array) -> Array:
        columns = function.reshape(self.states, -1)
        result = np.zeros_like(columns, dtype=np.float64)
        for index, mask in enumerate(self.masks.masks):
            moved = self._kernel(mask) @ self._group(columns, mask)
            shape = (moved.shape[0], self.symbols ** len(mask), moved.shape[2])
            result += self._ungroup(np.broadcast_to(self._weights(index, mask) * moved, shape), mask)
        return result.reshape(function.shape)

    def propagate(self, law: Array) -> Array:
        columns = np.atleast_2d(law).T
        result = np.zeros_like(columns, dtype=np.float64)
        for index, mask in enumerate(self.masks.masks):
            mass = self._weights(index, mask) * self._group(columns, mask)
            kernel = self._kernel(mask)
            if kernel.shape[1] == 1:
                moved = kernel.transpose(0, 2, 1) * mass.sum(axis=1, keepdims=True)
            else:
                moved = kernel.transpose(0, 2, 1) @ mass
            result += self._ungroup(moved, mask)
        return result.T.reshape(law.shape)

    def dirichlet_form(self, functions: Array) -> Array:
        if self.stationary is None:
            raise NotImplementedError
        columns = functions.shape[1]
        form = np.zeros((columns, columns))
        for index, mask in enumerate(self.masks.masks):
            # Differences from one state of the block are exact where the function hardly changes.
            values = self._group(functions, mask)
            values = values - values[:, :1]
            mass = self._weights(index, mask) * self._group(self.stationary[:, None], mask)
            kernel = self._kernel(mask)
            if kernel.shape[1] == 1:  # redrawn whatever it was: half of (f(x) - f(y))^2 is the variance
                values = values - kernel @ values
                form += np.einsum("cai,ca,caj->ij", values, mass[:, :, 0], values, optimize=True)
            else:
                flow = 0.5 * mass * kernel
                change = values[:, :, None] - values[:, None]
                form += np.einsum("cabi,cab,cabj->ij", change, flow, change, optimize=True)
        return form

    def _dense(self) -> Array:
        matrix = np.zeros((self.states, self.states))
        grid = matrix.reshape((self.symbols,) * (2 * self.sites))
        for index, mask in enumerate(self.masks.masks):
            kept = [site for site in range(self.sites) if site not in mask]
            # A writable view of the entries P(x, x') with x'_{-K} = x_{-K}: kept sites share one einsum label.
            columns = [self.sites + site if site in mask else site for site in range(self.sites)]
            wanted = kept + list(mask) + [self.sites + site for site in mask]
            view = np.einsum(grid, list(range(self.sites)) + columns, wanted)  # type: ignore[arg-type]
            size = len(mask)
            kernel = self._weights(index, mask) * self._kernel(mask)
            old = (self.symbols,) * size if kernel.shape[1] > 1 else (1,) * size
            view += kernel.reshape((self.symbols,) * len(kept) + old + (self.symbols,) * size)
        return matrix


class CompiledMixture(BlockMixture):
    """A block mixture that acts on one vector at a time through compiled code; `to_dense` uses the block kernels."""

    @abstractmethod
    def _apply_vector(self, function: Array) -> Array:
        """P f for a contiguous f of shape [S]."""

    @abstractmethod
    def _propagate_vector(self, law: Array) -> Array:
        """nu P for a contiguous nu of shape [S]."""

    def apply(self, function: Array) -> Array:
        if function.ndim == 1:
            return self._apply_vector(_plain(function))
        return _row_by_row(self._apply_vector, function.T).T

    def propagate(self, law: Array) -> Array:
        if law.ndim == 1:
            return self._propagate_vector(_plain(law))
        return _row_by_row(self._propagate_vector, law)


def _row_by_row(action: Callable[[Array], Array], rows: Array) -> Array:
    """The action on each row: several rows at once, each by one thread."""
    result = np.empty(rows.shape)
    if not len(rows):
        return result

    def run(index: int, thread: int) -> None:
        result[index] = action(_plain(rows[index]))

    threads = thread_count()
    with thread_limit(1):
        run(0, 0)  # compiles, and builds what is built on first use
        run_tasks(lambda index, thread: run(index + 1, thread), len(rows) - 1, threads)
    return result


def _plain(vector: Array) -> Array:
    """A contiguous, writable float64 vector: one type for the compiled code, which is compiled anew for each type."""
    return np.require(vector, np.float64, ["C", "W"])
