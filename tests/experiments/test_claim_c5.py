"""C5 holds at a small size, and planted falsehoods are reported as violated."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.claim import Findings, Verdict, no_progress, overall
from experiments.claims import c5_functional_inequalities as c5
from experiments.claims import load
from experiments.figures import render
from experiments.plain import from_plain, plain
from theory.chains import DenseOperator
from theory.inequalities import PoincareConstant, TensorizationConstant
from theory.parameters import build

SMALL = {
    "sites": 3,
    "couplings": (0.0, 0.8),
    "potts_sites": 2,
    "potts_couplings": (0.7,),
    "probes": 30,
    "starts": 0,
    "iterations": 30,
    "curvature_states": 8,
    "pairs": 40,
}


def small_findings(**changes: Any) -> Findings:
    return c5.compute(build(c5.Parameters, values={**SMALL, **changes}), 1, no_progress)


def violated(findings: Findings) -> set[str]:
    return {check.name for check in findings.checks if check.verdict is Verdict.VIOLATED}


def test_the_claim_holds_and_is_registered() -> None:
    claim = load("C5")
    assert claim is c5.CLAIM
    assert claim.name == c5.__name__.rpartition(".c5_")[2].replace("_", "-")
    findings = small_findings()
    assert overall(findings.checks) is Verdict.HOLDS
    assert len(findings.checks) == 15
    # Two rings and one disordered Ising at three mask sizes; Potts, table and product at two.
    assert len(findings.table.rows) == 3 * 3 + 3 * 2


def test_the_same_seed_gives_the_same_findings() -> None:
    assert plain(small_findings().data) == plain(small_findings().data)


def test_figures_are_drawn_from_plain_data() -> None:
    data = from_plain(json.loads(json.dumps(plain(small_findings().data))))
    for spec in c5.CLAIM.figures:
        assert render(spec.draw(data), "svg").startswith(b"<?xml")


def test_figures_without_curvature() -> None:
    data = from_plain(json.loads(json.dumps(plain(small_findings(curvature_states=0).data))))
    for spec in c5.CLAIM.figures:
        assert render(spec.draw(data), "svg").startswith(b"<?xml")


def test_an_overlap_that_is_too_large_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted falsehood: a masking that shows three times less of the difference between sequences."""
    right = c5.overlap.tensorization_upper_bounds
    monkeypatch.setattr(
        c5.overlap,
        "tensorization_upper_bounds",
        lambda *arguments: {
            name: bound / (3 if name == "Dobrushin coefficient" else 1) for name, bound in right(*arguments).items()
        },
    )
    first, *_ = c5.overlap.checks(c5.overlap.measure(40, np.random.default_rng(0)), 1e-9)
    assert first.verdict is Verdict.VIOLATED


def test_a_lazy_sampler_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that stays where it is half of the time has half of the gap that the masks promise."""
    true = c5.block_gibbs

    def lazy(model: Any, masks: Any) -> DenseOperator:
        matrix = true(model, masks).to_dense()
        return DenseOperator((np.eye(len(matrix)) + matrix) / 2, True, model.law.probabilities)

    monkeypatch.setattr(c5, "block_gibbs", lazy)
    names = violated(small_findings())
    assert "C_P times the gap of the sampler's own matrix" in names
    assert "variance ratio of the slowest eigenfunction over C_P" in names


def test_a_poincare_constant_that_is_too_small_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true = c5.poincare_constant

    def shrunk(law: Any, masks: Any) -> PoincareConstant:
        found = true(law, masks)
        return replace(found, value=0.9 * found.value)

    monkeypatch.setattr(c5, "poincare_constant", shrunk)
    names = violated(small_findings())
    assert "variance ratio of the slowest eigenfunction over C_P" in names
    assert "variance ratio of random functions over C_P" in names
    assert "product laws: C_P over N/k" in names


def test_a_poincare_constant_that_is_too_large_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true = c5.poincare_constant

    def grown(law: Any, masks: Any) -> PoincareConstant:
        found = true(law, masks)
        return replace(found, value=1.1 * found.value)

    monkeypatch.setattr(c5, "poincare_constant", grown)
    assert "entropy ratio of laws near q over C_P" in violated(small_findings())


def test_an_entropy_constant_that_is_too_small_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tempting guess C_AT = C_P is false off the product laws: some law exceeds it."""
    true = c5.approximate_tensorization

    def guessed(*arguments: Any) -> TensorizationConstant:
        found = true(*arguments)
        return replace(found, upper=found.poincare)

    monkeypatch.setattr(c5, "approximate_tensorization", guessed)
    assert violated(small_findings()) == {"entropy ratio of any law over the certified upper end"}


def test_a_bracket_without_its_logarithm_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c5, "complete_graph_factor", lambda mass: 1.0)
    assert violated(small_findings()) == {"entropy ratio of any law over the bracket"}


@pytest.mark.parametrize(("field", "name"), list(c5.GAP_BOUNDS.items()))
def test_an_inflated_gap_bound_is_reported(monkeypatch: pytest.MonkeyPatch, field: str, name: str) -> None:
    true = c5._gap_bounds

    def inflated(*arguments: Any) -> dict[str, float]:
        bounds = true(*arguments)
        return {**bounds, field: 1.2 * bounds[field]}

    monkeypatch.setattr(c5, "_gap_bounds", inflated)
    assert violated(small_findings()) == {f"gap bound by {name} against the exact absolute gap"}
