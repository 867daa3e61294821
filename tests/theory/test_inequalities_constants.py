"""Poincaré, tensorization and modified log-Sobolev constants: closed forms, independent spectra, certified brackets."""

from __future__ import annotations

from itertools import pairwise
from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.optimize import minimize_scalar

from tests.law_examples import permute_sites
from theory.chains.operator import restrict
from theory.chains.spectrum import spectrum
from theory.conditionals import TableConditionals
from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.inequalities import (
    MaskingChannel,
    approximate_tensorization,
    complete_graph_factor,
    entropy_production,
    modified_log_sobolev,
    poincare_constant,
    product_constant,
    slowest_functions,
    tensorization_ratio,
    tensorization_upper_bounds,
)
from theory.inequalities.extremal import maximise_over_laws, starting_laws
from theory.inequalities.poincare import BlockDynamics
from theory.laws.ising import ising
from theory.laws.joint import JointLaw
from theory.laws.products import product_law
from theory.laws.random import random_ising, random_law, sparse_random_law
from theory.masks import Listed, adaptive, bernoulli, k_uniform, spans, uniform_ratio
from theory.samplers import block_gibbs

BIASED = [[0.2, 0.8], [0.5, 0.5], [0.9, 0.1], [0.35, 0.65]]


def block_operator(law: JointLaw, masks) -> object:
    return block_gibbs(TableConditionals(law), masks)


# Poincaré -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_product_laws_have_constant_n_over_k(size: int) -> None:
    law = product_law(BIASED)
    masks = k_uniform(4, size)
    assert poincare_constant(law, masks).value == pytest.approx(4 / size, rel=1e-12)
    constant = approximate_tensorization(law, masks)
    assert constant.lower == pytest.approx(4 / size, rel=1e-12)
    assert constant.upper == pytest.approx(4 / size, rel=1e-12)
    assert product_constant(law, masks) == pytest.approx(4 / size, rel=1e-15)


def test_product_laws_follow_the_least_masked_site() -> None:
    """Spans over an open line mask the end sites least."""
    law = product_law(BIASED)
    masks = spans(4, 2)
    assert poincare_constant(law, masks).value == pytest.approx(1 / masks.inclusion.min())
    assert product_constant(law, masks) == pytest.approx(1 / masks.inclusion.min())
    frozen = product_law([[1.0, 0.0], *BIASED[1:3], [0.0, 1.0]])
    assert product_constant(frozen, masks) == pytest.approx(1 / masks.inclusion[1:3].min())
    assert poincare_constant(frozen, masks).value == pytest.approx(1 / masks.inclusion[1:3].min())


def test_one_site_is_resampled_at_once() -> None:
    law = JointLaw([0.1, 0.9])
    assert poincare_constant(law, k_uniform(1, 1)).value == pytest.approx(1.0)
    constant = approximate_tensorization(law, k_uniform(1, 1))
    assert (constant.lower, constant.upper) == pytest.approx((1.0, 1.0))


def test_gap_of_a_pair_of_spins() -> None:
    """Two coupled spins: conditional correlation c = tanh J in both directions, lambda_2 = (1 + c)/2."""
    coupling = 0.8
    law = ising([[0, coupling], [coupling, 0]])
    assert poincare_constant(law, k_uniform(2, 1)).gap == pytest.approx((1 - np.tanh(coupling)) / 2)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 3), sparse=st.booleans())
def test_poincare_constant_is_one_over_the_spectral_gap(seed: int, size: int, sparse: bool) -> None:
    """Against the general eigenvalue routine on the sampler's own operator."""
    generator = np.random.default_rng(seed)
    law = sparse_random_law(3, 2, generator, 6) if sparse else random_law(3, 3, generator, 0.5)
    masks = k_uniform(3, size)
    constant = poincare_constant(law, masks)
    expected = spectrum(restrict(block_operator(law, masks), np.flatnonzero(law.support))).gap
    assert constant.gap == pytest.approx(expected, rel=1e-9, abs=1e-13)
    assert (constant.value == inf) == (expected == 0)
    assert (constant.reason != "") == (expected == 0)


