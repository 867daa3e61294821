"""Hitting and absorption probabilities and committors against rational arithmetic and a peer's package."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from deeptime.markov.tools.analysis import committor as deeptime_committor
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.chain_examples import (
    birth_death,
    random_chain,
    random_reversible,
    rational_rows,
    seeds,
    solve_rational,
)
from theory.chains import (
    absorption,
    backward_committor,
    committor,
    cyclic_classes,
    hitting_probabilities,
    hitting_probability_within,
)
from theory.errors import InvalidInput


def reached_exactly(matrix: np.ndarray, goal: list[int], avoided: list[int]) -> list[Fraction]:
    """P_x(goal before the avoided set) by Gauss elimination; every state must reach one of the two."""
    rows = rational_rows(matrix)
    states = len(matrix)
    system, right = [], []
    for x in range(states):
        if x in goal or x in avoided:
            system.append([Fraction(int(x == y)) for y in range(states)])
            right.append(Fraction(int(x in goal)))
        else:
            system.append([Fraction(int(x == y)) - rows[x][y] for y in range(states)])
            right.append(Fraction(0))
    return solve_rational(system, right)


@given(seeds, st.integers(3, 7), st.sampled_from([1.0, 20.0, 60.0]))
def test_committors_in_rational_arithmetic(seed: int, states: int, exponent: float) -> None:
    """Every digit is right although entries lie up to 60 powers of ten apart."""
    generator = np.random.default_rng(seed)
    matrix = 10.0 ** (-exponent * generator.random((states, states)))
    matrix /= 2 * matrix.sum(axis=1, keepdims=True)
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    exact = [float(value) for value in reached_exactly(matrix, [states - 1], [0])]
    assert committor(matrix, [0], [states - 1]) == pytest.approx(exact, rel=1e-13, abs=0)


@given(seeds, st.integers(4, 9))
def test_committors_agree_with_deeptime(seed: int, states: int) -> None:
    matrix = random_chain(seed, states)
    forward = committor(matrix, [0], [states - 1, states - 2])
    assert forward == pytest.approx(deeptime_committor(matrix, [0], [states - 1, states - 2], forward=True), abs=1e-10)
    backward = backward_committor(matrix, [0], [states - 1, states - 2])
    assert backward == pytest.approx(
        deeptime_committor(matrix, [0], [states - 1, states - 2], forward=False), abs=1e-10
    )


def test_the_backward_committor_of_a_reversible_chain_is_the_complement() -> None:
    matrix, _ = random_reversible(5, 6)
    assert backward_committor(matrix, [0], [5]) == pytest.approx(1 - committor(matrix, [0], [5]), abs=1e-12)


def test_gamblers_ruin_far_below_the_smallest_horizon() -> None:
    """Up with 1e-9, down with 1 - 1e-9, ends absorbing: P_i(top) = (1 - r^i) / (1 - r^n), r = down / up."""
    up = 1e-9
    matrix = np.eye(7)
    for state in range(1, 6):
        matrix[state] = 0.0
        matrix[state, state + 1], matrix[state, state - 1] = up, 1 - up
    ratio = Fraction(1 - up) / Fraction(up)
    exact = [float((1 - ratio**i) / (1 - ratio**6)) for i in range(7)]
    found = hitting_probabilities(matrix, [6])
    assert found == pytest.approx(exact, rel=1e-14, abs=0)
    assert found[1] == pytest.approx(1e-45, rel=1e-6)
    ends = absorption(matrix)
    assert [list(states) for states in ends.classes] == [[0], [6]]
    assert ends.probabilities[:, 1] == pytest.approx(exact, rel=1e-14, abs=0)
    assert ends.probabilities.sum(axis=1) == pytest.approx(np.ones(7), rel=1e-15)


def test_no_horizon_is_long_enough_for_a_slow_chain() -> None:
    """From the left well of a slow chain the target is reached surely, but after 1e5 steps almost never."""
    matrix = birth_death([1e-12, 0.25], [0.25, 0.25])
    assert hitting_probabilities(matrix, [2]) == pytest.approx(np.ones(3), abs=0)
    assert hitting_probability_within(matrix, [2], 100_000)[0] < 1e-6


def test_where_there_is_no_way_the_probability_is_exactly_zero_or_one() -> None:
    matrix = np.array(
        [[0.0, 0.5, 0.5, 0.0, 0.0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0.25, 0.25, 0, 0, 0.5]]
    )
    assert hitting_probabilities(matrix, [3]) == pytest.approx([0.5, 0, 1, 1, 0.25], abs=0)
    assert hitting_probabilities(matrix, [0]).tolist() == [1, 0, 0, 0, 0.5]
    assert committor(matrix, [2], [3]).tolist() == [0, 0, 0, 1, 0]
    ends = absorption(matrix)
    assert ends.probabilities.tolist() == [[0.5, 0.5], [1, 0], [0, 1], [0, 1], [0.75, 0.25]]
    assert ends.times.tolist() == [1, 0, 0, 0, 2.5]
    assert [[list(turn) for turn in turns] for turns in cyclic_classes(matrix)] == [[[1]], [[2], [3]]]


def test_absorption_of_a_chain_without_transient_states() -> None:
    found = absorption(np.eye(3))
    assert np.array_equal(found.probabilities, np.eye(3))
    assert found.times.tolist() == [0, 0, 0]


@given(seeds, st.integers(2, 5))
def test_cyclic_classes_lead_to_each_other(seed: int, period: int) -> None:
    generator = np.random.default_rng(seed)
    turn = np.concatenate([np.arange(period), generator.integers(0, period, size=5)])
    matrix = generator.random((len(turn), len(turn))) * (turn[None, :] == (turn[:, None] + 1) % period)
    matrix /= matrix.sum(axis=1, keepdims=True)
    (found,) = cyclic_classes(matrix)
    assert len(found) == period
    assert 0 in found[0]
    for here, there in zip(found, found[1:] + found[:1], strict=True):
        assert matrix[np.ix_(here, there)].sum(axis=1) == pytest.approx(np.ones(len(here)))


def test_bad_sets() -> None:
    matrix = random_chain(0, 4)
    with pytest.raises(InvalidInput, match=r"target = \[1\]: .*overlap"):
        committor(matrix, [0, 1], [1])
    with pytest.raises(InvalidInput, match="source = an empty set"):
        committor(matrix, [], [1])
    with pytest.raises(InvalidInput, match="target"):
        hitting_probabilities(matrix, [4])
    with pytest.raises(InvalidInput, match="without stationary mass"):
        backward_committor([[0, 1, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]], [1], [2])
