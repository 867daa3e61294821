"""Laws with masses below the smallest float: support, conditionals and chains come from their logarithms."""

from __future__ import annotations

from itertools import pairwise, product

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.chains.record import chain_record
from tests.law_examples import permute_sites, to_joint
from tests.theory.chain_examples import seeds
from theory.chains import mixing_time, spectrum
from theory.conditionals import MaskAwareConditionals, TableConditionals
from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.inequalities import MaskingChannel, dobrushin
from theory.laws import (
    ExchangeableLaw,
    IsingLaw,
    JointLaw,
    curie_weiss,
    hidden_markov_sequence,
    ising,
    ising_on,
    markov_sequence,
    mixture_of_products,
    named_graph,
    potts,
    product_law,
)
from theory.masks import k_uniform
from theory.samplers import SAMPLERS

Array = np.ndarray
EPS = 1e-150


def exact_logs(law: IsingLaw) -> Array:
    """ln p of an Ising law in 60 digits."""
    with mpmath.workdps(60):
        weights = []
        for x in product((-1, 1), repeat=law.sites):
            pairs = sum(
                mpmath.mpf(float(law.couplings[i, j])) * x[i] * x[j] for i in range(law.sites) for j in range(i)
            )
            weights.append(pairs + sum(mpmath.mpf(float(h)) * s for h, s in zip(law.fields, x, strict=True)))
        total = mpmath.log(sum(mpmath.exp(weight) for weight in weights))
        return np.array([float(weight - total) for weight in weights])


