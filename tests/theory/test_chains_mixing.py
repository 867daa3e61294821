"""Distance curves and mixing times: brute force, closed forms, lumping, chains that never mix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from math import comb
from unittest import mock

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.theory.chain_examples import (
    brute_distance,
    brute_mixing_time,
    cycle_walk,
    hypercube_resampling,
    random_chain,
    random_reversible,
    seeds,
    sizes,
    solve_rational,
    two_state,
)
from theory.chains import (
    Composition,
    DenseOperator,
    NotMixedBy,
    exact_powers,
    geometric_times,
    mixing_time,
    mixing_time_from,
    stationary_law,
    stationary_laws,
    total_variation_curve,
)
from theory.chains.exact_powers import FixedPoint, exact_mixing_time
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import ising_on, named_graph
from theory.masks import k_uniform
from theory.samplers import block_gibbs
from theory.symmetry import find_automorphisms, orbits

probability = st.floats(0.01, 0.99)


@pytest.fixture(autouse=True, scope="module")
def steps_for_small_chains() -> Iterator[None]:
    """Lets small examples take the route of large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("theory.chains.mixing.FEW_STATES", 0)
        yield


class Lumped:
    """The resampling walk on {0,1}^n seen through its Hamming weight: an independent way to its distance curve."""

    def __init__(self, sites: int) -> None:
        weight = np.arange(sites + 1)
        self.law = np.array([comb(sites, j) for j in weight]) / 2.0**sites
        self.matrix = np.eye(sites + 1) / 2
        self.matrix[weight[:-1], weight[:-1] + 1] = (sites - weight[:-1]) / (2 * sites)
        self.matrix[weight[1:], weight[1:] - 1] = weight[1:] / (2 * sites)

    def distance(self, time: int) -> float:
        # From the all-zero state the law is constant on each weight, so that TV is preserved by the lumping.
        return 0.5 * float(np.abs(np.linalg.matrix_power(self.matrix, time)[0] - self.law).sum())


@pytest.mark.parametrize("sites", [2, 5, 7])
def test_hypercube_curve_by_lumping(sites: int) -> None:
    lumped = Lumped(sites)
    curve = total_variation_curve(hypercube_resampling(sites), [30, 0, 1, 2, 3, 5, 8, 13])
    assert list(curve.times) == [0, 1, 2, 3, 5, 8, 13, 30]
    np.testing.assert_allclose(curve.worst, [lumped.distance(int(t)) for t in curve.times], atol=1e-14)
    found = mixing_time(hypercube_resampling(sites))
    assert lumped.distance(int(found.steps)) <= 0.25 < lumped.distance(int(found.steps) - 1)


@given(probability, probability, st.floats(0.01, 0.9))
def test_two_state_closed_form(a: float, b: float, epsilon: float) -> None:
    rate = abs(1 - a - b)
    start = max(a, b) / (a + b)
    found = mixing_time(two_state(a, b), epsilon)
    assume(found.certain)  # not at an exact tie
    if start <= epsilon:
        expected = 0
    elif rate < 1e-12:
        expected = 1
    else:
        expected = math.ceil(math.log(epsilon / start) / math.log(rate) - 1e-9)
    assert found.steps == expected
    assert found.distance == pytest.approx(start * rate**expected, abs=1e-12)


@given(seeds, sizes, st.sampled_from([0.5, 0.25, 0.05, 1e-3]))
def test_mixing_time_by_brute_force(seed: int, states: int, epsilon: float) -> None:
    matrix = random_chain(seed, states, 0.4)
    assume(len(stationary_laws(matrix)) == 1)
    law = stationary_law(matrix).law
    found = mixing_time(matrix, epsilon)
    assert found.certain
    assert found.steps == brute_mixing_time(matrix, law, epsilon)
    steps = int(found.steps)
    assert found.distance == pytest.approx(brute_distance(matrix, law, steps), abs=1e-13)
    if steps:
        assert found.previous_distance == pytest.approx(brute_distance(matrix, law, steps - 1), abs=1e-13)
        row = np.linalg.matrix_power(matrix, steps - 1)[found.worst_start]
        assert 0.5 * np.abs(row - law).sum() == pytest.approx(found.previous_distance, abs=1e-13)


