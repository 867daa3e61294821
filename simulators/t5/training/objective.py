r"""What training minimises: token losses of one or two stages, z-loss, length loss and rejecter loss.

The token loss of a position with logits f and gold token y, label smoothing eps and z-loss weight zeta is

    -(1 - eps) ln p(y) - (eps / V) sum_v ln p(v) + zeta (ln sum_v e^{f_v})^2,        p = softmax(f),

averaged over the positions that have weight. An *autoregressive* decoder is taught by the gold prefix; every token of
the target, EOS included, has weight. A *refinement* decoder sees the noised target
(`simulators.t5.training.noising`); the weights are

| weighting | positions with weight in stage 0 |
|---|---|
| all | every token of the target, EOS included |
| noise | every noised token, and EOS |
| mask | every token that became a mask (of any kind), and EOS |

With two stages, stage 1 sees the predictions of stage 0 (the most likely pieces; EOS and padding stay where they are
and are never predicted), without gradient through them, and all tokens have weight. With *glancing* (Qian et al. 2021,
arXiv:2008.07905) the network first predicts from masks alone, without gradient; where it gets d of n tokens wrong, each
token is shown with probability lambda d / n, so that easy targets are noised almost whole and hard ones less. (The
original shows exactly round(lambda d) tokens; here that is the mean.) The length loss (in the
predictor's own unit) and the rejecter loss (binary cross-entropy of "this prediction is right", at the positions
before EOS) are added with weights. Follows Li et al. 2024 (arXiv:2407.21046); unlike the released code, stage 1 never
sees predictions at padding, and range masks have weight under "mask".

Legend: ``B`` batch, ``S``, ``L`` lengths of source and target, ``V`` pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from simulators.t5.decoding.predictions import forbid
from simulators.t5.decoding.sampling import argmax
from simulators.t5.network.config import T5Config
from simulators.t5.network.layers import NO_DROPOUT, Dropout
from simulators.t5.network.lengths import Encoded
from simulators.t5.network.network import T5
from simulators.t5.training.noising import Noised, noise, open_positions
from simulators.t5.training.settings import NoiseSettings, ObjectiveSettings


class Losses(NamedTuple):
    """Means over a batch, scalars.

    Attributes:
        total: what is minimised.
        nll: -ln p(y) of a position with weight in the last stage, nats, without smoothing.
        length: length loss of a sentence, in its predictor's unit; 0 without one.
        rejecter: rejecter loss of a position, nats; 0 without a head.
        weight: positions with weight in the last stage.
    """

    total: jax.Array
    nll: jax.Array
    length: jax.Array
    rejecter: jax.Array
    weight: jax.Array


def losses(
    network: T5,
    source: jax.Array,
    target: jax.Array,
    key: jax.Array,
    settings: ObjectiveSettings,
    dropout: Dropout = NO_DROPOUT,
) -> Losses:
    """The losses of a batch.

    Args:
        network: either decoder.
        source, target: ids [B, S] and [B, L], EOS at the end, padded on the right; rows of padding count nothing.
        key: of the noise.
        settings: what to minimise.
        dropout: of training.
    """
    if network.config.decoder == "autoregressive":
        states = network.decode(network.shift_right(target), network.encode(source, dropout), dropout=dropout)
        weights = target != network.config.pad_token_id
        total, nll = token_losses(network.logits(states), target, weights, settings)
        return Losses(total, nll, jnp.zeros(()), jnp.zeros(()), weights.sum())
    return _refinement_losses(network, source, target, key, settings, dropout)


def _refinement_losses(
    network: T5, source: jax.Array, target: jax.Array, key: jax.Array, settings: ObjectiveSettings, dropout: Dropout
) -> Losses:
    config = network.config
    encoded = network.encode(source, dropout)
    real = target != config.pad_token_id
    is_open = open_positions(target, config)
    density = glanced_density(network, target, encoded, settings.glancing) if settings.glancing else None
    noised = noise(key, target, config, settings.noise, density)
    total = jnp.zeros(())
    rejecter = jnp.zeros(())
    tokens, weights = noised.tokens, stage_weights(noised, target, config, settings.weighting)
    for stage in range(settings.stages):
        states = network.decode(tokens, encoded, dropout=dropout)
        logits = network.logits(states)
        token_loss, nll = token_losses(logits, target, weights, settings)
        total = total + token_loss
        last = stage == settings.stages - 1
        if config.learned_rejecter or not last:
            predicted = predicted_tokens(logits, target, config)
            if config.learned_rejecter:
                right = (predicted == target).astype(jnp.float32)
                entropy = optax.sigmoid_binary_cross_entropy(network.keep_logits(states), right)
                rejecter = rejecter + _mean(entropy, is_open)
            if not last:
                tokens, weights = predicted, real
    length = jnp.zeros(())
    if network.length_head is not None:
        length = _mean(network.length_head.loss(encoded, real.sum(axis=1)), real[:, 0])
    total = total + settings.length_weight * length + settings.rejecter_weight * rejecter
    return Losses(total, nll, length, rejecter, weights.sum())


def glanced_density(network: T5, target: jax.Array, encoded: Encoded, ratio: float) -> jax.Array:
    """1 - ratio * share of a target that is predicted wrongly from masks alone: its noise density, [B, 1]; no gradient.

    Args:
        network: with a refinement decoder.
        target: ids [B, L].
        encoded: its sources.
        ratio: lambda.
    """
    config = network.config
    everything = NoiseSettings(1.0, correct=0.0, random=0.0)
    masks = noise(jax.random.key(0), target, config, everything).tokens
    logits = jax.lax.stop_gradient(network.logits(network.decode(masks, encoded)))
    is_open = open_positions(target, config)
    wrong = (predicted_tokens(logits, target, config) != target) & is_open
    wrong_count, open_count = (chosen.sum(axis=1, keepdims=True, dtype=jnp.float32) for chosen in (wrong, is_open))
    return 1 - ratio * wrong_count / jnp.maximum(open_count, 1)


def stage_weights(noised: Noised, target: jax.Array, config: T5Config, weighting: str) -> jax.Array:
    """Positions with weight in stage 0, [B, L]."""
    if weighting == "all":
        return target != config.pad_token_id
    chosen = noised.noised if weighting == "noise" else noised.masked
    return chosen | (target == config.eos_token_id)


def predicted_tokens(logits: jax.Array, target: jax.Array, config: T5Config) -> jax.Array:
    """Input of the next stage: the most likely piece before EOS, EOS and padding as in the target; no gradient."""
    batch, length, pieces = logits.shape
    flat = forbid(jax.lax.stop_gradient(logits).reshape(-1, pieces), (config.pad_token_id, config.eos_token_id))
    chosen = argmax(flat).reshape(batch, length)
    return jnp.where(open_positions(target, config), chosen, target)


def token_losses(
    logits: jax.Array, target: jax.Array, weights: jax.Array, settings: ObjectiveSettings
) -> tuple[jax.Array, jax.Array]:
    """The token loss and -ln p(y), means over the positions with weight; logits [B, L, V]."""
    normaliser = jax.nn.logsumexp(logits, axis=-1)
    nll = normaliser - jnp.take_along_axis(logits, target[..., None], axis=-1)[..., 0]
    smoothing = settings.label_smoothing
    value = nll
    if smoothing:
        value = (1 - smoothing) * nll + smoothing * (normaliser - logits.mean(axis=-1))
    if settings.z_loss:
        value = value + settings.z_loss * normaliser**2
    return _mean(value, weights), _mean(nll, weights)


def _mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean of the values with weight; 0 where there are none."""
    return jnp.where(weights, values, 0.0).sum() / jnp.maximum(weights.sum(dtype=jnp.float32), 1)
