"""What can be swept gives what the commands and the claims give."""

from __future__ import annotations

import json
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import build_law
from experiments.claim import no_progress
from experiments.claims import c8_strong_clique as c8
from experiments.plain import plain
from experiments.sweeps import cluster
from experiments.sweeps.subjects import load_subject, t5
from tests.experiments.test_claim_p2_to_p5 import train
from tests.experiments.test_sweeps_results import run
from tests.experiments.translation_stand_in import StandInDecoding, stand_in_laws
from theory.conditionals import TableConditionals
from theory.decoding import decoding_error, mixture_output_law, random_order, uniform_sizes
from theory.errors import InvalidInput
from theory.parameters import build


def record(name: str, seed: int = 0, **values: Any) -> dict[str, Any]:
    subject = load_subject(name)
    parameters = build(subject.parameters, values=values)
    subject.check(parameters)
    return dict(subject.compute(parameters, seed))


def test_chain_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    found = record("chain", model="random-ising", sites=4, coupling=0.6, sampler="k-parallel", k=2, seed=3)
    options = ("--model", "random-ising", "--sites", 4, "--coupling", 0.6, "--seed", 3)
    _, out, _ = run(capsys, "chain", *options, "--sampler", "k-parallel", "--k", 2, "--json")
    printed = json.loads(out)
    assert all(plain(found[name]) == printed[name] for name in printed if name in found)
    assert found["mixing_time_lower"] <= found["mixing_time"]
    for sampler in ("independent-parallel", "systematic-scan"):
        assert record("chain", sites=4, sampler=sampler, k=1)["mixing_time"] > 0
    assert record("chain", sites=4, masks="uniform-ratio")["mixing_time"] < record("chain", sites=4)["mixing_time"]


def test_escape_agrees_with_the_chain_on_all_sequences() -> None:
    """C8 solves the chain on 2^N sequences; the subject works on the number of + sites in the clique."""
    settings = {"sites": 6, "cliques": (3, 4), "couplings": (0.5, 1.0), "large": (20,)}
    data = c8.compute(build(c8.Parameters, values=settings), 0, no_progress).data
    for row in data["gibbs"]:
        found = record("escape", sites=6, clique=row.m, coupling=row.coupling, k=row.k)
        np.testing.assert_allclose(found["gibbs"], log10(row.expected), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found["gibbs_bound"], -log10(row.redraw), rtol=1e-12)
        assert found["gibbs"] <= found["gibbs_bound"] + 1e-12
    for row in data["parallel"]:
        found = record("escape", sites=6, clique=row.m, coupling=row.coupling)
        np.testing.assert_allclose(found["parallel"], log10(row.fastest), rtol=1e-9)
        assert found["parallel"] >= found["parallel_bound"] - 1e-12
    # Masks that never hold the whole clique have no bound, and take longer.
    small = record("escape", sites=6, clique=4, coupling=1.0, k=2)
    assert small["gibbs_bound"] is None
    assert small["gibbs"] > record("escape", sites=6, clique=4, coupling=1.0)["gibbs"]


def test_information_lies_between_its_bounds() -> None:
    for k in (1, 2, 3):
        found = record("information", sites=3, coupling=0.7, k=k)
        low, high = found["trace_inverse_fisher"], found["trace_upper_bound"]
        assert low * (1 - 1e-9) <= found["trace_asymptotic_covariance"] <= high * (1 + 1e-9)
    np.testing.assert_allclose(found["trace_asymptotic_covariance"], low, rtol=1e-9)


def test_decode_agrees_with_the_output_law() -> None:
    law = build_law(ModelSpec("random", 3, 2, seed=2))
    found = record("decode", 2, model="random", sites=3, calls=2, decoder="random-order")
    mixed = mixture_output_law(TableConditionals(law), random_order(3, uniform_sizes(3, 2)))
    np.testing.assert_allclose(found["kl"], decoding_error(law, mixed))
    assert found["kl"] <= found["bound"]
    exact = record("decode", 2, model="random", sites=3, calls=2, decoder="entropy")
    np.testing.assert_allclose(exact["kl"], exact["predicted"])


def test_training_repeats_itself() -> None:
    settings = {"sites": 3, "steps": 20, "network": "mlp", "width": 8}
    first = record("training", 1, **settings)
    assert first == record("training", 1, **settings)
    assert 0 <= first["scanned"] <= first["scanned_bound"]


