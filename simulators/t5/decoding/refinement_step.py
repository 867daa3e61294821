"""The state of a hypothesis and one refinement step on it; see `simulators.t5.decoding.refinement` for the rules.

Legend: ``R`` rows, ``L`` longest target, ``V`` pieces, ``S`` source length.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from simulators.t5.decoding.hypotheses import Hypotheses, penalised
from simulators.t5.decoding.predictions import Predicted, predict, predict_among
from simulators.t5.decoding.rejecters import Proposal, stutters
from simulators.t5.decoding.sampling import sentence_keys, sentence_uniforms
from simulators.t5.decoding.settings import RefinementSettings
from simulators.t5.network.attention import padding_bias
from simulators.t5.network.config import T5Config
from simulators.t5.network.network import T5

LOGIT_POSITIONS = {"cpu": 512}
"""Positions whose logits are computed together, by device; elsewhere `MANY_POSITIONS`."""

MANY_POSITIONS = 8192


class RefinementState(NamedTuple):
    """Attributes:
    sentences: row of the batch [R].
    tokens, lengths: the target now [R, L], EOS counted [R].
    initial: what it started from [R, L].
    pending: positions to predict at the next step [R, L].
    confidence: ln p of each token when it was chosen [R, L].
    done: cannot change any more [R].
    output, output_lengths, scores: the result, once done.
    inputs: what the last pass saw [R, L].
    passes: how many there were [R].
    keys: of the draws [R, ...], where there are any.
    total: logits summed over the steps [R, L, V], where replacement needs them.
    pieces: the shortlist of later steps [R, K], where there is one.
    """

    sentences: jax.Array
    tokens: jax.Array
    lengths: jax.Array
    initial: jax.Array
    pending: jax.Array
    confidence: jax.Array
    done: jax.Array
    output: jax.Array
    output_lengths: jax.Array
    scores: jax.Array
    inputs: jax.Array
    passes: jax.Array
    keys: jax.Array | None
    total: jax.Array | None
    pieces: jax.Array | None


def first_state(
    config: T5Config,
    settings: RefinementSettings,
    hypotheses: Hypotheses,
    numbers: jax.Array,
    key: jax.Array | None,
    longest: int,
) -> RefinementState:
    """Targets before the first step. Start and sampling draw from different keys, split from one."""
    count = len(hypotheses.lengths)
    listed = min(settings.shortlist, config.vocab_size)
    lengths, sentences = jnp.asarray(hypotheses.lengths), jnp.asarray(hypotheses.sentences)
    position = jnp.arange(longest)
    start_keys: Any = None
    draw_keys: Any = None
    if key is not None:
        start_keys, draw_keys = (
            jax.vmap(jax.random.fold_in)(
                sentence_keys(base, jnp.asarray(numbers)[sentences]), jnp.asarray(hypotheses.attempts)
            )
            for base in jax.random.split(key)
        )

    if settings.start == "mask":
        symbols = jnp.full((count, longest), config.mask_id, jnp.int32)
    elif settings.start == "range-mask":
        symbols = jnp.broadcast_to(config.first_range_mask_id + position.astype(jnp.int32), (count, longest))
    else:
        symbols = random_pieces(sentence_uniforms(start_keys, 0, longest), config)
    tokens = lay_out(symbols, lengths, config)
    open_positions = position[None] < lengths[:, None] - 1
    return RefinementState(
        sentences=sentences,
        tokens=tokens,
        lengths=lengths,
        initial=tokens,
        pending=open_positions,
        confidence=jnp.zeros((count, longest)),
        done=jnp.asarray(hypotheses.skipped),
        output=tokens,
        output_lengths=lengths,
        scores=jnp.zeros(count),
        inputs=tokens,
        passes=jnp.zeros(count, jnp.int32),
        keys=None if settings.sampling.greedy else draw_keys,
        total=jnp.zeros((count, longest, config.vocab_size)) if settings.replacement == "summed" else None,
        pieces=jnp.zeros((count, listed), jnp.int32) if listed else None,
    )


def random_pieces(uniforms: jax.Array, config: T5Config) -> jax.Array:
    """Pieces other than padding and EOS, all equally likely."""
    drawn = (uniforms * (config.vocab_size - 2)).astype(jnp.int32)
    for taken in sorted((config.pad_token_id, config.eos_token_id)):
        drawn = drawn + (drawn >= taken).astype(drawn.dtype)
    return drawn


def lay_out(tokens: jax.Array, lengths: jax.Array, config: T5Config) -> jax.Array:
    """Tokens [R, L] with EOS at the end of each length and padding after it."""
    position = jnp.arange(tokens.shape[1])[None]
    last = lengths[:, None] - 1
    return jnp.where(position < last, tokens, jnp.where(position == last, config.eos_token_id, config.pad_token_id))


def refine(
    network: T5,
    settings: RefinementSettings,
    rows: RefinementState,
    visible_source: jax.Array,
    memory: Any,
    *,
    step: jax.Array,
    steps: jax.Array,
) -> RefinementState:
    """One step on rows that are all different; those that are done stay as they are."""
    config = network.config
    position = jnp.arange(rows.tokens.shape[1])[None]
    visible = position < rows.lengths[:, None]
    is_open = position < rows.lengths[:, None] - 1
    scored = settings.scored
    confident = scored or settings.rejecter.needs_confidence
    states, _ = network.decoder(network.embed(rows.tokens), visible, memory, padding_bias(visible_source))

    wanted = (rows.pending & is_open) | (visible & ~is_open if scored else False)
    sampling = settings.sampling
    uniforms = jnp.zeros(rows.tokens.shape)
    if rows.keys is not None:
        uniforms = sentence_uniforms(rows.keys, step, rows.tokens.shape[1])
    block = LOGIT_POSITIONS.get(jax.default_backend(), MANY_POSITIONS)
    needed = wanted & ~rows.done[:, None]
    among_all = partial(predict, network, states, needed, rows.tokens, uniforms, sampling, confident, rows.total, block)
    if rows.pieces is None:
        found = among_all()
    else:
        among_listed = partial(predict_among, network, states, rows.pieces, rows.tokens, uniforms, sampling, confident)
        found = jax.lax.cond(step == 0, partial(among_all, rows.pieces.shape[1]), among_listed)

    chosen = jnp.where(rows.pending & is_open, found.tokens, rows.tokens)
    confidence = jnp.where(rows.pending & is_open, found.confidence, rows.confidence)
    # EOS is no choice, but its probability counts in the score.
    confidence = jnp.where(visible & ~is_open, found.current, confidence)
    keep = jax.nn.sigmoid(network.keep_logits(states)) if settings.rejecter.needs_head else jnp.ones(chosen.shape)
    proposal = Proposal(chosen, confidence, keep, is_open, step, steps)
    rejected = settings.rejecter.reject(proposal) & is_open

    following = _following(config, settings, rows, found, chosen, confidence, rejected, is_open)
    output, output_confidence, output_lengths = _output(config, settings, rows, found, chosen, confidence, rejected)
    finished = step + 1 >= steps
    if settings.early_exit:
        settled = _settled(settings, rows, found, following, chosen, rejected, is_open)
        # With a shortlist the second pass is another function than the first.
        finished = finished | (settled if rows.pieces is None else settled & (step > 0))
    spoken = position < output_lengths[:, None]
    scores = penalised(jnp.where(spoken, output_confidence, 0.0).sum(axis=1), output_lengths, settings.length_penalty)
    after = following._replace(
        done=rows.done | finished,
        output=output,
        output_lengths=output_lengths,
        scores=scores,
        inputs=rows.tokens,
        passes=rows.passes + 1,
        pieces=found.pieces,
    )

    def kept(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(rows.done.reshape(-1, *[1] * (new.ndim - 1)), old, new)

    return jax.tree.map(kept, rows, after)


def _following(
    config: T5Config,
    settings: RefinementSettings,
    rows: RefinementState,
    found: Predicted,
    chosen: jax.Array,
    confidence: jax.Array,
    rejected: jax.Array,
    is_open: jax.Array,
) -> RefinementState:
    """The target that the next step sees."""
    filling = {"previous": rows.tokens, "initial": rows.initial, "summed": found.summed}[settings.replacement]
    tokens = jnp.where(rejected, filling, chosen)
    pending = rejected if settings.update == "rejected" else is_open
    if settings.remove_stutter != "each-step":
        return rows._replace(tokens=tokens, pending=pending, confidence=confidence, total=found.total)
    order, lengths = close_gaps(tokens, rows.lengths, config)
    position = jnp.arange(tokens.shape[1])[None]
    still_open = position < lengths[:, None] - 1
    total = None if found.total is None else jnp.take_along_axis(found.total, order[..., None], axis=1)
    return rows._replace(
        tokens=lay_out(jnp.take_along_axis(tokens, order, axis=1), lengths, config),
        lengths=lengths,
        pending=jnp.take_along_axis(pending, order, axis=1) & still_open,
        confidence=jnp.take_along_axis(confidence, order, axis=1),
        total=total,
    )


def _output(
    config: T5Config,
    settings: RefinementSettings,
    rows: RefinementState,
    found: Predicted,
    chosen: jax.Array,
    confidence: jax.Array,
    rejected: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What the target is if this step is the last: tokens, ln p of each, lengths."""
    tokens = chosen
    if settings.replacement == "previous":
        replaced = rejected & (rows.tokens < config.vocab_size)
        tokens = jnp.where(replaced, rows.tokens, tokens)
        confidence = jnp.where(replaced, found.current, confidence)
    elif settings.replacement == "summed":
        tokens = jnp.where(rejected, found.summed, tokens)
        confidence = jnp.where(rejected, found.summed_confidence, confidence)
    lengths = rows.lengths
    if settings.remove_stutter != "never":
        order, lengths = close_gaps(tokens, lengths, config)
        tokens = lay_out(jnp.take_along_axis(tokens, order, axis=1), lengths, config)
        confidence = jnp.take_along_axis(confidence, order, axis=1)
    return tokens, confidence, lengths


