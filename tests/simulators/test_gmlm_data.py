"""Data sources draw from the data."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.gmlm.data import FixedData, LawSource, Windows
from tests.statistical import chi_squared_fits
from theory.errors import InvalidInput
from theory.laws import random_law
from theory.states import state_index

DRAWS = 20_000


def test_law_source_and_fixed_data() -> None:
    law = random_law(3, 3, np.random.default_rng(0))
    drawn = LawSource(law).draw(DRAWS, np.random.default_rng(1))
    assert drawn.dtype == np.int32
    assert chi_squared_fits(np.bincount(state_index(drawn, 3), minlength=27), law.probabilities)
    data = FixedData([[0, 1], [0, 1], [2, 2], [1, 0]], 3)
    counts = np.bincount(state_index(data.draw(DRAWS, np.random.default_rng(2)), 3), minlength=9)
    assert chi_squared_fits(counts[[1, 3, 8]], np.array([0.5, 0.25, 0.25]))
    assert data.fingerprint != FixedData([[0, 1], [0, 1], [2, 2], [1, 1]], 3).fingerprint
    assert LawSource(law).fingerprint == LawSource(law).fingerprint


def test_windows_are_the_pieces_of_the_text() -> None:
    text = np.array([0, 1, 2, 0, 2, 1])
    drawn = Windows(text, 3, 3).draw(4000, np.random.default_rng(0))
    pieces = [tuple(text[i : i + 3]) for i in range(4)]
    counts = np.array([sum(tuple(row) == piece for row in drawn) for piece in pieces])
    assert counts.sum() == 4000
    assert chi_squared_fits(counts, np.full(4, 0.25))


def test_bad_data_is_refused() -> None:
    for bad in ([], [[0.5, 1.0]], [[0, 3]], [[-1, 0]], [0, 1]):
        with pytest.raises(InvalidInput, match="sequences"):
            FixedData(bad, 3)
    with pytest.raises(InvalidInput, match="text = 2 tokens"):
        Windows([0, 1], 2, 3)
