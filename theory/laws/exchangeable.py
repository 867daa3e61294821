"""Laws on {-1, +1}^N that depend on a sequence only through its number of plus spins.

Such a law is invariant under every permutation of the sites. With n the number of plus spins, M = 2 n - N the
magnetisation and w(n) the log-weight of one sequence, the law of n is

    pi(n) = C(N, n) exp(w(n)) / Z,    n = 0..N.

The *increments* v(n) = w(n + 1) - w(n) hold everything that single-spin conditionals need: a site whose other N - 1
sites have n plus spins is plus with probability 1 / (1 + exp(-v(n))). All masses are kept as logarithms, since most of
them lie far below the smallest float when N is in the thousands.

Legend: ``N`` sites, ``n`` plus spins, N + 1 lumped states.
Source: Levin, Luczak and Peres, "Glauber dynamics for the mean-field Ising model", PTRF 146 (2010), section 1.
"""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from theory.errors import InvalidInput

Array = NDArray[np.float64]

QUADRATIC_TOLERANCE = 1e-12
"""Relative deviation of the second differences of w from a constant that is taken for rounding."""


class ExchangeableLaw:
    """A law given by the increments of its log-weight.

    Args:
        increments: v(n) = w(n + 1) - w(n) for n = 0..N-1, shape [N].
        name: shown in results.

    Raises:
        InvalidInput: no increment, or one that is not finite.
    """

    def __init__(self, increments: ArrayLike, name: str = "exchangeable law") -> None:
        values = np.array(increments, dtype=np.float64)
        if values.ndim != 1 or len(values) == 0:
            raise InvalidInput("increments", f"an array of shape {values.shape}", "one increment per site, shape (N,)")
        if not np.isfinite(values).all():
            raise InvalidInput("increments", "NaN or infinity", "every increment must be finite")
        values.flags.writeable = False
        self.increments: Array = values
        self.name = name

    def __repr__(self) -> str:
        return f"ExchangeableLaw({self.name!r}, sites={self.sites})"

    @property
    def sites(self) -> int:
        """N."""
        return len(self.increments)

    @property
    def magnetisations(self) -> NDArray[np.int64]:
        """M of every lumped state, shape [N+1]."""
        return 2 * np.arange(self.sites + 1) - self.sites

    @cached_property
    def log_weights(self) -> Array:
        """w(n) with w(0) = 0, shape [N+1]."""
        return running_sum(self.increments)

    @cached_property
    def log_masses(self) -> Array:
        """ln pi(n), shape [N+1], each correct to about one rounding of the largest of them."""
        plus = np.arange(self.sites)
        return normalised_logarithms(running_sum(np.log((self.sites - plus) / (plus + 1.0)) + self.increments))

    @cached_property
    def masses(self) -> Array:
        """pi(n), shape [N+1]; masses below the smallest float are 0."""
        return np.exp(self.log_masses)

    @property
    def is_quadratic(self) -> bool:
        """Whether w is a polynomial of degree at most 2, so that sites interact in pairs only."""
        bends = np.diff(self.increments)
        if len(bends) < 2:
            return True
        scale = float(np.abs(self.increments).max())
        return bool(np.ptp(bends) <= QUADRATIC_TOLERANCE * scale)


def curie_weiss_counts(sites: int, inverse_temperature: float, field: float = 0.0) -> ExchangeableLaw:
    """The Curie-Weiss model, p(x) proportional to exp( (beta / N) sum_{i<j} x_i x_j + h sum_i x_i ), by its counts."""
    if sites < 1:
        raise InvalidInput("sites", sites, "at least 1 site is needed")
    if not np.isfinite(inverse_temperature):
        raise InvalidInput("inverse_temperature", inverse_temperature, "a finite number is needed")
    name = f"Curie-Weiss, N={sites}, beta={inverse_temperature:g}, h={field:g}"
    return ExchangeableLaw(_pair_increments(sites, inverse_temperature / sites, field), name)


def clique_counts(sites: int, coupling: float, field: float = 0.0) -> ExchangeableLaw:
    """The Ising clique, p(x) proportional to exp( J sum_{i<j} x_i x_j + h sum_i x_i ), by its counts.

    It is the strong-clique model of claim C8 (Li et al. 2024, section 3) on the clique alone, which is independent of
    the other sites.
    """
    if sites < 1:
        raise InvalidInput("sites", sites, "at least 1 site is needed")
    if not np.isfinite(coupling):
        raise InvalidInput("coupling", coupling, "a finite number is needed")
    name = f"Ising clique, N={sites}, J={coupling:g}, h={field:g}"
    return ExchangeableLaw(_pair_increments(sites, coupling, field), name)


def _pair_increments(sites: int, coupling: float, field: float) -> Array:
    """w = J (M^2 - N) / 2 + h M, hence v(n) = 2 J (M + 1) + 2 h; no difference of large numbers is formed."""
    if not np.isfinite(field):
        raise InvalidInput("field", field, "a finite number is needed")
    others = 2 * np.arange(sites) - sites + 1  # magnetisation of the other sites
    return np.asarray(2 * coupling * others + 2 * field, dtype=np.float64)


def running_sum_parts(terms: Array) -> tuple[Array, Array]:
    """0, t_0, t_0 + t_1, ... as unevaluated sums high + low (Kahan-Babuska-Neumaier).

    Differences of two partial sums that are formed part by part do not suffer from the size of the sums.
    """

    def add(state: tuple[float, float], term: float) -> tuple[float, float]:
        total, correction = state
        larger = total + term
        lost = (total - larger) + term if abs(total) >= abs(term) else (term - larger) + total
        return larger, correction + lost

    pairs = np.array(list(accumulate((float(term) for term in terms), add, initial=(0.0, 0.0))))
    return pairs[:, 0], pairs[:, 1]


def running_sum(terms: Array) -> Array:
    """0, t_0, t_0 + t_1, ..., each partial sum correct to about one rounding."""
    high, low = running_sum_parts(terms)
    return np.asarray(high + low)


def normalised_logarithms(logarithms: Array) -> Array:
    """Log-weights shifted so that their exponentials sum to 1."""
    shifted = logarithms - logarithms.max()
    return np.asarray(shifted - float(np.log(np.exp(shifted).sum())), dtype=np.float64)


def log_binomials(sites: int) -> Array:
    """ln C(N, n) for n = 0..N."""
    counts = np.arange(sites + 1, dtype=np.float64)
    both: Array = gammaln(counts + 1) + gammaln(sites - counts + 1)
    return float(gammaln(sites + 1.0)) - both
