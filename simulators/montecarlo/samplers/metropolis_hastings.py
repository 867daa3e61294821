"""Metropolis-Hastings corrected k-parallel: propose as `k_parallel` does, accept so that p stays stationary.

With g = prod_{i in K} p(x_i | x_{-K}) the block x_K' ~ g is accepted with probability
min(1, [p(x') g(x_K)] / [p(x) g(x_K')]); from a sequence of probability zero everything is accepted.
The exact twin is `theory.samplers.metropolis_hastings`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from simulators.montecarlo.draws import draw
from simulators.montecarlo.masks import drawing
from simulators.montecarlo.models.model import Model, fill
from simulators.montecarlo.samplers.sampler import Sampler, over_chains, require_same_sites, require_target
from theory.masks import MaskLaw


def metropolis_hastings(model: Model, masks: MaskLaw, target: Model | None = None) -> Sampler:
    """The sampler of k-parallel proposals with a Metropolis-Hastings correction.

    Args:
        model: where the proposal comes from (tempered or learned conditionals are fine).
        masks: law over masks.
        target: the law to keep stationary; by default that of ``model``.

    Raises:
        InvalidInput: no target is known, sizes differ, or masks that the model cannot redraw.
    """
    require_same_sites(model, masks)
    law = require_target(model, target)
    model.require_tokens(masks.largest)

    draw_mask = drawing(masks)

    def kernel(key: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        mask_key, token_key, accept_key = jax.random.split(key, 3)
        masked = draw_mask(mask_key)
        logits = jax.nn.log_softmax(model.token_logits(x, masked), axis=-1)
        block = draw(token_key, logits)
        y = fill(x, masked, block)

        def proposal(symbols: jax.Array) -> jax.Array:
            tokens = jnp.take_along_axis(logits, symbols[:, None], axis=1)[:, 0]
            return jnp.where(masked < model.sites, tokens, 0.0).sum()

        old = x.at[masked].get(mode="fill", fill_value=0)
        weight, new_weight = law.log_weights(x, y, masked)
        ratio = jnp.exp(new_weight - weight + proposal(old) - proposal(block))
        accepted = jnp.isneginf(weight) | (jax.random.uniform(accept_key, (), ratio.dtype) < ratio)
        return jnp.where(accepted, y, x), accepted

    return over_chains("metropolis-hastings", model, kernel)
