"""A joint law on Omega^N held as a table, and everything that can be read off it.

Where masses lie below the smallest float, the law holds their logarithms beside the table: a state is outside the
support only where its weight is zero by construction, and conditionals come from the logarithms.

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states, ``k`` masked sites, ``C = q**(N-k)`` contexts.
Entropies are in nats. Notation: K the masked sites, x_K the masked tokens, x_{-K} the rest.
Source: Li et al. 2024, section 2; Cover and Thomas, ch. 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory import divergences
from theory.errors import InvalidInput
from theory.pictures import Pictured
from theory.rounding import sum_tolerance
from theory.states import all_sequences, check_sites

Array = NDArray[np.float64]

SUM_TOLERANCE = 1e-8
"""Largest deviation of the total mass from 1 that is taken for rounding in a float64 table from outside."""

SUM_ROUNDING = 1e-12
"""A sum this near to 1 is taken for exact."""

LOG_TINY = -660.0
"""Logarithm of a mass (1e-287) below which a float64 loses digits, or vanishes: the logarithms are kept then."""


def normalised_masses(log_weights: Array) -> tuple[Array, Array | None]:
    """The masses proportional to exp(log_weights), and their logarithms where some are tiny, else None.

    Args:
        log_weights: below +inf, one at least above -inf; any shape.
    """
    shifted = log_weights - log_weights.max()
    masses = np.exp(shifted)
    total = float(masses.sum())
    masses /= total
    if shifted.min(where=shifted > -np.inf, initial=0.0) - np.log(total) >= LOG_TINY:
        return masses, None
    return masses, shifted - np.log(total)


def logarithms(masses: ArrayLike) -> Array:
    """ln of numbers >= 0, -inf at 0."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(masses, dtype=np.float64))