@given(seeds, sizes)
def test_curve_laws(seed: int, states: int) -> None:
    matrix = random_chain(seed, states, 0.3)
    assume(len(stationary_laws(matrix)) == 1)
    curve = total_variation_curve(matrix, range(13))
    assert (np.diff(curve.distances, axis=0) <= 1e-13).all()  # every start, not only the worst
    d = curve.worst
    dbar = [
        max(0.5 * np.abs(row - other).sum() for row in power for other in power)
        for power in (np.linalg.matrix_power(matrix, t) for t in range(13))
    ]
    for s in range(13):
        assert d[s] - 1e-13 <= dbar[s] <= 2 * d[s] + 1e-13
        for t in range(13 - s):
            assert dbar[s + t] <= dbar[s] * dbar[t] + 1e-13
            assert d[s + t] <= 2 * d[s] * d[t] + 1e-13
            assert d[s + t] <= dbar[s] * d[t] + 1e-13


@given(seeds, sizes)
def test_relabelling_states_changes_nothing(seed: int, states: int) -> None:
    matrix, _ = random_reversible(seed, states, 2.0)
    order = np.random.default_rng(seed).permutation(states)
    moved = matrix[np.ix_(order, order)]
    first, second = mixing_time(matrix, 0.1), mixing_time(moved, 0.1)
    assert first.steps == second.steps
    np.testing.assert_allclose(
        total_variation_curve(matrix, [1, 4]).distances[:, order],
        total_variation_curve(moved, [1, 4]).distances,
        atol=1e-14,
    )


@given(seeds, sizes)
def test_given_starts(seed: int, states: int) -> None:
    matrix = random_chain(seed, states)
    law = stationary_law(matrix).law
    operator = DenseOperator(matrix)
    free = Composition([operator], stationary=law)  # acts without its matrix
    for chain in (operator, free, Composition([operator])):
        every = mixing_time(chain, 0.1, starts=range(states))
        assert every.steps == mixing_time(matrix, 0.1).steps
        assert not every.all_starts
        one = mixing_time(chain, 0.1, starts=[states - 1])
        row, steps = np.eye(states)[states - 1], 0
        while 0.5 * np.abs(row - law).sum() > 0.1:
            row, steps = row @ matrix, steps + 1
        assert one.steps == steps
        full = total_variation_curve(matrix, [0, 2, 7]).distances
        part = total_variation_curve(chain, [7, 2, 0], starts=[states - 1])
        np.testing.assert_allclose(part.distances[:, 0], full[:, -1], atol=1e-14)
    assert "step by step" in mixing_time(free, 0.1, starts=[0]).reason


@given(seeds, sizes, st.sampled_from([0.3, 0.1, 0.01]), st.booleans())
def test_a_few_starts_settle_all_others(seed: int, states: int, epsilon: float, reversible: bool) -> None:
    """Every state a class of its own: the same time as from all states by powers, whichever starts were followed."""
    matrix = random_reversible(seed, states, 2.0)[0] if reversible else random_chain(seed, states)
    free = Composition([DenseOperator(matrix)], stationary=stationary_law(matrix).law)
    dense = mixing_time(matrix, epsilon)
    with mock.patch.multiple("theory.chains.covering", FEWEST=2, SUSPECTS=1, ROUNDS=1000):
        found = mixing_time(free, epsilon, alike=np.arange(states))
    assert found.steps == dense.steps
    assert found.all_starts
    assert found.certain == dense.certain
    if found.certain and found.steps > 0:
        # Of the starts that were followed alone: another one may be farther a step before, but none needs more steps.
        assert epsilon < found.previous_distance <= dense.previous_distance + 1e-9
        assert found.distance <= dense.distance + 1e-9


