"""Joint laws whose masses are fractions or balls, and the mask laws that go with them.

A law is what it is by definition of its masses, so that a statement about it can be proved. Floats are fractions too:
a table of float64 masses defines a rational law, after division by its exact sum.

The Ising model is rational where its *activities* are: with a_ij = e^{J_ij} and b_i = e^{h_i},

    p(x) ∝ prod_{i<j} a_ij^{x_i x_j} prod_i b_i^{x_i},   x in {-1, +1}^N (symbol 0 is -1).

Legend: ``S`` states of positive mass; a *block* is a set of states that agree outside the mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from math import comb
from typing import Any

from flint import arb, fmpq

from theory.certified.arithmetic import fraction
from theory.errors import InvalidInput

State = tuple[int, ...]
Masks = tuple[tuple[State, fmpq], ...]
"""Masks with their probabilities."""

LARGEST = 1024
"""Matrices over more states than this are not made entry by entry."""


@dataclass(frozen=True)
class CertifiedLaw:
    """A law on the states of positive mass.

    Attributes:
        sites, symbols: N and q.
        states: of positive mass, in lexicographic order, [S].
        masses: fractions or balls that sum to 1, [S].
        instance: how the law is defined, as text: enough to state the theorem that was proved.
    """

    sites: int
    symbols: int
    states: tuple[State, ...]
    masses: tuple[Any, ...]
    instance: Mapping[str, Any] = field(default_factory=dict)

    def blocks(self, mask: Iterable[int]) -> list[list[int]]:
        """Numbers of the states that agree outside the mask, one list for each context."""
        hidden = set(mask)
        kept = [site for site in range(self.sites) if site not in hidden]
        found: dict[State, list[int]] = {}
        for number, state in enumerate(self.states):
            found.setdefault(tuple(state[site] for site in kept), []).append(number)
        return list(found.values())

    def balls(self) -> CertifiedLaw:
        """The same law in balls of the working precision."""
        return CertifiedLaw(self.sites, self.symbols, self.states, tuple(arb(m) for m in self.masses), self.instance)


def law_from_weights(
    sites: int, symbols: int, weights: Sequence[Any], instance: Mapping[str, Any] | None = None
) -> CertifiedLaw:
    """The law that is proportional to weights [q^N] in lexicographic order: fractions, balls, or what `fraction` reads.

    Raises:
        InvalidInput: a wrong number of weights, a negative one, fewer than two positive ones, or too many states.
    """
    if len(weights) != symbols**sites:
        raise InvalidInput("weights", f"{len(weights)} numbers", f"{symbols}^{sites} are needed")
    values = [_scalar(weight) for weight in weights]
    if any(value < 0 for value in values):
        raise InvalidInput("weights", "a negative number", "masses are at least 0")
    kept = [
        (state, value) for state, value in zip(product(range(symbols), repeat=sites), values, strict=True) if value > 0
    ]
    if not 2 <= len(kept) <= LARGEST:
        raise InvalidInput("law", f"{len(kept)} states", f"2 to {LARGEST} states of positive mass can be certified")
    total = sum((value for _, value in kept), start=fmpq(0))
    stated = instance or {"weights": [str(weight) for weight in weights], "sites": sites, "symbols": symbols}
    masses = tuple(value / total for _, value in kept)
    return CertifiedLaw(sites, symbols, tuple(state for state, _ in kept), masses, stated)


def ising(
    sites: int, activities: Mapping[tuple[int, int], Any], fields: Sequence[Any], name: str = "Ising"
) -> CertifiedLaw:
    """The Ising model with activities a_ij = e^{J_ij} > 0 of its edges and b_i = e^{h_i} > 0 of its sites."""
    edges, alone = {edge: _scalar(activity) for edge, activity in activities.items()}, [_scalar(b) for b in fields]
    weights = []
    for state in product((-1, 1), repeat=sites):
        weight: Any = fmpq(1)
        for (i, j), activity in edges.items():
            weight *= activity if state[i] == state[j] else 1 / activity
        for spin, activity in zip(state, alone, strict=True):
            weight *= activity if spin > 0 else 1 / activity
        weights.append(weight)
    stated = {
        "law": name,
        "sites": sites,
        "exp(J_ij)": [f"{i}-{j}: {activity}" for (i, j), activity in edges.items()],
        "exp(h_i)": [str(b) for b in alone],
    }
    return law_from_weights(sites, 2, weights, stated)


def ring(sites: int, activity: Any, field: Any) -> CertifiedLaw:
    """The Ising ring: e^J on each edge, e^h at each site. Two sites share one edge."""
    edges = {(min(i, j), max(i, j)): activity for i, j in ((i, (i + 1) % sites) for i in range(sites))}
    return ising(sites, edges, [field] * sites, "Ising ring")


def strong_clique(sites: int, clique: int, activity: Any, field: Any) -> CertifiedLaw:
    """e^J on each edge of a clique of the first sites, e^h at each site (claim C8)."""
    edges = dict.fromkeys(combinations(range(clique), 2), activity)
    return ising(sites, edges, [field] * sites, f"strong clique of {clique}")


def _scalar(value: Any) -> Any:
    return value if isinstance(value, (fmpq, arb)) else fraction(value)


def uniform_masks(sites: int, size: int) -> Masks:
    """All masks of one size, equally likely."""
    each = fmpq(1, comb(sites, size))
    return tuple((mask, each) for mask in combinations(range(sites), size))


def block_gibbs(law: CertifiedLaw, masks: Masks) -> list[list[Any]]:
    """The block dynamics [S, S]: a mask is drawn, and its sites are drawn anew given the others."""
    size = len(law.states)
    rows: list[list[Any]] = [[fmpq(0)] * size for _ in range(size)]
    for mask, chance in masks:
        for block in law.blocks(mask):
            total = sum((law.masses[y] for y in block), start=fmpq(0))
            drawn = [(y, chance * law.masses[y] / total) for y in block]
            for x in block:
                row = rows[x]
                for y, probability in drawn:
                    row[y] += probability
    return rows


def independent_parallel(law: CertifiedLaw) -> list[list[Any]]:
    """Every site is drawn at once from its conditional given the others, independently, [S, S].

    Raises:
        InvalidInput: a state of mass 0: its conditionals are not defined.
    """
    if len(law.states) != law.symbols**law.sites:
        raise InvalidInput("law", f"{len(law.states)} states", "independent parallel needs every state possible")
    conditionals: list[list[dict[int, Any]]] = [[] for _ in law.states]
    for site in range(law.sites):
        for block in law.blocks((site,)):
            total = sum((law.masses[y] for y in block), start=fmpq(0))
            drawn = {law.states[y][site]: law.masses[y] / total for y in block}
            for x in block:
                conditionals[x].append(drawn)
    rows = []
    for given in conditionals:
        row: list[Any] = [fmpq(1)]
        for drawn in given:  # states are in lexicographic order, so the row grows as an outer product
            row = [partial * drawn[symbol] for partial in row for symbol in range(law.symbols)]
        rows.append(row)
    return rows
