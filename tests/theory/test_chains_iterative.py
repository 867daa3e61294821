"""Iterative gaps and laws against the dense spectrum, closed forms, and inputs that must be refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.chain_examples import cycle_walk, hypercube_resampling, random_chain, random_reversible, seeds
from theory.chains import (
    DenseOperator,
    IterativeGaps,
    NotConverged,
    arnoldi_gaps,
    bottleneck_ratio,
    lanczos_gaps,
    spectrum,
    stationary_law,
    sweep_ratio,
)
from theory.chains.operator import TransitionOperator
from theory.conditionals import TableConditionals
from theory.errors import ExceedsMemory, InvalidInput
from theory.laws import JointLaw, curie_weiss, product_law, random_law
from theory.masks import k_uniform
from theory.samplers import SAMPLERS, block_gibbs

LAWS: dict[str, JointLaw] = {
    "Curie-Weiss": curie_weiss(6, 1.4, 0.1),
    "random, q=3": random_law(4, 3, np.random.default_rng(3)),
    "random, q=2": random_law(7, 2, np.random.default_rng(4)),
}


def gaps_of(chain: TransitionOperator) -> IterativeGaps:
    return arnoldi_gaps(chain)[1]


def reversible_operator(seed: int, states: int, spread: float = 1.0) -> DenseOperator:
    matrix, law = random_reversible(seed, states, spread)
    return DenseOperator(matrix, True, law)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("sampler", ["k-gibbs", "metropolis-hastings"])
def test_lanczos_agrees_with_the_dense_spectrum(name: str, size: int, sampler: str) -> None:
    law = LAWS[name]
    chain = SAMPLERS[sampler]().build(TableConditionals(law), k_uniform(law.sites, size))
    found, dense = lanczos_gaps(chain), spectrum(chain.to_dense())
    assert found.method == "Lanczos"
    assert found.certain
    assert found.residual <= 1e-10
    # A residual bounds the error of a symmetric eigenvalue; the rest is the dense solver's.
    assert found.gap == pytest.approx(dense.gap, abs=found.residual + 1e-12)
    assert found.absolute_gap == pytest.approx(dense.absolute_gap, abs=found.residual + 1e-12)
    assert found.relaxation_time == pytest.approx(dense.relaxation_time, rel=1e-8)


def test_vectors_that_are_not_kept_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = SAMPLERS["metropolis-hastings"]().build(TableConditionals(LAWS["random, q=2"]), k_uniform(7, 1))
    kept = lanczos_gaps(chain)
    monkeypatch.setattr("theory.chains.lanczos.KEPT_BYTES", 0)
    again = lanczos_gaps(chain)
    assert (again.gap, again.absolute_gap) == (kept.gap, kept.absolute_gap)
    np.testing.assert_array_equal(again.function, kept.function)


def test_an_iteration_that_takes_too_long_gives_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theory.chains.lanczos.MOST_ITERATIONS", 5)
    with pytest.raises(NotConverged, match="5 iterations"):
        lanczos_gaps(reversible_operator(1, 60))


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "confidence-remasking"])  # may be reducible
def test_arnoldi_agrees_with_the_dense_spectrum(name: str, sampler: str) -> None:
    law = LAWS[name]
    masks = k_uniform(law.sites, 1 if sampler == "systematic-scan" else 2)
    chain = SAMPLERS[sampler]().build(TableConditionals(law), masks)
    stationary, found = arnoldi_gaps(chain)
    dense = spectrum(chain.to_dense())
    assert found.method == "Arnoldi"
    assert not found.certain
    assert found.function is None
    assert found.residual <= 1e-8
    assert found.gap == pytest.approx(dense.gap, abs=1e-8)
    assert found.absolute_gap == pytest.approx(dense.absolute_gap, abs=1e-8)
    assert stationary.residual <= 1e-8
    assert np.abs(stationary.law - stationary_law(chain.to_dense()).law).sum() <= 1e-8


@settings(max_examples=40)
@given(seeds, st.integers(3, 40), st.floats(0, 2))
def test_lanczos_on_random_reversible_chains(seed: int, states: int, spread: float) -> None:
    chain = reversible_operator(seed, states, spread)
    found, dense = lanczos_gaps(chain), spectrum(chain)
    assert found.gap == pytest.approx(dense.gap, abs=1e-9)
    assert found.absolute_gap == pytest.approx(dense.absolute_gap, abs=1e-9)
    assert found.function is not None
    # (P f)(x) = (1 - gap) f(x), E f = 0, Var f = 1, in the norm of pi.
    assert chain.stationary is not None
    error = chain.apply(found.function) - (1 - found.gap) * found.function
    assert np.sqrt(chain.stationary @ error**2) <= 1e-9
    assert chain.stationary @ found.function == pytest.approx(0, abs=1e-9)
    assert chain.stationary @ found.function**2 == pytest.approx(1, rel=1e-9)


@settings(max_examples=40)
@given(seeds, st.integers(8, 30))
def test_arnoldi_on_random_chains(seed: int, states: int) -> None:
    chain = DenseOperator(random_chain(seed, states))
    stationary, found = arnoldi_gaps(chain)
    dense = spectrum(chain)
    assert found.gap == pytest.approx(dense.gap, abs=1e-6)
    assert found.absolute_gap == pytest.approx(dense.absolute_gap, abs=1e-6)
    assert np.abs(stationary.law - stationary_law(chain).law).sum() <= 1e-7


@pytest.mark.parametrize("size", [1, 2, 5])
def test_product_laws_have_the_gap_k_over_n(size: int) -> None:
    law = product_law(np.array([[0.3, 0.7], [0.6, 0.4], [0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.35, 0.65]]))
    chain = block_gibbs(TableConditionals(law), k_uniform(6, size))
    assert lanczos_gaps(chain).gap == pytest.approx(size / 6, abs=1e-10)
    assert gaps_of(chain).gap == pytest.approx(size / 6, abs=1e-8)


def test_hypercube_and_lazy_cycle_in_closed_form() -> None:
    law = np.full(64, 1 / 64)
    assert lanczos_gaps(DenseOperator(hypercube_resampling(6), True, law)).gap == pytest.approx(1 / 6, abs=1e-10)
    ring = DenseOperator(cycle_walk(21, 0.2), True, np.full(21, 1 / 21))
    found = lanczos_gaps(ring)
    assert found.gap == pytest.approx(0.8 * (1 - np.cos(2 * np.pi / 21)), abs=1e-10)
    assert found.absolute_gap == pytest.approx(
        min(found.gap, 1 - abs(0.2 + 0.8 * np.cos(2 * np.pi * 10 / 21))), abs=1e-10
    )


def test_the_gap_of_a_spectrum_that_is_mostly_negative() -> None:
    """The eigenvalues of largest modulus are all negative; the gap belongs to a small positive one."""
    states = 40
    values = np.concatenate([[1.0], np.full(6, -0.3) - 0.01 * np.arange(6), [0.1], np.zeros(states - 8)])
    basis = np.linalg.qr(np.column_stack([np.ones(states), np.random.default_rng(1).normal(size=(states, states - 1))]))
    vectors = basis[0]
    matrix = (vectors * values) @ vectors.T
    lazy = 1 + 1e-9 - min(0.0, float(matrix.min())) * states
    rest = values.copy()
    rest[1:] /= lazy  # mixed with the uniform matrix, so that no entry is negative
    chain = DenseOperator((vectors * rest) @ vectors.T)
    dense = spectrum(chain)
    assert dense.gap == pytest.approx(1 - 0.1 / lazy, abs=1e-12)
    found = gaps_of(chain)
    assert found.gap == pytest.approx(dense.gap, abs=1e-8)
    assert found.absolute_gap == pytest.approx(dense.absolute_gap, abs=1e-8)


@pytest.mark.parametrize("states", [8, 9, 30])
def test_periodic_chains_have_no_absolute_gap(states: int) -> None:
    shift = DenseOperator(np.roll(np.eye(states), 1, axis=1))
    stationary, found = arnoldi_gaps(shift)
    assert np.abs(stationary.law - 1 / states).max() <= 1e-8
    # Zero up to the residual: no digit of it is known.
    assert np.isnan(found.absolute_gap)
    assert found.absolute_gap_interval == (0, pytest.approx(0, abs=1e-8))
    assert found.gap == pytest.approx(1 - np.cos(2 * np.pi / states), abs=1e-8)


@pytest.mark.parametrize("states", [3, 10, 50])
def test_the_walk_on_the_complete_graph_has_only_negative_eigenvalues(states: int) -> None:
    matrix = (np.ones((states, states)) - np.eye(states)) / (states - 1)
    found = lanczos_gaps(DenseOperator(matrix, True, np.full(states, 1 / states)))
    assert found.gap == pytest.approx(1 + 1 / (states - 1), abs=1e-10)
    assert found.absolute_gap == pytest.approx(1 - 1 / (states - 1), abs=1e-10)


@pytest.mark.parametrize("states", [3, 10, 50])
def test_independent_draws_have_gap_one(states: int) -> None:
    law = np.full(states, 1 / states)
    found = lanczos_gaps(DenseOperator(np.tile(law, (states, 1)), True, law))
    assert found.gap == pytest.approx(1, abs=1e-10)
    assert found.absolute_gap == pytest.approx(1, abs=1e-10)


def test_a_disconnected_reversible_chain_has_no_gap() -> None:
    block = random_reversible(0, 6)
    matrix = np.kron(np.eye(2), block[0])
    found = lanczos_gaps(DenseOperator(matrix, True, np.tile(block[1], 2) / 2))
    assert np.isnan(found.gap)
    assert found.gap_interval == found.absolute_gap_interval == (0, pytest.approx(0, abs=1e-10))


@pytest.mark.parametrize("states", [6, 30])
def test_several_closed_classes_are_refused(states: int) -> None:
    matrix = np.kron(np.eye(2), random_chain(5, states))
    with pytest.raises(InvalidInput, match="multiple"):
        arnoldi_gaps(DenseOperator(matrix))


@settings(max_examples=40)
@given(seeds, st.integers(3, 9))
def test_sweeps_bound_the_bottleneck_from_above(seed: int, states: int) -> None:
    chain = reversible_operator(seed, states, 2.0)
    assert chain.stationary is not None
    function = lanczos_gaps(chain).function
    assert function is not None
    found = sweep_ratio(chain, chain.stationary, function)
    assert found >= bottleneck_ratio(chain, chain.stationary).ratio - 1e-12
    # Brute force over every level set (there are fewer than the cuts).
    order = np.argsort(function, kind="stable")
    ratios = []
    for direction in (order, order[::-1]):
        for size in range(1, states):
            inside, outside = direction[:size], direction[size:]
            mass = chain.stationary[inside].sum()
            if mass <= 0.5 + 1e-12:
                ratios.append((chain.stationary[inside] @ chain.matrix[np.ix_(inside, outside)]).sum() / mass)
    assert found >= min(ratios) - 1e-12
    # Cheeger's inequality with the eigenfunction's own level sets: gap >= Phi^2 / 2 over all of them.
    assert min(ratios) ** 2 / 2 <= spectrum(chain).gap + 1e-12


def test_the_sweep_finds_the_cut_between_two_wells() -> None:
    law = curie_weiss(7, 2.0)
    chain = block_gibbs(TableConditionals(law), k_uniform(7, 1))
    function = lanczos_gaps(chain).function
    assert function is not None
    assert sweep_ratio(chain, law.probabilities, function, 2**8) == pytest.approx(
        bottleneck_ratio(chain, law.probabilities).ratio, rel=1e-9
    )


def test_a_tolerance_that_cannot_be_met_gives_no_number() -> None:
    chain = reversible_operator(1, 60)
    for call in (lambda: lanczos_gaps(chain, tolerance=1e-30), lambda: arnoldi_gaps(chain, tolerance=1e-30)):
        with pytest.raises(NotConverged):
            call()


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.nan])
def test_tolerances_are_positive(tolerance: float) -> None:
    chain = reversible_operator(1, 10)
    for call in (lanczos_gaps, arnoldi_gaps):
        with pytest.raises(InvalidInput, match="tolerance"):
            call(chain, tolerance=tolerance)


def test_bad_input_names_the_argument() -> None:
    matrix, law = random_reversible(2, 9)
    masses = np.append(np.zeros(1), np.full(8, 1 / 8))
    for call, argument in (
        (lambda: lanczos_gaps(DenseOperator(matrix, True)), "law"),
        (lambda: lanczos_gaps(DenseOperator(matrix, True), masses), "law"),
        (lambda: lanczos_gaps(DenseOperator(matrix, True), np.full(9, 1.0)), "law"),
        (lambda: lanczos_gaps(DenseOperator(random_chain(1, 9), True, law)), "chain"),
        (lambda: lanczos_gaps(reversible_operator(2, 2)), "states"),
        (lambda: arnoldi_gaps(reversible_operator(2, 7)), "states"),
    ):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.argument == argument


def test_memory_is_refused_with_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theory.memory.available_bytes", lambda: 500)
    monkeypatch.setattr("theory.memory.NEGLIGIBLE", 0)
    for call in (lanczos_gaps, arnoldi_gaps):
        with pytest.raises(ExceedsMemory, match="but 500 B are free"):
            call(reversible_operator(2, 9))
