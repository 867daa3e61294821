"""Choice among the hypotheses of parallel decoding by an autoregressive network, usually the teacher.

A refining network scores its own hypotheses by probabilities that ignore how tokens depend on each other, which is just
what goes wrong in parallel. An autoregressive network scores a given target in one pass over all positions,

    ln p(y | x) = sum_i ln p(y_i | y_<i, x),

and the hypothesis with the largest ln p over the brevity penalty (`simulators.t5.decoding.hypotheses`) is taken. Known
as noisy parallel decoding (Gu et al. 2018, arXiv:1711.02281). It costs one encoder pass for each sentence and one
decoder pass for each hypothesis, and no loop over positions.

Legend: ``B`` sentences, ``R`` rows (hypotheses of all sentences), ``S``, ``L`` lengths of source and target, ``V``
pieces.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from simulators.t5.network.attention import padding_bias
from simulators.t5.network.config import T5Config
from simulators.t5.network.network import T5, parameters, with_parameters
from theory.errors import InvalidInput


class Rescorer:
    """Log-probabilities of given targets.

    Args:
        network: an autoregressive `T5` over the same vocabulary as the network whose hypotheses it scores.

    Attributes:
        network: that network.

    Raises:
        InvalidInput: a refinement network.
    """

    def __init__(self, network: T5) -> None:
        if network.config.decoder != "autoregressive":
            raise InvalidInput("rescorer", "a refinement decoder", "an autoregressive one is needed")
        self.network = network
        self._parameters = parameters(network)

    def require_same_ids(self, config: T5Config) -> None:
        """Raise unless ids mean the same to a network of this configuration.

        Raises:
            InvalidInput: another vocabulary size, padding or end symbol.
        """
        for name in ("vocab_size", "pad_token_id", "eos_token_id"):
            own, other = getattr(self.network.config, name), getattr(config, name)
            if own != other:
                raise InvalidInput(f"rescorer: {name}", own, f"that of the network whose hypotheses it scores, {other}")

    def __call__(
        self, source: NDArray[np.int32], sentences: NDArray[np.int32], tokens: NDArray[np.int32], block: int
    ) -> NDArray[np.float32]:
        """ln p of each row under its sentence, nats, EOS counted, [R].

        Args:
            source: ids [B, S], padded on the right.
            sentences: row of ``source`` that each hypothesis translates, [R].
            tokens: ids of the hypotheses [R, L], EOS included, padded on the right.
            block: rows of a pass; R is a multiple of it.
        """
        return np.asarray(_log_probabilities(self.network.config, block, self._parameters, source, sentences, tokens))


@partial(jax.jit, static_argnums=(0, 1))
def _log_probabilities(config: T5Config, block: int, arrays: Any, source: Any, sentences: Any, tokens: Any) -> Any:
    network = with_parameters(config, arrays)
    encoded = network.encode(source)
    memory = network.decoder.memory(encoded.states)
    source_bias = padding_bias(encoded.visible)

    def one_block(rows: tuple[jax.Array, jax.Array]) -> jax.Array:
        sentence, target = rows
        own = jax.tree.map(lambda array: array[sentence], memory)
        inputs = network.embed(network.shift_right(target))
        states, _ = network.decoder(inputs, None, own, source_bias[sentence])
        logits = network.logits(states)
        chosen = jnp.take_along_axis(logits, target[..., None], axis=-1)[..., 0]
        log_law = chosen - jax.nn.logsumexp(logits, axis=-1)
        return jnp.where(target != config.pad_token_id, log_law, 0.0).sum(axis=1)

    blocks = (sentences.reshape(-1, block), tokens.reshape(-1, block, tokens.shape[1]))
    return jax.lax.map(one_block, blocks).reshape(-1)
