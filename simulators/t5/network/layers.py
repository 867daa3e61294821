"""Layers of T5: linear maps without bias, RMS norm, feed-forward layer, dropout.

    RMSNorm(x) = w * x / sqrt(mean(x^2) + eps),
    FeedForward(x) = W_o (gelu(W_0 x) * W_1 x)   (gated), or W_o relu(W_i x)   (v1.0).

gelu is the tanh approximation (``gelu_new``). Initial scales follow Raffel et al. 2020 (arXiv:1910.10683): attention
has no 1/sqrt(d) because the initial scale of the queries holds it.

Legend: ``B`` batch, ``L`` length, ``D`` width, ``F`` hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from simulators.t5.network.config import T5Config

ACTIVATIONS = {
    "gelu": lambda values: jax.nn.gelu(values, approximate=True),
    "silu": jax.nn.silu,
    "relu": jax.nn.relu,
}


HALF_WORDS = 1 << 16
"""Values of half of a random word."""


class Dropout:
    """Independent dropout with a fresh key at each use; without a key, or at rate 0, values pass unchanged."""

    def __init__(self, rate: float, key: jax.Array | None) -> None:
        self.rate = rate
        self.key = key

    def __call__(self, values: jax.Array) -> jax.Array:
        if self.key is None or self.rate == 0:
            return values
        self.key, drawn = jax.random.split(self.key)
        # Two decisions from each random word: on a processor the words are a fifth of a training step. What is kept is
        # scaled by the rate in sixteen bits, so that means stay exact.
        kept_of = min(max(round((1 - self.rate) * HALF_WORDS), 1), HALF_WORDS - 1)
        *leading, last = values.shape
        words = jax.random.bits(drawn, (*leading, -(-last // 2)), jnp.uint32)
        halves = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(*leading, -1)[..., :last]
        return jnp.where(halves < kept_of, values * (HALF_WORDS / kept_of), 0).astype(values.dtype)


NO_DROPOUT = Dropout(0.0, None)


class Linear(nnx.Module):
    """x W, with W [inputs, outputs] drawn column block by column block at the given standard deviations."""

    def __init__(self, inputs: int, blocks: Sequence[tuple[int, float]], rngs: nnx.Rngs) -> None:
        drawn = [deviation * jax.random.normal(rngs.params(), (inputs, outputs)) for outputs, deviation in blocks]
        self.kernel = nnx.Param(jnp.concatenate(drawn, axis=1))

    def __call__(self, values: jax.Array) -> jax.Array:
        return values @ self.kernel[...].astype(values.dtype)


class RMSNorm(nnx.Module):
    """Scale to unit root mean square, computed in float32, times a learned weight [D]."""

    def __init__(self, width: int, epsilon: float) -> None:
        self.weight = nnx.Param(jnp.ones((width,)))
        self.epsilon = epsilon

    def __call__(self, values: jax.Array) -> jax.Array:
        exact = values.astype(jnp.float32)
        scale = jax.lax.rsqrt(jnp.mean(exact * exact, axis=-1, keepdims=True) + self.epsilon)
        return (exact * scale * self.weight[...]).astype(values.dtype)


class FeedForward(nnx.Module):
    """[B, L, D] -> [B, L, D]; gate and value share one matrix [D, 2F]."""

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        factor = config.initializer_factor
        inward = (config.d_ff, factor * config.d_model**-0.5)
        self.inward = Linear(config.d_model, [inward, inward] if config.gated else [inward], rngs)
        self.outward = Linear(config.d_ff, [(config.d_model, factor * config.d_ff**-0.5)], rngs)
        self.activation = config.feed_forward_proj.removeprefix("gated-")
        self.gated = config.gated
        self.hidden = config.d_ff

    def __call__(self, values: jax.Array, dropout: Dropout = NO_DROPOUT) -> jax.Array:
        joined = self.inward(values)
        hidden = ACTIVATIONS[self.activation](joined[..., : self.hidden])
        if self.gated:
            hidden = hidden * joined[..., self.hidden :]
        return self.outward(dropout(hidden))