@pytest.mark.parametrize("data", ["drawn", "mode"])
def test_a_t5_is_judged_beside_the_exact_chain(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins near the law of their data, in place of trained networks: shares agree up to error and chance."""
    monkeypatch.setattr(t5, "train", train)
    monkeypatch.setattr(t5, "Decoding", StandInDecoding)
    monkeypatch.setattr("experiments.language.exact.network_laws", stand_in_laws)
    found = record("t5", 1, data=data, steps=2, rows=400)
    assert 0 < found["own_error"] < 0.1
    for name in ("possible", "coherent", "stutters", "first_possible"):
        # Four standard errors of a share at most: a chance of less than 1 in 10,000 for each.
        assert abs(found[name] - found[f"{name}_exact"]) <= found["own_error"] + 4 * 0.5 / np.sqrt(400)
    if data == "mode":
        assert found["first_possible_exact"] == pytest.approx(1.0)
        assert found["stutters_exact"] == pytest.approx(0.0)
    else:
        assert 0.1 < found["first_possible_exact"] < found["possible_exact"] < 0.9


def test_a_cell_that_fits_no_memory_is_known_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exact chains of long sentences, dense kernels of many states: claims and the T5 say what they need."""
    for arguments in (["P1", "longest=5"], ["t5", "longest=3,6"], ["C7", "sites=14,20", "largest=2000000"]):
        settings = [word for setting in arguments[1:] for word in ("--set", setting)]
        code, _, err = run(capsys, "sweep", arguments[0], *settings, "--store", tmp_path / "s.sqlite")
        assert code == 2
        assert "are free; choose a smaller size" in err
    assert list(tmp_path.iterdir()) == []
    for name in ("P1", "P3", "P4", "t5", "C7"):  # their usual sizes fit anywhere
        subject = load_subject(name)
        assert (subject.memory(build(subject.parameters)) or 0) < 2**31


def test_a_claim_brings_its_verdict() -> None:
    found = record("C8", sites=4, cliques=(3,), couplings=(1.0,), large=(20,))
    assert (found["claim"], found["verdict"]) == ("C8", "holds")
    assert {"checks", "table", "data"} <= set(found)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("chain", {"k": 7, "sites": 6}),
        ("chain", {"masks": "half"}),
        ("chain", {"graph": "hypercube", "sites": 6}),
        ("chain", {"model": "strong-clique", "clique": 7, "sites": 6}),
        ("escape", {"clique": 13, "sites": 12}),
        ("escape", {"coupling": 0.05}),
        ("information", {"k": 7, "sites": 6}),
        ("decode", {"calls": 7, "sites": 6}),
        ("decode", {"decoder": "beam"}),
        ("decode", {"decoder": "llada:theta=1"}),
        ("training", {"masks": "k-uniform:k=9"}),
        ("training", {"width": 3}),
    ],
)
def test_values_that_do_not_go_together(name: str, values: dict[str, Any]) -> None:
    subject = load_subject(name)
    with pytest.raises(InvalidInput):
        subject.check(build(subject.parameters, values=values))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["escape", "--set", "cliqe=3"], "did you mean clique?"),
        (["escape", "--set", "clique=5..2"], "is empty"),
        (["escape", "--set", "clique=3,x"], "a list of numbers"),
        (["chain", "--set", "sites=4,40"], "are free; choose a smaller size"),
        (["chian"], "did you mean chain?"),
        ([], "name what to sweep"),
        (["escape", "--scheduler", "nowhere"], "no Dask scheduler answers"),
    ],
)
def test_a_sweep_is_refused_before_anything_runs(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 1)
    store = tmp_path / "s.sqlite"
    code, _, err = run(capsys, "sweep", *arguments, "--store", store)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not store.exists() or "--scheduler" in arguments


def test_a_dry_run_plans_and_estimates_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "s.sqlite"
    axes = ("--set", "clique=2..5", "--set", "coupling=0.5,1")
    code, out, _ = run(capsys, "sweep", "escape", *axes, "--store", store, "--dry-run")
    assert code == 0
    assert "8 cells (grid design)" in out
    assert "0 done before, 8 to compute" in out
    assert "mean of 3 timed cells: first, middle and last" in out
    assert not store.exists()
    code, out, _ = run(capsys, "sweep", "escape", "--describe")
    assert "sites m of the clique" in out
    assert "gibbs_bound" in out
