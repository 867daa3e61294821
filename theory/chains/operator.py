"""Markov operators on a finite state space.

A *transition operator* is a row-stochastic map P on S states. It acts on functions, ``(P f)(x) = E[f(X_1) | X_0 = x]``,
and on laws, ``(nu P)(y) = sum_x nu(x) P(x, y)``. Known structure (reversibility, a stationary law) is passed along by
whoever builds the operator, never guessed. What is computed about a chain (classes, stationary laws, spectrum) is kept
with its operator (`theory.chains.facts`).

Legend: ``S`` states, ``B`` batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse

from theory.chains.matrices import ROW_SUM_TOLERANCE, Matrix, read_matrix
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]


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
    def facts(self) -> dict[str, Any]:
        """What was computed about the chain, by the name of the function that computed it."""
        facts: dict[str, Any] = self.__dict__.setdefault("_facts", {})
        return facts

    def held(self) -> MatrixOperator:
        """The same chain with its entries at hand, and with the same facts; itself where it holds its matrix.

        Raises:
            ExceedsMemory: the matrix would not fit.
        """
        same = DenseOperator.__new__(DenseOperator)
        same.matrix, same.states, same.renormalised = self.to_dense(), self.states, 0.0
        same.reversible, same.stationary = self.reversible, self.stationary
        same.nonnegative, same.one_class = self.nonnegative, self.one_class
        same.__dict__["_facts"] = self.facts
        return same

    def knowing(self, law: Array) -> TransitionOperator:
        """The same operator, which carries this stationary law; it has facts of its own."""
        same = copy(self)
        same.__dict__["_facts"] = {}
        same.stationary = law
        return same

    @property
    def dense_bytes(self) -> int:
        """Bytes that the dense matrix takes."""
        return 8 * self.states * self.states

    def to_dense(self) -> Array:
        """The matrix [S, S].

        Raises:
            ExceedsMemory: the matrix would not fit into the memory that is free.
        """
        require_memory(self.dense_bytes, "states", self.states, "the dense transition matrix")
        return self._dense()

    def _dense(self) -> Array:
        return self.propagate(np.eye(self.states))


class MatrixOperator(TransitionOperator):
    """A transition operator held as a matrix.

    Attributes:
        renormalised: largest deviation of a row sum from 1 that was divided away; 0 where the rows are as given.
    """

    matrix: Any
    renormalised: float

    def __init__(
        self,
        matrix: Matrix,
        reversible: bool | None = None,
        stationary: ArrayLike | None = None,
        *,
        normalise: bool = False,
    ) -> None:
        values, self.renormalised = read_matrix(matrix, normalise)
        self.matrix = self._stored(values)
        self.states = values.shape[0]
        self.reversible = reversible
        self.stationary = None if stationary is None else np.asarray(stationary, dtype=np.float64)

    @staticmethod
    @abstractmethod
    def _stored(values: Array | csr_array) -> Any:
        """The matrix as this kind of operator holds it."""

    def apply(self, function: Array) -> Array:
        return np.asarray(self.matrix @ function)

    def propagate(self, law: Array) -> Array:
        return np.asarray((self.matrix.T @ law.T).T)

    def held(self) -> MatrixOperator:
        return self

    @abstractmethod
    def block(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> Array:
        """The entries of some rows and columns, dense, a new array."""

    @abstractmethod
    def support(self) -> csr_array:
        """Where the entries are positive, sparse [S, S]."""


class DenseOperator(MatrixOperator):
    """A transition operator held as an array.

    Args:
        matrix: row-stochastic [S, S], dense or sparse; see `theory.chains.matrices.read_matrix` for what is taken.
        reversible, stationary: known structure, see `TransitionOperator`.
        normalise: divide every row by its sum, whatever that is.

    Raises:
        InvalidInput: not square, not numbers, negative or non-finite entries, or a row that does not sum to 1.
    """

    matrix: Array

    @staticmethod
    def _stored(values: Array | csr_array) -> Array:
        if not isinstance(values, csr_array):
            return values
        require_memory(8.0 * values.shape[0] ** 2, "states", values.shape[0], "the dense transition matrix")
        return np.asarray(values.toarray())

    def propagate(self, law: Array) -> Array:
        return np.asarray(law @ self.matrix)

    def to_dense(self) -> Array:
        return self.matrix

    def block(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> Array:
        return np.asarray(self.matrix[np.ix_(rows, columns)])

    def support(self) -> csr_array:
        return csr_array(self.matrix > 0)


class SparseOperator(MatrixOperator):
    """A transition operator held as a sparse array, which is filled in only where a method needs all entries.

    Args:
        matrix, reversible, stationary, normalise: as for `DenseOperator`.

    Raises:
        InvalidInput: as for `DenseOperator`.
    """

    matrix: csr_array

    @staticmethod
    def _stored(values: Array | csr_array) -> csr_array:
        return csr_array(values)

    def block(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> Array:
        require_memory(8.0 * len(rows) * len(columns), "states", len(rows), "a part of the matrix, filled in")
        return np.asarray(self.matrix[rows][:, columns].toarray())

    def support(self) -> csr_array:
        return csr_array(self.matrix > 0)

    def _dense(self) -> Array:
        return np.asarray(self.matrix.toarray())


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


Chain: TypeAlias = TransitionOperator | Matrix
"""What every function about chains takes."""


def as_operator(chain: Chain) -> TransitionOperator:
    """An operator from an operator (itself), a matrix, or a sparse matrix (which stays sparse).

    Raises:
        InvalidInput: not a matrix of transition probabilities.
    """
    if isinstance(chain, TransitionOperator):
        return chain
    return SparseOperator(chain) if issparse(chain) else DenseOperator(chain)


def restrict(chain: TransitionOperator, states: NDArray[np.integer]) -> DenseOperator:
    """The chain on a closed subset of its states (sorted state numbers), as a dense operator.

    Raises:
        InvalidInput: the subset is not closed: some state in it moves outside with positive probability.
    """
    matrix = chain.held().block(states, states)
    leak = 1 - matrix.sum(axis=1)
    if leak.size == 0 or leak.max() > ROW_SUM_TOLERANCE:
        raise InvalidInput("states", f"{len(states)} states", "the subset must be non-empty and closed under the chain")
    stationary = None
    if chain.stationary is not None:
        inside = chain.stationary[states]
        if inside.sum() > 0:
            stationary = inside / inside.sum()
    return DenseOperator(matrix, chain.reversible, stationary)
