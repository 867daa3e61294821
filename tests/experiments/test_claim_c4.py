"""C4 holds on small instances; bounds that promise too much, and too few data sets, are told apart."""

from __future__ import annotations

import pytest

import experiments.claims.c4_classes as c4_classes
import experiments.claims.c4_finite_sample_bound as c4
from experiments.claim import Verdict, no_progress, overall
from experiments.records import compute, draw
from theory.parameters import build

SMALL = {
    "sites": 2,
    "laws": 8,
    "spread": 0.3,
    "masked": (1, 2),
    "samples": (300, 3000),
    "delta": 0.3,
    "repetitions": 40,
}


def verdicts(**changes) -> dict[str, Verdict]:
    findings = c4.compute(build(c4.Parameters, values={**SMALL, **changes}), 0, no_progress)
    return {check.name: check.verdict for check in findings.checks}


def test_holds_and_draws_every_figure() -> None:
    record = compute(c4.CLAIM, build(c4.Parameters, values=SMALL), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(c4.CLAIM, record, ("svg",))) == len(c4.CLAIM.figures)
    assert {case["count"] for case in record["data"]["cases"]} == {0}


def test_bounds_divided_by_a_large_factor_are_found_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("total_variation_bound", "observed_loss_bound", "excess_loss_bound", "uniform_deviation"):
        right = getattr(c4, name)
        monkeypatch.setattr(c4, name, lambda *arguments, right=right: right(*arguments) / 1000)
    found = verdicts(samples=(100,), spread=0.05, laws=30)
    for kind in ("finite class", "box of parameters"):
        assert found[f"{kind}: total variation above its bound"] is Verdict.VIOLATED
        assert found[f"{kind}: total variation, by the observed loss, above its bound"] is Verdict.VIOLATED
        assert found[f"{kind}: excess loss above its bound"] is Verdict.VIOLATED
    assert found["finite class: largest one-sided deviation over the class above its bound"] is Verdict.VIOLATED


def test_a_tensorization_constant_that_is_too_small_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = c4_classes.tensorization_upper_bound
    monkeypatch.setattr(c4_classes, "tensorization_upper_bound", lambda law, masks: max(1.0, right(law, masks) / 10))
    found = verdicts(masked=(1,))
    broken = [verdict for name, verdict in found.items() if "C_AT" in name]
    assert broken == [Verdict.VIOLATED] * 2


def test_few_data_sets_leave_the_violation_rate_undecided() -> None:
    findings = c4.compute(build(c4.Parameters, values={**SMALL, "delta": 0.05}), 0, no_progress)
    assert overall(findings.checks) is Verdict.INCONCLUSIVE
    assert all("of 40 data sets" in check.detail for check in findings.checks if "above its bound" in check.name)


def test_masks_larger_than_the_model_are_refused() -> None:
    with pytest.raises(c4.InvalidInput, match="masked"):
        verdicts(masked=(3,))
