"""The joint table: every quantity against sums in plain Python or exact fractions, and the laws of information."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.law_examples import permute_sites
from theory.divergences import kullback_leibler, total_variation
from theory.errors import InvalidInput
from theory.laws import JointLaw, random_law, sparse_random_law
from theory.states import state_index

SHAPES = [(1, 2), (3, 2), (4, 2), (2, 3), (3, 3)]


@st.composite
def laws(draw: st.DrawFn) -> JointLaw:
    """Random laws, dense and sparse, of a few sites."""
    sites, symbols = draw(st.sampled_from(SHAPES))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    if draw(st.booleans()):
        return random_law(sites, symbols, generator, draw(st.sampled_from([0.1, 1.0])))
    return sparse_random_law(sites, symbols, generator, draw(st.integers(1, symbols**sites)))


def subsets(sites: int) -> list[tuple[int, ...]]:
    return [s for size in range(sites + 1) for s in itertools.combinations(range(sites), size)]


def test_fractions_agree_with_the_table() -> None:
    """Marginals and conditionals of a table of thirty-sixths, in rational arithmetic."""
    masses = [Fraction(n, 36) for n in (1, 2, 3, 0, 5, 6, 7, 12)]
    law = JointLaw(np.array([float(m) for m in masses]).reshape(2, 2, 2))
    table = dict(zip(itertools.product((0, 1), repeat=3), masses, strict=True))
    for masked in subsets(3):
        kept = [i for i in range(3) if i not in masked]
        totals: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
        for x, mass in table.items():
            totals[tuple(x[i] for i in kept)] += mass
        rows = law.conditional(masked)
        for c, context in enumerate(itertools.product((0, 1), repeat=len(kept))):
            assert law.context_probabilities(masked)[c] == pytest.approx(float(totals[context]), abs=1e-15)
            for b, block in enumerate(itertools.product((0, 1), repeat=len(masked))):
                x = [0, 0, 0]
                for site, value in [*zip(kept, context, strict=True), *zip(masked, block, strict=True)]:
                    x[site] = value
                total = totals[context]
                expected = table[tuple(x)] / total if total else Fraction(1, 2 ** len(masked))
                assert rows[c, b] == pytest.approx(float(expected), abs=1e-15)


@given(laws())
def test_rows_of_conditionals_sum_to_one_and_reproduce_the_law(law: JointLaw) -> None:
    for masked in subsets(law.sites):
        rows = law.conditional(masked)
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-14)
        joint = rows * law.context_probabilities(masked)[:, None]
        kept = [i for i in range(law.sites) if i not in masked]
        back = joint.reshape((law.symbols,) * law.sites).transpose(np.argsort([*kept, *masked]))
        np.testing.assert_allclose(back, law.table, atol=1e-15)


@given(laws())
def test_marginals_are_consistent(law: JointLaw) -> None:
    for outer in subsets(law.sites):
        marginal = law.marginal(outer)
        assert marginal.sum() == pytest.approx(1, rel=1e-14)
        for position, site in enumerate(outer):
            axes = tuple(i for i in range(len(outer)) if i != position)
            np.testing.assert_allclose(marginal.sum(axis=axes), law.marginal((site,)), atol=1e-15)


@given(laws())
def test_entropy_chain_rule_and_signs(law: JointLaw) -> None:
    chain = sum(law.conditional_entropy((i,), range(i)) for i in range(law.sites))
    assert chain == pytest.approx(law.entropy(), abs=1e-12)
    assert law.total_correlation() >= -1e-12
    assert law.entropy() <= law.sites * math.log(law.symbols) + 1e-12
    product = np.ones(())
    for i in range(law.sites):
        product = np.multiply.outer(product, law.marginal((i,)))
    assert law.total_correlation() == pytest.approx(kullback_leibler(law.table, product), abs=1e-12)


@given(laws())
def test_total_correlation_chain_rule(law: JointLaw) -> None:
    """TC(x) = TC(x_A) + TC(x_B) + I(x_A; x_B) for a split into A and B; conditioning obeys the same rule."""
    half = law.sites // 2
    a, b = range(half), range(half, law.sites)
    split = law.total_correlation(a) + law.total_correlation(b) + law.mutual_information(a, b)
    assert split == pytest.approx(law.total_correlation(), abs=1e-12)
    if law.sites >= 3:
        by_hand = law.conditional_entropy((1,), (0,)) + law.conditional_entropy((2,), (0,))
        by_hand -= law.conditional_entropy((1, 2), (0,))
        assert law.total_correlation((1, 2), given=(0,)) == pytest.approx(by_hand, abs=1e-12)


@given(laws(), st.randoms(use_true_random=False))
def test_relabelling_sites_and_symbols_changes_no_information(law: JointLaw, random) -> None:
    order = list(range(law.sites))
    random.shuffle(order)
    moved = permute_sites(law, order)
    x = law.sequences
    np.testing.assert_allclose(
        moved.probabilities[state_index(x[:, order], law.symbols)], law.probabilities, rtol=1e-15
    )
    assert moved.entropy() == pytest.approx(law.entropy(), abs=1e-13)
    assert moved.total_correlation() == pytest.approx(law.total_correlation(), abs=1e-12)
    np.testing.assert_allclose(moved.marginal((0,)), law.marginal((order[0],)), atol=1e-15)

    symbols = list(range(law.symbols))
    random.shuffle(symbols)
    renamed = JointLaw(np.take(law.table, symbols, axis=0))
    assert renamed.entropy() == pytest.approx(law.entropy(), abs=1e-13)
    assert renamed.total_correlation() == pytest.approx(law.total_correlation(), abs=1e-12)


def test_contexts_of_probability_zero_get_the_uniform_law() -> None:
    law = JointLaw([[0.5, 0.5], [0.0, 0.0]])
    assert law.null_contexts((1,)).tolist() == [False, True]
    np.testing.assert_array_equal(law.conditional((1,)), [[0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(law.conditional((0,)), [[1, 0], [1, 0]])


def test_subnormal_contexts_stay_accurate() -> None:
    law = JointLaw([[1.0, 0.0], [3e-310, 1e-310]])
    np.testing.assert_allclose(law.conditional((1,))[1], [0.75, 0.25], rtol=1e-12)


def test_samples_have_the_frequencies_of_the_law_and_stay_in_its_support() -> None:
    # Chi-squared of 7 degrees of freedom: P(> 33.0) < 3e-5 is the false-alarm rate.
    generator = np.random.default_rng(2)
    law = JointLaw(np.array([0.05, 0.1, 0.15, 0.2, 0.2, 0.1, 0.1, 0.1]).reshape(2, 2, 2))
    count = 20_000
    observed = np.bincount(state_index(law.sample(count, generator), 2), minlength=8)
    expected = count * law.probabilities
    assert ((observed - expected) ** 2 / expected).sum() < 33.0
    sparse = sparse_random_law(4, 2, generator, 3)
    drawn = state_index(sparse.sample(1000, generator), 2)
    assert sparse.support[drawn].all()
    assert law.sample(0, generator).shape == (0, 3)


def test_expectation_and_minimum_mass() -> None:
    law = JointLaw([[0.5, 0.25], [0.25, 0.0]])
    assert law.minimum_mass == 0.25


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (0.5, "table"),
        ([0.5, 0.5, "a"], "table"),
        ([[1.0]], "table"),
        ([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]], "table"),
        ([0.5, np.nan], "table[1]"),
        ([1.5, -0.5], "table[1]"),
        ([0.5, 0.6], "table"),
        ([np.inf, 0.5], "table"),
        ([[0.5, 0.5], [0.0]], "table"),
    ],
)
def test_tables_that_are_no_law_are_refused(table, named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        JointLaw(table)
    assert caught.value.argument == named


def test_tables_are_copied_normalised_and_frozen() -> None:
    source = np.full((2, 2), 0.25) * (1 + 1e-10)
    law = JointLaw(source)
    source[0, 0] = 7
    assert law.table[0, 0] == 0.25
    with pytest.raises(ValueError, match="read-only"):
        law.table[0, 0] = 1


@pytest.mark.parametrize(
    "call",
    [
        lambda law: law.marginal((0, 0)),
        lambda law: law.marginal((2,)),
        lambda law: law.conditional((-1,)),
        lambda law: law.conditional_entropy((0,), (0,)),
        lambda law: law.mutual_information((0,), (0,)),
        lambda law: JointLaw.from_weights([0.0, 0.0]),
        lambda law: JointLaw.from_weights([np.inf, 1.0]),
        lambda law: JointLaw.from_weights([2.0, -1.0]),
        lambda law: JointLaw.from_log_weights([-np.inf, -np.inf]),
        lambda law: JointLaw.from_log_weights([np.nan, 0.0]),
        lambda law: JointLaw.from_log_weights([np.inf, 0.0]),
        lambda law: JointLaw.from_log_weights([]),
    ],
)
def test_bad_arguments_are_refused(call) -> None:
    with pytest.raises(InvalidInput):
        call(JointLaw(np.full((2, 2), 0.25)))


def test_huge_log_weights_do_not_overflow() -> None:
    law = JointLaw.from_log_weights([1e4, 1e4 - 1, -np.inf])
    np.testing.assert_allclose(law.table, [1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0], rtol=1e-14)


@given(laws(), st.integers(0, 1000))
def test_marginals_obey_data_processing(law: JointLaw, seed: int) -> None:
    other = random_law(law.sites, law.symbols, np.random.default_rng(seed))
    for sites in subsets(law.sites):
        left, right = law.marginal(sites), other.marginal(sites)
        assert total_variation(left, right) <= total_variation(law.table, other.table) + 1e-14
        assert kullback_leibler(left, right) <= kullback_leibler(law.table, other.table) + 1e-13
