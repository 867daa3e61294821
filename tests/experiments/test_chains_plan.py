"""The matrix-free analysis gives the record of the dense one; the plan chooses, explains and refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from experiments.chains import plan as chain_plan
from experiments.chains.analysis import analyse, analyse_matrix_free
from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import build_chain, build_law
from experiments.chains.plan import DENSE_STATES, ChainPlan, plan_chain, surely_irreducible
from tests.experiments.command_line import run
from theory.chains import DenseOperator, TransitionOperator
from theory.laws import JointLaw, parity_law
from theory.masks import Listed, MaskLaw, k_uniform, parse_masks

RING = ModelSpec("ising", sites=8, coupling=0.5, field=0.1)
SMALL_RING = ModelSpec("ising", sites=6, coupling=0.5, field=0.1)
CASES = [
    (RING, "k-gibbs", "k-uniform:k=1"),
    (RING, "k-gibbs", "k-uniform:k=3"),
    (RING, "k-gibbs", "bernoulli:ratio=0.3"),
    (SMALL_RING, "k-parallel", "k-uniform:k=2"),
    (SMALL_RING, "metropolis-hastings", "k-uniform:k=2"),
    (RING, "independent-parallel", None),
    (RING, "systematic-scan", None),
    (ModelSpec("potts", sites=5, symbols=3, coupling=0.4), "k-gibbs", "k-uniform:k=2"),
    (ModelSpec("strong-clique", sites=8, clique=4, coupling=0.3, field=0.05), "k-gibbs", "k-uniform:k=2"),
    (ModelSpec("random-ising", sites=7, coupling=0.3, seed=2), "k-gibbs", "k-uniform:k=1"),
    (ModelSpec("random", sites=4, symbols=3, seed=1), "k-gibbs", "k-uniform:k=1"),
    (ModelSpec("hmm", sites=6, coupling=0.8), "k-parallel", "k-uniform:k=3"),
]
NO_SYMMETRY = ("random", "random-ising")


def chain_of(spec: ModelSpec, sampler: str, text: str | None) -> tuple[JointLaw, TransitionOperator, MaskLaw | None]:
    law = build_law(spec)
    masks = None if text is None else parse_masks(text, law.sites)
    return law, build_chain(law, sampler, masks), masks


@pytest.fixture
def few_states_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_plan, "DENSE_STATES", 32)
    monkeypatch.setattr("theory.chains.mixing.FEW_STATES", 0)


@pytest.mark.parametrize(("spec", "sampler", "text"), CASES)
@pytest.mark.usefixtures("few_states_are_many")
def test_both_methods_give_the_same_record(spec: ModelSpec, sampler: str, text: str | None) -> None:
    law, operator, masks = chain_of(spec, sampler, text)
    plan = plan_chain(law, operator, sampler, masks, 1.0, spec)
    assert plan.method == "matrix-free"
    assert plan.alike is not None
    block_masks = masks if sampler == "k-gibbs" else None
    dense = analyse(law, operator, block_masks=block_masks)
    found = analyse_matrix_free(law, operator, plan.alike, block_masks=block_masks)
    assert set(found) == {*dense, "residuals"}
    assert max(found["residuals"].values()) <= 1e-8
    exact = {"states", "epsilon", "mixing_time", "mixing_time_certain", "closed_classes", "transient_states", "periods"}
    for name in exact:
        assert found[name] == dense[name], name
    for name in ("spectral_gap", "absolute_spectral_gap", "stationary_tv_to_target", "stationary_kl_to_target"):
        assert found[name] == pytest.approx(dense[name], abs=1e-8), name
    assert found["relaxation_time"] == pytest.approx(dense["relaxation_time"], rel=1e-6)
    # What a matrix shows and an operator does not say is left open, not guessed.
    assert found["reversible"] in (dense["reversible"], None)
    for name, (lower, upper) in found["mixing_time_bounds"].items():
        assert (lower or 0) <= found["mixing_time"] <= (np.inf if upper is None else upper)
        if name != "bottleneck":
            dense_lower, dense_upper = dense["mixing_time_bounds"][name]
            assert lower == pytest.approx(dense_lower, rel=1e-6), name
            assert upper == (None if dense_upper is None else pytest.approx(dense_upper, rel=1e-6)), name
    if found["bottleneck_ratio"] is not None:
        assert found["bottleneck_ratio"] >= 0
        assert found["mixing_time_bounds"]["bottleneck"][0] <= found["mixing_time"]


@pytest.mark.parametrize(("spec", "sampler", "text"), CASES)
@pytest.mark.usefixtures("few_states_are_many")
def test_one_start_per_orbit_gives_the_worst_case_over_all_starts(
    spec: ModelSpec, sampler: str, text: str | None
) -> None:
    law, operator, masks = chain_of(spec, sampler, text)
    plan = plan_chain(law, operator, sampler, masks, 1.0, spec)
    assert plan.alike is not None
    everywhere = np.arange(law.states)
    if sampler == "systematic-scan" or spec.model in NO_SYMMETRY:
        assert np.array_equal(plan.alike, everywhere)
        assert "no symmetry" in plan.reason
    else:
        assert plan.orbits < law.states / 3
        assert "symmetries" in plan.reason
    for epsilon in (0.25, 0.05):
        reduced = analyse_matrix_free(law, operator, plan.alike, epsilon)["mixing_time"]
        assert reduced == analyse_matrix_free(law, operator, everywhere, epsilon)["mixing_time"]


def test_few_states_are_analysed_densely() -> None:
    law, operator, masks = chain_of(RING, "k-gibbs", "k-uniform:k=1")
    plan = plan_chain(law, operator, "k-gibbs", masks, 1.0, RING)
    assert (plan.method, plan.alike) == ("dense", None)
    assert "256 states are few" in plan.reason
    assert len(plan.lines()) == 2


@pytest.mark.usefixtures("few_states_are_many")
def test_a_chain_that_may_be_reducible_falls_back_to_its_matrix() -> None:
    law, operator, masks = chain_of(RING, "confidence-remasking", "k-uniform:k=2")
    plan = plan_chain(law, operator, "confidence-remasking", masks, 1.0, RING)
    assert plan.method == "dense"
    assert "irreducible" in plan.reason


@pytest.mark.parametrize("sampler", ["k-gibbs", "k-parallel", "metropolis-hastings", "systematic-scan"])
def test_irreducibility_is_claimed_only_where_it_is_sure(sampler: str) -> None:
    law = build_law(RING)
    assert surely_irreducible(law, sampler, None, 1.0)
    assert surely_irreducible(law, sampler, k_uniform(8, 2), 1.0)
    assert not surely_irreducible(law, sampler, k_uniform(8, 2), 0.0)  # greedy
    assert not surely_irreducible(parity_law(8), sampler, k_uniform(8, 2), 1.0)  # zeros
    first = Listed(8, ((0, 1),), np.ones(1), "two sites only")
    assert not surely_irreducible(law, sampler, first, 1.0)
    assert surely_irreducible(law, "independent-parallel", first, 1.0)  # masks do not matter to it


def test_a_mixing_time_beyond_the_budget_is_left_out_with_the_reason() -> None:
    law, operator, _ = chain_of(RING, "k-gibbs", "k-uniform:k=1")
    record = analyse_matrix_free(law, operator, np.arange(law.states), budget=0.0)
    assert record["mixing_time"] is None
    assert record["mixing_time_certain"] is False
    assert "left out" in record["mixing_time_reason"]
    assert "budget of 0 s" in record["mixing_time_reason"]
    assert record["spectral_gap"] > 0


def test_without_a_symmetry_of_the_law_every_state_is_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_plan, "DENSE_STATES", 4)
    spec = ModelSpec("random", sites=4, seed=2)
    law, operator, masks = chain_of(spec, "k-gibbs", "k-uniform:k=1")
    plan = plan_chain(law, operator, "k-gibbs", masks, 1.0, spec)
    assert plan.alike is not None
    assert np.array_equal(plan.alike, np.arange(16))


def test_a_sampler_that_breaks_the_symmetry_of_the_law_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted falsehood: the law has the symmetries of the ring, the matrix has none."""
    monkeypatch.setattr(chain_plan, "DENSE_STATES", 4)
    law = build_law(RING)
    matrix = np.random.default_rng(0).dirichlet(np.ones(law.states), size=law.states)
    plan = plan_chain(law, DenseOperator(matrix), "k-gibbs", k_uniform(8, 1), 1.0, RING)
    assert plan.alike is not None
    assert plan.orbits == law.states


