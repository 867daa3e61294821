"""The rational laws that certificates are about."""

from __future__ import annotations

from itertools import combinations

from flint import fmpq

from theory.certified.laws import CertifiedLaw, ising, law_from_weights, ring

FIELD = fmpq(11, 10)
"""e^h: a field of about 0.095."""


def rings(sites: int) -> list[CertifiedLaw]:
    """Ising rings with couplings of about 0, 0.22, 0.47 and 0.92."""
    return [ring(sites, activity, FIELD) for activity in (fmpq(1), fmpq(5, 4), fmpq(8, 5), fmpq(5, 2))]


def complete(sites: int) -> CertifiedLaw:
    """A Curie-Weiss model: the same coupling, about 0.18, for each pair."""
    edges = {pair: fmpq(6, 5) for pair in combinations(range(sites), 2)}
    return ising(sites, edges, [FIELD] * sites, "Curie-Weiss")


def disordered(sites: int) -> CertifiedLaw:
    """Couplings of both signs, other ones for each pair, and other fields for each site."""
    pairs = list(combinations(range(sites), 2))
    edges = {pair: fmpq(3 + 7 * place % 11, 3 + 4 * place % 9) for place, pair in enumerate(pairs)}
    return ising(sites, edges, [fmpq(4 + site, 5) for site in range(sites)], "disordered Ising")


def table(sites: int, symbols: int) -> CertifiedLaw:
    """Whole weights without a pattern, between 1 and 30."""
    count = symbols**sites
    return law_from_weights(sites, symbols, [1 + (17 * x * x + 5 * x) % 30 for x in range(count)])


def product_law(sites: int) -> CertifiedLaw:
    """Independent spins in a field."""
    return ising(sites, {}, [fmpq(3, 2)] * sites, "product")


def pairs_of_bits() -> list[CertifiedLaw]:
    """Laws of two bits: alike, unalike, skewed, and nearly deterministic."""
    weights = ((30, 7, 9, 14), (40, 3, 3, 44), (2, 21, 17, 5), (60, 1, 4, 2))
    return [law_from_weights(2, 2, chosen) for chosen in weights]