def test_covering_follows_few_starts_and_one_of_each_class() -> None:
    law = ising_on(named_graph("cycle", 9), 0.5, 0.1)
    chain = block_gibbs(TableConditionals(law), k_uniform(9, 1))
    dense = mixing_time(chain.to_dense())
    alone = mixing_time(chain, alike=np.arange(512))
    by_orbit = mixing_time(chain, alike=orbits(find_automorphisms(law)).labels)
    assert alone.steps == by_orbit.steps == dense.steps
    assert alone.worst_start == by_orbit.worst_start == dense.worst_start == 0
    for found, most in ((alone, 512 / 4), (by_orbit, 46 / 2)):
        assert int(found.reason.split(" of ")[0].split()[-1]) <= most


def test_classes_are_checked() -> None:
    free = Composition([DenseOperator(random_chain(3, 6))])
    for wrong in ([0, 1], np.zeros(6)):
        with pytest.raises(InvalidInput, match="alike"):
            mixing_time(free, alike=wrong)
    with pytest.raises(InvalidInput, match="alike"):
        mixing_time(free, starts=[0], alike=np.arange(6))


def test_small_chains_take_dense_powers(monkeypatch: pytest.MonkeyPatch) -> None:
    free = Composition([DenseOperator(random_chain(3, 6))])
    steps = mixing_time(free, 0.1, starts=[0, 4])
    monkeypatch.setattr("theory.chains.mixing.FEW_STATES", 6)
    powers = mixing_time(free, 0.1, starts=[0, 4])
    assert "powers" in powers.reason
    assert (powers.steps, powers.worst_start) == (steps.steps, steps.worst_start)


def test_long_times_by_doubling() -> None:
    a = 1e-9
    found = mixing_time(two_state(a, a), 0.25)
    assert found.steps == math.ceil(math.log(2) / -math.log1p(-2 * a))
    assert found.distance <= 0.25 < found.previous_distance
    # d changes by about 1e-9 a step there, less than the rounding error of float64 after 10^8 steps may be.
    assert found.certain
    assert "exact powers" in found.reason


def test_nearly_reducible() -> None:
    found = mixing_time(two_state(1e-15, 2e-15), 0.25)
    with mpmath.workdps(60):
        a, b = mpmath.mpf(1e-15), mpmath.mpf(2e-15)
        exact = mpmath.ceil(mpmath.log(b / (a + b) / 0.25) / -mpmath.log1p(-a - b))
    assert (found.steps, found.certain) == (int(exact), True)


def test_chains_that_never_mix_say_why() -> None:
    rotation = mixing_time(np.roll(np.eye(4), 1, axis=1))
    assert rotation.steps == math.inf
    assert "period 4" in rotation.reason
    reducible = mixing_time(np.eye(3))
    assert reducible.steps == math.inf
    assert "3 closed classes: {0}, {1}, {2}" in reducible.reason
    assert mixing_time(cycle_walk(6)).steps == math.inf
    free = Composition([DenseOperator(cycle_walk(6))], stationary=np.full(6, 1 / 6))
    stuck = mixing_time(free, starts=[0], maximum=50)
    assert stuck.steps == math.inf
    assert "period 2" in stuck.reason


def test_periodic_chains_mix_up_to_one_minus_one_over_the_period() -> None:
    # d(t) decreases to 1/2 for the walk on an even cycle: 0.6 is reached, 0.4 is not.
    law = np.full(6, 1 / 6)
    assert mixing_time(cycle_walk(6), 0.6).steps == brute_mixing_time(cycle_walk(6), law, 0.6)
    assert mixing_time(cycle_walk(6), 0.4).steps == math.inf