def test_adaptive_masks() -> None:
    law = random_law(3, 2, np.random.default_rng(1))
    masks = adaptive(3, 2, [(0,), (1,), (0, 2), (1, 2)], lambda x, mask: 1.0 + (x.sum(axis=1) + len(mask)) % 3)
    constant = poincare_constant(law, masks)
    assert constant.gap == pytest.approx(spectrum(block_operator(law, masks)).gap, rel=1e-10)
    tensorization = approximate_tensorization(law, masks, random_starts=1, iterations=50)
    assert constant.value <= tensorization.lower <= tensorization.upper
    assert tensorization.upper_by == "bracket"


def test_the_extremal_function_attains_equality() -> None:
    law = random_ising(4, np.random.default_rng(5), 0.7)
    for masks in (k_uniform(4, 1), k_uniform(4, 2), bernoulli(4, 0.3)):
        constant = poincare_constant(law, masks)
        channel = MaskingChannel(law, masks)
        assert law.probabilities @ constant.function == pytest.approx(0.0, abs=1e-12)
        assert channel.variance(constant.function) == pytest.approx(1.0)
        assert constant.value * channel.local_variance(constant.function) == pytest.approx(1.0, rel=1e-12)
        inside = constant.function[channel.support]
        assert BlockDynamics(channel).apply(inside) == pytest.approx((1 - constant.gap) * inside, abs=1e-10)


def test_slow_functions_are_orthonormal_eigenfunctions() -> None:
    law = random_ising(4, np.random.default_rng(6), 0.7)
    channel = MaskingChannel(law, k_uniform(4, 2))
    values, functions = slowest_functions(channel, 5)
    assert (np.diff(values) <= 0).all()
    assert functions * law.probabilities @ functions.T == pytest.approx(np.eye(5), abs=1e-9)
    assert BlockDynamics(channel).apply(functions.T) == pytest.approx(values * functions.T, abs=1e-9)


def test_lanczos_agrees_with_the_dense_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    law = random_ising(7, np.random.default_rng(8), 0.5)
    masks = k_uniform(7, 3)
    dense = poincare_constant(law, masks)
    monkeypatch.setattr("theory.inequalities.poincare.DENSE_LIMIT", 10)
    assert poincare_constant(law, masks).gap == pytest.approx(dense.gap, rel=1e-9)


def test_tiny_gaps_keep_their_digits() -> None:
    """A pair of spins at J = 20: gap (1 - tanh J)/2 = 1/(1 + e^{2J}), about 4e-18."""
    law = ising([[0, 20.0], [20.0, 0]])
    assert poincare_constant(law, k_uniform(2, 1)).gap == pytest.approx(1 / (1 + np.exp(40.0)), rel=1e-6)


def test_reducible_dynamics_has_no_constant() -> None:
    law = JointLaw([[0.3, 0.0], [0.0, 0.7]])
    masks = k_uniform(2, 1)
    constant = poincare_constant(law, masks)
    assert constant.value == inf
    assert constant.gap == 0.0
    assert "2 classes" in constant.reason
    channel = MaskingChannel(law, masks)
    assert channel.variance(constant.function) == pytest.approx(1.0)
    assert channel.local_variance(constant.function) == pytest.approx(0.0, abs=1e-15)
    assert approximate_tensorization(law, masks).lower == inf
    logarithmic = modified_log_sobolev(law, masks)
    assert (logarithmic.lower, logarithmic.upper) == (0.0, 0.0)
    assert logarithmic.mixing_time_bound() == inf


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.0, 1.5))
def test_larger_masks_have_smaller_constants(seed: int, scale: float) -> None:
    law = random_ising(4, np.random.default_rng(seed), scale)
    values = [poincare_constant(law, k_uniform(4, size)).value for size in range(1, 5)]
    for left, right in pairwise(values):
        assert right <= left * (1 + 1e-10)
    assert values[-1] == pytest.approx(1.0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 3))
def test_constants_do_not_depend_on_names_of_sites_and_symbols(seed: int, size: int) -> None:
    law = random_law(3, 3, np.random.default_rng(seed))
    renamed = JointLaw(permute_sites(law, (2, 0, 1)).table[::-1, :, :][:, [1, 2, 0], :])
    masks = k_uniform(3, size)
    assert poincare_constant(renamed, masks).value == pytest.approx(poincare_constant(law, masks).value, rel=1e-9)


# Tensorization --------------------------------------------------------------------------------------------------------


