"""Locally balanced proposals: move the one site whose new token the conditionals like best, and correct.

The exact twin, with the definition, is `theory.samplers.locally_balanced`. A step takes all N conditionals twice.

Legend: ``N`` sites, ``q`` symbols.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from simulators.montecarlo.draws import draw, possible
from simulators.montecarlo.models.model import Model
from simulators.montecarlo.samplers.sampler import Sampler, over_chains, require_target


def locally_balanced(model: Model, target: Model | None = None, balance: str = "barker") -> Sampler:
    """The sampler of locally balanced proposals with their correction.

    Args:
        model: where the proposal comes from (tempered or learned conditionals are fine).
        target: the law to keep stationary; by default that of ``model``.
        balance: one of `theory.samplers.locally_balanced.BALANCES`.

    Raises:
        InvalidInput: no target is known, or sizes differ.
    """
    law = require_target(model, target)
    model.require_tokens(1)
    stay = -jnp.log(2.0) if balance == "barker" else jnp.zeros(())

    def proposal(x: jax.Array) -> jax.Array:
        """ln Q(x, .), by site and symbol, [N, q]."""
        logits = jax.nn.log_softmax(possible(model.all_site_logits(x)), axis=-1)
        own = jnp.take_along_axis(logits, x[:, None], axis=1)
        wanted = logits - jnp.logaddexp(logits, own) if balance == "barker" else jnp.minimum(0.0, logits - own)
        wanted = jnp.where(jnp.isneginf(logits), -jnp.inf, wanted)
        wanted = jnp.where(jnp.arange(model.symbols) == x[:, None], stay.astype(wanted.dtype), wanted)
        return wanted - jax.nn.logsumexp(wanted)

    def kernel(key: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        pair_key, accept_key = jax.random.split(key)
        forward = proposal(x)
        pair = draw(pair_key, forward.reshape(-1))
        site, symbol = pair // model.symbols, pair % model.symbols
        y = x.at[site].set(symbol)
        weight, new_weight = law.log_weights(x, y, site[None])
        ratio = jnp.exp(new_weight - weight + proposal(y)[site, x[site]] - forward[site, symbol])
        uniform = jax.random.uniform(accept_key, (), ratio.dtype)
        accepted = (symbol == x[site]) | jnp.isneginf(weight) | (uniform < ratio)
        return jnp.where(accepted, y, x), accepted

    return over_chains("locally-balanced", model, kernel)
