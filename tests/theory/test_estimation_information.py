"""Information matrices by three routes, the sandwich by enumeration, and the Loewner order of claims C1 and C2."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.errors import InvalidInput
from theory.estimation import (
    WeightedPseudolikelihood,
    asymptotic_covariance,
    expected_conditional_covariance,
    invert_information,
    loewner_margin,
    population,
    pseudolikelihood_information,
    score_covariances,
    whitened_family,
)
from theory.laws import ExponentialFamily, ising_family, product_law, random_ising
from theory.masks import AdaptiveMaskLaw, Listed, adaptive, bernoulli, k_uniform, spans, uniform_ratio

SITES = 4
MODEL = random_ising(SITES, np.random.default_rng(0), 0.5)


def attracted(sites: int, symbols: int) -> AdaptiveMaskLaw:
    """Masks of two sites, likelier where the sites hold large symbols; some are impossible for some sequences."""

    def weight(x: np.ndarray, mask: tuple[int, ...]) -> np.ndarray:
        return x[:, list(mask)].sum(axis=1) + (0.5 if mask != (0, 1) else 0.0)

    return adaptive(sites, symbols, list(itertools.combinations(range(sites), 2)), weight)


MASKS = [*(k_uniform(SITES, k) for k in (1, 2, 3, 4)), bernoulli(SITES, 0.3), uniform_ratio(SITES), attracted(SITES, 2)]


def slow_scores(family: ExponentialFamily, theta: np.ndarray, masks) -> tuple[np.ndarray, np.ndarray]:
    """P(x, K) [M, S] and grad ln p_theta(x_K | x_{-K}, K) [M, S, d] by central differences of the log-conditional."""
    sequences = np.array(list(itertools.product(range(family.symbols), repeat=family.sites)))
    chances = np.broadcast_to(
        np.asarray(masks.probabilities).reshape(len(masks.masks), -1), (len(masks.masks), len(sequences))
    )

    def log_conditionals(parameter: np.ndarray) -> np.ndarray:
        weights = np.exp(family.statistics @ parameter + family.base_log_weights)
        result = np.zeros((len(masks.masks), len(sequences)))
        for number, mask in enumerate(masks.masks):
            kept = [i for i in range(family.sites) if i not in mask]
            same = (sequences[:, None, kept] == sequences[None, :, kept]).all(axis=2)
            joint = weights * chances[number]
            result[number] = np.log(np.maximum(joint, 1e-300)) - np.log(np.maximum(same @ joint, 1e-300))
        return result

    step = 1e-5
    scores = [
        (log_conditionals(theta + step * e) - log_conditionals(theta - step * e)) / (2 * step)
        for e in np.eye(family.parameters)
    ]
    weights = np.exp(family.statistics @ theta + family.base_log_weights)
    return chances * weights / weights.sum(), np.stack(scores, axis=-1)


@pytest.mark.parametrize("masks", MASKS, ids=lambda masks: masks.name)
def test_information_matrix_equality_by_three_routes(masks) -> None:
    information = pseudolikelihood_information(MODEL.family, MODEL.theta, masks)
    joint, scores = slow_scores(MODEL.family, MODEL.theta, masks)
    np.testing.assert_allclose(information, np.einsum("ks,ksi,ksj->ij", joint, scores, scores), atol=1e-8)
    covariance = expected_conditional_covariance(MODEL.family, MODEL.theta, masks)
    np.testing.assert_allclose(information, covariance, atol=1e-14)
    loss = WeightedPseudolikelihood(MODEL.family, population(MODEL, masks))
    np.testing.assert_allclose(information, loss.hessian(MODEL.theta), atol=1e-14)
    np.testing.assert_allclose(loss.gradient(MODEL.theta), 0, atol=1e-14)


def test_the_equality_fails_away_from_the_truth() -> None:
    """The Hessian under other data is another matrix: the equality is a statement about the true parameter."""
    masks = k_uniform(SITES, 2)
    other = random_ising(SITES, np.random.default_rng(1), 0.8)
    hessian = WeightedPseudolikelihood(MODEL.family, population(other, masks)).hessian(MODEL.theta)
    assert np.abs(hessian - pseudolikelihood_information(MODEL.family, MODEL.theta, masks)).max() > 0.01


@pytest.mark.parametrize(
    "masks", [k_uniform(SITES, 1), bernoulli(SITES, 0.3), attracted(SITES, 2)], ids=lambda m: m.name
)
def test_sandwich_by_enumerating_pairs_of_masks(masks) -> None:
    joint, scores = slow_scores(MODEL.family, MODEL.theta, masks)
    masses = MODEL.probabilities
    given_x = joint / masses
    mean = np.einsum("ks,ksi->si", given_x, scores)
    between, within = score_covariances(MODEL.family, MODEL.theta, masks)
    np.testing.assert_allclose(between, np.einsum("s,si,sj->ij", masses, mean, mean), atol=1e-8)
    # Two independent masks for each sequence: the covariance of the mean of the two scores.
    middle = np.zeros_like(between)
    for first, second in itertools.product(range(len(masks.masks)), repeat=2):
        average = (scores[first] + scores[second]) / 2
        middle += np.einsum("s,si,sj->ij", masses * given_x[first] * given_x[second], average, average)
    np.testing.assert_allclose(between + within / 2, middle, atol=1e-8)
    inverse = np.linalg.inv(between + within)
    np.testing.assert_allclose(
        asymptotic_covariance(MODEL.family, MODEL.theta, masks, 2), inverse @ middle @ inverse, rtol=1e-5, atol=1e-6
    )


@given(st.integers(0, 10_000))
def test_more_masks_and_larger_masks_never_hurt(seed: int) -> None:
    model = random_ising(4, np.random.default_rng(seed), 0.5)
    family, theta = model.family, model.theta
    covariances = [asymptotic_covariance(family, theta, k_uniform(4, k)) for k in (1, 2, 3, 4)]
    scale = np.abs(covariances[0]).max()
    for worse, better in itertools.pairwise(covariances):
        assert loewner_margin(worse, better) >= -1e-10 * scale
    np.testing.assert_allclose(covariances[-1], np.linalg.inv(family.fisher_information(theta)), rtol=1e-7, atol=1e-9)
    by_masks = [asymptotic_covariance(family, theta, k_uniform(4, 1), m) for m in (1, 2, 5, "all")]
    for worse, better in itertools.pairwise(by_masks):
        assert loewner_margin(worse, better) >= -1e-10 * scale
    assert loewner_margin(by_masks[-1], covariances[-1]) >= -1e-10 * scale  # Cramér-Rao


def test_six_site_ising_model_with_21_parameters() -> None:
    model = random_ising(6, np.random.default_rng(0), 0.4)
    traces = [float(np.trace(asymptotic_covariance(model.family, model.theta, k_uniform(6, k)))) for k in range(1, 7)]
    assert traces == sorted(traces, reverse=True)
    assert traces[0] > 2 * traces[-1]
    inverse = np.linalg.inv(model.family.fisher_information(model.theta))
    assert traces[-1] == pytest.approx(np.trace(inverse), rel=1e-9)


def test_independent_fields_are_learned_equally_well_with_every_mask_size_for_equally_many_tokens() -> None:
    """Product law, fields only: the information is (k/N) diag(1 - tanh^2 h), exactly."""
    fields = np.array([0.2, -0.5, 1.0, 0.0])
    full = ising_family(4)
    family = ExponentialFamily(4, 2, full.statistics[:, :4], full.labels[:4])
    law = product_law(np.stack([np.exp(-fields), np.exp(fields)], axis=1) / (2 * np.cosh(fields))[:, None])
    np.testing.assert_allclose(family.law(fields).table, law.table, rtol=1e-13)
    for size in (1, 2, 3, 4):
        information = pseudolikelihood_information(family, fields, k_uniform(4, size))
        np.testing.assert_allclose(information, size / 4 * np.diag(1 - np.tanh(fields) ** 2), atol=1e-15)


def test_directions_that_the_masked_tokens_do_not_identify_are_counted() -> None:
    masks = spans(4, 1)
    first = Listed(4, ((0,),), np.array([1.0]), "first site only")
    # Given the rest, x_0 shows h_0 and the three couplings of site 0, and nothing of the other 6 parameters.
    with pytest.raises(InvalidInput, match="6 of 10 directions"):
        asymptotic_covariance(MODEL.family, MODEL.theta, first)
    assert asymptotic_covariance(MODEL.family, MODEL.theta, masks).shape == (10, 10)
    with pytest.raises(InvalidInput, match="2 of 2 directions"):
        invert_information(np.zeros((2, 2)))


def test_states_outside_the_support_carry_no_information() -> None:
    base = np.zeros(8)
    base[[1, 6]] = -np.inf
    family = ExponentialFamily(3, 2, np.random.default_rng(0).normal(size=(8, 2)), base_log_weights=base)
    theta, masks = np.array([0.3, -0.4]), k_uniform(3, 2)
    information = pseudolikelihood_information(family, theta, masks)
    hessian = WeightedPseudolikelihood(family, population(family.law(theta), masks)).hessian(theta)
    np.testing.assert_allclose(information, hessian, atol=1e-15)
    np.testing.assert_allclose(information, expected_conditional_covariance(family, theta, masks), atol=1e-15)


def test_whitened_coordinates_have_unit_information_and_the_same_efficiencies() -> None:
    family, zero = whitened_family(MODEL), np.zeros(10)
    np.testing.assert_allclose(family.law(zero).table, MODEL.table, rtol=1e-12)
    np.testing.assert_allclose(family.fisher_information(zero), np.eye(10), atol=1e-13)
    for masks in (k_uniform(SITES, 1), attracted(SITES, 2)):
        ours = np.linalg.eigvalsh(asymptotic_covariance(family, zero, masks))
        fisher = MODEL.family.fisher_information(MODEL.theta)
        theirs = np.linalg.eigvals(fisher @ asymptotic_covariance(MODEL.family, MODEL.theta, masks))
        np.testing.assert_allclose(ours, np.sort(theirs.real), rtol=1e-9)
    dependent = ExponentialFamily(1, 2, np.array([[0.0, 1.0], [1.0, 2.0]]))
    with pytest.raises(InvalidInput, match="linearly independent"):
        whitened_family(dependent.law([0.0, 0.0]))
    short = ExponentialFamily(1, 2, np.arange(6.0).reshape(2, 3) ** 2)
    with pytest.raises(InvalidInput, match="linearly independent"):
        whitened_family(short.law([0.0, 0.0, 0.0]))


def test_loewner_margin_is_the_smallest_eigenvalue_of_the_difference() -> None:
    assert loewner_margin(np.diag([2.0, 3.0]), np.eye(2)) == pytest.approx(1)
    assert loewner_margin(np.eye(2), np.diag([0.5, 1.25])) == pytest.approx(-0.25)


@pytest.mark.parametrize(
    "call",
    [
        lambda: loewner_margin(np.eye(2), np.eye(3)),
        lambda: loewner_margin([[0.0, 1.0], [0.0, 0.0]], np.eye(2)),
        lambda: loewner_margin(np.full((2, 2), np.nan), np.eye(2)),
        lambda: invert_information(np.zeros((2, 3))),
        lambda: asymptotic_covariance(MODEL.family, MODEL.theta, k_uniform(4, 1), 0),
        lambda: asymptotic_covariance(MODEL.family, MODEL.theta, k_uniform(4, 1), "every"),  # type: ignore[arg-type]
        lambda: pseudolikelihood_information(MODEL.family, MODEL.theta, k_uniform(3, 1)),
        lambda: pseudolikelihood_information(MODEL.family, MODEL.theta[:3], k_uniform(4, 1)),
        lambda: expected_conditional_covariance(MODEL.family, MODEL.theta, attracted(4, 3)),
    ],
)
def test_bad_input_is_refused(call) -> None:
    with pytest.raises(InvalidInput):
        call()
