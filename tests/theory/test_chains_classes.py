"""Classes and periods against networkx, QuantEcon and the definitions."""

from __future__ import annotations

from math import gcd

import networkx as nx
import numpy as np
import pytest
import quantecon
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.chain_examples import cycle_walk, hypercube_resampling
from theory.chains import (
    closed_classes,
    communicating_classes,
    period,
    transient_states,
)
from theory.errors import InvalidInput


def sparse_chain(seed: int, states: int, degree: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    matrix = np.zeros((states, states))
    for x in range(states):
        matrix[x, generator.choice(states, size=min(degree, states), replace=False)] = 1
    return matrix / matrix.sum(axis=1, keepdims=True)


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 3))
def test_classes_agree_with_networkx(seed: int, states: int, degree: int) -> None:
    matrix = sparse_chain(seed, states, degree)
    graph = nx.from_numpy_array(matrix, create_using=nx.DiGraph)
    found = communicating_classes(matrix)
    expected = sorted(sorted(part) for part in nx.strongly_connected_components(graph))
    assert [list(part) for part in found.members] == expected
    attracting = sorted(sorted(part) for part in nx.attracting_components(graph))
    assert [list(part) for part in closed_classes(matrix)] == attracting
    assert set(transient_states(matrix)) == set(range(states)) - {x for part in attracting for x in part}
    assert found.irreducible == nx.is_strongly_connected(graph)
    for number, part in enumerate(found.members):
        assert (found.labels[part] == number).all()


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 2))
def test_period_is_the_gcd_of_return_times(seed: int, states: int, degree: int) -> None:
    matrix = sparse_chain(seed, states, degree) > 0
    found = communicating_classes(matrix / matrix.sum(axis=1, keepdims=True))
    for part, found_period in zip(found.closed_members, found.closed_periods, strict=True):
        power, expected = np.eye(states, dtype=bool), 0
        for time in range(1, 2 * states * states):
            power = (power.astype(int) @ matrix) > 0
            if power[part[0], part[0]]:
                expected = gcd(expected, time)
        assert found_period == expected


@given(st.integers(0, 10**6), st.integers(2, 10), st.integers(1, 3))
def test_agrees_with_quantecon(seed: int, states: int, degree: int) -> None:
    matrix = sparse_chain(seed, states, degree)
    oracle = quantecon.MarkovChain(matrix)
    assert communicating_classes(matrix).irreducible == oracle.is_irreducible
    assert {tuple(part) for part in closed_classes(matrix)} == {
        tuple(sorted(part)) for part in oracle.recurrent_classes_indices
    }
    if oracle.is_irreducible:
        assert period(matrix) == oracle.period


def test_known_chains() -> None:
    assert period(cycle_walk(6)) == 2
    assert period(cycle_walk(5)) == 1
    assert period(cycle_walk(6, lazy=0.1)) == 1
    assert period(np.roll(np.eye(7), 1, axis=1)) == 7
    assert communicating_classes(hypercube_resampling(3)).aperiodic
    assert communicating_classes([[1.0]]).irreducible
    assert len(closed_classes(np.eye(5))) == 5
    assert communicating_classes(np.eye(5)).aperiodic


def test_deterministic_map_with_two_cycles() -> None:
    image = [1, 2, 0, 4, 3, 0, 5]
    found = communicating_classes(np.eye(7)[image])
    assert [list(part) for part in found.closed_members] == [[0, 1, 2], [3, 4]]
    assert found.closed_periods == (3, 2)
    assert list(found.transient) == [5, 6]
    with pytest.raises(InvalidInput, match=r"2 closed classes: \{0, 1, 2\}, \{3, 4\}"):
        period(np.eye(7)[image])


def test_an_edge_however_small_counts() -> None:
    assert communicating_classes([[1 - 1e-300, 1e-300], [1.0, 0.0]]).irreducible
    assert not communicating_classes([[1.0, 0.0], [1.0, 0.0]]).irreducible
