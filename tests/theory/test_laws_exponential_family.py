"""Exponential families: moments against finite differences of the log-partition function, and input checks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.special import logsumexp

from theory.errors import InvalidInput
from theory.laws import ExponentialFamily, ExponentialLaw, JointLaw, random_ising


def small_family() -> ExponentialFamily:
    generator = np.random.default_rng(0)
    return ExponentialFamily(2, 3, generator.normal(size=(9, 3)), base_log_weights=generator.normal(size=9))


def test_mean_is_the_gradient_and_fisher_information_the_hessian_of_the_log_partition_function() -> None:
    family, theta, step = small_family(), np.array([0.4, -0.7, 0.2]), 1e-5
    shifts = step * np.eye(3)
    gradient = [
        (logsumexp(family.log_weights(theta + s)) - logsumexp(family.log_weights(theta - s))) / (2 * step)
        for s in shifts
    ]
    np.testing.assert_allclose(family.mean(theta), gradient, atol=1e-9)
    curvature = [(family.mean(theta + s) - family.mean(theta - s)) / (2 * step) for s in shifts]
    np.testing.assert_allclose(family.fisher_information(theta), curvature, atol=1e-9)


def test_fisher_information_is_the_second_moment_of_the_score() -> None:
    family, theta = small_family(), np.array([0.4, -0.7, 0.2])
    law = family.law(theta)
    expected = np.zeros((3, 3))
    for mass, statistic in zip(law.probabilities, family.statistics, strict=True):
        score = statistic - family.mean(theta)
        expected += mass * np.outer(score, score)
    np.testing.assert_allclose(family.fisher_information(theta), expected, atol=1e-15)


def test_states_without_base_weight_are_outside_the_support() -> None:
    base = np.zeros(4)
    base[2] = -np.inf
    family = ExponentialFamily(2, 2, np.arange(4.0)[:, None], base_log_weights=base)
    law = family.law([0.5])
    assert law.probabilities[2] == 0
    weights = np.exp([0, 0.5, 1.5])
    np.testing.assert_allclose(law.probabilities[[0, 1, 3]], weights / weights.sum(), rtol=1e-14)
    assert logsumexp(family.log_weights([0.5])) == pytest.approx(np.log(weights.sum()), rel=1e-14)


def test_laws_survive_pickling_and_forget_nothing() -> None:
    law = pickle.loads(pickle.dumps(random_ising(4, np.random.default_rng(1))))
    assert isinstance(law, ExponentialLaw)
    np.testing.assert_allclose(law.family.law(law.theta).table, law.table, rtol=1e-12)


def test_statistics_and_base_cannot_be_overwritten() -> None:
    family = random_ising(2, np.random.default_rng(1)).family
    for array in (family.statistics, family.base_log_weights):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0


def test_weights_of_a_subclass_give_a_plain_table() -> None:
    law = ExponentialLaw.from_log_weights(np.zeros((2, 2)))
    assert type(law) is JointLaw
    np.testing.assert_array_equal(law.table, 0.25)


@pytest.mark.parametrize(
    "arguments",
    [
        {"statistics": np.zeros((3, 1))},
        {"statistics": np.zeros((4, 0))},
        {"statistics": np.full((4, 1), np.nan)},
        {"statistics": np.zeros((4, 1)), "labels": ["a", "b"]},
        {"statistics": np.zeros((4, 1)), "base_log_weights": np.zeros(3)},
        {"statistics": np.zeros((4, 1)), "base_log_weights": np.full(4, -np.inf)},
        {"statistics": np.zeros((4, 1)), "base_log_weights": np.full(4, np.nan)},
    ],
)
def test_families_refuse_bad_input(arguments: dict) -> None:
    with pytest.raises(InvalidInput):
        ExponentialFamily(2, 2, **arguments)


@pytest.mark.parametrize("theta", [[0.0], [0.0, np.nan, 0.0], [[0.0, 0.0, 0.0]]])
def test_parameters_are_checked(theta: list) -> None:
    with pytest.raises(InvalidInput, match="theta"):
        small_family().law(theta)
