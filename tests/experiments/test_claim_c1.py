"""C1 holds on small instances, and a wrong matrix or a wrong covariance is reported as violated."""

from __future__ import annotations

import numpy as np
import pytest

import experiments.claims.c1_information_matrix_equality as c1
from experiments.claim import Verdict, no_progress, overall
from experiments.plain import plain
from experiments.records import compute, draw
from theory.parameters import build

SMALL = {
    "sites": 3,
    "instances": 1,
    "directions": 2,
    "learned_sites": 3,
    "masks_per_sample": 2,
    "samples": (4000,),
    "repetitions": 40,
}


def verdicts(**changes) -> dict[str, Verdict]:
    findings = c1.compute(build(c1.Parameters, values={**SMALL, **changes}), 0, no_progress)
    return {check.name: check.verdict for check in findings.checks}


def test_holds_and_draws_every_figure() -> None:
    record = compute(c1.CLAIM, build(c1.Parameters, values=SMALL), 1, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(c1.CLAIM, record, ("svg",))) == len(c1.CLAIM.figures)


def test_the_same_seed_gives_the_same_findings() -> None:
    parameters = build(c1.Parameters, values={**SMALL, "repetitions": 20})
    first, second = (c1.compute(parameters, 3, no_progress) for _ in range(2))
    assert plain(first.data) == plain(second.data)
    assert list(first.checks) == list(second.checks)


def test_a_wrong_information_matrix_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = c1.exact.pseudolikelihood_information
    monkeypatch.setattr(c1.exact, "pseudolikelihood_information", lambda *arguments: 1.001 * right(*arguments))
    found = verdicts(repetitions=20)
    assert found["Hessian of L against E[s sᵀ]"] is Verdict.VIOLATED
    assert found["curvature of L by finite differences against vᵀ E[s sᵀ] v"] is Verdict.VIOLATED
    assert found["E[s sᵀ] against E_K E[Cov(T | x_-K)]"] is Verdict.VIOLATED


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_covariance_is_found_by_repeated_learning(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    right = c1.asymptotic_covariance
    monkeypatch.setattr(c1, "asymptotic_covariance", lambda *arguments: factor * right(*arguments))
    found = verdicts()
    whitened = [verdict for name, verdict in found.items() if "whitened" in name]
    assert whitened == [Verdict.VIOLATED] * 4


def test_forgetting_the_sandwich_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every mask averaged, the covariance for one mask is far too large at k = 1."""
    right = c1.asymptotic_covariance
    monkeypatch.setattr(c1, "asymptotic_covariance", lambda family, theta, masks, _: right(family, theta, masks, 1))
    found = verdicts(repetitions=100)
    assert found["mean squared whitened error, one mask"] is Verdict.HOLDS
    assert found["mean squared whitened error, all masks"] is Verdict.VIOLATED
    assert found["n Var of each parameter against Γ, standardised deviation"] is Verdict.VIOLATED


def test_estimates_at_infinity_leave_the_limit_undecided() -> None:
    findings = c1.compute(build(c1.Parameters, values={**SMALL, "samples": (60,)}), 0, no_progress)
    assert overall(findings.checks) is Verdict.INCONCLUSIVE
    assert any("no finite optimum" in check.detail for check in findings.checks)
    np.testing.assert_array_less(0, [case.infinite for case in findings.data["learned"][:1]])


def test_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(c1.InvalidInput, match="masked"):
        verdicts(masked=4)


def test_the_equality_fails_on_a_family_that_lacks_the_truth() -> None:
    found = verdicts()
    assert [v for name, v in found.items() if "lacks the truth" in name or "equality fails" in name] == [
        Verdict.HOLDS
    ] * 2


def test_a_truth_inside_the_family_is_not_taken_for_misspecified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c1.misfit, "MISFIT", 0.0)
    name = "there the equality fails: the inverse Hessian alone is rejected as covariance"
    assert verdicts()[name] is not Verdict.HOLDS