def test_a_transient_start_can_mix_on_a_periodic_class() -> None:
    matrix = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert mixing_time(matrix, starts=[2]).steps == 1
    assert mixing_time(matrix).steps == math.inf


def test_trivial_chains() -> None:
    assert mixing_time([[1.0]]).steps == 0
    assert mixing_time(np.eye(3)[[1, 2, 2]]).steps == 2  # a deterministic map with one fixed point
    assert mixing_time(np.full((4, 4), 0.25)).steps == 1
    np.testing.assert_array_equal(total_variation_curve([[1.0]], [0, 5]).worst, [0, 0])


def test_maximum() -> None:
    matrix = two_state(0.01, 0.01)
    needed = int(mixing_time(matrix).steps)
    assert mixing_time(matrix, maximum=needed).steps == needed
    with pytest.raises(InvalidInput, match="maximum"):
        mixing_time(matrix, maximum=needed - 1)
    free = Composition([DenseOperator(matrix)], stationary=np.full(2, 0.5))
    assert mixing_time(free, starts=[0], maximum=needed).steps == needed
    with pytest.raises(InvalidInput, match="maximum"):
        mixing_time(free, starts=[0], maximum=needed - 1)


def test_bad_arguments() -> None:
    matrix = two_state(0.3, 0.3)
    for epsilon in (0.0, 1.0, math.nan):
        with pytest.raises(InvalidInput, match="epsilon"):
            mixing_time(matrix, epsilon)
    with pytest.raises(InvalidInput, match="times"):
        total_variation_curve(matrix, [])
    with pytest.raises(InvalidInput, match="times"):
        total_variation_curve(matrix, [-1])
    with pytest.raises(InvalidInput, match="starts"):
        total_variation_curve(matrix, [1], starts=[2])
    with pytest.raises(InvalidInput, match="closed classes"):
        total_variation_curve(np.eye(2), [1])


def test_geometric_times() -> None:
    times = geometric_times(1000, 20)
    assert (times[0], times[1], times[-1]) == (0, 1, 1000)
    assert (np.diff(times) > 0).all()
    assert list(geometric_times(1)) == [0, 1]


@given(seeds, st.integers(2, 4), st.sampled_from([0.05, 0.25, 0.6]))
def test_exact_powers_against_rational_arithmetic(seed: int, states: int, epsilon: float) -> None:
    generator = np.random.default_rng(seed)
    off = np.floor(2**11 * random_chain(seed, states)).astype(int)
    np.fill_diagonal(off, 0)
    whole = off + np.diag(2**12 - off.sum(axis=1))  # P times 2^12, so that P^t times 2^(12 t) is whole
    found = exact_mixing_time(whole / 2.0**12, np.arange(states), epsilon)
    equations = [[Fraction(int(whole[y, x])) - 2**12 * int(x == y) for y in range(states)] for x in range(states - 1)]
    law = solve_rational([*equations, [Fraction(1)] * states], [Fraction(0)] * (states - 1) + [Fraction(1)])
    assume(found.steps < 300)
    assert found.certain
    power, distances = (
        np.array([[int(x == y) for y in range(states)] for x in range(states)], dtype=object),
        [Fraction(2)],
    )
    for time in range(found.steps + 1):
        rows = [[Fraction(entry, 2 ** (12 * time)) for entry in row] for row in power]
        distances.append(max(sum(abs(a - b) for a, b in zip(row, law, strict=True)) / 2 for row in rows))
        power = power @ whole.astype(object)
    assert distances[-1] <= Fraction(epsilon) < distances[-2]
    assert found.distance == pytest.approx(float(distances[-1]), rel=1e-14)
    # One initial law: no start's time, but its own.
    initial = generator.dirichlet(np.ones(states))
    single = exact_mixing_time(whole / 2.0**12, initial[None, :], epsilon)
    assert single.steps <= found.steps


