"""C3 holds on small instances, and a wrong chain or a wrong information matrix is reported as violated."""

from __future__ import annotations

import numpy as np
import pytest

import experiments.claims.c3_efficiency_is_bounded_by_mixing as c3
from experiments.claim import Verdict, columns, no_progress
from experiments.records import compute, draw
from theory.masks import k_uniform
from theory.parameters import build

SMALL = {"sites": 3, "couplings": (0.0, 0.7), "masked": (1, 2)}


def verdicts(**changes) -> list[Verdict]:
    findings = c3.compute(build(c3.Parameters, values={**SMALL, **changes}), 0, no_progress)
    return [check.verdict for check in findings.checks]


def test_holds_and_draws_every_figure() -> None:
    record = compute(c3.CLAIM, build(c3.Parameters, values=SMALL), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(record["checks"]) == 5
    assert len(draw(c3.CLAIM, record, ("svg",))) == len(c3.CLAIM.figures)


def test_holds_at_strong_coupling_without_loss_of_precision() -> None:
    findings = c3.compute(build(c3.Parameters, values={**SMALL, "couplings": (-2.0, 3.0)}), 1, no_progress)
    assert [check.verdict for check in findings.checks] == [Verdict.HOLDS] * 4
    found = columns(findings.data["cases"])
    assert found["mixing"].max() > 1000
    assert np.median(found["largest"] / found["mixing"]) > 0.9  # the bound is nearly sharp


def test_a_chain_that_mixes_too_fast_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator of larger blocks than the learner's masks: its gap says nothing about the learner."""
    right = c3.block_gibbs
    monkeypatch.setattr(
        c3, "block_gibbs", lambda conditionals, masks: right(conditionals, k_uniform(masks.sites, masks.sites))
    )
    lower, upper, poincare, routes, attained = verdicts()
    assert (lower, routes) == (Verdict.HOLDS,) * 2
    assert (upper, poincare, attained) == (Verdict.VIOLATED,) * 3


def test_an_information_matrix_that_promises_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = c3.pseudolikelihood_information
    monkeypatch.setattr(
        c3, "pseudolikelihood_information", lambda family, theta, masks: right(family, theta, masks) * 1.5
    )
    lower, _, _, routes, attained = verdicts()
    assert (lower, routes, attained) == (Verdict.VIOLATED,) * 3


def test_masks_larger_than_the_model_are_refused() -> None:
    with pytest.raises(c3.InvalidInput, match="masked"):
        verdicts(masked=(4,))