@settings(max_examples=20)
@given(seeds, st.integers(1, 5), st.floats(0.1, 400))
def test_ising_against_high_precision(seed: int, sites: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    couplings = np.triu(scale * generator.normal(size=(sites, sites)), 1)
    law = ising(couplings + couplings.T, scale * generator.normal(size=sites))
    exact = exact_logs(law)
    assert law.support.all()
    np.testing.assert_allclose(law.log_probabilities, exact, rtol=1e-13, atol=1e-12)
    assert law.log_minimum_mass == pytest.approx(exact.min(), rel=1e-13, abs=1e-12)
    for size in range(1, sites + 1):
        masked = tuple(range(size))
        logs = exact.reshape((2,) * sites).reshape(2**size, -1).T
        wanted = np.exp(logs - logs.max(axis=1, keepdims=True))
        wanted /= wanted.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(law.conditional(masked), wanted, rtol=1e-10, atol=1e-300)
        assert not law.null_contexts(masked).any()


def families() -> dict[str, JointLaw]:
    """Laws whose least likely state has a mass that no float holds, and which have full support."""
    sticky = np.array([[1 - EPS, EPS], [EPS, 1 - EPS]])
    return {
        "product": product_law(np.tile([1 - EPS, EPS], (5, 1))),
        "mixture": mixture_of_products([0.5, 0.5], np.tile(sticky[:, None], (1, 8, 1))),
        "Markov": markov_sequence([0.5, 0.5], sticky, 5),
        "hidden Markov": hidden_markov_sequence([1 - EPS, EPS], sticky, sticky, 7),
        "Potts": potts(named_graph("path", 4), 3, 400.0, [0.0, 100.0, -250.0]),
        "exchangeable": to_joint(ExchangeableLaw([500.0, 700.0, -900.0, 800.0])),
        "weights": JointLaw.from_weights([[1.0, 1e-200], [1e-300, 1e-320]]),
        "family": ising(np.array([[0.0, 400], [400, 0]])).family.law([300.0, 0.0, 200.0]),
    }


@pytest.mark.parametrize("name", families())
def test_no_family_loses_a_state(name: str) -> None:
    law = families()[name]
    assert law.has_tiny_masses
    assert law.support.all()
    assert np.exp(law.log_probabilities).sum() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(np.exp(law.log_probabilities), law.probabilities, rtol=1e-11, atol=1e-320)
    # ln p(x) is the sum of the conditionals site by site, wherever these are floats.
    grid = law.log_probabilities.reshape(law.table.shape)
    assert permute_sites(law, range(law.sites)[::-1]).log_probabilities == pytest.approx(grid.transpose().reshape(-1))
    state = np.unravel_index(int(law.log_probabilities.argmin()), law.table.shape)
    best = law.conditional((0,))[int(np.ravel_multi_index(state[1:], law.table.shape[1:]))]
    column = grid[(slice(None), *state[1:])]
    np.testing.assert_allclose(best, np.exp(column - np.logaddexp.reduce(column)), rtol=1e-11)


def test_products_of_tiny_factors_in_high_precision() -> None:
    law = families()["hidden Markov"]
    with mpmath.workdps(60):
        flip = mpmath.mpf(EPS)
        sticky = [[1 - flip, flip], [flip, 1 - flip]]
        exact = []
        for x in product(range(2), repeat=7):
            here = [(1 - flip) * sticky[0][x[0]], flip * sticky[1][x[0]]]
            for symbol in x[1:]:
                here = [sum(here[y] * sticky[y][z] for y in range(2)) * sticky[z][symbol] for z in range(2)]
            exact.append(float(mpmath.log(sum(here))))
    np.testing.assert_allclose(law.log_probabilities, exact, rtol=1e-12, atol=1e-12)
    turns = [sum(a != b for a, b in pairwise(x)) for x in product(range(2), repeat=5)]
    expected = np.log(0.5) + np.array(turns) * np.log(EPS)  # ln(1 - EPS) is below rounding
    np.testing.assert_allclose(families()["Markov"].log_probabilities, expected, rtol=1e-12, atol=1e-12)


def test_zeros_by_construction_stay_outside() -> None:
    law = product_law([[1.0, 0.0], [1 - EPS, EPS], [1 - EPS, EPS], [EPS, 1 - EPS], [1e-200, 1.0]])
    assert law.has_tiny_masses
    np.testing.assert_array_equal(np.flatnonzero(law.support), np.arange(16))
    assert law.null_contexts((1,))[8:].all()
    assert not law.null_contexts((1,))[:8].any()
    np.testing.assert_array_equal(law.conditional((1,))[8:], 0.5)
    with pytest.raises(InvalidInput, match="1e-287"):
        MaskingChannel(law, k_uniform(5, 1))


@pytest.mark.parametrize("field", [46.5, 47.0, 60.0, 200.0])
def test_independent_spins_in_a_strong_field(field: float) -> None:
    law = ising_on(named_graph("empty", 8), 0.0, field)
    record = chain_record(law, "k-gibbs", None)
    assert (record["states"], record["mixing_time"]) == (256, 26)
    assert record["spectral_gap"] == pytest.approx(1 / 8, rel=1e-9)
    bounds = record["mixing_time_bounds"]
    assert set(bounds) >= {"relaxation time", "entropy contraction", "Dobrushin"}
    for lower, upper in bounds.values():
        assert (lower or 0.0) <= 26 <= (np.inf if upper is None else upper)
    assert record["bottleneck_ratio"] == pytest.approx(1 / 8) or field > 100


def test_a_large_chain_in_a_strong_field_keeps_to_its_budget() -> None:
    record = chain_record(ising_on(named_graph("empty", 12), 0.0, 60.0), "k-gibbs", None, budget=0.0)
    assert record["method"] == "matrix-free"
    assert record["mixing_time"] is None
    assert record["spectral_gap"] == pytest.approx(1 / 12, rel=1e-7)
    assert record["stationary_kl_to_target"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "confidence-remasking"])
