"""C9 holds at a small size, and planted falsehoods are reported as violated."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments.claim import Findings, Verdict, no_progress, overall
from experiments.claims import c9_unmasking_schedules as c9
from experiments.claims import load
from experiments.decoding import speed_quality
from experiments.figures import render
from experiments.plain import from_plain, plain
from theory.conditionals import ConditionalModel, TemperedConditionals
from theory.decoding import Frontier, Schedule, one_shot, output_law, parse
from theory.laws import JointLaw
from theory.parameters import build

IDENTITY = "random schedules: KL(p‖q_S) against the sum of total correlations"
OPTIMUM = "no random schedule beats the optimal one of its length"
IN_TURN = "one token at a time in random orders: total variation to p"
ORDERS = "optimal, left-to-right, confidence and entropy orders: KL(p‖q) against total correlations"
CONVEXITY = "random orders and masked diffusion: KL(p‖E_S q_S) against the mean of KL(p‖q_S)"
MEANS = "no mean over random orders beats the optimal schedule"
END = "N steps leave no error"

SMALL = {"sites": 4, "symbols": 2, "schedules": 5, "random_laws": 4}


def small_findings(**changes: Any) -> Findings:
    return c9.compute(build(c9.Parameters, values={**SMALL, **changes}), 1, no_progress)


@pytest.fixture(scope="module")
def true_findings() -> Findings:
    return small_findings()


def violated(findings: Findings) -> set[str]:
    return {check.name for check in findings.checks if check.verdict is Verdict.VIOLATED}


def test_the_claim_holds_and_is_registered(true_findings: Findings) -> None:
    claim = load("C9")
    assert claim is c9.CLAIM
    assert claim.name == c9.__name__.rpartition(".c9_")[2].replace("_", "-")
    findings = true_findings
    assert overall(findings.checks) is Verdict.HOLDS
    assert {IDENTITY, OPTIMUM, IN_TURN, ORDERS, CONVEXITY, MEANS, END} <= {check.name for check in findings.checks}
    assert len(findings.table.rows) == 4 * 4
    # The claim is about something: two parallel steps cost a twentieth of a nat and more on every benchmark.
    for frontier in findings.data["frontiers"]:
        assert frontier["series"][1]["measured"][1] > 0.05


@pytest.mark.parametrize("changes", [{"symbols": 3}, {"sites": 3, "coupling": 0.0}, {"stay": 1.0, "agree": 1.0}])
def test_the_claim_holds_at_the_edges(changes: dict[str, Any]) -> None:
    findings = small_findings(**changes)
    assert overall(findings.checks) is Verdict.HOLDS
    for spec in c9.CLAIM.figures:
        spec.draw(from_plain(plain(findings.data)))


def test_the_same_seed_gives_the_same_findings(true_findings: Findings) -> None:
    assert plain(small_findings().data) == plain(true_findings.data)


def test_figures_are_drawn_from_plain_data(true_findings: Findings) -> None:
    data = from_plain(json.loads(json.dumps(plain(true_findings.data))))
    for spec in c9.CLAIM.figures:
        assert render(spec.draw(data), "svg").startswith(b"<?xml")


def test_an_output_law_that_forgets_the_context_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c9, "output_law", lambda model, schedule: output_law(model, one_shot(schedule.sites)))
    assert violated(small_findings()) == {IDENTITY, IN_TURN}


def test_tempered_conditionals_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    # The identity is about the exact conditionals: one per cent of temperature is seen.
    def tempered(model: ConditionalModel, schedule: Schedule) -> JointLaw:
        return output_law(TemperedConditionals(model, 1.01), schedule)

    monkeypatch.setattr(c9, "output_law", tempered)
    assert {IDENTITY, IN_TURN} <= violated(small_findings())


def _without_the_last_step(true: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: true(*arguments)[:-1]


def test_a_dropped_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c9, "total_correlations", _without_the_last_step(c9.total_correlations))
    assert violated(small_findings()) == {IDENTITY}


def test_a_dropped_step_of_the_blocks_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true = speed_quality.total_correlations
    monkeypatch.setattr(speed_quality, "total_correlations", _without_the_last_step(true))
    assert violated(small_findings()) == {ORDERS}


def test_a_wrong_decision_tree_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true = speed_quality.expected_total_correlation
    monkeypatch.setattr(speed_quality, "expected_total_correlation", lambda *a: true(*a) * (1 + 1e-6))
    assert violated(small_findings()) == {ORDERS}


@pytest.mark.parametrize("name", ["random_order_error", "masked_diffusion_error"])
def test_a_bound_that_is_too_small_is_reported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    true = getattr(speed_quality, name)
    monkeypatch.setattr(speed_quality, name, lambda *a: 0.5 * true(*a))
    assert CONVEXITY in violated(small_findings())


def test_a_suboptimal_optimum_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true = c9.optimal_schedules

    def one_step_more(entropies: Any) -> Frontier:
        # Claims for T steps what only T - 1 steps were searched for.
        frontier = true(entropies)
        return Frontier(np.concatenate([frontier.errors[:1], frontier.errors[:-1]]), frontier.schedules)

    monkeypatch.setattr(c9, "optimal_schedules", one_step_more)
    assert {OPTIMUM, ORDERS, MEANS} <= violated(small_findings(schedules=40))


def test_decoding_that_ends_early_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    # All decoders are replaced by a single parallel step: N "steps" leave the error of one.
    true = speed_quality.decode
    monkeypatch.setattr(speed_quality, "decode", lambda model, rule, calls: true(model, parse("one-shot"), 1))
    assert {ORDERS, END} <= violated(small_findings())
