"""Autoregressive decoding with a key-value cache: one token after the other, one compiled loop.

*Greedy* takes the most likely token, *sampling* draws it (`simulators.t5.decoding.sampling`), *beam search* keeps
the W best prefixes by the sum of log-probabilities. A finished hypothesis of n tokens (EOS counted) scores

    sum_i ln p(y_i | y_<i, x) / n^alpha,

and a sentence is finished when none of its prefixes can enter its W finished hypotheses at its present length, the
rule of `transformers` (``early_stopping=False``). At the largest length every prefix counts as finished.

A beam never moves the cache: each prefix remembers in which slot of the beam each of its tokens was written
(*ancestry*), and attention hides the slots of others. Sentences that are finished get padding; the loop ends with the
last one.

Legend: ``B`` batch, ``W`` beam width, ``T`` longest target, ``S`` source length, ``V`` pieces, ``H`` heads, ``d``
width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.t5.decoding.beam import advance, best_hypothesis, first_beam, unfinished
from simulators.t5.decoding.sampling import Sampling, choose, sentence_keys, sentence_uniforms
from simulators.t5.network.attention import HIDDEN, padding_bias, relative_buckets
from simulators.t5.network.batches import bucket, source_batch
from simulators.t5.network.network import T5, DecoderBlock, parameters, with_parameters
from theory.errors import InvalidInput

Cache = list[tuple[jax.Array, jax.Array]]
"""Keys and values of each layer, [B, H, T, W, d] each."""


@dataclass(frozen=True)
class GenerationSettings:
    """How to decode.

    Attributes:
        max_length: most tokens of a target, EOS counted.
        min_length: EOS cannot be chosen before this many tokens, EOS counted.
        beams: W; 1 is greedy decoding or sampling.
        length_penalty: alpha.
        sampling: of a single beam.
        scores: whether to compute the log-probabilities of a single beam too; beam search always has scores.
    """

    max_length: int = 128
    min_length: int = 1
    beams: int = 1
    length_penalty: float = 1.0
    sampling: Sampling = field(default_factory=Sampling)
    scores: bool = False

    def __post_init__(self) -> None:
        for name in ("max_length", "min_length", "beams"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InvalidInput(name, value, "a whole number of at least 1 is needed")
        if self.min_length > self.max_length:
            raise InvalidInput("min_length", self.min_length, f"at most max_length, {self.max_length}")
        if not np.isfinite(self.length_penalty):
            raise InvalidInput("length_penalty", self.length_penalty, "a finite number is needed")
        if self.beams > 1 and not self.sampling.greedy:
            raise InvalidInput("beams", self.beams, "beam search does not sample: a temperature needs one beam")


class Generation(NamedTuple):
    """Targets of a batch.

    Attributes:
        tokens: ids [B, T], EOS included where it was reached, padded on the right.
        lengths: tokens of each target, EOS counted, [B].
        scores: sum of log-probabilities, over length^alpha with a beam, [B]; None where they were not asked for.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]
    scores: NDArray[np.float32] | None


class AutoregressiveDecoder:
    """Decoding with the weights that a network has now; `load` takes newer ones without compiling again.

    Args:
        network: an autoregressive `T5`.
        settings: how to decode.

    Attributes:
        traces: how many programs were compiled so far: one for each shape of a batch.

    Raises:
        InvalidInput: a refinement network, or more beams than the vocabulary allows.
    """

    def __init__(self, network: T5, settings: GenerationSettings = GenerationSettings()) -> None:
        if network.config.decoder != "autoregressive":
            raise InvalidInput("network", "a refinement decoder", "an autoregressive one is needed")
        if 2 * settings.beams > network.config.vocab_size:
            raise InvalidInput("beams", settings.beams, "at most half the vocabulary")
        self.config = network.config
        self.settings = settings
        self.traces = 0
        self.load(network)
        self._run = jax.jit(self._traced, static_argnums=(6,))

    def load(self, network: T5) -> None:
        """Take the weights of a network of the same configuration."""
        if network.config != self.config:
            raise InvalidInput("network", "another configuration", "the one that the decoder was made for is needed")
        self._parameters = parameters(network)
        self._columns = jnp.array(network.output_table().T)

    def __call__(
        self,
        source: ArrayLike,
        key: jax.Array | None = None,
        sentences: ArrayLike | None = None,
    ) -> Generation:
        """Targets of a batch of source sentences.

        Args:
            source: ids [B, S] padded on the right, or a list of lists of ids.
            key: of sampling; needed at a positive temperature.
            sentences: numbers [B] that tell sentences apart in drawing; 0..B-1 by default.

        Raises:
            InvalidInput: see `simulators.t5.network.batches.source_batch`; or sampling without a key.
        """
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
        found: Generation = jax.device_get(
            self._run(self._parameters, self._columns, tokens, real, key, numbers, longest)
        )
        return jax.tree.map(lambda array: array[:count], found)

    def _traced(
        self, arrays: Any, columns: Any, source: Any, real: Any, key: Any, numbers: Any, longest: int
    ) -> Generation:
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
) -> Generation:
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
        logits = forbid_end(logits[:, 0], position, settings.min_length, config.eos_token_id)
        uniforms = jnp.zeros(batch) if keys is None else sentence_uniforms(keys, position, 1)[:, 0]
        chosen = choose(logits, uniforms, sampling)
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
    return Generation(tokens[:, : settings.max_length], lengths, scores if settings.scores else None)  # type: ignore


def _beam_search(
    network: T5, columns: Any, settings: GenerationSettings, source: Any, real: Any, longest: int
) -> Generation:
    config, width = network.config, settings.beams
    stepper = _Stepper(network, columns, source, longest, width)

    def going(carry: Any) -> Any:
        state, _ = carry
        return (state.position < settings.max_length) & unfinished(state, settings.length_penalty).any()

    def body(carry: Any) -> Any:
        state, cache = carry
        logits, cache = stepper(state.last, state.position, cache, state.ancestry)
        logits = forbid_end(logits, state.position, settings.min_length, config.eos_token_id)
        final = state.position + 1 == settings.max_length
        return advance(state, logits, config.eos_token_id, settings.length_penalty, final), cache

    state = first_beam(real, width, longest, config.decoder_start_token_id, config.pad_token_id)
    state, _ = jax.lax.while_loop(going, body, (state, stepper.empty_cache()))
    tokens, lengths, scores = best_hypothesis(state)
    return Generation(tokens[:, : settings.max_length], lengths, scores)  # type: ignore[arg-type]


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
        queries, keys, values = block.attention.project(block.attention_norm(states))
        # [B, W, H, d] -> [B, H, 1, W, d], written at this position.
        written = tuple(
            jax.lax.dynamic_update_slice(store, new.transpose(0, 2, 1, 3)[:, :, None], (0, 0, position, 0, 0))
            for store, new in zip(cache, (keys, values), strict=True)
        )
        flat = [store.reshape(*store.shape[:2], -1, store.shape[-1]) for store in written]
        states = states + block.attention.output(mix(queries, flat[0], flat[1], bias))
        queries = block.cross.query(block.cross_norm(states))
        queries = queries.reshape(*queries.shape[:-1], block.cross.heads, -1)
        states = states + block.cross.output(mix(queries, *memory, self.source_bias))
        return states + block.feed_forward(block.feed_forward_norm(states)), (written[0], written[1])


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
