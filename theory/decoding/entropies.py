"""Entropies of all subsets of the sites, and what is read off them: conditional entropies and total correlations.

H(A) = -sum p(x_A) ln p(x_A) in nats; H(B | A) = H(A u B) - H(A);
TC(x_B | x_A) = sum_{i in B} H(i | A) - H(B | A) >= 0, zero exactly when the sites of B are independent given x_A.
The *information curve* h(n) is the average of H over the subsets of n sites; it is concave and increasing (Han 1978;
Cover and Thomas, thm 17.6.1).

Legend: ``N`` sites, ``q`` symbols; subset A is the bitmask sum_{i in A} 2^i.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.divergences import entropy
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.memory import require_memory
from theory.states import check_sites

Array = NDArray[np.float64]

MAXIMUM_ADDITIONS = 2e9
"""About a minute of summing marginals."""


class SubsetEntropies:
    """H(A) for all 2^N subsets of the sites of a law.

    All marginals are visited once, each computed from a marginal with one site more, at (1 + q)^N additions in all.

    Attributes:
        sites: N.
        values: shape [2^N], entry A (a bitmask) is H(A) in nats.

    Raises:
        InvalidInput: more than 2e9 additions would be needed (19 binary sites, 13 sites over 4 symbols).
        ExceedsMemory: the 2^N entropies do not fit.
    """

    def __init__(self, law: JointLaw) -> None:
        self.sites = law.sites
        if (1 + law.symbols) ** law.sites > MAXIMUM_ADDITIONS:
            raise InvalidInput(
                "sites", law.sites, f"(1 + q)^N must not exceed {MAXIMUM_ADDITIONS:.0e}; q = {law.symbols}"
            )
        require_memory(8.0 * 2**law.sites, "sites", law.sites, f"the 2^{law.sites} subset entropies")
        self.values: Array = np.zeros(2**law.sites)
        self._fill(law.table, tuple(range(law.sites)), law.sites)

    def _fill(self, marginal: Array, kept: tuple[int, ...], removable: int) -> None:
        # Sites are summed out in descending order, so that every subset is reached along exactly one path.
        self.values[bitmask(kept)] = entropy(marginal) if kept else 0.0
        for axis, site in enumerate(kept):
            if site < removable:
                self._fill(marginal.sum(axis=axis), kept[:axis] + kept[axis + 1 :], site)

    def entropy(self, sites: Iterable[int]) -> float:
        """H(x_A) in nats."""
        return float(self.values[bitmask(check_sites(sites, self.sites, "sites"))])

    def conditional_entropy(self, sites: Iterable[int], given: Iterable[int] = ()) -> float:
        """H(x_B | x_A) in nats."""
        known = bitmask(check_sites(given, self.sites, "given"))
        return float(self.values[known | bitmask(check_sites(sites, self.sites, "sites"))] - self.values[known])

    def total_correlation(self, sites: Iterable[int], given: Iterable[int] = ()) -> float:
        """TC(x_B | x_A) in nats, for disjoint B and A.

        Raises:
            InvalidInput: B and A share a site.
        """
        chosen, known = check_sites(sites, self.sites, "sites"), check_sites(given, self.sites, "given")
        if set(chosen) & set(known):
            raise InvalidInput("given", known, f"must not share sites with {chosen}")
        return sum(self.conditional_entropy((i,), known) for i in chosen) - self.conditional_entropy(chosen, known)

    def information_curve(self) -> Array:
        """h(n), the average entropy of n sites, shape [N + 1], h(0) = 0."""
        sizes = np.array([mask.bit_count() for mask in range(len(self.values))])
        totals = np.bincount(sizes, weights=self.values, minlength=self.sites + 1)
        return np.asarray(totals / [comb(self.sites, n) for n in range(self.sites + 1)])


def bitmask(sites: Iterable[int]) -> int:
    """sum_{i in A} 2^i."""
    return sum(1 << site for site in sites)


def subset(mask: int) -> tuple[int, ...]:
    """The sites of a bitmask, ascending."""
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


def binary_exchangeable_curve(count_law: ArrayLike) -> Array:
    """The information curve of an exchangeable binary law from the law of its number of ones.

    All sequences with m ones are equally likely, so n of the sites hold j ones with the hypergeometric mixture
    P_n(j) = sum_m w_m C(n, j) C(N - n, m - j) / C(N, m), and h(n) = -sum_j P_n(j) ln( P_n(j) / C(n, j) ).
    One site is removed at a time, so that N of several hundred needs no table of 2^N states.

    Args:
        count_law: shape [N + 1], probability of m ones.

    Returns:
        Shape [N + 1], h(0) = 0.

    Raises:
        InvalidInput: not a probability vector with at least two entries.
    """
    weights = np.asarray(count_law, dtype=np.float64)
    if weights.ndim != 1 or weights.size < 2:
        raise InvalidInput("count_law", f"shape {weights.shape}", "shape [N + 1] with N >= 1 is needed")
    if not (weights >= 0).all() or not abs(weights.sum() - 1) <= 1e-9:
        raise InvalidInput("count_law", weights.tolist(), "probabilities are >= 0 and sum to 1")
    law = weights / weights.sum()
    curve = np.zeros(len(law))
    for size in range(len(law) - 1, 0, -1):
        choices = np.cumsum(np.concatenate(([0.0], np.log((size - np.arange(size)) / np.arange(1, size + 1)))))
        curve[size] = entropy(law) + float(law @ choices)
        ones = np.arange(size + 1)
        # The removed site is a one with probability m / size.
        law = law[:-1] * (1 - ones[:-1] / size) + law[1:] * (ones[1:] / size)
    return curve
