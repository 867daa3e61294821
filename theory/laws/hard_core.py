"""The hard-core model: independent sets of a graph, p(x) ∝ λ^(number of ones) where no edge has two ones, else 0.

A law with hard constraints. Each conditional of one site is known exactly from its neighbours, yet tokens that are
predicted in parallel may occupy two ends of an edge, which has probability zero: every parallel decoder leaves the
support unless it knows the graph. Glauber dynamics is irreducible (through the empty set); block updates free it where
λ is large and two sublattices compete.

Legend: ``N`` sites, ``λ`` fugacity. Source: Levin, Peres and Wilmer, *Markov Chains and Mixing Times*, section 3.3;
the number of independent sets (λ = 1) is a Lucas number on cycles and a Fibonacci number on paths.
"""

from __future__ import annotations

import networkx as nx
import numpy as np

from theory.errors import InvalidInput
from theory.laws.ising import graph_edges
from theory.laws.joint import JointLaw
from theory.states import require_states


def hard_core(graph: nx.Graph[int], log_fugacity: float = 0.0) -> JointLaw:
    """The hard-core model on a graph: site i is the i-th node in the graph's own order, symbol 1 is occupied.

    Args:
        graph: undirected, without self-loops.
        log_fugacity: ln λ.

    Raises:
        InvalidInput: a directed graph, a self-loop, no node, or a fugacity that is not finite.
        ExceedsMemory: the table would not fit.
    """
    if not np.isfinite(log_fugacity):
        raise InvalidInput("log_fugacity", log_fugacity, "a finite number is needed")
    edges = graph_edges(graph)
    sites = graph.number_of_nodes()
    require_states(sites, 2, 24.0, "the hard-core model")
    logs = np.zeros(())
    for _ in range(sites):
        logs = np.add.outer(logs, np.array([0.0, log_fugacity]))
    for i, j in edges:
        both = [slice(None)] * sites
        both[i] = both[j] = slice(1, 2)
        logs[tuple(both)] = -np.inf
    return JointLaw.from_log_weights(logs, f"hard-core model on {graph.name or 'a graph'}")
