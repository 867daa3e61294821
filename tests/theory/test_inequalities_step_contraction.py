"""The largest factor of one step: enclosed on small laws, never below that of a concrete law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import rel_entr

from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.inequalities import (
    MaskingChannel,
    approximate_tensorization,
    poincare_constant,
    step_branch_and_bound,
    step_contraction,
    step_ratio,
)
from theory.laws import JointLaw, random_law
from theory.masks import k_uniform
from theory.samplers import block_gibbs


def test_the_ratio_is_that_of_the_chain_s_matrix() -> None:
    """Oracle: two divergences from the dense kernel of block Gibbs."""
    generator = np.random.default_rng(0)
    law, masks = random_law(2, 3, generator, 0.7), k_uniform(2, 1)
    kernel = block_gibbs(TableConditionals(law), masks).to_dense()
    for other in generator.dirichlet(np.ones(law.states), size=5):
        before, after = (rel_entr(r, law.probabilities).sum() for r in (other, other @ kernel))
        assert step_ratio(MaskingChannel(law, masks), other) == pytest.approx(after / before, rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_the_enclosure_holds_random_laws_and_is_narrow(seed: int) -> None:
    """On four states: 2% in 1/(1 - eta), above every ratio tried, and below 1 - 1/C_AT."""
    generator = np.random.default_rng(seed)
    law, masks = random_law(2, 2, generator, 0.5), k_uniform(2, 1)
    found = step_contraction(law, masks, cells=60_000)
    channel = MaskingChannel(law, masks)
    tried = [step_ratio(channel, r) for r in generator.dirichlet(np.full(4, 0.3), size=200)]
    assert max(tried) <= found.lower * (1 + 1e-6)
    assert found.upper_by == "branch and bound"
    assert (1 - found.lower) / (1 - found.upper) <= 1.0201
    constant = approximate_tensorization(law, masks, 1, 60)
    assert (1 - 1 / poincare_constant(law, masks).value) ** 2 <= found.lower * (1 + 1e-9)
    assert found.upper <= 1 - 1 / constant.lower
    assert found.law is None or step_ratio(channel, found.law[channel.support]) == pytest.approx(found.lower)


def test_what_is_not_true_is_not_proved() -> None:
    """The planted falsehood: a factor a tenth below one that a law shows."""
    law, masks = random_law(2, 2, np.random.default_rng(1), 0.5), k_uniform(2, 1)
    channel = MaskingChannel(law, masks)
    found = step_contraction(law, masks)
    proved = step_branch_and_bound(channel, 1.0, poincare_constant(law, masks).value, 0.02, cells=20_000)
    assert proved.upper >= 1 / (1 - found.lower)


def test_independent_fair_bits() -> None:
    """One of two fair bits is redrawn: r = point mass keeps 1 of 2 ln 2 nats less what the mixture of masks forgets."""
    law, masks = JointLaw(np.full((2, 2), 0.25)), k_uniform(2, 1)
    kernel = block_gibbs(TableConditionals(law), masks).to_dense()
    point = rel_entr(kernel[0], 0.25).sum() / np.log(4)
    found = step_contraction(law, masks, cells=60_000)
    assert max(point, 0.25) - 1e-9 <= found.lower <= found.upper <= 0.5 + 1e-9


def test_reducible_chains_lose_nothing_and_bad_input_is_refused() -> None:
    apart = JointLaw(np.diag([0.5, 0.5]))
    assert step_contraction(apart, k_uniform(2, 1)).upper == 1.0
    big = random_law(4, 2, np.random.default_rng(0), 1.0)
    with pytest.raises(InvalidInput, match="16 states"):
        step_branch_and_bound(MaskingChannel(big, k_uniform(4, 1)), 1.0, 2.0)
