"""Schedules that are exact in treedepth many levels.

Let p be Markov on a graph G. An *elimination forest* is a rooted forest on the sites in which the ends of every edge
of G are ancestor and descendant. Any path of G between two sites of one level passes a common ancestor of theirs:
follow it from site to site; its highest site is an ancestor of all others. So given the levels above, the sites of a
level are independent, and revealing level k in call k has KL(p || q) = 0. The least number of levels is the treedepth
of G.

A chain of order r: separators of r neighbouring sites halve what is left, and the r sites of a separator, which are
dependent, take a call each: at most r ceil(log2(1 + N/r)) calls, ceil(log2(N + 1)) for order 1. Not for laws with a
latent (hidden Markov, mixtures): their graph on the sites alone is complete.

A tree: a *centroid* leaves parts of at most half the sites; it comes first, then the centroids of the parts, and so on:
at most floor(log2 N) + 1 calls.

Legend: ``N`` sites, ``r`` order.
Source: Nešetřil and Ossona de Mendez, *Sparsity* (2012), ch. 6, for treedepth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from theory.decoding.schedules import Schedule, one_shot
from theory.errors import InvalidInput
from theory.laws.length import HiddenMarkovLaw, MarkovLaw, SequenceLaw, TreeLaw


def forest_schedule(parents: Sequence[int], edges: Iterable[tuple[int, int]] = ()) -> Schedule:
    """The levels of an elimination forest, roots first.

    Args:
        parents: [N], the parent of each site in the forest, -1 for a root.
        edges: of the graph; each is checked to join an ancestor and a descendant.

    Raises:
        InvalidInput: a site outside 0..N-1, a cycle, or an edge between sites of which neither is above the other.
    """
    sites = len(parents)
    levels = [len(_ancestors(parents, site)) for site in range(sites)]
    for left, right in edges:
        if not (0 <= left < sites and 0 <= right < sites):
            raise InvalidInput("edges", (left, right), f"sites are numbered 0..{sites - 1}")
        if left != right and left not in _ancestors(parents, right) and right not in _ancestors(parents, left):
            raise InvalidInput("edges", (left, right), "one end must be an ancestor of the other in the forest")
    depth = max(levels, default=0) + 1
    return Schedule(
        sites, tuple(tuple(site for site in range(sites) if levels[site] == level) for level in range(depth))
    )


def _ancestors(parents: Sequence[int], site: int) -> list[int]:
    found: list[int] = []
    while parents[site] >= 0:
        site = parents[site]
        if site >= len(parents) or len(found) == len(parents):
            raise InvalidInput("parents", site, "a forest on the sites is needed")
        found.append(site)
    return found


def chain_schedule(sites: int, order: int = 1) -> Schedule:
    """The treedepth schedule of a Markov chain of order r: midpoints first.

    Raises:
        InvalidInput: fewer than one site, or an order below 1.
    """
    if sites < 1 or order < 1:
        raise InvalidInput("sites" if sites < 1 else "order", min(sites, order), "at least 1 is needed")
    steps: list[list[int]] = []
    pending = [(0, sites, 0)]
    while pending:
        first, stop, level = pending.pop()
        if stop <= first:
            continue
        width = min(order, stop - first)
        middle = first + (stop - first - width) // 2
        while len(steps) < level + width:
            steps.append([])
        for offset in range(width):
            steps[level + offset].append(middle + offset)
        pending += [(first, middle, level + width), (middle + width, stop, level + width)]
    return Schedule(sites, tuple(tuple(step) for step in steps))


def tree_schedule(parents: Sequence[int]) -> Schedule:
    """The levels of the centroids of a tree.

    Args:
        parents: [N], the parent of each site in the tree, -1 for its root.
    """
    beside: list[set[int]] = [set() for _ in parents]
    for site, parent in enumerate(parents):
        if parent >= 0:
            beside[site].add(parent)
            beside[parent].add(site)
    levels: list[list[int]] = []
    pending = [(0, 0)]
    while pending:
        start, level = pending.pop()
        centre = _centroid(beside, start)
        if level == len(levels):
            levels.append([])
        levels[level].append(centre)
        for site in beside[centre]:
            beside[site].remove(centre)
            pending.append((site, level + 1))
        beside[centre] = set()
    return Schedule(len(parents), tuple(tuple(level) for level in levels))


def _centroid(beside: Sequence[set[int]], start: int) -> int:
    """The site of a tree without which no part has more than half the sites."""
    above = {start: -1}
    order = [start]
    for site in order:
        for other in beside[site]:
            if other != above[site]:
                above[other] = site
                order.append(other)
    below = dict.fromkeys(order, 1)
    for site in reversed(order[1:]):
        below[above[site]] += below[site]
    # The last site from the root with at least half of all below it.
    return next(site for site in reversed(order) if 2 * below[site] >= len(order))


def exact_schedule(law: SequenceLaw) -> Schedule | None:
    """A schedule with KL(p || q) = 0 in fewer calls than sites, from the graph of the law; None where there is none.

    For Markov chains of any order, trees, and hidden Markov models whose tokens show the state.
    """
    if isinstance(law, MarkovLaw):
        return chain_schedule(law.sites, law.markov_order)
    if isinstance(law, TreeLaw):
        return tree_schedule(law.parents.tolist())
    if isinstance(law, HiddenMarkovLaw):
        if len(law.initial) == 1:
            return one_shot(law.sites)
        if ((law.emission > 0).sum(axis=1) <= 1).all():
            return chain_schedule(law.sites)
    return None
