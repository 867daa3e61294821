"""D2, D5 and D6 hold at small sizes, and planted falsehoods are reported as violated."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from experiments.claim import Claim, Findings, Verdict, no_progress, overall
from experiments.claims import d2_one_token_a_call as d2
from experiments.claims import d5_what_remasking_repairs as d5
from experiments.claims import d6_three_faces_agree as d6
from experiments.claims import load
from experiments.figures import render
from experiments.plain import from_plain, plain
from experiments.statistics import normal_limit
from theory.decoding.remasking import ForwardBackward, ReMDM
from theory.decoding.replay import Replayed, replay
from theory.decoding.rule import Predictor, Rule
from theory.decoding.sampling import Sampled, sample
from theory.masks import k_uniform
from theory.parameters import build
from theory.samplers import k_parallel

SMALL: dict[str, dict[str, Any]] = {
    "D2": {"sites": 3, "pairs": 3},
    "D5": {"sites": 3},
    "D6": {"sites": 3, "symbols": 2, "rows": 1000, "repeats": 30, "variants": 1},
}

MODULES: dict[str, ModuleType] = {"D2": d2, "D5": d5, "D6": d6}


def findings(claim: str, **changes: Any) -> Findings:
    loaded: Claim = load(claim)
    return loaded.compute(build(loaded.parameters, values=SMALL[claim] | changes), 1, no_progress)


def violated(found: Findings) -> set[str]:
    return {check.name for check in found.checks if check.verdict is Verdict.VIOLATED}


@pytest.fixture(scope="module")
def true_findings() -> dict[str, Findings]:
    return {claim: findings(claim) for claim in SMALL}


@pytest.mark.parametrize("claim", SMALL)
def test_the_claim_holds_and_is_registered(claim: str, true_findings: dict[str, Findings]) -> None:
    assert load(claim) is MODULES[claim].CLAIM
    assert load(claim).name == MODULES[claim].__name__.rpartition(f".{claim.lower()}_")[2].replace("_", "-")
    assert overall(true_findings[claim].checks) is Verdict.HOLDS
    assert true_findings[claim].table.rows
    assert any(character.isdigit() for character in true_findings[claim].learned)
    for check in true_findings[claim].checks:
        assert not check.informative or (check.alternative and check.power > 0.25), check.name


@pytest.mark.parametrize("claim", SMALL)
def test_the_same_seed_gives_the_same_findings(claim: str, true_findings: dict[str, Findings]) -> None:
    assert plain(findings(claim).data) == plain(true_findings[claim].data)


@pytest.mark.parametrize("claim", SMALL)
def test_figures_are_drawn_from_plain_data(claim: str, true_findings: dict[str, Findings]) -> None:
    data = from_plain(json.loads(json.dumps(plain(true_findings[claim].data))))
    for spec in load(claim).figures:
        assert render(spec.draw(data), "svg").startswith(b"<?xml")


def test_d2_sees_a_rule_that_is_in_the_wrong_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d2, "REVEALED_ONLY", (*d2.REVEALED_ONLY, "llada"))
    monkeypatch.setattr(d2, "DRAWN_FIRST", tuple(text for text in d2.DRAWN_FIRST if text != "llada"))
    assert violated(findings("D2")) == {
        "rules that look at revealed tokens only: KL(p‖q) with one token a call",
        "what the rules say that they look at",
    }


def test_d2_sees_an_exact_rule_called_biased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d2, "DRAWN_FIRST", (*d2.DRAWN_FIRST, "random-order"))
    assert "rules that look at drawn tokens: KL(p‖q) with one token a call, on the law where it is largest" in violated(
        findings("D2")
    )


def test_d2_sees_a_closed_form_that_keeps_both_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d2, "pair_law", lambda law, noise: np.outer(law.table.sum(axis=1), law.table.sum(axis=0)))
    assert violated(findings("D2")) == {"two sites, likelier candidate first: enumerated law against the closed form"}


@pytest.fixture
def few_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cheap ones of the rules that remask by confidence."""
    monkeypatch.setattr(d5, "CONFIDENT", ("p2", "remdm:schedule=conf"))


