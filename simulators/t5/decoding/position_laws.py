"""The laws from which a refinement step draws its tokens, the attention that led to them, and the law of lengths.

Legend: ``B`` rows, ``S`` source length, ``L`` target length, ``V`` pieces.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from simulators.t5.decoding.predictions import forbid
from simulators.t5.network.lengths import TokenLength
from simulators.t5.network.network import T5
from theory.errors import InvalidInput


def position_laws(network: T5, source: NDArray[np.integer], inputs: NDArray[np.integer]) -> NDArray[np.float64]:
    """p(token at each position | inputs), [B, L, V]; padding and EOS have probability 0, as in decoding.

    Args:
        network: with a refinement decoder.
        source: ids [B, S], EOS at the end, padded on the right.
        inputs: target tokens and masks [B, L], EOS at the end, padded on the right.

    Raises:
        InvalidInput: an autoregressive network, or unequal numbers of rows.
    """
    values = np.asarray(_laws(*_arguments(network, source, inputs)), dtype=np.float64)
    return values / values.sum(axis=2, keepdims=True)


def length_laws(network: T5, source: NDArray[np.integer]) -> NDArray[np.float64]:
    """p(length of the target, EOS counted, = 1..L_max), [B, L_max].

    Args:
        network: with the length predictor "token", the one that has a law.
        source: see `position_laws`.

    Raises:
        InvalidInput: another length predictor.
    """
    if not isinstance(network.length_head, TokenLength):
        raise InvalidInput("length_predictor", network.config.length_predictor, "token is needed for a law of lengths")
    graph, state = nnx.split(network)
    values = np.asarray(_lengths(nnx.merge(graph, state), np.asarray(source, np.int32)), dtype=np.float64)
    return values / values.sum(axis=1, keepdims=True)


def neighbour_attention(network: T5, source: NDArray[np.integer], inputs: NDArray[np.integer]) -> NDArray[np.float64]:
    """Decoder self-attention between positions i and i + 1, mean of directions, heads and layers, [B, L - 1].

    Args:
        network, source, inputs: see `position_laws`.

    Raises:
        InvalidInput: see `position_laws`.
    """
    weights = _attention(*_arguments(network, source, inputs))
    mean = np.mean([np.asarray(layer, np.float64).mean(axis=1) for layer in weights], axis=0)
    after, before = (np.diagonal(mean, offset=offset, axis1=1, axis2=2) for offset in (1, -1))
    return np.asarray((after + before) / 2)


def _arguments(network: T5, source: NDArray[np.integer], inputs: NDArray[np.integer]) -> tuple[T5, Any, Any]:
    if network.config.decoder != "refinement":
        raise InvalidInput("network", "an autoregressive decoder", "a refinement one is needed")
    if len(source) != len(inputs):
        raise InvalidInput("inputs", f"{len(inputs)} rows", f"as many as sources, {len(source)}, are needed")
    # The network is an argument, so that another one of the same configuration compiles nothing.
    graph, state = nnx.split(network)
    return nnx.merge(graph, state), np.asarray(source, np.int32), np.asarray(inputs, np.int32)


@jax.jit
def _laws(network: T5, source: Any, inputs: Any) -> jax.Array:
    config = network.config
    states = network.decode(inputs, network.encode(source))
    logits = network.logits(states).reshape(-1, config.vocab_size)
    law = jax.nn.softmax(forbid(logits, (config.pad_token_id, config.eos_token_id)), axis=-1)
    return law.reshape(*inputs.shape, -1)


@jax.jit
def _lengths(network: T5, source: Any) -> jax.Array:
    assert isinstance(network.length_head, TokenLength)
    return jnp.exp(network.length_head.log_probabilities(network.encode(source)))


@jax.jit
def _attention(network: T5, source: Any, inputs: Any) -> list[jax.Array]:
    return network.decode_with_attention(inputs, network.encode(source))[1].own
