"""Distance curves and mixing times: brute force, closed forms, lumping, chains that never mix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from math import comb
from unittest import mock

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
    two_state,
)
from theory.chains import (
    Composition,
    DenseOperator,
    geometric_times,
    mixing_time,
    stationary_law,
    stationary_laws,
    total_variation_curve,
)
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
    # d changes by about 1e-9 per step there, less than the bound on the rounding error after 10^8 steps.
    assert not found.certain


def test_nearly_reducible() -> None:
    found = mixing_time(two_state(1e-15, 2e-15), 0.25)
    assert found.steps == pytest.approx(math.log(8 / 3) / 3e-15, rel=1e-6)
    assert not found.certain


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
