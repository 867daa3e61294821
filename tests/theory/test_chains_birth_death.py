"""Birth-and-death chains against closed forms, rational arithmetic and the general analysis of chains."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.chain_examples import brute_distance, rational_hitting_times
from theory.chains import mixing_time, spectral_gap
from theory.chains.birth_death import BirthDeathChain, birth_death_mixing_time, gaps, slowest_mode, smallest_eigenvalue
from theory.chains.birth_death.run import Run, chebyshev_weights
from theory.errors import InvalidInput
from theory.laws import ExchangeableLaw, clique_counts, curie_weiss_counts
from theory.symmetry import single_site

increments = st.lists(st.floats(-4, 4), min_size=1, max_size=8)


def rational_gap(chain: BirthDeathChain, digits: int = 11) -> float:
    """The gap of the chain with these rates, by bisection on Sturm sequences in exact arithmetic."""
    up = [Fraction(float(np.exp(value))) for value in chain.log_up]
    down = [Fraction(float(np.exp(value))) for value in chain.log_down]

    def below(level: Fraction) -> int:
        """Eigenvalues of I - P below the level: negative pivots of its tridiagonal matrix minus the level."""
        count, pivot = 0, Fraction(1)
        for n in range(len(up) + 1):
            out = (up[n] if n < len(up) else 0) + (down[n - 1] if n else 0)
            pivot = out - level - (up[n - 1] * down[n - 1] / pivot if n else 0)
            count += pivot < 0
        return count

    low, high = Fraction(0), Fraction(2)
    while below(high / 2) >= 2:
        high /= 2
    low = high / 2
    while high - low > high / 10**digits:
        middle = (low + high) / 2
        low, high = (low, middle) if below(middle) >= 2 else (middle, high)
    return float(low)


@given(increments)
def test_stationary_law_and_bands(values):
    law = ExchangeableLaw(values)
    chain = single_site(law)
    assert np.allclose(chain.log_stationary, law.log_masses, atol=1e-12)
    assert np.allclose(np.exp(chain.log_below) + np.append(np.exp(chain.log_above[1:]), 0), 1, atol=1e-13)
    assert smallest_eigenvalue(chain) > -1e-14


@given(increments)
def test_gaps_against_the_dense_spectrum(values):
    chain = single_site(ExchangeableLaw(values))
    dense = 1 - np.linalg.eigvals(chain.to_dense()).real
    assert np.allclose(gaps(chain), np.sort(dense)[1:], atol=1e-7)  # eigvals of a non-normal matrix
    mode = slowest_mode(chain)
    assert mode.gap == pytest.approx(spectral_gap(chain), rel=1e-9)
    f = mode.eigenfunction
    assert np.all(np.diff(f) >= 0)
    assert np.abs(chain.apply(f) - (1 - mode.gap) * f).max() <= 1e-9 * np.abs(f).max()


@pytest.mark.parametrize("sites", [1, 2, 17, 200])
def test_free_spins_are_the_hypercube_walk(sites):
    """beta = 0: the eigenvalues on the counts are 1 - j/N (Krawtchouk polynomials)."""
    chain = single_site(curie_weiss_counts(sites, 0.0))
    assert np.allclose(gaps(chain), np.arange(1, sites + 1) / sites, rtol=1e-11)
    assert slowest_mode(chain).gap == pytest.approx(1 / sites, rel=1e-11)
    assert np.allclose(np.diff(slowest_mode(chain).eigenfunction), 2 / np.sqrt(sites), rtol=1e-11)


@pytest.mark.parametrize(("sites", "coupling", "field"), [(6, 1.0, 0.0), (8, 3.0, 0.1), (10, 5.0, 0.0), (9, 2.0, 0.4)])
def test_tiny_gaps_and_hitting_times_in_exact_arithmetic(sites, coupling, field):
    chain = single_site(clique_counts(sites, coupling, field))
    exact = rational_gap(chain)
    assert exact < 1e-3
    mode = slowest_mode(chain)
    assert mode.gap == pytest.approx(exact, rel=1e-10)
    assert mode.relative_error < 1e-10
    assert gaps(chain, 1)[0] == pytest.approx(exact, rel=1e-10)
    for start, target in ((0, sites), (sites, 0), (2, sites - 1), (sites - 2, 1)):
        direct = rational_hitting_times(chain.to_dense(), [target])[start]
        assert np.exp(chain.log_hitting_time(start, target)) == pytest.approx(float(direct), rel=1e-10)
    assert chain.log_hitting_time(3, 3) == -np.inf


def test_gaps_below_every_float():
    """At low temperature 1 / gap is the time to leave the wells: gap = 2 / E_0[tau_N] up to exponentially little."""
    chain = single_site(clique_counts(100, 1.0))
    mode = slowest_mode(chain)
    assert mode.log_gap < -4000
    assert mode.gap == 0.0
    assert mode.log_gap == pytest.approx(np.log(2) - chain.log_hitting_time(0, 100), abs=1e-8)
    with pytest.raises(InvalidInput, match="underflows"):
        gaps(chain, 1)
    assert gaps(chain, 1, skip=1)[0] > 1e-4


@given(increments, st.sampled_from([0.05, 0.25, 0.45, 0.7]))
def test_mixing_times_against_all_starts(values, epsilon):
    """From every start, by matrix powers; the largest gap in the test keeps them short enough."""
    chain = single_site(ExchangeableLaw(values))
    found = birth_death_mixing_time(chain, epsilon)
    general = mixing_time(chain, epsilon)
    assert found.all_starts
    if general.certain and found.relative_error == 0:
        assert found.steps == general.steps
    assert found.steps == pytest.approx(general.steps, rel=1e-7, abs=1)


def test_an_interior_start_can_be_worst():
    """Two wells, eps > 1/2: either end is close enough to pi at once, the top of the barrier is not."""
    chain = single_site(curie_weiss_counts(30, 2.0))
    found, general = birth_death_mixing_time(chain, 0.6), mixing_time(chain, 0.6)
    ends = mixing_time(chain, 0.6, starts=[0, 30])
    assert found.steps == general.steps > ends.steps
    assert found.worst_start == 15


@pytest.mark.parametrize(("sites", "beta", "field"), [(12, 2.5, 0.0), (30, 2.0, 0.02), (16, 3.0, 0.0)])
def test_times_read_from_the_slowest_mode(sites, beta, field):
    chain = single_site(curie_weiss_counts(sites, beta, field))
    found, general = birth_death_mixing_time(chain), mixing_time(chain)
    assert found.steps == pytest.approx(general.steps, rel=1e-7)
    assert found.all_starts
    power = np.linalg.matrix_power(chain.to_dense(), 1000)
    assert np.abs(law_after(chain, 0, 1000) - power[0]).max() < 1e-12


def law_after(chain: BirthDeathChain, start: int, steps: int) -> np.ndarray:
    run = Run(chain, start)
    run.advance(steps)
    return run.law


def test_leaps_equal_steps():
    chain = single_site(curie_weiss_counts(60, 0.8, 0.01))
    direct = np.linalg.matrix_power(chain.to_dense(), 5000)
    run = Run(chain, 25)
    assert run.can_leap
    run.advance(5000)
    assert 0.5 * np.abs(run.law - direct[25]).sum() <= min(run.error, 1e-11)
    assert run.time == 5000


@pytest.mark.parametrize("steps", [1, 2, 7, 50, 4001])
def test_chebyshev_weights_give_powers(steps):
    x = np.linspace(-1, 1, 41)
    weights = chebyshev_weights(steps)
    assert np.allclose(np.polynomial.chebyshev.chebval(x, weights), x**steps, atol=1e-13)


def test_low_temperature_mixing_times_have_the_known_form():
    """h = 0, one barrier: d(t) = exp(-gap t) / 2 from an end, so that t_mix(1/4) = ln 2 / gap."""
    chain = single_site(curie_weiss_counts(1000, 2.0))
    found = birth_death_mixing_time(chain)
    assert found.log_steps > 300
    assert found.all_starts
    assert found.log_steps == pytest.approx(np.log(np.log(2)) - slowest_mode(chain).log_gap, abs=1e-4)


def test_scalings_of_levin_luczak_and_peres():
    """t_mix ~ N ln N / (2 (1 - beta)) with window N above; N^(3/2) at the critical point."""
    for beta in (0.0, 0.5):
        for sites in (500, 2000):
            steps = birth_death_mixing_time(single_site(curie_weiss_counts(sites, beta))).steps
            assert abs(steps - sites * np.log(sites) / (2 * (1 - beta))) < 2 * sites / (1 - beta)
    critical = [birth_death_mixing_time(single_site(curie_weiss_counts(n, 1.0))).steps for n in (250, 1000)]
    assert np.log(critical[1] / critical[0]) / np.log(4) == pytest.approx(1.5, abs=0.05)
    barriers = [slowest_mode(single_site(curie_weiss_counts(n, 1.5))).log_gap for n in (500, 1000, 2000)]
    free_energy = [(late - early) / sites for (early, late), sites in zip(pairwise(barriers), (500, 1000), strict=True)]
    assert free_energy[0] == pytest.approx(free_energy[1], rel=0.01)


def test_ten_thousand_sites():
    for beta in (0.9, 1.0, 1.1, 2.0):
        chain = single_site(curie_weiss_counts(10_000, beta))
        mode = slowest_mode(chain)
        assert mode.relative_error < 1e-10
        assert np.isfinite(chain.log_hitting_time(0, 10_000))
    assert mode.log_gap == pytest.approx(np.log(2) - chain.log_hitting_time(0, 10_000), abs=1e-2)


def test_distance_of_a_run_against_powers():
    chain = single_site(curie_weiss_counts(9, 1.1, 0.2))
    matrix = chain.to_dense()
    for time in (0, 1, 5, 40):
        runs = [Run(chain, start) for start in range(10)]
        for run in runs:
            run.advance(time)
        assert max(run.distance for run in runs) == pytest.approx(brute_distance(matrix, chain.stationary, time))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: BirthDeathChain([-1.0], [-1.0, -2.0]), "log_up, log_down"),
        (lambda: BirthDeathChain([0.5], [-1.0]), "log_up"),
        (lambda: BirthDeathChain([-1.0], [-np.inf]), "log_down"),
        (lambda: BirthDeathChain([-1.0, -0.1], [-0.1, -1.0]), "rates out of state 1"),
        (lambda: single_site(curie_weiss_counts(3, 1.0)).log_hitting_time(0, 4), "target"),
        (lambda: gaps(single_site(curie_weiss_counts(3, 1.0)), 4), "count, skip"),
        (lambda: birth_death_mixing_time(single_site(curie_weiss_counts(3, 1.0)), 0.0), "epsilon"),
        (lambda: birth_death_mixing_time(single_site(curie_weiss_counts(3, 1.0)), 0.1, maximum=0), "maximum"),
        (lambda: birth_death_mixing_time(BirthDeathChain([0.0], [0.0]), 0.25, maximum=512), "maximum"),
    ],
)
def test_bad_input_names_the_argument(call, argument):
    with pytest.raises(InvalidInput) as caught:
        call()
    assert caught.value.argument == argument


@pytest.mark.parametrize(("beta", "method"), [(1.0, "step by step"), (1.25, "from the mode")])
def test_both_ways_to_long_times_against_powers(beta, method):
    """Thousands of steps are leaped over; hundreds of thousands are read from the slowest mode, to the same integer."""
    chain = single_site(curie_weiss_counts(150, beta))
    found, general = birth_death_mixing_time(chain), mixing_time(chain)
    assert found.method.endswith(method)
    assert found.relative_error == 0
    assert found.steps == general.steps
    assert found.all_starts


def test_negative_eigenvalues_follow_all_starts_or_say_that_they_did_not(monkeypatch):
    """Nearly periodic: from the ends the chain is nearer than from within, and the theorem on ends does not hold."""
    rates = np.log(np.full(7, 0.499))
    chain = BirthDeathChain(rates, rates)
    assert smallest_eigenvalue(chain) < 0
    found, general = birth_death_mixing_time(chain, 0.1), mixing_time(chain, 0.1)
    assert (found.steps, found.all_starts, found.relative_error) == (general.steps, True, 0.0)
    monkeypatch.setattr("theory.chains.birth_death.mixing.FEW_STATES", 4)
    bound = birth_death_mixing_time(chain, 0.1)
    assert (bound.all_starts, bound.relative_error) == (False, np.inf)
    assert bound.steps <= general.steps