@pytest.mark.parametrize(("a", "b"), [(3e-20, 7e-21), (1e-60, 3e-60), (1e-18, 3e-19)])
def test_integers_beyond_float64(a: float, b: float) -> None:
    """Two states: d(t) = max(a, b) / (a + b) (1 - a - b)^t."""
    found = mixing_time(two_state(a, b), 0.2)
    with mpmath.workdps(120):
        x, y = mpmath.mpf(a), mpmath.mpf(b)
        exact = int(mpmath.ceil(mpmath.log(mpmath.mpf(0.2) * (x + y) / max(x, y)) / mpmath.log1p(-x - y)))
    assert (found.steps, found.certain) == (exact, True)
    assert "exact powers" in found.reason


def test_a_distance_that_equals_epsilon_counts_as_within_and_is_not_called_certain() -> None:
    found = exact_mixing_time(hypercube_resampling(2), np.arange(4), 0.25)  # d(1) = 1/4
    assert (found.steps, found.certain) == (1, False)


def test_rows_that_rounding_left_above_one_keep_their_sum() -> None:
    """0.1 + 0.2 + 0.7 is above 1 in binary, and there is no diagonal to give way."""
    assert Fraction(0.1) + Fraction(0.2) + Fraction(0.7) != 1
    matrix = np.array([[0, 0.1, 0.2, 0.7], [0.7, 0, 0.1, 0.2], [0.2, 0.7, 0, 0.1], [0.1, 0.2, 0.7, 0]])
    numbers = FixedPoint(4, 100)
    parts = numbers.stochastic(matrix, np.arange(4))
    assert numbers.sums(parts) == [2**numbers.bits] * 4
    assert parts.min() >= 0
    assert exact_mixing_time(matrix, np.arange(4), 0.25).steps == mixing_time(matrix).steps


def test_what_is_too_long_says_so() -> None:
    with mock.patch("theory.chains.exact_powers.MOST_OPERATIONS", 1e3), pytest.raises(NotMixedBy) as caught:
        mixing_time(two_state(1e-30, 1e-30))
    assert caught.value.value == 2**52
    with pytest.raises(NotMixedBy, match="maximum = 1000"):
        mixing_time(two_state(1e-30, 1e-30), maximum=1000)


def test_the_longest_time_that_is_looked_for_is_looked_at() -> None:
    slow = two_state(1e-18, 3e-19)
    steps = int(mixing_time(slow, 0.2).steps)
    assert mixing_time(slow, 0.2, maximum=steps).steps == steps
    with pytest.raises(NotMixedBy, match=f"maximum = {steps - 1}"):
        mixing_time(slow, 0.2, maximum=steps - 1)


def test_a_transient_start_keeps_the_share_of_each_cyclic_class() -> None:
    """0 -> 1 with .9 or 2 with .1, and 1 <-> 2 for ever: the distance from 0 stays at |.9 - .5| = .4."""
    matrix = [[0, 0.9, 0.1], [0, 0, 1], [0, 1, 0]]
    never = mixing_time(matrix, 0.25, starts=[0])
    assert never.steps == math.inf
    assert never.certain
    assert (never.distance, never.previous_distance, never.worst_start) == (None, None, None)
    assert never.error_bound == 0.0
    assert never.reason == "periodic: period 2, so that the distance stays at or above 0.4"
    assert mixing_time(matrix, 0.45, starts=[0]).steps == 1
    assert mixing_time(matrix, 0.25).reason.endswith("1 - 1/2")
    # With a geometric delay the shares change: in C_0 at even times with (.9 + .1 / 2) / (1 + 1 / 2) = .6333...
    delayed = [[0.5, 0.45, 0.05], [0, 0, 1], [0, 1, 0]]
    assert "0.133333" in mixing_time(delayed, 0.1, starts=[0]).reason
    assert mixing_time(delayed, 0.14, starts=[0]).steps < math.inf


