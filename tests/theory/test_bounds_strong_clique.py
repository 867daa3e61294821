"""Claim C8: both bounds against exact chains on the full state space and on the counts of `theory.symmetry`."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.bounds import (
    escape_probability_bound,
    escape_time_bound,
    log_escape_probability_bound,
    log_escape_probability_exponent,
    log_escape_probability_hoeffding,
    redraw_probability,
    right_mode_mass,
    staying_probability_bound,
    steps_to_right_mode,
)
from theory.chains import escape_probability_within, expected_escape_times, hitting_probability_within
from theory.chains.birth_death import log_exit_probabilities, log_expected_escape_times
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import clique_counts
from theory.laws.ising import strong_clique
from theory.masks import k_uniform
from theory.samplers import block_gibbs, independent_parallel
from theory.symmetry import log_independent_parallel

cliques = st.integers(2, 14)
couplings = st.floats(0.01, 3)


def log_worst_escape(clique_size: int, coupling: float, field: float) -> float:
    """ln of the largest exact probability of leaving { S_C <= -2 } in one step."""
    law = clique_counts(clique_size, coupling, field)
    return float(log_exit_probabilities(log_independent_parallel(law), law.magnetisations <= -2).max())


def right_mode_probability(clique_size: int, coupling: float, field: float) -> float:
    """p(x_C = +1)."""
    return float(clique_counts(clique_size, coupling, field).masses[-1])


def clique_spins(sites: int, clique_size: int) -> np.ndarray:
    return 2 * np.array(list(product((0, 1), repeat=sites)))[:, :clique_size] - 1


@given(cliques, couplings, st.floats(-2, 0.999))
def test_one_step_bounds_cover_the_exact_probability(clique_size: int, coupling: float, share: float) -> None:
    field = share * coupling
    exact = math.exp(log_worst_escape(clique_size, coupling, field))
    chernoff = escape_probability_bound(clique_size, coupling, field)
    assert exact <= chernoff * (1 + 1e-10)
    if clique_size % 2 == 0:
        hoeffding = math.exp(log_escape_probability_hoeffding(clique_size, coupling, field))
        assert chernoff <= hoeffding * (1 + 1e-12)
        assert chernoff == pytest.approx(math.cosh(coupling - field) ** -clique_size, rel=1e-10)
        assert hoeffding == pytest.approx(math.exp(-clique_size * math.tanh(coupling - field) ** 2 / 2), rel=1e-10)


@pytest.mark.parametrize(("sites", "clique_size"), [(2, 2), (4, 3), (5, 4), (5, 5), (6, 6)])
def test_lumped_chain_is_the_full_one(sites: int, clique_size: int) -> None:
    coupling, field = 0.7, 0.1
    matrix = independent_parallel(TableConditionals(strong_clique(sites, clique_size, coupling, field))).to_dense()
    plus = (clique_spins(sites, clique_size) == 1).sum(axis=1)
    grouped = np.stack([matrix[:, plus == j].sum(axis=1) for j in range(clique_size + 1)], axis=1)
    law = clique_counts(clique_size, coupling, field)
    lumped = np.exp(log_independent_parallel(law))
    np.testing.assert_allclose(grouped, lumped[plus], atol=1e-13)
    wrong = 2 * plus - clique_size <= -2
    escape = matrix[np.ix_(wrong, ~wrong)].sum(axis=1)
    assert math.exp(log_worst_escape(clique_size, coupling, field)) == pytest.approx(escape.max(), rel=1e-11)
    assert list(np.flatnonzero(law.magnetisations <= -2)) == sorted(set(plus[wrong]))


def test_numbers_of_the_worked_example() -> None:
    # m = 8, J = 1, h = 0.05: exact worst escape 0.00142, bound 0.042.
    assert math.exp(log_worst_escape(8, 1.0, 0.05)) == pytest.approx(0.00142, abs=5e-6)
    assert escape_probability_bound(8, 1.0, 0.05) == pytest.approx(0.042, abs=5e-4)


@given(st.integers(2, 6), st.floats(0.1, 1.5), st.integers(0, 10**6))
def test_unequal_fields_are_covered_by_the_largest(clique_size: int, coupling: float, seed: int) -> None:
    fields = coupling * np.random.default_rng(seed).uniform(-1, 0.95, size=clique_size)
    chain = independent_parallel(TableConditionals(strong_clique(clique_size, clique_size, coupling, fields)))
    total = clique_spins(clique_size, clique_size).sum(axis=1)
    wrong = total <= -2
    one_step = escape_probability_within(chain, wrong, 1)[wrong].max()
    assert one_step <= escape_probability_bound(clique_size, coupling, float(fields.max())) * (1 + 1e-10)


@given(cliques, couplings, st.floats(-0.99, 0.99))
def test_the_exponent_is_the_best_chernoff_bound_at_the_worst_state(
    clique_size: int, coupling: float, share: float
) -> None:
    field = share * coupling
    found = log_escape_probability_exponent(clique_size, coupling, field)
    assert log_worst_escape(clique_size, coupling, field) <= found + 1e-9
    # Site by site: the wrong-mode sequence with the most plus spins, and the tilt from a grid.
    plus = clique_size // 2 - 1 if clique_size % 2 == 0 else (clique_size - 3) // 2
    spins = np.array([1] * plus + [-1] * (clique_size - plus))
    turned = 1 / (1 + np.exp(-2 * (coupling * (spins.sum() - spins) + field)))
    tilts = np.linspace(0, 40, 8001)
    transforms = np.log(1 - turned[:, None] + turned[:, None] * np.exp(tilts)).sum(axis=0)
    assert found == pytest.approx(min(0.0, float((transforms - tilts * (clique_size // 2)).min())), abs=1e-4)


@pytest.mark.parametrize(("clique_size", "coupling", "field"), [(2, 0.7, 0.1), (5, 0.3, -0.2), (8, 0.4, 0.0)])
def test_mass_of_the_right_mode_by_enumeration(clique_size: int, coupling: float, field: float) -> None:
    exact = right_mode_probability(clique_size, coupling, field)
    assert right_mode_mass(clique_size, coupling, field) == pytest.approx(exact, rel=1e-12)


@given(cliques, couplings, st.floats(-1, 0.95), st.integers(0, 40))
def test_staying(clique_size: int, coupling: float, share: float, steps: int) -> None:
    field = share * coupling
    law = clique_counts(clique_size, coupling, field)
    matrix = np.exp(log_independent_parallel(law))
    chain = matrix / matrix.sum(axis=1, keepdims=True)
    wrong = np.flatnonzero(law.magnetisations <= -2)
    stays = 1 - escape_probability_within(chain, wrong, steps)[wrong].max()
    bound = staying_probability_bound(clique_size, coupling, field, steps)
    assert bound <= stays + 1e-10
    assert expected_escape_times(chain, wrong).best >= escape_time_bound(clique_size, coupling, field) * (1 - 1e-12)


def test_odd_cliques_may_have_only_the_trivial_bound() -> None:
    # m = 3: a = 1/3, s = 1 / (1 + e^{2 (2J - h)}) exceeds it where 2J - h < ln(2)/2.
    assert escape_probability_bound(3, 0.2, 0.1) == 1.0
    assert staying_probability_bound(3, 0.2, 0.1, 3) == 0.0
    assert staying_probability_bound(3, 0.2, 0.1, 0) == 1.0
    assert escape_probability_bound(3, 0.5, 0.1) < 1.0


def test_strong_couplings_keep_their_digits() -> None:
    exact, bound = math.exp(log_worst_escape(10, 20.0, 0.1)), escape_probability_bound(10, 20.0, 0.1)
    assert 0 < exact < bound < 1e-80
    assert staying_probability_bound(10, 20.0, 0.1, 10**12) == 1.0


@pytest.mark.parametrize("clique_size", [2, 3, 9, 10, 101, 300])
@pytest.mark.parametrize(("coupling", "field"), [(0.05, 0.0), (0.4, 0.3), (1.0, 0.05), (300.0, -2.0)])
def test_logarithms_of_bounds_do_not_underflow(clique_size: int, coupling: float, field: float) -> None:
    bound = log_escape_probability_bound(clique_size, coupling, field)
    assert -math.inf < bound <= 0
    assert escape_probability_bound(clique_size, coupling, field) == pytest.approx(math.exp(bound), rel=1e-12)
    # Chernoff's bound is the least value over u > 0 of E[e^{u X}] e^{-u n}, X ~ Bin(m, s) and n plus spins needed.
    if clique_size % 2:
        needed, log_odds = (clique_size - 1) / 2, -2 * (2 * coupling - field)
    else:
        needed, log_odds = clique_size / 2, -2 * (coupling - field)
    best = max(0.0, math.log(needed / (clique_size - needed)) - log_odds)
    values = [
        clique_size * (np.logaddexp(0, log_odds + u) - np.logaddexp(0, log_odds)) - u * needed
        for u in np.append(best * np.linspace(0.5, 1.5, 101), 0.0)
    ]
    assert bound == pytest.approx(min(values), rel=1e-10, abs=1e-10)
    law = clique_counts(clique_size, coupling, field)
    logs, wrong = log_independent_parallel(law), law.magnetisations <= -2
    assert log_exit_probabilities(logs, wrong).max() <= bound + 1e-9
    assert log_expected_escape_times(logs, wrong).min() >= -bound - 1e-9


@pytest.mark.parametrize(("sites", "clique_size", "size"), [(4, 2, 2), (5, 3, 4), (5, 2, 3), (4, 4, 4)])
@pytest.mark.parametrize("failure", [0.5, 0.1, 0.01])
def test_k_gibbs_reaches_the_right_mode_in_time(sites: int, clique_size: int, size: int, failure: float) -> None:
    coupling, field = 1.0, 0.2
    law = strong_clique(sites, clique_size, coupling, field)
    right = (clique_spins(sites, clique_size) == 1).all(axis=1)
    mass = right_mode_probability(clique_size, coupling, field)
    assert mass == pytest.approx(law.probabilities[right].sum(), rel=1e-12)
    chain = block_gibbs(TableConditionals(law), k_uniform(sites, size))
    steps = steps_to_right_mode(sites, clique_size, size, mass, failure)
    assert hitting_probability_within(chain, right, int(steps)).min() >= 1 - failure - 1e-12


def test_k_gibbs_bound_is_sharp_for_the_full_mask() -> None:
    # With k = N the steps are independent draws: one step fewer is not enough.
    mass = right_mode_probability(4, 1.0, 0.0)
    steps = int(steps_to_right_mode(4, 4, 4, mass, 0.05))
    assert (1 - mass) ** steps <= 0.05 < (1 - mass) ** (steps - 1)


def test_mask_probability_by_enumeration() -> None:
    masks = k_uniform(6, 4).masks
    covering = sum({0, 1, 2} <= set(mask) for mask in masks) / len(masks)
    assert redraw_probability(6, 3, 4, 0.25) == pytest.approx(0.25 * covering)


def test_edges() -> None:
    assert steps_to_right_mode(3, 3, 3, 1.0, 0.1) == 1
    assert steps_to_right_mode(9, 3, 3, 5e-324, 0.1) == math.inf
    assert escape_probability_bound(4, 1000.0, 0.0) == 0.0
    assert escape_probability_bound(3, 1000.0, 0.0) == 0.0
    assert escape_time_bound(4, 1000.0, 0.0) == math.inf
    assert right_mode_probability(3, 400.0, 0.0) == pytest.approx(0.5)
    for call, name in (
        (lambda: redraw_probability(5, 3, 2, 0.5), "k"),
        (lambda: redraw_probability(5, 6, 6, 0.5), "clique_size"),
        (lambda: escape_probability_bound(4, 1.0, 1.0), "largest_field"),
        (lambda: escape_probability_bound(4, -1.0, -2.0), "coupling"),
        (lambda: escape_probability_bound(1, 1.0, 0.0), "clique_size"),
        (lambda: escape_probability_bound(4, 1.0, math.nan), "largest_field"),
        (lambda: log_escape_probability_hoeffding(5, 1.0, 0.0), "clique_size"),
        (lambda: staying_probability_bound(4, 1.0, 0.0, -1), "steps"),
        (lambda: steps_to_right_mode(5, 3, 4, 0.0, 0.1), "right_mass"),
        (lambda: steps_to_right_mode(5, 3, 4, 0.5, 1.0), "failure_probability"),
    ):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.argument == name
