"""Predictions from decoder states, with logits computed only at the positions that need them.

The output layer is a large part of a pass (V columns for each position). Positions are gathered into blocks, and a
compiled loop runs over as many blocks as there are positions: padding, EOS, sentences that are finished and tokens that
are not predicted again cost nothing.

Legend: ``R`` rows, ``L`` length, ``V`` pieces, ``D`` width, ``P = R L`` positions, ``C`` positions of a block.
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
    """

    tokens: jax.Array
    confidence: jax.Array
    current: jax.Array
    summed: jax.Array
    summed_confidence: jax.Array
    total: jax.Array | None


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
        if confident:
            normaliser = jax.nn.logsumexp(logits, axis=1)
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
        return index + 1, {
            name: array.at[chosen].set(result[name], mode="drop") if name in result else array
            for name, array in found.items()
        }

    found: dict[str, Any] = {
        "tokens": jnp.zeros(size, jnp.int32),
        "confidence": jnp.zeros(size),
        "current": jnp.zeros(size),
        "summed": jnp.zeros(size, jnp.int32),
        "summed_confidence": jnp.zeros(size),
    }
    if total is not None:
        found["total"] = total.reshape(size, -1)
    _, found = jax.lax.while_loop(lambda carry: carry[0] * block < count, body, (jnp.int32(0), found))
    arrays: dict[str, Any] = {name: array.reshape(*shape, *array.shape[1:]) for name, array in found.items()}
    return Predicted(**({"total": None} | arrays))


def forbid(logits: jax.Array, pieces: tuple[int, ...]) -> jax.Array:
    """Logits [C, V] in which some pieces are out of the question."""
    column = jnp.full((logits.shape[0], 1), HIDDEN, logits.dtype)
    for piece in pieces:
        logits = jax.lax.dynamic_update_slice(logits, column, (0, piece))
    return logits


def _entry(logits: jax.Array, tokens: jax.Array) -> jax.Array:
    index = jnp.minimum(tokens, logits.shape[1] - 1)
    return jnp.take_along_axis(logits, index[:, None], axis=1)[:, 0]
