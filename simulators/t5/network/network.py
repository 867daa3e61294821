"""The T5 encoder-decoder.

One network serves two decoders over the same layout of weights. An *autoregressive* decoder sees the past (causal mask,
causal position buckets); a *refinement* decoder sees every position (bidirectional buckets) and predicts all of them at
once. The second can also hold positional attention, a length predictor and a rejecter head.

    states  = Encoder(E[source]),
    hidden  = Decoder(E[target], states)      the target as it is now: shifted right, or noised,
    logits  = hidden W^T, W the output layer, or E D^-1/2-scaled where tied.

Layers are pre-norm: x += Sublayer(RMSNorm(x)). Source: Raffel et al. 2020 (arXiv:1910.10683); Shazeer 2020
(arXiv:2002.05202) for the gate.

Legend: ``B`` batch, ``S`` source length, ``L`` target length, ``V`` pieces, ``D`` width, ``H`` heads, ``d`` width of a
head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from simulators.t5.network.attention import (
    CrossAttention,
    PositionalAttention,
    RelativeBias,
    SelfAttention,
    causal_bias,
    padding_bias,
)
from simulators.t5.network.config import T5Config
from simulators.t5.network.layers import NO_DROPOUT, Dropout, FeedForward, Linear, RMSNorm
from simulators.t5.network.lengths import Encoded, length_head
from theory.errors import InvalidInput
from theory.memory import require_memory

Memory = tuple[jax.Array, jax.Array]
"""Keys and values of one layer's cross-attention, [B, S, H, d] each."""


class AttentionWeights(NamedTuple):
    """Attention of each layer, [B, H, queries, keys]; row i is what position i looks at."""

    own: list[jax.Array]
    cross: list[jax.Array]
    positional: list[jax.Array]


class EncoderBlock(nnx.Module):
    """Self-attention, then the feed-forward layer."""

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        self.attention = SelfAttention(config, rngs)
        self.attention_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.feed_forward = FeedForward(config, rngs)
        self.feed_forward_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def __call__(self, states: jax.Array, bias: jax.Array, dropout: Dropout) -> tuple[jax.Array, jax.Array]:
        mixed, weights = self.attention(self.attention_norm(states), bias, dropout)
        states = states + dropout(mixed)
        return states + dropout(self.feed_forward(self.feed_forward_norm(states), dropout)), weights


class DecoderBlock(nnx.Module):
    """Self-attention, positional attention where wanted, cross-attention, feed-forward layer."""

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        self.attention = SelfAttention(config, rngs)
        self.attention_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
        positional = config.decoder == "refinement" and config.positional_attention
        self.positional = PositionalAttention(config, rngs) if positional else None
        self.positional_norm = RMSNorm(config.d_model, config.layer_norm_epsilon) if positional else None
        self.cross = CrossAttention(config, rngs)
        self.cross_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.feed_forward = FeedForward(config, rngs)
        self.feed_forward_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def __call__(
        self,
        states: jax.Array,
        own: Callable[[SelfAttention, jax.Array], jax.Array],
        source: Callable[[CrossAttention, jax.Array], jax.Array],
        places: Callable[[PositionalAttention, jax.Array], jax.Array] | None = None,
        dropout: Dropout = NO_DROPOUT,
    ) -> jax.Array:
        """One layer, whatever the attention reads its keys from.

        Args:
            states: [B, L, D].
            own: self-attention, given the layer and normalised states: over all positions, or over a cache.
            source: attention to the source, likewise.
            places: attention by position, likewise; only for blocks that have it.
            dropout: of training.
        """
        states = states + dropout(own(self.attention, self.attention_norm(states)))
        if self.positional is not None and self.positional_norm is not None and places is not None:
            states = states + dropout(places(self.positional, self.positional_norm(states)))
        states = states + dropout(source(self.cross, self.cross_norm(states)))
        return states + dropout(self.feed_forward(self.feed_forward_norm(states), dropout))


class Encoder(nnx.Module):
    """Bidirectional stack."""

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        self.bias = RelativeBias(config, True, rngs)
        self.blocks = nnx.List([EncoderBlock(config, rngs) for _ in range(config.num_layers)])
        self.norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def __call__(
        self, states: jax.Array, visible: jax.Array, dropout: Dropout = NO_DROPOUT
    ) -> tuple[jax.Array, list[jax.Array]]:
        """Embedded source [B, S, D], its tokens [B, S] -> states [B, S, D], attention of each layer."""
        bias = self.bias(states.shape[1], states.shape[1]) + padding_bias(visible)
        states, found = dropout(states), []
        for block in self.blocks:
            states, weights = block(states, bias, dropout)
            found.append(weights)
        return dropout(self.norm(states)), found