@given(seeds, st.integers(2, 4))
def test_limits_of_periodic_chains_by_brute_force(seed: int, period: int) -> None:
    generator = np.random.default_rng(seed)
    cycle = np.zeros((period + 3, period + 3))
    cycle[np.arange(period), (np.arange(period) + 1) % period] = 1.0
    cycle[period:] = generator.dirichlet(np.full(period + 3, 0.5), size=3)
    power = np.linalg.matrix_power(cycle, period * 2**30)
    limit = 0.5 * abs(power[period, :period] - 1 / period).sum()
    assume(0.02 < limit < 0.98)
    assert mixing_time(cycle, limit - 0.01, starts=[period]).steps == math.inf
    assert mixing_time(cycle, limit + 0.01, starts=[period]).steps < math.inf


@given(seeds, st.integers(2, 7), st.sampled_from([0.05, 0.25]))
def test_mixing_time_from_a_law(seed: int, states: int, epsilon: float) -> None:
    matrix = random_chain(seed, states)
    start = np.random.default_rng(seed).dirichlet(np.ones(states))
    law, steps = start, 0
    target = stationary_law(matrix).law
    while 0.5 * abs(law - target).sum() > epsilon:
        law, steps = law @ matrix, steps + 1
    found = mixing_time_from(matrix, start, epsilon)
    assert found.steps == steps
    assert found.worst_start is None
    assert found.steps <= mixing_time(matrix, epsilon).steps
    assert mixing_time_from(matrix, target, epsilon).steps == 0
    assert mixing_time_from(matrix, np.eye(states)[1], epsilon).steps == mixing_time(matrix, epsilon, starts=[1]).steps


def test_a_law_can_be_near_where_no_state_is() -> None:
    """On the even cycle the uniform law stays, a point mass never comes near."""
    assert mixing_time_from(cycle_walk(6), np.full(6, 1 / 6)).steps == 0
    assert mixing_time_from(cycle_walk(6), np.eye(6)[0]).steps == math.inf
    with pytest.raises(InvalidInput, match="law"):
        mixing_time_from(cycle_walk(6), [1, 0])


@pytest.mark.parametrize(("states", "bits"), [(1, 100), (3, 700), (20, 200)])
def test_fixed_point_products_against_whole_numbers(states: int, bits: int) -> None:
    """Each entry is what Python's whole numbers give, cut off, or at most two units less."""
    random = np.random.default_rng(states)
    numbers = FixedPoint(states, bits)
    matrix = random.random((states, states)) ** 20
    parts = numbers.stochastic(matrix / matrix.sum(axis=1, keepdims=True), np.arange(states))

    def whole(limbs: np.ndarray) -> np.ndarray:
        return sum(limbs[i].astype(np.int64).astype(object) * (1 << numbers.width * i) for i in range(numbers.limbs))

    exact = whole(parts)
    for left in (parts, parts[:, :1]):
        short = whole(left) @ exact - whole(numbers.multiply(left, parts)) * (1 << numbers.bits)
        assert (short >= 0).all()
        assert (short <= 3 << numbers.bits).all()


def test_searches_that_would_surely_fail_are_not_begun() -> None:
    levels = exact_powers._Search._levels
    for leave in (0.3, 1e-5, 1e-40):
        matrix = np.array([[1 - leave, leave, 0], [leave, 1 - 2 * leave, leave], [0, leave, 1 - leave]])
        with mock.patch.object(exact_powers._Search, "_levels", autospec=True, side_effect=levels) as tried:
            found = exact_mixing_time(matrix, np.arange(3), 0.25)
        assert tried.call_count == 1
        with mock.patch.object(exact_powers, "_least_level", return_value=0):
            assert exact_mixing_time(matrix, np.arange(3), 0.25) == found
        powered = np.linalg.matrix_power(matrix, 2 ** min(exact_powers._least_level(matrix), 40))
        assert 0.5 * np.abs(powered[0] - powered[2]).sum() >= 0.5
