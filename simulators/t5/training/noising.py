"""Noising of targets: what a refinement decoder sees in training.

Each target has a density r, drawn from U(0, 1) for it or fixed; every position before EOS is *noised* independently
with probability r. A noised token stays as it is with probability ``correct``, becomes a random piece with
probability ``random``, else MASK (MASK_i with range masks). EOS and padding are never noised.

The recipe of Li et al. 2024 (arXiv:2407.21046), whose uniform density trains every mask ratio at once.

Legend: ``B`` batch, ``L`` length.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from simulators.t5.decoding.refinement_step import random_pieces
from simulators.t5.network.config import T5Config
from simulators.t5.training.settings import NoiseSettings


class Noised(NamedTuple):
    """A noised target, [B, L] each.

    Attributes:
        tokens: decoder input.
        noised: positions that were chosen, whatever became of them.
        masked: those that became a mask.
    """

    tokens: jax.Array
    noised: jax.Array
    masked: jax.Array


def open_positions(target: jax.Array, config: T5Config) -> jax.Array:
    """Positions that are predicted at all, those before EOS, [B, L]."""
    return (target != config.pad_token_id) & (target != config.eos_token_id)


def noise(
    key: jax.Array, target: jax.Array, config: T5Config, settings: NoiseSettings, density: jax.Array | None = None
) -> Noised:
    """Noise targets [B, L]; the same key gives the same noise. ``density`` [B, 1]: of each target, where given."""
    batch, length = target.shape
    density_key, noise_key, kind_key, piece_key = jax.random.split(key, 4)
    if density is None:
        fixed = settings.density
        density = jax.random.uniform(density_key, (batch, 1)) if fixed is None else jnp.full((batch, 1), fixed)
    noised = (jax.random.uniform(noise_key, target.shape) < density) & open_positions(target, config)
    kind = jax.random.uniform(kind_key, target.shape)
    masked = noised & (kind >= settings.correct + settings.random)
    randomised = noised & (kind >= settings.correct) & ~masked
    pieces = random_pieces(jax.random.uniform(piece_key, target.shape), config)
    masks = jnp.full(length, config.mask_id)
    if config.range_masks:
        masks = config.first_range_mask_id + jnp.arange(length)
    tokens = jnp.where(masked, masks[None], jnp.where(randomised, pieces, target))
    return Noised(tokens.astype(jnp.int32), noised, masked)
