"""Parallel decoding by iterative refinement: every position is predicted at once, T times over.

A target of known length starts from masks or random tokens, with EOS at its end. A step is one pass of the
bidirectional decoder over the present tokens; each open position (those before EOS) gets a choice from its own law; a
rejecter takes some choices back, and these positions are filled from the *previous* tokens, the *initial* ones, or the
argmax of the logits *summed* over the steps. Predictions are independent given the input: one step is a product kernel
(`theory.parallel_decoding`), and what it cannot express shows as stutter and mixed modes.

Decisions where the released code of Li et al. 2024 (arXiv:2407.21046) is broken or silent:
- EOS and padding are never chosen inside a target; EOS stays where the length puts it, and is scored.
- The last step gives a whole sentence: with *initial* replacement it rejects nothing, with *previous* it keeps a choice
  that would be replaced by a mask.
- A sentence stops by itself, once no later step could change it; the result is the one that all T steps would give.
- Repeated tokens are removed, where wanted, by closing the gap, so that the target gets shorter; the first position has
  no left neighbour.
- Schedules reject exactly as many as they say; confidence is that of the chosen token.

Legend: ``B`` batch, ``R`` rows (hypotheses of all sentences), ``L`` longest target, ``V`` pieces, ``T`` steps.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.t5.decoding.decoder import Decoded, ranked_hypotheses
from simulators.t5.decoding.hypotheses import make_hypotheses, penalised
from simulators.t5.decoding.refinement_step import RefinementState, first_state, refine
from simulators.t5.decoding.rescoring import Rescorer
from simulators.t5.decoding.settings import DEFAULT, RefinementSettings
from simulators.t5.network.batches import bucket, source_batch
from simulators.t5.network.config import T5Config
from simulators.t5.network.lengths import Encoded
from simulators.t5.network.network import T5, parameters, with_parameters
from theory.errors import InvalidInput


class Refined(NamedTuple):
    """Every hypothesis, [R, ...]; see `Decoded`."""

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]
    scores: NDArray[np.float32] | None
    steps: NDArray[np.int32]
    inputs: NDArray[np.int32]
    history: NDArray[np.int32] | None


class RefinementDecoder:
    """A `simulators.t5.decoding.decoder.Decoder` that predicts all positions at once.

    Args:
        network: a refinement `T5`.
        settings: how to decode. Any number of steps runs the same compiled program, unless steps are recorded.
        block_rows: rows that one pass works on; rows that are finished leave the blocks. By default chosen for the
            device.
        rescorer: an autoregressive network that chooses among the hypotheses, in place of their own scores.

    Raises:
        InvalidInput: an autoregressive network, settings that need a part which the network lacks, or a rescorer that
            knows other ids or has nothing to choose from.
    """

    def __init__(
        self,
        network: T5,
        settings: RefinementSettings = DEFAULT,
        block_rows: int | None = None,
        rescorer: Rescorer | None = None,
    ) -> None:
        _check_parts(network.config, settings)
        if rescorer is not None:
            rescorer.require_same_ids(network.config)
            if settings.hypotheses == 1:
                raise InvalidInput(
                    "rescorer",
                    "one hypothesis a sentence",
                    "several are needed: length candidates, a length beam or parallel decodes",
                )
        if block_rows is not None and block_rows < 1:
            raise InvalidInput("block_rows", block_rows, "at least 1 is needed")
        self.config = network.config
        self.settings = settings
        self.traces = 0
        self._block_rows = block_rows
        self._rescorer = rescorer
        self.load(network)
        self._run = jax.jit(self._traced_run, static_argnames=("longest", "block"))

    def load(self, network: T5) -> None:
        """See `Decoder`."""
        if network.config != self.config:
            raise InvalidInput("network", "another configuration", "the one that the decoder was made for is needed")
        self._parameters = parameters(network)

    def __call__(
        self,
        source: ArrayLike,
        lengths: ArrayLike | None = None,
        key: jax.Array | None = None,
        sentences: ArrayLike | None = None,
        steps: int | None = None,
    ) -> Decoded:
        """See `Decoder`; the oracle needs lengths, random starts and sampling need a key."""
        settings, config = self.settings, self.config
        steps = settings.steps if steps is None else steps
        if steps < 1 or (settings.record and steps != settings.steps):
            raise InvalidInput("steps", steps, "at least 1 is needed, and the settings' own where steps are recorded")
        if not settings.random:
            key = None
        elif key is None:
            raise InvalidInput("key", None, "a random start or sampling needs a random key")
        count = len(source)  # type: ignore[arg-type]
        tokens = source_batch(config, source)
        encoded, memory, candidates = _encode(config, settings.length_candidates, self._parameters, tokens)
        if lengths is not None:
            candidates = _given_lengths(lengths, count, len(tokens), config)
        elif candidates is None:
            raise InvalidInput("lengths", None, "an oracle length predictor needs the true lengths")
        block = self._block(int(np.max(candidates)) + settings.length_beam // 2, len(tokens) * settings.hypotheses)
        real = np.arange(len(tokens)) < count
        rows = make_hypotheses(
            np.asarray(candidates),
            real,
            settings.length_beam,
            settings.parallel_decodes,
            config.max_target_length,
            block,
        )
        longest = bucket(int(rows.lengths.max()))
        numbers = np.zeros(len(tokens), np.int32)
        numbers[:count] = np.arange(count) if sentences is None else np.asarray(sentences)
        found: Refined = jax.device_get(
            self._run(
                self._parameters,
                encoded.visible,
                memory,
                rows,
                numbers,
                key,
                np.int32(steps),
                longest=longest,
                block=block,
            )
        )
        if self._rescorer is not None:
            law = jnp.asarray(self._rescorer(tokens, rows.sentences, found.tokens, block))
            scores = penalised(law, jnp.asarray(found.lengths), settings.length_penalty)
            found = found._replace(scores=np.asarray(scores))
        return self._chosen(found, ~rows.skipped, count)

    def _chosen(self, found: Refined, exists: NDArray[np.bool_], count: int) -> Decoded:
        """The best hypothesis of each of ``count`` sentences, the first one of several; others where asked for."""
        each = self.settings.hypotheses
        best, ranked = np.arange(count) * each, None
        if found.scores is not None:

            def grouped(rows: NDArray[Any]) -> NDArray[Any]:
                # Rows that fill up the last block, however many, are left out.
                return rows[: count * each].reshape(count, each, *rows.shape[1:])

            tokens, lengths, scores, exists = map(grouped, (found.tokens, found.lengths, found.scores, exists))
            best = best + np.where(exists, scores, -np.inf).argmax(axis=1)
            if self.settings.n_best > 1:
                ranked = ranked_hypotheses(tokens, lengths, scores, exists, self.settings.n_best)
        return Decoded(
            tokens=found.tokens[best],
            lengths=found.lengths[best],
            scores=None if found.scores is None else found.scores[best],
            steps=found.steps[best],
            inputs=found.inputs[best],
            history=None if found.history is None else found.history[:, best],
            ranked=ranked,
        )

    def _block(self, longest: int, rows: int) -> int:
        """Rows of a block: about 512 positions keep a processor's caches, an accelerator wants many more."""
        if self._block_rows is not None:
            return min(self._block_rows, rows)
        positions = 512 if jax.default_backend() == "cpu" else 16_384
        return min(max(1, positions // bucket(longest)), rows)

    def _traced_run(
        self,
        arrays: Any,
        visible: Any,
        memory: Any,
        rows: Any,
        numbers: Any,
        key: Any,
        steps: Any,
        *,
        longest: int,
        block: int,
    ) -> Refined:
        self.traces += 1
        settings = self.settings
        network = with_parameters(self.config, arrays)
        first = first_state(network.config, settings, rows, numbers, key, longest)
        count = first.tokens.shape[0]
        one_pass = partial(refine, network, settings, steps=steps)
        plain = count == block and count == visible.shape[0]

        def body(carry: Any) -> Any:
            step, now, history = carry
            if plain:
                now = one_pass(now, visible, memory, step=step)
            else:
                now = _by_blocks(one_pass, now, visible, memory, step, block)
            if history is not None:
                shown = jnp.where(now.done[:, None], now.output, now.tokens)
                history = jax.lax.dynamic_update_slice(history, shown[None], (step, 0, 0))
            return step + 1, now, history

        def going(carry: Any) -> Any:
            step, now, _ = carry
            return (step < steps) & ~now.done.all()

        history = jnp.zeros((settings.steps, *first.tokens.shape), jnp.int32) if settings.record else None
        step, final, history = jax.lax.while_loop(going, body, (jnp.int32(0), first, history))
        if history is not None:
            left = (jnp.arange(settings.steps) >= step)[:, None, None]
            history = jnp.where(left, final.output, history)
        scores = final.scores if settings.scored else None
        return Refined(final.output, final.output_lengths, scores, final.passes, final.inputs, history)  # type: ignore[arg-type]


@partial(jax.jit, static_argnums=(0, 1))
def _encode(config: T5Config, candidates: int, arrays: Any, source: Any) -> tuple[Encoded, Any, jax.Array | None]:
    """Encoder states, the decoder's keys and values of them, likely lengths [B, candidates]; shared by all decoders."""
    network = with_parameters(config, arrays)
    encoded = network.encode(source)
    lengths = None if network.length_head is None else network.length_head.candidates(encoded, candidates)
    return encoded, network.decoder.memory(encoded.states), lengths


def _by_blocks(
    one_pass: Any, rows: RefinementState, visible: Any, memory: Any, step: Any, block: int
) -> RefinementState:
    """One pass over the rows that are not done, a block at a time."""
    order = jnp.argsort(rows.done, stable=True)
    active = (~rows.done).sum()

    def body(carry: Any) -> Any:
        index, now = carry
        chosen = jax.lax.dynamic_slice(order, (index * block,), (block,))
        part = jax.tree.map(lambda array: array[chosen], now)
        sentence = part.sentences
        after = one_pass(part, visible[sentence], jax.tree.map(lambda array: array[sentence], memory), step=step)
        return index + 1, jax.tree.map(lambda array, new: array.at[chosen].set(new), now, after)

    return jax.lax.while_loop(lambda carry: carry[0] * block < active, body, (jnp.int32(0), rows))[1]


def _check_parts(config: T5Config, settings: RefinementSettings) -> None:
    if config.decoder != "refinement":
        raise InvalidInput("network", "an autoregressive decoder", "a refinement one is needed (see `adapt`)")
    if settings.start == "range-mask" and not config.range_masks:
        raise InvalidInput("start", settings.start, "the network was made without range masks")
    if settings.rejecter.needs_head and not config.learned_rejecter:
        raise InvalidInput(
            "rejecter",
            settings.rejecter.name or type(settings.rejecter).__name__,
            "the network was made without a learned rejecter",
        )
    if settings.length_candidates > 1 and config.length_predictor != "token":
        raise InvalidInput(
            "length_candidates", settings.length_candidates, "only the length predictor token gives more than one"
        )
    if settings.length_candidates > config.max_target_length:
        raise InvalidInput("length_candidates", settings.length_candidates, f"at most {config.max_target_length}")


def _given_lengths(lengths: ArrayLike, count: int, rows: int, config: T5Config) -> NDArray[np.int32]:
    values = np.asarray(lengths)
    if values.shape != (count,) or values.dtype.kind not in "iu":
        raise InvalidInput("lengths", values, f"one whole number for each of {count} sentences is needed")
    if values.min() < 1 or values.max() > config.max_target_length:
        raise InvalidInput("lengths", values, f"1..{config.max_target_length} tokens, EOS counted")
    return np.pad(values.astype(np.int32), (0, rows - count), constant_values=1)[:, None]
