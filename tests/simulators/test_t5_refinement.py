"""Refinement decoding against a slow decoder of one sentence at a time, and the defects that it must not have."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simulators.t5.decoding.decoder import Decoded
from simulators.t5.decoding.hypotheses import make_hypotheses
from simulators.t5.decoding.refinement import RefinementDecoder
from simulators.t5.decoding.refinement_step import close_gaps, first_state, random_pieces
from simulators.t5.decoding.rejecters import ConstantSchedule, Learned, LinearSchedule, Proposal, Rejecter, Stutter
from simulators.t5.decoding.settings import RefinementSettings, Sampling
from simulators.t5.network.lengths import Encoded
from simulators.t5.network.network import T5
from tests.simulators.t5_examples import full_logits, log_law, refinement_network, scale_output, sentences, small_config
from theory.errors import InvalidInput

COUNT = 9
LENGTHS = np.array([12, 1, 2, 3, 7, 5, 9, 4, 6])


@pytest.fixture(scope="module")
def network() -> T5:
    return refinement_network(learned_rejecter=True, range_masks=True)


@pytest.fixture(scope="module")
def plain(network: T5) -> RefinementDecoder:
    """Masks, no rejecter; compiled once for the tests that need no other."""
    return RefinementDecoder(network, RefinementSettings(scores=True))


def without_repeats(tokens: np.ndarray, vocabulary: int) -> list[int]:
    """Positions that stay when repeated pieces before EOS are removed."""
    last = len(tokens) - 1
    return [i for i in range(last + 1) if not (0 < i < last and tokens[i] == tokens[i - 1] < vocabulary)]


@nnx.jit
def padded_pass(network: T5, source: jax.Array, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
    states = network.decode(tokens, network.encode(source))
    return network.logits(states)[0], jax.nn.sigmoid(network.keep_logits(states))[0]


def whole_pass(network: T5, source: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits [L, V] and keep probabilities [L] of one target; padded for the sake of compiling once."""
    padded = np.pad(tokens, (0, LENGTHS.max() - len(tokens)))
    logits, keep = padded_pass(network, jnp.asarray(source[None]), jnp.asarray(padded[None]))
    return np.asarray(logits)[: len(tokens)], np.asarray(keep)[: len(tokens)]


class Slow:
    """All T steps for one sentence, without early exit or blocks, by whole logits."""

    def __init__(self, network: T5, settings: RefinementSettings) -> None:
        self.network, self.settings = network, settings

    def __call__(self, source: np.ndarray, length: int) -> tuple[np.ndarray, float]:
        network, settings, config = self.network, self.settings, self.network.config
        vocabulary = config.vocab_size
        start = np.full(length, vocabulary)
        if settings.start == "range-mask":
            start = vocabulary + 2 + np.arange(length)
        start[-1] = 1
        initial, tokens, total = start, start.copy(), np.zeros((length, vocabulary))
        pending, kept = np.arange(length) < length - 1, np.zeros(length)
        listed = np.ones(vocabulary, bool)
        for step in range(settings.steps):
            logits, keep = whole_pass(network, source, tokens)
            logits = np.where(listed, logits, -np.inf)
            law = log_law(logits)
            if settings.shortlist and step == 0:
                largest = law[:-1].max(axis=0, initial=-np.inf)
                largest[1] = np.inf
                listed = np.isin(np.arange(vocabulary), np.argsort(-largest, kind="stable")[: settings.shortlist])
            total = total + logits
            allowed = np.where(np.isin(np.arange(vocabulary), (0, 1)), -np.inf, logits)
            summed = np.where(np.isin(np.arange(vocabulary), (0, 1)), -np.inf, total).argmax(axis=1)
            chosen = np.where(pending, allowed.argmax(axis=1), tokens)
            index = np.arange(len(tokens))
            kept = np.where(pending, law[index, np.minimum(chosen, vocabulary - 1)], kept)
            kept[-1] = law[-1, 1]
            opened = index < len(tokens) - 1
            seen = (chosen[None], kept[None], keep[None], opened[None], step, settings.steps)
            predictions = Proposal(*(jnp.asarray(value) for value in seen))
            rejected = np.asarray(settings.rejecter.reject(predictions))[0]
            rejected = rejected & opened
            filling = {"previous": tokens, "initial": initial[: len(tokens)], "summed": summed}[settings.replacement]
            if step == settings.steps - 1:
                replaced = rejected & (filling < vocabulary) & (settings.replacement != "initial")
                tokens = np.where(replaced, filling, chosen)
                kept = np.where(replaced, law[index, np.minimum(filling, vocabulary - 1)], kept)
                if settings.remove_stutter != "never":
                    stays = without_repeats(tokens, vocabulary)
                    tokens, kept = tokens[stays], kept[stays]
                return tokens, float(kept.sum()) / ((5 + len(tokens)) / 6) ** settings.length_penalty
            tokens = np.where(rejected, filling, chosen)
            pending = rejected if settings.update == "rejected" else opened
            if settings.remove_stutter == "each-step":
                stays = without_repeats(tokens, vocabulary)
                tokens, kept, pending, total = tokens[stays], kept[stays], pending[stays], total[stays]
        raise AssertionError("no step")


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "range masks, no stutter at the end": {"start": "range-mask", "remove_stutter": "end"},
    "mask-predict": {"rejecter": LinearSchedule(), "replacement": "initial"},
    "mask-predict of rejected": {"rejecter": LinearSchedule(), "replacement": "initial", "update": "rejected"},
    "linear, previous": {"rejecter": LinearSchedule()},
    "linear, summed": {"rejecter": LinearSchedule(), "replacement": "summed"},
    "everything rejected": {"rejecter": ConstantSchedule(fraction=1.0), "replacement": "initial"},
    "stutter, rejected": {"rejecter": Stutter(), "update": "rejected"},
    "learned, rejected": {"rejecter": Learned(0.4), "update": "rejected", "replacement": "initial"},
    "shortlist": {"shortlist": 12, "rejecter": ConstantSchedule(2)},
    "no stutter at all": {"remove_stutter": "each-step", "rejecter": ConstantSchedule(1), "replacement": "summed"},
}