class Decoder(nnx.Module):
    """Causal or bidirectional stack with cross-attention."""

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        self.causal = config.decoder == "autoregressive"
        self.bias = RelativeBias(config, not self.causal, rngs)
        self.blocks = nnx.List([DecoderBlock(config, rngs) for _ in range(config.num_decoder_layers)])
        self.norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
        if config.decoder == "refinement" and config.positional_attention:
            drawn = jax.random.normal(rngs.params(), (config.max_target_length, config.d_model))
            self.positions: nnx.Param | None = nnx.Param(config.initializer_factor * drawn)
        else:
            self.positions = None

    def memory(self, states: jax.Array) -> list[Memory]:
        """Keys and values of the encoder states for each layer."""
        return [block.cross.memory(states) for block in self.blocks]

    def self_bias(self, length: int) -> jax.Array:
        """Position biases, and the causal mask where there is one, [1, H, L, L]."""
        bias = self.bias(length, length)
        return bias + causal_bias(length) if self.causal else bias

    def __call__(
        self,
        states: jax.Array,
        visible: jax.Array | None,
        memory: list[Memory],
        source_bias: jax.Array,
        dropout: Dropout = NO_DROPOUT,
    ) -> tuple[jax.Array, AttentionWeights]:
        """All positions at once.

        Args:
            states: embedded target [B, L, D].
            visible: target positions that are tokens [B, L]; None: all, as a causal mask alone suffices.
            memory: from `memory`.
            source_bias: hides padding of the source, [B, 1, 1, S].
            dropout: of training.

        Returns:
            Normalised states [B, L, D] and the attention weights.
        """
        length = states.shape[1]
        bias = self.self_bias(length)
        if visible is not None:
            bias = bias + padding_bias(visible)
        hidden = padding_bias(jnp.ones(states.shape[:2], bool) if visible is None else visible)
        found = AttentionWeights([], [], [])

        def recorded(result: tuple[jax.Array, jax.Array], where: list[jax.Array]) -> jax.Array:
            where.append(result[1])
            return result[0]

        def own(attention: SelfAttention, values: jax.Array) -> jax.Array:
            return recorded(attention(values, bias, dropout), found.own)

        def places(attention: PositionalAttention, values: jax.Array) -> jax.Array:
            assert self.positions is not None
            known = self.positions[...][:length]
            # A batch may be padded beyond the longest target; what stands there is hidden.
            known = jnp.pad(known, ((0, length - known.shape[0]), (0, 0)))
            return recorded(attention(values, known, hidden, dropout), found.positional)

        states = dropout(states)
        for block, pair in zip(self.blocks, memory, strict=True):

            def source(attention: CrossAttention, values: jax.Array, pair: Memory = pair) -> jax.Array:
                return recorded(attention(values, pair, source_bias, dropout), found.cross)

            states = block(states, own, source, places, dropout)
        return dropout(self.norm(states)), found


