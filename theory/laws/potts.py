"""Potts models: p(x) proportional to exp( sum_{ij in E} J_ij 1[x_i = x_j] + sum_i h_i(x_i) ), x in {0..q-1}^N.

Adding a constant to h_i(.) changes nothing, so the family takes symbol 0 as reference. Its statistics are 1[x_i = a]
for each site i and each symbol a = 1..q-1 (site by site), then 1[x_i = x_j] for each edge in the graph's order; its
parameter is theta = (h_i(a) - h_i(0), ..., J_ij, ...).

Legend: ``N`` sites, ``q`` symbols, ``E`` edges, ``S = q**N`` states.
Source: Grimmett, *The Random-Cluster Model* (2006), section 1.3. q = 2 is the Ising model with half of each coupling.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.laws.exponential_family import ExponentialFamily, ExponentialLaw, require_statistics
from theory.laws.ising import graph_edges
from theory.laws.joint import normalised_masses
from theory.states import all_sequences, require_states

Array = NDArray[np.float64]


def potts_family(sites: int, symbols: int, edges: Sequence[tuple[int, int]]) -> ExponentialFamily:
    """The family with a free field for every site and symbol (symbol 0 as reference) and a coupling for every edge.

    Raises:
        ExceedsMemory: the [S, d] statistics would not fit in memory.
    """
    parameters = sites * (symbols - 1) + len(edges)
    require_statistics(sites, symbols, 2 * parameters)
    x = all_sequences(sites, symbols)
    columns = [x[:, i] == a for i in range(sites) for a in range(1, symbols)] + [x[:, i] == x[:, j] for i, j in edges]
    labels = [f"h_{i}({a})" for i in range(sites) for a in range(1, symbols)] + [f"J_{i},{j}" for i, j in edges]
    statistics = np.column_stack(columns).astype(np.float64)
    return ExponentialFamily(sites, symbols, statistics, labels, name=f"Potts family, N={sites}, q={symbols}")


def potts(
    graph: nx.Graph[int],
    symbols: int,
    coupling: ArrayLike = 1.0,
    fields: ArrayLike = 0.0,
    name: str | None = None,
) -> ExponentialLaw:
    """The Potts model on a graph: site i is the i-th node in the graph's own order.

    Args:
        graph: undirected, without self-loops.
        symbols: q.
        coupling: one number, or an array with one entry per edge in the order of ``graph.edges``.
        fields: h_i(a): 0, an array [q] for every site alike, or an array [N, q].
        name: shown in results.

    Raises:
        InvalidInput: a graph that is not simple, wrong shapes, or parameters that are not finite.
        ExceedsMemory: the table would not fit in memory.
    """
    edges = graph_edges(graph)
    sites = graph.number_of_nodes()
    require_states(sites, symbols, 32.0, "the Potts model")
    strengths = np.asarray(coupling, dtype=np.float64)
    if strengths.shape not in ((), (len(edges),)):
        raise InvalidInput("coupling", f"an array of shape {strengths.shape}", f"one number or shape ({len(edges)},)")
    strengths = np.broadcast_to(strengths, (len(edges),))
    local = np.asarray(fields, dtype=np.float64)
    if local.shape not in ((), (symbols,), (sites, symbols)):
        raise InvalidInput(
            "fields", f"an array of shape {local.shape}", f"0, shape ({symbols},) or shape ({sites}, {symbols})"
        )
    local = np.broadcast_to(local, (sites, symbols))
    for argument, values in (("coupling", strengths), ("fields", local)):
        if not np.isfinite(values).all():
            raise InvalidInput(argument, "NaN or infinity", "every parameter must be finite")

    log_weights = np.zeros((symbols,) * sites)
    for i in range(sites):
        log_weights += local[i].reshape([symbols if axis == i else 1 for axis in range(sites)])
    same = np.eye(symbols)
    for (i, j), strength in zip(edges, strengths, strict=True):
        log_weights += strength * same.reshape([symbols if axis in (i, j) else 1 for axis in range(sites)])
    table, logs = normalised_masses(log_weights)
    theta = np.concatenate([(local[:, 1:] - local[:, :1]).ravel(), strengths])
    label = f"Potts model on {graph.name or 'a graph'}, q={symbols}" if name is None else name
    return ExponentialLaw(table, partial(potts_family, sites, symbols, tuple(edges)), theta, label, logs)
