"""Eigenvalues, gaps and bottleneck ratios: closed forms, deeptime, enumeration, Cheeger's inequality."""

from __future__ import annotations

from math import comb

import deeptime.markov.tools.analysis as deeptime_analysis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.chain_examples import (
    birth_death,
    brute_bottleneck,
    cycle_walk,
    hypercube_resampling,
    random_chain,
    random_reversible,
    seeds,
    sizes,
    two_state,
)
from theory.chains import (
    DenseOperator,
    absolute_spectral_gap,
    bottleneck_ratio,
    bottleneck_ratio_of,
    eigenvalues,
    relaxation_time,
    spectral_gap,
    spectrum,
    stationary_law,
)
from theory.errors import InvalidInput


@pytest.mark.parametrize("sites", [1, 3, 6])
def test_hypercube(sites: int) -> None:
    found = spectrum(hypercube_resampling(sites))
    expected = np.repeat(1 - np.arange(sites + 1) / sites, [comb(sites, j) for j in range(sites + 1)])
    np.testing.assert_allclose(found.eigenvalues, expected, atol=found.error_bound)
    assert found.gap == pytest.approx(1 / sites, rel=1e-12)
    assert found.relaxation_time == pytest.approx(sites, rel=1e-12)
    assert found.method == "symmetrised"


@pytest.mark.parametrize(("states", "lazy"), [(5, 0.0), (8, 0.3), (12, 0.0), (9, 0.5)])
def test_cycle(states: int, lazy: float) -> None:
    expected = lazy + (1 - lazy) * np.cos(2 * np.pi * np.arange(states) / states)
    matrix = cycle_walk(states, lazy)
    np.testing.assert_allclose(eigenvalues(matrix), -np.sort(-expected), atol=1e-13)
    assert spectral_gap(matrix) == pytest.approx((1 - lazy) * (1 - np.cos(2 * np.pi / states)), rel=1e-12)
    if states % 2 == 0 and lazy == 0:
        assert absolute_spectral_gap(matrix) == 0
        assert relaxation_time(matrix) == np.inf


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.1), (0.9, 0.8), (1e-15, 2e-15), (1e-40, 1e-60), (1.0, 1 - 1e-9)])
def test_two_state_gaps_keep_their_digits(a: float, b: float) -> None:
    found = spectrum(two_state(a, b))
    assert found.gap == pytest.approx(a + b, rel=1e-9)
    assert found.absolute_gap == pytest.approx(min(a + b, (1 - a) + (1 - b)), rel=1e-6)


def test_three_wells_joined_by_tiny_edges() -> None:
    # Four eigenvalues equal to 1 in float64; the slow chain on the wells is a birth-death chain with rates r:
    # its gap is computed from the reduced generator, exact to first order in 1e-17.
    well = np.full((3, 3), 1 / 3)
    matrix = np.kron(np.eye(4), well)
    rates = [2e-17, 1e-17, 3e-17]
    for i, rate in enumerate(rates):
        matrix[3 * i + 2, 3 * i + 3] = matrix[3 * i + 3, 3 * i + 2] = rate
    reduced = birth_death([0.2 / 3, 0.1 / 3, 0.3 / 3], [0.2 / 3, 0.1 / 3, 0.3 / 3])
    slow = (1 - np.sort(np.linalg.eigvals(reduced).real)[-2]) * 1e-16
    assert spectral_gap(matrix) == pytest.approx(slow, rel=1e-9)


def test_more_slow_eigenvalues_than_are_refined() -> None:
    wells = 40
    matrix = np.kron(cycle_walk(wells, 1 - 1e-9), np.full((2, 2), 0.5))
    assert spectral_gap(matrix) == pytest.approx(1e-9 * (1 - np.cos(2 * np.pi / wells)), rel=1e-5)


@given(seeds, sizes, st.floats(0.1, 4))
def test_reversible_agrees_with_the_general_solver_and_deeptime(seed: int, states: int, spread: float) -> None:
    matrix, _ = random_reversible(seed, states, spread)
    found = spectrum(matrix)
    assert found.reversible
    oracle = -np.sort(-np.linalg.eigvals(matrix).real)
    np.testing.assert_allclose(found.eigenvalues, oracle, atol=1e-10)
    ordered = np.sort(np.abs(oracle))[::-1]
    np.testing.assert_allclose(np.abs(deeptime_analysis.eigenvalues(matrix)), ordered, atol=1e-10)
    assert found.gap == pytest.approx(1 - oracle[1], abs=1e-10)
    assert found.absolute_gap == pytest.approx(1 - ordered[1], abs=1e-10)


@given(seeds, st.integers(2, 7))
def test_general_chains(seed: int, states: int) -> None:
    matrix = random_chain(seed, states)
    found = spectrum(DenseOperator(matrix, reversible=False))
    oracle = np.linalg.eigvals(matrix)
    np.testing.assert_allclose(np.sort(np.abs(found.eigenvalues)), np.sort(np.abs(oracle)), atol=1e-10)
    assert found.eigenvalues.sum() == pytest.approx(np.trace(matrix), abs=1e-12)
    assert found.absolute_gap == pytest.approx(1 - np.sort(np.abs(oracle))[-2], abs=1e-10)
    assert (found.method, found.error_bound) == ("general", None)


