"""Local functionals of block dynamics against literal sums over masks and contexts, and the laws they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import divergences
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.inequalities.masking_channel import MaskingChannel, entropy_density
from theory.inequalities.poincare import BlockDynamics
from theory.laws.joint import JointLaw
from theory.laws.products import product_law
from theory.laws.random import random_law, sparse_random_law
from theory.masks import AdaptiveMaskLaw, MaskLaw, adaptive, bernoulli, k_uniform, spans, uniform_ratio
from theory.samplers import block_gibbs
from theory.states import block_indices


def local_sum(law: JointLaw, masks: MaskLaw, weights: np.ndarray, term) -> float:
    """sum_K P(K) sum_c W(c) term(q(. | c), values in the block): the obvious double loop."""
    total = 0.0
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        for block in block_indices(law.sites, law.symbols, mask):
            masses = law.probabilities[block]
            if masses.sum() > 0:
                total += probability * term(masses, weights[block])
    return total


def variance_term(masses: np.ndarray, values: np.ndarray) -> float:
    law = masses / masses.sum()
    return float(masses.sum() * (law @ values**2 - (law @ values) ** 2))


def entropy_term(masses: np.ndarray, values: np.ndarray) -> float:
    law = masses / masses.sum()
    mean = law @ values
    if mean == 0:
        return 0.0
    inside = values > 0
    return float(masses.sum() * (law[inside] * values[inside]) @ np.log(values[inside] / mean))


def divergence_term(masses: np.ndarray, other: np.ndarray) -> float:
    if other.sum() == 0:
        return 0.0
    return float(other.sum() * divergences.kullback_leibler(other / other.sum(), masses / masses.sum()))


MASKS = [k_uniform(3, 1), k_uniform(3, 2), k_uniform(3, 3), bernoulli(3, 0.4), uniform_ratio(3), spans(3, 2)]


def laws(symbols: int) -> list[JointLaw]:
    generator = np.random.default_rng(7)
    return [
        random_law(3, symbols, generator),
        random_law(3, symbols, generator, concentration=0.1),
        sparse_random_law(3, symbols, generator, 5),
    ]


@pytest.mark.parametrize("masks", MASKS, ids=lambda masks: masks.name)
@pytest.mark.parametrize("symbols", [2, 3])
def test_functionals_are_the_literal_sums(masks: MaskLaw, symbols: int) -> None:
    generator = np.random.default_rng(11)
    for law in laws(symbols):
        channel = MaskingChannel(law, masks)
        functions = generator.exponential(size=(4, law.states))
        functions[3] = 0
        functions[3, channel.support[0]] = 2.0
        others = functions * law.probabilities
        others /= others.sum(axis=1, keepdims=True)
        for row, function in enumerate(functions):
            expected = local_sum(law, masks, function, variance_term)
            assert channel.local_variance(functions)[row] == pytest.approx(expected, rel=1e-11, abs=1e-14)
            assert channel.local_variance(function) == pytest.approx(expected, rel=1e-11, abs=1e-14)
            mean = law.probabilities @ function
            expected = local_sum(law, masks, function, entropy_term)
            assert mean * channel.local_relative_entropy(others)[row] == pytest.approx(expected, rel=1e-10, abs=1e-13)
            expected = local_sum(law, masks, others[row], divergence_term)
            assert channel.local_relative_entropy(others)[row] == pytest.approx(expected, rel=1e-10, abs=1e-13)
            exact = divergences.kullback_leibler(others[row], law.probabilities)
            assert channel.relative_entropy(others)[row] == pytest.approx(exact, rel=1e-11)


def adaptive_masks(sites: int, symbols: int) -> AdaptiveMaskLaw:
    listed = [(0,), (1, 2), tuple(range(sites)), ()]
    return adaptive(sites, symbols, listed, lambda x, mask: 1.0 + (x.sum(axis=1) + 2 * len(mask)) % 3)


def test_adaptive_masks_use_the_law_of_the_pair() -> None:
    law = random_law(3, 2, np.random.default_rng(3))
    masks = adaptive_masks(3, 2)
    channel = MaskingChannel(law, masks)
    function = np.random.default_rng(4).normal(size=law.states)
    total = 0.0
    for number, mask in enumerate(masks.masks):
        for block in block_indices(3, 2, mask):
            total += variance_term((law.probabilities * masks.probabilities[number])[block], function[block])
    assert channel.local_variance(function) == pytest.approx(total, rel=1e-12)
    assert channel.matrix.sum(axis=0) == pytest.approx(np.ones(law.states))


@pytest.mark.parametrize("masks", [*MASKS, adaptive_masks(3, 2)], ids=lambda masks: masks.name)
def test_local_variance_is_the_dirichlet_form_of_the_block_dynamics(masks: MaskLaw | AdaptiveMaskLaw) -> None:
    for law in laws(2):
        channel = MaskingChannel(law, masks)
        function = np.random.default_rng(5).normal(size=law.states)
        # Block Gibbs never leaves the support, so values outside do not matter inside.
        after = block_gibbs(TableConditionals(law), masks).apply(function)
        inside = BlockDynamics(channel).apply(function[channel.support])
        assert inside == pytest.approx(after[channel.support], abs=1e-12)
        dirichlet = law.probabilities @ (function * (function - np.where(law.support, after, 0.0)))
        assert channel.local_variance(function) == pytest.approx(dirichlet, abs=1e-13)


def test_relative_accuracy_survives_near_the_target() -> None:
    law = random_law(4, 2, np.random.default_rng(1))
    channel = MaskingChannel(law, k_uniform(4, 2))
    function = np.random.default_rng(2).normal(size=law.states)
    function -= law.probabilities @ function
    for size in (1e-3, 1e-5):
        perturbed = law.probabilities * (1 + size * function)
        assert channel.local_relative_entropy(perturbed) == pytest.approx(
            0.5 * size**2 * channel.local_variance(function), rel=10 * size
        )


def test_entropy_density_is_smooth_where_the_series_takes_over() -> None:
    points = np.array([-1.0, -0.5, -0.0200001, -0.0199999, 0.0, 0.0199999, 0.0200001, 3.0])
    expected = [1.0, 0.5 * np.log(0.5) + 0.5, None, None, 0.0, None, None, 4 * np.log(4) - 3]
    values = entropy_density(points)
    for value, point, exact in zip(values, points, expected, strict=True):
        if exact is None:
            exact = sum((-point) ** n / (n * (n - 1)) for n in range(2, 30))
        assert value == pytest.approx(exact, rel=1e-12, abs=0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 4), symbols=st.integers(2, 3))
def test_masking_more_loses_more_and_nothing_exceeds_the_total(seed: int, size: int, symbols: int) -> None:
    """Data processing: fewer visible sites, more local entropy; all sites masked: everything is local."""
    generator = np.random.default_rng(seed)
    law = random_law(4, symbols, generator, concentration=0.5)
    function = generator.exponential(size=law.states) ** 3
    channel = MaskingChannel(law, k_uniform(4, size))
    other = function * law.probabilities / (function @ law.probabilities)
    for kind, values in (("variance", function), ("relative_entropy", other)):
        smaller, whole = getattr(channel, f"local_{kind}")(values), getattr(channel, kind)(values)
        assert -1e-12 * whole <= smaller <= whole * (1 + 1e-12)
        if size == 4:
            assert smaller == pytest.approx(whole, rel=1e-10)
        else:
            larger = getattr(MaskingChannel(law, k_uniform(4, size + 1)), f"local_{kind}")(values)
            assert smaller <= larger * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 3))
def test_one_step_loses_at_least_the_local_divergence(seed: int, size: int) -> None:
    """KL(r P || q) <= KL(r || q) - local KL: convexity over the mask, then the chain rule."""
    generator = np.random.default_rng(seed)
    law = random_law(3, 2, generator, concentration=0.5)
    other = generator.dirichlet(np.full(law.states, 0.5))
    masks = k_uniform(3, size)
    channel = MaskingChannel(law, masks)
    stepped = block_gibbs(TableConditionals(law), masks).propagate(other)
    lost = channel.relative_entropy(other) - channel.relative_entropy(stepped)
    assert lost >= channel.local_relative_entropy(other) - 1e-12


def test_product_law_tensorizes() -> None:
    """Independent sites, a product function: local entropy sums P(i in K) times the entropy of site i."""
    factors = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    law = product_law(factors)
    tilted = np.array([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]])
    other = product_law(tilted).probabilities
    single = [divergences.kullback_leibler(t, f) for t, f in zip(tilted, factors, strict=True)]
    for masks in MASKS:
        expected = float(masks.inclusion @ np.array(single))
        assert MaskingChannel(law, masks).local_relative_entropy(other) == pytest.approx(expected, rel=1e-12)


def test_components_follow_the_support() -> None:
    twins = JointLaw([[0.5, 0.0], [0.0, 0.5]])
    assert not MaskingChannel(twins, k_uniform(2, 1)).irreducible
    assert MaskingChannel(twins, k_uniform(2, 1)).components.tolist() == [0, 1]
    assert MaskingChannel(twins, k_uniform(2, 2)).irreducible


def test_laws_off_the_support_are_infinitely_far() -> None:
    law = JointLaw([[0.5, 0.0], [0.25, 0.25]])
    channel = MaskingChannel(law, k_uniform(2, 1))
    both = np.array([[0.5, 0.25, 0.25, 0.0], [0.25, 0.0, 0.5, 0.25]])
    assert np.isinf(channel.relative_entropy(both)).tolist() == [True, False]
    assert np.isinf(channel.local_relative_entropy(both)).tolist() == [True, False]


def test_bad_input_is_named() -> None:
    law = random_law(2, 2, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match=r"masks\.sites"):
        MaskingChannel(law, k_uniform(3, 1))
    with pytest.raises(InvalidInput, match="masks"):
        MaskingChannel(law, AdaptiveMaskLaw(2, ((0,),), np.ones((1, 3))))
    channel = MaskingChannel(law, k_uniform(2, 1))
    with pytest.raises(InvalidInput, match="function"):
        channel.local_variance(np.ones(3))
    with pytest.raises(InvalidInput, match="function"):
        channel.local_variance([np.nan, 0, 0, 0])
    with pytest.raises(InvalidInput, match="law"):
        channel.relative_entropy([-1.0, 0, 0, 2])
