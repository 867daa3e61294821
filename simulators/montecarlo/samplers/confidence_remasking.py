"""Confidence remasking (mask-predict): remask the tokens that the model trusts least, predict them again in parallel.

The confidence of token i is p(x_i | x_{-i}). One step masks the candidate set of least total confidence, ties shared
equally, and redraws its tokens independently from p(x_i | x_{-K}). For the k-uniform law these are the k least
confident tokens, found by sorting; where tokens tie at the k-th place, a uniform choice of them is masked, which is the
same law. Confidences that differ by less than `simulators.montecarlo.draws.tie_tolerance` count as tied.
The exact twin is `theory.samplers.confidence_remasking`. Source: Ghazvininejad et al. 2019 (arXiv:1904.09324).

Legend: ``N`` sites, ``k`` masked sites, ``M`` listed masks.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from simulators.montecarlo.draws import draw, tie_tolerance
from simulators.montecarlo.masks import padded
from simulators.montecarlo.models.model import Model, fill
from simulators.montecarlo.samplers.sampler import Sampler, always, over_chains, require_same_sites
from theory.masks import MaskLaw


def confidence_remasking(model: Model, masks: MaskLaw) -> Sampler:
    """The sampler of remask-and-predict steps.

    Args:
        model: where confidences and predictions come from.
        masks: the candidates; only the k-uniform ones need no list.

    Raises:
        InvalidInput: candidates over other sites, or larger than the model can redraw.
        ExceedsMemory: candidates whose list does not fit.
    """
    require_same_sites(model, masks)
    model.require_tokens(max(masks.largest, 1))
    listed = jnp.asarray(padded(masks.masks, masks.sites)) if masks.uniform_size is None else None

    def kernel(key: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        tie_key, token_key = jax.random.split(key)
        laws = jax.nn.softmax(model.all_site_logits(x), axis=-1)
        confidence = jnp.take_along_axis(laws, x[:, None], axis=1)[:, 0]
        if listed is None:
            masked = least_confident(tie_key, confidence, masks.largest)
        else:
            masked = least_confident_of(tie_key, confidence, listed)
        return fill(x, masked, draw(token_key, model.token_logits(x, masked))), always()

    return over_chains("confidence-remasking", model, kernel)


def least_confident(key: jax.Array, confidence: jax.Array, size: int) -> jax.Array:
    """The ``size`` sites of least confidence [N], ties at the last place broken uniformly; ascending, shape [k]."""
    last = jnp.sort(confidence)[size - 1]
    tolerance = tie_tolerance(confidence.dtype)
    tied = jnp.abs(confidence - last) <= tolerance
    below = confidence < last - tolerance
    # Sites surely masked come first, then the tied ones in random order, then the rest.
    rank = jnp.where(below, -1.0, jnp.where(tied, jax.random.uniform(key, confidence.shape), 2.0))
    return jnp.sort(jnp.argsort(rank)[:size]).astype(jnp.int32)


def least_confident_of(key: jax.Array, confidence: jax.Array, candidates: jax.Array) -> jax.Array:
    """The candidate mask of least total confidence, ties shared equally; candidates [M, k] with padding -> [k]."""
    totals = confidence.at[candidates].get(mode="fill", fill_value=0.0).sum(axis=1)
    chosen = totals <= totals.min() + tie_tolerance(confidence.dtype)
    return candidates[draw(key, jnp.where(chosen, 0.0, -jnp.inf))]
