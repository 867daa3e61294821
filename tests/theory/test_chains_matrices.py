"""What is taken for a transition matrix: types, sparsity, printed digits; and facts that are computed once."""

from __future__ import annotations

import pickle
from decimal import Decimal
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.chain_examples import cycle_walk, random_chain, seeds, two_state
from theory.chains import (
    Composition,
    DenseOperator,
    SparseOperator,
    absorption,
    as_operator,
    bottleneck_ratio,
    communicating_classes,
    mixing_time,
    restrict,
    spectrum,
    stationary_law,
    total_variation_curve,
)
from theory.chains.checks import check_law
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import ising_on, named_graph
from theory.masks import k_uniform
from theory.rounding import sum_tolerance
from theory.samplers import block_gibbs


def softmax32(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits.astype(np.float32))
    return weights / weights.sum(axis=1, keepdims=True)


@given(seeds, st.integers(2, 40))
def test_single_precision_softmax_is_taken_and_what_was_divided_away_is_told(seed: int, states: int) -> None:
    matrix = softmax32(np.random.default_rng(seed).normal(scale=3, size=(states, states)))
    for given_as in (matrix, matrix.astype(np.float64)):  # float32 values in float64 are known by their digits
        operator = DenseOperator(given_as)
        assert abs(operator.matrix.sum(axis=1) - 1).max() < 1e-9
        away = abs(given_as.astype(np.float64).sum(axis=1) - 1).max()
        assert operator.renormalised == (away if away > 1e-9 else 0.0)
        assert stationary_law(operator).residual < 1e-7


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_tolerance_follows_the_type(kind: type) -> None:
    exact = np.full((3, 3), 1 / 3)
    assert DenseOperator(exact.astype(kind)).matrix == pytest.approx(exact, abs=2 * float(np.finfo(kind).eps))
    wrong = exact.astype(kind)
    wrong[1, 1] += 32 * np.finfo(kind).eps
    with pytest.raises(InvalidInput, match=r"matrix row 1 .*normalise=True"):
        DenseOperator(wrong)


@given(seeds, st.integers(2, 12), st.integers(6, 11), st.booleans())
def test_printed_digits_are_taken(seed: int, states: int, digits: int, significant: bool) -> None:
    matrix = random_chain(seed, states)
    printed = np.array([[float(f"{entry:.{digits}{'e' if significant else 'f'}}") for entry in row] for row in matrix])
    operator = DenseOperator(printed)
    assert operator.matrix == pytest.approx(matrix, abs=states * 10.0**-digits)
    assert operator.renormalised <= states * 10.0**-digits


def test_few_digits_may_be_a_mistake_and_the_remedy_is_named() -> None:
    thirds = [[0.33, 0.33, 0.33], [0.2, 0.3, 0.5], [0.5, 0.25, 0.25]]
    with pytest.raises(InvalidInput, match=r"matrix row 0 = sum 0.99: .*DenseOperator\(matrix, normalise=True\)"):
        stationary_law(thirds)
    operator = DenseOperator(thirds, normalise=True)
    assert operator.renormalised == pytest.approx(0.01)
    assert operator.matrix[0] == pytest.approx(np.full(3, 1 / 3))
    sparse = SparseOperator(scipy.sparse.csr_array(np.array(thirds)), normalise=True)
    assert np.array_equal(sparse.to_dense(), operator.matrix)
    # Planted falsehood: eight digits do not excuse a missing thousandth.
    with pytest.raises(InvalidInput, match="matrix row 0"):
        DenseOperator([[0.12345678, 0.87554322], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0.5, 0.5], [1.0]], "rows of different lengths"),
        ([["a", "b"], ["c", "d"]], "entries of type"),
        ([[None, 1], [0, 1]], "finite"),
        ([[{}, 1], [0, 1]], "not numbers"),
        ([[0.5 + 0j, 0.5], [0, 1]], "complex"),
        (np.zeros((2, 2, 2)), "square"),
        ([0.5, 0.5], "square"),
        ([], "square"),
        (scipy.sparse.csr_array(np.ones((2, 3))), "square"),
        (scipy.sparse.csr_array(np.array([[1.5, -0.5], [0, 1]])), r"matrix\[0, 1\] = -0.5"),
        (scipy.sparse.csr_array(np.array([[np.nan, 1], [0, 1]])), "finite"),
        (scipy.sparse.csr_array(np.array([[1, 1j], [0, 1]])), "complex"),
        (scipy.sparse.csr_array(np.array([[0.5, 0.4], [0, 1]])), "matrix row 0 = sum 0.9"),
        (scipy.sparse.csr_array((2, 2)), "matrix row 0 = sum 0.0"),
    ],
)
def test_what_is_no_transition_matrix_is_refused_in_one_line(matrix: object, message: str) -> None:
    for question in (stationary_law, spectrum, mixing_time):
        with pytest.raises(InvalidInput, match=message):
            question(matrix)


def test_exact_number_types_and_zero_rows() -> None:
    assert stationary_law([[Fraction(1, 3), Fraction(2, 3)], [Decimal("0.5"), Decimal("0.5")]]).law[0] == pytest.approx(
        3 / 7
    )
    with pytest.raises(InvalidInput, match="all zeros"):
        DenseOperator([[0, 0], [0, 1]], normalise=True)