def simplex_grid(points: int) -> np.ndarray:
    """All laws on 4 states whose masses are multiples of 1/points."""
    cuts = np.indices((points + 1,) * 3).reshape(3, -1)
    cuts = cuts[:, cuts.sum(axis=0) <= points]
    return np.vstack([cuts, points - cuts.sum(axis=0)]).T / points


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_search_finds_the_maximum_of_a_fine_grid(seed: int) -> None:
    law = random_law(2, 2, np.random.default_rng(seed))
    masks = k_uniform(2, 1)
    channel = MaskingChannel(law, masks)
    grid = simplex_grid(60)
    best = float((channel.relative_entropy(grid) / channel.local_relative_entropy(grid)).max())
    constant = approximate_tensorization(law, masks)
    assert best <= constant.lower * (1 + 1e-9)
    # One grid step away from the maximum the ratio is lower by the square of the step, times its curvature.
    assert constant.lower <= max(best, constant.poincare) * 1.01


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 3), scale=st.floats(0.0, 1.5))
def test_certified_ends_hold_for_random_laws(seed: int, size: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    law = random_ising(3, generator, scale)
    masks = k_uniform(3, size)
    constant = approximate_tensorization(law, masks, random_starts=1, iterations=30)
    assert constant.poincare <= constant.lower * (1 + 1e-9)
    assert constant.lower <= constant.upper
    bounds = tensorization_upper_bounds(MaskingChannel(law, masks), constant.poincare)
    assert constant.upper == pytest.approx(min(bounds.values()), rel=1e-9)
    if constant.law is not None:
        assert tensorization_ratio(MaskingChannel(law, masks), constant.law) == pytest.approx(constant.lower, rel=1e-12)
    channel = MaskingChannel(law, masks)
    others = np.concatenate([generator.dirichlet(np.full(8, a), size=50) for a in (0.1, 1.0, 10.0)] + [np.eye(8)])
    ratios = channel.relative_entropy(others) / channel.local_relative_entropy(others)
    assert (ratios <= constant.upper * (1 + 1e-9)).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 3), symbols=st.integers(2, 3))
def test_every_upper_bound_holds_at_random_laws(seed: int, size: int, symbols: int) -> None:
    """Not only the least one: weak coupling makes the comparison the sharpest, strong coupling the bracket."""
    generator = np.random.default_rng(seed)
    law = JointLaw.from_log_weights(generator.uniform(0, 1.5) * generator.normal(size=(symbols,) * 3))
    channel = MaskingChannel(law, k_uniform(3, size))
    bounds = tensorization_upper_bounds(channel, poincare_constant(law, channel.masks).value)
    others = np.concatenate([generator.dirichlet(np.full(law.states, a), size=40) for a in (0.05, 0.5, 5.0)])
    ratios = channel.relative_entropy(others) / channel.local_relative_entropy(others)
    for name, bound in bounds.items():
        assert ratios.max() <= bound * (1 + 1e-9), name


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 3), scale=st.floats(0.0, 2.0))
def test_entropy_contracts_at_the_certified_rate(seed: int, size: int, scale: float) -> None:
    """KL(r P || q) <= (1 - 1/C_AT) KL(r || q) with the upper end, from random laws and from every point mass."""
    generator = np.random.default_rng(seed)
    law = random_ising(3, generator, scale)
    masks = k_uniform(3, size)
    channel = MaskingChannel(law, masks)
    upper = min(tensorization_upper_bounds(channel, poincare_constant(law, masks).value).values())
    laws = np.concatenate([np.eye(8), generator.dirichlet(np.full(8, 0.3), size=10)])
    stepped = block_operator(law, masks).propagate(laws)
    for before, after in zip(laws, stepped, strict=True):
        start = kullback_leibler(before, law.probabilities)
        assert kullback_leibler(after, law.probabilities) <= (1 - 1 / upper) * start + 1e-12


def test_full_masks_are_certified_exactly() -> None:
    law = random_ising(3, np.random.default_rng(3), 1.0)
    constant = approximate_tensorization(law, k_uniform(3, 3))
    assert constant.upper_by in {"full mask", "Dobrushin coefficient"}  # both are 1
    assert (constant.lower, constant.upper) == pytest.approx((1.0, 1.0))
    assert approximate_tensorization(law, uniform_ratio(3), 0, 20).upper <= 4.0 + 1e-12


