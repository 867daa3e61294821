"""Gaps that 1 - lambda cannot tell from rounding, against high precision: values, intervals, or no number."""

from __future__ import annotations

from fractions import Fraction
from math import isnan, nan

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.chain_examples import random_chain, seeds, two_state
from theory.bounds import mixing_time_bounds, relaxation_time_bounds
from theory.chains import (
    DenseOperator,
    arnoldi_gaps,
    bottleneck_ratio_of,
    iterative,
    lanczos_gaps,
    slow_modes,
    spectrum,
    stationary_law,
    sweep_ratio,
)
from theory.chains.gaps import Enclosure, Gaps, least
from theory.chains.nonnormal import _power_radius, eigenvalues_with_errors
from theory.conditionals import TableConditionals
from theory.laws import curie_weiss, magnetisation, named_graph, potts, random_ising, strong_clique
from theory.masks import k_uniform
from theory.samplers import SAMPLERS

Array = np.ndarray


def exact_gaps(matrix: Array, digits: int = 90) -> tuple[float, float]:
    """Gap and absolute gap in high precision, the floats being exact and each row divided by its sum."""
    with mpmath.workdps(digits):
        rows = mpmath.matrix(matrix.tolist())
        for row in range(len(matrix)):
            rows[row, :] = rows[row, :] / sum(rows[row, :])
        values = sorted(mpmath.eig(rows, left=False, right=False), key=lambda v: abs(1 - v))[1:]
        return float(min(1 - mpmath.re(v) for v in values)), float(min(1 - abs(v) for v in values))


def curie_weiss_gap(sites: int, beta: float, digits: int = 90) -> float:
    """Gap of the chain of the number of plus spins under single-site Glauber dynamics, which has the slowest mode."""
    with mpmath.workdps(digits):
        coupling = mpmath.mpf(beta / sites)

        def plus(others: int) -> mpmath.mpf:  # others: magnetisation of the other sites
            return 1 / (1 + mpmath.exp(-2 * coupling * others))

        size = sites + 1
        up = [mpmath.mpf(sites - n) / sites * plus(2 * n - sites + 1) for n in range(sites)]
        down = [mpmath.mpf(n) / sites * (1 - plus(2 * n - sites - 1)) for n in range(size)]
        form = mpmath.zeros(size)
        for n in range(size):
            form[n, n] = (up[n] if n < sites else 0) + down[n]
            if n < sites:
                form[n, n + 1] = form[n + 1, n] = -mpmath.sqrt(up[n] * down[n + 1])
        return float(sorted(mpmath.eigsy(form, eigvals_only=True))[1])


def holds(interval: tuple[float, float], value: float) -> bool:
    return interval[0] <= value * (1 + 1e-15) and value <= interval[1] * (1 + 1e-15)


@pytest.mark.parametrize("beta", [2.0, 9.0, 12.0, 30.0])
@pytest.mark.parametrize("dense", [True, False])
def test_curie_weiss(beta: float, dense: bool) -> None:
    chain = SAMPLERS["k-gibbs"]().build(TableConditionals(curie_weiss(8, beta)), k_uniform(8, 1))
    found: Gaps = spectrum(chain.to_dense()) if dense else lanczos_gaps(chain)
    exact = curie_weiss_gap(8, beta)
    assert found.gap == pytest.approx(exact, rel=1e-9)
    assert holds(found.gap_interval, exact)
    assert found.absolute_gap == found.gap
    assert holds(found.relaxation_interval, 1 / exact)


@pytest.mark.parametrize("beta", [6.0, 7.5, 8.0, 9.0, 12.0])
def test_curie_weiss_without_its_matrix(beta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterative, "REDUCED_STATES", 0)
    chain = SAMPLERS["k-gibbs"]().build(TableConditionals(curie_weiss(12, beta)), k_uniform(12, 1))
    found = lanczos_gaps(chain)
    exact = curie_weiss_gap(12, beta)
    assert "Dirichlet form" in found.method
    # At beta = 12 the residual is a few per cent of the gap.
    assert found.gap == pytest.approx(exact, rel=1e-6 if beta < 12 else 0.1)
    assert holds(found.gap_interval, exact)