def test_explain_says_method_memory_and_time_before_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    sites = int(np.log2(DENSE_STATES)) + 1
    code, out, err = run(
        capsys, "chain", "--sites", sites, "--coupling", 0.3, "--k", 1, "--explain", "--json", "--budget", 0
    )
    assert code == 0
    assert "method: matrix-free" in err
    assert "orbits" in err
    assert "memory: about" in err
    record: dict[str, Any] = json.loads(out)
    assert record["method"] == "matrix-free"
    assert record["states"] == 2**sites
    assert record["mixing_time"] is None
    assert "budget of 0 s" in record["mixing_time_reason"]
    code, out, err = run(capsys, "chain", "--sites", 5, "--explain", "--json")
    assert code == 0
    assert "method: dense" in err
    assert json.loads(out)["method"] == "dense"


def test_the_known_mixing_time_of_a_ring_of_twelve(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "chain", "--sites", 12, "--coupling", 0.5, "--field", 0.1, "--k", 1, "--json")
    record = json.loads(out)
    assert code == 0
    assert (record["method"], record["mixing_time"], record["mixing_time_certain"]) == ("matrix-free", 74, True)


def test_what_does_not_fit_is_refused_with_a_figure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("theory.memory.available_bytes", lambda: 2**28)
    monkeypatch.setattr("theory.memory.NEGLIGIBLE", 0)
    code, out, err = run(capsys, "chain", "--sites", 12, "--sampler", "confidence-remasking", "--k", 2, "--explain")
    assert code != 0
    assert out == ""
    assert "method: dense (whether the chain is irreducible" in err
    assert "GiB" in err
    assert "256.0 MiB are free" in err
    assert "Traceback" not in err


