"""Masked networks: from a partly masked sequence to a law for each of its sites.

Every network has one interface, so that the same experiment runs with and without neural approximation:

    network(tokens) -> log-probabilities,    [B, N] -> [B, N, q],

where a token is a symbol 0..q-1 or the mask q, and entry (b, i, .) is ln p(x_i = . | the visible tokens of row b); only
the entries at masked sites mean anything. The tokens of one call are predicted independently of each other. A network
is described by a frozen configuration, and `build` makes it from that and a seed.

Legend: ``B`` batch, ``N`` sites, ``q`` symbols, ``D`` width, ``H`` heads, ``F`` hidden units.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from theory.errors import InvalidInput

LogProbabilities = jax.Array


class MaskedNetwork(nnx.Module):
    """Base of all networks.

    Attributes:
        sites, symbols: N and q.
    """

    sites: int
    symbols: int

    def __call__(self, tokens: jax.Array) -> LogProbabilities:
        """ln p(x_i = . | visible tokens) for tokens [B, N], shape [B, N, q]."""
        raise NotImplementedError

    def block_log_likelihood(self, tokens: jax.Array, masked: jax.Array) -> jax.Array:
        """ln p(x_K | x_{-K}) of full sequences [B, N] under masks [B, N], shape [B].

        A network predicts the masked tokens independently given the visible ones, so this is the sum of their
        log-probabilities; a model that has a joint law of the block overrides it.
        """
        predicted = self(jnp.where(masked, self.symbols, tokens))
        taken = jnp.take_along_axis(predicted, tokens[:, :, None], axis=2)[:, :, 0]
        return jnp.where(masked, taken, 0.0).sum(axis=1)


@dataclass(frozen=True)
class MLPConfig:
    """A multilayer perceptron on the one-hot sequence.

    Attributes:
        sites, symbols: N and q.
        width: hidden units of each layer.
        layers: hidden layers.
    """

    sites: int
    symbols: int
    width: int = 64
    layers: int = 2

    def __post_init__(self) -> None:
        require_sizes(self, symbols=2)


class MLP(MaskedNetwork):
    """One-hot tokens (masks are a symbol of their own) -> GELU layers -> one softmax for each site."""

    def __init__(self, config: MLPConfig, rngs: nnx.Rngs) -> None:
        self.sites, self.symbols = config.sites, config.symbols
        sizes = [config.sites * (config.symbols + 1)] + [config.width] * config.layers
        self.hidden = nnx.List([nnx.Linear(before, after, rngs=rngs) for before, after in pairwise(sizes)])
        self.output = nnx.Linear(sizes[-1], config.sites * config.symbols, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> LogProbabilities:
        values = jax.nn.one_hot(tokens, self.symbols + 1, dtype=jnp.float32).reshape(tokens.shape[0], -1)
        for layer in self.hidden:
            values = jax.nn.gelu(layer(values))
        logits = self.output(values).reshape(tokens.shape[0], self.sites, self.symbols)
        return jax.nn.log_softmax(logits, axis=-1)


class FlooredNetwork(MaskedNetwork):
    """Another network mixed with the uniform law: (1 - q floor) p + floor, so that no symbol is ruled out.

    The mixture is trained through, and so it is a class of models whose conditionals are bounded below.

    Args:
        network: the network.
        floor: smallest probability of a symbol, in (0, 1/q).

    Raises:
        InvalidInput: a floor out of range.
    """

    def __init__(self, network: MaskedNetwork, floor: float) -> None:
        if not 0 < floor < 1 / network.symbols:
            raise InvalidInput("floor", floor, f"must lie in (0, 1/{network.symbols})")
        self.sites, self.symbols = network.sites, network.symbols
        self.network = network
        self.floor = floor

    def __call__(self, tokens: jax.Array) -> LogProbabilities:
        return jnp.log((1 - self.symbols * self.floor) * jnp.exp(self.network(tokens)) + self.floor)


def require_sizes(config: Any, **minimum: int) -> None:
    """Raise unless every whole-number field of a configuration is at least 1, or the minimum that is named."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        lowest = minimum.get(field.name, 1)
        if isinstance(value, int) and not isinstance(value, bool) and value < lowest:
            raise InvalidInput(field.name, value, f"at least {lowest} is needed")


def parameter_count(network: nnx.Module) -> int:
    """Number of trained numbers."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