def close_gaps(tokens: jax.Array, lengths: jax.Array, config: T5Config) -> tuple[jax.Array, jax.Array]:
    """Where each position of a target without repeated tokens comes from [R, L], and its length [R].

    Masks may follow each other: they are no tokens yet.
    """
    is_open = jnp.arange(tokens.shape[1])[None] < lengths[:, None] - 1
    dropped = stutters(tokens, is_open & (tokens < config.vocab_size))
    return jnp.argsort(dropped, axis=1, stable=True), lengths - dropped.sum(axis=1)


def _settled(
    settings: RefinementSettings,
    rows: RefinementState,
    found: Predicted,
    following: RefinementState,
    chosen: jax.Array,
    rejected: jax.Array,
    is_open: jax.Array,
) -> jax.Array:
    """Rows whose output no later step can change, [R].

    A pass is a function of its input, and a greedy choice of the pass: an unchanged input is a fixed point, unless the
    rejecter judges by the step, or the sum of logits still moves.
    """
    same = (following.tokens == rows.tokens).all(axis=1) & (following.lengths == rows.lengths)
    agrees = ((chosen == rows.tokens) | ~is_open).all(axis=1)
    nothing_left = ~following.pending.any(axis=1)
    if settings.update == "rejected":
        # Kept tokens stay, but the rejecter head and the probability of EOS see each new input.
        if settings.remove_stutter == "each-step" or settings.rejecter.needs_head or settings.scored:
            return nothing_left & same
        return nothing_left
    if not settings.sampling.greedy:
        return jnp.zeros_like(same)
    if settings.replacement == "summed":
        # Adding logits whose argmax is the argmax of the sum does not move it.
        return same & agrees & ((found.summed == rows.tokens) | ~is_open).all(axis=1)
    if settings.rejecter.depends_on_step:
        return same & agrees if settings.replacement == "previous" else jnp.zeros_like(same)
    return same
