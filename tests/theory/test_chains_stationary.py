"""Stationary laws and detailed balance: rational arithmetic, closed forms, QuantEcon and deeptime as oracles."""

from __future__ import annotations

from fractions import Fraction

import deeptime.markov.tools.analysis as deeptime_analysis
import numpy as np
import pytest
import quantecon
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.chain_examples import (
    birth_death,
    birth_death_law,
    cycle_walk,
    hypercube_resampling,
    random_chain,
    random_reversible,
    rational_stationary_law,
    seeds,
    sizes,
    two_state,
)
from theory.chains import (
    DenseOperator,
    communicating_classes,
    edge_measure,
    is_reversible,
    residual,
    stationary_law,
    stationary_laws,
)
from theory.chains.state_reduction import BLOCK
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import ising_on, named_graph
from theory.masks import k_uniform
from theory.samplers import block_gibbs


def entrywise_error(found: np.ndarray, exact: list[Fraction]) -> float:
    return max(
        abs(float((Fraction(float(value)) - oracle) / oracle)) for value, oracle in zip(found, exact, strict=True)
    )


@given(seeds, sizes, st.floats(-40, 0))
def test_entrywise_accurate_in_rational_arithmetic(seed: int, states: int, exponent: float) -> None:
    # Entries over many orders of magnitude: the law is exact to 1e-13 in every entry, however small.
    generator = np.random.default_rng(seed)
    matrix = 10.0 ** (exponent * generator.random((states, states)))
    matrix /= 2 * matrix.sum(axis=1, keepdims=True)
    matrix += np.diag(1 - matrix.sum(axis=1))
    law = stationary_law(matrix)
    assert entrywise_error(law.law, rational_stationary_law(matrix)) < 1e-13
    assert law.residual < 1e-14
    assert law.method == "state reduction"


def test_nearly_reducible_blocks() -> None:
    # Two blocks joined by 1e-15; a direct linear solve loses every digit of the ratio of their masses.
    inner = random_chain(1, 4)
    matrix = np.block([[inner, np.zeros((4, 4))], [np.zeros((4, 4)), inner]])
    matrix[0, 4], matrix[4, 0] = 3e-15, 1e-15
    law = stationary_law(matrix).law
    assert entrywise_error(law, rational_stationary_law(matrix)) < 1e-13
    assert law[4:].sum() == pytest.approx(0.75, rel=1e-12)


@pytest.mark.parametrize("states", [1, 2, BLOCK, BLOCK + 1, BLOCK + 2, 2 * BLOCK + 1, 3 * BLOCK])
def test_blocks_do_not_change_the_result(states: int) -> None:
    matrix = random_chain(states, states)
    law = stationary_law(matrix)
    values, vectors = np.linalg.eig(matrix.T)
    oracle = np.real(vectors[:, np.abs(values - 1).argmin()])
    np.testing.assert_allclose(law.law, oracle / oracle.sum(), rtol=1e-10)
    assert law.residual < 1e-14


@given(seeds, sizes)
def test_law_is_stationary_and_moves_with_the_states(seed: int, states: int) -> None:
    matrix = random_chain(seed, states, 0.3)
    if len(stationary_laws(matrix)) > 1:
        return
    law = stationary_law(matrix).law
    np.testing.assert_allclose(law @ matrix, law, atol=1e-15)
    order = np.random.default_rng(seed).permutation(states)
    np.testing.assert_allclose(stationary_law(matrix[np.ix_(order, order)]).law, law[order], rtol=1e-12, atol=0)


@given(seeds, sizes)
def test_agrees_with_quantecon_and_deeptime(seed: int, states: int) -> None:
    matrix = random_chain(seed, states)
    law = stationary_law(matrix).law
    np.testing.assert_allclose(law, quantecon.MarkovChain(matrix).stationary_distributions[0], atol=1e-10)
    np.testing.assert_allclose(law, deeptime_analysis.stationary_distribution(matrix), atol=1e-10)


def test_closed_forms() -> None:
    np.testing.assert_allclose(stationary_law(two_state(0.3, 0.1)).law, [0.25, 0.75], rtol=1e-15)
    np.testing.assert_allclose(stationary_law(two_state(1e-300, 3e-300)).law, [0.75, 0.25], rtol=1e-15)
    np.testing.assert_allclose(stationary_law(cycle_walk(6)).law, np.full(6, 1 / 6), rtol=1e-14)
    up, down = [0.4, 1e-15, 0.2, 0.3], [0.1, 0.3, 1e-12, 0.25]
    np.testing.assert_allclose(stationary_law(birth_death(up, down)).law, birth_death_law(up, down), rtol=1e-13)
    assert stationary_law([[1.0]]).law.tolist() == [1.0]


