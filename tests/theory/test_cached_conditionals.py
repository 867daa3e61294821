"""Kept tables are those of the model, and are made once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest

from theory.cached_conditionals import CachedConditionals
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw


class Counted(TableConditionals):
    asked = 0

    def token_conditionals(self, masked: Iterable[int]) -> np.ndarray:
        self.asked += 1
        return super().token_conditionals(masked)


def law() -> JointLaw:
    return JointLaw.from_weights(np.random.default_rng(0).random((3, 3, 3)))


def test_tables_are_those_of_the_model_and_made_once() -> None:
    model = Counted(law())
    cached = CachedConditionals(model)
    for _ in range(3):
        for size in (1, 2, 3):
            for mask in combinations(range(3), size):
                np.testing.assert_array_equal(
                    cached.token_conditionals(mask), TableConditionals(law()).token_conditionals(mask)
                )
                np.testing.assert_array_equal(
                    cached.joint_conditional(mask), TableConditionals(law()).joint_conditional(mask)
                )
    assert model.asked == 7


def test_a_table_handed_out_cannot_be_written_into() -> None:
    with pytest.raises(ValueError, match="read-only"):
        CachedConditionals(TableConditionals(law())).token_conditionals((0,))[0] = 1.0


def test_without_room_nothing_is_kept() -> None:
    model = Counted(law())
    cached = CachedConditionals(model, room=0)
    cached.token_conditionals((0,))
    cached.token_conditionals((0,))
    assert model.asked == 2
    with pytest.raises(InvalidInput, match="room"):
        CachedConditionals(model, room=-1)
