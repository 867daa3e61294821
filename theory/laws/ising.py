"""Ising models: p(x) proportional to exp( sum_{i<j} J_ij x_i x_j + sum_i h_i x_i ), x in {-1, +1}^N.

Symbol 0 is spin -1, symbol 1 is spin +1. J is the symmetric matrix of *couplings* with zero diagonal, h the vector of
*fields*; the inverse temperature is absorbed into both. Every model here belongs to the full pairwise family with
d = N (N + 1) / 2 statistics: x_0, ..., x_{N-1}, then x_i x_j for i < j in lexicographic order; its parameter is
theta = (h_0, ..., h_{N-1}, J_01, J_02, ..., J_{N-2,N-1}).

Legend: ``N`` sites, ``S = 2**N`` states.
Sources: Friedli and Velenik, *Statistical Mechanics of Lattice Systems* (2017), ch. 2 and 3; the model with one strong
clique is that of Li et al. 2024 (arXiv:2407.21046), section 3 (claim C8).
"""

from __future__ import annotations

from functools import partial
from itertools import combinations

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.laws.exponential_family import ExponentialFamily, ExponentialLaw, require_statistics
from theory.laws.joint import normalised_masses
from theory.rounding import resolution
from theory.states import require_states

Array = NDArray[np.float64]

SYMMETRIC = 16.0
"""Asymmetry of couplings that is taken for rounding, in units of eps of the largest."""
BYTES_PER_STATE = 32.0
"""Working memory per state while a table is built: log-weights, one term, their exponential, the table."""


class IsingLaw(ExponentialLaw):
    """An Ising model as a joint law.

    Attributes:
        couplings: J, shape [N, N], symmetric with zero diagonal.
        fields: h, shape [N].
    """

    def __init__(
        self, table: ArrayLike, couplings: Array, fields: Array, name: str, log_table: Array | None = None
    ) -> None:
        sites = len(fields)
        theta = np.concatenate([fields, couplings[np.triu_indices(sites, 1)]])
        super().__init__(table, partial(ising_family, sites), theta, name, log_table)
        self.couplings = couplings
        self.fields = fields


def spins(sites: int) -> NDArray[np.int8]:
    """Every sequence as spins -1 and +1, in state order, shape [S, N]."""
    count = require_states(sites, 2, 3.0 * sites, "the spins of all sequences")
    shifts = np.arange(sites - 1, -1, -1)
    columns = [((np.arange(count) >> shift) & 1).astype(np.int8) for shift in shifts]
    return np.asarray(2 * np.stack(columns, axis=1) - 1, dtype=np.int8)


def magnetisation(sites: int) -> NDArray[np.int64]:
    """sum_i x_i of every sequence, in state order, shape [S]; from -N to N in steps of 2."""
    return np.asarray(spins(sites).sum(axis=1, dtype=np.int64))


def ising_family(sites: int) -> ExponentialFamily:
    """The full pairwise family of N (N + 1) / 2 parameters (fields, then couplings).

    Raises:
        ExceedsMemory: the [S, d] statistics would not fit in memory.
    """
    pairs = list(combinations(range(sites), 2))
    require_statistics(sites, 2, 2 * (sites + len(pairs)))
    x = spins(sites).astype(np.float64)
    products = [x[:, i] * x[:, j] for i, j in pairs]
    labels = [f"h_{i}" for i in range(sites)] + [f"J_{i},{j}" for i, j in pairs]
    return ExponentialFamily(sites, 2, np.column_stack([x, *products]), labels, name=f"Ising family, N={sites}")


def ising(couplings: ArrayLike, fields: ArrayLike = 0.0, name: str = "Ising model") -> IsingLaw:
    """The Ising model with the given couplings and fields.

    Args:
        couplings: J, shape [N, N].
        fields: h, shape [N], or one number for every site.
        name: shown in results.

    Raises:
        InvalidInput: J is not a finite symmetric matrix with zero diagonal, or h has another length.
        ExceedsMemory: the table would not fit in memory.
    """
    given = np.asarray(couplings)
    matrix = np.array(given, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise InvalidInput("couplings", f"an array of shape {matrix.shape}", "a square [N, N] matrix is needed")
    if not np.isfinite(matrix).all():
        raise InvalidInput("couplings", "NaN or infinity", "every coupling must be finite")
    # The two halves may differ by the rounding of the type that they were computed in.
    allowed = max(1e-14, SYMMETRIC * resolution(given) * float(np.abs(matrix).max()))
    if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=allowed):
        i, j = divmod(int(np.abs(matrix - matrix.T).argmax()), len(matrix))
        raise InvalidInput(
            f"couplings[{i}, {j}]", float(matrix[i, j]), f"must equal couplings[{j}, {i}] = {float(matrix[j, i])}"
        )
    if np.diagonal(matrix).any():
        site = int(np.flatnonzero(np.diagonal(matrix))[0])
        raise InvalidInput(f"couplings[{site}, {site}]", matrix[site, site], "the diagonal must be 0")
    sites = matrix.shape[0]
    vector = _per_site(fields, sites, "fields")
    require_states(sites, 2, BYTES_PER_STATE, "the Ising model")
    matrix = np.triu(matrix, 1)
    matrix = matrix + matrix.T

    axes = [np.array([-1.0, 1.0]).reshape([2 if axis == site else 1 for axis in range(sites)]) for site in range(sites)]
    log_weights = np.zeros((2,) * sites)
    for i in range(sites):
        if vector[i] != 0:
            log_weights += vector[i] * axes[i]
        for j in range(i + 1, sites):
            if matrix[i, j] != 0:
                log_weights += matrix[i, j] * (axes[i] * axes[j])
    table, logs = normalised_masses(log_weights)
    return IsingLaw(table, matrix, vector, name, logs)


