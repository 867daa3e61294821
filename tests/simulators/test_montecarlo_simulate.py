"""Streamed observables against exact expectations of the chain, and against the same run recorded in full."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from scipy import stats

from simulators.montecarlo import models, simulate
from simulators.montecarlo.diagnostics import effective_sample_size, mean_with_error
from simulators.montecarlo.samplers import block_gibbs
from simulators.montecarlo.simulate import Run, energy, hitting_time, magnetisation, moments, occupancy
from theory import laws, samplers
from theory.chains.hitting import hitting_time_law
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.masks import k_uniform

pytestmark = pytest.mark.usefixtures("quick_compilation")

SITES, CHAINS, STEPS = 4, 3000, 40
LAW = laws.ising_on(laws.named_graph("path", SITES), 0.4, 0.2)
MODEL = models.ising_model(laws.named_graph("path", SITES), 0.4, 0.2)
SAMPLER = block_gibbs(MODEL, k_uniform(SITES, 1))
MATRIX = samplers.block_gibbs(TableConditionals(LAW), k_uniform(SITES, 1)).to_dense()
SPINS = laws.magnetisation(SITES) / SITES


def all_up(x: jax.Array) -> jax.Array:
    return (x == 1).all()


def number_up(x: jax.Array) -> jax.Array:
    return x.sum()


ENERGY = energy(MODEL)
WATCHED = {"m": moments(magnetisation), "modes": occupancy(number_up, SITES + 1), "hit": hitting_time(all_up)}
RECORDED = {"m": magnetisation, "energy": ENERGY, "up": number_up}


@pytest.fixture(scope="module")
def run(quick_compilation: None) -> Run:
    start = SAMPLER.init(np.zeros((CHAINS, SITES), dtype=int))
    return simulate.simulate(SAMPLER, start, jax.random.key(1), STEPS, WATCHED, RECORDED)


def test_summaries_equal_those_of_the_recorded_draws(run: Run) -> None:
    draws = run.draws["m"]
    assert draws.shape == (CHAINS, STEPS)
    assert run.observed["m"].steps == STEPS
    np.testing.assert_allclose(run.observed["m"].mean, draws.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(run.observed["m"].variance, draws.var(axis=1, ddof=1), atol=1e-5)
    counts = (run.draws["up"][:, :, None] == np.arange(SITES + 1)).sum(axis=1)
    assert np.array_equal(run.observed["modes"], counts)
    reached = run.draws["up"] == SITES
    first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, -1)
    assert np.array_equal(run.observed["hit"], first)


def test_energy_is_minus_the_log_weight(run: Run) -> None:
    last = np.asarray(run.state.position)
    masses = LAW.table[tuple(last.T)]
    difference = run.draws["energy"][:, -1] + np.log(masses)
    np.testing.assert_allclose(difference, difference[0], atol=1e-5)


def test_hitting_times_follow_their_exact_law(run: Run) -> None:
    """Chi-squared over t = 1..T and later, at least 20 expected of each; alarm at most 1e-6."""
    exact = hitting_time_law(MATRIX, [2**SITES - 1], STEPS)[1:, 0]
    expected = CHAINS * np.append(exact, 1 - exact.sum())
    times = run.observed["hit"]
    counts = np.append(np.bincount(times[times > 0], minlength=STEPS + 1)[1:], (times < 0).sum())
    possible = expected > 0  # from all down it takes at least 4 steps
    assert not counts[~possible].any()
    assert stats.chisquare(counts[possible], expected[possible]).pvalue > 1e-6


def test_occupancy_and_moments_have_their_exact_expectation(run: Run) -> None:
    """Means over independent chains, 6 standard errors each: alarm at most 1e-6 in the seven comparisons."""
    law, total = np.eye(2**SITES)[0], np.zeros(2**SITES)
    for _ in range(STEPS):
        law = law @ MATRIX
        total += law
    ups = ((SPINS + 1) * SITES / 2).round().astype(int)
    expected = np.bincount(ups, weights=total)
    for observed, exact in [
        (run.observed["modes"], expected),
        (run.observed["m"].mean[:, None], total @ SPINS / STEPS),
    ]:
        error = observed.std(axis=0, ddof=1) / np.sqrt(CHAINS)
        assert (np.abs(observed.mean(axis=0) - exact) < 6 * error).all()


def test_effective_sample_size_is_that_of_the_exact_chain() -> None:
    """Asymptotic variance from the fundamental matrix. The estimate's own error here is about 2 % (16 x 6,000 draws).

    The mean lies within 5.5 of its *exact* standard errors: alarm at most 1e-7.
    """
    p = LAW.probabilities
    centred = SPINS - p @ SPINS
    solved = np.linalg.solve(np.eye(len(p)) - MATRIX + p, centred)  # sum over t >= 0 of P^t f
    variance = p @ centred**2
    inflation = (2 * p @ (centred * solved) - variance) / variance
    start = SAMPLER.init(LAW.sample(16, np.random.default_rng(0)))
    draws = simulate.simulate(SAMPLER, start, jax.random.key(2), 6000, record={"m": magnetisation}).draws["m"]
    estimate = draws.size / effective_sample_size(draws)
    assert abs(estimate / inflation - 1) < 0.1
    mean, error = mean_with_error(draws)
    assert abs(mean - p @ SPINS) < 5.5 * np.sqrt(variance * inflation / draws.size)
    assert error == pytest.approx(np.sqrt(variance * inflation / draws.size), rel=0.1)


def test_same_key_same_run_nothing_is_compiled_twice_and_runs_go_on(run: Run) -> None:
    start = SAMPLER.init(np.zeros((CHAINS, SITES), dtype=int))
    compiled = simulate._run._cache_size()
    again = simulate.simulate(SAMPLER, start, jax.random.key(1), STEPS, WATCHED, RECORDED)
    other = simulate.simulate(SAMPLER, again.state, jax.random.key(3), STEPS, WATCHED, RECORDED)
    assert simulate._run._cache_size() == compiled
    assert np.array_equal(again.state.position, run.state.position)
    assert all(np.array_equal(again.draws[name], run.draws[name]) for name in run.draws)
    assert not np.array_equal(other.draws["m"], run.draws["m"])


def test_every_thins_the_record_and_leaves_the_run_alone(run: Run) -> None:
    start = SAMPLER.init(np.zeros((CHAINS, SITES), dtype=int))
    thinned = simulate.simulate(SAMPLER, start, jax.random.key(1), STEPS, record={"m": magnetisation}, every=8)
    assert np.array_equal(thinned.draws["m"], run.draws["m"][:, 7::8])


def test_draws_are_what_arviz_takes(run: Run) -> None:
    """By the one function that reads plain draws both before ArviZ 1.0 and after."""
    arviz = pytest.importorskip("arviz")
    data = arviz.convert_to_dataset({name: values[:4] for name, values in run.draws.items()})
    assert data["m"].dims == ("chain", "draw")
    np.testing.assert_array_equal(data["m"].values, run.draws["m"][:4])


def test_bad_input_names_the_argument() -> None:
    start = SAMPLER.init(np.zeros((1, SITES), dtype=int))
    for steps, every, match in ((0, 1, "steps = 0"), (5, 2, "steps = 5"), (5, 0, "every = 0")):
        with pytest.raises(InvalidInput, match=match):
            simulate.simulate(SAMPLER, start, jax.random.key(0), steps, every=every)
