"""Slow modes against dense eigenvalues, matrix powers and solves of random chains."""

from __future__ import annotations

import numpy as np
import pytest

from theory.chains import DenseOperator, NotConverged, mixing_time, spectrum, stationary_law
from theory.chains.leading_modes import Distances, escape_time, leading_modes, slow_sets, slow_starts
from theory.errors import InvalidInput


def wells(states: int = 60, rare: float = 1e-4, seed: int = 0) -> DenseOperator:
    """Two wells of a non-reversible chain with moves between them of probability ``rare``."""
    generator = np.random.default_rng(seed)
    half = states // 2
    matrix = np.zeros((states, states))
    for first, last in ((0, half), (half, states)):
        matrix[first:last, first:last] = generator.random((last - first, last - first)) ** 4
    matrix /= matrix.sum(axis=1, keepdims=True)
    elsewhere = np.zeros_like(matrix)
    elsewhere[:half, half:] = generator.random((half, states - half))
    elsewhere[half:, :half] = generator.random((states - half, half))
    elsewhere /= elsewhere.sum(axis=1, keepdims=True)
    return DenseOperator((1 - rare) * matrix + rare * elsewhere)


def test_eigenvalues_vectors_and_law_are_those_of_the_matrix() -> None:
    chain = wells()
    modes = leading_modes(chain, 5)
    exact = spectrum(chain)
    np.testing.assert_allclose(np.abs(modes.values), np.abs(exact.eigenvalues[: len(modes.values)]), atol=1e-9)
    np.testing.assert_allclose(modes.law, stationary_law(chain).law, atol=1e-12)
    np.testing.assert_allclose(modes.laws @ modes.functions, np.eye(len(modes.values)), atol=1e-9)
    assert modes.gaps is not None
    np.testing.assert_allclose(modes.gaps, (exact.gap, exact.absolute_gap), atol=1e-10)


@pytest.mark.parametrize("rare", [1e-5, 1e-2, 0.3])
def test_distances_are_those_of_matrix_powers_at_every_scale(rare: float) -> None:
    chain = wells(rare=rare)
    modes = leading_modes(chain, 5)
    start = int(slow_starts(modes)[0])
    curve = Distances(chain, modes, start)
    for time in (0, 1, 7, 40, 900, 30_000):
        row = np.linalg.matrix_power(chain.matrix, time)[start]
        exact = 0.5 * np.abs(row - modes.law).sum()
        assert curve.at(time) == pytest.approx(exact, abs=curve.error_bound + 1e-9)
    exact_time = mixing_time(chain, starts=[start])
    assert curve.mixing_time() == exact_time.steps


def test_the_worst_start_is_among_the_slow_ones() -> None:
    chain = wells()
    modes = leading_modes(chain, 5)
    found = max(Distances(chain, modes, int(start)).mixing_time() for start in slow_starts(modes))
    assert found == mixing_time(chain).steps


def test_wells_are_found_and_left_after_the_time_that_a_dense_solve_gives() -> None:
    chain = wells()
    modes = leading_modes(chain, 5)
    sets = slow_sets(modes, least=100)
    assert sorted(tuple(sorted(found)) for found in sets) == [tuple(range(30)), tuple(range(30, 60))]
    for inside in sets:
        block = chain.matrix[np.ix_(inside, inside)]
        times = np.linalg.solve(np.eye(len(inside)) - block, np.ones(len(inside)))
        exact = float(modes.law[inside] @ times / modes.law[inside].sum())
        assert escape_time(chain, modes.law, inside) == pytest.approx(exact, rel=1e-5)


def test_a_chain_without_leading_modes_is_one_set() -> None:
    modes = leading_modes(wells(rare=0.3), 5)
    assert len(slow_sets(modes, least=100)) == 1


def test_what_cannot_be_is_refused() -> None:
    chain = wells()
    modes = leading_modes(chain, 5)
    with pytest.raises(InvalidInput, match="epsilon"):
        Distances(chain, modes, 0).mixing_time(1.5)
    with pytest.raises(InvalidInput, match="all states"):
        escape_time(chain, modes.law, np.arange(60))
    with pytest.raises(InvalidInput, match="states"):
        leading_modes(DenseOperator(np.full((4, 4), 0.25)), 5)
    with pytest.raises((InvalidInput, NotConverged)):
        leading_modes(wells(rare=0.0), 5)
