"""C2 holds on small instances, and a reversed order or a wrong optimum is reported as violated."""

from __future__ import annotations

import pytest

import experiments.claims.c2_masking_more_is_more_efficient as c2
from experiments.claim import Verdict, no_progress
from experiments.records import compute, draw
from theory.parameters import build

SMALL = {"sites": 3, "instances": 2, "samples": 4000, "repetitions": 40}


def verdicts(**changes) -> list[Verdict]:
    findings = c2.compute(build(c2.Parameters, values={**SMALL, **changes}), 0, no_progress)
    return [check.verdict for check in findings.checks]


def test_holds_and_draws_every_figure() -> None:
    record = compute(c2.CLAIM, build(c2.Parameters, values=SMALL), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(c2.CLAIM, record, ("svg",))) == len(c2.CLAIM.figures)


def test_the_random_model_with_21_parameters_follows_the_order() -> None:
    findings = c2.compute(build(c2.Parameters, values={"instances": 1, "repetitions": 20}), 5, no_progress)
    assert [check.verdict for check in findings.checks] == [Verdict.HOLDS] * 5
    traces = findings.data["models"][0].trace
    assert len(traces) == 6
    assert traces == sorted(traces, reverse=True)


def test_a_reversed_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = c2.k_uniform
    monkeypatch.setattr(c2, "k_uniform", lambda sites, size: right(sites, sites + 1 - size))
    order, ratio, efficiency, independent, _ = verdicts()
    assert [order, ratio, efficiency, independent] == [Verdict.VIOLATED] * 4


def test_a_covariance_that_is_slightly_off_misses_the_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    right = c2.asymptotic_covariance
    monkeypatch.setattr(c2, "asymptotic_covariance", lambda *arguments: (1 + 1e-6) * right(*arguments))
    order, ratio, efficiency, independent, simulated = verdicts()
    assert (order, ratio, simulated) == (Verdict.HOLDS,) * 3
    assert (efficiency, independent) == (Verdict.VIOLATED,) * 2


def test_a_covariance_that_is_far_off_is_found_by_repeated_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    right = c2.asymptotic_covariance
    monkeypatch.setattr(c2, "asymptotic_covariance", lambda *arguments: 2 * right(*arguments))
    assert verdicts()[-1] is Verdict.VIOLATED


def test_estimates_at_infinity_leave_the_simulation_undecided() -> None:
    found = verdicts(samples=150, scale=0.6)
    assert found[-1] is Verdict.INCONCLUSIVE
    assert found[:-1] == [Verdict.HOLDS] * 4
