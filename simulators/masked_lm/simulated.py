"""A network on a region as the models that `simulators.montecarlo` runs: every sampler, many chains at once.

The chains are compiled; the network is called back with the rows of all chains together.

Legend: ``n`` sites of the region, ``q`` symbols (the mask is q).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from simulators.masked_lm.region import Region
from simulators.montecarlo.draws import draw, possible, temper
from simulators.montecarlo.models import FunctionModel
from simulators.montecarlo.models.model import Model


class NetworkModel(FunctionModel):
    """The conditionals of a region; blocks are filled site by site, as in exact windows."""

    def __init__(self, region: Region) -> None:
        shape = jax.ShapeDtypeStruct((region.sites, region.symbols), jnp.float32)

        def host(tokens: NDArray[np.int32]) -> NDArray[np.float32]:
            rows = np.asarray(tokens)
            laws = region.probabilities(rows.reshape(-1, region.sites))
            with np.errstate(divide="ignore"):
                logs = np.log(laws).astype(np.float32)
            return logs.reshape(*rows.shape, region.symbols)

        def predict(tokens: jax.Array) -> jax.Array:
            found: jax.Array = jax.pure_callback(host, shape, tokens, vmap_method="expand_dims")
            return found

        super().__init__(region.sites, region.symbols, predict)

    def draw_block(self, key: jax.Array, x: jax.Array, masked: jax.Array, temperature: float = 1.0) -> jax.Array:
        if temperature != 1 and masked.shape[0] == 1:
            # One site has one law: no need to ask the network about each of its values.
            return draw(key, temper(possible(self.token_logits(x, masked)), temperature))
        return super().draw_block(key, x, masked, temperature)


class PseudoLikelihood(Model):
    """The law in proportion to prod_i p(x_i | x_-i): what a Metropolis-Hastings correction of a network may aim at.

    A network has no joint law; this product is one that its conditionals define, at n rows of the network for each
    sequence. Source: Goyal, Dyer and Berg-Kirkpatrick 2022 (arXiv:2106.02736).
    """

    def __init__(self, region: Region) -> None:
        self.sites, self.symbols = region.sites, region.symbols
        self._region = region

    def log_weight(self, x: jax.Array) -> jax.Array:
        def host(tokens: NDArray[np.int32]) -> NDArray[np.float32]:
            rows = np.asarray(tokens)
            found = pseudo_log_likelihood(self._region, rows.reshape(-1, self.sites))
            return found.reshape(rows.shape[:-1]).astype(np.float32)

        shape = jax.ShapeDtypeStruct((), jnp.float32)
        weight: jax.Array = jax.pure_callback(host, shape, x, vmap_method="expand_dims")
        return weight


def pseudo_log_likelihood(region: Region, tokens: NDArray[np.integer]) -> NDArray[np.float64]:
    """sum_i ln p(x_i | x_-i) over the sites of a region, nats, [B]."""
    laws = region.leave_one_out(tokens)
    own = np.take_along_axis(laws, np.asarray(tokens, dtype=np.int64)[:, :, None], axis=2)[:, :, 0]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(own).sum(axis=1))
