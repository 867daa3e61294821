"""Mask laws that can be drawn from without listing every mask.

A drawn mask is an int32 array [K] of ascending sites, padded at the end with N, where K is the largest mask size.

Legend: ``N`` sites, ``K`` largest mask size, ``M`` listed masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from theory import masks as exact
from theory.errors import InvalidInput
from theory.states import check_sites

FLOYD_LIMIT = 64
"""Up to this mask size a uniform subset is drawn in O(k^2), independent of N; above it by a random permutation."""


class Masks(NamedTuple):
    """A mask law.

    Attributes:
        sites: N.
        size: K.
        draw: from a random key to a mask.
        uniform_size: k where the law is uniform over all masks of size k, else None.
        listed: every mask in order, [M, K], where they are listed, else None.
    """

    sites: int
    size: int
    draw: Callable[[jax.Array], jax.Array]
    uniform_size: int | None = None
    listed: NDArray[np.int32] | None = None


def k_uniform(sites: int, size: int) -> Masks:
    """Uniform over the subsets of ``size`` sites (as `theory.masks.k_uniform`, for any N).

    Raises:
        InvalidInput: ``size`` outside 1..N.
    """
    _check(sites)
    if not 1 <= size <= sites:
        raise InvalidInput("k", size, f"the mask size must lie in 1..{sites}")

    def floyd(key: jax.Array) -> jax.Array:
        """Floyd's algorithm: for j = N-k .. N-1 take a uniform t in 0..j, or j itself where t is taken already."""
        tops = jnp.arange(sites - size, sites, dtype=jnp.int32)
        candidates = jax.random.randint(key, (size,), 0, tops + 1)

        def add(position: int | jax.Array, chosen: jax.Array) -> jax.Array:
            candidate = candidates[position]
            return chosen.at[position].set(jnp.where((chosen == candidate).any(), tops[position], candidate))

        return jnp.sort(jax.lax.fori_loop(0, size, add, jnp.full(size, -1, dtype=jnp.int32)))

    def permuted(key: jax.Array) -> jax.Array:
        return jnp.sort(jax.random.permutation(key, sites)[:size]).astype(jnp.int32)

    if size == sites:
        return Masks(sites, size, lambda key: jnp.arange(sites, dtype=jnp.int32), size)
    return Masks(sites, size, floyd if size <= FLOYD_LIMIT else permuted, size)


def spans(sites: int, length: int, periodic: bool = False) -> Masks:
    """A contiguous span of ``length`` sites, its start uniform (as `theory.masks.spans`).

    Raises:
        InvalidInput: ``length`` outside 1..N.
    """
    _check(sites)
    if not 1 <= length <= sites:
        raise InvalidInput("length", length, f"the span length must lie in 1..{sites}")
    starts = sites if periodic and length < sites else sites - length + 1

    def draw(key: jax.Array) -> jax.Array:
        span = jax.random.randint(key, (), 0, starts) + jnp.arange(length, dtype=jnp.int32)
        return jnp.sort(span % sites)

    return Masks(sites, length, draw)


def bernoulli(sites: int, ratio: float) -> Masks:
    """Every site masked independently with probability ``ratio``; the mask may be empty.

    Raises:
        InvalidInput: ``ratio`` outside (0, 1].
    """
    _check(sites)
    if not 0 < ratio <= 1:
        raise InvalidInput("ratio", ratio, "the mask ratio must lie in (0, 1]")
    return Masks(sites, sites, lambda key: _where(jax.random.uniform(key, (sites,)) < ratio))


def uniform_ratio(sites: int) -> Masks:
    """r ~ U(0, 1), then every site masked with probability r."""
    _check(sites)

    def draw(key: jax.Array) -> jax.Array:
        values = jax.random.uniform(key, (sites + 1,))
        return _where(values[1:] < values[0])

    return Masks(sites, sites, draw)


def from_law(law: exact.MaskLaw) -> Masks:
    """Any listed mask law of the theory."""
    table = jnp.asarray(padded(law.masks, law.sites))
    bounds = jnp.asarray(np.cumsum(law.probabilities)[:-1], dtype=float)

    def draw(key: jax.Array) -> jax.Array:
        return table[jnp.searchsorted(bounds, jax.random.uniform(key, (), bounds.dtype), side="right")]

    return Masks(law.sites, table.shape[1], draw, law.uniform_size, np.asarray(table))


def in_order(sites: int, blocks: Sequence[Iterable[int]] | None = None) -> Masks:
    """Blocks for a systematic scan, in this order; by default the single sites 0..N-1.

    Raises:
        InvalidInput: no block, an empty one, or a site that does not exist.
    """
    _check(sites)
    chosen = [(i,) for i in range(sites)] if blocks is None else [check_sites(b, sites, "block") for b in blocks]
    if not chosen or min(map(len, chosen)) == 0:
        raise InvalidInput("blocks", chosen, "at least one block is needed, and none may be empty")
    table = padded(chosen, sites)

    def draw(key: jax.Array) -> jax.Array:
        return jnp.asarray(table)[jax.random.randint(key, (), 0, len(table))]

    return Masks(sites, table.shape[1], draw, None, table)


def padded(masks: Sequence[Sequence[int]], sites: int) -> NDArray[np.int32]:
    """Masks of different size in one array [M, K]."""
    table = np.full((len(masks), max([1, *map(len, masks)])), sites, dtype=np.int32)
    for row, mask in zip(table, masks, strict=True):
        row[: len(mask)] = mask
    return table


def _where(hidden: jax.Array) -> jax.Array:
    return jnp.nonzero(hidden, size=hidden.shape[0], fill_value=hidden.shape[0])[0].astype(jnp.int32)


def _check(sites: int) -> None:
    if sites < 1:
        raise InvalidInput("sites", sites, "at least 1 site is needed")
