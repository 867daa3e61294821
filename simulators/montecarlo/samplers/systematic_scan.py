"""Systematic scan: redraw the blocks one after the other in a fixed order; one step is one full sweep.

Where the sites of every block are independent given the rest (single sites, the two colours of a checkerboard), a
block is redrawn site by site in parallel, which is exact for blocks of any size; otherwise it is redrawn jointly.
The exact twin is `theory.samplers.systematic_scan`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from simulators.montecarlo.draws import draw
from simulators.montecarlo.masks import padded
from simulators.montecarlo.models.model import Model, fill
from simulators.montecarlo.samplers.sampler import Sampler, always, over_chains, require_same_sites
from theory.masks import MaskLaw


def systematic_scan(model: Model, masks: MaskLaw) -> Sampler:
    """The sampler of full sweeps.

    Args:
        model: the conditionals.
        masks: redrawn in the order of their list.

    Raises:
        InvalidInput: masks over other sites, or larger than the model can redraw jointly.
        ExceedsMemory: masks whose list does not fit.
    """
    require_same_sites(model, masks)
    apart = all(model.independent(mask) for mask in masks.masks)
    if not apart:
        model.require_block(masks.largest)
    blocks = jnp.asarray(padded(masks.masks, masks.sites))

    def redraw(x: jax.Array, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        key, masked = at
        block = draw(key, model.site_logits(x, masked)) if apart else model.draw_block(key, x, masked)
        return fill(x, masked, block), None

    def kernel(key: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key, blocks.shape[0])
        return jax.lax.scan(redraw, x, (keys, blocks))[0], always()

    return over_chains("systematic-scan", model, kernel)
