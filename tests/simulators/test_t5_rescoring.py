"""Choice among hypotheses by an autoregressive network, against scores computed one hypothesis at a time."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simulators.t5.decoding.decoder import Decoded
from simulators.t5.decoding.refinement import RefinementDecoder
from simulators.t5.decoding.rescoring import Rescorer
from simulators.t5.decoding.settings import GenerationSettings, RefinementSettings
from simulators.t5.decoding.translation import Translator
from simulators.t5.network.network import T5
from tests.simulators.t5_examples import full_logits, log_law, refinement_network, scale_output, sentences, small_config
from theory.errors import InvalidInput

COUNT = 6


@pytest.fixture(scope="module")
def network() -> T5:
    return refinement_network()


@pytest.fixture(scope="module")
def judge() -> T5:
    found = T5(small_config(), nnx.Rngs(7))
    scale_output(found, 5)
    return found


@pytest.fixture(scope="module")
def tried(network: T5) -> list[Decoded]:
    """Each of the three likeliest lengths, decoded by itself."""
    source = sentences(COUNT)
    assert network.length_head is not None
    candidates = np.asarray(network.length_head.candidates(network.encode(jnp.asarray(source)), 3))
    decoder = RefinementDecoder(network, RefinementSettings(steps=2, scores=True))
    return [decoder(source, candidates[:, k]) for k in range(3)]


def slow_score(judge: T5, source: np.ndarray, tokens: np.ndarray, length: int) -> float:
    """ln p of one target over its brevity penalty, from one whole pass over it alone."""
    target = tokens[:length].astype(np.int64)
    inputs = np.concatenate([[judge.config.decoder_start_token_id], target[:-1]])
    laws = log_law(full_logits(judge, source[None], inputs[None]))[0]
    return float(laws[np.arange(length), target].sum() / ((5 + length) / 6) ** 0.6)


def test_the_rescorer_chooses_the_target_that_it_finds_likeliest(network: T5, judge: T5, tried: list[Decoded]) -> None:
    source = sentences(COUNT)
    slow = np.array(
        [[slow_score(judge, source[i], each.tokens[i], int(each.lengths[i])) for each in tried] for i in range(COUNT)]
    )
    settings = RefinementSettings(steps=2, length_candidates=3)
    found = RefinementDecoder(network, settings, block_rows=4, rescorer=Rescorer(judge))(source)
    assert found.scores is not None
    np.testing.assert_allclose(found.scores, slow.max(axis=1), rtol=1e-5)
    winners = slow.argmax(axis=1)
    for row, winner in enumerate(winners):
        length = tried[winner].lengths[row]
        assert found.lengths[row] == length
        assert (found.tokens[row, :length] == tried[winner].tokens[row, :length]).all()
    # The networks disagree, so that a choice by the refining network's own scores would have been noticed.
    own = np.stack([np.asarray(each.scores) for each in tried], axis=1).argmax(axis=1)
    assert (own != winners).any()


def test_the_neighbours_of_a_sentence_do_not_change_its_score(network: T5, judge: T5) -> None:
    source = sentences(COUNT)
    settings = RefinementSettings(steps=1, length_beam=3)
    decoder = RefinementDecoder(network, settings, rescorer=Rescorer(judge))
    together = decoder(source, np.full(COUNT, 9)).scores
    alone = decoder(source[2:3], [9]).scores
    assert together is not None
    assert alone is not None
    assert alone[0] == pytest.approx(together[2], rel=1e-5)


def test_unusable_rescorers_are_refused(network: T5, judge: T5) -> None:
    several = RefinementSettings(length_beam=3)
    with pytest.raises(InvalidInput, match="autoregressive one is needed"):
        Rescorer(network)
    with pytest.raises(InvalidInput, match="several are needed"):
        RefinementDecoder(network, RefinementSettings(), rescorer=Rescorer(judge))
    other = T5(small_config(vocab_size=600), nnx.Rngs(0))
    with pytest.raises(InvalidInput, match="vocab_size = 600"):
        RefinementDecoder(network, several, rescorer=Rescorer(other))
    with pytest.raises(InvalidInput, match="rescorer"):
        Translator(judge, GenerationSettings(), rescorer=Rescorer(judge))
