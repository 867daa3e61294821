"""Mask sources draw from the laws of the theory; data sources from the data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from simulators.gmlm.data import FixedData, LawSource, Windows
from simulators.gmlm.masking import Bernoulli, MaskSource, Spans, UniformRatio, UniformSize, listed, parse_masks
from theory.errors import InvalidInput
from theory.laws import random_law
from theory.masks import AdaptiveMaskLaw, MaskLaw, adaptive, bernoulli, k_uniform, spans, uniform_ratio
from theory.states import state_index

DRAWS = 20_000
FALSE_ALARM = 1e-4
"""Chance that a correct source fails one of the chi-squared tests below."""


def chi_squared_fits(counts: np.ndarray, probabilities: np.ndarray) -> bool:
    assert counts[probabilities == 0].sum() == 0
    possible = probabilities > 0
    expected = counts.sum() * probabilities[possible]
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    return bool(statistic < chi2.isf(FALSE_ALARM, max(int(possible.sum()) - 1, 1)))


def law_of_bits(law: MaskLaw) -> np.ndarray:
    result = np.zeros(2**law.sites)
    for mask, probability in zip(law.masks, law.probabilities, strict=True):
        result[sum(1 << (law.sites - 1 - site) for site in mask)] = probability
    return result


PAIRS: list[tuple[MaskSource, MaskLaw]] = [
    (UniformSize(5, 2), k_uniform(5, 2)),
    (UniformSize(5, 5), k_uniform(5, 5)),
    (Bernoulli(5, 0.15), bernoulli(5, 0.15)),
    (Bernoulli(4, 1.0), bernoulli(4, 1.0)),
    (UniformRatio(5), uniform_ratio(5)),
    (Spans(6, 2), spans(6, 2)),
    (listed(uniform_ratio(4)), uniform_ratio(4)),
    (listed(spans(5, 3, periodic=True)), spans(5, 3, periodic=True)),
]


@pytest.mark.parametrize(("source", "law"), PAIRS, ids=lambda value: value.name)
def test_sources_draw_from_their_laws(source: MaskSource, law: MaskLaw) -> None:
    drawn = source.draw(np.zeros((DRAWS, law.sites), np.int32), np.random.default_rng(7))
    assert drawn.shape == (DRAWS, law.sites)
    assert drawn.dtype == np.bool_
    assert source.name == law.name
    counts = np.bincount(state_index(drawn.astype(np.int64), 2), minlength=2**law.sites)
    assert chi_squared_fits(counts, law_of_bits(law))


def test_adaptive_masks_follow_the_sequence() -> None:
    law: AdaptiveMaskLaw = adaptive(3, 2, [(0,), (1,), (0, 2)], lambda x, mask: 1.0 + 3 * x[:, mask[0]] * len(mask))
    source = listed(law, 2)
    for sequence in ([0, 0, 0], [1, 0, 1], [0, 1, 1]):
        sequences = np.tile(np.array(sequence, np.int32), (DRAWS, 1))
        drawn = source.draw(sequences, np.random.default_rng(5))
        counts = np.bincount(drawn @ np.array([4, 2, 1]), minlength=8)[[4, 2, 5]]
        assert counts.sum() == DRAWS
        assert chi_squared_fits(counts, law.probabilities[:, int(state_index(np.array(sequence), 2))])


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


def test_text_of_masks() -> None:
    assert parse_masks("uniform-ratio", 8) == UniformRatio(8)
    assert parse_masks("15%", 8) == parse_masks("0.15", 8) == Bernoulli(8, 0.15)
    assert parse_masks("k=3", 8) == UniformSize(8, 3)
    assert parse_masks(" span=2 ", 8) == Spans(8, 2)


@pytest.mark.parametrize("text", ["", "k=0", "k=9", "k=x", "span=9", "0", "150%", "-0.1", "many", "nan"])
def test_bad_masks_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_masks(text, 8)


def test_bad_data_is_refused() -> None:
    for bad in ([], [[0.5, 1.0]], [[0, 3]], [[-1, 0]], [0, 1]):
        with pytest.raises(InvalidInput, match="sequences"):
            FixedData(bad, 3)
    with pytest.raises(InvalidInput, match="text = 2 tokens"):
        Windows([0, 1], 2, 3)
