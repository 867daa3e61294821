"""The estimator against closed forms, another optimiser, and data for which no estimate exists."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from theory.errors import InvalidInput
from theory.estimation import (
    WeightedPseudolikelihood,
    best_in_class,
    empirical_law,
    fit,
    fit_in_box,
    from_pairs,
    pair_losses,
    population,
    sample_pairs,
    separating_direction,
)
from theory.laws import ExponentialFamily, JointLaw, ising_family, random_ising, random_law
from theory.masks import Listed, MaskLaw, adaptive, bernoulli, k_uniform, uniform_ratio


def fields_only(sites: int) -> ExponentialFamily:
    return ExponentialFamily(sites, 2, ising_family(sites).statistics[:, :sites])


@pytest.mark.parametrize(
    "masks", [k_uniform(5, 1), k_uniform(5, 3), k_uniform(5, 5), uniform_ratio(5)], ids=lambda m: m.name
)
def test_population_gives_the_truth(masks: MaskLaw) -> None:
    model = random_ising(5, np.random.default_rng(0), 0.7)
    estimate = fit(model.family, population(model, masks))
    assert estimate.converged
    assert estimate.error_bound < 1e-9
    np.testing.assert_allclose(estimate.theta, model.theta, atol=1e-9)


def test_adaptive_masks_need_the_mask_aware_conditional_and_then_give_the_truth() -> None:
    model = random_ising(4, np.random.default_rng(1), 0.6)
    pairs = list(itertools.combinations(range(4), 2))
    masks = adaptive(4, 2, pairs, lambda x, mask: 0.2 + x[:, list(mask)].sum(axis=1))
    estimate = fit(model.family, population(model, masks))
    np.testing.assert_allclose(estimate.theta, model.theta, atol=1e-9)
    # Forgetting that the masks looked at the sequence is biased.
    data = population(model, masks)
    naive = fit(model.family, type(data)(4, 2, data.blocks, data.starts, data.pair_weights))
    assert np.abs(naive.theta - model.theta).max() > 0.1


def test_full_masks_match_the_moments() -> None:
    """Maximum likelihood in an exponential family: E_theta_hat[T] is the sample mean of T."""
    model = random_ising(4, np.random.default_rng(2), 0.4)
    data = empirical_law(model.sample(400, np.random.default_rng(3)), 2)
    estimate = fit(model.family, population(data, k_uniform(4, 4)))
    assert estimate.converged
    np.testing.assert_allclose(
        model.family.mean(estimate.theta), data.probabilities @ model.family.statistics, atol=1e-12
    )


def test_independent_spins_have_the_inverse_hyperbolic_tangent_of_their_mean() -> None:
    generator = np.random.default_rng(4)
    sequences = generator.integers(0, 2, size=(60, 3))
    estimate = fit(fields_only(3), population(empirical_law(sequences, 2), k_uniform(3, 2)))
    np.testing.assert_allclose(estimate.theta, np.arctanh((2 * sequences - 1).mean(axis=0)), atol=1e-12)


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 3]))
def test_another_optimiser_finds_the_same_minimum(seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    model = random_ising(3, generator, 0.5)
    data = sample_pairs(model, k_uniform(3, size), 500, generator)
    estimate = fit(model.family, data)
    if not estimate.converged:
        assert separating_direction(model.family, data) is not None
        return
    loss = WeightedPseudolikelihood(model.family, data)
    other = minimize(loss.value, np.zeros(6), method="Powell", options={"ftol": 1e-14, "xtol": 1e-8})
    assert estimate.loss == pytest.approx(other.fun, abs=1e-9)
    assert estimate.loss <= other.fun + 1e-13
    assert np.abs(loss.gradient(estimate.theta)).max() < 1e-9


@given(st.integers(0, 10_000))
def test_certified_distance_is_an_upper_bound(seed: int) -> None:
    """Stop early on purpose: the true distance to the optimum must stay below the certificate."""
    generator = np.random.default_rng(seed)
    model = random_ising(3, generator, 0.5)
    data = population(model, k_uniform(3, 2))
    rough = fit(model.family, data, start=model.theta + generator.normal(scale=0.02, size=6), tolerance=0.5)
    assert rough.converged
    assert np.linalg.norm(rough.theta - model.theta) <= rough.error_bound


def test_the_fit_is_deterministic_and_starts_where_it_is_told() -> None:
    model = random_ising(4, np.random.default_rng(5), 0.5)
    data = sample_pairs(model, bernoulli(4, 0.5), 2000, np.random.default_rng(6))
    first, second = fit(model.family, data), fit(model.family, data)
    np.testing.assert_array_equal(first.theta, second.theta)
    started = fit(model.family, data, start=model.theta)
    np.testing.assert_allclose(started.theta, first.theta, atol=1e-8)
    far = fit(model.family, data, start=np.full(10, 5.0))
    np.testing.assert_allclose(far.theta, first.theta, atol=1e-8)
    assert fit(model.family, data, maximum_iterations=1).status == "stopped"


def test_a_constant_spin_puts_the_estimate_at_infinity() -> None:
    sequences = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]])
    data = population(empirical_law(sequences, 2), k_uniform(3, 1))
    estimate = fit(fields_only(3), data)
    assert estimate.status == "separable"
    assert not estimate.converged
    assert estimate.error_bound == np.inf
    direction = estimate.direction
    assert direction is not None
    assert direction[0] > 0
    loss = WeightedPseudolikelihood(fields_only(3), data)
    values = [loss.value(t * direction) for t in range(6)]
    assert values == sorted(values, reverse=True)


@given(st.integers(0, 10_000), st.integers(3, 60))
def test_small_samples_either_converge_or_separate(seed: int, samples: int) -> None:
    generator = np.random.default_rng(seed)
    model = random_ising(3, generator, 0.8)
    data = sample_pairs(model, k_uniform(3, 2), samples, generator)
    estimate = fit(model.family, data)
    loss = WeightedPseudolikelihood(model.family, data)
    if estimate.status == "converged":
        assert np.abs(loss.gradient(estimate.theta)).max() < 1e-8
        assert separating_direction(model.family, data) is None
    elif estimate.status == "separable":
        assert estimate.direction is not None
        # Far along a recession direction the loss still falls, from wherever one starts.
        along = [loss.value(estimate.theta + t * estimate.direction) for t in (0, 1, 2, 4)]
        assert all(late < early + 1e-12 for early, late in itertools.pairwise(along))
    else:
        assert estimate.status == "unidentified"
        assert estimate.unidentified > 0


def test_parameters_that_the_data_do_not_show_are_counted() -> None:
    model = random_ising(4, np.random.default_rng(7), 0.5)
    first = Listed(4, ((0,),), np.array([1.0]), "first site only")
    estimate = fit(model.family, population(model, first))
    assert estimate.status == "unidentified"
    assert estimate.unidentified == 6
    assert not estimate.converged


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_statistics_does_not_decide_what_is_identified(unit: float) -> None:
    model = random_ising(4, np.random.default_rng(7), 0.5)
    scaled = ExponentialFamily(4, 2, unit * model.family.statistics)
    first = Listed(4, ((0,),), np.array([1.0]), "first site only")
    assert fit(scaled, population(model, first)).unidentified == 6
    seen = fit(scaled, population(model, k_uniform(4, 2)), tolerance=1e-9 / unit)
    assert seen.unidentified == 0
    np.testing.assert_allclose(unit * seen.theta, model.theta, atol=1e-7)


def test_one_pair_is_not_enough() -> None:
    estimate = fit(ising_family(3), from_pairs(np.array([5]), np.array([0]), k_uniform(3, 1), 2))
    assert estimate.status == "unidentified"


def test_box_contains_the_free_minimum_or_stops_it_at_its_face() -> None:
    model = random_ising(4, np.random.default_rng(8), 0.5)
    data = sample_pairs(model, k_uniform(4, 2), 3000, np.random.default_rng(9))
    free = fit(model.family, data).theta
    np.testing.assert_allclose(fit_in_box(model.family, data, -5, 5), free, atol=1e-5)
    bound = 0.3
    boxed = fit_in_box(model.family, data, -bound, bound)
    gradient = WeightedPseudolikelihood(model.family, data).gradient(boxed)
    inside = np.abs(boxed) < bound
    assert 0 < inside.sum() < 10
    np.testing.assert_allclose(gradient[inside], 0, atol=1e-5)
    assert (gradient[~inside] * boxed[~inside] < 0).all()  # the loss would fall further outside


def test_box_has_a_minimum_even_where_the_data_separate() -> None:
    data = population(empirical_law(np.array([[1, 0], [1, 1]]), 2), k_uniform(2, 1))
    np.testing.assert_allclose(fit_in_box(fields_only(2), data, [-1, -1], [2, 1]), [2, 0], atol=1e-6)


def test_best_in_class_is_the_smallest_empirical_loss_and_the_first_of_a_tie() -> None:
    masks, generator = k_uniform(3, 2), np.random.default_rng(10)
    laws = [random_law(3, 2, generator) for _ in range(5)]
    counts = generator.integers(0, 4, size=(3, 8)).astype(float)
    losses = np.array([pair_losses(law, masks) for law in laws])
    totals = [sum(counts[k, s] * losses[i, k, s] for k in range(3) for s in range(8)) for i in range(5)]
    assert best_in_class(losses, counts) == int(np.argmin(totals))
    assert best_in_class(losses[[2, 2]], counts) == 0
    certain = JointLaw(np.eye(8)[0].reshape(2, 2, 2))
    seen_elsewhere = np.zeros((3, 8))
    seen_elsewhere[:, 7] = 1.0
    assert best_in_class([pair_losses(certain, masks), losses[0]], seen_elsewhere) == 1
    with pytest.raises(InvalidInput):
        best_in_class(losses, counts[:2])


@pytest.mark.parametrize(("lower", "upper"), [(1.0, -1.0), (np.nan, 1.0), ([0.0, 0.0, 0.0], 1.0), (-np.inf, 1.0)])
def test_bad_boxes_are_refused(lower, upper) -> None:
    data = population(empirical_law(np.array([[1, 0], [1, 1]]), 2), k_uniform(2, 1))
    with pytest.raises(InvalidInput):
        fit_in_box(fields_only(2), data, lower, upper)
