"""Laws that are Markov on a rooted tree: p(x) = a(x_root) prod over the other sites of K_i(x_parent(i), x_i).

Conditionals by belief propagation. A sequence whose second half is a noisy copy of the first is one of them
(`copying_law`): each site of the second half hangs at its original.

Legend: ``N`` sites, ``q`` symbols, ``B`` rows.
Source: Pearl, *Probabilistic Reasoning in Intelligent Systems* (1988), ch. 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from theory.errors import InvalidInput
from theory.laws.length.law import Array, SequenceLaw, Tokens, draw
from theory.laws.products import stochastic


class TreeLaw(SequenceLaw):
    """A Markov law on a rooted tree.

    Args:
        parents: [N], the parent of each site, -1 for the root.
        root: a, [q].
        edges: K, [q, q] for all edges, or [N, q, q] with one for each site (the root's is not read).
        name: shown in results.

    Raises:
        InvalidInput: no tree, or rows that are no laws.
    """

    def __init__(self, parents: Sequence[int], root: ArrayLike, edges: ArrayLike, name: str = "") -> None:
        self.parents = np.asarray(parents, dtype=np.int64)
        self.sites = len(self.parents)
        self.root = stochastic(root, "root", 1)
        self.symbols = len(self.root)
        kernels = stochastic(edges, "edges", np.ndim(edges))
        if kernels.ndim == 2:
            kernels = np.broadcast_to(kernels, (self.sites, *kernels.shape))
        if kernels.shape != (self.sites, self.symbols, self.symbols):
            raise InvalidInput("edges", f"shape {kernels.shape}", f"[{self.sites}, {self.symbols}, {self.symbols}]")
        self.edges: Array = np.ascontiguousarray(kernels)
        self.name = name or f"Markov law on a tree of {self.sites}"
        below: list[list[int]] = [[] for _ in range(self.sites)]
        roots: list[int] = []
        for site, parent in enumerate(self.parents.tolist()):
            if not -1 <= parent < self.sites:
                raise InvalidInput("parents", parent, f"-1 for the root, or a site in 0..{self.sites - 1}")
            (roots if parent < 0 else below[parent]).append(site)
        if len(roots) != 1:
            raise InvalidInput("parents", self.parents.tolist(), f"one root is needed, here are {len(roots)}")
        self._starts = np.cumsum([0] + [len(sites) for sites in below])
        self._children = np.array([site for sites in below for site in sites] + [0], dtype=np.int64)
        events, pending = [], [roots[0]]
        while pending:
            site = pending.pop()
            events.append(site)
            if site < self.sites:
                pending.append(self.sites + site)
                pending.extend(reversed(below[site]))
        if len(events) != 2 * self.sites:
            raise InvalidInput("parents", self.parents.tolist(), "every site must hang below the root")
        self._events = np.array(events, dtype=np.int64)
        self.order = self._events[self._events < self.sites]
        self.entropy = float(-xlogy(self.root, self.root).sum())
        marginals = np.empty((self.sites, self.symbols))
        for site in self.order.tolist():
            if site == roots[0]:
                marginals[site] = self.root
            else:
                above = marginals[self.parents[site]]
                marginals[site] = above @ self.edges[site]
                self.entropy += float(above @ -xlogy(self.edges[site], self.edges[site]).sum(axis=1))

    def sweep(self, before: Tokens, after: Tokens) -> Array:
        from theory.laws.length.latent_kernels import tree

        before, after = self.check(before), self.check(after)
        laws = np.empty((*before.shape, self.symbols))
        tree(
            before, after, self.parents, self._events, self._starts, self._children, self.root, self.edges, laws
        )  # fmt: skip
        return laws

    def sample(self, count: int, generator: np.random.Generator) -> Tokens:
        tokens = np.empty((count, self.sites), dtype=np.int64)
        for site in self.order.tolist():
            parent = self.parents[site]
            laws = (
                np.broadcast_to(self.root, (count, self.symbols)) if parent < 0 else self.edges[site][tokens[:, parent]]
            )
            tokens[:, site] = draw(laws, generator)
        return tokens


def copying_law(transition: ArrayLike, sites: int, fidelity: float) -> TreeLaw:
    """A stationary Markov chain of N/2 symbols, then a copy of each in which a symbol is right with probability
    ``fidelity`` and any other one otherwise.

    Raises:
        InvalidInput: an odd number of sites, a fidelity outside [0, 1], or a chain that `MarkovLaw` refuses.
    """
    from theory.laws.length.markov import MarkovLaw

    if sites < 4 or sites % 2:
        raise InvalidInput("sites", sites, "an even number of at least 4 sites is needed")
    if not 0 <= fidelity <= 1:
        raise InvalidInput("fidelity", fidelity, "a probability is needed")
    half = sites // 2
    chain = MarkovLaw(transition, half)
    if chain.markov_order != 1:
        raise InvalidInput("transition", f"order {chain.markov_order}", "a chain of order 1 is copied")
    q = chain.symbols
    copied = np.where(np.eye(q, dtype=bool), fidelity, (1 - fidelity) / (q - 1))
    edges = np.stack([chain.transition] * half + [copied] * half)
    return TreeLaw([*range(-1, half - 1), *range(half)], chain.stationary, edges, f"copying, fidelity {fidelity:g}")
