"""Hitting times, escape times and metastable sets: rational arithmetic, closed forms, deeptime, brute force."""

from __future__ import annotations

import warnings

import deeptime.markov.tools.analysis as deeptime_analysis
import numpy as np
import pytest
from deeptime.markov import pcca as deeptime_pcca
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.chain_examples import (
    birth_death,
    birth_death_law,
    cycle_walk,
    random_chain,
    random_reversible,
    rational_hitting_times,
    seeds,
    sizes,
    two_state,
)
from theory.chains import (
    bottleneck_ratio_of,
    escape_probability_within,
    expected_escape_times,
    expected_hitting_times,
    hitting_probability_within,
    hitting_time_law,
    metastable_sets,
    spectrum,
    stationary_law,
)
from theory.errors import InvalidInput


@given(seeds, sizes, st.floats(-30, 0))
def test_expected_times_in_rational_arithmetic(seed: int, states: int, exponent: float) -> None:
    generator = np.random.default_rng(seed)
    matrix = 10.0 ** (exponent * generator.random((states, states)))
    matrix /= 2 * matrix.sum(axis=1, keepdims=True)
    matrix += np.diag(1 - matrix.sum(axis=1))
    target = sorted(generator.choice(states, size=generator.integers(1, states), replace=False).tolist())
    found = expected_hitting_times(matrix, target)
    np.testing.assert_allclose(found.times, [float(t) for t in rational_hitting_times(matrix, target)], rtol=1e-12)


@given(seeds, st.integers(2, 8))
def test_agrees_with_deeptime(seed: int, states: int) -> None:
    matrix = random_chain(seed, states)
    found = expected_hitting_times(matrix, [0])
    np.testing.assert_allclose(found.times, deeptime_analysis.mfpt(matrix, 0), rtol=1e-10)


def test_closed_forms() -> None:
    assert expected_hitting_times(two_state(1e-17, 0.5), [1]).times[0] == pytest.approx(1e17, rel=1e-14)
    # The simple walk on the cycle of n needs j (n - j) steps from distance j.
    distance = np.arange(9)
    np.testing.assert_allclose(expected_hitting_times(cycle_walk(9), [0]).times, distance * (9 - distance), rtol=1e-12)
    # Birth-death chains: E_l[tau_{l+1}] = sum_{i <= l} pi_i / (pi_l up_l).
    up, down = [0.2, 1e-9, 0.4], [0.3, 0.25, 0.1]
    law = birth_death_law(up, down)
    climbs = [law[: i + 1].sum() / (law[i] * up[i]) for i in range(3)]
    found = expected_hitting_times(birth_death(up, down), [3])
    np.testing.assert_allclose(found.times, [sum(climbs[i:]) for i in range(4)], rtol=1e-12)
    assert found.worst_start == 0
    assert found.worst == pytest.approx(sum(climbs))
    assert found.best == pytest.approx(climbs[2])


