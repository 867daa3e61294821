"""Mask laws: sizes, counts, closed forms, and refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from theory.errors import ExceedsMemory, InvalidInput
from theory.masks import (
    AdaptiveMaskLaw,
    MaskLaw,
    adaptive,
    bernoulli,
    by_size,
    k_uniform,
    partition,
    spans,
    uniform_ratio,
)


@given(st.integers(1, 7), st.data())
def test_k_uniform_lists_every_subset_once(sites: int, data) -> None:
    size = data.draw(st.integers(1, sites))
    law = k_uniform(sites, size)
    assert set(law.masks) == set(itertools.combinations(range(sites), size))
    assert len(law.masks) == math.comb(sites, size)
    np.testing.assert_allclose(law.probabilities, 1 / math.comb(sites, size), rtol=1e-14)
    assert law.mean_size == pytest.approx(size)
    np.testing.assert_allclose(law.inclusion, size / sites, rtol=1e-13)
    assert law.uniform_size == size


@pytest.mark.parametrize("sites", [1, 3, 6])
def test_uniform_ratio_is_the_beta_integral_over_the_ratio(sites: int) -> None:
    law = uniform_ratio(sites)
    assert len(law.masks) == 2**sites
    for mask, probability in zip(law.masks, law.probabilities, strict=True):
        size = len(mask)
        integral, _ = quad(lambda r, size=size: r**size * (1 - r) ** (sites - size), 0, 1)
        assert probability == pytest.approx(integral, rel=1e-12)


@pytest.mark.parametrize("ratio", [0.15, 0.5, 1.0])
def test_bernoulli_masks_every_site_independently(ratio: float) -> None:
    law = bernoulli(4, ratio)
    for mask, probability in zip(law.masks, law.probabilities, strict=True):
        assert probability == pytest.approx(ratio ** len(mask) * (1 - ratio) ** (4 - len(mask)), rel=1e-13)
    np.testing.assert_allclose(law.inclusion, ratio, rtol=1e-13)
    assert law.mean_size == pytest.approx(4 * ratio)


def test_by_size_splits_each_size_evenly() -> None:
    law = by_size(3, [0.0, 0.25, 0.0, 0.75])
    assert law.masks == ((0,), (1,), (2,), (0, 1, 2))
    np.testing.assert_allclose(law.probabilities, [0.25 / 3] * 3 + [0.75])


def test_spans() -> None:
    assert spans(5, 3).masks == ((0, 1, 2), (1, 2, 3), (2, 3, 4))
    assert spans(4, 2, periodic=True).masks == ((0, 1), (1, 2), (2, 3), (0, 3))
    assert spans(3, 3, periodic=True).masks == ((0, 1, 2),)


def test_partition_keeps_the_order_of_its_blocks() -> None:
    law = partition(5, [[4, 1], [0], [2, 3]])
    assert law.masks == ((1, 4), (0,), (2, 3))
    np.testing.assert_allclose(law.inclusion, 1 / 3)


def test_samples_have_the_frequencies_of_the_law() -> None:
    # Chi-squared of 2 degrees of freedom: P(> 23) = 1e-5 is the false-alarm rate.
    law = MaskLaw(3, ((0,), (1,), (0, 2)), np.array([0.2, 0.3, 0.5]), "three")
    count = 10_000
    observed = np.bincount(law.sample(count, np.random.default_rng(0)), minlength=3)
    expected = count * law.probabilities
    assert ((observed - expected) ** 2 / expected).sum() < 23


def test_adaptive_masks_follow_the_weights_of_each_sequence() -> None:
    law = adaptive(3, 2, [(0,), (1, 2)], lambda x, mask: 1 + x[:, list(mask)].sum(axis=1))
    assert isinstance(law, AdaptiveMaskLaw)
    for state, x in enumerate(itertools.product((0, 1), repeat=3)):
        weights = [1 + x[0], 1 + x[1] + x[2]]
        np.testing.assert_allclose(law.probabilities[:, state], np.array(weights) / sum(weights), rtol=1e-14)
    constant = adaptive(2, 2, [(0,), (1,)], lambda x, mask: 1.0 + mask[0])
    np.testing.assert_allclose(constant.probabilities, [[1 / 3] * 4, [2 / 3] * 4])


@pytest.mark.parametrize(
    "call",
    [
        lambda: k_uniform(3, 0),
        lambda: k_uniform(3, 4),
        lambda: k_uniform(0, 1),
        lambda: bernoulli(3, 0.0),
        lambda: bernoulli(3, 1.1),
        lambda: bernoulli(3, math.nan),
        lambda: by_size(3, [0.5, 0.5]),
        lambda: by_size(2, [0.5, 0.6, 0.0]),
        lambda: by_size(2, [0.5, math.nan, 0.5]),
        lambda: by_size(2, [1.5, -0.5, 0.0]),
        lambda: spans(3, 4),
        lambda: spans(3, 0),
        lambda: partition(3, [[0, 1]]),
        lambda: partition(3, [[0, 1], [1, 2]]),
        lambda: partition(3, [[0, 1, 2], []]),
        lambda: MaskLaw(2, (), np.array([]), "none"),
        lambda: MaskLaw(2, ((0,), (0,)), np.array([0.5, 0.5]), "twice"),
        lambda: MaskLaw(2, ((1, 0),), np.array([1.0]), "order"),
        lambda: MaskLaw(2, ((2,),), np.array([1.0]), "outside"),
        lambda: MaskLaw(2, ((0,),), np.array([0.5]), "sum"),
        lambda: MaskLaw(2, ((0,),), np.array([0.5, 0.5]), "length"),
        lambda: AdaptiveMaskLaw(1, ((0,),), np.array([1.0])),
        lambda: AdaptiveMaskLaw(1, ((0,),), np.array([[1.0, 0.5]])),
        lambda: adaptive(2, 2, [(0,)], lambda x, mask: x[:, 0]),
        lambda: adaptive(2, 2, [(0,)], lambda x, mask: -1.0),
        lambda: adaptive(2, 2, [(0,)], lambda x, mask: math.nan),
    ],
)
def test_bad_masks_are_refused(call) -> None:
    with pytest.raises(InvalidInput):
        call()


def test_lists_of_masks_that_do_not_fit_are_refused() -> None:
    for call in (lambda: k_uniform(60, 30), lambda: bernoulli(60, 0.5), lambda: uniform_ratio(60)):
        with pytest.raises(ExceedsMemory):
            call()
