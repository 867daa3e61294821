"""Optimal schedules against exhaustive search over all ordered partitions and all size plans."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import log

import numpy as np
import pytest
from hypothesis import given, settings

from tests.theory.decoding_laws import copy_law, exchangeable_law, laws, parity_law, product_law
from theory.conditionals import TableConditionals
from theory.decoding import (
    Schedule,
    SubsetEntropies,
    binary_exchangeable_curve,
    decoding_error,
    optimal_schedules,
    optimal_sizes,
    output_law,
    random_order,
    random_order_error,
    total_correlations,
)
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw


def size_plans(total: int) -> Iterator[tuple[int, ...]]:
    """Every composition of N: 2^(N-1) of them."""
    for count in range(total):
        for cuts in combinations(range(1, total), count):
            yield tuple(np.diff([0, *cuts, total]).tolist())


def every_schedule(sites: int) -> Iterator[Schedule]:
    for sizes in size_plans(sites):
        yield from random_order(sites, sizes).schedules


@settings(max_examples=25, deadline=None)
@given(laws(4))
def test_frontier_is_the_minimum_over_all_schedules(law: JointLaw) -> None:
    least = np.full(law.sites, np.inf)
    for schedule in every_schedule(law.sites):
        error = float(total_correlations(law, schedule).sum())
        least[schedule.length - 1] = min(least[schedule.length - 1], error)
    frontier = optimal_schedules(law)
    np.testing.assert_allclose(frontier.errors, least, atol=1e-11)
    for steps, (error, schedule) in enumerate(zip(frontier.errors, frontier.schedules, strict=True), start=1):
        assert schedule.length == steps
        reached = decoding_error(law, output_law(TableConditionals(law), schedule))
        assert reached == pytest.approx(error, abs=1e-11)


@settings(max_examples=25, deadline=None)
@given(laws(5))
def test_frontier_starts_at_the_total_correlation_falls_and_ends_at_zero(law: JointLaw) -> None:
    errors = optimal_schedules(law).errors
    assert errors[0] == pytest.approx(law.total_correlation(), abs=1e-11)
    assert errors[-1] == pytest.approx(0, abs=1e-11)
    assert (np.diff(errors) <= 1e-11).all()


@settings(max_examples=25, deadline=None)
@given(laws(5))
def test_size_frontier_is_the_minimum_over_all_plans(law: JointLaw) -> None:
    curve = SubsetEntropies(law).information_curve()
    least: dict[int, float] = {}
    for sizes in size_plans(law.sites):
        least[len(sizes)] = min(least.get(len(sizes), np.inf), random_order_error(curve, sizes))
    frontier = optimal_sizes(curve)
    np.testing.assert_allclose(frontier.errors, [least[t] for t in range(1, law.sites + 1)], atol=1e-11)
    for sizes, error in zip(frontier.sizes, frontier.errors, strict=True):
        assert random_order_error(curve, sizes) == pytest.approx(error, abs=1e-11)


def test_exchangeable_laws_need_only_sizes() -> None:
    law = exchangeable_law(3, 6)
    by_size = optimal_sizes(SubsetEntropies(law).information_curve())
    by_set = optimal_schedules(law)
    np.testing.assert_allclose(by_size.errors, by_set.errors, atol=1e-12)


def test_markov_chain_is_exact_by_bisection() -> None:
    # The middle site separates the halves: 7 = 2^3 - 1 sites need 3 steps, one of them {3}, {1, 5}, {0, 2, 4, 6}.
    flip = np.array([[0.9, 0.1], [0.2, 0.8]])
    table = np.full((2,) * 7, 0.5) * np.einsum("ab,bc,cd,de,ef,fg->abcdefg", *[flip] * 6)
    law = JointLaw(table)
    errors = optimal_schedules(law).errors
    np.testing.assert_allclose(errors[2:], 0, atol=1e-12)
    assert errors[1] > 0.01
    halving = Schedule(7, ((3,), (1, 5), (0, 2, 4, 6)))
    np.testing.assert_allclose(output_law(TableConditionals(law), halving).table, law.table, atol=1e-15)


def test_closed_forms() -> None:
    np.testing.assert_allclose(optimal_schedules(product_law(1, 5, 2)).errors, 0, atol=1e-12)
    np.testing.assert_allclose(optimal_schedules(parity_law(5)).errors, [log(2), 0, 0, 0, 0], atol=1e-12)
    # A common latent: one site first, then all others.
    np.testing.assert_allclose(optimal_schedules(copy_law([0.5, 0.5], 5)).errors, [4 * log(2), 0, 0, 0, 0], atol=1e-12)


def test_large_exchangeable_law() -> None:
    # Two coins, 100 sites: 0.9 or 0.1 with equal weight; a few early sites reveal the coin.
    ones = np.arange(101)
    from scipy.stats import binom

    curve = binary_exchangeable_curve(0.5 * binom.pmf(ones, 100, 0.9) + 0.5 * binom.pmf(ones, 100, 0.1))
    frontier = optimal_sizes(curve)
    assert (np.diff(frontier.errors) <= 1e-9).all()
    # One shot: 100 h(1) - h(100), where h(100) = ln 2 + 100 H(0.1) up to the chance of confusing the coins.
    coin = -(0.1 * log(0.1) + 0.9 * log(0.9))
    assert frontier.errors[0] == pytest.approx(99 * log(2) - 100 * coin, abs=1e-6)
    assert frontier.sizes[3][0] < frontier.sizes[3][-1]
    assert frontier.errors[-1] == pytest.approx(0, abs=1e-9)


def test_refusals() -> None:
    with pytest.raises(InvalidInput, match="sites"):
        optimal_schedules(JointLaw(np.full((2,) * 19, 2.0**-19)))
    with pytest.raises(InvalidInput, match="sites"):
        SubsetEntropies(JointLaw(np.full((2,) * 20, 2.0**-20)))
    with pytest.raises(InvalidInput, match="information_curve"):
        optimal_sizes(np.array([0.0]))
    with pytest.raises(InvalidInput, match="information_curve"):
        optimal_sizes(np.array([0.0, np.nan]))