def test_an_unmasked_site_leaves_the_dynamics_reducible() -> None:
    silent = Listed(3, ((0,), (1,)), np.array([0.5, 0.5]), "two sites")
    law = product_law(BIASED[:3])
    assert poincare_constant(law, silent).value == inf
    assert product_constant(law, silent) == inf


def test_complete_graph_factor_is_continuous_at_one_half() -> None:
    assert complete_graph_factor(0.5) == 2.0
    assert complete_graph_factor(0.5 - 1e-9) == pytest.approx(2.0)
    assert complete_graph_factor(0.1) == pytest.approx(log(9) / 0.8)


@pytest.mark.parametrize("mass", [0.5, 0.3, 0.01])
def test_complete_graph_factor_is_the_best_for_two_states(mass: float) -> None:
    """sup Ent(g)/Var(sqrt g) over functions on two states, by a fine scan."""
    law = JointLaw([mass, 1 - mass])
    channel = MaskingChannel(law, k_uniform(1, 1))
    functions = np.stack([np.exp(np.linspace(-12, 12, 24001)), np.ones(24001)], axis=1)
    functions = functions[np.abs(functions[:, 0] - 1) > 1e-3]
    means = functions @ law.probabilities
    entropies = means * channel.relative_entropy(functions * law.probabilities / means[:, None])
    best = float((entropies / channel.variance(np.sqrt(functions))).max())
    assert best <= complete_graph_factor(mass) * (1 + 1e-9)
    assert best == pytest.approx(complete_graph_factor(mass), rel=1e-3)


# Modified log-Sobolev -------------------------------------------------------------------------------------------------


def one_site_constant(mass: float) -> float:
    """inf Cov(f, ln f)/Ent(f) on two states, f = (e^t, 1), by scalar minimisation from a scan."""

    def quotient(t: float) -> float:
        f = np.array([np.exp(t), 1.0])
        p = np.array([mass, 1 - mass])
        mean = p @ f
        return float((p @ (f * np.log(f)) - mean * (p @ np.log(f))) / (p @ (f * np.log(f)) - mean * np.log(mean)))

    points = [t for t in np.linspace(-20, 20, 400) if abs(t) > 0.05]
    best = min(points, key=quotient)
    return float(minimize_scalar(quotient, bounds=(best - 0.2, best + 0.2), method="bounded").fun)


def test_single_site_and_product_constants_are_known() -> None:
    """rho_0 of Glauber dynamics on a product is the least of the sites' constants, divided by N."""
    sites = [one_site_constant(row[0]) for row in BIASED[:3]]
    single = modified_log_sobolev(JointLaw(BIASED[0]), k_uniform(1, 1))
    assert single.upper == pytest.approx(sites[0], rel=1e-5)
    assert single.lower <= sites[0]
    joint = modified_log_sobolev(product_law(BIASED[:3]), k_uniform(3, 1), 1, 100)
    assert joint.upper == pytest.approx(min(sites) / 3, rel=1e-3)
    assert joint.lower <= min(sites) / 3


def test_uniform_bits_attain_twice_the_gap() -> None:
    constant = modified_log_sobolev(product_law([[0.5, 0.5]] * 3), k_uniform(3, 1), 1, 100)
    assert constant.upper == pytest.approx(2 / 3, rel=1e-6)
    single = modified_log_sobolev(JointLaw([0.5, 0.5]), k_uniform(1, 1))
    assert (single.lower, single.upper) == pytest.approx((2.0, 2.0), rel=1e-6)


def entropy_of(channel: MaskingChannel, function: np.ndarray) -> float:
    """Ent(f) = E f ln(f / E f) under the target."""
    law = channel.law.probabilities
    return float(law @ (function * np.log(function / (law @ function))))


def production_of(channel: MaskingChannel, function: np.ndarray) -> float:
    """E(f, ln f) of a positive function f [S]."""
    inside = function[channel.support]
    mean = float(inside @ channel.target)
    return mean * entropy_production(channel, inside / mean, inside / mean - 1)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 3), scale=st.floats(0.0, 1.5))