def test_the_sweep_cuts_where_the_slow_function_jumps() -> None:
    law = curie_weiss(9, 9.0)
    chain = SAMPLERS["k-gibbs"]().build(TableConditionals(law), k_uniform(9, 1))
    found = lanczos_gaps(chain)
    assert found.function is not None
    ratio = sweep_ratio(chain, law.probabilities, found.function)
    # The cut at magnetisation 0: one half of the mass on each side.
    wrong = np.flatnonzero(magnetisation(9) < 0)
    assert ratio <= bottleneck_ratio_of(chain, wrong, law.probabilities) * (1 + 1e-9)
    assert found.gap <= 2 * ratio


def test_strong_clique_without_its_matrix() -> None:
    # The clique flips as one, by itself: as slow as Curie-Weiss with beta = m J on m sites, m / N of the time.
    chain = SAMPLERS["k-gibbs"]().build(TableConditionals(strong_clique(13, 7, 1.6)), k_uniform(13, 1))
    exact = curie_weiss_gap(7, 7 * 1.6) * 7 / 13
    found = lanczos_gaps(chain)
    assert found.gap == pytest.approx(exact, rel=1e-9)
    assert holds(found.gap_interval, exact)


@pytest.mark.parametrize("sampler", ["k-gibbs", "metropolis-hastings"])
@pytest.mark.parametrize("size", [1, 2])
def test_two_routes_for_several_slow_modes(sampler: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    law = potts(named_graph("complete", 4), 3, 7.0, [0.0, 0.4, -0.3])
    chain = SAMPLERS[sampler]().build(TableConditionals(law), k_uniform(4, size))
    monkeypatch.setattr(iterative, "REDUCED_STATES", 0)
    form = lanczos_gaps(chain)
    reduced = spectrum(chain.to_dense())
    assert "Dirichlet form" in form.method
    assert form.gap == pytest.approx(reduced.gap, rel=1e-6)
    assert form.gap_interval[0] <= reduced.gap_interval[1]
    assert reduced.gap_interval[0] <= form.gap_interval[1]


def test_where_the_residual_swallows_the_gap_there_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterative, "REDUCED_STATES", 0)
    chain = SAMPLERS["k-gibbs"]().build(TableConditionals(curie_weiss(8, 30.0)), k_uniform(8, 1))
    found = lanczos_gaps(chain)
    assert isnan(found.gap)
    assert isnan(found.relaxation_time)
    assert found.gap_interval[0] == 0
    assert holds(found.gap_interval, curie_weiss_gap(8, 30.0))
    lower, upper = relaxation_time_bounds(found.relaxation_interval, 1e-3)
    assert lower > 1e20
    assert upper == np.inf


@settings(max_examples=25)
@given(seeds, st.integers(2, 7), st.floats(1, 60))
def test_random_reversible_chains(seed: int, states: int, spread: float) -> None:
    generator = np.random.default_rng(seed)
    weights = np.exp(-spread * generator.random((states, states)))
    weights += weights.T
    matrix = weights / weights.sum(axis=1, keepdims=True)
    found, (gap, absolute) = spectrum(matrix), exact_gaps(matrix)
    assert found.gap == pytest.approx(gap, rel=1e-9)
    assert holds(found.gap_interval, gap)
    assert holds(found.absolute_gap_interval, absolute)


