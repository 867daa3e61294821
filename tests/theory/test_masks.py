"""Mask laws: sizes, counts, closed forms, and refusals."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from tests.statistical import chi_squared_fits
from theory.errors import ExceedsMemory, InvalidInput
from theory.masks import (
    AdaptiveMaskLaw,
    Listed,
    MaskLaw,
    adaptive,
    bernoulli,
    k_uniform,
    parse_masks,
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


def test_spans() -> None:
    assert spans(5, 3).masks == ((0, 1, 2), (1, 2, 3), (2, 3, 4))
    assert spans(4, 2, periodic=True).masks == ((0, 1), (1, 2), (2, 3), (0, 3))
    assert spans(3, 3, periodic=True).masks == ((0, 1, 2),)


def test_partition_keeps_the_order_of_its_blocks() -> None:
    law = partition(5, [[4, 1], [0], [2, 3]])
    assert law.masks == ((1, 4), (0,), (2, 3))
    np.testing.assert_allclose(law.inclusion, 1 / 3)


def test_samples_have_the_frequencies_of_the_law() -> None:
    law = Listed(3, ((0,), (1,), (0, 2)), np.array([0.2, 0.3, 0.5]), "three")
    observed = np.bincount(law.sample(10_000, np.random.default_rng(0)), minlength=3)
    assert chi_squared_fits(observed, law.probabilities)


def bits(law: MaskLaw) -> np.ndarray:
    """The law as one of subsets, numbered by their bits, [2^N]."""
    result = np.zeros(2**law.sites)
    for mask, probability in zip(law.masks, law.probabilities, strict=True):
        result[sum(1 << (law.sites - 1 - site) for site in mask)] = probability
    return result


@pytest.mark.parametrize(
    "law",
    [
        k_uniform(5, 2),
        k_uniform(5, 5),
        bernoulli(5, 0.15),
        bernoulli(4, 1.0),
        uniform_ratio(5),
        spans(6, 2),
        spans(5, 3, periodic=True),
        partition(5, [[4, 1], [0], [2, 3]]),
        uniform_ratio(4).listed(),
    ],
    ids=lambda law: law.name,
)
def test_laws_draw_from_themselves(law: MaskLaw) -> None:
    drawn = law.draw(np.zeros((20_000, law.sites), np.int32), np.random.default_rng(7))
    assert (drawn.shape, drawn.dtype) == ((20_000, law.sites), np.bool_)
    counts = np.bincount(drawn @ 2 ** np.arange(law.sites - 1, -1, -1), minlength=2**law.sites)
    assert chi_squared_fits(counts, bits(law))
    assert law.count == len(law.masks)
    assert law.largest == max(map(len, law.masks))
    np.testing.assert_allclose(law.inclusion, law.listed().inclusion, rtol=1e-12)


def test_drawn_adaptive_masks_follow_the_sequence() -> None:
    law = adaptive(3, 2, [(0,), (1,), (0, 2)], lambda x, mask: 1.0 + 3 * x[:, mask[0]] * len(mask))
    for state, sequence in ((0, [0, 0, 0]), (5, [1, 0, 1]), (3, [0, 1, 1])):
        drawn = law.draw(np.tile(np.array(sequence, np.int32), (20_000, 1)), np.random.default_rng(5))
        counts = np.bincount(drawn @ np.array([4, 2, 1]), minlength=8)[[4, 2, 5]]
        assert counts.sum() == 20_000
        assert chi_squared_fits(counts, law.probabilities[:, state])


def test_text_of_masks() -> None:
    assert parse_masks(" k-uniform:k=3", 8) == k_uniform(8, 3)
    assert parse_masks("k-uniform", 8) == k_uniform(8, 1)
    assert parse_masks("bernoulli:ratio=0.4", 8) == bernoulli(8, 0.4)
    assert parse_masks("uniform-ratio", 8) == uniform_ratio(8)
    assert parse_masks("spans:length=3,periodic=true", 8) == spans(8, 3, periodic=True)
    assert parse_masks("blocks:of=3+1/0/2", 4).masks == ((1, 3), (0,), (2,))
    assert parse_masks("blocks:of=0..2/3", 4).masks == ((0, 1, 2), (3,))


@pytest.mark.parametrize(
    "text",
    [
        "", "k-uniform:k=0", "k-uniform:k=9", "k-uniform:k=x", "k-uniform:sites=3", "spans:length=9", "blocks",
        "spans:k=2", "bernoulli:ratio=0", "bernoulli:ratio=nan", "many", "blocks:of=0/1", "blocks:of=",
        "uniform-ratio:r=1",
    ],
)  # fmt: skip
def test_bad_text_of_masks_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_masks(text, 8)


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ("k=3", "k-uniform:k=3"),
        ("bernoulli=0.3", "bernoulli:ratio=0.3"),
        ("span=4", "spans:length=4"),
        ("15%", "bernoulli:ratio=0.15"),
        ("0.4", "bernoulli:ratio=0.4"),
        ("cyclic-spans=4", "spans:length=4,periodic=true"),
        ("blocks=0,1;2,3", "blocks:of=0+1/2+3"),
    ],
)
def test_earlier_spellings_are_told_how_they_are_written_now(earlier: str, now: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(f"is written {now}")):
        parse_masks(earlier, 4)
    parse_masks(now, 4)


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
        lambda: spans(3, 4),
        lambda: spans(3, 0),
        lambda: partition(3, [[0, 1]]),
        lambda: partition(3, [[0, 1], [1, 2]]),
        lambda: partition(3, [[0, 1, 2], []]),
        lambda: Listed(2, (), np.array([]), "none"),
        lambda: Listed(2, ((0,), (0,)), np.array([0.5, 0.5]), "twice"),
        lambda: Listed(2, ((1, 0),), np.array([1.0]), "order"),
        lambda: Listed(2, ((2,),), np.array([1.0]), "outside"),
        lambda: Listed(2, ((0,),), np.array([0.5]), "sum"),
        lambda: Listed(2, ((0,),), np.array([0.5, 0.5]), "length"),
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
    for law in (k_uniform(60, 30), bernoulli(60, 0.5), uniform_ratio(60), uniform_ratio(10_000), k_uniform(2000, 999)):
        with pytest.raises(ExceedsMemory):
            _ = law.masks
        assert law.draw(np.zeros((3, law.sites)), np.random.default_rng(0)).shape == (3, law.sites)
