"""Constants and divergences of laws whose masses differ by many orders of magnitude, against high precision."""

from __future__ import annotations

from itertools import product

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.chain_examples import seeds
from theory.bounds import entropy_contraction_bounds
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.inequalities import (
    DobrushinCriterion,
    MaskingChannel,
    approximate_tensorization,
    dobrushin,
    entropy_production,
    modified_log_sobolev,
    path_coupling,
    poincare,
    poincare_constant,
    product_constant,
    tensorization_ratio,
)
from theory.inequalities.poincare import BlockDynamics
from theory.laws import JointLaw, curie_weiss, product_law, strong_clique
from theory.masks import MaskLaw, k_uniform
from theory.samplers import block_gibbs

Array = np.ndarray


def blocks(law: JointLaw, masks: MaskLaw) -> list[tuple[float, list[int]]]:
    """Probability of the mask and the states of each block, by enumeration."""
    states = list(product(range(law.symbols), repeat=law.sites))
    found = []
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        kept = [site for site in range(law.sites) if site not in mask]
        contexts: dict[tuple[int, ...], list[int]] = {}
        for index, x in enumerate(states):
            contexts.setdefault(tuple(x[site] for site in kept), []).append(index)
        found += [(float(probability), members) for members in contexts.values()]
    return found


def exact_divergences(law: JointLaw, masks: MaskLaw, other: Array) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
    """KL(r || q), its local part, and E(f, ln f) for f = r/q, all in 80 digits."""
    with mpmath.workdps(80):
        q, r = ([mpmath.mpf(float(v)) for v in values] for values in (law.probabilities, other))
        q, r = [v / sum(q) for v in q], [v / sum(r) for v in r]
        total = sum(a * mpmath.log(a / b) for a, b in zip(r, q, strict=True) if a > 0)
        local, production = mpmath.mpf(0), mpmath.mpf(0)
        for probability, members in blocks(law, masks):
            inside, reference = sum(r[i] for i in members), sum(q[i] for i in members)
            for i in members:
                f, mean = r[i] / q[i], inside / reference
                if f > 0:
                    local += probability * r[i] * mpmath.log(f / mean)
                    production += probability * q[i] * (f - mean) * mpmath.log(f / mean)
        return total, local, production


def exact_poincare(law: JointLaw, masks: MaskLaw, digits: int = 80) -> float:
    with mpmath.workdps(digits):
        q = [mpmath.mpf(float(v)) for v in law.probabilities]
        q = [v / sum(q) for v in q]
        form = mpmath.zeros(len(q))
        for probability, members in blocks(law, masks):
            mass = sum(q[i] for i in members)
            for i, j in product(members, repeat=2):
                form[i, j] -= probability * mpmath.sqrt(q[i] * q[j]) / mass
                form[i, i] += probability * q[j] / mass
        return float(1 / sorted(mpmath.eigsy(form, eigvals_only=True))[1])


def two_slow_modes() -> JointLaw:
    table = np.full((3, 3), 1e-22)
    np.fill_diagonal(table, 1 / 3)
    table[0, 1] = 1e-17
    return JointLaw(table / table.sum(), "two slow modes")


def test_two_slow_modes_of_different_speed() -> None:
    law, masks = two_slow_modes(), k_uniform(2, 1)
    exact = exact_poincare(law, masks)
    found = poincare_constant(law, masks)
    assert found.value == pytest.approx(exact, rel=1e-11)
    assert found.interval[0] <= exact <= found.interval[1]
    channel = MaskingChannel(law, masks)
    quotient = float(channel.variance(found.function) / channel.local_variance(found.function))
    assert quotient == pytest.approx(exact, rel=1e-6)
    constant = approximate_tensorization(law, masks, 1, 30)
    assert constant.lower == pytest.approx(exact, rel=1e-9)
    assert constant.lower <= constant.upper
    sobolev = modified_log_sobolev(law, masks, 1, 30)
    assert 0 < sobolev.lower <= sobolev.upper <= 2 / exact * (1 + 1e-9)


@pytest.mark.parametrize("decades", [3.0, 30.0, 150.0])
def test_poincare_of_strong_couplings(decades: float) -> None:
    law = strong_clique(3, 2, decades * np.log(10) / 2, 0.1)
    exact = exact_poincare(law, k_uniform(3, 1), 400)
    found = poincare_constant(law, k_uniform(3, 1))
    assert found.value == pytest.approx(exact, rel=1e-9)
    assert found.interval[0] <= exact <= found.interval[1]


