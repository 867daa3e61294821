"""N7 holds with stand-ins for the networks, and planted falsehoods are found."""

from __future__ import annotations

import numpy as np
import pytest

import experiments.claims.n7_trained_transformer_against_product_kernels as n7
from experiments.claim import Verdict, no_progress
from experiments.learned import Learning
from experiments.records import compute, draw
from tests.law_examples import with_noise
from theory.conditionals import ConditionalModel, TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, ising_on, named_graph, product_law, random_ising
from theory.masks import MaskLaw, k_uniform
from theory.parallel_decoding import block_update_gap
from theory.parameters import build

HOLDS, VIOLATED = Verdict.HOLDS, Verdict.VIOLATED
SMALL = {"ring": 3, "couplings": (0.5, 1.0), "kernel_sites": 2}


def noisy(law: JointLaw, masks: MaskLaw, learning: Learning, seed: int) -> ConditionalModel:
    """The exact conditionals, with noise on the log-odds that falls with the length of training."""
    return with_noise(TableConditionals(law), seed, 4 / np.sqrt(learning.steps))


def fair(law: JointLaw, *_: object) -> ConditionalModel:
    """Conditionals that know nothing."""
    return TableConditionals(product_law(np.full((law.sites, law.symbols), 1 / law.symbols)))


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n7, "learn", noisy)
    monkeypatch.setattr(n7, "untrained", fair)


def verdicts(**changes: object) -> list[Verdict]:
    findings = n7.compute(build(n7.Parameters, values={**SMALL, **changes}), 0, no_progress)
    return [check.verdict for check in findings.checks]


def test_holds_and_draws_every_figure() -> None:
    record = compute(n7.CLAIM, build(n7.Parameters, values=SMALL), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(n7.CLAIM, record, ("svg",))) == len(n7.CLAIM.figures)
    assert [check["power"] for check in record["checks"]] == [None, None, None, 1.0, 1.0, None, 1.0]
    floors = {row["target"]: row["floor"] for row in record["data"]["kernels"]}
    assert floors.pop("random product kernel") == pytest.approx(0.0, abs=1e-12)
    assert all(floor > 0.01 for floor in floors.values())


def test_exact_conditionals_lose_exactly_the_floor() -> None:
    law, masks = ising_on(named_graph("cycle", 3), 0.7, 0.1), k_uniform(3, 2)
    model = TableConditionals(law)
    assert n7._token_errors(law, model, masks) == 0.0
    assert n7._block_loss(law, model, masks) == pytest.approx(block_update_gap(law, masks), abs=1e-12)


def test_a_floor_that_is_too_high_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = n7.conditional_total_correlation
    monkeypatch.setattr(n7, "conditional_total_correlation", lambda *arguments: 1.05 * right(*arguments))
    assert verdicts(steps=(30, 100_000))[:3] == [VIOLATED, VIOLATED, HOLDS]


def test_a_loss_that_misses_part_of_the_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = n7.product_divergence
    monkeypatch.setattr(n7, "product_divergence", lambda *arguments: 0.9 * right(*arguments))
    assert verdicts(steps=(30, 100_000))[:3] == [VIOLATED, VIOLATED, VIOLATED]


def test_training_that_leads_away_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def worse(law: JointLaw, masks: MaskLaw, learning: Learning, seed: int) -> ConditionalModel:
        return noisy(law, masks, Learning(steps=9000 // learning.steps), seed)

    monkeypatch.setattr(n7, "learn", worse)
    assert verdicts()[:6] == [HOLDS] * 5 + [VIOLATED]


def test_networks_that_do_not_know_their_coupling_are_not_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    one = ising_on(named_graph("cycle", 3), 0.75, 0.1)
    monkeypatch.setattr(n7, "learn", lambda law, *rest: noisy(one if law.sites == 3 else law, *rest))
    assert verdicts()[6] is not HOLDS


def test_networks_that_do_not_look_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n7, "learn", fair)
    assert verdicts()[:5] == [HOLDS, HOLDS, HOLDS, VIOLATED, VIOLATED]


def test_one_length_of_training_is_refused() -> None:
    with pytest.raises(InvalidInput, match="steps"):
        verdicts(steps=(50, 50))


def test_the_stand_in_is_a_network_of_the_law() -> None:
    law = random_ising(3, np.random.default_rng(0), 0.5)
    model = noisy(law, k_uniform(3, 1), Learning(steps=10**12), 0)
    np.testing.assert_allclose(model.leave_one_out(), TableConditionals(law).leave_one_out(), atol=1e-5)
