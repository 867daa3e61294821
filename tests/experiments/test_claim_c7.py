"""C7 holds at a small size, and planted falsehoods are reported as violated."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.claim import Findings, Verdict, no_progress, overall
from experiments.claims import c7_parallel_decoding_is_a_product_kernel as c7
from experiments.claims import load
from experiments.figures import render
from experiments.plain import from_plain, plain
from theory.parallel_decoding import ProductKernel, Transformer, transformer_for
from theory.parameters import build

SMALL = {"sites": (1, 3), "symbols": (2,), "kernels": 1, "ring": 3, "couplings": (0.0, 0.6), "starts": 1}


def small_findings() -> Findings:
    return c7.compute(build(c7.Parameters, values=SMALL), 1, no_progress)


@pytest.fixture(scope="module")
def true_findings() -> Findings:
    return small_findings()


def violated(findings: Findings) -> list[str]:
    return [check.name for check in findings.checks if check.verdict is Verdict.VIOLATED]


def test_the_claim_holds_and_is_registered(true_findings: Findings) -> None:
    claim = load("C7")
    assert claim is c7.CLAIM
    assert claim.name == c7.__name__.rpartition(".c7_")[2].replace("_", "-")
    findings = true_findings
    assert overall(findings.checks) is Verdict.HOLDS
    assert len(findings.table.rows) == 6
    # The claim is about something: at J = 0.6 and k = 3 parallel decoding loses a tenth of a nat and more.
    assert findings.data["losses"][-1].direct > 0.1


def test_the_same_seed_gives_the_same_findings(true_findings: Findings) -> None:
    assert plain(small_findings().data) == plain(true_findings.data)


def test_figures_are_drawn_from_plain_data(true_findings: Findings) -> None:
    data = from_plain(json.loads(json.dumps(plain(true_findings.data))))
    for spec in c7.CLAIM.figures:
        assert render(spec.draw(data), "svg").startswith(b"<?xml")


def test_a_corrupted_weight_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def corrupted(kernel: ProductKernel) -> Transformer:
        network = transformer_for(kernel)
        ((attention, layer),) = network.blocks
        weights = layer.weight_out.copy()
        weights[0, -1] += 1e-6
        return replace(network, blocks=((attention, replace(layer, weight_out=weights)),))

    monkeypatch.setattr(c7, "transformer_for", corrupted)
    assert violated(small_findings()) == ["Transformer against kernel, total variation of the worst row"]


def test_uniform_attention_instead_of_hard_attention_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def blurred(kernel: ProductKernel) -> Transformer:
        network = transformer_for(kernel)
        ((attention, layer),) = network.blocks
        return replace(network, blocks=((replace(attention, key=0 * attention.key), layer),))

    monkeypatch.setattr(c7, "transformer_for", blurred)
    names = violated(small_findings())
    assert "Transformer against kernel, total variation of the worst row" in names
    assert "loss of the constructed Transformer's parallel step against conditional total correlation" in names


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_wrong_prediction_is_reported(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    true = c7.conditional_total_correlation
    monkeypatch.setattr(c7, "conditional_total_correlation", lambda *a: factor * true(*a))
    names = violated(small_findings())
    assert "loss of the best product approximation against conditional total correlation" in names
    # A prediction that is too low is not reached, one that is too high is beaten.
    missed = "optimisation reaches the predicted loss"
    beaten = "no product kernel found by optimisation loses less"
    assert (missed in names, beaten in names) == (factor < 1, factor > 1)


def test_a_loss_that_forgets_the_block_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    # A "block update" that already moves its sites independently loses nothing.
    def independent(law: Any, masked: Any) -> np.ndarray:
        return c7.parallel_update(c7.TableConditionals(law), masked).to_matrix()

    monkeypatch.setattr(c7, "block_update", independent)
    assert "loss of the constructed Transformer's parallel step against conditional total correlation" in violated(
        small_findings()
    )


def test_shapes_beyond_the_limit_are_left_out() -> None:
    values = {**SMALL, "sites": (1, 2, 3, 8), "largest": 8}
    findings = c7.compute(build(c7.Parameters, values=values), 1, no_progress)
    assert [row.states for row in findings.data["realised"]] == [2, 4, 8]
