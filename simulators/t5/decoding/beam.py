"""The bookkeeping of beam search: running prefixes, finished hypotheses, and when no prefix can improve on them.

At each step the 2W best extensions of a sentence's prefixes are ranked. Those among the first W that end become
finished hypotheses and compete for W places by their normalised score; the W best that do not end run on. When a
sentence stops is a matter of the *early stopping*, of the names and the effect that it has in `transformers`:

| early stopping | a sentence stops once it has W finished hypotheses and |
|---|---|
| heuristic (False) | its best prefix, normalised at its present length, is not better than the worst of them |
| never | its best prefix could not beat the worst of them at any length |
| always (True) | at once |

Legend: ``B`` batch, ``W`` beam width, ``T`` longest target, ``V`` pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

WORST = -1e9
"""Score of a hypothesis that does not exist."""


class BeamState(NamedTuple):
    """Attributes:
    position: tokens so far.
    open: sentences that have not been found finished, [B].
    last: last token of each prefix [B, W].
    tokens, ancestry, scores: of the prefixes, [B, W, T] twice and [B, W]; ancestry is the slot of each token.
    finished_tokens, finished_lengths, finished_scores: of the finished hypotheses, [B, W, T], [B, W], [B, W].
    """

    position: jax.Array
    open: jax.Array
    last: jax.Array
    tokens: jax.Array
    ancestry: jax.Array
    scores: jax.Array
    finished_tokens: jax.Array
    finished_lengths: jax.Array
    finished_scores: jax.Array


def first_beam(real: jax.Array, width: int, longest: int, start: int, pad: int) -> BeamState:
    """One empty prefix for each sentence; its copies in the beam start as impossible. Rows not ``real`` never run."""
    batch = real.shape[0]
    tokens = jnp.full((batch, width, longest), pad, jnp.int32)
    own = jnp.broadcast_to(jnp.arange(width, dtype=jnp.int32)[None, :, None], tokens.shape)
    scores = jnp.broadcast_to(jnp.where(jnp.arange(width) == 0, 0.0, WORST), (batch, width))
    return BeamState(
        position=jnp.int32(0),
        open=jnp.asarray(real),
        last=jnp.full((batch, width), start, jnp.int32),
        tokens=tokens,
        ancestry=own,
        scores=scores,
        finished_tokens=tokens,
        finished_lengths=jnp.zeros((batch, width), jnp.int32),
        finished_scores=jnp.full((batch, width), WORST),
    )


class Stopping(NamedTuple):
    """When a sentence stops.

    Attributes:
        early: see the module's table.
        penalty: alpha.
        longest: most tokens of a target.
    """

    early: str
    penalty: float
    longest: int


def unfinished(state: BeamState, stopping: Stopping) -> jax.Array:
    """Which sentences can still improve, [B]."""
    length = jnp.maximum(state.position, 1).astype(jnp.float32)
    if stopping.early == "never" and stopping.penalty > 0:
        # Sums only fall, and this length divides them by most.
        length = jnp.float32(stopping.longest)
    best_running = state.scores[:, 0] / length**stopping.penalty
    worst_finished = state.finished_scores.min(axis=1)
    improves = best_running > worst_finished
    if stopping.early == "always":
        improves = improves & (worst_finished <= WORST)
    return state.open & ((state.position == 0) | improves)


def advance(
    state: BeamState, logits: jax.Array, allowed: jax.Array, eos: int, stopping: Stopping, final: jax.Array
) -> BeamState:
    """Extend every prefix by one token; at the ``final`` step the best W extensions all finish.

    Args:
        state: before the step.
        logits: of the network [B, W, V], which give the probabilities.
        allowed: the same, with tokens that may not be chosen out of reach; hiding one changes no score of another.
        eos: id.
        stopping: when a sentence stops.
        final: whether this is the last step.
    """
    batch, width, _ = logits.shape
    position = state.position
    # The 2W best of a sentence are among the 2W best of each prefix.
    per_prefix, pieces = jax.lax.top_k(allowed, 2 * width)
    totals = state.scores[..., None] + per_prefix - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    scores, index = jax.lax.top_k(totals.reshape(batch, -1), 2 * width)
    parent = index // (2 * width)
    token = jnp.take_along_axis(pieces.reshape(batch, -1), index, axis=1)
    extended = _write(_follow(state.tokens, parent), token, position)
    ends = (token == eos) | final

    stays = jnp.where(ends, WORST, scores)
    running, chosen = jax.lax.top_k(stays, width)
    slot = jnp.broadcast_to(jnp.arange(width, dtype=jnp.int32), (batch, width))
    chosen_parent = jnp.take_along_axis(parent, chosen, axis=1)
    # The tokens up to this step keep the slots in which their keys were written; this step was written by the parent.
    ancestry = _write(_follow(state.ancestry, chosen_parent), chosen_parent, position)
    ancestry = jnp.where(jnp.arange(ancestry.shape[2]) > position, slot[..., None], ancestry)

    # A sentence that is finished keeps what it has: what it is batched with must not matter.
    open_now = unfinished(state, stopping)
    first = jnp.arange(2 * width) < width
    normalised = scores / (position + 1).astype(jnp.float32) ** stopping.penalty
    newcomers = jnp.where(ends & first & open_now[:, None], normalised, WORST)
    pool = jnp.concatenate([state.finished_scores, newcomers], axis=1)
    finished_scores, kept = jax.lax.top_k(pool, width)
    lengths = jnp.concatenate([state.finished_lengths, jnp.full_like(token, position + 1)], axis=1)
    return BeamState(
        position=position + 1,
        open=open_now,
        last=jnp.take_along_axis(token, chosen, axis=1),
        tokens=_follow(extended, chosen),
        ancestry=ancestry,
        scores=running,
        finished_tokens=_follow(jnp.concatenate([state.finished_tokens, extended], axis=1), kept),
        finished_lengths=jnp.take_along_axis(lengths, kept, axis=1),
        finished_scores=finished_scores,
    )


def _follow(values: jax.Array, index: jax.Array) -> jax.Array:
    """Rows [B, W', T] chosen by index [B, W]."""
    return jnp.take_along_axis(values, index[..., None], axis=1)


def _write(values: jax.Array, new: jax.Array, position: jax.Array) -> jax.Array:
    """[B, W, T] with entry ``position`` set to [B, W]."""
    return jax.lax.dynamic_update_slice(values, new[..., None].astype(values.dtype), (0, 0, position))
