"""Random choices, listed or drawn: what lets a rule write its step once.

A step holds arrays with one entry for each of its R *rows*. It makes a choice by calling a method here, which returns
``rows``, shape [R'], the old row that each new row came from, with the value chosen in each; the step then indexes its
arrays by ``rows``. `Enumerated` makes a row for every possible value and multiplies the probabilities; `Drawn` keeps
the rows and draws one value for each. All choices follow from `index`, so that both have the same law.

Legend: ``R`` rows now, ``N`` sites, ``q`` symbols, ``K`` values.
Source of the noise: the k largest of ln w_i + Gumbel noise are k draws without replacement with probabilities in
proportion to w (Plackett-Luce); Yellott 1977, Kool et al. 2019 (arXiv:1903.06059).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod

import numpy as np
from numpy.typing import NDArray

from theory.decoding.token_laws import TIE_DECIMALS
from theory.memory import require_memory

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


class Choices(ABC):
    """The rows of one step.

    Attributes:
        parent: [R] the row before the step that each row came from.
        probability: [R] of all choices made on the way to each row, given its parent.
    """

    parent: Integers
    probability: Array

    @abstractmethod
    def index(self, weights: Array) -> tuple[Integers, Integers]:
        """One of K values in proportion to weights >= 0, [R, K], not all 0 in a row -> rows [R'], values [R']."""

    @abstractmethod
    def tokens(self, laws: Array, where: Flags) -> tuple[Integers, Integers]:
        """Independent tokens at the sites of ``where`` [R, N] from laws [R, N, q] -> rows, tokens [R', N].

        The tokens elsewhere mean nothing.
        """

    @abstractmethod
    def coins(self, probability: Array) -> tuple[Integers, Flags]:
        """Independent coins of probabilities [R, N] -> rows, heads [R', N]."""

    @abstractmethod
    def subset(self, log_weights: Array, counts: Integers) -> tuple[Integers, Flags]:
        """A set of ``counts`` [R] sites, drawn one by one without replacement -> rows, chosen [R', N].

        Args:
            log_weights: [R, N], -inf where a site cannot be chosen; equal ones give a uniformly random set.
            counts: at most as many as there are sites that can be chosen.
        """

    def top(self, scores: Array, counts: Integers, ties: str) -> tuple[Integers, Flags]:
        """The ``counts`` [R] sites of highest score -> rows, chosen [R', N].

        Args:
            scores: [R, N], -inf where a site cannot be chosen; those that agree to 12 decimals are tied.
            ties: ``"first"``: the lowest sites; ``"random"``: a uniformly random set of the tied ones.
        """
        if ties == "first":
            return np.arange(len(scores)), highest(scores, counts)
        rounded = np.round(scores, TIE_DECIMALS)
        ranked = -np.sort(-rounded, axis=1)
        edge = np.take_along_axis(ranked, np.maximum(counts - 1, 0)[:, None], axis=1)
        above = (rounded > edge) & (counts > 0)[:, None]
        tied = (rounded == edge) & (counts > 0)[:, None]
        rows, among = self.subset(np.where(tied, 0.0, -np.inf), counts - above.sum(axis=1))
        return rows, above[rows] | among


def highest(scores: Array, counts: Integers) -> Flags:
    """The ``counts`` [R] sites of highest score [R, N], equal ones from the lowest site on; [R, N]."""
    order = np.argsort(-np.round(scores, TIE_DECIMALS), axis=1, kind="stable")
    chosen = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(chosen, order, np.arange(scores.shape[1]) < counts[:, None], axis=1)
    return chosen


class Enumerated(Choices):
    """Every possible value: the rows multiply, their probabilities sum to 1 for each parent."""

    def __init__(self, rows: int) -> None:
        self.parent, self.probability = np.arange(rows), np.ones(rows)

    def index(self, weights: Array) -> tuple[Integers, Integers]:
        shares = weights / weights.sum(axis=1, keepdims=True)
        count = int(np.count_nonzero(shares))
        # A step holds a few arrays of N and of N q numbers for each of its rows; 256 bytes a row for their sum is low,
        # but the arrays of one choice are refused before they are made.
        require_memory(256.0 * count, "successors", count, "the partial sequences that one step can lead to")
        rows, values = np.nonzero(shares)
        self._keep(rows, shares[rows, values])
        return rows, values

    def _keep(self, rows: Integers, probability: Array) -> None:
        self.parent = self.parent[rows]
        self.probability = self.probability[rows] * probability

    def tokens(self, laws: Array, where: Flags) -> tuple[Integers, Integers]:
        symbols = laws.shape[2]
        chosen = where.sum(axis=1)
        require_memory(
            8.0 * float((float(symbols) ** chosen).sum()) * (where.shape[1] + 3),
            "successors",
            f"tokens of up to {int(chosen.max(initial=0))} sites",
            "the partial sequences that one step can lead to",
        )
        rows: list[Integers] = []
        drawn: list[Integers] = []
        probability: list[Array] = []
        # Rows with the same sites to fill are done together.
        example, group = distinct(where)
        for number, sites in enumerate(np.flatnonzero(where[e]) for e in example):
            members = np.flatnonzero(group == number)
            mass = np.ones((len(members), 1))
            for site in sites:
                mass = (mass[:, :, None] * laws[members, site][:, None, :]).reshape(len(members), -1)
            row, value = np.nonzero(mass)
            tokens = np.zeros((len(row), where.shape[1]), dtype=np.int64)
            for site in sites[::-1]:
                value, tokens[:, site] = np.divmod(value, symbols)
            rows.append(members[row])
            drawn.append(tokens)
            probability.append(mass[mass > 0])
        parents = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        self._keep(parents, np.concatenate(probability) if rows else np.zeros(0))
        return parents, np.concatenate(drawn) if rows else np.zeros(where.shape, dtype=np.int64)

    def coins(self, probability: Array) -> tuple[Integers, Flags]:
        rows = np.arange(len(probability))
        heads = np.zeros(probability.shape, dtype=bool)
        for site in np.flatnonzero((probability > 0).any(axis=0)):
            chance = probability[rows, site]
            again, head = self.index(np.stack([1 - chance, chance], axis=1))
            rows, heads = rows[again], heads[again]
            heads[:, site] = head == 1
        return rows, heads

    def subset(self, log_weights: Array, counts: Integers) -> tuple[Integers, Flags]:
        sites = log_weights.shape[1]
        rows = np.arange(len(log_weights))
        chosen = np.zeros(log_weights.shape, dtype=bool)
        for number in range(int(counts.max(initial=0))):
            remaining = np.where(chosen, -np.inf, log_weights[rows])
            more = counts[rows] > number
            # The last column stands for a row that has its sites.
            weights = np.zeros((len(rows), sites + 1))
            weights[~more, sites] = 1.0
            weights[more, :sites] = np.exp(remaining[more] - remaining[more].max(axis=1, keepdims=True))
            again, site = self.index(weights)
            rows, chosen = rows[again], chosen[again]
            taken = np.flatnonzero(site < sites)
            chosen[taken, site[taken]] = True
            # The same set in another order is the same choice.
            kept, group = distinct(np.column_stack([rows, chosen]))
            self.probability = np.bincount(group, self.probability).astype(np.float64)
            self.parent, rows, chosen = self.parent[kept], rows[kept], chosen[kept]
        return rows, chosen


class Drawn(Choices):
    """One value for each row, drawn at random."""

    def __init__(self, rows: int, generator: np.random.Generator) -> None:
        self.parent, self.probability = np.arange(rows), np.ones(rows)
        self.generator = generator

    def index(self, weights: Array) -> tuple[Integers, Integers]:
        return self.parent, self._inverse(weights)

    def _inverse(self, weights: Array) -> Integers:
        """Inverse of the cumulative weights along the last axis."""
        cumulative = np.cumsum(weights, axis=-1)
        uniform = self.generator.random(weights.shape[:-1])[..., None] * cumulative[..., -1:]
        return np.asarray((cumulative <= uniform).sum(axis=-1))

    def tokens(self, laws: Array, where: Flags) -> tuple[Integers, Integers]:
        drawn = np.zeros(where.shape, dtype=np.int64)
        drawn[where] = self._inverse(laws[where])
        return self.parent, drawn

    def coins(self, probability: Array) -> tuple[Integers, Flags]:
        return self.parent, self.generator.random(probability.shape) < probability

    def subset(self, log_weights: Array, counts: Integers) -> tuple[Integers, Flags]:
        keys = log_weights + self.generator.gumbel(size=log_weights.shape)
        order = np.argsort(-keys, axis=1)
        chosen = np.zeros(keys.shape, dtype=bool)
        np.put_along_axis(chosen, order, np.arange(keys.shape[1]) < counts[:, None], axis=1)
        return self.parent, chosen


class Given(Drawn):
    """As `Drawn`, but the tokens are those of given sequences, or drawn, and what was drawn from is kept.

    Args:
        tokens: [R, N], those that are put wherever a step draws; None: they are drawn.
        rows: R.
        generator: of all other choices.

    Attributes:
        where: [R, N], sites at which tokens were put.
        laws: [M, q], the laws that they came from, row by row.
    """

    where: Flags
    laws: Array

    def __init__(self, tokens: Integers | None, rows: int, generator: np.random.Generator) -> None:
        super().__init__(rows, generator)
        self._given = tokens

    def tokens(self, laws: Array, where: Flags) -> tuple[Integers, Integers]:
        self.where, self.laws = where, laws[where]
        return super().tokens(laws, where) if self._given is None else (self.parent, self._given)


def distinct(keys: NDArray) -> tuple[Integers, Integers]:
    """The distinct rows of a table of whole numbers [R, K]: an example of each [D], and the group of each row [R]."""
    keys = np.ascontiguousarray(keys, dtype=np.int64)
    low, high = (keys.min(axis=0), keys.max(axis=0)) if len(keys) else (np.zeros(1), np.zeros(1))
    spans = [int(top) - int(bottom) + 1 for bottom, top in zip(low, high, strict=True)]
    count = prod(spans)
    if count > 2**62:
        packed = keys.view(np.dtype((np.void, keys.dtype.itemsize * keys.shape[1]))).reshape(-1)
        _, example, group = np.unique(packed, return_index=True, return_inverse=True)
        return example, group.reshape(-1)
    # One number for each row.
    code = np.zeros(len(keys), dtype=np.int64)
    for column, span in enumerate(spans):
        if span > 1:
            code = code * span + (keys[:, column] - low[column])
    if count > 4 * len(keys) + 2**16:
        _, example, group = np.unique(code, return_index=True, return_inverse=True)
        return example, group.reshape(-1)
    where = np.full(count, -1)
    where[code[::-1]] = np.arange(len(keys) - 1, -1, -1)
    present = where >= 0
    return where[present], (np.cumsum(present) - 1)[code]
