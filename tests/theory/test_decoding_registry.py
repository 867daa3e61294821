"""What holds for every rule of the registry: listed successors and drawn ones have one law; options; ties; refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from tests.theory.decoding_laws import random_law
from theory.conditionals import FunctionConditionals, TableConditionals
from theory.decoding import enumeration
from theory.decoding.choices import Drawn
from theory.decoding.enumeration import decode, divergences, expected_total_correlation
from theory.decoding.ranking import RankedRule
from theory.decoding.registry import RULES, parse
from theory.decoding.rule import Predictor, Setting
from theory.decoding.sampling import sample
from theory.decoding.tables import ConditionalTables, FunctionPredictor, KnownLaw
from theory.errors import ExceedsMemory, InvalidInput
from theory.laws.joint import JointLaw
from theory.masks import k_uniform
from theory.parameters import describe
from theory.samplers import block_gibbs, k_parallel

FALSE_ALARM = 1e-6
"""Of each comparison of sampled counts with a law, by Pearson's statistic."""

ROWS = 4000

WHOLE_LAW = ("optimal", "treedepth", "ddpd", "noise=uniform")
"""What takes a known law of the whole sequence: no made-up conditionals, no blocks."""


def incompatible() -> Predictor:
    """Conditionals of no joint law: a site looks at the mean of the revealed tokens and at where they are."""

    def predict(tokens: np.ndarray) -> np.ndarray:
        seen = tokens < 3
        mean = np.where(seen, tokens, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        tilt = np.cos(3 * mean[:, None] + np.arange(4) + seen @ np.arange(4)[:, None])
        weights = np.exp(tilt[:, :, None] * np.arange(3) + 0.1 * np.arange(3) ** 2)
        return weights / weights.sum(axis=2, keepdims=True)

    return FunctionPredictor(4, 3, predict)


MODELS = {"zeros": lambda: KnownLaw(random_law(11, 4, 3, sparse=True)), "incompatible": incompatible}

VARIANTS = ("", "block=2", "temperature=0.5,top_p=0.9,ties=random", "temperature=0,ties=random,block=3")


def variants(name: str) -> list[str]:
    """The rule, and with every choice of its own options."""
    own = [
        f"{option}={choice}"
        for option, description in describe(RULES[name]).items()
        if option != "ties"
        for choice in description.rule.choices or ()
        if choice not in (description.default, "optimal")
    ]
    return [f"{name}:{options}" for options in (*VARIANTS, *own)]


def assert_drawn_from(counts: np.ndarray, law: np.ndarray, text: str) -> None:
    """Pearson's statistic; states expected fewer than 5 times are pooled."""
    expected = law * counts.sum()
    assert (counts[law == 0] == 0).all(), text
    rare = expected < 5
    observed = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    statistic = ((observed - wanted) ** 2 / wanted).sum()
    assert statistic < chi2.isf(FALSE_ALARM, max(len(wanted) - 1, 1)), text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", RULES)
def test_samples_have_the_enumerated_law(name: str, model: str) -> None:
    predictor = MODELS[model]()
    for text in variants(name):
        if any(part in text for part in WHOLE_LAW) and (model == "incompatible" or "block" in text):
            continue
        rule = parse(text)
        exact = decode(predictor, rule, 3)
        assert exact.law.probabilities.sum() == pytest.approx(1, abs=1e-12)
        drawn = sample(predictor, rule, 3, ROWS, np.random.default_rng(1))
        states = drawn.sequences @ 3 ** np.arange(3, -1, -1)
        assert_drawn_from(np.bincount(states, minlength=81), exact.law.probabilities, text)
        error = drawn.calls.std() / np.sqrt(ROWS)
        # Five standard errors: 6e-7 for each comparison.
        assert abs(drawn.calls.mean() - exact.expected_calls) <= 5 * error + 1e-9, text
        assert drawn.calls.max() <= exact.worst_calls, text
        assert exact.worst_calls >= exact.expected_calls - 1e-9, text


def test_a_sampler_of_another_law_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One token in ten that is drawn uniformly instead: Pearson's statistic sees it."""
    true = Drawn.tokens

    def careless(self: Drawn, laws: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return true(self, 0.9 * laws + 0.1 / laws.shape[-1], where)

    monkeypatch.setattr(Drawn, "tokens", careless)
    with pytest.raises(AssertionError):
        test_samples_have_the_enumerated_law("confidence", "zeros")
    with pytest.raises(AssertionError):
        test_samples_have_the_enumerated_law("llada", "incompatible")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_it_is(name: str) -> None:
    rule = RULES[name]
    assert rule.name == name
    assert rule.summary
    assert rule.source
    assert rule().looks_at in ("nothing", "revealed", "drawn")
    assert {"temperature", "top_p", "block", "ties"} <= set(describe(rule))
    assert all(description.rule.help for description in describe(rule).values())


@pytest.mark.parametrize("name", RULES)
def test_rules_that_do_not_look_at_drawn_tokens_keep_the_law_one_call_a_site(name: str) -> None:
    """One token a call is exact for rules that choose sites by what is revealed; others are biased."""
    law = random_law(3, 4, 3)
    rule = parse(name + (":gamma=0" if name == "entropy-bound" else ":theta=1" if name == "threshold" else ""))
    decoded = decode(KnownLaw(law), rule, 4)
    if rule.looks_at == "drawn" and not rule.remasks:
        assert divergences(law, decoded.law).kl > 0.01
    elif decoded.expected_calls > 4 - 1e-9 and getattr(rule, "draws_from_network", False):
        np.testing.assert_allclose(decoded.law.table, law.table, atol=1e-13)


@pytest.mark.parametrize("text", [n for n in RULES if getattr(RULES[n](), "draws_from_network", False)])
def test_total_correlations_give_the_error(text: str) -> None:
    law = random_law(9, 4, 2, sparse=True)
    model, rule = KnownLaw(law), parse(text)
    setting = Setting.of(model, 2)
    if rule.looks_at == "drawn":
        with pytest.raises(InvalidInput, match="decoder"):
            expected_total_correlation(model, rule, 2)
        return
    error = divergences(law, decode(model, rule, 2).law).kl
    predicted = expected_total_correlation(model, rule, 2)
    if isinstance(rule, RankedRule) and rule.replayable(setting):
        assert error == pytest.approx(predicted, abs=1e-12)
    else:
        assert error <= predicted + 1e-12


@pytest.mark.parametrize(
    "text", ["confidence", "margin:block=2", "threshold", "entropy-bound:block=3", "strided", "dream"]
)
def test_replay_is_the_enumerated_law(text: str) -> None:
    """q(x) as a product along the one path of x, for every x."""
    model = incompatible()
    rule = parse(
        text + (":" if ":" not in text else ",") + "temperature=0.8" if text != "dream" else "dream:score=margin"
    )
    setting = Setting.of(model, 3)
    assert isinstance(rule, RankedRule)
    sequences = np.stack(np.unravel_index(np.arange(81), (3,) * 4), axis=1)
    tokens, mass = np.full((81, 4), 3), np.ones(81)
    for step in range(rule.steps(setting)):
        laws = model.predict(tokens)
        chosen = rule.selected(setting, step, tokens, laws)
        picked = np.take_along_axis(rule.token_laws(laws), sequences[:, :, None], axis=2)[:, :, 0]
        mass = mass * np.where(chosen, picked, 1.0).prod(axis=1)
        tokens = np.where(chosen, sequences, tokens)
    np.testing.assert_allclose(mass, decode(model, rule, 3).law.probabilities, atol=1e-14)


def test_replay_refuses_what_has_no_single_path() -> None:
    model = incompatible()
    setting = Setting.of(model, 2)
    tokens = np.full((1, 4), 3)
    for text in ("random-order", "confidence:ties=random", "llada", "maskgit", "dream:score=margin,alg_temp=1"):
        rule = parse(text)
        assert isinstance(rule, RankedRule)
        with pytest.raises(InvalidInput, match="no single path"):
            rule.selected(setting, 0, tokens, model.predict(tokens))


def test_chain_steps_are_the_kernels_of_the_samplers() -> None:
    law = random_law(23, 3, 2)
    conditionals = TableConditionals(law)
    start = decode(KnownLaw(law), parse("one-shot"), 1).law.probabilities
    for text, kernel in (
        ("k-gibbs:k=1", block_gibbs(conditionals, k_uniform(3, 1))),
        ("k-gibbs:k=2", block_gibbs(conditionals, k_uniform(3, 2))),
        ("k-parallel:k=2", k_parallel(conditionals, k_uniform(3, 2))),
    ):
        after = decode(KnownLaw(law), parse(f"one-shot+{text},times=2"), 1)
        matrix = kernel.to_dense()
        np.testing.assert_allclose(after.law.probabilities, start @ matrix @ matrix, atol=1e-14)


def test_ties_of_sites() -> None:
    # Two independent fair pairs: every site ties, and which go together decides the error.
    pair = np.array([[0.5, 0], [0, 0.5]])
    law = JointLaw(np.einsum("ab,cd->abcd", pair, pair))
    model = KnownLaw(law)
    for name in ("confidence", "entropy", "margin"):
        # Sites 0 and 1 come first: copies of each other cost ln 2, then sites 2 and 3 cost ln 2 again.
        assert divergences(law, decode(model, parse(name), 2).law).kl == pytest.approx(2 * np.log(2))
        # Two of the six pairs are bad; given a state of p the mixture has mass 1/4 (4/6 + 2/6 / 4).
        mixed = decode(model, parse(f"{name}:ties=random"), 2).law
        assert divergences(law, mixed).kl == pytest.approx(-np.log(4 / 6 + 2 / 6 / 4))
    # All candidates tie too: ties at random make the rule a random order.
    for name in ("llada", "maskgit:sizes=uniform"):
        tied = decode(model, parse(name + ("," if ":" in name else ":") + "ties=random"), 2).law
        np.testing.assert_allclose(tied.table, decode(model, parse("random-order"), 2).law.table, atol=1e-15)


def test_ties_of_tokens_at_temperature_zero() -> None:
    law = JointLaw(np.array([[0.4, 0.1], [0.4, 0.1]]))
    first = decode(KnownLaw(law), parse("left-to-right:temperature=0"), 2).law
    np.testing.assert_array_equal(first.table, [[1, 0], [0, 0]])
    both = decode(KnownLaw(law), parse("left-to-right:temperature=0,ties=random"), 2).law
    np.testing.assert_array_equal(both.table, [[0.5, 0], [0.5, 0]])


def test_temperature_zero_is_the_limit_of_small_temperatures() -> None:
    law = random_law(13, 3, 3)
    for name in RULES:
        rule = RULES[name]
        if rule.remasks:
            continue
        limit = decode(KnownLaw(law), rule(temperature=0.0), 2).law
        near = decode(KnownLaw(law), rule(temperature=1e-3), 2).law
        if name == "dream":
            continue  # scores the untempered law at temperature 0, as released: not the limit
        np.testing.assert_allclose(near.table, limit.table, atol=1e-9, err_msg=name)


def test_a_block_as_wide_as_the_sequence_changes_nothing() -> None:
    law = random_law(17, 4, 2)
    for name in RULES:
        whole = decode(KnownLaw(law), parse(name), 2)
        wide = decode(KnownLaw(law), parse(f"{name}:block=4"), 2)
        np.testing.assert_array_equal(whole.law.table, wide.law.table)


def test_blocks_do_not_look_to_the_right() -> None:
    """Sites of a block get the law of the rule on the left part alone."""
    law = random_law(19, 4, 2)
    left = JointLaw(law.marginal((0, 1)))
    for name in RULES:
        if name in WHOLE_LAW:
            continue
        decoded = decode(KnownLaw(law), parse(f"{name}:block=2"), 4).law
        alone = decode(KnownLaw(left), parse(name), 2).law
        np.testing.assert_allclose(decoded.marginal((0, 1)), alone.table, atol=1e-13, err_msg=name)


def test_too_many_states_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enumeration, "MAXIMUM_STATES", 100)
    with pytest.raises(ExceedsMemory, match="sites = 4: masked-diffusion leads to 256 partial sequences"):
        decode(incompatible(), parse("masked-diffusion"), 3)
    # Confidences that are remembered keep nearly every successor apart, long before there are too many states.
    monkeypatch.setattr(enumeration, "MAXIMUM_STATES", 10**6)
    monkeypatch.setattr(enumeration, "MAXIMUM_SUCCESSORS", 2000)
    with pytest.raises(ExceedsMemory, match="sites = 4: remdm leads to over 2000 successors in a step"):
        decode(incompatible(), parse("remdm:schedule=conf"), 4)
    with pytest.raises(ExceedsMemory, match=r"sites = 40: the token laws of 3\^40 partial sequences would take"):
        ConditionalTables(FunctionConditionals(40, 2, lambda tokens: np.zeros((len(tokens), 40, 2))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beam", "decoder = beam: one of one-shot"),
        ("llada:theta=0.5", "option of llada = theta: one of temperature"),
        ("llada:temperature", "is written NAME=VALUE"),
        ("llada:temperature=-1", "temperature = -1.0: must be at least 0"),
        ("llada:temperature=warm", "temperature = warm"),
        ("llada:top_p=1.5", "top_p = 1.5: must be at most 1"),
        ("llada:remasking=high", "remasking = high: one of low_confidence, random"),
        ("threshold:theta=2", "theta = 2.0: must be at most 1"),
        ("factor:f=-1", "f = -1.0"),
        ("entropy-bound:gamma=-1", "gamma = -1.0"),
        ("entropy-bound:gamma=inf", "gamma = inf"),
        ("moment:tau=0", "tau = 0.0: must be above 0"),
        ("confidence:ties=last", "ties = last: one of first, random"),
        ("confidence:sizes=small", "sizes = small: one of uniform"),
        ("confidence:block=-1", "block = -1"),
    ],
)
def test_refused_texts(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert message in str(refused.value)


def test_refused_settings() -> None:
    model = incompatible()
    for text, calls, message in (
        ("llada", 5, "calls = 5: at most 4"),
        ("confidence", 0, "calls = 0: at least 1"),
        ("strided", 5, "calls = 5: at most 4"),
        ("optimal", 2, "decoder = optimal: the best schedule follows from a known law"),
        ("treedepth", 2, "decoder = treedepth: the graph is that of a known law"),
        ("random-order:sizes=optimal", 2, "sizes = optimal: the best sizes follow from a known law"),
        ("llada:block=2", 1, "block = 2: 1 calls are too few for 2 blocks"),
    ):
        with pytest.raises(InvalidInput) as refused:
            decode(model, parse(text), calls)
        assert message in str(refused.value)
    with pytest.raises(InvalidInput, match="shape"):
        FunctionPredictor(4, 3, lambda tokens: np.ones((1, 1, 1))).predict(np.full((2, 4), 3))
