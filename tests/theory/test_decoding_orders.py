"""Rules that look at the tokens: exact laws against a recursive decision tree, a Monte Carlo run and closed forms."""

from __future__ import annotations

from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.decoding_laws import copy_law, laws, parity_law, product_law, random_law
from theory.conditionals import FunctionConditionals, TableConditionals
from theory.decoding import (
    SCORES,
    ConfidenceThreshold,
    EntropyBudget,
    MaskedDiffusion,
    RandomOrder,
    SampledConfidence,
    ScoredOrder,
    Sizes,
    UnmaskingRule,
    cosine_sizes,
    decode,
    decoding_error,
    masked_diffusion,
    mean_total_correlation,
    mixture_output_law,
    one_shot,
    output_law,
    random_order,
    rule_total_correlation,
    uniform_sizes,
)
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw


def token_law(law: JointLaw, partial: dict[int, int], site: int) -> list[float]:
    """p(x_site | partial) by summing the table."""
    masses = []
    for symbol in range(law.symbols):
        fixed = {**partial, site: symbol}
        masses.append(float(law.table[tuple(fixed.get(i, slice(None)) for i in range(law.sites))].sum()))
    total = sum(masses)
    return [m / total for m in masses] if total > 0 else [1 / law.symbols] * law.symbols


def site_score(name: str, tokens: list[float]) -> float:
    if name == "max probability":
        return round(max(tokens), 12)
    if name == "entropy":
        return round(sum(p * log(p) for p in tokens if p > 0), 12)
    ordered = sorted(tokens)
    return round(ordered[-1] - ordered[-2], 12)


def literal_tree(law: JointLaw, score: str, sizes: tuple[int, ...]) -> np.ndarray:
    """Output law of the scored order with ties to the lowest site: the decision tree, node by node."""
    result = np.zeros(law.table.shape)

    def walk(partial: dict[int, int], step: int, mass: float) -> None:
        if step == len(sizes):
            result[tuple(partial[i] for i in range(law.sites))] += mass
            return
        tokens = {i: token_law(law, partial, i) for i in range(law.sites) if i not in partial}
        block = sorted(tokens, key=lambda i: (-site_score(score, tokens[i]), i))[: sizes[step]]
        for drawn in product(range(law.symbols), repeat=len(block)):
            factor = np.prod([tokens[i][a] for i, a in zip(block, drawn, strict=True)])
            walk({**partial, **dict(zip(block, drawn, strict=True))}, step + 1, mass * float(factor))

    walk({}, 0, 1.0)
    return result


@pytest.mark.parametrize("score", sorted(SCORES))
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 2), (1, 3), (3, 1), (1, 2, 1), (4,)])
@pytest.mark.parametrize("sparse", [False, True])
def test_scored_order_is_the_literal_decision_tree(score: str, sizes: tuple[int, ...], sparse: bool) -> None:
    law = random_law(21, 4, 2 if sparse else 3, sparse)
    decoded = decode(TableConditionals(law), ScoredOrder(score, Sizes(sizes)))
    np.testing.assert_allclose(decoded.law.table, literal_tree(law, score, sizes), atol=1e-14)
    assert decoded.expected_calls == pytest.approx(len(sizes))


@settings(max_examples=40, deadline=None)
@given(laws(), st.sampled_from(sorted(SCORES)), st.data())
def test_chain_rule_of_deterministic_content_rules(law: JointLaw, score: str, data: st.DataObject) -> None:
    amount = data.draw(
        st.sampled_from(
            [Sizes(uniform_sizes(law.sites, min(2, law.sites))), EntropyBudget(0.3)]
            + ([ConfidenceThreshold(0.7)] if score == "max probability" else [])
        )
    )
    rule = ScoredOrder(score, amount)
    error = decoding_error(law, decode(TableConditionals(law), rule).law)
    assert error == pytest.approx(rule_total_correlation(law, rule), abs=1e-11)


@settings(max_examples=30, deadline=None)
@given(laws(), st.sampled_from(sorted(SCORES)))
def test_one_site_at_a_time_is_exact_in_any_adaptive_order(law: JointLaw, score: str) -> None:
    for ties in ("first", "random"):
        rule = ScoredOrder(score, Sizes((1,) * law.sites), ties)
        np.testing.assert_allclose(decode(TableConditionals(law), rule).law.table, law.table, atol=1e-14)


@pytest.mark.parametrize("sizes", [(4,), (1, 3), (2, 2), (1, 1, 2)])
def test_random_order_is_the_mixture_of_its_schedules(sizes: tuple[int, ...]) -> None:
    law = random_law(31, 4, 2)
    model = TableConditionals(law)
    listed = random_order(4, sizes)
    decoded = decode(model, RandomOrder(sizes))
    np.testing.assert_allclose(decoded.law.table, mixture_output_law(model, listed).table, atol=1e-14)
    mean = mean_total_correlation(law, listed)
    assert rule_total_correlation(law, RandomOrder(sizes)) == pytest.approx(mean, abs=1e-12)
    assert decoding_error(law, decoded.law) <= mean + 1e-12


