"""Unmasking in parallel with exact conditionals, in fractions and exact sums of logarithms (claim C9).

A schedule S_1, ..., S_T puts out q_S(x) = prod_t prod_{i in S_t} p(x_i | x_{S_<t}), and

    KL(p || q_S) = sum_t TC(x_{S_t} | x_{S_<t}),   TC = E ln [ p(x_S | x_C) / prod_i p(x_i | x_C) ].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from flint import fmpq

from theory.certified.laws import CertifiedLaw, State
from theory.certified.logarithms import LogSum, logarithm, total

Schedule = tuple[State, ...]
Known = tuple[tuple[int, int], ...]
"""Sites with their symbols, in the order of sites."""

_NOTHING: State = ()


class Marginals:
    """Masses of partial sequences of a law, each computed once."""

    def __init__(self, law: CertifiedLaw) -> None:
        self.law = law
        self._tables: dict[State, dict[State, fmpq]] = {}

    def table(self, sites: Iterable[int]) -> Mapping[State, fmpq]:
        """p(x_sites), symbols in the order of sites."""
        chosen = tuple(sorted(sites))
        if chosen not in self._tables:
            found: dict[State, fmpq] = {}
            for state, mass in zip(self.law.states, self.law.masses, strict=True):
                key = tuple(state[site] for site in chosen)
                found[key] = found.get(key, fmpq(0)) + mass
            self._tables[chosen] = found
        return self._tables[chosen]

    def mass(self, state: State, sites: Iterable[int]) -> fmpq:
        """p of the symbols of ``state`` at some sites."""
        chosen = tuple(sorted(sites))
        return self.table(chosen)[tuple(state[site] for site in chosen)]

    def conditional(self, state: State, site: int, given: State) -> fmpq:
        """p(x_site | x_given) along one sequence."""
        return self.mass(state, (*given, site)) / self.mass(state, given)


def schedules(sites: Sequence[int]) -> Iterator[Schedule]:
    """Every ordered partition of the sites."""
    if not sites:
        yield ()
    for size in range(1, len(sites) + 1):
        for first in combinations(sites, size):
            for rest in schedules([site for site in sites if site not in first]):
                yield (first, *rest)


def output_law(marginals: Marginals, schedule: Schedule) -> list[fmpq]:
    """q_S on the states of positive mass of p, in their order."""
    result = []
    for state in marginals.law.states:
        mass, given = fmpq(1), _NOTHING
        for step in schedule:
            for site in step:
                mass *= marginals.conditional(state, site, given)
            given = (*given, *step)
        result.append(mass)
    return result


def divergence(law: CertifiedLaw, other: Sequence[fmpq]) -> LogSum:
    """KL(p || q) for masses q [S] on the states of p."""
    pairs = zip(law.masses, other, strict=True)
    return total(logarithm(p / q) * p for p, q in pairs)


def total_correlation(marginals: Marginals, step: State, given: State) -> LogSum:
    """TC(x_step | x_given)."""
    terms = []
    for state, mass in zip(marginals.law.states, marginals.law.masses, strict=True):
        joint = marginals.mass(state, (*given, *step)) / marginals.mass(state, given)
        for site in step:
            joint /= marginals.conditional(state, site, given)
        terms.append(logarithm(joint) * mass)
    return total(terms)


def correlations(marginals: Marginals, schedule: Schedule) -> LogSum:
    """sum_t TC(x_{S_t} | x_{S_<t})."""
    terms, given = [], _NOTHING
    for step in schedule:
        terms.append(total_correlation(marginals, step, given))
        given = (*given, *step)
    return total(terms)


Rule = Callable[[Marginals, State, State, int], State]
"""Which sites are decided next: from the marginals, a sequence of which only the known sites may be read, these sites,
and how many are wanted."""


def most_confident(marginals: Marginals, state: State, given: State, count: int) -> State:
    """The sites of largest max_a p(x_i = a | x_given); ties, which are exact here, go to the first site."""
    known = tuple(state[site] for site in sorted(given))

    def confidence(site: int) -> fmpq:
        order = tuple(sorted((*given, site)))
        place = order.index(site)
        entries = marginals.table(order).items()
        return max(mass for symbols, mass in entries if symbols[:place] + symbols[place + 1 :] == known)

    open_sites = [site for site in range(marginals.law.sites) if site not in given]
    ranked = sorted(open_sites, key=lambda site: (-confidence(site), site))
    return tuple(sorted(ranked[:count]))


def along_the_tree(marginals: Marginals, rule: Rule, counts: Sequence[int]) -> tuple[list[fmpq], LogSum]:
    """Output law of an order that the tokens decide, and E_p of the total correlations at the nodes that x visits.

    The latter is computed node by node, with the conditional masses of the sequences that reach the node.
    """
    law = marginals.law
    result, nodes = [], dict[tuple[int, Known], tuple[State, list[int]]]()
    for number, state in enumerate(law.states):
        mass, given = fmpq(1), _NOTHING
        for time, count in enumerate(counts):
            step = rule(marginals, state, given, count)
            node = (time, tuple((site, state[site]) for site in sorted(given)))
            nodes.setdefault(node, (step, []))[1].append(number)
            for site in step:
                mass *= marginals.conditional(state, site, given)
            given = (*given, *step)
        result.append(mass)
    return result, total(_at_node(law, step, reached) for step, reached in nodes.values())


def _at_node(law: CertifiedLaw, step: State, reached: Sequence[int]) -> LogSum:
    """P(node) TC(x_step | node) from the sequences through the node alone."""
    observed: list[State] = [_NOTHING, step, *((site,) for site in step)]
    tables: dict[State, dict[State, fmpq]] = {sites: {} for sites in observed}
    for number in reached:
        state, mass = law.states[number], law.masses[number]
        for sites, table in tables.items():
            key = tuple(state[site] for site in sites)
            table[key] = table.get(key, fmpq(0)) + mass
    whole = tables[()][()]
    terms = []
    for number in reached:
        state = law.states[number]
        ratio = tables[step][tuple(state[site] for site in step)] / whole
        for site in step:
            ratio /= tables[(site,)][(state[site],)] / whole
        terms.append(logarithm(ratio) * law.masses[number])
    return total(terms)