def ising_on(
    graph: nx.Graph[int], coupling: float | str | ArrayLike = 1.0, field: ArrayLike = 0.0, name: str | None = None
) -> IsingLaw:
    """The Ising model on a graph: site i is the i-th node in the graph's own (insertion) order.

    Args:
        graph: undirected, without self-loops.
        coupling: one number for every edge, the name of an edge attribute, or an array with one entry per edge in the
            order of ``graph.edges``.
        field: one number for every site, or an array [N] in the order of ``graph.nodes``.
        name: shown in results.

    Raises:
        InvalidInput: a directed graph, a self-loop, no node, a missing edge attribute, or wrong lengths.
    """
    edges = graph_edges(graph)
    if isinstance(coupling, str):
        missing = [edge for edge in graph.edges if coupling not in graph.edges[edge]]
        if missing:
            raise InvalidInput("coupling", coupling, f"edge {missing[0]} has no attribute of this name")
        strengths = np.array([graph.edges[edge][coupling] for edge in graph.edges], dtype=np.float64)
    else:
        strengths = np.asarray(coupling, dtype=np.float64)
        if strengths.ndim == 0:
            strengths = np.full(len(edges), float(strengths))
    if strengths.shape != (len(edges),):
        raise InvalidInput(
            "coupling", f"an array of shape {strengths.shape}", f"one entry per edge, ({len(edges)},), or one number"
        )
    sites = graph.number_of_nodes()
    # Refused before the [N, N] matrix too: a graph may have any number of nodes.
    require_states(sites, 2, BYTES_PER_STATE, "the Ising model")
    matrix = np.zeros((sites, sites))
    for (i, j), strength in zip(edges, strengths, strict=True):
        matrix[i, j] = matrix[j, i] = strength
    return ising(matrix, field, f"Ising model on {graph.name or 'a graph'}" if name is None else name)


def graph_edges(graph: nx.Graph[int]) -> list[tuple[int, int]]:
    """Edges as pairs of site numbers, in the order of ``graph.edges``; site i is the i-th node.

    Raises:
        InvalidInput: a directed graph or a multigraph, a self-loop, or no node.
    """
    if graph.is_directed() or graph.is_multigraph():
        raise InvalidInput("graph", graph, "an undirected simple graph is needed")
    if graph.number_of_nodes() == 0:
        raise InvalidInput("graph", graph, "at least one node is needed")
    number = {node: site for site, node in enumerate(graph.nodes)}
    edges = [(number[u], number[v]) for u, v in graph.edges]
    if any(i == j for i, j in edges):
        raise InvalidInput("graph", graph, "self-loops are not allowed")
    return edges


def curie_weiss(sites: int, inverse_temperature: float, field: float = 0.0) -> IsingLaw:
    """The Curie-Weiss model: p(x) proportional to exp( (beta / N) sum_{i<j} x_i x_j + h sum_i x_i ).

    Up to a constant factor the weight is exp( N (beta m^2 / 2 + h m) ) with m = (1 / N) sum_i x_i, so that for h = 0
    the phase transition of N -> infinity is at beta = 1. (Some texts sum over all ordered pairs, which doubles beta.)

    Raises:
        InvalidInput: fewer than 1 site, or parameters that are not finite.
    """
    if sites < 1:
        raise InvalidInput("sites", sites, "at least 1 site is needed")
    if not np.isfinite(inverse_temperature):
        raise InvalidInput("inverse_temperature", inverse_temperature, "a finite number is needed")
    require_states(sites, 2, BYTES_PER_STATE, "the Curie-Weiss model")
    couplings = (inverse_temperature / sites) * (1 - np.eye(sites))
    return ising(couplings, field, f"Curie-Weiss, N={sites}, beta={inverse_temperature:g}, h={field:g}")


def strong_clique(sites: int, clique_size: int, coupling: float, field: ArrayLike = 0.0) -> IsingLaw:
    """One clique of strongly coupled sites, the rest independent (claim C8).

    p(x) proportional to exp( sum_i h_i x_i + J sum_{i<j in C} x_i x_j ), where the clique C is the first
    ``clique_size`` sites.

    Args:
        sites: N.
        clique_size: m = |C|, in 2..N.
        coupling: J.
        field: h, one number or an array [N].

    Raises:
        InvalidInput: a clique size outside 2..N, or parameters that are not finite.
    """
    if not 2 <= clique_size <= sites:
        raise InvalidInput("clique_size", clique_size, f"must lie in 2..{sites}")
    if not np.isfinite(coupling):
        raise InvalidInput("coupling", coupling, "a finite number is needed")
    require_states(sites, 2, BYTES_PER_STATE, "the strong-clique model")
    couplings = np.zeros((sites, sites))
    couplings[:clique_size, :clique_size] = coupling
    np.fill_diagonal(couplings, 0.0)
    return ising(couplings, field, f"strong clique, N={sites}, m={clique_size}, J={coupling:g}")


def _per_site(values: ArrayLike, sites: int, argument: str) -> Array:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim == 0:
        vector = np.full(sites, float(vector))
    if vector.shape != (sites,):
        raise InvalidInput(argument, f"an array of shape {vector.shape}", f"shape ({sites},) or one number is needed")
    if not np.isfinite(vector).all():
        raise InvalidInput(argument, vector.tolist(), "every field must be finite")
    return vector.copy()