def test_reducible_periodic_and_trivial_chains() -> None:
    identity = spectrum(np.eye(4))
    assert (identity.gap, identity.closed_classes, identity.relaxation_time) == (0.0, 4, np.inf)
    rotation = spectrum(np.roll(np.eye(5), 1, axis=1))
    assert rotation.absolute_gap == 0
    assert rotation.gap == pytest.approx(1 - np.cos(2 * np.pi / 5))
    np.testing.assert_allclose(np.abs(rotation.eigenvalues), 1, atol=1e-14)
    single = spectrum([[1.0]])
    assert (single.gap, single.absolute_gap, single.relaxation_time) == (1.0, 1.0, 1.0)


def test_transient_states_count_towards_the_gap() -> None:
    # State 2 stays with probability 0.9 and then falls into a two-state class with eigenvalue 0.2.
    matrix = np.array([[0.6, 0.4, 0.0], [0.4, 0.6, 0.0], [0.1, 0.0, 0.9]])
    found = spectrum(matrix)
    np.testing.assert_allclose(found.eigenvalues, [1, 0.9, 0.2], atol=1e-15)
    assert found.absolute_gap == pytest.approx(0.1)


def test_a_false_claim_of_reversibility_is_refused() -> None:
    with pytest.raises(InvalidInput, match="detailed balance"):
        spectrum(DenseOperator(random_chain(3, 5), reversible=True))


@given(seeds, st.integers(2, 7))
def test_bottleneck_ratio_by_the_definition(seed: int, states: int) -> None:
    matrix = random_chain(seed, states)  # not reversible
    law = stationary_law(matrix).law
    found = bottleneck_ratio(matrix)
    assert found.exact
    assert found.ratio == pytest.approx(brute_bottleneck(matrix, law), rel=1e-12)
    assert found.mass <= 0.5 + 1e-12
    assert bottleneck_ratio_of(matrix, found.states) == pytest.approx(found.ratio, rel=1e-12)


@given(seeds, sizes, st.floats(0.1, 5))
def test_cheeger(seed: int, states: int, spread: float) -> None:
    matrix, _ = random_reversible(seed, states, spread)
    ratio, gap = bottleneck_ratio(matrix).ratio, spectral_gap(matrix)
    assert ratio**2 / 2 <= gap * (1 + 1e-9)
    assert gap <= 2 * ratio * (1 + 1e-9)


def test_bottleneck_closed_forms() -> None:
    # Half of the hypercube leaves through one coordinate; half of the cycle through its two ends.
    assert bottleneck_ratio(hypercube_resampling(4)).ratio == pytest.approx(1 / 8)
    assert bottleneck_ratio(cycle_walk(10)).ratio == pytest.approx(0.2)
    tiny = bottleneck_ratio(two_state(1e-17, 4e-17))
    assert tiny.ratio == pytest.approx(4e-17, rel=1e-12)
    assert list(tiny.states) == [1]
    assert bottleneck_ratio(np.eye(3), [0.2, 0.3, 0.5]).ratio == 0
    with pytest.raises(InvalidInput, match="two states"):
        bottleneck_ratio([[1.0]])
    with pytest.raises(InvalidInput, match="positive stationary mass"):
        bottleneck_ratio_of([[1.0, 0.0], [0.5, 0.5]], [1])


def test_flows_that_underflow_make_no_bottleneck() -> None:
    # The flow out of the last two states, 2e-325, is no float: Phi = 1e-45 for them, and 0 must not come out.
    matrix = np.array([[1.0, 1e-325, 0.0], [1e-45, 0.5, 0.5], [0.0, 0.5, 0.5]])
    found = bottleneck_ratio(matrix, [1.0, 1e-280, 1e-280])
    assert found.ratio >= 0.5e-45
    # Here a state is too light to be looked at, and takes up the flow of the other.
    matrix = np.array([[1.0, 0.0, 1e-300], [1e-40, 0.5, 0.5], [0.5, 0.5, 0.0]])
    assert bottleneck_ratio(matrix, [1.0, 1e-289, 5e-291]).ratio >= 1e-40


def test_sweep_is_an_upper_bound_and_finds_planted_bottlenecks() -> None:
    generator = np.random.default_rng(5)
    weights = generator.random((24, 24))
    weights[:9, 9:] *= 1e-16
    weights[9:, :9] *= 1e-16
    weights += weights.T
    matrix = weights / weights.sum(axis=1, keepdims=True)
    found = bottleneck_ratio(matrix)
    assert not found.exact
    assert list(found.states) == list(range(9))
    assert found.ratio == pytest.approx(bottleneck_ratio_of(matrix, range(9)), rel=1e-12)
    assert spectral_gap(matrix) <= 2 * found.ratio * (1 + 1e-9)


def test_sweep_on_the_cycle_is_optimal() -> None:
    found = bottleneck_ratio(cycle_walk(30))
    assert (found.method, found.exact) == ("sweep", False)
    assert found.ratio == pytest.approx(1 / 15)


@pytest.mark.parametrize("seed", range(4))
def test_sweep_when_the_gap_is_below_rounding(seed: int) -> None:
    generator = np.random.default_rng(seed)
    weights = np.zeros((24, 24))
    weights[:9, :9] = generator.random((9, 9)) + 0.1
    weights[9:, 9:] = generator.random((15, 15)) + 0.1
    weights[3, 20] = 1e-22
    weights += weights.T
    matrix = weights / weights.sum(axis=1, keepdims=True)
    found = bottleneck_ratio(matrix)
    assert list(found.states) in (list(range(9)), list(range(9, 24)))
    assert found.ratio == pytest.approx(1e-22 / min(weights[:9].sum(), weights[9:].sum()), rel=1e-12)
    assert 0 < spectral_gap(matrix) <= 2 * found.ratio
