"""Finite-sample bounds: their constants against enumeration, their inversion, and the asymptotic law by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.bounds.finite_sample import (
    best_cover_of_box,
    excess_loss_bound,
    log_cover_size_of_box,
    observed_loss_bound,
    smallest_conditional,
    smallest_conditional_in_box,
    total_variation_bound,
    uniform_deviation,
)
from theory.bounds.sample_size import asymptotic_sample_size, asymptotic_total_variation
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.estimation import asymptotic_covariance, fit, pair_losses, sample_pairs
from theory.laws import ExponentialFamily, JointLaw, ising_family, random_ising, random_law
from theory.masks import bernoulli, k_uniform

SMALL = ExponentialFamily(2, 2, ising_family(2).statistics[:, [0, 2]])
"""Two parameters, h_0 and J_01, so that a cover can be listed."""


def test_deviation_and_bound_by_hand() -> None:
    deviation = uniform_deviation(100, 0.1, 0.05, math.log(7))
    assert deviation == pytest.approx(math.log(10) * math.sqrt(math.log(2 * 7 / 0.05) / 200))
    assert excess_loss_bound(100, 0.1, 0.05, math.log(7), 0.01, 0.2) == pytest.approx(2 * deviation + 0.02 + 0.2)
    bound = total_variation_bound(100, 0.1, 0.05, 3.0, math.log(7))
    assert bound == pytest.approx(math.sqrt(3 * deviation))


def test_smallest_conditional_is_the_smallest_over_all_pairs_that_can_occur() -> None:
    generator = np.random.default_rng(0)
    laws = [random_law(3, 2, generator) for _ in range(4)]
    for masks in (k_uniform(3, 1), k_uniform(3, 2), bernoulli(3, 0.5)):
        losses = np.array([pair_losses(law, masks) for law in laws])
        assert smallest_conditional(laws, masks) == pytest.approx(math.exp(-losses.max()), rel=1e-12)
    # Impossible sequences and impossible contexts do not count.
    assert smallest_conditional([JointLaw([[0.5, 0.5], [0.0, 0.0]])], k_uniform(2, 1)) == 0.5


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 3]))
def test_no_member_of_the_box_has_a_smaller_conditional(seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    family = random_ising(3, generator).family
    centre, radius = generator.normal(size=6), generator.uniform(0, 0.5, size=6)
    low, high = centre - radius, centre + radius
    bound = smallest_conditional_in_box(family, low, high, k_uniform(3, size))
    members = [family.law(generator.uniform(low, high)) for _ in range(10)]
    members += [family.law(np.where(generator.random(6) < 0.5, low, high)) for _ in range(10)]
    assert 0 < bound <= smallest_conditional(members, k_uniform(3, size)) * (1 + 1e-12)
    at_a_point = smallest_conditional_in_box(family, centre, centre, k_uniform(3, size))
    assert at_a_point == pytest.approx(smallest_conditional([family.law(centre)], k_uniform(3, size)), rel=1e-12)


def test_smallest_conditional_in_box_is_exact_for_one_field() -> None:
    family = ExponentialFamily(1, 2, np.array([[-1.0], [1.0]]))
    assert smallest_conditional_in_box(family, -0.5, 2.0, k_uniform(1, 1)) == pytest.approx(1 / (1 + math.exp(4)))


def test_smallest_conditional_in_box_ignores_impossible_states() -> None:
    family = ExponentialFamily(1, 3, np.array([[0.0], [1.0], [5.0]]), base_log_weights=[0.0, 1.0, -np.inf])
    expected = smallest_conditional([family.law([t]) for t in (-0.5, 0.5)], k_uniform(1, 1))
    assert smallest_conditional_in_box(family, -0.5, 0.5, k_uniform(1, 1)) == pytest.approx(expected)


@pytest.mark.parametrize("epsilon", [0.1, 0.37, 2.0, 50.0])
def test_cover_of_a_box_covers_it(epsilon: float) -> None:
    """List the centres of the cells and measure how far random members of the class are from the next one."""
    low, high = np.array([-1.0, -0.5]), np.array([1.0, 1.5])
    cells = [max(1, math.ceil(2 * 2 * (h - w) / (2 * epsilon))) for w, h in zip(low, high, strict=True)]
    assert log_cover_size_of_box(SMALL, low, high, epsilon) == pytest.approx(math.log(math.prod(cells)))
    axes = [w + (np.arange(n) + 0.5) * (h - w) / n for w, h, n in zip(low, high, cells, strict=True)]
    generator = np.random.default_rng(1)
    for masks in (k_uniform(2, 1), k_uniform(2, 2)):
        for theta in [*generator.uniform(low, high, size=(20, 2)), low, high]:
            centre = np.array([axis[np.abs(axis - t).argmin()] for axis, t in zip(axes, theta, strict=True)])
            losses = pair_losses(SMALL.law(theta), masks), pair_losses(SMALL.law(centre), masks)
            assert np.abs(losses[0] - losses[1]).max() <= epsilon + 1e-12


def test_the_best_radius_beats_others_and_helps_as_samples_grow() -> None:
    beta = smallest_conditional_in_box(SMALL, -1, 1, k_uniform(2, 1))
    bounds = []
    for samples in (100, 10_000, 1_000_000):
        epsilon, log_cover = best_cover_of_box(SMALL, -1, 1, samples, beta, 0.05)
        best = excess_loss_bound(samples, beta, 0.05, log_cover, epsilon)
        for other in np.geomspace(1e-6, 1, 25):
            cover = log_cover_size_of_box(SMALL, -1, 1, float(other))
            assert best <= excess_loss_bound(samples, beta, 0.05, cover, float(other)) * 1.01
        bounds.append(best)
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < bounds[0] / 30


def test_asymptotic_total_variation_of_a_coin() -> None:
    """One spin: TV = |p_hat - p| and n Var p_hat = p (1 - p), so sqrt(n) E TV -> sqrt(2 p (1 - p) / pi)."""
    family, theta = ExponentialFamily(1, 2, np.array([[-1.0], [1.0]])), np.array([0.4])
    p = float(family.law(theta).table[1])
    covariance = asymptotic_covariance(family, theta, k_uniform(1, 1))
    expected = math.sqrt(2 * p * (1 - p) / math.pi)
    assert asymptotic_total_variation(family, theta, covariance) == pytest.approx(expected, rel=1e-12)
    assert asymptotic_sample_size(0.01, family, theta, k_uniform(1, 1)) == math.ceil((expected / 0.01) ** 2)


@pytest.mark.parametrize("masks_per_sample", [1, 3])
def test_asymptotic_total_variation_by_simulation(masks_per_sample: int) -> None:
    """Mean of 120 fits within 5 standard errors plus 1% for the next order in 1/sqrt(n): false alarms below 1e-6."""
    model, masks, samples = random_ising(3, np.random.default_rng(0), 0.3), k_uniform(3, 2), 20_000
    covariance = asymptotic_covariance(model.family, model.theta, masks, masks_per_sample)
    predicted = asymptotic_total_variation(model.family, model.theta, covariance)
    generator = np.random.default_rng(1)
    distances = []
    for _ in range(120):
        estimate = fit(model.family, sample_pairs(model, masks, samples, generator, masks_per_sample))
        distances.append(
            math.sqrt(samples) * total_variation(model.family.probabilities(estimate.theta), model.probabilities)
        )
    error = np.std(distances) / math.sqrt(len(distances))
    assert abs(np.mean(distances) - predicted) < 5 * error + 0.01 * predicted


def test_larger_masks_need_fewer_samples() -> None:
    model = random_ising(5, np.random.default_rng(2), 0.4)
    needed = [asymptotic_sample_size(0.05, model.family, model.theta, k_uniform(5, k)) for k in range(1, 6)]
    assert needed == sorted(needed, reverse=True)
    assert needed[0] > needed[-1]
    assert asymptotic_sample_size(0.05, model.family, model.theta, k_uniform(5, 1), "all") < needed[0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: uniform_deviation(0, 0.1, 0.05, 0.0),
        lambda: uniform_deviation(10, 0.0, 0.05, 0.0),
        lambda: uniform_deviation(10, 1.1, 0.05, 0.0),
        lambda: uniform_deviation(10, math.nan, 0.05, 0.0),
        lambda: uniform_deviation(10, 0.1, 0.0, 0.0),
        lambda: uniform_deviation(10, 0.1, 1.0, 0.0),
        lambda: uniform_deviation(10, 0.1, 0.05, -1.0),
        lambda: excess_loss_bound(10, 0.1, 0.05, 0.0, epsilon=-0.1),
        lambda: excess_loss_bound(10, 0.1, 0.05, 0.0, misspecification=math.inf),
        lambda: total_variation_bound(10, 0.1, 0.05, 0.5, 0.0),
        lambda: total_variation_bound(10, 0.1, 0.05, math.inf, 0.0),
        lambda: smallest_conditional([], k_uniform(2, 1)),
        lambda: smallest_conditional([random_law(3, 2, np.random.default_rng(0))], k_uniform(2, 1)),
        lambda: smallest_conditional_in_box(SMALL, 1, -1, k_uniform(2, 1)),
        lambda: smallest_conditional_in_box(SMALL, -1, 1, k_uniform(3, 1)),
        lambda: log_cover_size_of_box(SMALL, -1, 1, 0.0),
        lambda: log_cover_size_of_box(SMALL, [-1, -1, -1], 1, 0.1),
        lambda: asymptotic_sample_size(0.0, SMALL, np.zeros(2), k_uniform(2, 1)),
        lambda: asymptotic_total_variation(SMALL, np.zeros(2), np.eye(3)),
    ],
)
def test_bad_input_is_refused(call) -> None:
    with pytest.raises(InvalidInput):
        call()


def test_every_pair_of_a_class_of_two_is_bounded() -> None:
    """The excess loss of the empirical minimiser over all samples of 3 pairs, enumerated exactly.

    The probability that the excess exceeds the bound is computed, not estimated; it must be at most delta.
    """
    laws = [JointLaw([0.5, 0.5]), JointLaw([0.8, 0.2])]
    masks, samples, delta = k_uniform(1, 1), 3, 0.9
    losses = np.array([pair_losses(law, masks)[0] for law in laws])
    bound = excess_loss_bound(samples, smallest_conditional(laws, masks), delta, math.log(2))
    for truth in laws:
        expected = losses @ truth.probabilities
        excess = expected - truth.entropy()
        failure = 0.0
        for x in itertools.product((0, 1), repeat=samples):
            chosen = int(losses[:, list(x)].sum(axis=1).argmin())
            failure += math.prod(truth.probabilities[list(x)]) * (excess[chosen] > bound)
        assert failure <= delta


def test_the_bound_from_the_observed_loss_is_its_three_terms() -> None:
    """n = 800 sequences, m = 3 masks, 16 states, every number by hand."""
    s = np.log(1 / 0.2) * np.sqrt(np.log(2 * 50 / 0.1) / (2 * 800 * 3))
    by_hand = np.sqrt(0.5 * 2.5 * (0.01 + s + 2 * 0.02)) + 0.5 * np.sqrt(16 / 800) + np.sqrt(np.log(2 / 0.1) / 1600)
    bound = observed_loss_bound(800, 3, 16, 0.01, 0.2, 0.1, 2.5, np.log(50), 0.02)
    assert bound == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks_per_sample": 0}, "masks_per_sample = 0"),
        ({"states": 0}, "states = 0"),
        ({"excess": float("nan")}, "excess = nan"),
        ({"epsilon": -1.0}, "epsilon = -1.0"),
        ({"tensorization": 0.5}, "tensorization = 0.5"),
    ],
)
def test_arguments_of_the_bound_from_the_observed_loss(changes: dict[str, float], message: str) -> None:
    good = {
        "samples": 10,
        "masks_per_sample": 1,
        "states": 4,
        "excess": 0.0,
        "beta": 0.1,
        "delta": 0.1,
        "tensorization": 2.0,
        "log_cover_size": 1.0,
    }
    with pytest.raises(InvalidInput, match=message):
        observed_loss_bound(**(good | changes))
