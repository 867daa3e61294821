"""C_AT as a contraction coefficient: Dobrushin's bound and branch and bound, against explicit laws and closed forms."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.errors import InvalidInput
from theory.inequalities import (
    MaskingChannel,
    approximate_tensorization,
    branch_and_bound,
    dobrushin_tensorization_bound,
    poincare_constant,
    smallest_overlap,
    tensorization_ratio,
)
from theory.inequalities.entropy_contraction import _masking, _proves
from theory.laws import JointLaw, parity_law, product_law, random_law
from theory.masks import AdaptiveMaskLaw, MaskLaw, adaptive, k_uniform, uniform_ratio

SEEDS = st.integers(0, 2**32 - 1)


def some_law(generator: np.random.Generator, sites: int = 3) -> JointLaw:
    """A random table on bits; half of the time some of its states are impossible."""
    table = generator.dirichlet(np.full(2**sites, 0.4))
    if generator.random() < 0.5:
        table[generator.choice(2**sites, size=2 ** (sites - 1) - 1, replace=False)] = 0.0
    return JointLaw.from_weights(table.reshape((2,) * sites))


def some_adaptive_masks(generator: np.random.Generator, sites: int = 3) -> AdaptiveMaskLaw:
    """Every mask, with chances that depend on the sequence."""
    every = [tuple(i for i in range(sites) if number >> i & 1) for number in range(2**sites)]
    table = generator.gamma(2.0, size=(len(every), 2**sites))
    return adaptive(sites, 2, every, lambda sequences, mask: table[every.index(mask)])


def overlap_by_hand(law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw) -> float:
    """min over pairs of sequences of the sum over masks that hide all their differences, one pair at a time."""
    possible = [tuple(x) for x in law.sequences[law.support]]
    everything = [tuple(x) for x in law.sequences]
    least = inf
    for x in possible:
        for y in possible:
            if x == y:
                continue
            total = 0.0
            for number, mask in enumerate(masks.masks):
                if all(a == b or site in mask for site, (a, b) in enumerate(zip(x, y, strict=True))):
                    weights = masks.probabilities[number]
                    if isinstance(masks, AdaptiveMaskLaw):
                        total += min(weights[everything.index(x)], weights[everything.index(y)])
                    else:
                        total += weights
            least = min(least, total)
    return least


@given(SEEDS, st.booleans())
def test_the_smallest_overlap_is_that_of_a_loop_over_pairs(seed: int, looks: bool) -> None:
    generator = np.random.default_rng(seed)
    law = some_law(generator)
    masks = some_adaptive_masks(generator) if looks else uniform_ratio(3)
    assert smallest_overlap(MaskingChannel(law, masks)) == pytest.approx(overlap_by_hand(law, masks), rel=1e-12)


@given(SEEDS, st.booleans())
def test_no_law_has_a_ratio_above_the_bound(seed: int, looks: bool) -> None:
    generator = np.random.default_rng(seed)
    law = some_law(generator)
    masks = some_adaptive_masks(generator) if looks else uniform_ratio(3)
    bound = dobrushin_tensorization_bound(MaskingChannel(law, masks))
    for _ in range(20):
        other = np.where(law.support, generator.gamma(0.3, size=law.states), 0.0).clip(0)
        if other.sum() > 0:
            assert tensorization_ratio(MaskingChannel(law, masks), other / other.sum()) <= bound * (1 + 1e-9)


def test_a_pair_that_no_mask_hides_has_no_bound() -> None:
    channel = MaskingChannel(random_law(2, 2, np.random.default_rng(0)), k_uniform(2, 1))
    assert smallest_overlap(channel) == 0
    assert dobrushin_tensorization_bound(channel) == inf


def test_one_state_has_no_constant() -> None:
    point = JointLaw(np.array([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(InvalidInput, match="at least 2 states"):
        smallest_overlap(MaskingChannel(point, k_uniform(2, 1)))


def test_product_laws_are_proved_to_two_per_cent() -> None:
    """Two sites, one masked: C_AT = C_P = 2 exactly."""
    law = product_law(np.array([[0.3, 0.7], [0.6, 0.4]]))
    certificate = branch_and_bound(MaskingChannel(law, k_uniform(2, 1)), 2.0, 2.0)
    assert certificate.upper == pytest.approx(2.0 * 1.02)
    # Candidates that rounding does not tell from C_P are not proved, and no cell is looked at.
    nothing = branch_and_bound(MaskingChannel(law, k_uniform(2, 1)), 2.0, 2.0, tolerance=1e-15)
    assert (nothing.upper, nothing.cells) == (inf, 0)


@pytest.mark.parametrize("seed", range(4))
def test_branch_and_bound_comes_within_two_per_cent_on_four_states(seed: int) -> None:
    law, masks = random_law(2, 2, np.random.default_rng(seed), 0.5), k_uniform(2, 1)
    found = approximate_tensorization(law, masks)
    certificate = branch_and_bound(MaskingChannel(law, masks), found.lower, found.poincare)
    assert found.lower <= certificate.upper <= found.lower * 1.0201
    assert certificate.upper < found.upper


def test_parity_on_three_sites() -> None:
    """Two of three sites masked: from a point mass KL is ln 4 and two thirds of ln 2 remain, a ratio of 2."""
    law, masks = parity_law(3), k_uniform(3, 2)
    point = np.where(law.support, 0.0, 0.0)
    point[np.flatnonzero(law.support)[0]] = 1.0
    ratio = tensorization_ratio(MaskingChannel(law, masks), point)
    assert ratio == pytest.approx(np.log(4) / np.log(2))
    certificate = branch_and_bound(MaskingChannel(law, masks), ratio, poincare_constant(law, masks).value)
    assert certificate.upper == pytest.approx(2.04)


@pytest.mark.parametrize("seed", range(3))
def test_a_constant_that_is_too_small_is_not_proved(seed: int) -> None:
    """The planted falsehood: a candidate below a ratio that a law attains."""
    law, masks = random_law(2, 2, np.random.default_rng(seed), 0.5), k_uniform(2, 1)
    channel, found = MaskingChannel(law, masks), approximate_tensorization(law, masks)
    assert found.lower > found.poincare * 1.0001
    proved, _ = _proves(_masking(channel, found.poincare), (found.lower + found.poincare) / 2, 100_000)
    assert not proved


def test_a_budget_that_is_too_small_proves_nothing() -> None:
    law = random_law(2, 2, np.random.default_rng(0), 0.5)
    assert branch_and_bound(MaskingChannel(law, k_uniform(2, 1)), 48.0, 33.8, cells=1).upper == inf


def test_bad_arguments_are_named() -> None:
    channel = MaskingChannel(random_law(2, 2, np.random.default_rng(0)), k_uniform(2, 1))
    with pytest.raises(InvalidInput, match="tolerance"):
        branch_and_bound(channel, 2.0, 2.0, tolerance=0.0)
    with pytest.raises(InvalidInput, match="cells"):
        branch_and_bound(channel, 2.0, 2.0, cells=0)
    large = MaskingChannel(random_law(4, 2, np.random.default_rng(0)), k_uniform(4, 1))
    with pytest.raises(InvalidInput, match="at most 8 states"):
        branch_and_bound(large, 2.0, 2.0)
