"""k-parallel: draw a mask K, then redraw every masked token *independently* from p(x_i | x_{-K}).

The exact twin is `theory.samplers.k_parallel`. Source: Li et al. 2024, section 3.
"""

from __future__ import annotations

import jax

from simulators.montecarlo.draws import draw
from simulators.montecarlo.masks import drawing
from simulators.montecarlo.models.model import Model, fill
from simulators.montecarlo.samplers.sampler import Sampler, always, over_chains, require_same_sites
from theory.masks import MaskLaw


def k_parallel(model: Model, masks: MaskLaw) -> Sampler:
    """The sampler of k-parallel decoding steps.

    Raises:
        InvalidInput: masks over other sites, or larger than the model has exact token conditionals for.
    """
    require_same_sites(model, masks)
    model.require_tokens(masks.largest)

    draw_mask = drawing(masks)

    def kernel(key: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        mask_key, token_key = jax.random.split(key)
        masked = draw_mask(mask_key)
        return fill(x, masked, draw(token_key, model.token_logits(x, masked))), always()

    return over_chains("k-parallel", model, kernel)
