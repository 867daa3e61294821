"""Pairwise models on sparse graphs: Ising and Potts, at sizes whose joint table nobody can hold.

    ln p(x) = sum_{ij in E} J_ij 1[x_i = x_j] + sum_i h_i(x_i) + constant,   x in {0..q-1}^N.

Ising: exp(J x_i x_j) is, up to a constant, exp(2 J 1[x_i = x_j]); h_i enters as -h_i for symbol 0 (spin -1) and +h_i
for symbol 1 (spin +1). The energy of a configuration is -ln p up to that constant.

Given the rest, sites without an edge between them are independent, so a block such as one colour of a checkerboard is
redrawn exactly in parallel; any other block is enumerated.

Legend: ``N`` sites, ``q`` symbols, ``D`` largest degree, ``k`` masked sites, ``b = q**k`` block values.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.montecarlo.draws import block_values
from simulators.montecarlo.models.model import Model
from theory.errors import InvalidInput
from theory.laws.ising import graph_edges


class PairwiseModel(Model):
    """A pairwise model from its list of edges.

    Args:
        symbols: q.
        edges: pairs of sites, shape [E, 2], each edge once.
        couplings: J_ij, one number or shape [E].
        fields: h_i(a), shape [N, q].

    Raises:
        InvalidInput: wrong shapes, a self-loop, an edge named twice, or parameters that are not finite.
    """

    def __init__(self, symbols: int, edges: ArrayLike, couplings: ArrayLike, fields: ArrayLike) -> None:
        local = np.asarray(fields, dtype=np.float64)
        if symbols < 2 or local.ndim != 2 or local.shape[1] != symbols:
            raise InvalidInput("fields", f"an array of shape {local.shape}", f"shape (N, q) is needed, q = {symbols}")
        self.sites, self.symbols = local.shape[0], symbols
        pairs = _check_edges(edges, self.sites)
        strengths = np.asarray(couplings, dtype=np.float64)
        if strengths.shape not in ((), (len(pairs),)):
            raise InvalidInput("couplings", f"an array of shape {strengths.shape}", f"one number or ({len(pairs)},)")
        strengths = np.broadcast_to(strengths, (len(pairs),))
        if not np.isfinite(strengths).all() or not np.isfinite(local).all():
            raise InvalidInput("couplings or fields", "NaN or infinity", "every parameter must be finite")
        self.edges = pairs
        self.attractive = symbols == 2 and bool((strengths >= 0).all())
        neighbours, weights = _neighbour_lists(pairs, strengths, self.sites)
        self._neighbours = jnp.asarray(neighbours)  # [N + 1, D], padded with N; the last row is that of padding
        self._weights = jnp.asarray(weights, dtype=float)
        # Padding is held at symbol 0 by its fields.
        padding = np.array([[0.0] + [-np.inf] * (symbols - 1)])
        self._fields = jnp.asarray(np.concatenate([local, padding]), dtype=float)
        self._pairs = jnp.asarray(pairs, dtype=jnp.int32)
        self._strengths = jnp.asarray(strengths, dtype=float)

    def log_weight(self, x: jax.Array) -> jax.Array:
        same = x[self._pairs[:, 0]] == x[self._pairs[:, 1]]
        local = jnp.take_along_axis(self._fields[: self.sites], x[:, None].astype(jnp.int32), axis=1)
        return jnp.where(same, self._strengths, 0.0).sum() + local.sum()

    def log_weights(self, x: jax.Array, y: jax.Array, masked: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = self.block_logits(x, masked)
        return logits[self._block_index(x, masked)], logits[self._block_index(y, masked)]

    def _block_index(self, x: jax.Array, masked: jax.Array) -> jax.Array:
        size = masked.shape[0]
        place = jnp.asarray(self.symbols ** np.arange(size - 1, -1, -1), dtype=jnp.int32)
        return (x.at[masked].get(mode="fill", fill_value=0) * place).sum()

    def block_logits(self, x: jax.Array, masked: jax.Array) -> jax.Array:
        size = masked.shape[0]
        values = block_values(self.symbols, size)
        holds = (values[:, :, None] == np.arange(self.symbols)).reshape(len(values), -1)  # [b, k q]
        same = (values[:, :, None] == values[:, None, :]).reshape(len(values), -1)  # [b, k k]
        neighbours, weights = self._neighbours[masked], self._weights[masked]
        inside = neighbours[:, :, None] == masked  # [k, D, k]
        outside = jnp.where(inside.any(axis=2), 0.0, weights)
        external = self._fields[masked] + self._pull(x, neighbours, outside)
        # Each edge inside the block is seen from both its ends.
        internal = jnp.where(inside, weights[:, :, None], 0.0).sum(axis=1) / 2
        # A sum of selected entries rather than a matrix product: the fields of padding are -inf.
        selected = jnp.where(jnp.asarray(holds), external.reshape(-1), 0.0).sum(axis=1)
        return selected + jnp.where(jnp.asarray(same), internal.reshape(-1), 0.0).sum(axis=1)

    def _pull(self, x: jax.Array, neighbours: jax.Array, weights: jax.Array) -> jax.Array:
        """sum over neighbours j of J_ij 1[x_j = a]: shapes [n, D] -> [n, q]."""
        symbols = x.at[neighbours].get(mode="fill", fill_value=0)
        return jnp.where(symbols[:, :, None] == jnp.arange(self.symbols, dtype=x.dtype), weights[:, :, None], 0.0).sum(
            axis=1
        )

    def site_logits(self, x: jax.Array, sites: jax.Array) -> jax.Array:
        return self._fields[sites] + self._pull(x, self._neighbours[sites], self._weights[sites])

    def independent(self, block: Sequence[int]) -> bool:
        if len(block) <= 1:  # without a pass over the edges for each site of a scan
            return True
        inside = np.zeros(self.sites, dtype=bool)
        inside[list(block)] = True
        return not (inside[self.edges[:, 0]] & inside[self.edges[:, 1]]).any()


def ising_model(graph: nx.Graph[int], coupling: ArrayLike = 1.0, field: ArrayLike = 0.0) -> PairwiseModel:
    """The Ising model of `theory.laws.ising.ising_on` without its table: site i is the i-th node.

    Args:
        graph: undirected, without self-loops.
        coupling: J, one number or one entry per edge in the order of ``graph.edges``.
        field: h, one number or shape [N].
    """
    field = np.broadcast_to(np.asarray(field, dtype=np.float64), (graph.number_of_nodes(),))
    return PairwiseModel(2, graph_edges(graph), 2 * np.asarray(coupling), np.stack([-field, field], axis=1))


def ising_from_couplings(couplings: ArrayLike, fields: ArrayLike = 0.0) -> PairwiseModel:
    """The Ising model of `theory.laws.ising.ising` without its table, from J [N, N] and h."""
    matrix = np.asarray(couplings, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.array_equal(matrix, matrix.T):
        raise InvalidInput("couplings", f"an array of shape {matrix.shape}", "a symmetric [N, N] matrix is needed")
    field = np.broadcast_to(np.asarray(fields, dtype=np.float64), (len(matrix),))
    edges = np.argwhere(np.triu(matrix, 1))
    return PairwiseModel(2, edges, 2 * matrix[edges[:, 0], edges[:, 1]], np.stack([-field, field], axis=1))


def potts_model(
    graph: nx.Graph[int], symbols: int, coupling: ArrayLike = 1.0, fields: ArrayLike = 0.0
) -> PairwiseModel:
    """The Potts model of `theory.laws.potts.potts` without its table."""
    local = np.broadcast_to(np.asarray(fields, dtype=np.float64), (graph.number_of_nodes(), symbols))
    return PairwiseModel(symbols, graph_edges(graph), coupling, local)


def _check_edges(edges: ArrayLike, sites: int) -> NDArray[np.int64]:
    pairs = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    if len(pairs) and (pairs.min() < 0 or pairs.max() >= sites):
        raise InvalidInput("edges", (int(pairs.min()), int(pairs.max())), f"sites are numbered 0..{sites - 1}")
    if (pairs[:, 0] == pairs[:, 1]).any():
        raise InvalidInput("edges", "a self-loop", "an edge joins two different sites")
    if len(np.unique(np.sort(pairs, axis=1), axis=0)) != len(pairs):
        raise InvalidInput("edges", "an edge named twice", "each edge may be named once")
    return pairs


def _neighbour_lists(
    pairs: NDArray[np.int64], strengths: NDArray[np.float64], sites: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Neighbours and couplings of each site and of the padding site N, both [N + 1, D]."""
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.argsort(ends[:, 0], kind="stable")
    source, target = ends[order].T
    degrees = np.bincount(source, minlength=sites + 1)
    slot = np.arange(len(source)) - np.repeat(np.cumsum(degrees) - degrees, degrees)
    shape = (sites + 1, max(1, int(degrees.max())))
    neighbours, weights = np.full(shape, sites, dtype=np.int32), np.zeros(shape)
    neighbours[source, slot] = target
    weights[source, slot] = np.concatenate([strengths, strengths])[order]
    return neighbours, weights