@pytest.mark.parametrize("case", CASES)
def test_the_compiled_loop_equals_the_slow_decoder(network: T5, case: str) -> None:
    """Also with early exit and with blocks smaller than the batch: neither changes a result."""
    settings = RefinementSettings(**({"scores": True} | CASES[case]))
    source = sentences(COUNT)
    decoder = RefinementDecoder(network, settings, block_rows=4)
    for steps in (7, 1):
        found = decoder(source, LENGTHS, steps=steps)
        slow = Slow(network, replace(settings, steps=steps))
        for row in range(COUNT):
            tokens, score = slow(source[row], int(LENGTHS[row]))
            assert found.lengths[row] == len(tokens)
            np.testing.assert_array_equal(found.tokens[row, : len(tokens)], tokens)
            assert (found.tokens[row, len(tokens) :] == 0).all()
            assert found.scores is not None
            assert found.scores[row] == pytest.approx(score, rel=1e-4, abs=1e-4)
        # Masks and other special symbols are never output, whatever is rejected at the last step.
        assert found.tokens.max() < network.config.vocab_size
    assert decoder.traces == 1


def test_a_shortlist_of_all_pieces_changes_nothing_and_a_short_one_does(network: T5) -> None:
    def decoded(shortlist: int) -> Decoded:
        settings = RefinementSettings(rejecter=LinearSchedule(), replacement="initial", shortlist=shortlist)
        return RefinementDecoder(network, settings)(sentences(COUNT), LENGTHS)

    whole = decoded(0)
    np.testing.assert_array_equal(decoded(10**6).tokens, whole.tokens)
    assert (decoded(2).tokens != whole.tokens).any()


def copying_network() -> T5:
    """Predicts at each position, whatever the source: the piece that it sees, or piece 5 where it sees a mask."""
    config = small_config(
        decoder="refinement",
        d_model=64,
        vocab_size=30,
        scale_decoder_outputs=False,
        range_masks=True,
        max_target_length=12,
    )
    network = T5(config, nnx.Rngs(0))
    state = nnx.state(network.decoder, nnx.Param)
    nnx.update(network.decoder, jax.tree.map(jnp.zeros_like, state))
    network.decoder.norm.weight[...] = jnp.ones(64)
    network.shared[...] = jnp.eye(30, 64)
    assert network.lm_head is not None
    assert network.specials is not None
    network.lm_head[...] = jnp.eye(30, 64)
    network.specials[...] = jnp.broadcast_to(jnp.eye(30, 64)[5], network.specials[...].shape)
    return network


def test_tokens_that_equal_the_initial_ones_stay() -> None:
    """Defect: they were blanked, so that random starts left holes and EOS was stripped."""
    found = RefinementDecoder(copying_network(), RefinementSettings(start="random", steps=3))(
        [[4, 1]] * 4, [9, 5, 2, 1], key=jax.random.key(0)
    )
    np.testing.assert_array_equal(found.tokens, np.where(found.inputs >= 30, 5, found.inputs))
    assert [int((row != 0).sum()) for row in found.tokens] == [9, 5, 2, 1]
    assert all(found.tokens[i, n - 1] == 1 for i, n in enumerate([9, 5, 2, 1]))
    assert found.steps.tolist() == [1, 1, 1, 1]


