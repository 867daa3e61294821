"""Laws of sequences of real length: exact conditionals, samples and entropies without a table of q^N masses.

A *partial sequence* holds a token or MASK (the symbol q) at every site. Everything follows from one pass over the
sites, the *sweep*: with x_A the tokens of ``before`` (A its revealed sites) and a second partial sequence ``after``
that agrees with it on A and reveals more sites D,

    r_i(a) = p(x_i = a | x_A, x_j for j in D that come before i in the law's order).

With after = before this is the conditional p(x_i | x_A), what a perfect masked network gives. With D revealed it is the
chain rule: p(x_D | x_A) = prod_{i in D} r_i(x_i), and KL(r_i || p_i) summed over D estimates TC(x_D | x_A) without
bias.

A partial sequence of probability zero has no conditionals; what is returned then are laws without meaning.

Legend: ``B`` rows (partial sequences), ``N`` sites, ``q`` symbols (MASK is q).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]


class SequenceLaw(ABC):
    """A law on Omega^N that is known through its sweeps.

    Attributes:
        sites, symbols: N and q.
        name: shown in results.
        order: [N] the order in which a sweep visits the sites.
        entropy: H(p) of the whole sequence in nats, None where there is no closed form.
    """

    sites: int
    symbols: int
    name: str
    order: NDArray[np.int64]
    entropy: float | None = None

    @abstractmethod
    def sweep(self, before: Tokens, after: Tokens) -> Array:
        """r_i(a) at the sites that are hidden in ``before``, one-hot elsewhere; [B, N], [B, N] -> [B, N, q]."""

    @abstractmethod
    def sample(self, count: int, generator: np.random.Generator) -> Tokens:
        """Independent sequences, [count, N]."""

    def predict(self, tokens: Tokens) -> Array:
        """p(x_i = . | revealed tokens), [B, N] -> [B, N, q]; one-hot at revealed sites."""
        return self.sweep(tokens, tokens)

    def reader(self, tokens: Tokens) -> Reader:
        """The conditionals of some rows, kept up to date while tokens are revealed."""
        return Reader(self, tokens)

    def block_divergence(
        self, before: Tokens, after: Tokens, chosen: NDArray[np.bool_], laws: Array, forward: bool
    ) -> Array:
        """An unbiased estimate of the divergence between p(x_D | x_A) and a product of laws w_i, i in D, in nats; [B].

        The chain rule splits it over the sites of D: sum_i KL(r_i || w_i) has the mean KL(p(x_D | x_A) || prod w_i)
        when ``after`` is drawn from p, and sum_i KL(w_i || r_i) the mean of the reverse when it is drawn from the w_i.

        Args:
            before, after: [B, N], before and after the sites of D are revealed.
            chosen: [B, N], the sites of D.
            laws: w, [M, q], for the M chosen sites, row by row.
            forward: KL(p || w), else KL(w || p).
        """
        chained = self.sweep(before, after)[chosen]
        gained = rel_entr(chained, laws) if forward else rel_entr(laws, chained)
        return np.asarray(np.bincount(np.nonzero(chosen)[0], gained.sum(axis=1), len(before)), dtype=np.float64)

    def log_probability(self, tokens: Tokens) -> Array:
        """ln p(x_A) of the revealed tokens, in nats; [B, N] -> [B].

        Raises:
            InvalidInput: another number of sites, or a symbol outside 0..q.
        """
        rows = self.check(tokens)
        laws = self.sweep(np.full_like(rows, self.symbols), rows)
        masked = rows == self.symbols
        chosen = np.take_along_axis(laws, np.where(masked, 0, rows)[..., None], axis=2)[..., 0]
        with np.errstate(divide="ignore"):
            return np.asarray(np.where(masked, 0.0, np.log(chosen)).sum(axis=1))

    def check(self, tokens: Tokens) -> Tokens:
        """The rows as int64, [B, N].

        Raises:
            InvalidInput: another number of sites, or a symbol outside 0..q.
        """
        rows = np.ascontiguousarray(tokens, dtype=np.int64)
        if rows.ndim != 2 or rows.shape[1] != self.sites:
            raise InvalidInput("tokens", f"an array of shape {rows.shape}", f"shape [rows, {self.sites}] is needed")
        if rows.size and not (rows.min() >= 0 and rows.max() <= self.symbols):
            raise InvalidInput("tokens", int(rows.min() if rows.min() < 0 else rows.max()), f"0..{self.symbols}")
        return rows


class Predicts(Protocol):
    """Anything with conditionals: a law, a network."""

    def predict(self, tokens: Tokens) -> Array:
        """[B, N] -> [B, N, q]."""
        ...


class Reader:
    """Conditionals of some rows while their tokens are revealed.

    Attributes:
        laws: [B, N, q], as `SequenceLaw.predict`.
        changed: [B, N], whether the law at a site may differ from the one before the last `reveal`.
    """

    laws: Array
    changed: NDArray[np.bool_]

    def __init__(self, model: Predicts, tokens: Tokens) -> None:
        self._model = model
        self.laws = model.predict(tokens)
        self.changed = np.ones(tokens.shape, dtype=bool)

    def reveal(self, tokens: Tokens) -> None:
        """Bring the conditionals up to date with rows in which more sites are revealed, [B, N]."""
        self.laws = self._model.predict(tokens)


def require_length(sites: int, symbols: int) -> None:
    """Refuse lengths at which not even the token laws of a sequence fit.

    Raises:
        InvalidInput: fewer than one site.
        ExceedsMemory: with what would be needed.
    """
    if sites < 1:
        raise InvalidInput("sites", sites, "at least 1 site is needed")
    require_memory(32.0 * sites * symbols, "sites", sites, "the conditionals of one sequence")


def draw(laws: Array, generator: np.random.Generator) -> Tokens:
    """One token from each law by inversion, [..., q] -> [...]; never a token of probability zero."""
    cumulative = np.cumsum(laws, axis=-1)
    level = generator.random(laws.shape[:-1]) * cumulative[..., -1]
    return np.asarray((cumulative <= level[..., None]).sum(axis=-1), dtype=np.int64)
