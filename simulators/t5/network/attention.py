"""Attention of T5: relative position buckets, no scaling, biases added to the scores.

    scores_ij = q_i . k_j + bias_ij,    weights = softmax_j(scores),    output_i = sum_j weights_ij v_j.

The bias is -1e9 where key j is hidden from query i, plus, in self-attention, a learned number for the head and the
bucket of j - i, the same in every layer of a stack. Buckets (Raffel et al. 2020, arXiv:1910.10683): distances below
half of the buckets of a side have one each, longer ones share buckets of logarithmic width up to the largest distance.
A causal stack spends all buckets on the past, a bidirectional one half on each side.

Legend: ``B`` batch, ``H`` heads, ``d`` width of a head, ``I = H d``, ``D`` width, ``Q`` queries, ``K`` keys.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from simulators.t5.network.config import T5Config
from simulators.t5.network.layers import NO_DROPOUT, Dropout, Linear

HIDDEN = -1e9
"""Bias of a key that must not be seen; finite, so that a row without any key has no NaN."""


def relative_buckets(
    offsets: NDArray[np.integer], bidirectional: bool, buckets: int, longest: int
) -> NDArray[np.int32]:
    """Bucket of each offset j - i (key position minus query position), any shape."""
    offsets = np.asarray(offsets, dtype=np.int64)
    if bidirectional:
        buckets //= 2
        side = np.where(offsets > 0, buckets, 0)
        distance = np.abs(offsets)
    else:
        side = np.zeros_like(offsets)
        distance = np.maximum(-offsets, 0)
    exact = buckets // 2
    # The logarithm is taken in float32, as the networks that were trained with these buckets did.
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact)) / np.float32(np.log(longest / exact))
    wide = exact + (ratio * np.float32(buckets - exact)).astype(np.int64)
    return (side + np.where(distance < exact, distance, np.minimum(wide, buckets - 1))).astype(np.int32)


class RelativeBias(nnx.Module):
    """A table [buckets, H] of biases, shared by the layers of a stack."""

    def __init__(self, config: T5Config, bidirectional: bool, rngs: nnx.Rngs) -> None:
        self.bidirectional = bidirectional
        self.buckets = config.relative_attention_num_buckets
        self.longest = config.relative_attention_max_distance
        scale = config.initializer_factor * config.d_model**-0.5
        self.table = nnx.Param(scale * jax.random.normal(rngs.params(), (self.buckets, config.num_heads)))

    def __call__(self, queries: int, keys: int) -> jax.Array:
        """Biases [1, H, Q, K] of positions 0..Q-1 towards positions 0..K-1."""
        offsets = np.arange(keys)[None, :] - np.arange(queries)[:, None]
        chosen = self.table[...][relative_buckets(offsets, self.bidirectional, self.buckets, self.longest)]
        return chosen.transpose(2, 0, 1)[None]


def padding_bias(visible: jax.Array) -> jax.Array:
    """[B, K] visible keys -> biases [B, 1, 1, K]."""
    return jnp.where(visible, 0.0, HIDDEN)[:, None, None, :]


def causal_bias(length: int) -> jax.Array:
    """Biases [1, 1, L, L] that hide the future."""
    return jnp.where(np.tril(np.ones((length, length), dtype=bool)), 0.0, HIDDEN)[None, None]


def attend(
    queries: jax.Array, keys: jax.Array, values: jax.Array, bias: jax.Array | None, dropout: Dropout = NO_DROPOUT
) -> tuple[jax.Array, jax.Array]:
    """[B, Q, H, d], [B, K, H, d] twice, bias [B or 1, H or 1, Q or 1, K] -> outputs [B, Q, I], weights [B, H, Q, K]."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", queries, keys).astype(jnp.float32)
    weights = jax.nn.softmax(scores if bias is None else scores + bias, axis=-1)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", dropout(weights).astype(values.dtype), values)
    return mixed.reshape(*mixed.shape[:2], -1), weights


class SelfAttention(nnx.Module):
    """Queries, keys and values from the same states; one matrix [D, 3I]."""

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        factor, width = config.initializer_factor, config.d_model
        other = (config.inner, factor * width**-0.5)
        self.heads = config.num_heads
        self.query_key_value = Linear(
            width, [(config.inner, factor * (width * config.d_kv) ** -0.5), other, other], rngs
        )
        self.output = Linear(config.inner, [(width, factor * config.inner**-0.5)], rngs)

    def project(self, states: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """[B, L, D] -> queries, keys, values, [B, L, H, d] each."""
        joined = self.query_key_value(states)
        split = joined.reshape(*joined.shape[:-1], 3, self.heads, -1)
        return split[..., 0, :, :], split[..., 1, :, :], split[..., 2, :, :]

    def __call__(
        self, states: jax.Array, bias: jax.Array, dropout: Dropout = NO_DROPOUT
    ) -> tuple[jax.Array, jax.Array]:
        mixed, weights = attend(*self.project(states), bias, dropout)
        return self.output(mixed), weights


class CrossAttention(nnx.Module):
    """Queries from the decoder; keys and values from the encoder, one matrix [D, 2I], computed once a sentence."""

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        factor, width = config.initializer_factor, config.d_model
        other = (config.inner, factor * width**-0.5)
        self.heads = config.num_heads
        self.query = Linear(width, [(config.inner, factor * (width * config.d_kv) ** -0.5)], rngs)
        self.key_value = Linear(width, [other, other], rngs)
        self.output = Linear(config.inner, [(width, factor * config.inner**-0.5)], rngs)

    def memory(self, states: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encoder states [B, K, D] -> keys, values [B, K, H, d]."""
        joined = self.key_value(states)
        split = joined.reshape(*joined.shape[:-1], 2, self.heads, -1)
        return split[..., 0, :, :], split[..., 1, :, :]

    def __call__(
        self, states: jax.Array, memory: tuple[jax.Array, jax.Array], bias: jax.Array, dropout: Dropout = NO_DROPOUT
    ) -> tuple[jax.Array, jax.Array]:
        queries = self.query(states)
        mixed, weights = attend(queries.reshape(*queries.shape[:-1], self.heads, -1), *memory, bias, dropout)
        return self.output(mixed), weights


class PositionalAttention(nnx.Module):
    """Attention whose queries and keys are absolute positions and whose values are the states.

    It mixes neighbours by place alone (Gu et al. 2018, arXiv:1711.02281). Its output matrix starts at zero, so that
    adding it to a trained network changes nothing before training.
    """

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        factor, width = config.initializer_factor, config.d_model
        other = (config.inner, factor * width**-0.5)
        self.heads = config.num_heads
        self.query_key = Linear(width, [(config.inner, factor * (width * config.d_kv) ** -0.5), other], rngs)
        self.value = Linear(width, [other], rngs)
        self.output = Linear(config.inner, [(width, 0.0)], rngs)

    def __call__(
        self, states: jax.Array, positions: jax.Array, bias: jax.Array, dropout: Dropout = NO_DROPOUT
    ) -> tuple[jax.Array, jax.Array]:
        """States [B, L, D], position vectors [L, D]."""
        joined = self.query_key(positions.astype(states.dtype)).reshape(1, positions.shape[0], 2, self.heads, -1)
        queries, keys = (
            jnp.broadcast_to(joined[:, :, i], (states.shape[0], *joined[:, :, i].shape[1:])) for i in (0, 1)
        )
        values = self.value(states).reshape(*states.shape[:-1], self.heads, -1)
        mixed, weights = attend(queries, keys, values, bias, dropout)
        return self.output(mixed), weights