def test_masses_beyond_the_range_of_floats_do_not_overflow() -> None:
    law = stationary_law(birth_death([1e-200, 1e-200], [0.5, 0.5])).law
    np.testing.assert_allclose(law[:2], [1.0, 2e-200], rtol=1e-14)
    assert law[2] == 0.0


def test_reducible_chains_have_one_law_per_closed_class() -> None:
    matrix = np.zeros((6, 6))
    matrix[:2, :2] = two_state(0.3, 0.1)
    matrix[2:4, 2:4] = two_state(0.5, 0.5)
    matrix[4, [0, 5]] = 0.5
    matrix[5, [2, 4]] = 0.5
    laws = stationary_laws(matrix)
    assert [list(found.states) for found in laws] == [[0, 1], [2, 3]]
    np.testing.assert_allclose(laws[0].law, [0.25, 0.75, 0, 0, 0, 0], rtol=1e-15)
    np.testing.assert_allclose(laws[1].law, [0, 0, 0.5, 0.5, 0, 0], rtol=1e-15)
    oracle = quantecon.MarkovChain(matrix).stationary_distributions
    np.testing.assert_allclose(np.array([found.law for found in laws]), oracle, atol=1e-12)
    with pytest.raises(InvalidInput, match="2 closed classes"):
        stationary_law(matrix)
    assert len(stationary_laws(np.eye(3))) == 3


def test_transient_states_have_no_mass() -> None:
    np.testing.assert_array_equal(stationary_law(np.eye(4)[[1, 2, 3, 3]]).law, [0, 0, 0, 1])


def test_a_known_law_is_used_and_checked() -> None:
    matrix = two_state(0.3, 0.1)
    found = stationary_law(DenseOperator(matrix, stationary=[0.25, 0.75]))
    assert found.method == "known"
    assert found.residual < 1e-15
    with pytest.raises(InvalidInput, match="residual"):
        stationary_law(DenseOperator(matrix, stationary=[0.5, 0.5]))


def test_residual() -> None:
    assert residual(two_state(0.3, 0.1), [1.0, 0.0]) == pytest.approx(0.6)
    with pytest.raises(InvalidInput, match="sum"):
        residual(two_state(0.3, 0.1), [1.0, 0.5])


@given(seeds, sizes)
def test_reversible_chains_are_found(seed: int, states: int) -> None:
    matrix, law = random_reversible(seed, states)
    assert is_reversible(matrix)
    flow = edge_measure(matrix, law)
    assert np.abs(flow - flow.T).max() < 1e-15
    assert deeptime_analysis.is_reversible(matrix)


@given(seeds, st.integers(3, 7))
def test_other_chains_are_not_reversible(seed: int, states: int) -> None:
    matrix = random_chain(seed, states)
    law = stationary_law(matrix).law
    by_definition = [[law[x] * matrix[x, y] for y in range(states)] for x in range(states)]
    assert edge_measure(matrix) == pytest.approx(np.array(by_definition), abs=1e-16)
    assert not is_reversible(matrix)
    assert not deeptime_analysis.is_reversible(matrix)


def test_reversibility_of_known_chains() -> None:
    assert is_reversible(hypercube_resampling(3))
    assert not is_reversible(np.roll(np.eye(5), 1, axis=1))
    assert is_reversible(np.eye(3), [0.2, 0.3, 0.5])
    assert is_reversible([[1.0]])


@given(seeds, sizes)
def test_detailed_balance_gives_the_law_of_state_reduction(seed: int, states: int) -> None:
    matrix, law = random_reversible(seed, states, spread=3.0)
    balanced = stationary_law(DenseOperator(matrix, reversible=True))
    assert balanced.method == "detailed balance"
    np.testing.assert_allclose(balanced.law, law, rtol=1e-10)
    np.testing.assert_allclose(balanced.law, stationary_law(matrix).law, rtol=1e-10)


def test_a_false_declaration_of_reversibility_falls_back() -> None:
    matrix = random_chain(1, 5)
    found = stationary_law(DenseOperator(matrix, reversible=True))
    assert found.method == "state reduction"
    np.testing.assert_allclose(found.law @ matrix, found.law, atol=1e-14)
    one_way = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    assert stationary_law(DenseOperator(one_way, reversible=True)).method == "state reduction"


def test_classes_of_a_large_chain_without_its_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    law = ising_on(named_graph("cycle", 10), 0.5, 0.1)
    chain = block_gibbs(TableConditionals(law), k_uniform(10, 2))

    def refuse() -> None:
        raise AssertionError("the matrix was formed")

    monkeypatch.setattr(type(chain), "to_dense", lambda self: refuse())
    classes = communicating_classes(chain)
    assert classes.irreducible
    assert classes.aperiodic
    assert stationary_law(chain).method == "known"
