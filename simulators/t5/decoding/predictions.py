"""Predictions from decoder states, with logits computed only at the positions that need them.

The output layer is a large part of a pass (V columns for each position). Positions are gathered into blocks, and a
compiled loop runs over as many blocks as there are positions: padding, EOS, sentences that are finished and tokens that
are not predicted again cost nothing.

A *shortlist* leaves little of the output layer after the first pass: the K pieces of largest max_i p(y_i | input) over
the positions i that the first pass predicts, EOS always among them. Later passes choose among these alone, and their
probabilities are relative to them: a piece that no position found likely at first cannot come in later. With K = V
nothing changes. Decoders that go token by token take such lists from a lexicon (Jean et al. 2015, arXiv:1412.2007).

Legend: ``R`` rows, ``L`` length, ``V`` pieces, ``K`` pieces of a shortlist, ``D`` width, ``P = R L`` positions, ``C``
positions of a block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from simulators.t5.decoding.sampling import argmax, choose
from simulators.t5.decoding.settings import Sampling
from simulators.t5.network.attention import HIDDEN
from simulators.t5.network.network import T5


class Predicted(NamedTuple):
    """What was predicted, [R, L] each; positions without logits hold 0.

    Attributes:
        tokens: the choice.
        confidence: ln p of it.
        current: ln p of the token that was the input.
        summed: the choice by logits summed over the steps.
        summed_confidence: ln p of it at this step.
        total: the logits summed over the steps [R, L, V], where they are asked for.
        pieces: the shortlist of each row [R, K], where it is asked for.
    """

    tokens: jax.Array
    confidence: jax.Array
    current: jax.Array
    summed: jax.Array
    summed_confidence: jax.Array
    total: jax.Array | None = None
    pieces: jax.Array | None = None


def predict(
    network: T5,
    states: jax.Array,
    needed: jax.Array,
    tokens: jax.Array,
    uniforms: jax.Array,
    sampling: Sampling,
    confident: bool,
    total: jax.Array | None,
    block: int,
    shortlist: int = 0,
) -> Predicted:
    """Choose a token at each needed position; padding and EOS are never chosen.

    Args:
        network: for its output layer.
        states: decoder states [R, L, D].
        needed: where to predict [R, L].
        tokens: the input [R, L], whose ln p is wanted too.
        uniforms: numbers [R, L] that sampling uses.
        sampling: how to choose.
        confident: whether log-probabilities are wanted; they cost about as much as the choice.
        total: logits summed over the steps so far [R, L, V], None where they are not wanted.
        block: C.
        shortlist: K, or 0 where none is wanted.
    """
    config = network.config
    shape = tokens.shape
    size = tokens.size
    block = min(block, size)
    flat_states = states.reshape(size, -1)
    flat_tokens, flat_uniforms = tokens.reshape(-1), uniforms.reshape(-1)
    order = jnp.nonzero(needed.reshape(-1), size=-(-size // block) * block, fill_value=size)[0]
    count = needed.sum()

    def body(carry: Any) -> Any:
        index, found = carry
        chosen = jax.lax.dynamic_slice(order, (index * block,), (block,))
        logits = network.logits(flat_states.at[chosen].get(mode="clip"))
        current = flat_tokens.at[chosen].get(mode="clip")
        result: dict[str, jax.Array] = {}
        if confident or shortlist:
            normaliser = jax.nn.logsumexp(logits, axis=1)
        if confident:
            result["current"] = jnp.where(current < config.vocab_size, _entry(logits, current), HIDDEN) - normaliser
        allowed = forbid(logits, (config.pad_token_id, config.eos_token_id))
        result["tokens"] = choose(allowed, flat_uniforms.at[chosen].get(mode="clip"), sampling)
        if confident:
            result["confidence"] = _entry(logits, result["tokens"]) - normaliser
        if total is not None:
            result["total"] = found["total"].at[chosen].get(mode="clip") + logits
            result["summed"] = argmax(forbid(result["total"], (config.pad_token_id, config.eos_token_id)))
            if confident:
                result["summed_confidence"] = _entry(logits, result["summed"]) - normaliser
        after = {
            name: array.at[chosen].set(result[name], mode="drop") if name in result else array
            for name, array in found.items()
        }
        if shortlist:
            # The last position is EOS already, whether its logits are wanted for a score or not.
            rows = jnp.where(current == config.eos_token_id, shape[0], chosen // shape[1])
            after["largest"] = found["largest"].at[rows].max(logits - normaliser[:, None], mode="drop")
        return index + 1, after

    found: dict[str, Any] = {
        "tokens": jnp.zeros(size, jnp.int32),
        "confidence": jnp.zeros(size),
        "current": jnp.zeros(size),
        "summed": jnp.zeros(size, jnp.int32),
        "summed_confidence": jnp.zeros(size),
    }
    if total is not None:
        found["total"] = total.reshape(size, -1)
    if shortlist:
        found["largest"] = jnp.full((shape[0], config.vocab_size), -jnp.inf)
    _, found = jax.lax.while_loop(lambda carry: carry[0] * block < count, body, (jnp.int32(0), found))
    largest = found.pop("largest", None)
    arrays: dict[str, Any] = {name: array.reshape(*shape, *array.shape[1:]) for name, array in found.items()}
    if largest is not None:
        _, pieces = jax.lax.top_k(largest.at[:, config.eos_token_id].set(jnp.inf), shortlist)
        # In order of their ids, so that the first of equally likely pieces is the same with and without a shortlist.
        arrays["pieces"] = jnp.sort(pieces.astype(jnp.int32), axis=1)
    return Predicted(**arrays)


def predict_among(
    network: T5,
    states: jax.Array,
    pieces: jax.Array,
    tokens: jax.Array,
    uniforms: jax.Array,
    sampling: Sampling,
    confident: bool,
) -> Predicted:
    """Choose a token of a shortlist at every position; what `predict` finds where K = V.

    Args:
        network: for its output layer.
        states: decoder states [R, L, D].
        pieces: the shortlist of each row, ids in ascending order [R, K].
        tokens, uniforms, sampling, confident: as in `predict`.
    """
    config = network.config
    logits = network.logits(states, network.output_table()[pieces].swapaxes(1, 2))
    forbidden = (pieces == config.pad_token_id) | (pieces == config.eos_token_id)
    index = choose(jnp.where(forbidden[:, None], HIDDEN, logits), uniforms, sampling)
    current = confidence = jnp.zeros(tokens.shape)
    if confident:
        normaliser = jax.nn.logsumexp(logits, axis=-1)
        same = pieces[:, None] == tokens[..., None]
        current = jnp.where(same, logits, HIDDEN).max(axis=-1) - normaliser
        confidence = jnp.take_along_axis(logits, index[..., None], axis=-1)[..., 0] - normaliser
    chosen = jnp.take_along_axis(pieces, index, axis=1)
    return Predicted(chosen, confidence, current, jnp.zeros_like(chosen), jnp.zeros(tokens.shape), pieces=pieces)


def forbid(logits: jax.Array, pieces: tuple[int, ...]) -> jax.Array:
    """Logits [C, V] in which some pieces are out of the question."""
    column = jnp.full((logits.shape[0], 1), HIDDEN, logits.dtype)
    for piece in pieces:
        logits = jax.lax.dynamic_update_slice(logits, column, (0, piece))
    return logits


def _entry(logits: jax.Array, tokens: jax.Array) -> jax.Array:
    index = jnp.minimum(tokens, logits.shape[1] - 1)
    return jnp.take_along_axis(logits, index[:, None], axis=1)[:, 0]
