"""Block Gibbs: draw a mask K, then redraw x_K jointly from p(x_K | x_{-K}) (k-Gibbs; Glauber dynamics for k = 1).

The exact twin is `theory.samplers.block_gibbs`. Source: Li et al. 2024, section 3.
"""

from __future__ import annotations

import jax

from simulators.montecarlo.masks import drawing
from simulators.montecarlo.models.model import Model, fill
from simulators.montecarlo.samplers.sampler import Sampler, always, over_chains, require_same_sites
from theory.masks import MaskLaw


def block_gibbs(model: Model, masks: MaskLaw) -> Sampler:
    """The sampler of block Gibbs.

    Raises:
        InvalidInput: masks over other sites, or larger than the model can redraw jointly.
    """
    require_same_sites(model, masks)
    model.require_block(masks.largest)

    draw_mask = drawing(masks)

    def kernel(key: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        mask_key, block_key = jax.random.split(key)
        masked = draw_mask(mask_key)
        return fill(x, masked, model.draw_block(block_key, x, masked)), always()

    return over_chains("k-gibbs", model, kernel)