def test_eos_is_scored(network: T5, plain: RefinementDecoder) -> None:
    """Defect: EOS was left out of the score. A target of EOS alone scores exactly its probability."""
    assert LENGTHS[1] == 1
    found = plain(sentences(COUNT), LENGTHS)
    law = log_law(full_logits(network, sentences(COUNT)[1:2], [[1]]))
    assert found.scores is not None
    assert found.scores[1] == pytest.approx(float(law[0, 0, 1]), rel=1e-4)


def test_short_targets_survive_a_linear_schedule(network: T5) -> None:
    """Defect: masks, a linear schedule and initial replacement could give targets of at most T tokens no output."""
    settings = RefinementSettings(steps=8, rejecter=LinearSchedule(), replacement="initial")
    lengths = np.arange(1, 9)
    found = RefinementDecoder(network, settings)(sentences(8), lengths)
    assert ((found.tokens >= 2) & (found.tokens < 700)).sum(axis=1).tolist() == (lengths - 1).tolist()
    # The last step keeps every prediction, so each of the steps was needed.
    assert (found.steps == 8).all()


def test_a_schedule_that_rejects_nothing_is_passthrough(network: T5, plain: RefinementDecoder) -> None:
    """Defect: at least one token was rejected."""
    source = sentences(COUNT)
    nothing = RefinementSettings(rejecter=ConstantSchedule(0), replacement="initial")
    found = RefinementDecoder(network, nothing)(source, LENGTHS)
    np.testing.assert_array_equal(found.tokens, plain(source, LENGTHS).tokens)


def test_padding_is_never_seen(network: T5) -> None:
    """Defect: predictions at padding leaked into later passes. States of a target do not depend on its bucket."""
    target = np.random.default_rng(0).integers(3, 700, (1, 6))
    short, long = (full_logits(network, sentences(1), np.pad(target, ((0, 0), (0, extra)))) for extra in (0, 10))
    np.testing.assert_allclose(long[:, :6], short, atol=1e-4)
    settings = RefinementSettings(steps=5, record=True)
    history = RefinementDecoder(network, settings)(sentences(COUNT), LENGTHS).history
    assert history is not None
    outside = np.arange(history.shape[2])[None] >= LENGTHS[:, None]
    assert (history[:, outside] == 0).all()


def test_stutter_has_no_left_neighbour_at_the_start() -> None:
    """Defect: position 0 was compared with the last position."""
    tokens = jnp.array([[7, 7, 5, 7, 1, 0]])
    order, lengths = close_gaps(tokens, jnp.array([5]), small_config(decoder="refinement"))
    assert int(lengths[0]) == 4
    assert np.asarray(tokens)[0, np.asarray(order)[0, :4]].tolist() == [7, 5, 7, 1]


def test_special_symbols_are_no_pieces() -> None:
    """Defect: range masks could overlap ordinary pieces."""
    config = small_config(decoder="refinement", range_masks=True)
    special = [
        config.mask_id,
        config.length_id,
        *(config.first_range_mask_id + i for i in range(config.max_target_length)),
    ]
    assert len(set(special)) == len(special) == config.special_symbols
    assert min(special) == config.vocab_size
    network = T5(config, nnx.Rngs(0))
    vectors = network.embed(jnp.asarray([special]))[0]
    assert network.specials is not None
    np.testing.assert_array_equal(vectors, network.specials[...])
    assert network.logits(vectors).shape[-1] == config.vocab_size


@pytest.mark.parametrize("start", ["mask", "random"])
def test_a_sentence_does_not_depend_on_its_neighbours(network: T5, start: Any) -> None:
    """Defect: "unchanged" was asked of the whole batch, so that result and cost depended on the neighbours."""
    source, key = sentences(COUNT), jax.random.key(1)
    decoder = RefinementDecoder(network, RefinementSettings(steps=30, start=start))
    together = decoder(source, LENGTHS, key=key)
    assert len(set(together.steps.tolist())) > 1

    def equal(found: Decoded, rows: list[int]) -> None:
        for place, row in enumerate(rows):
            size = LENGTHS[row]
            np.testing.assert_array_equal(found.tokens[place, :size], together.tokens[row, :size])
            assert found.steps[place] == together.steps[row]

    other = np.random.default_rng(0).permutation(COUNT)
    equal(decoder(source[other], LENGTHS[other], key=key, sentences=other), other.tolist())
    equal(decoder([source[6][source[6] != 0]], LENGTHS[6:7], key=key, sentences=[6]), [6])


