"""Length predictors: how many tokens, EOS counted, a refinement decoder is to fill.

| name | length | loss, given the true length l |
|---|---|---|
| token | classes 1..L_max from the encoder's state of a LENGTH symbol before the source | -ln p(l) |
| affine | a n + b, n source tokens | (a n + b - l)^2 |
| fertility | sum over source tokens of the expected number of target tokens | (sum - l)^2 |
| oracle | the true length | 0 |

Only "token" has a law over lengths, hence several candidates; the others give one. The fertility head does not send
gradients into the encoder. Sources: Gu et al. 2018 (arXiv:1711.02281), Ghazvininejad et al. 2019 (arXiv:1904.09324).

Legend: ``B`` batch, ``S`` source length, ``D`` width, ``K`` candidates, ``L_max`` longest target.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from simulators.t5.network.config import T5Config
from simulators.t5.network.layers import Linear
from theory.errors import InvalidInput


class Encoded(NamedTuple):
    """The source as the decoder and the length predictor see it.

    Attributes:
        states: [B, S, D].
        visible: which source positions are tokens, [B, S].
        length_state: state of the LENGTH symbol [B, D], where one was put before the source.
    """

    states: jax.Array
    visible: jax.Array
    length_state: jax.Array | None = None


class LengthHead(nnx.Module):
    """Base of the learned predictors."""

    def loss(self, encoded: Encoded, lengths: jax.Array) -> jax.Array:
        """Loss of each sentence [B], given the true lengths [B] (EOS counted)."""
        raise NotImplementedError

    def candidates(self, encoded: Encoded, count: int) -> jax.Array:
        """The ``count`` most likely lengths, best first, [B, count]; those without a law over lengths repeat one."""
        raise NotImplementedError


class TokenLength(LengthHead):
    """A softmax over the classes 1..L_max."""

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        self.output = Linear(config.d_model, [(config.max_target_length, config.d_model**-0.5)], rngs)
        self.longest = config.max_target_length

    def log_probabilities(self, encoded: Encoded) -> jax.Array:
        """ln p(length = 1..L_max), [B, L_max]."""
        if encoded.length_state is None:
            raise InvalidInput("encoded", "no LENGTH state", "the source must be encoded by a network that predicts it")
        return jax.nn.log_softmax(self.output(encoded.length_state.astype(jnp.float32)), axis=-1)

    def loss(self, encoded: Encoded, lengths: jax.Array) -> jax.Array:
        chosen = jnp.clip(lengths, 1, self.longest) - 1
        return -jnp.take_along_axis(self.log_probabilities(encoded), chosen[:, None], axis=1)[:, 0]

    def candidates(self, encoded: Encoded, count: int) -> jax.Array:
        return jax.lax.top_k(self.log_probabilities(encoded), count)[1] + 1


class RealLength(LengthHead):
    """Base of predictors of one real number, rounded to the nearest length in 1..L_max."""

    longest: int

    def real(self, encoded: Encoded) -> jax.Array:
        """The prediction before rounding, [B]."""
        raise NotImplementedError

    def loss(self, encoded: Encoded, lengths: jax.Array) -> jax.Array:
        return (self.real(encoded) - lengths.astype(jnp.float32)) ** 2

    def candidates(self, encoded: Encoded, count: int) -> jax.Array:
        rounded = jnp.clip(jnp.round(self.real(encoded)).astype(jnp.int32), 1, self.longest)
        return jnp.broadcast_to(rounded[:, None], (rounded.shape[0], count))


class AffineLength(RealLength):
    """a n + b, starting at n."""

    def __init__(self, config: T5Config) -> None:
        self.slope = nnx.Param(jnp.ones(()))
        self.offset = nnx.Param(jnp.zeros(()))
        self.longest = config.max_target_length

    def real(self, encoded: Encoded) -> jax.Array:
        return self.slope[...] * encoded.visible.sum(axis=1, dtype=jnp.float32) + self.offset[...]


class FertilityLength(RealLength):
    """Sum over source tokens of sum_c c p(c | state), c = 0..classes-1."""

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        self.output = Linear(config.d_model, [(config.fertility_classes, config.d_model**-0.5)], rngs)
        self.longest = config.max_target_length
        self.classes = config.fertility_classes

    def real(self, encoded: Encoded) -> jax.Array:
        states = jax.lax.stop_gradient(encoded.states).astype(jnp.float32)
        expected = jax.nn.softmax(self.output(states), axis=-1) @ jnp.arange(self.classes, dtype=jnp.float32)
        return jnp.where(encoded.visible, expected, 0.0).sum(axis=1)


def length_head(config: T5Config, rngs: nnx.Rngs) -> LengthHead | None:
    """The predictor that a configuration names; None for "oracle"."""
    if config.length_predictor == "token":
        return TokenLength(config, rngs)
    if config.length_predictor == "affine":
        return AffineLength(config)
    if config.length_predictor == "fertility":
        return FertilityLength(config, rngs)
    return None
