"""Perturbation bounds against exact distances; tight in the two-state chain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.bounds.perturbation import (
    conditional_errors,
    contraction_coefficient,
    divergence_of_runs_bound,
    least_overlap,
    stationary_distance_bound,
)
from theory.chains import DenseOperator, stationary_law
from theory.conditionals import TableConditionals
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.laws import JointLaw, random_law
from theory.samplers import systematic_scan


def random_matrix(seed: int, states: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(states), size=states)


@given(st.integers(0, 1000))
def test_contraction_coefficient_is_the_literal_one(seed: int) -> None:
    matrix = random_matrix(seed)
    expected = max(total_variation(a, b) for a, b in itertools.product(matrix, repeat=2))
    assert contraction_coefficient(matrix) == pytest.approx(expected, abs=1e-15)
    assert contraction_coefficient(np.eye(3)) == 1.0
    assert contraction_coefficient(np.full((3, 3), 1 / 3)) == 0.0


def test_two_state_chain_is_tight() -> None:
    """Q = (1-a, a; b, 1-b): delta = |1 - a - b| and pi = (b, a)/(a + b); p moves by |p_0 a - p_1 b| in one step."""
    a, b, p = 0.3, 0.1, np.array([0.5, 0.5])
    learned = DenseOperator([[1 - a, a], [b, 1 - b]])
    error = total_variation(learned.propagate(p), p)
    assert error == pytest.approx(abs(p[0] * a - p[1] * b))
    distance = total_variation([b / (a + b), a / (a + b)], p)
    assert stationary_distance_bound(learned, error, doublings=0) == pytest.approx(distance, rel=1e-12)


@pytest.mark.parametrize("exponent", [5, 17, 30])
def test_slow_chains_keep_their_contraction(exponent: int) -> None:
    a, b = 10.0**-exponent, 3 * 10.0**-exponent
    learned = DenseOperator([[1 - a, a], [b, 1 - b]])
    # 1 - delta = a + b, which 1 - a - b does not show; p = (1/2, 1/2) is 1/4 away from the stationary law.
    assert least_overlap(learned.to_dense()) == pytest.approx(a + b, rel=1e-12)
    bound = stationary_distance_bound(learned, abs(0.5 * a - 0.5 * b), doublings=0)
    assert bound == pytest.approx(0.25, rel=1e-12)


@given(st.integers(0, 300), st.floats(0.01, 0.5))
def test_stationary_bound_holds_for_scans(seed: int, noise: float) -> None:
    generator = np.random.default_rng(seed)
    law = random_law(3, 2, generator)
    wrong = JointLaw.from_weights(law.table * np.exp(noise * generator.normal(size=law.table.shape)))
    model = TableConditionals(wrong)
    errors = conditional_errors(model, law)
    exact, learned = TableConditionals(law).leave_one_out(), model.leave_one_out()
    for site in range(3):
        literal = sum(p * total_variation(exact[x, site], learned[x, site]) for x, p in enumerate(law.probabilities))
        assert errors[site] == pytest.approx(literal, abs=1e-14)
    scan = systematic_scan(model)
    # An update of one site moves p by exactly its error.
    alone = systematic_scan(model, [(1,)])
    assert total_variation(alone.propagate(law.probabilities), law.probabilities) == pytest.approx(errors[1], abs=1e-14)
    assert total_variation(scan.propagate(law.probabilities), law.probabilities) <= errors.sum() + 1e-14
    distance = total_variation(wrong.probabilities, law.probabilities)
    assert distance <= stationary_distance_bound(scan, float(errors.sum())) + 1e-12


@given(st.integers(0, 300), st.floats(0.0, 0.3))
def test_runs_stay_together_as_long_as_the_bound_says(seed: int, share: float) -> None:
    exact, other = random_matrix(seed), random_matrix(seed + 1)
    learned = (1 - share) * exact + share * other
    times = [0, 1, 2, 5, 20]
    bound = divergence_of_runs_bound(DenseOperator(exact), DenseOperator(learned), times)
    for time, limit in zip(times, bound, strict=True):
        left, right = np.linalg.matrix_power(exact, time), np.linalg.matrix_power(learned, time)
        assert max(total_variation(a, b) for a, b in zip(left, right, strict=True)) <= limit + 1e-13
    one_step = max(total_variation(a, b) for a, b in zip(exact, learned, strict=True))
    np.testing.assert_allclose(bound[:2], [0.0, one_step], atol=1e-15)


def test_no_error_no_distance_and_bad_input() -> None:
    chain = DenseOperator(random_matrix(0))
    assert stationary_distance_bound(chain, 0.0) == 0.0
    assert stationary_distance_bound(DenseOperator(np.eye(2)), 0.1) == 1.0
    assert stationary_law(chain).law.sum() == pytest.approx(1.0)
    with pytest.raises(InvalidInput, match="error"):
        stationary_distance_bound(chain, -1.0)
    with pytest.raises(InvalidInput, match="times"):
        divergence_of_runs_bound(chain, chain, [-1])
    with pytest.raises(InvalidInput, match="learned"):
        divergence_of_runs_bound(chain, DenseOperator(np.eye(2)), [1])
    with pytest.raises(InvalidInput, match="law"):
        conditional_errors(TableConditionals(random_law(3, 2, np.random.default_rng(0))), JointLaw([0.5, 0.5]))
