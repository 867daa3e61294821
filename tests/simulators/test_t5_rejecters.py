"""Rejecters, by hand and by law."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.t5.decoding.predictions import predict
from simulators.t5.decoding.refinement import RefinementDecoder
from simulators.t5.decoding.rejecters import (
    REJECTERS,
    ConstantSchedule,
    Learned,
    LinearSchedule,
    Passthrough,
    Proposal,
    Rejecter,
    Stutter,
    Threshold,
    parse_rejecter,
)
from simulators.t5.decoding.settings import RefinementSettings, Sampling
from tests.simulators.t5_examples import refinement_network
from theory.errors import InvalidInput


def view(
    confidence: Any, open: Any = None, step: int = 0, steps: int = 4, tokens: Any = None, keep: Any = None
) -> Proposal:
    confidence = jnp.atleast_2d(jnp.asarray(confidence, jnp.float32))
    shape = confidence.shape
    return Proposal(
        tokens=jnp.arange(confidence.size).reshape(shape) if tokens is None else jnp.asarray(tokens)[None],
        confidence=confidence,
        keep=jnp.ones(shape) if keep is None else jnp.asarray(keep)[None],
        open=jnp.ones(shape, bool) if open is None else jnp.asarray(open)[None],
        step=jnp.int32(step),
        steps=jnp.int32(steps),
    )


def rejected(rejecter: Rejecter, proposal: Proposal) -> list[int]:
    return np.flatnonzero(np.asarray(rejecter.reject(proposal))[0]).tolist()


def test_passthrough_keeps_everything() -> None:
    assert rejected(Passthrough(), view([-1.0, -2.0])) == []


def test_the_linear_schedule_rejects_the_least_confident() -> None:
    confidence = [-1.0, -5.0, -2.0, -4.0, -3.0, 0.0]
    assert [rejected(LinearSchedule(), view(confidence, step=t)) for t in range(4)] == [
        [1, 2, 3, 4],
        [1, 3, 4],
        [1],
        [],
    ]


def test_closed_positions_are_never_rejected() -> None:
    proposal = view([-9.0, -1.0, -2.0, -9.0], open=[False, True, True, False])
    assert rejected(ConstantSchedule(5), proposal) == [1, 2]
    assert rejected(ConstantSchedule(1), proposal) == [2]


@pytest.mark.parametrize(
    "rejecter", [ConstantSchedule(0), ConstantSchedule(0, fraction=0.0), ConstantSchedule(fraction=0.1)]
)
def test_a_schedule_of_nothing_rejects_nothing(rejecter: Rejecter) -> None:
    assert rejected(rejecter, view([-1.0, -1.0, -1.0])) == []
    assert rejected(LinearSchedule(), view([-1.0, -1.0, -1.0], step=3)) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_ties_do_not_reject_more(count: int) -> None:
    assert rejected(ConstantSchedule(count), view([-1.0] * 5)) == list(range(count))


@given(
    st.lists(st.sampled_from([-3.0, -2.0, -1.0]), min_size=1, max_size=12),
    st.integers(1, 9),
    st.data(),
)
def test_the_linear_schedule_rejects_exactly_its_number(confidence: list[float], steps: int, data: Any) -> None:
    step = data.draw(st.integers(0, steps - 1))
    found = rejected(LinearSchedule(), view(confidence, step=step, steps=steps))
    assert len(found) == len(confidence) * (steps - step - 1) // steps
    kept = [value for index, value in enumerate(confidence) if index not in found]
    # Something is always kept, so masks never cover a whole target again, however short it is.
    assert kept
    assert not found or max(confidence[i] for i in found) <= min(kept)


@pytest.mark.parametrize("length", range(1, 21))
def test_fractions_are_exact(length: int) -> None:
    assert len(rejected(ConstantSchedule(fraction=0.7), view([-1.0] * length))) == 7 * length // 10


def test_the_threshold_rejects_what_is_less_probable_and_never_all() -> None:
    probabilities = [0.95, 0.2, 0.89, 0.91, 0.5]
    assert rejected(Threshold(), view(np.log(probabilities))) == [1, 2, 4]
    assert rejected(Threshold(0.3), view(np.log(probabilities))) == [1]
    assert rejected(Threshold(0.99), view(np.log(probabilities))) == [1, 2, 3, 4]  # the likeliest stays
    assert rejected(Threshold(0.0), view([-np.inf, -1.0])) == []
    assert rejected(Threshold(), view([-9.0, -3.0, -2.0], open=[False, True, True])) == [1]
    assert rejected(Threshold(), view([-3.0], open=[False])) == []
    assert parse_rejecter("threshold:probability=0.5") == Threshold(0.5)


def test_stutter_is_not_cyclic_and_stays_inside_the_target() -> None:
    tokens = [7, 7, 7, 5, 5, 7]
    everywhere = [True] * 6
    assert rejected(Stutter(), view([0.0] * 6, everywhere, tokens=tokens)) == [1, 2, 4]
    # Position 0 equals the last one; closed positions are neither rejected nor neighbours.
    assert rejected(Stutter(), view([0.0] * 6, [True, False, True, True, True, False], tokens=tokens)) == [4]


def test_the_learned_rejecter_reads_the_head() -> None:
    keep = [0.2, 0.5, 0.9]
    assert rejected(Learned(), view([0.0] * 3, keep=keep)) == [0]
    assert rejected(Learned(0.6), view([0.0] * 3, keep=keep)) == [0, 1]


def test_every_rejecter_can_be_named() -> None:
    assert {type(make()) for make in REJECTERS.values()} == set(REJECTERS.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConstantSchedule(-1),
        lambda: ConstantSchedule(fraction=1.5),
        lambda: ConstantSchedule(2.5),  # type: ignore[arg-type]
        lambda: parse_rejecter("nothing"),
        lambda: parse_rejecter("linear:count=1"),
        lambda: parse_rejecter("constant:count=-1"),
        lambda: parse_rejecter("constant:count=x"),
        lambda: parse_rejecter("constant:count"),
        lambda: Learned(2.0),
    ],
)
def test_bad_rejecters_are_refused(make: Any) -> None:
    with pytest.raises(InvalidInput):
        make()


def test_a_rejecter_is_added_by_its_class_alone() -> None:
    """Its name is known, and a network without the head that it reads is refused before the first pass."""
    before = dict(REJECTERS)
    try:

        @dataclass(frozen=True)
        class Doubtful(Rejecter):
            name: ClassVar[str] = "doubtful"
            needs_head: ClassVar[bool] = True

            def reject(self, proposal: Proposal) -> jax.Array:
                return proposal.open & (proposal.keep < 0.9)

        assert REJECTERS["doubtful"] is Doubtful
        network = refinement_network()
        with pytest.raises(InvalidInput, match="rejecter = doubtful: the network was made without a learned rejecter"):
            RefinementDecoder(network, RefinementSettings(rejecter=Doubtful()))
    finally:
        REJECTERS.clear()
        REJECTERS.update(before)


@pytest.mark.parametrize("temperature", [0.0, 0.3, 2.0])
def test_confidence_is_that_of_the_law_and_not_of_the_tempered_one(temperature: float) -> None:
    """At T = 0 every tempered probability is 1, and a schedule would reject at random."""
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(1, 6, 9)) * 2, jnp.float32)
    network = SimpleNamespace(
        config=SimpleNamespace(vocab_size=9, pad_token_id=0, eos_token_id=1), logits=lambda states: states
    )
    ones = jnp.ones((1, 6), bool)
    found = predict(
        network,  # type: ignore[arg-type]
        logits,
        ones,
        jnp.full((1, 6), 9),
        jnp.asarray(np.random.default_rng(1).random((1, 6))),
        Sampling(temperature),
        True,
        None,
        4,
    )
    law = np.asarray(jax.nn.log_softmax(logits, axis=-1))
    expected = np.take_along_axis(law, np.asarray(found.tokens)[..., None], axis=2)[..., 0]
    np.testing.assert_allclose(found.confidence, expected, rtol=1e-5)
    assert len(set(np.asarray(found.confidence).ravel().tolist())) == 6


def test_rejecters_are_written_by_name_and_options() -> None:
    assert list(REJECTERS) == ["passthrough", "linear", "constant", "threshold", "stutter", "learned"]
    assert parse_rejecter("linear") == LinearSchedule()
    assert parse_rejecter("constant") == ConstantSchedule(count=1)
    assert parse_rejecter("constant:fraction=0.2") == ConstantSchedule(fraction=0.2)
    assert parse_rejecter("constant:count=3,fraction=0") == ConstantSchedule(3)
    assert parse_rejecter("learned:threshold=0.25") == Learned(0.25)
