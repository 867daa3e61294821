"""Autoregressive decoding with a key-value cache: one token after the other, one compiled loop.

*Greedy* takes the most likely token, *sampling* draws it (`simulators.t5.decoding.sampling`), *beam search* keeps
the W best prefixes by the sum of log-probabilities. A finished hypothesis of n tokens (EOS counted) scores

    sum_i ln p(y_i | y_<i, x) / n^alpha,

with the probabilities of the network: a least length hides EOS from the choice, not from the law. When a sentence is
finished is the rule of `simulators.t5.decoding.beam`; at the largest length every prefix counts as finished.

A beam never moves the cache: each prefix remembers in which slot of the beam each of its tokens was written
(*ancestry*), and attention hides the slots of others. Sentences that are finished get padding; the loop ends with the
last one.

Legend: ``B`` batch, ``W`` beam width, ``T`` longest target, ``S`` source length, ``V`` pieces, ``H`` heads, ``d``
width of a head.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from simulators.t5.decoding.beam import WORST, Stopping, advance, first_beam, unfinished
from simulators.t5.decoding.decoder import Decoded, ranked_hypotheses
from simulators.t5.decoding.sampling import choose, sentence_keys, sentence_uniforms
from simulators.t5.decoding.settings import GREEDY, GenerationSettings
from simulators.t5.network.attention import HIDDEN, CrossAttention, SelfAttention, padding_bias, relative_buckets
from simulators.t5.network.batches import bucket, source_batch
from simulators.t5.network.network import T5, DecoderBlock, parameters, with_parameters
from theory.errors import InvalidInput

Cache = list[tuple[jax.Array, jax.Array]]
"""Keys and values of each layer, [B, H, T, W, d] each."""

Found = tuple[jax.Array, jax.Array, jax.Array | None]
"""Tokens, lengths and scores: [B, T], [B] and [B] of a single beam, [B, W, T], [B, W] and [B, W] of a beam search."""


class AutoregressiveDecoder:
    """A `simulators.t5.decoding.decoder.Decoder` that goes token by token.

    Args:
        network: an autoregressive `T5`.
        settings: how to decode.

    Raises:
        InvalidInput: a refinement network, or more beams than the vocabulary allows.
    """

    def __init__(self, network: T5, settings: GenerationSettings = GREEDY) -> None:
        if network.config.decoder != "autoregressive":
            raise InvalidInput("network", "a refinement decoder", "an autoregressive one is needed")
        if 2 * settings.beams >= network.config.vocab_size:
            raise InvalidInput("beams", settings.beams, "less than half the vocabulary")
        self.config = network.config
        self.settings = settings
        self.traces = 0
        self.load(network)
        self._run = jax.jit(self._traced, static_argnums=(6,))

    def load(self, network: T5) -> None:
        """See `Decoder`."""
        if network.config != self.config:
            raise InvalidInput("network", "another configuration", "the one that the decoder was made for is needed")
        self._parameters = parameters(network)
        self._columns = jnp.array(network.output_table().T)

    def __call__(
        self,
        source: ArrayLike,
        lengths: ArrayLike | None = None,
        key: jax.Array | None = None,
        sentences: ArrayLike | None = None,
        steps: int | None = None,
    ) -> Decoded:
        """See `Decoder`; sampling needs a key."""
        for name, given in (("lengths", lengths), ("steps", steps)):
            if given is not None:
                raise InvalidInput(name, given, "an autoregressive decoder finds out by itself")
        if self.settings.sampling.greedy:
            key = None
        elif key is None:
            raise InvalidInput("key", None, "sampling needs a random key")
        count = len(source)  # type: ignore[arg-type]
        tokens = source_batch(self.config, source)
        numbers = np.zeros(len(tokens), np.int32)
        numbers[:count] = np.arange(count) if sentences is None else np.asarray(sentences)
        real = np.arange(len(tokens)) < count
        longest = bucket(self.settings.max_length)
        found: Any = jax.device_get(self._run(self._parameters, self._columns, tokens, real, key, numbers, longest))
        targets, spoken, scores = jax.tree.map(lambda array: array[:count], found)
        if self.settings.beams == 1:
            return Decoded(targets, spoken, scores, spoken)
        best = Decoded(targets[:, 0], spoken[:, 0], scores[:, 0], spoken[:, 0])
        if self.settings.n_best == 1:
            return best
        return best._replace(ranked=ranked_hypotheses(targets, spoken, scores, scores > WORST, self.settings.n_best))

    def _traced(self, arrays: Any, columns: Any, source: Any, real: Any, key: Any, numbers: Any, longest: int) -> Found:
        self.traces += 1
        network = with_parameters(self.config, arrays)
        if self.settings.beams > 1:
            return _beam_search(network, columns, self.settings, source, real, longest)
        return _generate(network, columns, self.settings, source, real, key, numbers, longest)


def _generate(
    network: T5,
    columns: Any,
    settings: GenerationSettings,
    source: Any,
    real: Any,
    key: Any,
    numbers: Any,
    longest: int,
) -> Found:
    """Greedy decoding or sampling."""
    config, batch = network.config, source.shape[0]
    stepper = _Stepper(network, columns, source, longest, 1)
    sampling = settings.sampling
    keys = None if key is None else sentence_keys(key, numbers)

    def going(carry: Any) -> Any:
        position, _, finished, *_ = carry
        return (position < settings.max_length) & ~finished.all()

    def body(carry: Any) -> Any:
        position, last, finished, tokens, scores, cache = carry
        logits, cache = stepper(last[:, None], position, cache, None)
        logits = logits[:, 0]
        allowed = forbid_end(logits, position, settings.min_length, config.eos_token_id)
        uniforms = jnp.zeros(batch) if keys is None else sentence_uniforms(keys, position, 1)[:, 0]
        chosen = choose(allowed, uniforms, sampling)
        if settings.scores:
            taken = jnp.take_along_axis(logits, chosen[:, None], axis=1)[:, 0]
            scores = scores + jnp.where(finished, 0.0, taken - jax.nn.logsumexp(logits, axis=1))
        chosen = jnp.where(finished, config.pad_token_id, chosen)
        tokens = jax.lax.dynamic_update_slice(tokens, chosen[:, None], (0, position))
        return position + 1, chosen, finished | (chosen == config.eos_token_id), tokens, scores, cache

    start = jnp.full((batch,), config.decoder_start_token_id, jnp.int32)
    tokens = jnp.full((batch, longest), config.pad_token_id, jnp.int32)
    carry = (jnp.int32(0), start, ~jnp.asarray(real), tokens, jnp.zeros(batch), stepper.empty_cache())
    steps, _, _, tokens, scores, _ = jax.lax.while_loop(going, body, carry)
    # A piece may have the padding id, so lengths come from the end symbol.
    ended = tokens == config.eos_token_id
    lengths = jnp.where(ended.any(axis=1), jnp.argmax(ended, axis=1) + 1, steps)
    return tokens[:, : settings.max_length], lengths, scores if settings.scores else None


def _beam_search(
    network: T5, columns: Any, settings: GenerationSettings, source: Any, real: Any, longest: int
) -> Found:
    """The finished hypotheses of each sentence, best first."""
    config, width = network.config, settings.beams
    stepper = _Stepper(network, columns, source, longest, width)
    stopping = Stopping(settings.early_stopping, settings.length_penalty, settings.max_length)

    def going(carry: Any) -> Any:
        state, _ = carry
        return (state.position < settings.max_length) & unfinished(state, stopping).any()

    def body(carry: Any) -> Any:
        state, cache = carry
        logits, cache = stepper(state.last, state.position, cache, state.ancestry)
        allowed = forbid_end(logits, state.position, settings.min_length, config.eos_token_id)
        final = state.position + 1 == settings.max_length
        return advance(state, logits, allowed, config.eos_token_id, stopping, final), cache

    state = first_beam(real, width, longest, config.decoder_start_token_id, config.pad_token_id)
    state, _ = jax.lax.while_loop(going, body, (state, stepper.empty_cache()))
    return state.finished_tokens[..., : settings.max_length], state.finished_lengths, state.finished_scores


def forbid_end(logits: jax.Array, position: jax.Array, min_length: int, eos: int) -> jax.Array:
    """Logits [..., V] in which EOS is out of the question before the least length is reached."""
    if min_length == 1:
        return logits
    early = jnp.where(position + 1 < min_length, HIDDEN, 0.0)
    return logits.at[..., eos].add(early)


class _Stepper:
    """One decoder step for W prefixes of each sentence, with what stays the same over the steps."""

    def __init__(self, network: T5, columns: Any, source: Any, longest: int, width: int) -> None:
        self.network = network
        self.columns = columns
        self.longest = longest
        self.width = width
        encoded = network.encode(source)
        self.batch = source.shape[0]
        self.source_bias = padding_bias(encoded.visible)
        # [B, H, S, d]: the order in which every step reads them.
        self.memory = [
            (keys.transpose(0, 2, 1, 3), values.transpose(0, 2, 1, 3))
            for keys, values in network.decoder.memory(encoded.states)
        ]
        bias = network.decoder.bias
        past = relative_buckets(np.arange(1 - longest, 1), False, bias.buckets, bias.longest)
        future = jnp.full((network.config.num_heads, longest), HIDDEN)
        # Entry T - 1 + j - t is the bias of key j at step t.
        self.biases = jnp.concatenate([bias.table[...][past].T, future], axis=1)

    def empty_cache(self) -> Cache:
        config = self.network.config
        shape = (self.batch, config.num_heads, self.longest, self.width, config.d_kv)
        zeros = jnp.zeros(shape, config.dtype)
        return [(zeros, zeros) for _ in self.network.decoder.blocks]

    def __call__(
        self, tokens: jax.Array, position: jax.Array, cache: Cache, ancestry: jax.Array | None
    ) -> tuple[jax.Array, Cache]:
        """Logits [B, W, V] after tokens [B, W] at a position; ancestry [B, W, T] is the slot of each token."""
        states = self.network.embed(tokens)
        start = (0, self.longest - 1 - position)
        bias = jax.lax.dynamic_slice(self.biases, start, (self.biases.shape[0], self.longest))[None, :, None, :, None]
        if ancestry is not None:
            own = ancestry[:, None, :, :, None] == jnp.arange(self.width)
            bias = jnp.where(own, bias, HIDDEN)
        bias = bias.reshape(*bias.shape[:3], -1)
        grown = []
        for block, memory, pair in zip(self.network.decoder.blocks, self.memory, cache, strict=True):
            states, pair = self._block(block, states, position, bias, memory, pair)
            grown.append(pair)
        return self.network.logits(self.network.decoder.norm(states), self.columns), grown

    def _block(
        self,
        block: DecoderBlock,
        states: jax.Array,
        position: jax.Array,
        bias: jax.Array,
        memory: tuple[jax.Array, jax.Array],
        cache: tuple[jax.Array, jax.Array],
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        written: list[jax.Array] = []

        def own(attention: SelfAttention, values: jax.Array) -> jax.Array:
            queries, keys, values = attention.project(values)
            # [B, W, H, d] -> [B, H, 1, W, d], written at this position.
            for store, new in zip(cache, (keys, values), strict=True):
                new = new.transpose(0, 2, 1, 3)[:, :, None]
                written.append(jax.lax.dynamic_update_slice(store, new, (0, 0, position, 0, 0)))
            flat = [store.reshape(*store.shape[:2], -1, store.shape[-1]) for store in written]
            return attention.output(mix(queries, flat[0], flat[1], bias))

        def source(attention: CrossAttention, values: jax.Array) -> jax.Array:
            queries = attention.query(values)
            queries = queries.reshape(*queries.shape[:-1], attention.heads, -1)
            return attention.output(mix(queries, *memory, self.source_bias))

        states = block(states, own, source)
        return states, (written[0], written[1])


def mix(queries: jax.Array, keys: jax.Array, values: jax.Array, bias: jax.Array) -> jax.Array:
    """Attention of few queries [B, W, H, d] over keys and values [B, H, K, d], bias [B, H, W, K] -> [B, W, I].

    A single query is a product with vectors: sums that the compiler fuses beat its batched matrix product.
    """
    if queries.shape[1] == 1:
        query = queries[:, 0, :, None, :]
        scores = (query * keys).sum(axis=-1).astype(jnp.float32) + bias[:, :, 0]
        weights = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
        return (weights[..., None] * values).sum(axis=2).reshape(queries.shape[0], 1, -1)
    scores = jnp.einsum("bwhd,bhkd->bhwk", queries, keys).astype(jnp.float32) + bias
    weights = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
    return jnp.einsum("bhwk,bhkd->bwhd", weights, values).reshape(*queries.shape[:2], -1)
