"""The optimiser of T5 training: AdamW or Adafactor under a learning-rate schedule, with a clipped gradient.

Every step is scaled by the root mean square of the parameter that it moves, as Adafactor does: T5 starts with
embeddings of size 1 beside query matrices of size 0.01, and one absolute step for all would be too small for the
first or too large for the second. A learning rate is therefore relative, and 0.01 a usual one. Schedules rise
linearly over the warm-up, then

    cosine    rate * (1 + cos(pi progress)) / 2, zero at the last step,
    rsqrt     rate * sqrt(warmup / step),
    constant  rate.

Adafactor keeps row and column means in place of second moments and no first moments, a fraction of AdamW's memory.
Sources: Shazeer and Stern 2018 (arXiv:1804.04235); Loshchilov and Hutter 2019 (arXiv:1711.05101).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from simulators.t5.training.settings import OptimiserSettings

SMALLEST_SIZE = 1e-2
"""Size that a parameter counts as at least, so that one that starts at zero can move."""


def learning_rates(settings: OptimiserSettings, steps: int) -> optax.Schedule:
    """Learning rate by step (the first is 0), for a training of so many steps."""
    warmup, largest = settings.warmup_steps, settings.learning_rate

    def rate(step: jnp.ndarray) -> jnp.ndarray:
        done = jnp.asarray(step, jnp.float32) + 1
        rise = jnp.minimum(done / (warmup + 1), 1.0)
        if settings.schedule == "constant":
            return largest * rise
        if settings.schedule == "rsqrt":
            return largest * rise * jnp.sqrt((warmup + 1) / jnp.maximum(done, warmup + 1))
        progress = jnp.clip((done - 1 - warmup) / max(steps - warmup, 1), 0.0, 1.0)
        return largest * rise * (1 + jnp.cos(jnp.pi * progress)) / 2

    return rate


def make_optimiser(settings: OptimiserSettings, steps: int) -> optax.GradientTransformation:
    """The transformation of gradients."""
    rates = learning_rates(settings, steps)
    if settings.optimiser == "adamw":
        scaled = optax.scale_by_adam(b1=0.9, b2=0.98, eps=1e-9)
    else:
        scaled = optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0))

    def decayed(parameters: optax.Params) -> optax.Params:

        return jax.tree.map(lambda leaf: leaf.ndim > 1, parameters)

    return optax.chain(
        optax.clip_by_global_norm(settings.clip),
        scaled,
        optax.scale_by_param_block_rms(SMALLEST_SIZE),
        optax.add_decayed_weights(settings.weight_decay, mask=decayed),
        optax.scale_by_learning_rate(rates),
    )
