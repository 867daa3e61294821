"""C6 holds at a small size, and planted falsehoods are reported as violated."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from experiments.claim import Findings, Verdict, no_progress, overall
from experiments.claims import c6_entropy_contraction_and_mixing as c6
from experiments.claims import load
from experiments.figures import render
from experiments.plain import from_plain, plain
from theory.chains import DenseOperator, TransitionOperator
from theory.inequalities import TensorizationConstant
from theory.parameters import build
from theory.samplers import k_parallel

SMALL = {
    "sites": 3,
    "couplings": (0.0, 0.6),
    "starts": 5,
    "steps": 20,
    "iterations": 10,
    "small_laws": 2,
    "temperatures": (0.5, 1.0, 1.5),
    "large_sites": (50, 100),
    "ring_sites": (4,),
    "ring_masks": (1,),
}
CONTRACTION = "factor by which the divergence shrinks in one step against 1 − 1/C_AT"
LOSS = "divergence lost in a step against the local divergence before it"


@cache
def usual_findings() -> Findings:
    return small_findings()


def small_findings(**changes: Any) -> Findings:
    return c6.compute(build(c6.Parameters, values={**SMALL, **changes}), 1, no_progress)


def violated(findings: Findings) -> set[str]:
    return {check.name for check in findings.checks if check.verdict is Verdict.VIOLATED}


def test_the_claim_holds_and_is_registered() -> None:
    claim = load("C6")
    assert claim is c6.CLAIM
    assert claim.name == c6.__name__.rpartition(".c6_")[2].replace("_", "-")
    findings = usual_findings()
    assert overall(findings.checks) is Verdict.HOLDS
    assert len(findings.checks) == 21
    # Four laws of three sites, each at three mask sizes and two distances.
    assert len(findings.table.rows) == 4 * 3 * 2
    assert {row.uncertainty for row in findings.data["mixing"]} == {0.0}


def test_a_largest_factor_below_what_a_law_shows_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted falsehood: the factor of χ² instead of the proved upper end."""
    right = c6.one_step.step_contraction
    monkeypatch.setattr(
        c6.one_step, "step_contraction", lambda *arguments: replace(right(*arguments[:-1]), upper=0.2, lower=0.1)
    )
    checks = c6.one_step.checks(c6.one_step.measure(2, np.random.default_rng(0)), 1e-8)
    assert {check.verdict for check in checks} == {Verdict.VIOLATED}


def test_the_same_seed_gives_the_same_findings() -> None:
    assert plain(small_findings().data) == plain(usual_findings().data)


@pytest.mark.parametrize("changes", [{}, {"couplings": (1.5,), "epsilons": (0.1,), "starts": 0}], ids=["usual", "one"])
def test_figures_are_drawn_from_plain_data(changes: dict[str, Any]) -> None:
    data = from_plain(json.loads(json.dumps(plain((small_findings(**changes) if changes else usual_findings()).data))))
    for spec in c6.CLAIM.figures:
        assert render(spec.draw(data), "svg").startswith(b"<?xml")


def test_a_lazy_kernel_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that stays where it is half of the time loses too little divergence, and mixes too slowly at k = N."""
    true = c6.block_gibbs

    def lazy(*arguments: Any) -> TransitionOperator:
        matrix = true(*arguments).to_dense()
        return DenseOperator((np.eye(len(matrix)) + matrix) / 2)

    monkeypatch.setattr(c6, "block_gibbs", lazy)
    assert {
        LOSS,
        CONTRACTION,
        "exact mixing time over the upper bound by path coupling",
    } <= violated(small_findings())


def test_a_kernel_with_another_stationary_law_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel decoding in the place of joint redraws: it settles elsewhere, so the divergence stops shrinking."""

    class Parallel(DenseOperator):
        def __init__(self, matrix: Any, reversible: Any, stationary: Any) -> None:
            super().__init__(matrix)

    monkeypatch.setattr(c6, "block_gibbs", k_parallel)
    monkeypatch.setattr(c6, "DenseOperator", Parallel)
    assert {LOSS, CONTRACTION} <= violated(small_findings())


def test_an_entropy_constant_that_is_too_small_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true = c6.approximate_tensorization

    def shrunk(*arguments: Any) -> TensorizationConstant:
        found = true(*arguments)
        return replace(found, lower=found.lower / 4, upper=found.upper / 4)

    monkeypatch.setattr(c6, "approximate_tensorization", shrunk)
    assert CONTRACTION in violated(small_findings(couplings=(0.0,)))


@pytest.mark.parametrize(
    ("function", "end", "factor", "name"),
    [
        ("entropy_contraction_bounds", 1, 0.2, "upper bound by entropy contraction"),
        ("relaxation_time_bounds", 1, 0.3, "upper bound by relaxation time"),
        ("relaxation_time_bounds", 0, 4.0, "lower bound by relaxation time"),
        ("bottleneck_bounds", 0, 4.0, "lower bound by bottleneck ratio"),
    ],
)
def test_a_bound_with_a_wrong_constant_is_reported(
    monkeypatch: pytest.MonkeyPatch, function: str, end: int, factor: float, name: str
) -> None:
    true = getattr(c6, function)

    def wrong(*arguments: float) -> tuple[float, float]:
        bounds = list(true(*arguments))
        bounds[end] *= factor
        return (bounds[0], bounds[1])

    monkeypatch.setattr(c6, function, wrong)
    found = violated(small_findings())
    assert len(found) == 1
    assert name in found.pop()


def test_coupling_bounds_that_promise_too_much_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true_coupling, true_dobrushin = c6.path_coupling, c6.dobrushin
    monkeypatch.setattr(c6, "path_coupling", lambda *a: replace(true_coupling(*a), rate=0.99))
    monkeypatch.setattr(c6, "dobrushin", lambda model: replace(true_dobrushin(model), matrix=np.zeros((1, 1))))
    assert violated(small_findings()) == {
        "exact mixing time over the upper bound by path coupling",
        "exact mixing time over the upper bound by Dobrushin's influence matrix",
    }