@pytest.mark.usefixtures("few_rules")
def test_d5_sees_tokens_that_are_not_drawn_from_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d5, "BLIND", (*d5.BLIND, "forward-backward:tail=argmax"))
    assert "independent sites: KL(p‖q) of rules that remask without looking at tokens" in violated(findings("D5"))


@pytest.mark.usefixtures("few_rules")
def test_d5_sees_calls_that_forget_the_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ForwardBackward.rates

    def forgetful(rule: Any, setting: Any, number: int, state: Any) -> Any:
        opens, closes = honest(rule, setting, number, state)
        # The prediction asks with one row, the enumeration with a row of each state.
        return (opens, 0.0) if len(state.tokens) == 1 and number > 0 else (opens, closes)

    monkeypatch.setattr(ForwardBackward, "rates", forgetful)
    assert violated(findings("D5")) == {"expected calls of rules that do not look, against a recursion for one site"}


@pytest.mark.usefixtures("few_rules")
def test_d5_sees_remasking_that_is_not_masked_diffusion_without_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ReMDM.rates
    monkeypatch.setattr(
        ReMDM, "rates", lambda rule, setting, number, state: honest(_stronger(rule), setting, number, state)
    )
    assert "ReMDM with eta = 0 against masked diffusion: total variation" in violated(findings("D5"))


def _stronger(rule: ReMDM) -> ReMDM:
    return ReMDM(schedule=rule.schedule, eta=min(1.0, rule.eta + 0.3), alpha_on=rule.alpha_on)


@pytest.mark.usefixtures("few_rules")
def test_d5_sees_another_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(d5.CHAINS, "k-gibbs", k_parallel)
    assert violated(findings("D5")) == {
        "chain steps: total variation between the enumerated law and the chain's matrix power"
    }
    monkeypatch.setitem(d5.CHAINS, "k-gibbs", lambda model, masks: k_parallel(model, k_uniform(model.sites, 1)))
    assert "chain steps: total variation between the enumerated law and the chain's matrix power" in violated(
        findings("D5")
    )


def test_d6_states_the_power_that_samples_have() -> None:
    """2,000 tables of 500 samples of the wrong law: 4 binomial standard errors, and 0.03 for the approximation."""
    generator = np.random.default_rng(0)
    law, weights = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.46, 0.29, 0.17, 0.08])
    counts = generator.multinomial(500, weights / weights.sum(), size=2000)
    beyond = np.mean([d6._pearson(row, law) > normal_limit(0.05) for row in counts])
    assert d6.pearson_power(law, weights, 500, 0.05) == pytest.approx(beyond, abs=0.03 + 4 * np.sqrt(0.25 / 2000))
    assert d6.pearson_power(law, law, 500, 0.05) == pytest.approx(0.05)


def test_d6_sees_samples_of_another_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    def cooler(model: Predictor, rule: Rule, calls: int, count: int, generator: np.random.Generator) -> Sampled:
        return sample(model, replace(rule, temperature=0.7), calls, count, generator)

    monkeypatch.setattr(d6, "sample", cooler)
    assert "sampled sequences against the enumerated law: Pearson's statistic as a normal deviation" in violated(
        findings("D6")
    )


def test_d6_sees_a_replay_that_forgets_the_last_factor_and_calls_that_are_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shorter(*arguments: Any) -> Replayed:
        found = replay(*arguments)
        return Replayed(found.sequences, found.log_probability / 2, found.divergence, found.calls)

    def free(*arguments: Any) -> Sampled:
        found = sample(*arguments)
        return Sampled(found.sequences, found.calls - 1)

    monkeypatch.setattr(d6, "replay", shorter)
    monkeypatch.setattr(d6, "sample", free)
    assert violated(findings("D6")) == {
        "rules with one path: replayed q(x) against the enumerated law, every x",
        "rules with random paths: the mean of the replayed products against q(x), in standard errors",
        "sampled calls against the expected calls, in standard errors",
    }