def test_entropy_production_and_decay(seed: int, size: int, scale: float) -> None:
    """E(f, ln f) >= max(rho_0 Ent, E Ent(f | .)), and the semigroup decays and mixes no slower than rho_0 says."""
    generator = np.random.default_rng(seed)
    law = random_ising(3, generator, scale)
    masks = k_uniform(3, size)
    channel = MaskingChannel(law, masks)
    kernel = block_operator(law, masks).to_dense()
    constant = modified_log_sobolev(law, masks, random_starts=1, iterations=30)
    assert 0 < constant.lower <= constant.upper * (1 + 1e-9)
    assert constant.upper <= 2 * poincare_constant(law, masks).gap * (1 + 1e-9)
    if constant.function is not None:
        witness = production_of(channel, constant.function) / entropy_of(channel, constant.function)
        assert witness == pytest.approx(constant.upper, rel=1e-6)
    for _ in range(10):
        function = generator.exponential(size=law.states) + 1e-3
        literal = law.probabilities @ (function * (np.log(function) - kernel @ np.log(function)))
        production = production_of(channel, function)
        assert production == pytest.approx(literal, rel=1e-9)
        other = law.probabilities * function / (law.probabilities @ function)
        local = (law.probabilities @ function) * float(channel.local_relative_entropy(other))
        assert production >= local - 1e-13
        assert production >= constant.lower * entropy_of(channel, function) - 1e-13
    time = 0.7 / constant.lower
    laws = np.eye(8) @ expm(time * (kernel - np.eye(8)))
    for state, after in enumerate(laws):
        start = -np.log(law.probabilities[state])
        assert kullback_leibler(np.maximum(after, 0), law.probabilities) <= np.exp(-0.7) * start + 1e-9
    for epsilon in (0.25, 0.05):
        bound = constant.mixing_time_bound(epsilon)
        mixed = expm(bound * (kernel - np.eye(8)))
        assert 0.5 * np.abs(mixed - law.probabilities).sum(axis=1).max() <= epsilon + 1e-9


# Search and errors ----------------------------------------------------------------------------------------------------


def test_starting_laws_are_positive_laws_and_reproducible() -> None:
    channel = MaskingChannel(sparse_random_law(3, 2, np.random.default_rng(4), 6), k_uniform(3, 2))
    starts = starting_laws(channel, 3, np.random.default_rng(1))
    assert starts.shape[1] == 6
    assert (starts > 0).all()
    assert starts.sum(axis=1) == pytest.approx(np.ones(len(starts)))
    assert np.array_equal(starts, starting_laws(channel, 3, np.random.default_rng(1)))


def test_ascent_reaches_a_known_maximum() -> None:
    """sum_x r(x) v(x) - sum r ln r is maximal at r proportional to e^v."""
    values = np.array([0.3, -1.0, 2.0, 0.0])
    starts = np.random.default_rng(0).dirichlet(np.ones(4), size=6)

    def objective(law: np.ndarray) -> tuple[float, np.ndarray]:
        return float(law @ (values - np.log(law))), values - np.log(law) - 1

    best = maximise_over_laws(objective, starts, 100)[0]
    assert best == pytest.approx(np.exp(values) / np.exp(values).sum(), abs=1e-6)


def test_bad_input_is_named() -> None:
    point = JointLaw([[1.0, 0.0], [0.0, 0.0]])
    law = random_law(2, 2, np.random.default_rng(0))
    masks = k_uniform(2, 1)
    with pytest.raises(InvalidInput, match="at least 2 states"):
        poincare_constant(point, masks)
    with pytest.raises(InvalidInput, match="at least 2 states"):
        product_constant(point, masks)
    with pytest.raises(InvalidInput, match=r"masks\.sites"):
        product_constant(law, k_uniform(3, 1))
    with pytest.raises(InvalidInput, match="count"):
        slowest_functions(MaskingChannel(law, masks), 0)
    with pytest.raises(InvalidInput, match="count"):
        approximate_tensorization(law, masks, random_starts=-1)
    with pytest.raises(InvalidInput, match="iterations"):
        approximate_tensorization(law, masks, iterations=0)
    with pytest.raises(InvalidInput, match="other"):
        tensorization_ratio(MaskingChannel(law, masks), law.probabilities)
    with pytest.raises(InvalidInput, match="minimum_mass"):
        complete_graph_factor(0.6)
    with pytest.raises(InvalidInput, match="epsilon"):
        modified_log_sobolev(law, masks, 0, 5).mixing_time_bound(2.0)
