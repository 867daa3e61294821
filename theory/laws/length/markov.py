"""Stationary Markov chains of order r as laws of their first N symbols.

p(x) = pi(x_0..x_{r-1}) prod_{i >= r} A(x_{i-r}, ..., x_{i-1}; x_i), with pi the stationary law of r successive symbols.

Conditionals. Order 1: p(x_i = a | x_A) in proportion to A^(i-l)(x_l, a) A^(r-i)(a, x_r) with the nearest revealed
l < i < r, from stored powers; powers that have reached the stationary law are not stored. Order r: forward-backward
over contexts of r symbols, which revealed sites thin out: O(N q^(r+1)) at most.

Entropies of order 1: h(d) = H(x_d | x_0); for nearest revealed l < i < r, H(x_i | x_A) = h(i-l) + h(r-i) - h(r-l).

Legend: ``N`` sites, ``q`` symbols, ``r`` order, ``S = q**r`` contexts, ``B`` rows.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import xlogy

from theory.errors import InvalidInput
from theory.laws.length.law import Array, Reader, SequenceLaw, Tokens, draw, require_length
from theory.laws.products import stochastic
from theory.memory import require_memory

HIGHEST_ORDER = 3

CONVERGED = 1e-14
"""Largest distance of an entry of A^d from the stationary law that is taken for rounding."""

DENSE_CONTEXTS = 2048
"""Stationary laws of more contexts are found by iteration."""


class MarkovLaw(SequenceLaw):
    """The first N symbols of a stationary Markov chain.

    Args:
        transition: p(next | last r symbols), shape [q]*r + [q], the earliest symbol first.
        sites: N.
        name: shown in results.

    Raises:
        InvalidInput: another shape, rows that are no laws, an order above 3, more than one closed class, or a symbol
            that never occurs.
        ExceedsMemory: the powers or the contexts do not fit.
    """

    def __init__(self, transition: ArrayLike, sites: int, name: str = "") -> None:
        table = np.asarray(transition, dtype=np.float64)
        if table.ndim < 2 or len(set(table.shape)) != 1 or table.shape[0] < 2:
            raise InvalidInput("transition", f"an array of shape {table.shape}", "shape [q]*R + [q] is needed, q >= 2")
        require_length(sites, table.shape[0])
        self.markov_order = table.ndim - 1
        if self.markov_order > HIGHEST_ORDER:
            raise InvalidInput("transition", f"order {self.markov_order}", f"orders 1 to {HIGHEST_ORDER} are built")
        if sites < self.markov_order:
            raise InvalidInput("sites", sites, f"a chain of order {self.markov_order} needs that many sites at least")
        self.symbols = table.shape[0]
        self.sites = int(sites)
        contexts = self.symbols**self.markov_order
        require_memory(8.0 * 4 * contexts * self.symbols, "transition", table.shape, "the chain on its contexts")
        self.transition: Array = stochastic(table.reshape(contexts, self.symbols), "transition", 2)
        self.stationary: Array = _stationary(self.transition)
        self.name = name or f"Markov chain of order {self.markov_order}, {self.symbols} symbols"
        self.order = np.arange(self.sites)
        if self.markov_order == 1:
            self._powers, self._transposed = _powers(self.transition, self.stationary, self.sites)
        else:
            require_memory(8.0 * contexts * self.sites, "sites", sites, "one sweep over the contexts")

    @property
    def rate(self) -> float:
        """H(x_i | all earlier symbols) in nats."""
        return float(self.stationary @ -xlogy(self.transition, self.transition).sum(axis=1))

    @property
    def first_entropy(self) -> float:
        """H1 = H(x_0) in nats."""
        law = self.stationary.reshape(self.symbols, -1).sum(axis=1)
        return float(-xlogy(law, law).sum())

    @property
    def entropy(self) -> float:  # type: ignore[override]
        """H(p) in nats."""
        start = float(-xlogy(self.stationary, self.stationary).sum())
        return start + (self.sites - self.markov_order) * self.rate

    @cached_property
    def gap_entropies(self) -> Array:
        """h(d) = H(x_d | x_0) for d = 0..N, order 1 only, [N + 1]; h(0) = 0.

        Raises:
            InvalidInput: an order above 1.
        """
        if self.markov_order != 1:
            raise InvalidInput("transition", f"order {self.markov_order}", "entropies by distance need order 1")
        stored = -xlogy(self._powers, self._powers).sum(axis=2) @ self.stationary
        return stored[np.minimum(np.arange(self.sites + 1), len(stored) - 1)]

    def sweep(self, before: Tokens, after: Tokens) -> Array:
        before, after = self.check(before), self.check(after)
        laws = np.empty((*before.shape, self.symbols))
        if self.markov_order == 1:
            keys = np.full((*before.shape, 2), -1, dtype=np.int64)
            self._update(before, after, keys, laws, np.empty(before.shape, dtype=bool))
        else:
            from theory.laws.length.kernels import higher_order

            higher_order(before, after, self.transition, self.stationary, laws)
        return laws

    def _update(self, before: Tokens, after: Tokens, keys: Tokens, laws: Array, changed: NDArray[np.bool_]) -> None:
        from theory.laws.length.kernels import first_order

        first_order(before, after, self._powers, self._transposed, self.stationary, keys, laws, changed)

    def block_divergence(
        self, before: Tokens, after: Tokens, chosen: NDArray[np.bool_], laws: Array, forward: bool
    ) -> Array:
        """As `SequenceLaw.block_divergence`; order 1: exact given x_A, whatever ``after`` is.

        The sites of D between two revealed ones are a Markov chain with both ends fixed.
        """
        if self.markov_order != 1:
            return super().block_divergence(before, after, chosen, laws, forward)
        from theory.laws.length.kernels import first_order_divergence

        divergences = np.empty(len(before))
        first_order_divergence(
            before,
            chosen,
            laws,
            forward,
            self._powers,
            self._transposed,
            self._log_powers,
            self.stationary,
            divergences,
        )
        return divergences

    @cached_property
    def _log_powers(self) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self._powers)

    def reader(self, tokens: Tokens) -> Reader:
        return _NearestRevealed(self, tokens) if self.markov_order == 1 else Reader(self, tokens)

    def sample(self, count: int, generator: np.random.Generator) -> Tokens:
        contexts = draw(np.broadcast_to(self.stationary, (count, len(self.stationary))), generator)
        tokens = np.empty((count, self.sites), dtype=np.int64)
        digits = np.unravel_index(contexts, (self.symbols,) * self.markov_order)
        for i, digit in enumerate(digits):
            tokens[:, i] = digit
        shifted = len(self.stationary) // self.symbols
        for i in range(self.markov_order, self.sites):
            tokens[:, i] = draw(self.transition[contexts], generator)
            contexts = contexts % shifted * self.symbols + tokens[:, i]
        return tokens


class _NearestRevealed(Reader):
    """Order 1: a law changes only where the nearest revealed sites do."""

    def __init__(self, law: MarkovLaw, tokens: Tokens) -> None:
        rows = law.check(tokens)
        self._chain = law
        self._keys = np.full((*rows.shape, 2), -1, dtype=np.int64)
        self.laws = np.empty((*rows.shape, law.symbols))
        self.changed = np.empty(rows.shape, dtype=bool)
        self.reveal(rows)

    def reveal(self, tokens: Tokens) -> None:
        rows = np.ascontiguousarray(tokens, dtype=np.int64)
        self._chain._update(rows, rows, self._keys, self.laws, self.changed)


def _powers(transition: Array, stationary: Array, sites: int) -> tuple[Array, Array]:
    """A^0, ..., A^D and their transposes, [D + 1, q, q]: D = N, or where every row has reached the stationary law."""
    q = len(transition)
    powers = [np.eye(q)]
    while len(powers) <= sites:
        require_memory(16.0 * (len(powers) + 1) * q * q, "sites", sites, "the powers of the transition matrix")
        following = powers[-1] @ transition
        powers.append(following / following.sum(axis=1, keepdims=True))
        if np.abs(powers[-1] - stationary).max() <= CONVERGED:
            break
    stacked = np.stack(powers)
    return stacked, np.ascontiguousarray(stacked.transpose(0, 2, 1))


def _stationary(transition: Array) -> Array:
    """The stationary law of the contexts, [S].

    Raises:
        InvalidInput: more than one closed class of contexts, or a symbol that never occurs.
    """
    contexts, q = transition.shape
    sources, tokens = np.nonzero(transition)
    targets = sources % (contexts // q) * q + tokens
    weights = transition[sources, tokens]
    graph = csr_array((weights, (sources, targets)), shape=(contexts, contexts))
    count, labels = connected_components(graph, directed=True, connection="strong")
    closed = np.setdiff1d(np.arange(count), labels[sources[labels[sources] != labels[targets]]])
    order = round(np.log(contexts) / np.log(q))
    if len(closed) > 1:
        listed = "; ".join(_named(np.flatnonzero(labels == label), q, order) for label in closed[:4])
        raise InvalidInput(
            "transition",
            "a reducible matrix",
            f"one closed class is needed, here are {len(closed)}: {listed}{'; ...' if len(closed) > 4 else ''}",
        )
    members = np.flatnonzero(labels == closed[0])
    unused = np.setdiff1d(np.arange(q), members % q)
    if len(unused):
        raise InvalidInput(
            "transition",
            "a reducible matrix",
            f"every symbol must recur; the closed class is {_named(members, q, order)}, "
            f"and symbols {_shortened(unused)} are left for ever",
        )
    law = np.zeros(contexts)
    inner = graph[members][:, members]
    if len(members) <= DENSE_CONTEXTS:
        equations = np.vstack([inner.toarray().T - np.eye(len(members)), np.ones(len(members))])
        right = np.append(np.zeros(len(members)), 1.0)
        law[members] = np.maximum(np.linalg.lstsq(equations, right, rcond=None)[0], 0.0)
        # One lazy step repairs the rounding of the solver.
        law[members] = 0.5 * (law[members] + inner.T @ law[members])
    else:
        law[members] = _iterated(inner)
    return np.asarray(law / law.sum())


def _iterated(chain: csr_array) -> Array:
    """The stationary law by lazy power iteration, which periods do not disturb."""
    law, transposed = np.full(chain.shape[0], 1.0 / chain.shape[0]), csr_array(chain.T)
    for _ in range(100_000):
        following = 0.5 * (law + transposed @ law)
        moved = np.abs(following - law).sum()
        law = following
        if moved <= 1e-15:
            break
    return law


def _named(members: NDArray[np.integer], q: int, order: int) -> str:
    names = members.tolist() if order == 1 else list(zip(*np.unravel_index(members, (q,) * order), strict=True))
    return _shortened(np.array(names))


def _shortened(values: NDArray, limit: int = 6) -> str:
    shown = ", ".join(str(entry) for entry in values[:limit].tolist())
    return "{" + shown + (", ..." if len(values) > limit else "") + "}"