@pytest.mark.parametrize("weights", [[1.0], [0.25, 0.75], [0.2, 0.0, 0.3, 0.5], [0.5, 0.5, 0.0]])
def test_masked_diffusion_is_the_mixture_of_its_schedules(weights: list[float]) -> None:
    law = random_law(32, 3, 3)
    model = TableConditionals(law)
    listed = masked_diffusion(3, weights)
    decoded = decode(model, MaskedDiffusion(weights))
    np.testing.assert_allclose(decoded.law.table, mixture_output_law(model, listed).table, atol=1e-14)
    assert decoded.expected_calls == pytest.approx(listed.mean_length)
    bound = rule_total_correlation(law, MaskedDiffusion(weights))
    assert bound == pytest.approx(mean_total_correlation(law, listed), abs=1e-12)


def literal_sampled_confidence(law: JointLaw, sizes: tuple[int, ...]) -> np.ndarray:
    result = np.zeros(law.table.shape)

    def walk(partial: dict[int, int], step: int, mass: float) -> None:
        if step == len(sizes):
            result[tuple(partial[i] for i in range(law.sites))] += mass
            return
        tokens = {i: token_law(law, partial, i) for i in range(law.sites) if i not in partial}
        for drawn in product(range(law.symbols), repeat=len(tokens)):
            value = dict(zip(tokens, drawn, strict=True))
            factor = float(np.prod([tokens[i][a] for i, a in value.items()]))
            block = sorted(value, key=lambda i: (-round(tokens[i][value[i]], 12), i))[: sizes[step]]
            if factor > 0:
                walk({**partial, **{i: value[i] for i in block}}, step + 1, mass * factor)

    walk({}, 0, 1.0)
    return result


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 1), (1, 2), (3,)])
@pytest.mark.parametrize("symbols", [2, 3])
def test_sampled_confidence_is_the_literal_tree(sizes: tuple[int, ...], symbols: int) -> None:
    law = random_law(41, 3, symbols)
    decoded = decode(TableConditionals(law), SampledConfidence(sizes))
    np.testing.assert_allclose(decoded.law.table, literal_sampled_confidence(law, sizes), atol=1e-14)


def test_sampled_confidence_is_biased_even_one_token_at_a_time() -> None:
    law = product_law(2, 3, 2)
    exact = decode(TableConditionals(law), ScoredOrder("max probability", Sizes((1, 1, 1)))).law
    favoured = decode(TableConditionals(law), SampledConfidence((1, 1, 1))).law
    np.testing.assert_allclose(exact.table, law.table, atol=1e-14)
    assert decoding_error(law, favoured) > 0.01


def test_greedy_decoding_is_a_point_mass() -> None:
    law = random_law(51, 4, 3)
    decoded = decode(TableConditionals(law), ScoredOrder("entropy", Sizes((1,) * 4), temperature=0))
    assert sorted(decoded.law.probabilities)[-1] == 1
    with pytest.raises(InvalidInput, match="temperature"):
        rule_total_correlation(law, ScoredOrder("entropy", Sizes((1,) * 4), temperature=0))


def test_threshold_counts_calls() -> None:
    # z picks every site's symbol: the first call reveals one site (confidence 0.6), the second all the rest at once.
    law = copy_law([0.6, 0.4], 4)
    decoded = decode(TableConditionals(law), ScoredOrder("max probability", ConfidenceThreshold(0.9)))
    assert decoded.expected_calls == pytest.approx(2)
    np.testing.assert_allclose(decoded.law.table, law.table, atol=1e-15)
    at_once = decode(TableConditionals(law), ScoredOrder("max probability", ConfidenceThreshold(0.6)))
    assert at_once.expected_calls == pytest.approx(1)
    one_step = output_law(TableConditionals(law), one_shot(4))
    np.testing.assert_allclose(at_once.law.table, one_step.table, atol=1e-15)


def test_threshold_calls_depend_on_the_tokens() -> None:
    # x_0 = 0 (probability 0.7) fixes both others at 0; x_0 = 1 leaves them independent and fair on {1, 2}. All three
    # sites tie at 0.7, site 0 comes first; then one call finishes the sequence, or two do.
    table = np.zeros((3, 3, 3))
    table[0, 0, 0] = 0.7
    table[1, 1:, 1:] = 0.3 / 4
    decoded = decode(TableConditionals(JointLaw(table)), ScoredOrder("max probability", ConfidenceThreshold(0.9)))
    assert decoded.expected_calls == pytest.approx(0.7 * 2 + 0.3 * 3)
    np.testing.assert_allclose(decoded.law.table, table, atol=1e-15)


@settings(max_examples=40, deadline=None)
@given(laws(), st.floats(0, 1.5))
def test_entropy_budget_bounds_the_error(law: JointLaw, budget: float) -> None:
    rule = ScoredOrder("entropy", EntropyBudget(budget))
    decoded = decode(TableConditionals(law), rule)
    # At most N calls, each within the budget.
    assert decoding_error(law, decoded.law) <= budget * law.sites + 1e-9
    assert 1 - 1e-9 <= decoded.expected_calls <= law.sites + 1e-9


