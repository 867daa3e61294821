"""Intervals and standardised deviations against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, spearmanr

from experiments.statistics import (
    chi_squared_deviation,
    chi_squared_power,
    clopper_pearson,
    clopper_pearson_power,
    quadratic_form_freedom,
    site_permutation_test,
)
from theory.errors import InvalidInput


def binomial_tail(total: int, probability: float, counts: range) -> float:
    return math.fsum(math.comb(total, c) * probability**c * (1 - probability) ** (total - c) for c in counts)


@given(st.integers(1, 30), st.data(), st.sampled_from([0.05, 1e-3]))
def test_clopper_pearson_ends_have_the_tail_probabilities_of_the_binomial_law(total: int, data, level: float) -> None:
    count = data.draw(st.integers(0, total))
    low, high = clopper_pearson(count, total, level)
    assert low <= count / total <= high
    if count > 0:
        assert binomial_tail(total, low, range(count, total + 1)) == pytest.approx(level / 2, rel=1e-6)
    if count < total:
        assert binomial_tail(total, high, range(count + 1)) == pytest.approx(level / 2, rel=1e-6)


def test_clopper_pearson_closed_forms_at_the_ends() -> None:
    assert clopper_pearson(0, 100, 0.1) == (0.0, pytest.approx(1 - 0.05**0.01))
    assert clopper_pearson(100, 100, 0.1) == (pytest.approx(0.05**0.01), 1.0)


def test_chi_squared_deviation_keeps_tail_probabilities_far_out() -> None:
    values = np.array([20.0, 50.0, 100.0, 400.0, np.nan])
    deviations = chi_squared_deviation(values, 50)
    assert np.isnan(deviations[-1])
    for value, deviation in zip(values[:-1], deviations[:-1], strict=True):
        tail = chi2.sf(value, 50) if deviation > 0 else chi2.cdf(value, 50)
        assert 0.5 * math.erfc(abs(deviation) / math.sqrt(2)) == pytest.approx(tail, rel=1e-9)
    assert deviations[3] > 15


def test_quadratic_form_freedom() -> None:
    assert quadratic_form_freedom(3 * np.eye(7)) == pytest.approx(7)
    assert quadratic_form_freedom(np.diag([1.0, 0.0])) == pytest.approx(1)


@pytest.mark.parametrize("arguments", [(1, 0, 0.1), (-1, 5, 0.1), (6, 5, 0.1), (1, 5, 0.0), (1, 5, 1.0)])
def test_bad_input_is_refused(arguments: tuple) -> None:
    with pytest.raises(InvalidInput):
        clopper_pearson(*arguments)


def symmetric(generator: np.random.Generator, replicates: int, sites: int) -> np.ndarray:
    values = generator.integers(0, 8, size=(replicates, sites, sites)).astype(float)
    return values + values.transpose(0, 2, 1)


@given(st.integers(0, 1000), st.integers(4, 6))
def test_site_permutation_test_measures_spearman(seed: int, sites: int) -> None:
    generator = np.random.default_rng(seed)
    left, right = symmetric(generator, 2, sites), symmetric(generator, 2, sites)
    upper = np.triu_indices(sites, 1)
    found = site_permutation_test(left, right, 20, generator)
    expected = [spearmanr(a[upper], b[upper]).statistic for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(found.correlations, expected, atol=1e-12)


def test_site_permutation_test_has_its_level_where_nothing_is_to_be_found() -> None:
    generator = np.random.default_rng(0)
    small = 0
    for _ in range(400):
        pair = symmetric(generator, 2, 5), symmetric(generator, 2, 5)
        small += site_permutation_test(*pair, 99, generator).greater <= 0.1
    # At most Binomial(400, 0.1): 5 standard errors, false alarm 3e-7.
    assert small < 40 + 5 * np.sqrt(400 * 0.1 * 0.9)
    assert small > 40 - 5 * np.sqrt(400 * 0.1 * 0.9)


def test_site_permutation_test_finds_what_is_there_in_both_directions() -> None:
    generator = np.random.default_rng(0)
    matrices = symmetric(generator, 3, 6) + generator.normal(size=1)
    same, opposite = (site_permutation_test(matrices, sign * matrices, 500, generator) for sign in (1, -1))
    np.testing.assert_allclose([same.correlations, opposite.correlations], [[1] * 3, [-1] * 3])
    assert same.greater == opposite.less == 1 / 501
    assert same.less == opposite.greater == 1.0


def test_site_permutation_test_refuses_what_has_no_ranks() -> None:
    generator = np.random.default_rng(0)
    good = symmetric(generator, 2, 4)
    for left, right, draws in (
        (good, good[:1], 5),
        (good[0], good[0], 5),
        (good, np.ones_like(good), 5),
        (good, good, 0),
    ):
        with pytest.raises(InvalidInput):
            site_permutation_test(left, right, draws, generator)


def test_powers_are_false_alarm_rates_where_nothing_is_wrong() -> None:
    assert chi_squared_power(50, 1e-3, 1.0) == pytest.approx(2e-3)
    assert chi_squared_power(50, 1e-3, 1.0, 0.1) < 2e-3 < 0.9 < chi_squared_power(50, 1e-3, 3.0)


def test_power_of_an_upper_end_by_enumeration() -> None:
    below = [count for count in range(41) if clopper_pearson(count, 40, 0.05)[1] <= 0.2]
    missed = sum(math.comb(40, count) * 0.3**count * 0.7 ** (40 - count) for count in below)
    assert clopper_pearson_power(40, 0.05, 0.2, 0.3) == pytest.approx(1 - missed)
    assert clopper_pearson_power(5, 0.05, 0.2, 0.3) == 1.0  # so few events never show that the probability is small
