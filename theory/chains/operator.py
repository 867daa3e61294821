"""Markov operators on a finite state space.

A *transition operator* is a row-stochastic map P on S states. It acts on functions, ``(P f)(x) = E[f(X_1) | X_0 = x]``,
and on laws, ``(nu P)(y) = sum_x nu(x) P(x, y)``. Known structure (reversibility, a stationary law) is passed along by
whoever builds the operator, never guessed.

Legend: ``S`` states, ``B`` batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]

ROW_SUM_TOLERANCE = 1e-9
"""Largest deviation of a row sum from 1 that is taken for rounding in a matrix from outside."""


class TransitionOperator(ABC):
    """A row-stochastic operator.

    Attributes:
        states: number of states S.
        reversible: True or False where the builder knows it, None where it is not known.
        stationary: a stationary law [S] where the builder knows one, else None.
        nonnegative: whether a reversible operator is known to have no negative eigenvalue.
        one_class: whether all states are known to form one aperiodic class.
    """

    states: int
    reversible: bool | None = None
    nonnegative: bool = False
    one_class: bool = False
    stationary: Array | None = None

    @abstractmethod
    def apply(self, function: Array) -> Array:
        """P f for f of shape [S] or [S, B]."""

    @abstractmethod
    def propagate(self, law: Array) -> Array:
        """nu P for nu of shape [S] or [B, S]."""

    def dirichlet_form(self, functions: Array) -> Array:
        """(1/2) sum_{x, y} pi(x) P(x, y) (f(x) - f(y)) (g(x) - g(y)) of all pairs of functions [S, B]: shape [B, B].

        pi is the law that the operator carries. Summed over pairs of states, so that small forms keep their digits.

        Raises:
            NotImplementedError: the operator cannot go from pair to pair.
        """
        raise NotImplementedError

    @property
    def dense_bytes(self) -> int:
        """Bytes that the dense matrix takes."""
        return 8 * self.states * self.states

    def as_linear_operator(self) -> LinearOperator:
        """The operator as SciPy's iterative solvers want it: ``A @ f`` is P f, ``A.T @ nu`` is nu P."""
        return LinearOperator(
            shape=(self.states, self.states),
            dtype=np.float64,
            matvec=lambda function: self.apply(np.asarray(function).reshape(-1)),
            rmatvec=lambda law: self.propagate(np.asarray(law).reshape(-1)),
            matmat=self.apply,
            rmatmat=lambda laws: self.propagate(laws.T).T,
        )

    def to_dense(self) -> Array:
        """The matrix [S, S].

        Raises:
            ExceedsMemory: the matrix would not fit into the memory that is free.
        """
        require_memory(self.dense_bytes, "states", self.states, "the dense transition matrix")
        return self._dense()

    def _dense(self) -> Array:
        return self.propagate(np.eye(self.states))


class DenseOperator(TransitionOperator):
    """A transition operator held as a matrix.

    Args:
        matrix: row-stochastic [S, S].
        reversible, stationary: known structure, see `TransitionOperator`.

    Raises:
        InvalidInput: not square, negative or non-finite entries, or a row that does not sum to 1.
    """

    def __init__(self, matrix: ArrayLike, reversible: bool | None = None, stationary: ArrayLike | None = None) -> None:
        values = np.asarray(matrix, dtype=np.float64)
        if values.ndim != 2 or values.shape[0] != values.shape[1] or values.shape[0] == 0:
            raise InvalidInput("matrix", f"an array of shape {values.shape}", "a square [S, S] matrix is needed")
        if not np.isfinite(values).all():
            raise InvalidInput("matrix", "NaN or infinity", "every entry must be finite")
        if values.min() < 0:
            row, column = np.unravel_index(int(values.argmin()), values.shape)
            raise InvalidInput(f"matrix[{row}, {column}]", values.min(), "transition probabilities are >= 0")
        sums = values.sum(axis=1)
        worst = int(np.abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > ROW_SUM_TOLERANCE:
            raise InvalidInput(f"matrix row {worst}", f"sum {sums[worst]!r}", "each row must sum to 1")
        self.matrix = values
        self.states = values.shape[0]
        self.reversible = reversible
        self.stationary = None if stationary is None else np.asarray(stationary, dtype=np.float64)

    def apply(self, function: Array) -> Array:
        return np.asarray(self.matrix @ function)

    def propagate(self, law: Array) -> Array:
        return np.asarray(law @ self.matrix)

    def to_dense(self) -> Array:
        return self.matrix


class Composition(TransitionOperator):
    """Several operators applied one after the other: P = P_1 P_2 ... P_n, the first acting first on the state."""

    def __init__(
        self,
        steps: Sequence[TransitionOperator],
        reversible: bool | None = None,
        stationary: Array | None = None,
    ) -> None:
        if not steps:
            raise InvalidInput("steps", "an empty list", "at least one operator is needed")
        if len({step.states for step in steps}) != 1:
            raise InvalidInput("steps", [step.states for step in steps], "all must have the same number of states")
        self.steps = tuple(steps)
        self.states = steps[0].states
        self.reversible = reversible
        self.stationary = stationary

    def apply(self, function: Array) -> Array:
        for step in reversed(self.steps):
            function = step.apply(function)
        return function

    def propagate(self, law: Array) -> Array:
        for step in self.steps:
            law = step.propagate(law)
        return law


def as_operator(chain: TransitionOperator | ArrayLike) -> TransitionOperator:
    """An operator from an operator (itself) or a matrix."""
    return chain if isinstance(chain, TransitionOperator) else DenseOperator(chain)


def restrict(chain: TransitionOperator, states: NDArray[np.integer]) -> DenseOperator:
    """The chain on a closed subset of its states (sorted state numbers), as a dense operator.

    Raises:
        InvalidInput: the subset is not closed: some state in it moves outside with positive probability.
    """
    matrix = chain.to_dense()[np.ix_(states, states)]
    leak = 1 - matrix.sum(axis=1)
    if leak.size == 0 or leak.max() > ROW_SUM_TOLERANCE:
        raise InvalidInput("states", f"{len(states)} states", "the subset must be non-empty and closed under the chain")
    stationary = None
    if chain.stationary is not None:
        inside = chain.stationary[states]
        if inside.sum() > 0:
            stationary = inside / inside.sum()
    return DenseOperator(matrix, chain.reversible, stationary)