@settings(max_examples=10)
@given(seeds, st.integers(2, 4), st.integers(2, 4), st.floats(8, 60))
def test_nearly_decomposable_chains_that_are_not_reversible(seed: int, first: int, second: int, decades: float) -> None:
    matrix = np.zeros((first + second,) * 2)
    matrix[:first, :first], matrix[first:, first:] = random_chain(seed, first), random_chain(seed + 1, second)
    matrix[0, first], matrix[-1, 1] = 10.0**-decades, 3 * 10.0**-decades
    matrix /= matrix.sum(axis=1, keepdims=True)
    found, (gap, absolute) = spectrum(DenseOperator(matrix, reversible=False)), exact_gaps(matrix)
    assert found.gap == pytest.approx(gap, rel=1e-9)
    assert holds(found.gap_interval, gap)
    assert found.absolute_gap == pytest.approx(absolute, rel=1e-9)
    assert holds(found.absolute_gap_interval, absolute)


@pytest.mark.parametrize("decades", [7, 12, 30])
def test_iteration_on_nearly_decomposable_chains(decades: int) -> None:
    matrix = np.zeros((12, 12))
    matrix[:5, :5], matrix[5:, 5:] = random_chain(3, 5), random_chain(4, 7)
    matrix[0, 5], matrix[-1, 1] = 10.0**-decades, 3 * 10.0**-decades
    matrix /= matrix.sum(axis=1, keepdims=True)
    law, found = arnoldi_gaps(DenseOperator(matrix))
    gap, absolute = exact_gaps(matrix)
    assert found.gap == pytest.approx(gap, rel=1e-9)
    assert found.absolute_gap == pytest.approx(absolute, rel=1e-9)
    assert holds(found.gap_interval, gap)
    np.testing.assert_allclose(law.law, stationary_law(matrix).law, rtol=1e-7 if decades < 10 else 1e-12)


@pytest.mark.parametrize("decades", [(8, 11), (20, 40), (6, 100)])
def test_slow_modes_of_very_different_speed(decades: tuple[int, int]) -> None:
    matrix = np.kron(np.eye(3), np.full((3, 3), 1 / 3))
    matrix[:3, :3], matrix[3:6, 3:6] = random_chain(1, 3), random_chain(2, 3)
    fast, slow = (10.0**-d for d in decades)
    matrix[0, 3], matrix[5, 1], matrix[4, 7], matrix[8, 5] = fast, 2 * fast, slow, 3 * slow
    matrix /= matrix.sum(axis=1, keepdims=True)
    found, (gap, absolute) = spectrum(DenseOperator(matrix, reversible=False)), exact_gaps(matrix, 260)
    assert found.gap == pytest.approx(gap, rel=1e-9)
    assert holds(found.gap_interval, gap)
    assert found.absolute_gap == pytest.approx(absolute, rel=1e-9)
    assert holds(found.absolute_gap_interval, absolute)


def test_many_modes_that_are_equally_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    wells = 40
    weights = np.kron(np.full((wells, wells), 1e-18), np.ones((2, 2))) + np.kron(np.eye(wells), np.ones((2, 2)))
    matrix = weights / weights.sum(axis=1, keepdims=True)

    def fails(*_: object, **__: object) -> None:
        raise slow_modes.ArpackNoConvergence("none", np.empty(0), np.empty((0, 0)))

    first = spectrum(matrix).gap
    monkeypatch.setattr(slow_modes, "eigsh", fails)
    # All functions of mean 0 that are constant on the wells decay at 1e-18 times the number of wells.
    assert first == pytest.approx(spectrum(matrix).gap, rel=1e-9)
    assert first == pytest.approx(wells * 1e-18, rel=1e-9)


def test_flows_that_are_tiny_and_not_balanced() -> None:
    # Balanced in all large flows, but the three wells are left in one direction only.
    matrix = np.kron(np.eye(3), np.full((3, 3), 1 / 3))
    matrix[0, 3] = matrix[3, 6] = matrix[6, 0] = 1e-20
    found = spectrum(matrix)
    assert not found.reversible
    assert found.gap == pytest.approx(exact_gaps(matrix)[0], rel=1e-12)


