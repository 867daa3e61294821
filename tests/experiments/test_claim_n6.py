"""N6 holds, is open or is violated as the attention says, with stand-ins for the networks."""

from __future__ import annotations

import numpy as np
import pytest

import experiments.claims.n6_attention_follows_dependence as n6
from experiments.claim import Verdict, no_progress
from experiments.learned import Learning
from experiments.records import compute, draw
from theory.conditionals import TableConditionals
from theory.dependence import conditional_mutual_information
from theory.laws import JointLaw, random_ising, random_law
from theory.parameters import build

HOLDS, VIOLATED, INCONCLUSIVE = Verdict.HOLDS, Verdict.VIOLATED, Verdict.INCONCLUSIVE
SMALL = {"sites": 5, "seeds": 3, "draws": 400}


def reading(sign: float, model: JointLaw | None = None) -> object:
    """A stand-in for `read`: attention is noise plus ``sign`` times what it should follow."""

    def read(law: JointLaw, learning: object, seed: int) -> tuple[n6.Reading, n6.Reading]:
        generator = np.random.default_rng(seed)
        noise = generator.uniform(size=(2, law.sites, law.sites))
        follows = sign * conditional_mutual_information(law)
        before = n6.Reading(noise, TableConditionals(random_law(law.sites, 2, generator)))
        return before, n6.Reading(0.002 * noise + follows, TableConditionals(law if model is None else model))

    return read


def verdicts() -> list[Verdict]:
    findings = n6.compute(build(n6.Parameters, values=SMALL), 0, no_progress)
    return [check.verdict for check in findings.checks]


def test_holds_and_draws_every_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n6, "read", reading(1.0))
    record = compute(n6.CLAIM, build(n6.Parameters, values=SMALL), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(n6.CLAIM, record, ("svg",))) == len(n6.CLAIM.figures)
    attention = [f"{n6.ATTENTION}, {when}" for when in (n6.UNTRAINED, n6.TRAINED)]
    assert [row["reading"] for row in record["data"]["rankings"]] == [
        *attention,
        "layer 1",
        "layer 2",
        n6.PREDICTIONS,
        f"{n6.PREDICTIONS}, {n6.UNTRAINED}",
    ]
    assert [check["power"] for check in record["checks"]] == [None, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("sign", "verdict"), [(0.0, INCONCLUSIVE), (-1.0, VIOLATED)])
def test_attention_elsewhere_is_not_taken_for_a_success(
    monkeypatch: pytest.MonkeyPatch, sign: float, verdict: Verdict
) -> None:
    monkeypatch.setattr(n6, "read", reading(sign))
    assert verdicts() == [HOLDS, HOLDS, verdict, HOLDS]


def test_predictions_of_another_law_are_not_taken_for_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n6, "read", reading(1.0, random_law(5, 2, np.random.default_rng(1))))
    found = verdicts()
    assert found[1] is not HOLDS
    assert found[3] is VIOLATED


def test_a_wrong_instrument_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = n6.revealed_information
    monkeypatch.setattr(n6, "read", reading(1.0))
    monkeypatch.setattr(n6, "revealed_information", lambda *arguments: 1.001 * right(*arguments))
    assert verdicts()[0] is VIOLATED


def test_a_trained_transformer_is_read() -> None:
    law = random_ising(3, np.random.default_rng(0), 0.5)
    before, after = n6.read(law, Learning(width=8, steps=20, batch=16), 0)
    assert before.attention.shape == after.attention.shape == (1, 3, 3)
    np.testing.assert_allclose(after.attention.sum(axis=2), 1.0, atol=1e-6)
    assert np.abs(after.attention - before.attention).max() > 1e-4
    assert np.abs(after.model.leave_one_out() - before.model.leave_one_out()).max() > 1e-4
