"""Return times, Kemeny's constant, lumping and paths against closed forms, rational arithmetic and frequencies."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from tests.theory.chain_examples import (
    cycle_walk,
    hypercube_resampling,
    random_chain,
    rational_hitting_times,
    rational_stationary_law,
    seeds,
    two_state,
)
from theory.chains import (
    eigenvalues,
    expected_hitting_times,
    kemeny_constant,
    lump,
    recurrence_times,
    sample_paths,
    sample_states,
    stationary_law,
)
from theory.errors import InvalidInput


@given(seeds, st.integers(2, 6), st.sampled_from([1.0, 12.0]))
def test_kemenys_constant_in_rational_arithmetic(seed: int, states: int, exponent: float) -> None:
    """From every start the same, also where entries are 12 powers of ten apart."""
    generator = np.random.default_rng(seed)
    matrix = 10.0 ** (-exponent * generator.random((states, states)))
    matrix /= 2 * matrix.sum(axis=1, keepdims=True)
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    law = rational_stationary_law(matrix)
    times = [rational_hitting_times(matrix, [target]) for target in range(states)]
    exact = [sum((law[y] * times[y][x] for y in range(states)), Fraction(0)) for x in range(states)]
    assert len(set(exact)) == 1
    assert kemeny_constant(matrix) == pytest.approx(float(exact[0]), rel=1e-12)


def test_kemenys_constant_in_closed_form() -> None:
    assert kemeny_constant([[1.0]]) == 0.0
    assert kemeny_constant(two_state(1e-20, 3e-20)) == pytest.approx(1 / 4e-20, rel=1e-14)
    assert kemeny_constant(np.tile([0.2, 0.3, 0.5], (3, 1))) == pytest.approx(2)
    assert kemeny_constant(cycle_walk(6)) == pytest.approx((1 / (1 - eigenvalues(cycle_walk(6))[1:])).sum())
    cube = hypercube_resampling(3)
    assert kemeny_constant(cube) == pytest.approx((1 / (1 - eigenvalues(cube)[1:])).sum())
    with pytest.raises(InvalidInput, match="irreducible"):
        kemeny_constant(np.eye(2))


@given(seeds, st.integers(2, 7))
def test_a_return_takes_a_step_and_the_way_back(seed: int, states: int) -> None:
    matrix = random_chain(seed, states)
    back = [1 + matrix[x] @ expected_hitting_times(matrix, [x]).times for x in range(states)]
    assert recurrence_times(matrix) == pytest.approx(back, rel=1e-12)


def test_return_times_of_transient_and_periodic_states() -> None:
    matrix = [[0, 0.5, 0.5, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    assert recurrence_times(matrix).tolist() == [np.inf, 1, 2, 2]


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_the_cube_is_lumped_by_its_weight(form: type) -> None:
    weight = np.array([state.bit_count() for state in range(16)])
    found = lump(form(hypercube_resampling(4)), weight)
    assert found.lumpable
    assert found.deviation < 1e-15
    steps = np.arange(4)
    assert np.diagonal(found.chain.matrix, 1) == pytest.approx((4 - steps) / 8)
    assert np.diagonal(found.chain.matrix, -1) == pytest.approx((steps + 1) / 8)
    assert [len(block) for block in found.blocks] == [1, 4, 6, 4, 1]


@given(seeds, st.integers(3, 7))
def test_the_stationary_average_keeps_the_law_and_planted_differences_are_seen(seed: int, states: int) -> None:
    matrix = random_chain(seed, states)
    labels = np.random.default_rng(seed).integers(0, 2, size=states)
    labels[:3] = [0, 0, 1]
    found = lump(matrix, labels)
    into = np.stack([matrix[:, labels == label].sum(axis=1) for label in (0, 1)], axis=1)
    spread = max(float(np.ptp(into[labels == label], axis=0).max()) for label in (0, 1))
    assert found.deviation == pytest.approx(spread)
    assert not found.lumpable
    law = stationary_law(matrix).law
    lumped = np.bincount(labels, weights=law)
    assert found.chain.propagate(lumped) == pytest.approx(lumped)
    assert stationary_law(found.chain).law == pytest.approx(lumped)


def test_partitions_that_cannot_be_taken() -> None:
    with pytest.raises(InvalidInput, match="partition"):
        lump(np.eye(3), [0, 1])
    with pytest.raises(InvalidInput, match="partition"):
        lump(np.eye(3), [0.5, 1, 1])
    falling = [[0, 0.5, 0.5], [0.3, 0, 0.7], [0, 0, 1]]
    with pytest.raises(InvalidInput, match="without stationary mass"):
        lump(falling, [0, 0, 1])
    assert lump(falling, [0, 1, 2]).lumpable


def test_paths_have_the_frequencies_of_the_matrix() -> None:
    """Chi-square tests of the steps out of each state, seed fixed; together they fail by chance once in 10^4."""
    matrix = random_chain(5, 6)
    matrix[0, 1] = matrix[3, :3] = 0.0
    matrix /= matrix.sum(axis=1, keepdims=True)
    generator = np.random.default_rng(1)
    law = stationary_law(matrix).law
    for chain in (matrix, scipy.sparse.csr_array(matrix)):
        paths = sample_paths(chain, 40, sample_states(law, 500, generator), generator)
        assert paths.shape == (500, 41)
        counts = np.zeros((6, 6))
        np.add.at(counts, (paths[:, :-1].ravel(), paths[:, 1:].ravel()), 1)
        assert not counts[matrix == 0].any()
        expected = counts.sum(axis=1, keepdims=True) * matrix
        inside = matrix > 0
        statistic = (np.square(counts - expected)[inside] / expected[inside]).sum()
        assert statistic < chi2.ppf(1 - 0.5e-4, int(inside.sum()) - 6)


def test_paths_are_reproducible_and_start_where_they_are_told() -> None:
    matrix = random_chain(0, 4)
    first, second = (sample_paths(matrix, 20, [2, 0], np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
    assert first[:, 0].tolist() == [2, 0]
    assert sample_paths(matrix, 0, 1, np.random.default_rng(0)).tolist() == [[1]]
    cycle = sample_paths(np.roll(np.eye(5), 1, axis=1), 7, [0], np.random.default_rng(0))
    assert cycle[0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    for bad in ([-1], [4], [], [0.5]):
        with pytest.raises(InvalidInput, match="starts"):
            sample_paths(matrix, 3, bad, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="steps"):
        sample_paths(matrix, -1, [0], np.random.default_rng(0))