def test_infinite_where_the_target_can_be_missed() -> None:
    # 0 -> {1, 3}, 1 -> 2; 2 and 3 absorb.
    matrix = np.array([[0.5, 0.25, 0, 0.25], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(expected_hitting_times(matrix, [2]).times, [np.inf, 1, 0, np.inf])
    np.testing.assert_allclose(expected_hitting_times(matrix, [2, 3]).times, [2.5, 1, 0, 0])
    np.testing.assert_array_equal(expected_hitting_times(matrix, [0]).times, [0, np.inf, np.inf, np.inf])
    # What happens after the target is of no account: 1 leads from the target into a trap.
    np.testing.assert_allclose(expected_hitting_times(matrix, [1, 3]).times, [2, 0, np.inf, 0])
    np.testing.assert_array_equal(expected_hitting_times(np.eye(3), [0]).times, [0, np.inf, np.inf])
    whole = expected_hitting_times(np.eye(2), [0, 1])
    assert (whole.worst, whole.worst_start, whole.best) == (0.0, None, 0.0)


@given(seeds, sizes, st.integers(0, 9))
def test_laws_of_the_hitting_time(seed: int, states: int, steps: int) -> None:
    matrix = random_chain(seed, states, 0.5)
    generator = np.random.default_rng(seed)
    target = np.sort(generator.choice(states, size=generator.integers(1, states), replace=False))
    law = hitting_time_law(matrix, target, steps)
    # Brute force: the substochastic matrix of the states outside.
    outside = np.setdiff1d(np.arange(states), target)
    inside = matrix[np.ix_(outside, outside)]
    into = matrix[np.ix_(outside, target)].sum(axis=1)
    for time in range(1, steps + 1):
        np.testing.assert_allclose(law[time, outside], np.linalg.matrix_power(inside, time - 1) @ into, atol=1e-14)
    assert (law[0, target] == 1).all()
    assert (law[1:, target] == 0).all()
    within = hitting_probability_within(matrix, target, steps)
    np.testing.assert_allclose(within, law.sum(axis=0), atol=1e-13)
    np.testing.assert_allclose(escape_probability_within(matrix, outside, steps), within, atol=0)


def test_expected_time_is_the_mean_of_the_law() -> None:
    matrix = random_chain(11, 5)
    law = hitting_time_law(matrix, [2, 4], 400)
    np.testing.assert_allclose(np.arange(401) @ law, expected_hitting_times(matrix, [2, 4]).times, rtol=1e-9)


def test_escape_from_a_set() -> None:
    found = expected_escape_times(two_state(0.2, 0.3), [0])
    assert found.times[0] == pytest.approx(5)
    assert list(found.starts) == [0]
    np.testing.assert_allclose(
        escape_probability_within(two_state(0.2, 0.3), np.array([True, False]), 3), [1 - 0.8**3, 1]
    )
    np.testing.assert_array_equal(escape_probability_within(np.eye(2), [0, 1], 3), [0, 0])


def test_bad_arguments() -> None:
    matrix = two_state(0.2, 0.3)
    with pytest.raises(InvalidInput, match="target"):
        expected_hitting_times(matrix, [])
    with pytest.raises(InvalidInput, match="integers"):
        expected_hitting_times(matrix, [0.5])
    with pytest.raises(InvalidInput, match="mask"):
        expected_hitting_times(matrix, [True])
    with pytest.raises(InvalidInput, match="outside to escape to"):
        expected_escape_times(matrix, [0, 1])
    with pytest.raises(InvalidInput, match="steps"):
        hitting_probability_within(matrix, [0], -1)
    with pytest.raises(InvalidInput, match="1e308"):
        expected_hitting_times(two_state(1e-310, 0.5), [1])


def wells(bond: float) -> tuple[np.ndarray, list[list[int]]]:
    """Three wells of 3, 4 and 5 states in a row, joined by weak bonds; reversible."""
    generator = np.random.default_rng(2)
    groups = [list(range(0, 3)), list(range(3, 7)), list(range(7, 12))]
    weights = np.zeros((12, 12))
    for group in groups:
        weights[np.ix_(group, group)] = generator.random((len(group), len(group))) + 0.5
    weights[2, 3] = bond
    weights[6, 7] = bond / 3
    weights = weights + weights.T
    return weights / weights.sum(axis=1, keepdims=True), groups


@pytest.mark.parametrize("bond", [1e-2, 1e-6, 1e-12, 1e-18])
def test_metastable_sets_are_the_wells(bond: float) -> None:
    matrix, groups = wells(bond)
    found = metastable_sets(matrix, 3)
    assert sorted(list(part.states) for part in found.sets) == groups
    law = stationary_law(matrix).law
    assert sum(part.mass for part in found.sets) == pytest.approx(1)
    assert [part.mass for part in found.sets] == sorted((part.mass for part in found.sets), reverse=True)
    np.testing.assert_allclose(found.memberships.sum(axis=1), 1, atol=1e-6)
    for part in found.sets:
        assert part.escape_rate == pytest.approx(bottleneck_ratio_of(matrix, part.states, law), rel=1e-12)
        # Quasi-stationary: from inside a well the escape time is about 1 / rate, up to order of the inner mixing time.
        assert part.escape_time == pytest.approx(1 / part.escape_rate, rel=20 * bond + 1e-13, abs=5)
        assert part.escape_times.best * (1 - 1e-13) <= part.escape_time <= part.escape_times.worst * (1 + 1e-13)
    np.testing.assert_allclose(found.eigenvalues, spectrum(matrix).eigenvalues[:4], atol=1e-14)


def test_metastable_sets_need_a_reversible_chain_and_no_fewer_sets_than_classes() -> None:
    with pytest.raises(InvalidInput, match="not reversible"):
        metastable_sets(random_chain(0, 5), 2)
    with pytest.raises(InvalidInput, match="count = 3"):
        metastable_sets(two_state(0.2, 0.2), 3)
    with pytest.raises(InvalidInput, match=r"3\.\.3: no fewer sets than closed classes"):
        metastable_sets(np.eye(3), 2)
    every_state = metastable_sets(two_state(0.2, 0.2), 2)
    assert sorted(part.states.tolist() for part in every_state.sets) == [[0], [1]]


def test_disconnected_and_transient_chains_have_metastable_sets() -> None:
    """Two wells that are joined, one that is not, and two states that fall into them."""
    matrix = wells(1e-4)[0]
    matrix[6, 7] = matrix[7, 6] = 0.0
    matrix /= matrix.sum(axis=1, keepdims=True)
    whole = np.zeros((14, 14))
    whole[:12, :12] = matrix
    whole[12, [0, 8, 13]] = [0.2, 0.1, 0.7]
    whole[13, [7, 13]] = 0.5
    found = metastable_sets(whole, 3)
    assert sorted(part.states.tolist() for part in found.sets) == [[0, 1, 2], [3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13]]
    closed = next(part for part in found.sets if 7 in part.states)
    assert (closed.escape_rate, closed.escape_time) == (0.0, np.inf)
    assert closed.mass == pytest.approx(5 / 12)
    # From 12: 0.2 into the first well, 0.1 and all of the 0.7 into the closed one.
    wells_of = {tuple(part.states[:3]): index for index, part in enumerate(found.sets)}
    assert found.memberships[12, wells_of[(7, 8, 9)]] == pytest.approx(0.8, abs=1e-6)
    assert found.memberships[12, wells_of[(0, 1, 2)]] == pytest.approx(0.2, abs=1e-3)
    every = metastable_sets(np.eye(3), 3)
    assert np.sort(every.memberships, axis=1) == pytest.approx(np.array([[0, 0, 1]] * 3), abs=1e-15)


@given(seeds, st.integers(6, 14), st.integers(2, 3), st.sampled_from([1.0, 3.0]))
def test_memberships_are_degrees_and_about_as_crisp_as_a_peers(
    seed: int, states: int, count: int, spread: float
) -> None:
    matrix, law = random_reversible(seed, states, spread)
    matrix = (matrix + np.eye(states)) / 2  # no negative eigenvalues, which the peer ranks by their moduli
    found = metastable_sets(matrix, count)
    assert found.memberships.min() >= 0
    np.testing.assert_allclose(found.memberships.sum(axis=1), 1, atol=1e-12)
    assert sorted(np.concatenate([part.states for part in found.sets])) == list(range(states))

    def crispness(chi: np.ndarray) -> float:
        return float(((law @ chi**2) / (law @ chi)).sum())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = deeptime_pcca(matrix, count).memberships
    if peer.min() >= 0:
        # Both search locally, and either may end a little lower.
        assert crispness(found.memberships) >= 0.97 * crispness(peer)