def test_early_exit_stops_at_fixed_points(network: T5, plain: RefinementDecoder) -> None:
    source = sentences(COUNT)
    early = plain(source, LENGTHS, steps=40)
    late = RefinementDecoder(network, RefinementSettings(steps=40, early_exit=False, scores=True))(source, LENGTHS)
    np.testing.assert_array_equal(early.tokens, late.tokens)
    assert early.scores is not None
    assert late.scores is not None
    np.testing.assert_allclose(early.scores, late.scores, rtol=1e-5)
    assert (late.steps == 40).all()
    assert early.steps.min() <= 2


def test_sums_of_logits_are_carried_only_where_they_are_used(network: T5) -> None:
    """Defect: a sum of [batch, length, vocabulary] logits was always carried."""

    rows = make_hypotheses(np.array([[4], [4]]), np.ones(2, bool), 1, 1, 40, 1)

    def carried(**options: Any) -> bool:
        first = partial(first_state, network.config, RefinementSettings(**options), longest=8)
        return jax.eval_shape(first, rows, jnp.arange(2), jax.random.key(0)).total is not None

    assert not carried()
    assert not carried(rejecter=LinearSchedule(), replacement="initial")
    assert carried(rejecter=LinearSchedule(), replacement="summed")


def test_confidence_is_that_of_the_drawn_token(network: T5) -> None:
    """Defect: it was the largest probability. A rejecter that records what it sees is compared with the law."""
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    class Recorder(Rejecter):
        needs_confidence = True

        def reject(self, predictions: Proposal) -> jax.Array:
            jax.debug.callback(lambda *a: seen.append(a), predictions.tokens, predictions.confidence)
            return jnp.zeros_like(predictions.open)

    settings = RefinementSettings(steps=1, rejecter=Recorder(), sampling=Sampling(2.0))
    RefinementDecoder(network, settings)(sentences(1), [8], key=jax.random.key(0))
    jax.effects_barrier()
    tokens, confidence = (np.asarray(a)[0, :7] for a in seen[0])
    inputs = np.array([[network.config.mask_id] * 7 + [1]])
    law = log_law(full_logits(network, sentences(1), inputs))[0, :7]
    np.testing.assert_allclose(confidence, law[np.arange(7), tokens], atol=1e-4)
    assert (confidence < law.max(axis=1) - 0.1).any()


def test_start_and_draws_use_different_keys_that_must_be_given(network: T5) -> None:
    """Defect: one constant key served both."""
    random = RefinementDecoder(
        network, RefinementSettings(start="random", sampling=Sampling(1.0), steps=1, record=True)
    )
    with pytest.raises(InvalidInput, match="key"):
        random(sentences(2), [6, 6])
    first = random(sentences(2), [6, 6], key=jax.random.key(0))
    other = random(sentences(2), [6, 6], key=jax.random.key(1))
    assert (first.inputs != other.inputs).any()
    assert (first.inputs[0] != first.inputs[1]).any()
    uniform = np.linspace(0, 1, 699, endpoint=False)
    # Inverting the law at the numbers of the start would repeat the start on a uniform law.
    flat = refinement_network()
    scale_output(flat, 0)
    settings = RefinementSettings(start="random", sampling=Sampling(1.0), steps=1)
    drawn = RefinementDecoder(flat, settings)(sentences(2), [20, 20], key=jax.random.key(0))
    spread = np.abs(drawn.tokens[:, :19].astype(int) - drawn.inputs[:, :19])
    assert np.median(spread) > 20
    assert set(np.asarray(random_pieces(jnp.asarray(uniform), flat.config)).tolist()) <= set(range(2, 700))


def test_the_best_hypothesis_has_the_largest_penalised_score(network: T5) -> None:
    source = sentences(3)
    settings = RefinementSettings(steps=3, length_candidates=3, length_beam=3)
    best = RefinementDecoder(network, settings)(source)
    encoded: Encoded = network.encode(jnp.asarray(source))
    assert network.length_head is not None
    candidates = np.asarray(network.length_head.candidates(encoded, 3))
    single = RefinementDecoder(network, RefinementSettings(steps=3, scores=True))
    tried = {
        shift: single(source, np.clip(candidates[:, k] + shift[1], 1, 40))
        for k in range(3)
        for shift in ((k, -1), (k, 0), (k, 1))
    }
    scores = np.stack([np.asarray(found.scores) for found in tried.values()])
    assert best.scores is not None
    np.testing.assert_allclose(best.scores, scores.max(axis=0), rtol=1e-5)
    winners = scores.argmax(axis=0)
    for row in range(3):
        winner = list(tried.values())[winners[row]]
        assert best.lengths[row] == winner.lengths[row]


