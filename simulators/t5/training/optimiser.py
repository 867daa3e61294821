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

from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from theory.errors import InvalidInput

Optimiser = Literal["adamw", "adafactor"]
Schedule = Literal["cosine", "rsqrt", "constant"]

SMALLEST_SIZE = 1e-2
"""Size that a parameter counts as at least, so that one that starts at zero can move."""


@dataclass(frozen=True)
class OptimiserSettings:
    """How parameters move.

    Attributes:
        optimiser: "adamw" or "adafactor".
        learning_rate: the largest, relative to the size of a parameter.
        schedule: "cosine", "rsqrt" or "constant".
        warmup_steps: steps of the linear rise.
        weight_decay: of matrices; norms and biases are not decayed.
        clip: largest norm of the gradient.
    """

    optimiser: Optimiser = "adamw"
    learning_rate: float = 0.01
    schedule: Schedule = "cosine"
    warmup_steps: int = 200
    weight_decay: float = 0.01
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in (("optimiser", get_args(Optimiser)), ("schedule", get_args(Schedule))):
            if getattr(self, name) not in allowed:
                raise InvalidInput(name, getattr(self, name), f"one of {', '.join(allowed)}")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < np.inf:
                raise InvalidInput(name, getattr(self, name), "a positive finite number is needed")
        if self.warmup_steps < 0:
            raise InvalidInput("warmup_steps", self.warmup_steps, "a whole number >= 0 is needed")
        if not 0 <= self.weight_decay < np.inf:
            raise InvalidInput("weight_decay", self.weight_decay, "a finite number >= 0 is needed")


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