def test_every_sampler_acts_on_vanishing_states(sampler: str) -> None:
    law = ising_on(named_graph("cycle", 4), 0.3, [200.0, 150.0, 0.4, 0.2])
    assert law.has_tiny_masses
    masks = k_uniform(4, 1 if sampler == "systematic-scan" else 2)
    chain = SAMPLERS[sampler]().build(TableConditionals(law), masks)
    dense = chain.to_dense()
    np.testing.assert_allclose(dense.sum(axis=1), 1)
    assert dense.min() >= 0
    vectors = np.random.default_rng(0).random((16, 2))
    np.testing.assert_allclose(chain.apply(vectors), dense @ vectors, rtol=1e-12)
    np.testing.assert_allclose(chain.apply(vectors[:, 0]), dense @ vectors[:, 0], rtol=1e-12)
    np.testing.assert_allclose(chain.propagate(vectors[:, 0]), vectors[:, 0] @ dense, rtol=1e-12)
    if sampler in {"k-gibbs", "systematic-scan", "metropolis-hastings"}:
        np.testing.assert_allclose(law.probabilities @ dense, law.probabilities, atol=1e-14)
    # The two sites in weak fields decide how long it takes.
    assert mixing_time(dense).steps < 20
    assert 0 < spectrum(dense).gap <= 1.5


@pytest.mark.parametrize("cost", [20.0, 60.0, 200.0])
def test_a_slow_chain_with_vanishing_states(cost: float) -> None:
    # All symbols alike but for steps that cost exp(-c) each: two wells, and the gap is exp(-c) / 10 up to exp(-2c).
    law = markov_sequence([0.5, 0.5], np.array([[1.0, np.exp(-cost)], [np.exp(-cost), 1.0]]) / (1 + np.exp(-cost)), 5)
    assert law.has_tiny_masses == (cost == 200)
    found = spectrum(SAMPLERS["k-gibbs"]().build(TableConditionals(law), k_uniform(5, 1)).to_dense())
    assert found.gap == pytest.approx(np.exp(-cost) / 10, rel=1e-8)
    assert found.gap_interval[0] <= found.gap <= found.gap_interval[1] < found.gap * (1 + 1e-9)


def test_masks_that_look_at_the_sequence() -> None:
    from tests.theory.test_inequalities_constants import adaptive  # the same law over masks

    law = curie_weiss(3, 900.0)
    masks = adaptive(3, 2, k_uniform(3, 2).masks, lambda x, mask: 1.0 + x[:, list(mask)].sum(axis=1))
    assert law.has_tiny_masses
    rows = MaskAwareConditionals(law, masks).joint_conditional(masks.masks[0])
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    assert np.isfinite(dobrushin(TableConditionals(law)).matrix).all()


def test_divergences_of_tiny_masses() -> None:
    law = families()["product"]
    other = np.full(law.states, 1 / law.states)
    exact = float(other @ (np.log(other) - law.log_probabilities))
    assert kullback_leibler(other, law.probabilities) == np.inf
    assert kullback_leibler(other, law.probabilities, law.log_probabilities) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_tables_in_narrow_types(dtype: type) -> None:
    table = np.random.default_rng(0).dirichlet(np.full(256, 2.0)).reshape((2,) * 8).astype(dtype)
    assert table.astype(np.float64).sum() != 1
    law = JointLaw(table)
    assert law.probabilities.sum() == pytest.approx(1, abs=1e-15)
    assert law.renormalised == pytest.approx(abs(table.astype(np.float64).sum() - 1), abs=1e-15)
    assert JointLaw(law.table).renormalised == 0
    wrong = table.astype(np.float64) * 1.02
    with pytest.raises(InvalidInput, match="divide them by their sum"):
        JointLaw(wrong.astype(dtype) if dtype is np.float32 else wrong)
    factors = np.array([[0.1, 0.9], [1 / 3, 2 / 3]], dtype=dtype)
    np.testing.assert_allclose(product_law(factors).factors.sum(axis=1), 1, atol=1e-15)


def test_couplings_in_float32() -> None:
    couplings = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
    couplings = couplings @ couplings.T
    np.fill_diagonal(couplings, 0)
    couplings[0, 1] = np.nextafter(couplings[1, 0], np.float32(np.inf))  # as a product of float32 leaves it
    law = ising(couplings)
    assert law.couplings[0, 1] == law.couplings[1, 0]
    with pytest.raises(InvalidInput, match="must equal"):
        ising(couplings.astype(np.float64) + np.triu(np.full((4, 4), 1e-6), 1))