def test_filling_rows_are_no_hypotheses(network: T5) -> None:
    """More filling than sentences: it must not shift which rows belong to whom."""
    rows = make_hypotheses(np.array([[3], [5]]), np.ones(2, bool), beam=3, attempts=1, longest=9, multiple=10)
    assert rows.lengths.tolist() == [3, 2, 4, 5, 4, 6, 1, 1, 1, 1]
    assert rows.skipped.tolist() == [False] * 6 + [True] * 4
    settings = RefinementSettings(steps=2, length_beam=3)
    found = [RefinementDecoder(network, settings, block_rows=block)(sentences(3)) for block in (None, 7)]
    np.testing.assert_array_equal(found[0].tokens, found[1].tokens)


def test_more_parallel_decodes_never_score_less(network: T5) -> None:
    source, key = sentences(4), jax.random.key(0)
    scores = [
        RefinementDecoder(network, RefinementSettings(steps=2, start="random", scores=True, parallel_decodes=count))(
            source, [6, 7, 8, 9], key=key
        ).scores
        for count in (1, 3)
    ]
    one, three = (np.asarray(values) for values in scores)
    assert (three >= one - 1e-5).all()
    assert (three > one).any()


def test_one_program_serves_a_bucket_and_any_number_of_steps(network: T5) -> None:
    decoder = RefinementDecoder(network, RefinementSettings())
    for steps, longest, lengths in ((1, 9, [9, 12]), (4, 12, [16, 10]), (6, 16, [11, 14])):
        decoder(sentences(2, longest=longest), lengths, steps=steps)
    assert decoder.traces == 1
    decoder(sentences(2), [17, 2])
    assert decoder.traces == 2


def test_history_ends_with_the_output(network: T5) -> None:
    settings = RefinementSettings(steps=6, record=True, rejecter=LinearSchedule(), replacement="initial")
    found = RefinementDecoder(network, settings, block_rows=2)(sentences(COUNT), LENGTHS)
    assert found.history is not None
    assert found.history.shape[:2] == (6, COUNT)
    np.testing.assert_array_equal(found.history[-1], found.tokens)
    np.testing.assert_array_equal(found.history[-2], found.inputs)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"steps": 0}, {}, "steps"),
        ({"start": "noise"}, {}, "start"),
        ({"length_beam": 2}, {}, "length_beam"),
        ({"parallel_decodes": 2}, {}, "parallel_decodes"),
        ({"rejecter": "linear"}, {}, "rejecter"),
        ({"shortlist": -1}, {}, "shortlist"),
        ({"shortlist": 9, "replacement": "summed"}, {}, "shortlist"),
        ({"shortlist": 9, "start": "random"}, {}, "shortlist"),
        ({"start": "range-mask"}, {}, "start"),
        ({"rejecter": Learned()}, {}, "rejecter"),
        ({"length_candidates": 2}, {"length_predictor": "affine"}, "length_candidates"),
        ({}, {"decoder": "autoregressive"}, "network"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        RefinementDecoder(
            T5(small_config(**({"decoder": "refinement"} | options)), nnx.Rngs(0)), RefinementSettings(**settings)
        )


@pytest.mark.parametrize("lengths", [[3], [0, 3], [3, 41], [3.5, 2.0]])
def test_lengths_that_cannot_be_are_refused(network: T5, lengths: Any) -> None:
    with pytest.raises(InvalidInput, match="lengths"):
        RefinementDecoder(network)(sentences(2), lengths)


def test_an_oracle_needs_the_lengths() -> None:
    with pytest.raises(InvalidInput, match="lengths"):
        RefinementDecoder(refinement_network(length_predictor="oracle"))(sentences(2))


def test_a_batch_may_be_padded_beyond_the_longest_target() -> None:
    network = refinement_network(positional_attention=True, range_masks=True, max_target_length=5)
    source = jnp.asarray(sentences(2, 0), jnp.int32)
    inputs = jnp.asarray([[9, 8, 7, 6, 1], [9, 8, 1, 0, 0]], jnp.int32)
    encoded = network.encode(source)
    states = network.decode(inputs, encoded)
    padded = network.decode(jnp.pad(inputs, ((0, 0), (0, 3))), encoded)
    seen = np.asarray(inputs != 0)
    np.testing.assert_allclose(np.asarray(padded)[:, :5][seen], np.asarray(states)[seen], rtol=1e-4, atol=1e-5)