class JointLaw(Pictured):
    """A probability table over Omega^N.

    Args:
        table: masses, shape (q,)*N. They are divided by their sum where it is 1 up to the rounding of the numbers that
            were given (`theory.rounding.sum_tolerance`; 1e-8 for float64).
        name: shown in results.
        log_table: ln of the masses, -inf where they are zero by construction, for laws with masses that the table
            cannot hold; see `normalised_masses`.

    Attributes:
        renormalised: how far the sum of the given masses was from 1, before they were divided by it; 0 where that is
            no more than the rounding of a sum in float64.

    Raises:
        InvalidInput: wrong shape, NaN, negative mass, or a sum that is not 1.
    """

    def __init__(self, table: ArrayLike, name: str = "table", log_table: Array | None = None) -> None:
        try:
            given = np.asarray(table)
            masses = np.array(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInput("table", type(table).__name__, f"an array of real numbers is needed ({error})") from None
        if masses.ndim == 0 or len(set(masses.shape)) != 1 or masses.shape[0] < 2:
            raise InvalidInput(
                "table", f"an array of shape {masses.shape}", "shape (q,)*N is needed, N sites over q >= 2 symbols"
            )
        if np.isnan(masses).any():
            where = tuple(int(i) for i in np.argwhere(np.isnan(masses))[0])
            raise InvalidInput(f"table{list(where)}", "nan", "every mass must be a number")
        if masses.min() < 0:
            where = tuple(int(i) for i in np.unravel_index(int(masses.argmin()), masses.shape))
            raise InvalidInput(f"table{list(where)}", float(masses.min()), "masses must be >= 0")
        total = float(masses.sum())
        if not abs(total - 1) <= SUM_TOLERANCE and not abs(total - 1) <= sum_tolerance(
            given.reshape(-1), SUM_TOLERANCE
        ):
            raise InvalidInput("table", f"sum {total!r}", "the masses must sum to 1; divide them by their sum")
        masses /= total
        masses.flags.writeable = False
        self.table: Array = masses
        self.name = name
        self.renormalised = abs(total - 1) if abs(total - 1) > SUM_ROUNDING else 0.0
        self._log_table = log_table

    @staticmethod
    def from_weights(weights: ArrayLike, name: str = "table") -> JointLaw:
        """The law proportional to non-negative weights of shape (q,)*N.

        Raises:
            InvalidInput: as the constructor, or where the total weight is 0 or infinite.
        """
        values = np.asarray(weights, dtype=np.float64)
        total = float(values.sum())
        if not 0 < total < np.inf:
            raise InvalidInput("weights", f"sum {total!r}", "the total weight must be positive and finite")
        if values.min(where=values > 0, initial=np.inf) / total < np.exp(LOG_TINY) and values.min() >= 0:
            return JointLaw.from_log_weights(logarithms(values), name)
        return JointLaw(values / total, name)

    @staticmethod
    def from_log_weights(log_weights: ArrayLike, name: str = "table") -> JointLaw:
        """The law proportional to exp(log_weights), shape (q,)*N, shifted so that nothing overflows.

        Raises:
            InvalidInput: a log-weight that is NaN or +inf, or none above -inf.
        """
        values = np.asarray(log_weights, dtype=np.float64)
        if values.size == 0 or not np.isfinite(values.max()):
            raise InvalidInput("log_weights", "nan, +inf or all -inf", "numbers below +inf, one at least above -inf")
        masses, logs = normalised_masses(values)
        return JointLaw(masses, name, logs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, sites={self.sites}, symbols={self.symbols})"

    @property
    def sites(self) -> int:
        """N."""
        return self.table.ndim

    @property
    def symbols(self) -> int:
        """q."""
        return self.table.shape[0]

    @property
    def states(self) -> int:
        """S = q**N."""
        return self.table.size

    @property
    def probabilities(self) -> Array:
        """Masses in state order, shape [S]."""
        return self.table.reshape(-1)

    @cached_property
    def support(self) -> NDArray[np.bool_]:
        """Which states have positive mass, shape [S]; it may be too small for `probabilities`."""
        return self.probabilities > 0 if self._log_table is None else self._log_table.reshape(-1) > -np.inf

    @property
    def log_probabilities(self) -> Array:
        """ln of the masses in state order, -inf outside the support, shape [S]."""
        return logarithms(self.probabilities) if self._log_table is None else self._log_table.reshape(-1)

    @property
    def has_tiny_masses(self) -> bool:
        """Whether some masses are so small that the law holds logarithms."""
        return self._log_table is not None

    @property
    def minimum_mass(self) -> float:
        """pi_min: the smallest positive mass; 0 where it lies below the smallest float."""
        return float(self.probabilities[self.support].min())

    @property
    def log_minimum_mass(self) -> float:
        """ln pi_min."""
        if self._log_table is None:
            return float(np.log(self.minimum_mass))
        return float(self._log_table.min(where=self._log_table > -np.inf, initial=0.0))

    def marginal(self, sites: Iterable[int]) -> Array:
        """Law of the named sites (ascending), shape (q,)*len(sites)."""
        kept = check_sites(sites, self.sites, "sites")
        return np.asarray(self.table.sum(axis=tuple(i for i in range(self.sites) if i not in kept)))

    def _grouped(self, masked: Iterable[int], table: Array | None = None) -> Array:
        chosen = check_sites(masked, self.sites)
        kept = [i for i in range(self.sites) if i not in chosen]
        values = self.table if table is None else table
        return values.transpose(kept + list(chosen)).reshape(-1, self.symbols ** len(chosen))

    def context_probabilities(self, masked: Iterable[int]) -> Array:
        """p(x_{-K}) for every context, shape [C]."""
        return np.asarray(self._grouped(masked).sum(axis=1))

    def conditional(self, masked: Iterable[int]) -> Array:
        """p(x_K | x_{-K}), shape [C, q**k], rows and columns ordered as in `theory.states.block_indices`.

        A context of probability zero has no conditional; its row is the uniform law, so that kernels built from
        it stay stochastic. `null_contexts` tells which rows these are.
        """
        grouped, null = self._grouped(masked), self.null_contexts(masked)[:, None]
        if self._log_table is not None:
            logs = self._grouped(masked, self._log_table)
            grouped = np.exp(logs - np.where(null, 0.0, logs.max(axis=1, keepdims=True)))
        # Scaling each row by its largest entry first keeps subnormal contexts accurate.
        scaled = grouped / np.where(null, 1.0, grouped.max(axis=1, keepdims=True))
        result = scaled / np.where(null, 1.0, scaled.sum(axis=1, keepdims=True))
        return np.where(null, 1.0 / grouped.shape[1], result)

    def null_contexts(self, masked: Iterable[int]) -> NDArray[np.bool_]:
        """Which contexts have probability zero, shape [C]."""
        if self._log_table is None:
            return self.context_probabilities(masked) == 0
        return np.asarray(self._grouped(masked, self._log_table).max(axis=1) == -np.inf)

    def entropy(self, sites: Iterable[int] | None = None) -> float:
        """H(x_A) in nats; of the whole sequence by default."""
        return divergences.entropy(self.table if sites is None else self.marginal(sites))

    def conditional_entropy(self, sites: Iterable[int], given: Iterable[int] = ()) -> float:
        """H(x_A | x_B) in nats for disjoint A and B."""
        chosen, known = self._disjoint(sites, given)
        return self.entropy(chosen + known) - (self.entropy(known) if known else 0.0)

    def total_correlation(self, sites: Iterable[int] | None = None, given: Iterable[int] = ()) -> float:
        """TC(x_A | x_B) = sum_{i in A} H(x_i | x_B) - H(x_A | x_B) in nats; of all sites by default."""
        chosen, known = self._disjoint(range(self.sites) if sites is None else sites, given)
        return sum(self.conditional_entropy((i,), known) for i in chosen) - self.conditional_entropy(chosen, known)

    def mutual_information(self, left: Iterable[int], right: Iterable[int], given: Iterable[int] = ()) -> float:
        """I(x_A ; x_B | x_D) in nats for disjoint A, B, D."""
        a, d = self._disjoint(left, given)
        b, _ = self._disjoint(right, a + d)
        return self.conditional_entropy(a, d) - self.conditional_entropy(a, b + d)

    def _disjoint(self, sites: Iterable[int], given: Iterable[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        chosen = check_sites(sites, self.sites, "sites")
        known = check_sites(given, self.sites, "given")
        if set(chosen) & set(known):
            raise InvalidInput("given", known, f"must not share sites with {chosen}")
        return chosen, known

    def sample(self, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Independent sequences, shape [count, N]."""
        cumulative = np.cumsum(self.probabilities)
        drawn = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
        return np.stack(np.unravel_index(np.minimum(drawn, self.states - 1), self.table.shape), axis=1)

    @cached_property
    def sequences(self) -> NDArray[np.int64]:
        """Every sequence in state order, shape [S, N]."""
        return all_sequences(self.sites, self.symbols)