def test_a_plan_reads_in_words() -> None:
    plan = ChainPlan("matrix-free", "because", 3 * 2**30, 0.05, np.arange(4))
    assert plan.lines() == [
        "method: matrix-free (because)",
        "mixing time from as many starts as settle the others, at most one for each of 4 orbits",
        "memory: about 3.0 GiB; time: about 7.5 s for the gap, and 22 s for every 100 steps of the mixing time",
    ]


@pytest.mark.usefixtures("few_states_are_many")
@pytest.mark.parametrize("sampler", ["k-gibbs", "independent-parallel"])
def test_the_curve_of_a_large_chain_is_that_of_its_slowest_start(sampler: str) -> None:
    law, operator, masks = chain_of(SMALL_RING, sampler, "k-uniform:k=1" if sampler == "k-gibbs" else None)
    plan = plan_chain(law, operator, sampler, masks, 1.0, SMALL_RING)
    assert plan.alike is not None
    found = analyse_matrix_free(law, operator, plan.alike, curve=True)
    dense = analyse(law, operator, curve=True)
    assert found["curve"]["times"] == dense["curve"]["times"]
    worst, exact = np.array(found["curve"]["worst"]), np.array(dense["curve"]["worst"])
    assert (worst <= exact + 1e-9).all()
    # Around the mixing time the state that mixes last is the farthest one.
    last = np.searchsorted(found["curve"]["times"], found["mixing_time"] - 1, side="right") - 1
    assert worst[last] == pytest.approx(exact[last], abs=1e-8)
    assert found["curve"]["labels"][0] == "from the state that mixes last"
    left_out = analyse_matrix_free(law, operator, plan.alike, curve=True, budget=0.0)
    assert left_out["curve"]["labels"][0] == "from the least likely state"
