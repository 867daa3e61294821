"""Systematic scan: redraw the blocks one after the other in a fixed order; one step is one full sweep.

Where the sites of every block are independent given the rest (single sites, the two colours of a checkerboard), a
block is redrawn site by site in parallel, which is exact for blocks of any size; otherwise it is redrawn jointly.
The exact twin is `theory.samplers.systematic_scan`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from simulators.montecarlo.draws import draw
from simulators.montecarlo.masks import Masks
from simulators.montecarlo.models.model import Model, fill
from simulators.montecarlo.samplers.sampler import Sampler, always, over_chains, require_same_sites
from theory.errors import InvalidInput


def systematic_scan(model: Model, masks: Masks) -> Sampler:
    """The sampler of full sweeps.

    Args:
        model: the conditionals.
        masks: listed blocks, redrawn in their order (`simulators.montecarlo.masks.in_order`).

    Raises:
        InvalidInput: masks over other sites, not listed, or larger than the model can redraw jointly.
    """
    require_same_sites(model, masks)
    if masks.listed is None:
        raise InvalidInput("masks", "a law that is drawn from", "a systematic scan needs blocks in a fixed order")
    apart = all(model.independent([int(site) for site in row if site < model.sites]) for row in masks.listed)
    if not apart:
        model.require_block(masks.size)
    blocks = jnp.asarray(masks.listed)

    def redraw(x: jax.Array, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        key, masked = at
        block = draw(key, model.site_logits(x, masked)) if apart else model.draw_block(key, x, masked)
        return fill(x, masked, block), None

    def kernel(key: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key, blocks.shape[0])
        return jax.lax.scan(redraw, x, (keys, blocks))[0], always()

    return over_chains("systematic-scan", model, kernel)
