"""D1, D3 and D4 hold at small sizes, and planted falsehoods are reported as violated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.claim import Findings, Verdict, no_progress, overall
from experiments.claims import d1_exact_in_treedepth_many_calls as d1
from experiments.claims import d3_confidence_against_random_orders as d3
from experiments.claims import d4_entropy_bound as d4
from experiments.claims import load
from experiments.figures import render
from experiments.plain import from_plain, plain
from theory.decoding import Schedule
from theory.decoding.scored import EntropyBound
from theory.decoding.treedepth import chain_schedule
from theory.parameters import build

SMALL: dict[Any, dict[str, Any]] = {
    d1: {"sites": 5, "laws": 2, "long_sites": 40, "symbols": 3},
    d3: {"sites": 32, "samples": 60},
    d4: {"sites": 4, "long_sites": 24, "symbols": 4, "samples": 40},
}


def found(module: Any, **changes: Any) -> Findings:
    return module.compute(build(module.Parameters, values={**SMALL[module], **changes}), 0, no_progress)


def violated(findings: Findings) -> set[str]:
    return {check.name for check in findings.checks if check.verdict is Verdict.VIOLATED}


@pytest.mark.parametrize("module", [d1, d3, d4])
def test_the_claim_holds_is_registered_and_drawn_from_plain_data(module: Any) -> None:
    claim = load(module.CLAIM.id)
    assert claim is module.CLAIM
    findings = found(module)
    assert overall(findings.checks) is Verdict.HOLDS, violated(findings)
    assert any(character.isdigit() for character in findings.learned)
    for check in findings.checks:
        assert not check.informative or (check.alternative and check.power > 0.25), check.name
    data = from_plain(plain(findings.data))
    for figure in claim.figures:
        assert len(render(figure.draw(data), "png")) > 5000


def test_d1_sees_a_schedule_that_merges_two_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    def merged(sites: int, order: int = 1) -> Schedule:
        *rest, first, second = chain_schedule(sites, order).steps
        return Schedule(sites, (*rest, first + second))

    monkeypatch.setattr(d1, "chain_schedule", merged)
    assert {
        "treedepth schedules: total variation to p",
        "the same at length: KL(p‖q)",
        "a chain of order 1 takes ceil(log2(N + 1)) calls",
    } <= violated(found(d1))


def test_d3_sees_decoders_that_are_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    record = d3.decode_record
    swapped = {"confidence": "random-order", "random-order": "confidence"}

    def exchanged(*arguments: Any, **options: Any) -> dict[str, Any]:
        result = record(*arguments, **options)
        for row in result["decoders"]:
            row["decoder"] = swapped.get(row["decoder"], row["decoder"])
        return result

    monkeypatch.setattr(d3, "decode_record", exchanged)
    assert len([name for name in violated(found(d3)) if "confidence costs more" in name]) == 4


def test_d3_sees_an_urn_whose_orders_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(d3.AT_LENGTH, "urn", d3.AT_LENGTH["markov"])
    assert "urn: every order costs the same" in violated(found(d3))


def test_d3_compares_along_the_same_sequences() -> None:
    """A difference that no sequence lacks is seen where both intervals overlap."""
    generator = np.random.default_rng(0)
    shared = generator.normal(10, 5, size=50)
    costs = [
        {"law": "a law", "decoder": name, "kl": rows.mean(), "low": rows.mean() - 1.4, "high": rows.mean() + 1.4}
        | {"rows": rows}
        for name, rows in (("dear", shared + generator.normal(1, 0.3, size=50)), ("cheap", shared))
    ]
    check = d3._worse("dear costs more", costs, "a law", "dear", "cheap")
    assert (check.verdict, check.power) == (Verdict.HOLDS, pytest.approx(1.0, abs=1e-6))
    assert d3._worse("cheap costs more", costs, "a law", "cheap", "dear").verdict is Verdict.VIOLATED
    unpaired = [{**cost, "rows": None} for cost in costs]
    assert d3._worse("dear costs more", unpaired, "a law", "dear", "cheap").verdict is Verdict.INCONCLUSIVE


def test_d4_sees_a_sampler_that_spends_more_than_gamma(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(EntropyBound):
        def counts(self, setting: Any, number: int, keys: np.ndarray) -> np.ndarray:
            return np.maximum((keys > -np.inf).sum(axis=1), 1)

    monkeypatch.setattr(d4, "EntropyBound", Careless)
    assert "KL(p‖q) ≤ γ × calls, at length" in violated(found(d4))
