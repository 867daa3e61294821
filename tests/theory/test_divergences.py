"""Divergences: closed forms for coins, zeros, and the inequalities between them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.divergences import entropy, kullback_leibler, total_variation


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two laws on the same set and a stochastic matrix to another set."""
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    size = draw(st.integers(2, 6))
    p, r = generator.dirichlet(np.full(size, draw(st.sampled_from([0.3, 1.0, 5.0]))), size=2)
    return p, r, generator.dirichlet(np.ones(3), size=size)


@pytest.mark.parametrize(("p", "r"), [(0.5, 0.25), (0.1, 0.9), (0.3, 0.3)])
def test_coins(p: float, r: float) -> None:
    left, right = [p, 1 - p], [r, 1 - r]
    assert total_variation(left, right) == pytest.approx(abs(p - r), abs=1e-16)
    expected = p * math.log(p / r) + (1 - p) * math.log((1 - p) / (1 - r))
    assert kullback_leibler(left, right) == pytest.approx(expected, abs=1e-16)
    assert entropy(left) == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p))


def test_zeros() -> None:
    assert entropy([1.0, 0.0]) == 0
    assert kullback_leibler([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert kullback_leibler([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert total_variation([1.0, 0.0], [0.0, 1.0]) == 1


@given(pairs())
def test_inequalities_between_divergences(case) -> None:
    p, r, _ = case
    distance, divergence, chi = total_variation(p, r), kullback_leibler(p, r), float((p**2 / r).sum() - 1)
    assert 0 <= distance <= 1
    assert distance**2 <= divergence / 2 + 1e-15  # Pinsker
    assert divergence <= math.log1p(chi) + 1e-12
    assert distance == total_variation(r, p)


@given(pairs())
def test_data_processing(case) -> None:
    p, r, channel = case
    for divergence in (total_variation, kullback_leibler):
        assert divergence(p @ channel, r @ channel) <= divergence(p, r) * (1 + 1e-12) + 1e-15
    assert entropy(p @ channel) <= math.log(3) + 1e-12


def test_a_second_law_that_lacks_mass_is_compared_as_it_is() -> None:
    """KL(p || r / 2) = KL(p || r) + ln 2."""
    p, r = np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.6, 0.3])
    assert kullback_leibler(p, r / 2) == pytest.approx(kullback_leibler(p, r) + np.log(2), rel=1e-12)
