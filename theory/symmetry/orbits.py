"""Orbits of the states under a group of automorphisms, and worst-case starts.

Where the *operator* commutes with the group, P(g x, g y) = P(x, y), the distance d_x(t) = TV(P^t(x, .), pi) is the same
for all x of one orbit (pi being unique, hence invariant). One start per orbit, run in the full space, therefore gives
the worst case d(t) exactly.

A law that has symmetries does not by itself make a sampler symmetric. Samplers that do commute with the automorphisms
of the law: those whose mask law treats sites alike, P(g K) = P(K) - k-uniform, Bernoulli and uniform-ratio masks under
every site permutation, periodic spans under those of the cycle only - and independent parallel updates, which name no
site at all. Systematic scan does not: its order singles sites out. Symbol permutations commute with every one of them
(with systematic scan too), except where ties are broken by the order of the symbols (temperature 0).
`symmetry_violation` decides in each case.

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states, ``R`` orbits.
Source: Boyd, Diaconis, Parrilo and Xiao, "Symmetry analysis of reversible Markov chains", Internet Math. 2 (2005).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from theory.chains.operator import TransitionOperator
from theory.errors import InvalidInput
from theory.states import require_states
from theory.symmetry.automorphisms import SymmetryGroup

Array = NDArray[np.float64]

TOLERANCE = 1e-9
"""Largest violation of a symmetry by an operator that is taken for rounding."""


@dataclass(frozen=True, eq=False)
class Orbits:
    """A partition of the states into orbits, numbered by their first states.

    Attributes:
        labels: the orbit of every state, shape [S].
        representatives: the first state of every orbit, ascending, shape [R].
        sizes: states in every orbit, shape [R].
    """

    labels: NDArray[np.int64]
    representatives: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def count(self) -> int:
        """R."""
        return len(self.sizes)


def orbits(group: SymmetryGroup) -> Orbits:
    """The orbits of all q^N states: connected components of the graph x - g x over the generators g.

    Raises:
        ExceedsMemory: the graph would not fit.
    """
    edges = len(group.generators)
    states = require_states(group.sites, group.symbols, 40.0 + 40.0 * edges, "the orbits")
    here = np.arange(states)
    targets = np.stack([here, *(generator.image() for generator in group.generators)], axis=1)
    pointers = np.arange(states + 1) * targets.shape[1]
    graph = sparse.csr_array((np.ones(targets.size, dtype=np.int8), targets.reshape(-1), pointers))
    _, components = connected_components(graph, directed=True, connection="weak")
    _, first, inverse, sizes = np.unique(components, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Orbits(rank[inverse.reshape(-1)], first[order], sizes[order])


def symmetry_violation(chain: TransitionOperator, group: SymmetryGroup, seed: int = 0) -> float:
    """Largest violation of P (f o g) = (P f) o g over the generators g, for a random f with values in [0, 1].

    An operator that does not commute with g passes with probability 0 over f, rounding aside.

    Raises:
        InvalidInput: the chain has another number of states.
    """
    function = np.random.default_rng(seed).random(chain.states)
    after = chain.apply(function)
    worst = 0.0
    for generator in group.generators:
        image = generator.image()
        if len(image) != chain.states:
            raise InvalidInput("group", f"on {len(image)} states", f"the chain has {chain.states}")
        worst = max(worst, float(np.abs(chain.apply(function[image]) - after[image]).max()))
    return worst


def symmetric_orbits(chain: TransitionOperator, group: SymmetryGroup) -> Orbits:
    """The orbits of the group, after checking that the chain commutes with it: d_x(t) is the same within each of them.

    Their labels are what `theory.chains.mixing_time` takes as ``alike``.

    Raises:
        InvalidInput: the chain does not commute with the group (systematic scan does not, for instance).
    """
    require_symmetric(chain, group)
    return orbits(group)


def require_symmetric(chain: TransitionOperator, group: SymmetryGroup) -> None:
    """Raise unless the chain commutes with the group.

    Raises:
        InvalidInput: it does not, or has another number of states.
    """
    change = symmetry_violation(chain, group)
    if not change <= TOLERANCE:
        raise InvalidInput("chain", type(chain).__name__, f"must commute with the group; it is off by {change:.3g}")
