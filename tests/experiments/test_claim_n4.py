"""N4 holds on a small instance; bounds that promise too much and a wrong prediction for the minimiser are found."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from flax import nnx

import experiments.claims.n4_finite_sample_bound_against_training as n4
from experiments.claim import Verdict, no_progress
from experiments.learned import Learning, new_network
from experiments.records import compute, draw
from simulators.gmlm.build import build as build_network
from simulators.gmlm.networks import MLPConfig
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, random_ising
from theory.parameters import build

HOLDS, VIOLATED, INCONCLUSIVE = Verdict.HOLDS, Verdict.VIOLATED, Verdict.INCONCLUSIVE
SMALL = {"sites": 2, "samples": (500, 5000), "seeds": 2, "repetitions": 40, "width": 4, "bits": 8}


@pytest.fixture(autouse=True)
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models as they start: uniform conditionals for the family, random ones for the network."""
    monkeypatch.setattr(n4, "train_network", lambda *arguments: None)


def verdicts(**changes: object) -> list[Verdict]:
    findings = n4.compute(build(n4.Parameters, values={**SMALL, **changes}), 0, no_progress)
    return [check.verdict for check in findings.checks]


def test_holds_and_draws_every_figure() -> None:
    record = compute(n4.CLAIM, build(n4.Parameters, values=SMALL), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(n4.CLAIM, record, ("svg",))) == len(n4.CLAIM.figures)
    for row in record["data"]["models"]:
        # An untrained model is worse than the truth on its data set, and the bound is told so.
        assert 0 < row["shortfall"] < row["excess_bound"]


def test_a_bound_that_forgets_the_training_shortfall_or_is_divided_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = n4.excess_loss_bound
    monkeypatch.setattr(n4, "excess_loss_bound", lambda *arguments: right(*arguments[:5]) / 300)
    # The network's distance is bounded by its excess loss, and falls with it.
    assert verdicts(samples=(5000,)) == [VIOLATED, VIOLATED, HOLDS]


def test_a_law_far_from_its_bound_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n4, "total_variation_bound", lambda *arguments: 1e-3)
    assert verdicts(samples=(5000,)) == [HOLDS, VIOLATED, HOLDS]


def test_a_wrong_prediction_for_the_minimiser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = n4.asymptotic_covariance
    monkeypatch.setattr(n4, "asymptotic_covariance", lambda *arguments: 3 * right(*arguments))
    assert verdicts() == [HOLDS, HOLDS, VIOLATED]


def test_data_without_a_minimiser_leave_the_prediction_open() -> None:
    row = n4.Minimisers(samples=5, infinite=1, mean=math.inf, error=1.0, trace=1.0)
    assert n4._minimiser_check(row, build(n4.Parameters, values=SMALL)).verdict is INCONCLUSIVE


def test_a_floor_above_the_truth_is_refused() -> None:
    with pytest.raises(InvalidInput, match="floor"):
        verdicts(floor=0.4)


def test_losses_are_the_mean_of_minus_the_log_of_every_conditional() -> None:
    law = random_ising(3, np.random.default_rng(0), 0.7)
    found = n4._losses(TableConditionals(law))
    for number, sequence in enumerate(law.sequences):
        logs = []
        for site in range(3):
            other = sequence.copy()
            other[site] = 1 - other[site]
            here, there = law.table[tuple(sequence)], law.table[tuple(other)]
            logs.append(-np.log(here / (here + there)))
        assert found[number] == pytest.approx(np.mean(logs), rel=1e-12)


def test_rounding_leaves_as_many_values_as_it_says() -> None:
    network = build_network(MLPConfig(3, 2, width=8), seed=0)
    n4._round(network, 3, 1.0)
    leaves = jax.tree.leaves(nnx.state(network, nnx.Param))
    values = np.unique(np.concatenate([np.ravel(leaf) for leaf in leaves]))
    assert set(np.round((values + 1) * 3.5, 5)) <= set(range(8))


def test_a_family_network_needs_a_family() -> None:
    law = JointLaw(np.full((2, 2), 0.25))
    with pytest.raises(InvalidInput, match="network"):
        new_network(law, Learning("family"), 0)