@pytest.mark.parametrize("flow", [1e-20, 1e-4])
def test_eigenvalues_near_one_of_a_chain_that_is_not_reversible(flow: float) -> None:
    """The list of eigenvalues holds those near 1 that only the gap's own route resolves, in their places."""
    matrix = np.kron(np.eye(3), np.full((3, 3), 1 / 3))
    for well in range(3):
        matrix[3 * well, 3 * well] -= flow
        matrix[3 * well, (3 * well + 3) % 9] += flow
    found = spectrum(matrix)
    assert not found.reversible
    near, plain = (values[np.abs(1 - values) < 0.1] for values in (found.eigenvalues, np.linalg.eigvals(matrix)))
    assert len(near) == 3
    order, plain_order = np.argsort(near.imag), np.argsort(plain.imag)
    np.testing.assert_allclose(near[order], plain[plain_order], atol=1e-13)


def test_eigenvalues_near_minus_one() -> None:
    matrix = np.array([[0.0, 1.0, 0.0], [0.5, 1e-25, 0.5], [0.0, 1.0, 0.0]])
    found = spectrum(matrix)
    assert found.absolute_gap == pytest.approx(exact_gaps(matrix)[1], rel=1e-12)
    assert found.gap == pytest.approx(1, rel=1e-12)


def test_transient_states_that_are_hardly_left() -> None:
    matrix = np.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [1e-30, 0, 0.6, 0.4], [0, 0, 0.3, 0.7]])
    assert spectrum(matrix).gap == pytest.approx(3e-30 / 7, rel=1e-12)


def forgets_at_last(length: int = 51) -> Array:
    """All rows of the power ``length - 1`` are equal: every eigenvalue but 1 is 0, in one Jordan block."""
    matrix = np.diag(np.full(length - 1, 0.99), 1)
    matrix[:, 0], matrix[-1, -1] = 0.01, 0.99
    return matrix


def test_a_defective_chain() -> None:
    found = spectrum(forgets_at_last())
    assert (found.gap, found.absolute_gap) == (1.0, 1.0)
    assert found.gap_interval == found.absolute_gap_interval == (1.0, 1.0)
    np.testing.assert_array_equal(found.eigenvalues[1:], 0)


def test_a_defective_chain_whose_structure_is_hidden_gets_an_interval() -> None:
    # The same on 24 states, seen in other coordinates: 1 pi + a nilpotent matrix that is full.
    size = 24
    basis = np.linalg.qr(np.column_stack([np.ones(size), np.random.default_rng(0).normal(size=(size, size - 1))]))[0]
    nilpotent = basis[:, 1:] @ np.diag(np.full(size - 2, 0.9), 1) @ basis[:, 1:].T
    matrix = 1 / size + nilpotent * (0.9 / size / np.abs(nilpotent).max())
    found = spectrum(matrix)
    exact = exact_gaps(matrix)[1]
    assert holds(found.absolute_gap_interval, exact)
    assert found.absolute_gap_interval[1] - found.absolute_gap_interval[0] > 1e-3
    assert abs(found.absolute_gap - exact) > 1e-6  # what the solver says is off, and the interval says so


def test_powers_bound_all_eigenvalues_closely() -> None:
    cycle = 0.9 * np.eye(3) + 0.1 * np.roll(np.eye(3), 1, axis=1)
    largest = abs(0.9 + 0.1 * np.exp(2j * np.pi / 3))
    assert largest <= _power_radius(cycle, np.full(3, 1 / 3)) <= 1.01 * largest
    # All rows of the 50th power are equal: what is left is the root of its rounding.
    assert _power_radius(forgets_at_last(), stationary_law(forgets_at_last()).law) < 0.7


def mpmath_eigenvalues(matrix: Array) -> Array:
    """Eigenvalues by descending modulus, in high precision."""
    with mpmath.workdps(40):
        values = mpmath.eig(mpmath.matrix(matrix.tolist()), left=False, right=False)
    return np.array(sorted((complex(value) for value in values), key=abs, reverse=True))


