"""Exchangeable laws and their lumped chains against the full 2^N tables and kernels."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.law_examples import to_joint
from theory.chains import expected_escape_times, expected_hitting_times, mixing_time, spectral_gap, stationary_law
from theory.chains.birth_death import log_exit_probabilities, log_expected_escape_times
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import ExchangeableLaw, clique_counts, curie_weiss_counts
from theory.laws.exchangeable import running_sum_parts
from theory.laws.ising import curie_weiss, magnetisation, strong_clique
from theory.masks import k_uniform
from theory.samplers import block_gibbs, independent_parallel
from theory.symmetry import (
    block_gibbs_counts,
    log_independent_parallel,
    log_parallel_law,
    single_site,
)

LAWS = [
    curie_weiss_counts(1, 0.7, 0.2),
    curie_weiss_counts(6, 0.0),
    curie_weiss_counts(7, 1.3, 0.1),
    clique_counts(8, 0.4, 0.05),
    clique_counts(5, -0.6, 0.3),
    ExchangeableLaw([0.3, -1.0, 2.0, 0.1, -0.7, 0.4], "generic"),
]


def counts_of(sites: int) -> np.ndarray:
    return (magnetisation(sites) + sites) // 2


def lumped(matrix: np.ndarray, sites: int) -> np.ndarray:
    """Row sums over classes of equal magnetisation, which must not depend on the state within a class."""
    indicator = np.eye(sites + 1)[counts_of(sites)]
    into_classes = matrix @ indicator
    result = np.array([into_classes[counts_of(sites) == n][0] for n in range(sites + 1)])
    assert np.abs(into_classes - result[counts_of(sites)]).max() < 1e-13
    return result


def test_tables_are_those_of_the_ising_models():
    assert np.allclose(to_joint(curie_weiss_counts(6, 0.9, 0.1)).table, curie_weiss(6, 0.9, 0.1).table, rtol=1e-12)
    assert np.allclose(to_joint(clique_counts(5, 0.7, 0.1)).table, strong_clique(5, 5, 0.7, 0.1).table, rtol=1e-12)
    totals = np.arange(-5, 6, 2)
    quartic = ExchangeableLaw(np.diff(0.01 * totals**4 - 0.1 * totals))
    weights = np.exp(0.01 * magnetisation(5) ** 4 - 0.1 * magnetisation(5))
    assert np.allclose(to_joint(quartic).probabilities, weights / weights.sum(), rtol=1e-12)
    assert not quartic.is_quadratic
    assert clique_counts(2000, 1.0, 0.03).is_quadratic


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_lumped_laws_and_kernels_equal_the_full_ones(law):
    sites = law.sites
    joint = to_joint(law)
    assert np.abs(np.bincount(counts_of(sites), weights=joint.probabilities) - law.masses).max() < 1e-14
    conditionals = TableConditionals(joint)
    glauber = lumped(block_gibbs(conditionals, k_uniform(sites, 1)).to_dense(), sites)
    assert np.abs(glauber - single_site(law).to_dense()).max() < 1e-13
    for size in range(1, sites + 1):
        full = lumped(block_gibbs(conditionals, k_uniform(sites, size)).to_dense(), sites)
        assert np.abs(full - block_gibbs_counts(law, size).to_dense()).max() < 1e-12
    parallel = lumped(independent_parallel(conditionals).to_dense(), sites)
    matrix = np.exp(log_independent_parallel(law))
    assert np.abs(parallel / matrix - 1).max() < 1e-11  # every entry, however small
    if law.is_quadratic:
        stationary = np.exp(log_parallel_law(law))
        flow = stationary[:, None] * matrix
        assert np.abs(flow - flow.T).max() < 1e-14
        assert np.abs(stationary - stationary_law(matrix).law).max() < 1e-12


@pytest.mark.parametrize("law", LAWS[1:], ids=lambda law: law.name)
def test_operators_act_as_their_matrices(law):
    generator = np.random.default_rng(1)
    for chain in (single_site(law), block_gibbs_counts(law, 2)):
        matrix = chain.to_dense()
        function, batch = generator.random(chain.states), generator.random((chain.states, 3))
        assert np.allclose(matrix.sum(axis=1), 1, atol=1e-13)
        assert np.allclose(chain.apply(function), matrix @ function)
        assert np.allclose(chain.apply(batch), matrix @ batch)
        assert np.allclose(chain.propagate(function), function @ matrix)
        assert np.allclose(chain.propagate(batch.T), batch.T @ matrix)
        assert np.abs(chain.stationary @ matrix - chain.stationary).max() < 1e-14


@pytest.mark.parametrize("size", [1, 3])
def test_analysis_of_the_lumped_chain_agrees_with_the_full_chain(size):
    law = curie_weiss_counts(7, 1.2, 0.05)
    full = block_gibbs(TableConditionals(to_joint(law)), k_uniform(7, size))
    small = single_site(law) if size == 1 else block_gibbs_counts(law, size)
    counts = counts_of(7)
    hits = expected_hitting_times(full, np.flatnonzero(counts == 7)).times
    assert np.allclose(hits, expected_hitting_times(small, [7]).times[counts], rtol=1e-11)
    # From all minus and all plus the full law stays exchangeable, so that its distance is that of the counts.
    ends = np.array([0, 2**7 - 1])
    assert mixing_time(full, 0.25, starts=ends).steps == mixing_time(small, 0.25, starts=[0, 7]).steps
    # Restricted to exchangeable functions the gap is that of the counts; here the slowest mode is exchangeable.
    assert spectral_gap(full) == pytest.approx(spectral_gap(small), rel=1e-10)


def test_full_gap_can_be_below_the_lumped_gap():
    law = clique_counts(4, -1.0)  # antiferromagnet: differences of spins relax more slowly than their sum
    full = block_gibbs(TableConditionals(to_joint(law)), k_uniform(4, 1))
    assert spectral_gap(full) < 0.9 * spectral_gap(single_site(law))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=9), st.integers(0, 2**30))
def test_block_chain_is_stochastic_and_reversible(increments, choice):
    law = ExchangeableLaw(increments)
    chain = block_gibbs_counts(law, 1 + choice % law.sites)
    flow = law.masses[:, None] * chain.to_dense()
    assert np.abs(chain.to_dense().sum(axis=1) - 1).max() < 1e-13
    assert np.abs(flow - flow.T).max() < 1e-13
    rows = np.exp(log_independent_parallel(law))
    assert np.abs(rows.sum(axis=1) - 1).max() < 1e-12


def test_free_spins_are_binomial_rows():
    law = curie_weiss_counts(40, 0.0, 0.3)
    p = 1 / (1 + np.exp(-0.6))
    row = [comb(40, n) * p**n * (1 - p) ** (40 - n) for n in range(41)]
    assert np.allclose(np.exp(log_independent_parallel(law)), row, rtol=1e-12)
    assert np.allclose(law.masses, row, rtol=1e-12)


@pytest.mark.parametrize("sites", [8, 9])
def test_escape_from_the_wrong_mode_of_a_clique(sites):
    law = clique_counts(sites, 1.0, 0.05)
    wrong = law.magnetisations <= -2
    logs = log_independent_parallel(law)
    times = log_expected_escape_times(logs, wrong)
    full = independent_parallel(TableConditionals(to_joint(law)))
    stay = magnetisation(sites) <= -2
    direct = expected_escape_times(full, stay).times
    assert np.allclose(np.exp(times[counts_of(sites)[stay]]), direct[stay], rtol=1e-9)
    if sites == 8:
        worst = np.exp(log_exit_probabilities(logs, wrong).max())
        assert worst == pytest.approx(0.00142, abs=5e-6)  # the value of claim C8
        assert worst <= np.cosh(0.95) ** -8


def test_escape_times_beyond_every_float():
    law = clique_counts(200, 1.0, 0.05)
    wrong = law.magnetisations <= -2
    logs = log_independent_parallel(law)
    times, leaving = log_expected_escape_times(logs, wrong), log_exit_probabilities(logs, wrong)
    assert times[0] > 3e4
    # From all minus the chain is back at all minus after almost every step: one over its probability of leaving, plus
    # the excursions; the direct exit is a lower bound on the total probability of escape.
    assert times[0] <= -leaving[0]
    assert times.max() - times.min() < 1e-6
    assert leaving.max() <= -200 * np.log(np.cosh(0.95))


def test_running_sums_keep_what_rounding_would_lose():
    high, low = running_sum_parts(np.array([1e16, 1.0, -1e16, 1.0]))
    assert (high + low).tolist() == [0.0, 1e16, 1e16, 1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: ExchangeableLaw([]), "increments"),
        (lambda: ExchangeableLaw([np.nan]), "increments"),
        (lambda: curie_weiss_counts(0, 1.0), "sites"),
        (lambda: curie_weiss_counts(3, np.inf), "inverse_temperature"),
        (lambda: clique_counts(3, 1.0, np.nan), "field"),
        (lambda: clique_counts(3, np.nan), "coupling"),
        (lambda: block_gibbs_counts(LAWS[2], 8), "block_size"),
        (lambda: log_parallel_law(LAWS[-1]), "law"),
        (lambda: log_expected_escape_times(np.zeros((2, 2)), np.array([True, True])), "inside"),
        (lambda: log_expected_escape_times(np.log(np.array([[1, 1e-320], [0.5, 0.5]])), np.array([1, 0])), "inside"),
    ],
)
def test_bad_input_names_the_argument(call, argument):
    with pytest.raises(InvalidInput) as caught:
        call()
    assert caught.value.argument == argument
