"""Output laws of schedules and the identity KL = sum TC, each side against a slow oracle."""

from __future__ import annotations

from itertools import permutations, product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.decoding_laws import (
    copy_law,
    exchangeable_law,
    laws,
    masked_diffusion,
    parity_law,
    product_law,
    random_law,
)
from theory.conditionals import FunctionConditionals, TableConditionals
from theory.decoding import (
    Schedule,
    SubsetEntropies,
    binary_exchangeable_curve,
    cut,
    decoding_error,
    masked_diffusion_error,
    mean_total_correlation,
    mixture,
    mixture_output_law,
    one_shot,
    output_law,
    random_order,
    random_order_error,
    sequential,
    total_correlations,
)
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw


@st.composite
def schedules(draw: st.DrawFn, sites: int) -> Schedule:
    order = draw(st.permutations(range(sites)))
    cuts = sorted(draw(st.sets(st.integers(1, sites - 1)))) if sites > 1 else []
    return cut(order, np.diff([0, *cuts, sites]).tolist())


def literal_output(law: JointLaw, schedule: Schedule) -> np.ndarray:
    """prod_t prod_{i in S_t} p(x_i | x_{S_<t}), one sequence and one site at a time; null contexts are uniform."""
    result = np.zeros(law.table.shape)
    for sequence in product(range(law.symbols), repeat=law.sites):
        mass = 1.0
        for t, step in enumerate(schedule.steps):
            revealed = [i for earlier in schedule.steps[:t] for i in earlier]
            for site in step:
                known = mass_of(law, {i: sequence[i] for i in revealed})
                both = mass_of(law, {i: sequence[i] for i in [*revealed, site]})
                mass *= both / known if known > 0 else 1 / law.symbols
        result[sequence] = mass
    return result


def mass_of(law: JointLaw, fixed: dict[int, int]) -> float:
    return float(law.table[tuple(fixed.get(i, slice(None)) for i in range(law.sites))].sum())


@settings(max_examples=60, deadline=None)
@given(laws(), st.data())
def test_output_law_is_the_literal_product(law: JointLaw, data: st.DataObject) -> None:
    schedule = data.draw(schedules(law.sites))
    output = output_law(TableConditionals(law), schedule)
    np.testing.assert_allclose(output.table, literal_output(law, schedule), atol=1e-14)


@settings(max_examples=80, deadline=None)
@given(laws(), st.data())
def test_error_is_the_sum_of_total_correlations(law: JointLaw, data: st.DataObject) -> None:
    schedule = data.draw(schedules(law.sites))
    direct = decoding_error(law, output_law(TableConditionals(law), schedule))
    terms = total_correlations(law, schedule)
    assert direct == pytest.approx(terms.sum(), abs=1e-11)
    assert terms.min() > -1e-12