def test_zero_budget_is_exact_and_reveals_what_is_determined() -> None:
    law = copy_law([0.5, 0.5], 5)
    decoded = decode(TableConditionals(law), ScoredOrder("entropy", EntropyBudget(0.0)))
    assert decoded.expected_calls == pytest.approx(2)
    np.testing.assert_allclose(decoded.law.table, law.table, atol=1e-15)


def test_random_ties_are_invariant_and_first_ties_are_not() -> None:
    # On parity every order has the same error, so look at which sites go together: two independent fair pairs.
    pair = np.array([[0.5, 0], [0, 0.5]])
    law = JointLaw(np.einsum("ab,cd->abcd", pair, pair))
    crossed = JointLaw(np.einsum("ac,bd->abcd", pair, pair))
    sizes = Sizes((2, 2))
    errors = {
        (name, ties): decoding_error(table, decode(TableConditionals(table), ScoredOrder("entropy", sizes, ties)).law)
        for name, table in (("paired", law), ("crossed", crossed))
        for ties in ("first", "random")
    }
    # Sites 0 and 1 come first: copies of each other cost ln 2, then sites 2 and 3 cost ln 2 again.
    assert errors["paired", "first"] == pytest.approx(2 * log(2))
    assert errors["crossed", "first"] == pytest.approx(0, abs=1e-13)
    assert errors["paired", "random"] == pytest.approx(errors["crossed", "random"])
    # Two of the six pairs are bad; given a state of p the mixture has mass 1/4 (4/6 + 2/6 / 4).
    assert errors["paired", "random"] == pytest.approx(-log(4 / 6 + 2 / 6 / 4))


def simulate(model: TableConditionals, rule: UnmaskingRule, generator: np.random.Generator) -> tuple[int, ...]:
    partial: dict[int, int] = {}
    for step in range(rule.horizon(model.sites)):
        if len(partial) == model.sites:
            break
        hidden = tuple(i for i in range(model.sites) if i not in partial)
        revealed = sorted(partial)
        context = int(sum(partial[i] * model.symbols ** (len(revealed) - 1 - n) for n, i in enumerate(revealed)))
        options = []
        for block, weights in rule.transitions(step, hidden, model.token_conditionals(hidden)):
            for value, mass in zip(product(range(model.symbols), repeat=len(block)), weights[context], strict=True):
                options.append((dict(zip(block, value, strict=True)), mass))
        masses = np.array([mass for _, mass in options])
        partial.update(options[generator.choice(len(options), p=masses / masses.sum())][0])
    return tuple(partial[i] for i in range(model.sites))


def test_decoding_agrees_with_simulation() -> None:
    law = random_law(61, 3, 2)
    model = TableConditionals(law)
    rule = ScoredOrder("margin", Sizes((2, 1)), "random")
    exact = decode(model, rule).law
    generator = np.random.default_rng(5)
    runs = 2000
    counts = np.zeros(exact.table.shape)
    for _ in range(runs):
        counts[simulate(model, rule, generator)] += 1
    # Pearson's statistic over 8 states; its 1e-6 quantile for 7 degrees of freedom is 40.5 (false-alarm rate 1e-6).
    assert ((counts - runs * exact.table) ** 2 / (runs * exact.table)).sum() < 40.5


def test_a_network_can_be_decoded() -> None:
    def predict(tokens: np.ndarray) -> np.ndarray:
        ones = 0.3 + 0.4 * (tokens == 1).mean(axis=1)[:, None] + 0.01 * np.arange(4)
        return np.stack([1 - ones, ones], axis=2)

    decoded = decode(FunctionConditionals(4, 2, predict), ScoredOrder("margin", Sizes(cosine_sizes(4, 2))))
    assert decoded.law.probabilities.sum() == pytest.approx(1)
    assert decoded.expected_calls == pytest.approx(2)


def test_parity_is_decoded_exactly_by_an_entropy_budget() -> None:
    # All but the last hidden site are fair coins: the budget must forbid pairs (ln 2 each) until one site is left.
    law = parity_law(4)
    decoded = decode(TableConditionals(law), ScoredOrder("entropy", EntropyBudget(0.5)))
    np.testing.assert_allclose(decoded.law.table, law.table, atol=1e-15)
    assert decoded.expected_calls == pytest.approx(4)


def test_refusals() -> None:
    model = TableConditionals(random_law(1, 3, 2))
    for rule in (RandomOrder((2, 2)), SampledConfidence((1, 1)), ScoredOrder("margin", Sizes((4,)))):
        with pytest.raises(InvalidInput, match="sizes"):
            decode(model, rule)
    with pytest.raises(InvalidInput, match="score"):
        ScoredOrder("confidence", Sizes((3,)))
    with pytest.raises(InvalidInput, match="score"):
        ScoredOrder("margin", ConfidenceThreshold(0.5))
    with pytest.raises(InvalidInput, match="threshold"):
        ConfidenceThreshold(1.5)
    with pytest.raises(InvalidInput, match="budget"):
        EntropyBudget(-1.0)
    with pytest.raises(InvalidInput, match="ties"):
        SampledConfidence((3,), "last")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="temperature"):
        ScoredOrder("margin", Sizes((3,)), temperature=float("nan"))
