"""Rejecters, by hand and by law."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.t5.decoding.rejecters import (
    REJECTERS,
    ConstantSchedule,
    Learned,
    LinearSchedule,
    Passthrough,
    Proposal,
    Rejecter,
    Stutter,
)
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
    "rejecter", [ConstantSchedule(0), ConstantSchedule(fraction=0.0), ConstantSchedule(fraction=0.1)]
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
        lambda: ConstantSchedule(2, 0.5),
        lambda: Learned(2.0),
    ],
)
def test_bad_rejecters_are_refused(make: Any) -> None:
    with pytest.raises(InvalidInput):
        make()