class T5(nnx.Module):
    """The whole network.

    Args:
        config: sizes and options.
        rngs: of the initial weights, ``nnx.Rngs(seed)``.
    """

    def __init__(self, config: T5Config, rngs: nnx.Rngs) -> None:
        self.config = config
        scale = config.initializer_factor
        self.shared = nnx.Param(scale * jax.random.normal(rngs.params(), (config.vocab_size, config.d_model)))
        self.encoder = Encoder(config, rngs)
        self.decoder = Decoder(config, rngs)
        if config.tied:
            self.lm_head: nnx.Param | None = None
        else:
            # Small, so that an untrained network starts near the uniform law.
            drawn = jax.random.normal(rngs.params(), (config.vocab_size, config.d_model))
            self.lm_head = nnx.Param(scale * config.d_model**-0.5 * drawn)
        refines = config.decoder == "refinement"
        if refines:
            drawn = jax.random.normal(rngs.params(), (config.special_symbols, config.d_model))
            self.specials: nnx.Param | None = nnx.Param(scale * drawn)
        else:
            self.specials = None
        self.length_head = length_head(config, rngs) if refines else None
        rejects = refines and config.learned_rejecter
        self.rejecter_head = Linear(config.d_model, [(1, config.d_model**-0.5)], rngs) if rejects else None

    def embed(self, tokens: jax.Array) -> jax.Array:
        """Ids of pieces and special symbols [B, L] -> [B, L, D]."""
        table = self.shared[...]
        vectors = table[jnp.minimum(tokens, table.shape[0] - 1)]
        if self.specials is not None:
            extra = self.specials[...]
            index = jnp.clip(tokens - table.shape[0], 0, extra.shape[0] - 1)
            vectors = jnp.where((tokens >= table.shape[0])[..., None], extra[index], vectors)
        return vectors.astype(self.config.dtype)

    def visible(self, tokens: jax.Array) -> jax.Array:
        """Which ids are not padding."""
        return tokens != self.config.pad_token_id

    def encode(self, source: jax.Array, dropout: Dropout = NO_DROPOUT) -> Encoded:
        """Source ids [B, S], padded on the right, -> states; a LENGTH symbol is put in front where lengths need one.

        The decoder does not attend to the LENGTH symbol.
        """
        return self.encode_with_attention(source, dropout)[0]

    def encode_with_attention(
        self, source: jax.Array, dropout: Dropout = NO_DROPOUT
    ) -> tuple[Encoded, list[jax.Array]]:
        """As `encode`, with the attention weights of each layer (LENGTH at position 0 where there is one)."""
        visible = self.visible(source)
        if self.config.decoder == "autoregressive" or self.config.length_predictor != "token":
            states, weights = self.encoder(self.embed(source), visible, dropout)
            return Encoded(states, visible), weights
        symbol = jnp.full((source.shape[0], 1), self.config.length_id, source.dtype)
        extended = jnp.concatenate([symbol, source], axis=1)
        states, weights = self.encoder(self.embed(extended), self.visible(extended), dropout)
        return Encoded(states[:, 1:], visible, states[:, 0]), weights

    def decode(
        self, tokens: jax.Array, encoded: Encoded, visible: jax.Array | None = None, dropout: Dropout = NO_DROPOUT
    ) -> jax.Array:
        """Decoder states [B, L, D] of the input ids [B, L], see `decode_with_attention`."""
        return self.decode_with_attention(tokens, encoded, visible, dropout)[0]

    def decode_with_attention(
        self, tokens: jax.Array, encoded: Encoded, visible: jax.Array | None = None, dropout: Dropout = NO_DROPOUT
    ) -> tuple[jax.Array, AttentionWeights]:
        """Decoder states and attention weights.

        Args:
            tokens: inputs [B, L]: the target shifted right (`shift_right`), or the noised target of refinement.
            encoded: from `encode`.
            visible: positions that are tokens [B, L]. By default all but padding for refinement, and all for an
                autoregressive decoder, whose first input is the padding id.
            dropout: of training.
        """
        if visible is None and not self.decoder.causal:
            visible = self.visible(tokens)
        memory = self.decoder.memory(encoded.states)
        return self.decoder(self.embed(tokens), visible, memory, padding_bias(encoded.visible), dropout)

    def output_table(self) -> jax.Array:
        """W of the output layer, [V, D]."""
        return self.shared[...] if self.lm_head is None else self.lm_head[...]

    def logits(self, states: jax.Array, columns: jax.Array | None = None) -> jax.Array:
        """Decoder states [..., D] -> logits over the pieces [..., V], float32.

        Args:
            states: after the last norm.
            columns: the output table transposed, [D, V], where the caller keeps one: on a processor a few states are
                multiplied by it up to twice as fast.
        """
        if self.config.scale_decoder_outputs:
            states = states * self.config.d_model**-0.5
        if columns is not None:
            return (states @ columns.astype(states.dtype)).astype(jnp.float32)
        table = self.output_table().astype(states.dtype)
        return jnp.einsum("...d,vd->...v", states, table).astype(jnp.float32)

    def keep_logits(self, states: jax.Array) -> jax.Array:
        """Logits of "this prediction is right" [...], from states [..., D] without gradient.

        Raises:
            InvalidInput: the network has no rejecter head.
        """
        if self.rejecter_head is None:
            raise InvalidInput("learned_rejecter", False, "the network was made without a rejecter head")
        return self.rejecter_head(jax.lax.stop_gradient(states).astype(jnp.float32))[..., 0]

    def shift_right(self, target: jax.Array) -> jax.Array:
        """Target ids [B, L] -> inputs of the autoregressive decoder: the start symbol, then all but the last id."""
        start = jnp.full((target.shape[0], 1), self.config.decoder_start_token_id, target.dtype)
        return jnp.concatenate([start, target[:, :-1]], axis=1)


def fresh_network(config: T5Config, seed: int) -> T5:
    """A network of random weights.

    Raises:
        ExceedsMemory: the weights do not fit.
    """
    require_memory(4.0 * config.weights, "d_model", config.d_model, f"the {config.weights:,} weights of the network")
    return T5(config, nnx.Rngs(seed))


def parameters(network: T5) -> list[jax.Array]:
    """The arrays of a network in a fixed order; a compiled program takes them sooner than a tree of modules."""
    return jax.tree.leaves(nnx.split(network, nnx.Param)[1])


def with_parameters(config: T5Config, arrays: list[jax.Array]) -> T5:
    """The network of a configuration that has these `parameters`."""
    graph, structure = _skeleton(config)
    return nnx.merge(graph, jax.tree.unflatten(structure, arrays))


@lru_cache(maxsize=64)
def _skeleton(config: T5Config) -> tuple[nnx.GraphDef[T5], Any]:
    graph, state = nnx.split(nnx.eval_shape(lambda: T5(config, nnx.Rngs(0))), nnx.Param)
    return graph, jax.tree.structure(state)