@pytest.mark.parametrize("form", [scipy.sparse.csr_matrix, scipy.sparse.coo_array, scipy.sparse.dok_array])
def test_sparse_matrices_answer_like_dense_ones(form: type) -> None:
    matrix = random_chain(3, 9)
    matrix[matrix < 0.1] = 0.0
    matrix /= matrix.sum(axis=1, keepdims=True)
    sparse = form(matrix)
    operator = as_operator(sparse)
    assert isinstance(operator, SparseOperator)
    assert np.array_equal(operator.to_dense(), matrix)
    assert stationary_law(sparse).law == pytest.approx(stationary_law(matrix).law, rel=1e-14)
    assert np.array_equal(spectrum(sparse).eigenvalues, spectrum(matrix).eigenvalues)
    assert mixing_time(sparse).steps == mixing_time(matrix).steps
    assert bottleneck_ratio(sparse).ratio == pytest.approx(bottleneck_ratio(matrix).ratio)
    law = np.random.default_rng(0).dirichlet(np.ones(9), size=2)
    assert operator.propagate(law) == pytest.approx(law @ matrix)
    assert operator.propagate(law[0]) == pytest.approx(law[0] @ matrix)
    assert operator.apply(law.T) == pytest.approx(matrix @ law.T)
    assert total_variation_curve(sparse, [0, 3], [1]).distances == pytest.approx(
        total_variation_curve(matrix, [0, 3], [1]).distances
    )


def test_a_large_sparse_chain_is_classified_without_its_matrix() -> None:
    states = 60_000  # a dense matrix would take 29 GB
    ring = scipy.sparse.eye_array(states, format="csr")[np.roll(np.arange(states), -1)]
    operator = SparseOperator(0.5 * (ring + scipy.sparse.eye_array(states, format="csr")))
    assert communicating_classes(operator).irreducible
    assert communicating_classes(SparseOperator(ring)).periods == (states,)


def test_laws_follow_the_type_too() -> None:
    law = np.full(7, 1 / 7, dtype=np.float32)
    assert check_law(law, 7).sum() == pytest.approx(1, abs=1e-15)
    with pytest.raises(InvalidInput, match="sum"):
        check_law(np.full(7, 0.14), 7)


def test_tolerances() -> None:
    assert sum_tolerance(np.array([0.1, np.pi - 3, 0.75]), 1e-9) == 1e-9
    assert sum_tolerance(np.array([0.123456, 0.876544]), 1e-9) == pytest.approx(5e-6)
    assert sum_tolerance(np.array([0.0123456789, 0.98765432]), 1e-9) == pytest.approx(5e-9)
    assert sum_tolerance(np.array([1.234567e-9, 1.0]), 1e-9) == pytest.approx(5e-7)


def test_facts_are_computed_once_and_shared() -> None:
    law = ising_on(named_graph("cycle", 4), 0.5, 0.1)
    operator = block_gibbs(TableConditionals(law), k_uniform(4, 1))
    from theory.chains import state_reduction

    chain = DenseOperator(operator.to_dense())
    with mock.patch("theory.chains.state_reduction._reduce", wraps=state_reduction._reduce) as reduced:
        first = spectrum(chain)
        assert spectrum(chain) is first
        assert stationary_law(chain) is stationary_law(chain)
        mixing_time(chain)
        bottleneck_ratio(chain)
        assert reduced.call_count == 1
    assert communicating_classes(chain) is communicating_classes(chain.held())
    assert chain.held() is chain
    # A matrix made of an operator is the same chain; another law makes another one.
    assert communicating_classes(operator.held()) is communicating_classes(operator)
    assert operator.held().nonnegative
    other = operator.knowing(np.full(16, 1 / 16))
    assert other.facts == {}
    with pytest.raises(InvalidInput, match="residual"):
        stationary_law(other)
    assert stationary_law(operator).method == "known"


def test_facts_survive_pickling_and_errors_are_not_kept() -> None:
    chain = DenseOperator(cycle_walk(5))
    found = spectrum(chain)
    assert pickle.loads(pickle.dumps(chain)).facts.keys() == chain.facts.keys()
    assert found.closed_classes == 1
    false = DenseOperator(random_chain(3, 5), reversible=True)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="reversible"):
            spectrum(false)


def test_restriction_and_composition_of_sparse_chains() -> None:
    matrix = np.zeros((4, 4))
    matrix[:2, :2], matrix[2:, 2:] = two_state(0.3, 0.2), two_state(0.1, 0.1)
    part = restrict(SparseOperator(scipy.sparse.csr_array(matrix)), np.array([2, 3]))
    assert np.array_equal(part.matrix, two_state(0.1, 0.1))
    assert len(absorption(scipy.sparse.csr_array(matrix)).classes) == 2
    both = Composition([as_operator(scipy.sparse.csr_array(matrix)), DenseOperator(matrix)])
    assert both.to_dense() == pytest.approx(matrix @ matrix)
