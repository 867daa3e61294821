"""From logits to a token: the most likely one, or a draw from the tempered, truncated law.

    p_T proportional to exp(logits / T); top-k keeps the k most likely tokens; top-p keeps the most likely tokens up to
    and including the one at which their mass reaches p (the nucleus of Holtzman et al. 2020, arXiv:1904.09751).

Draws invert the cumulative law at a uniform number, so that one number per token decides. The numbers of a sentence
depend on the key, the sentence's number and the step alone: what it is batched or padded with does not change what is
drawn.

Legend: ``V`` pieces, ``R`` rows, ``L`` length.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from simulators.t5.decoding.settings import Sampling

BLOCK = 128
"""Pieces of which one maximum is taken at a time by `argmax`."""


def argmax(logits: jax.Array) -> jax.Array:
    """Index of the largest entry of the last axis, the first one of several, int32.

    A maximum over blocks and then inside one is several times faster on a CPU than `jnp.argmax`, which carries indices
    through every comparison.
    """
    size = logits.shape[-1]
    whole = size // BLOCK * BLOCK
    if whole < 4 * BLOCK:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    blocks = logits[..., :whole].reshape(*logits.shape[:-1], -1, BLOCK)
    largest = blocks.max(axis=-1)
    best = jnp.argmax(largest, axis=-1)
    inside = jnp.take_along_axis(blocks, best[..., None, None], axis=-2)[..., 0, :]
    index = best * BLOCK + jnp.argmax(inside, axis=-1)
    if whole < size:
        rest = logits[..., whole:]
        index = jnp.where(rest.max(axis=-1) > largest.max(axis=-1), whole + jnp.argmax(rest, axis=-1), index)
    return index.astype(jnp.int32)


def choose(logits: jax.Array, uniforms: jax.Array, sampling: Sampling) -> jax.Array:
    """Tokens [...] from logits [..., V] and uniform numbers [...] in [0, 1), which a greedy choice ignores."""
    if sampling.greedy:
        return argmax(logits)
    size = logits.shape[-1]
    kept = min(sampling.top_k or size, size)
    if kept == size and sampling.top_p == 1:
        return _invert(jax.nn.softmax(logits / sampling.temperature, axis=-1), uniforms)
    values, tokens = jax.lax.top_k(logits, kept)
    law = jax.nn.softmax(values / sampling.temperature, axis=-1)
    # A token belongs to the nucleus if the mass of those before it does not yet reach p; the first always does.
    before = jnp.cumsum(law, axis=-1) - law
    law = jnp.where(before < sampling.top_p, law, 0.0)
    chosen = _invert(law, uniforms)
    return jnp.take_along_axis(tokens, chosen[..., None], axis=-1)[..., 0].astype(jnp.int32)


def _invert(law: jax.Array, uniforms: jax.Array) -> jax.Array:
    """Index at which the cumulative law exceeds u times its total."""
    total = jnp.cumsum(law, axis=-1)
    index = (total <= (uniforms * total[..., -1])[..., None]).sum(axis=-1)
    # Rounding of u times the total can point past the last token of positive mass.
    last = law.shape[-1] - 1 - jnp.argmax(law[..., ::-1] > 0, axis=-1)
    return jnp.minimum(index, last).astype(jnp.int32)


def sentence_keys(key: jax.Array, sentences: jax.Array) -> jax.Array:
    """One key for each sentence number [R]."""
    return jax.vmap(lambda number: jax.random.fold_in(key, number))(sentences)


def sentence_uniforms(keys: jax.Array, step: jax.Array | int, length: int) -> jax.Array:
    """Uniform numbers [R, L] of one step; entry (r, i) depends on key r, the step and i alone."""
    positions = jnp.arange(length)

    def one(key: jax.Array) -> jax.Array:
        stepped = jax.random.fold_in(key, step)
        return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(stepped, i)))(positions)

    return jax.vmap(one)(keys)
