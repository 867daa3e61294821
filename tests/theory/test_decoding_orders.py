"""Orders with and without a look at the tokens: closed forms, the chain rule of errors, calls that depend on x."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.decoding_laws import copy_law, laws, masked_diffusion, parity_law, product_law, random_law
from theory.conditionals import FunctionConditionals, TableConditionals
from theory.decoding import (
    ConditionalTables,
    Decoded,
    KnownLaw,
    decode,
    decoding_error,
    divergences,
    expected_total_correlation,
    mean_total_correlation,
    mixture_output_law,
    one_shot,
    output_law,
    parse,
    random_order,
    uniform_sizes,
)
from theory.divergences import kullback_leibler, total_variation
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw


def decoded(law: JointLaw, text: str, calls: int) -> Decoded:
    return decode(KnownLaw(law), parse(text), calls)


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_random_order_is_the_mixture_of_its_schedules(calls: int) -> None:
    law = random_law(31, 4, 2)
    listed = random_order(4, uniform_sizes(4, calls))
    found = decoded(law, "random-order", calls)
    np.testing.assert_allclose(found.law.table, mixture_output_law(TableConditionals(law), listed).table, atol=1e-14)
    mean = mean_total_correlation(law, listed)
    assert expected_total_correlation(KnownLaw(law), parse("random-order"), calls) == pytest.approx(mean, abs=1e-12)
    assert decoding_error(law, found.law) <= mean + 1e-12


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_masked_diffusion_is_the_mixture_of_its_schedules(calls: int) -> None:
    law = random_law(32, 3, 3)
    listed = masked_diffusion(3, [1 / calls] * calls)
    found = decoded(law, "masked-diffusion", calls)
    np.testing.assert_allclose(found.law.table, mixture_output_law(TableConditionals(law), listed).table, atol=1e-14)
    assert found.expected_calls == pytest.approx(
        listed.probabilities @ [schedule.length for schedule in listed.schedules]
    )
    assert found.worst_calls == min(calls, 3)
    bound = expected_total_correlation(KnownLaw(law), parse("masked-diffusion"), calls)
    assert bound == pytest.approx(mean_total_correlation(law, listed), abs=1e-12)


ONE_PATH = ("confidence", "entropy", "margin", "threshold:theta=0.7", "factor:f=0.6", "entropy-bound:gamma=0.3")


@settings(max_examples=40, deadline=None)
@given(laws(), st.sampled_from(ONE_PATH))
def test_chain_rule_where_sites_follow_from_the_tokens(law: JointLaw, text: str) -> None:
    calls = min(2, law.sites)
    error = decoding_error(law, decoded(law, text, calls).law)
    assert error == pytest.approx(expected_total_correlation(KnownLaw(law), parse(text), calls), abs=1e-11)


@settings(max_examples=30, deadline=None)
@given(laws(), st.sampled_from(("confidence", "entropy", "margin", "first-hitting", "random-order", "left-to-right")))
def test_one_site_at_a_time_is_exact_in_any_order(law: JointLaw, name: str) -> None:
    for ties in ("first", "random"):
        np.testing.assert_allclose(decoded(law, f"{name}:ties={ties}", law.sites).law.table, law.table, atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(laws(), st.floats(0, 1.5))
def test_entropy_bound_bounds_the_error(law: JointLaw, gamma: float) -> None:
    found = decoded(law, f"entropy-bound:gamma={gamma!r}", 1)
    # At most N calls, each within the budget.
    assert decoding_error(law, found.law) <= gamma * law.sites + 1e-9
    assert 1 - 1e-9 <= found.expected_calls <= found.worst_calls + 1e-9 <= law.sites + 1e-9


def test_entropy_bound_zero_is_exact_and_reveals_what_is_determined() -> None:
    law = copy_law([0.5, 0.5], 5)
    found = decoded(law, "entropy-bound:gamma=0", 1)
    assert found.expected_calls == pytest.approx(2)
    np.testing.assert_allclose(found.law.table, law.table, atol=1e-15)


def test_parity_is_decoded_exactly_by_an_entropy_bound() -> None:
    # All but the last hidden site are fair coins: the bound must forbid pairs (ln 2 each) until one site is left.
    law = parity_law(4)
    found = decoded(law, "entropy-bound:gamma=0.5", 1)
    np.testing.assert_allclose(found.law.table, law.table, atol=1e-15)
    assert found.expected_calls == pytest.approx(4)


def test_threshold_counts_calls() -> None:
    # z picks every site's symbol: the first call reveals one site (confidence 0.6), the second all the rest at once.
    law = copy_law([0.6, 0.4], 4)
    found = decoded(law, "threshold:theta=0.9", 1)
    assert found.expected_calls == pytest.approx(2)
    np.testing.assert_allclose(found.law.table, law.table, atol=1e-15)
    at_once = decoded(law, "threshold:theta=0.6", 1)
    assert at_once.expected_calls == pytest.approx(1)
    one_step = output_law(TableConditionals(law), one_shot(4))
    np.testing.assert_allclose(at_once.law.table, one_step.table, atol=1e-15)


def test_threshold_calls_depend_on_the_tokens() -> None:
    # x_0 = 0 (probability 0.7) fixes both others at 0; x_0 = 1 leaves them independent and fair on {1, 2}. All three
    # sites tie at 0.7, site 0 comes first; then one call finishes the sequence, or two do.
    table = np.zeros((3, 3, 3))
    table[0, 0, 0] = 0.7
    table[1, 1:, 1:] = 0.3 / 4
    found = decoded(JointLaw(table), "threshold:theta=0.9", 1)
    assert found.expected_calls == pytest.approx(0.7 * 2 + 0.3 * 3)
    assert found.worst_calls == 3
    np.testing.assert_allclose(found.law.table, table, atol=1e-15)


def test_candidates_are_biased_even_one_token_at_a_time_on_a_product_law() -> None:
    law = product_law(2, 3, 2)
    np.testing.assert_allclose(decoded(law, "confidence", 3).law.table, law.table, atol=1e-14)
    for name in ("maskgit", "llada", "dream"):
        assert decoding_error(law, decoded(law, name, 3).law) > 0.01
    # With ever more noise MaskGIT chooses sites at random, and is as biased as a random order: not at all.
    errors = [decoding_error(law, decoded(law, f"maskgit:tau={tau}", 3).law) for tau in (0.5, 2, 50)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 2e-3


def test_dream_wastes_a_call_and_ends_with_two_tokens_at_once() -> None:
    """With as many steps as sites: 0, 1, ..., 1, 2 sites, so that even an order that draws last is not exact."""
    law = copy_law([0.5, 0.5], 3)
    # Ties: site 0 in the second call; then sites 1 and 2, which are determined.
    found = decoded(law, "dream:score=margin", 3)
    assert found.expected_calls == pytest.approx(3)
    np.testing.assert_allclose(found.law.table, law.table, atol=1e-15)
    # On parity the last two sites come together and cost ln 2.
    parity = decoded(parity_law(3), "dream:score=margin", 3)
    assert decoding_error(parity_law(3), parity.law) == pytest.approx(log(2))
    assert decoding_error(parity_law(3), decoded(parity_law(3), "margin", 3).law) == pytest.approx(0, abs=1e-12)


def test_greedy_decoding_is_a_point_mass() -> None:
    law = random_law(51, 4, 3)
    assert sorted(decoded(law, "entropy:temperature=0", 4).law.probabilities)[-1] == 1
    with pytest.raises(InvalidInput, match="decoder = entropy"):
        expected_total_correlation(KnownLaw(law), parse("entropy:temperature=0"), 4)


def test_divergences_are_both_ways() -> None:
    law, other = random_law(1, 3, 2), random_law(2, 3, 2)
    found = divergences(law, other)
    p, q = law.probabilities, other.probabilities
    assert (found.kl, found.reverse_kl) == (kullback_leibler(p, q), kullback_leibler(q, p))
    assert found.total_variation == total_variation(p, q)
    with pytest.raises(InvalidInput, match="output"):
        divergences(law, random_law(1, 2, 2))


def test_a_network_can_be_decoded() -> None:
    def predict(tokens: np.ndarray) -> np.ndarray:
        ones = 0.3 + 0.4 * (tokens == 1).mean(axis=1)[:, None] + 0.01 * np.arange(4)
        return np.stack([1 - ones, ones], axis=2)

    network = ConditionalTables(FunctionConditionals(4, 2, predict))
    found = decode(network, parse("margin:sizes=cosine"), 2)
    assert found.law.probabilities.sum() == pytest.approx(1)
    assert found.expected_calls == pytest.approx(2)
    # While nothing but zeros is revealed every site prefers 0.
    assert decode(network, parse("margin:temperature=0"), 2).law.table[0, 0, 0, 0] == pytest.approx(1)


def test_the_information_of_a_known_law() -> None:
    law = copy_law([0.5, 0.5], 3)
    model = KnownLaw(law)
    np.testing.assert_allclose(model.information_curve(), [0, log(2), log(2), log(2)], atol=1e-14)
    assert model.best_sizes(2) == (1, 2)
    assert decoded(law, "random-order:sizes=optimal", 2).expected_calls == pytest.approx(2)
    np.testing.assert_allclose(decoded(law, "random-order:sizes=optimal", 2).law.table, law.table, atol=1e-15)