@pytest.mark.parametrize("size", [2, 3, 6])
def test_errors_of_jordan_blocks(size: int) -> None:
    jordan = np.diag(np.full(size, 0.4)) + np.diag(np.full(size - 1, 0.3), 1)
    basis = np.linalg.qr(np.random.default_rng(size).normal(size=(size, size)))[0]
    for matrix in (jordan, basis @ jordan @ basis.T):
        values, errors = eigenvalues_with_errors(matrix)
        assert (np.abs(values - 0.4) <= errors).all()
    normal, errors = eigenvalues_with_errors(np.diag([0.1, 0.5, 0.9]) + 0)
    assert errors.max() < 1e-14
    np.testing.assert_allclose(np.sort(normal.real), [0.1, 0.5, 0.9])


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "confidence-remasking"])
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_every_sampler_has_numbers(sampler: str, scale: float) -> None:
    law = random_ising(4, np.random.default_rng(2), scale)
    chain = SAMPLERS[sampler]().build(TableConditionals(law), k_uniform(4, 1 if sampler == "systematic-scan" else 2))
    found = spectrum(chain.to_dense())
    values = mpmath_eigenvalues(chain.to_dense())
    assert found.gap == pytest.approx(1 - values.real[1:].max(), rel=1e-7)
    assert found.absolute_gap == pytest.approx(1 - np.abs(values[1:]).max(), rel=1e-7)


def test_bounds_take_the_safe_ends() -> None:
    assert relaxation_time_bounds((5.0, 8.0), 0.1) == (
        relaxation_time_bounds(5.0, 0.1)[0],
        relaxation_time_bounds(8.0, 0.1)[1],
    )
    matrix = two_state(1e-40, 3e-40)
    lower, upper = mixing_time_bounds(matrix)["relaxation time"]
    # d(t) = (3/4) (1 - 4e-40)^t from the worse start.
    exact = np.log(3) / 4e-40
    assert lower <= exact <= upper < np.inf
    assert relaxation_time_bounds(2.0, 0.1, log_minimum=np.log(0.1)) == relaxation_time_bounds(2.0, 0.1)
    assert relaxation_time_bounds(2.0, 0.0, log_minimum=-2000.0)[1] == pytest.approx(2 * (2000 + np.log(4)), abs=1)


def test_the_least_of_several_numbers() -> None:
    assert least([Enclosure.around(0.5, 0.1), Enclosure.around(0.3, 0.01)]).value == 0.3
    swallowed = Enclosure.around(1e-20, 1e-16)
    assert isnan(swallowed.value)
    assert swallowed.interval == (0.0, pytest.approx(1e-16, rel=1e-3))
    assert isnan(least([swallowed, Enclosure.around(0.3, 0.01)]).value)
    # A number without value that cannot be the smallest does no harm.
    assert least([Enclosure(nan, 0.4, 0.9), Enclosure.around(0.3, 0.01)]).value == 0.3
    assert Enclosure.around(0.0, 0.0).value == 0.0


def test_rational_two_well_chain() -> None:
    # Wells of two states each; the mode that changes sign between them solves a quadratic equation.
    tiny = 2.0**-80
    matrix = np.array([[0.5, 0.5, 0, 0], [0.5, 0.5 - tiny, tiny, 0], [0, tiny, 0.5 - tiny, 0.5], [0, 0, 0.5, 0.5]])
    a = Fraction(tiny)
    # On functions (u, v, -v, -u): u/2 - v/2 = z u, (v - u)/2 + 2 a v = z v, so z^2 - (1 + 2a) z + a = 0.
    with mpmath.workdps(60):
        t = mpmath.mpf(a.numerator) / a.denominator
        exact = float(((1 + 2 * t) - mpmath.sqrt((1 + 2 * t) ** 2 - 4 * t)) / 2)
    assert spectrum(matrix).gap == pytest.approx(exact, rel=1e-14)