@settings(max_examples=40, deadline=None)
@given(laws(), st.data())
def test_sequential_is_exact_in_any_order(law: JointLaw, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(law.sites)))
    np.testing.assert_allclose(output_law(TableConditionals(law), sequential(order)).table, law.table, atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(laws(), st.data())
def test_splitting_a_step_never_hurts(law: JointLaw, data: st.DataObject) -> None:
    coarse = data.draw(schedules(law.sites))
    fine = []
    for step in coarse.steps:
        edge = data.draw(st.integers(0, len(step) - 1))
        fine += [part for part in (step[:edge], step[edge:]) if part]
    assert (
        total_correlations(law, Schedule(law.sites, tuple(fine))).sum() <= total_correlations(law, coarse).sum() + 1e-11
    )


@settings(max_examples=40, deadline=None)
@given(laws(), st.data())
def test_mixing_schedules_is_no_worse_than_their_mean(law: JointLaw, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(schedules(law.sites), min_size=1, max_size=4, unique=True))
    weights = np.array(data.draw(st.lists(st.floats(0.1, 1), min_size=len(chosen), max_size=len(chosen))))
    mixed = mixture(chosen, weights / weights.sum())
    model = TableConditionals(law)
    output = mixture_output_law(model, mixed)
    tables = [output_law(model, schedule).table for schedule in mixed.schedules]
    np.testing.assert_allclose(output.table, np.tensordot(mixed.probabilities, tables, axes=1), atol=1e-14)
    assert decoding_error(law, output) <= mean_total_correlation(law, mixed) + 1e-11


@settings(max_examples=40, deadline=None)
@given(laws(), st.data())
def test_relabelling_sites_and_symbols_changes_nothing(law: JointLaw, data: st.DataObject) -> None:
    schedule = data.draw(schedules(law.sites))
    sites = data.draw(st.permutations(range(law.sites)))
    symbols = data.draw(st.permutations(range(law.symbols)))
    # Site i of the new law is site sites[i] of the old one.
    table = law.table.transpose(sites)[np.ix_(*[symbols] * law.sites)]
    moved = Schedule(law.sites, tuple(tuple(sites.index(i) for i in step) for step in schedule.steps))
    before = total_correlations(law, schedule)
    np.testing.assert_allclose(total_correlations(JointLaw(table), moved), before, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(laws())
def test_subset_entropies_are_those_of_the_law(law: JointLaw) -> None:
    entropies = SubsetEntropies(law)
    for mask in range(2**law.sites):
        chosen = [i for i in range(law.sites) if mask >> i & 1]
        rest = [i for i in range(law.sites) if i not in chosen]
        assert entropies.values[mask] == pytest.approx(law.entropy(chosen) if chosen else 0.0, abs=1e-12)
        if chosen and rest:
            given_rest = entropies.total_correlation(chosen, rest)
            assert given_rest == pytest.approx(law.total_correlation(chosen, rest), abs=1e-11)


def test_product_law_is_decoded_exactly_by_any_schedule() -> None:
    law = product_law(3, 4, 3)
    for schedule in random_order(4, (1, 3)).schedules + random_order(4, (2, 2)).schedules + (one_shot(4),):
        np.testing.assert_allclose(output_law(TableConditionals(law), schedule).table, law.table, atol=1e-15)
        assert total_correlations(law, schedule).sum() == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("sites", [2, 3, 5])
def test_parity_loses_ln_2_unless_its_last_site_comes_alone(sites: int) -> None:
    law = parity_law(sites)
    model = TableConditionals(law)
    assert decoding_error(law, output_law(model, one_shot(sites))) == pytest.approx(log(2))
    # Any sites - 1 of the sites are independent: only the last step can cost anything.
    alone = cut(range(sites), [sites - 1, 1])
    assert decoding_error(law, output_law(model, alone)) == pytest.approx(0, abs=1e-14)
    together = cut(range(sites), [sites - 2, 2]) if sites > 2 else one_shot(2)
    assert decoding_error(law, output_law(model, together)) == pytest.approx(log(2))


def test_common_latent_costs_only_in_the_first_step() -> None:
    # All sites copy z: a first step of n sites costs (n - 1) H(z), later steps nothing.
    weights = [0.5, 0.3, 0.2]
    latent = -sum(w * log(w) for w in weights)
    law = copy_law(weights, 5)
    for first in range(1, 6):
        schedule = cut([4, 2, 0, 1, 3], [first, 5 - first] if first < 5 else [5])
        np.testing.assert_allclose(total_correlations(law, schedule)[0], (first - 1) * latent, atol=1e-13)
        assert decoding_error(law, output_law(TableConditionals(law), schedule)) == pytest.approx((first - 1) * latent)


@pytest.mark.parametrize("sizes", [(4,), (1, 3), (2, 2), (3, 1), (1, 2, 1), (1, 1, 1, 1)])
def test_random_order_error_from_the_information_curve(sizes: tuple[int, ...]) -> None:
    law = random_law(11, 4, 3)
    orders = [total_correlations(law, cut(order, sizes)).sum() for order in permutations(range(4))]
    curve = SubsetEntropies(law).information_curve()
    assert random_order_error(curve, sizes) == pytest.approx(np.mean(orders), abs=1e-12)
    assert mean_total_correlation(law, random_order(4, sizes)) == pytest.approx(np.mean(orders), abs=1e-12)


@pytest.mark.parametrize("weights", [[1.0], [0.5, 0.5], [0.2, 0.0, 0.8], [0.1, 0.2, 0.3, 0.4]])
def test_masked_diffusion_error_from_the_information_curve(weights: list[float]) -> None:
    law = random_law(12, 4, 2)
    mean = mean_total_correlation(law, masked_diffusion(4, weights))
    curve = SubsetEntropies(law).information_curve()
    assert masked_diffusion_error(curve, weights) == pytest.approx(mean, abs=1e-12)


def test_masked_diffusion_in_many_steps_is_exact_in_the_limit() -> None:
    # Two sites share one of T steps with probability 1/T, and only then the pair costs its mutual information.
    law = copy_law([0.5, 0.5], 2)
    curve = SubsetEntropies(law).information_curve()
    for steps in (1, 10, 1000):
        assert masked_diffusion_error(curve, np.full(steps, 1 / steps)) == pytest.approx(log(2) / steps, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(laws(5))
def test_information_curve_is_increasing_and_concave(law: JointLaw) -> None:
    increments = np.diff(SubsetEntropies(law).information_curve())
    assert increments.min() > -1e-12
    assert np.diff(increments).max(initial=0) < 1e-12


@pytest.mark.parametrize("sites", [1, 2, 3, 6])
def test_exchangeable_curve_from_counts(sites: int) -> None:
    law = exchangeable_law(5, sites)
    ones = np.indices((2,) * sites).sum(axis=0)
    counts = np.bincount(ones.ravel(), weights=law.probabilities, minlength=sites + 1)
    np.testing.assert_allclose(binary_exchangeable_curve(counts), SubsetEntropies(law).information_curve(), atol=1e-12)


def test_exchangeable_curve_of_fair_coins_at_300_sites() -> None:
    from scipy.stats import binom

    curve = binary_exchangeable_curve(binom.pmf(np.arange(301), 300, 0.5))
    np.testing.assert_allclose(curve, np.arange(301) * log(2), atol=1e-9)


def test_a_network_without_a_joint_law_has_an_output_law() -> None:
    # Site i looks at the mean of the revealed tokens: incompatible conditionals, yet each schedule has its law.
    def predict(tokens: np.ndarray) -> np.ndarray:
        seen = tokens < 2
        mean = np.where(seen, tokens, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        ones = 0.2 + 0.5 * mean[:, None] + 0.05 * np.arange(3)
        return np.stack([1 - ones, ones], axis=2)

    model = FunctionConditionals(3, 2, predict)
    output = output_law(model, Schedule(3, ((2,), (0, 1))))
    for x in product(range(2), repeat=3):
        ones = [0.2 + 0.5 * x[2], 0.25 + 0.5 * x[2], 0.3]
        assert output.table[x] == pytest.approx(np.prod([p if s else 1 - p for s, p in zip(x, ones, strict=True)]))
    assert np.abs(output.table - output_law(model, sequential(range(3))).table).max() > 0.01


def test_refusals() -> None:
    law = random_law(1, 3, 2)
    with pytest.raises(InvalidInput, match="schedule"):
        output_law(TableConditionals(law), one_shot(4))
    with pytest.raises(InvalidInput, match="schedule"):
        total_correlations(law, one_shot(2))
    with pytest.raises(InvalidInput, match="law"):
        mixture_output_law(TableConditionals(law), random_order(2, (1, 1)))
    with pytest.raises(InvalidInput, match="output"):
        decoding_error(law, random_law(1, 2, 2))
    with pytest.raises(InvalidInput, match="given"):
        SubsetEntropies(law).total_correlation((0, 1), (1,))
    with pytest.raises(InvalidInput, match="sizes"):
        random_order_error(np.array([0.0, 0.5, 0.9]), (1, 2))
    with pytest.raises(InvalidInput, match="step_weights"):
        masked_diffusion_error(np.array([0.0, 0.5, 0.9]), [0.5, 0.6])
    with pytest.raises(InvalidInput, match="information_curve"):
        masked_diffusion_error(np.array([0.0]), [1.0])
    with pytest.raises(InvalidInput, match="count_law"):
        binary_exchangeable_curve([0.5, 0.6])
    with pytest.raises(InvalidInput, match="count_law"):
        binary_exchangeable_curve([1.0])