@pytest.mark.parametrize("beta", [0.8, 6.0])
def test_poincare_above_the_dense_limit(beta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    law, masks = curie_weiss(6, beta), k_uniform(6, 1)
    dense = poincare_constant(law, masks)
    monkeypatch.setattr(poincare, "DENSE_LIMIT", 16)
    found = poincare_constant(law, masks)
    assert found.value == pytest.approx(dense.value, rel=1e-6)
    assert found.interval[0] <= dense.interval[1]
    assert dense.interval[0] <= found.interval[1]


def test_the_dynamics_of_a_channel() -> None:
    law, masks = curie_weiss(3, 1.0, 0.2), k_uniform(3, 2)
    channel = MaskingChannel(law, masks)
    chain = BlockDynamics(channel)
    functions = np.random.default_rng(0).normal(size=(8, 2))
    np.testing.assert_allclose(
        chain.apply(functions), block_gibbs(TableConditionals(law), masks).apply(functions), atol=1e-14
    )
    np.testing.assert_allclose(chain.apply(functions[:, 0]), chain.to_dense() @ functions[:, 0], atol=1e-14)
    np.testing.assert_allclose(chain.propagate(functions[:, 0]), functions[:, 0] @ chain.to_dense(), atol=1e-14)
    form = chain.dirichlet_form(functions)
    np.testing.assert_allclose(np.diagonal(form), channel.local_variance(functions.T), rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(2, 3), st.integers(1, 2), st.floats(0, 60), st.floats(0, 60))
def test_divergences_block_by_block(seed: int, sites: int, size: int, spread: float, far: float) -> None:
    generator = np.random.default_rng(seed)
    table = np.exp(-spread * generator.random((2,) * sites))
    law, masks = JointLaw(table / table.sum()), k_uniform(sites, size)
    other = np.exp(-far * generator.random(2**sites))
    other /= other.sum()
    total, local, production = exact_divergences(law, masks, other)
    channel = MaskingChannel(law, masks)
    assert float(channel.local_relative_entropy(other)) == pytest.approx(float(local), rel=1e-9)
    if float(total) > 1e-9:
        assert tensorization_ratio(channel, other) == pytest.approx(float(total / local), rel=1e-6)
    density = other / law.probabilities
    assert entropy_production(channel, density, density - 1) == pytest.approx(float(production), rel=1e-9)


@pytest.mark.parametrize("power", [1e-4, 1e-8, 1e-14])
def test_divergences_from_a_law_that_is_near(power: float) -> None:
    law, masks = curie_weiss(3, 2.0, 0.3), k_uniform(3, 1)
    other = law.probabilities * (1 + power * np.sign(np.arange(8) - 3.5))
    exact = exact_divergences(law, masks, other)[1]
    # The exact one speaks of the floats of the law: their rounding is what remains.
    found = MaskingChannel(law, masks).local_relative_entropy(other / other.sum())
    assert float(found) == pytest.approx(float(exact), rel=1e-16 / power * 100 + 1e-9)


@pytest.mark.parametrize(("size", "coupling"), [(5, 3.0), (4, 6.0)])
def test_a_witness_on_a_clique_stays_below_the_upper_end(size: int, coupling: float) -> None:
    law, masks = strong_clique(size, size, coupling), k_uniform(size, 1)
    constant = approximate_tensorization(law, masks, 2, 60)
    assert constant.poincare * (1 - 1e-9) <= constant.lower <= constant.upper < np.inf
    # The law that has only one of the modes: nearly all local divergence cancels in a difference.
    mode = np.full(2**size, 1e-12)
    mode[-1] = 1.0
    mode = mode * law.probabilities / (mode @ law.probabilities)
    total, local, _ = exact_divergences(law, masks, mode)
    ratio = tensorization_ratio(MaskingChannel(law, masks), mode)
    assert ratio == pytest.approx(float(total / local), rel=1e-9)
    assert ratio <= constant.upper
    sobolev = modified_log_sobolev(law, masks, 1, 30)
    assert 0 < sobolev.lower <= sobolev.upper <= 2 / constant.poincare * (1 + 1e-9)


@pytest.mark.parametrize(("sites", "size"), [(2, 2), (3, 2), (5, 4)])
def test_constants_between_one_and_two_bound_mixing(sites: int, size: int) -> None:
    # Product laws with k-uniform masks have C_AT = N / k.
    law, masks = product_law(np.full((sites, 2), 0.5)), k_uniform(sites, size)
    constant = product_constant(law, masks)
    assert 1 <= constant < 2
    lower, upper = entropy_contraction_bounds(constant, law.minimum_mass)
    logarithm = np.log(np.log(1 / law.minimum_mass)) + np.log(8)
    assert (lower, upper) == (0.0, pytest.approx(constant * logarithm + 1, rel=1e-12))


@pytest.mark.parametrize("constant", [1 - 1e-9, 0.0, -3.0, float("nan")])
def test_constants_below_one_are_refused(constant: float) -> None:
    with pytest.raises(InvalidInput, match="tensorization_constant"):
        entropy_contraction_bounds(constant, 0.1)


@pytest.mark.parametrize("coupling", [0.5, 5.0, 9.0, 12.0, 18.0, 19.0, 40.0])
def test_coupling_bounds_near_one_are_safe(coupling: float) -> None:
    # Two spins: the influence is tanh(J), and the gap of Glauber dynamics (1 - tanh J) / 2.
    law = strong_clique(2, 2, coupling)
    with mpmath.workdps(60):
        gap = float((1 - mpmath.tanh(coupling)) / 2)
    found, contraction = dobrushin(TableConditionals(law)), path_coupling(TableConditionals(law), k_uniform(2, 1))
    for bound in (found.gap_lower_bound, contraction.gap_lower_bound):
        assert 0 <= bound <= gap
        assert bound > 0.9 * gap or gap < 1e-13
    slow = np.log(4) / gap  # d(t) <= 1/4 from the sum of the influences, in continuous form
    for steps in (found.mixing_time_bound(), contraction.mixing_time_bound()):
        assert steps >= 0.9 * slow or gap > 0.1


def test_an_influence_of_one_up_to_rounding_claims_nothing() -> None:
    near = DobrushinCriterion(np.array([[0.0, 1 - 1e-16], [1.0, 0.0]]), True)
    assert not near.is_unique
    assert near.gap_lower_bound == 0.0
    assert near.mixing_time_bound() == np.inf
