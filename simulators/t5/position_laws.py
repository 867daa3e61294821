"""The laws from which a refinement step draws its tokens, and the attention that led to them.

Legend: ``B`` rows, ``S`` source length, ``L`` target length, ``V`` pieces, ``H`` heads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from simulators.t5.network import T5
from simulators.t5.predictions import forbid
from theory.errors import InvalidInput


class PositionLaws(NamedTuple):
    """What a pass of the decoder predicts.

    Attributes:
        laws: p(token at each position | input), [B, L, V]; padding and EOS have probability 0, as in decoding.
        attention: decoder self-attention of each layer, [layers, B, H, L, L]; row i is what position i looks at.
    """

    laws: NDArray[np.float64]
    attention: NDArray[np.float32]


@jax.jit
def _pass(network: T5, source: Any, inputs: Any) -> tuple[jax.Array, list[jax.Array]]:
    states, weights = network.decode_with_attention(inputs, network.encode(source))
    config = network.config
    logits = network.logits(states).reshape(-1, config.vocab_size)
    law = jax.nn.softmax(forbid(logits, (config.pad_token_id, config.eos_token_id)), axis=-1)
    return law.reshape(*inputs.shape, -1), weights.own


def position_laws(network: T5, source: NDArray[np.integer], inputs: NDArray[np.integer]) -> PositionLaws:
    """The laws at given decoder inputs.

    Args:
        network: with a refinement decoder.
        source: ids [B, S], EOS at the end, padded on the right.
        inputs: target tokens and masks [B, L], EOS at the end, padded on the right.

    Raises:
        InvalidInput: an autoregressive network, or unequal numbers of rows.
    """
    if network.config.decoder != "refinement":
        raise InvalidInput("network", "an autoregressive decoder", "a refinement one is needed")
    if len(source) != len(inputs):
        raise InvalidInput("inputs", f"{len(inputs)} rows", f"as many as sources, {len(source)}, are needed")
    # The network is an argument, so that another one of the same configuration compiles nothing.
    graph, state = nnx.split(network)
    laws, attention = _pass(nnx.merge(graph, state), np.asarray(source, np.int32), np.asarray(inputs, np.int32))
    values = np.asarray(laws, dtype=np.float64)
    return PositionLaws(
        values / values.sum(axis=2, keepdims=True), np.stack([np.asarray(layer) for layer in attention])
    )
