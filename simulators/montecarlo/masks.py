"""Drawing masks inside compiled code, for any mask law of `theory.masks`.

A drawn mask is an int32 array [K] of ascending sites, padded at the end with N, where K is the largest mask size. A law
is drawn from through its list, unless a rule is registered for its class with `drawing.register`: those draw at sizes
where no list fits.

Legend: ``N`` sites, ``K`` largest mask size, ``M`` listed masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from theory.masks import Bernoulli, KUniform, MaskLaw, Spans, UniformRatio

FLOYD_LIMIT = 64
"""Up to this mask size a uniform subset is drawn in O(k^2), independent of N; above it by a random permutation."""

Draw = Callable[[jax.Array], jax.Array]
"""From a random key to a mask."""


@singledispatch
def drawing(law: MaskLaw) -> Draw:
    """How masks of a law are drawn.

    Raises:
        ExceedsMemory: a law without a rule of its own, whose list does not fit.
    """
    table = jnp.asarray(padded(law.masks, law.sites))
    bounds = jnp.asarray(np.cumsum(law.probabilities)[:-1], dtype=float)

    def draw(key: jax.Array) -> jax.Array:
        return table[jnp.searchsorted(bounds, jax.random.uniform(key, (), bounds.dtype), side="right")]

    return draw


@drawing.register
def _k_uniform(law: KUniform) -> Draw:
    sites, size = law.sites, law.k

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
        return lambda key: jnp.arange(sites, dtype=jnp.int32)
    return floyd if size <= FLOYD_LIMIT else permuted


@drawing.register
def _spans(law: Spans) -> Draw:
    def draw(key: jax.Array) -> jax.Array:
        span = jax.random.randint(key, (), 0, law.count) + jnp.arange(law.length, dtype=jnp.int32)
        return jnp.sort(span % law.sites)

    return draw


@drawing.register
def _bernoulli(law: Bernoulli) -> Draw:
    return lambda key: _where(jax.random.uniform(key, (law.sites,)) < law.ratio)


@drawing.register
def _uniform_ratio(law: UniformRatio) -> Draw:
    def draw(key: jax.Array) -> jax.Array:
        values = jax.random.uniform(key, (law.sites + 1,))
        return _where(values[1:] < values[0])

    return draw


def padded(masks: Sequence[Sequence[int]], sites: int) -> NDArray[np.int32]:
    """Masks of different size in one array [M, K]."""
    table = np.full((len(masks), max([1, *map(len, masks)])), sites, dtype=np.int32)
    for row, mask in zip(table, masks, strict=True):
        row[: len(mask)] = mask
    return table


def _where(hidden: jax.Array) -> jax.Array:
    return jnp.nonzero(hidden, size=hidden.shape[0], fill_value=hidden.shape[0])[0].astype(jnp.int32)
