"""`gmlm chain --simulate`: means against exact ones and Onsager's, R-hat that sees stuck chains, bounds by coupling."""

from __future__ import annotations

import json
from math import cosh, pi, sinh, tanh
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ellipk

from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import build_law
from experiments.chains.simulation import build_masks, simulated_model, simulation_record
from experiments.cli import main
from tests.experiments import command_line
from theory.errors import InvalidInput
from theory.memory import available_bytes
from theory.samplers import parse_sampler


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    return command_line.run(capsys, "chain", "--simulate", *arguments)


def test_a_small_ring_beside_its_exact_means_and_mixing_time(capsys: Any) -> None:
    """Intervals are widened to 4.5 standard errors: they miss by chance once in 10^5. The exact t_mix is 44."""
    code, out, _ = run(capsys, "--sites", 8, "--field", 0.1, "--sweeps", 512, "--seed", 1, "--json")
    record = json.loads(out)
    assert code == 0
    assert (record["chains"], record["sweeps"], record["steps"]) == (8, 512, 4096)
    for entry in record["statistics"].values():
        half = (entry["interval"][1] - entry["interval"][0]) / 2 * 4.5 / 1.96
        assert abs(entry["mean"] - entry["exact"]) < half
        assert entry["effective_draws"] > 0
    assert 44 <= record["mixing_time_upper"] < 400


def test_a_torus_of_576_sites_has_onsagers_energy(capsys: Any) -> None:
    """u = -coth(2J) (1 + (2/pi)(2 tanh^2 2J - 1) K(m)), m = (2 sinh 2J / cosh^2 2J)^2; ours is -2J + J u by site."""
    coupling = 0.3
    double = 2 * coupling
    modulus = (2 * sinh(double) / cosh(double) ** 2) ** 2
    onsager = -(1 + 2 / pi * (2 * tanh(double) ** 2 - 1) * ellipk(modulus)) / tanh(double)
    code, out, _ = run(
        capsys, "--graph", "torus", "--sites", 576, "--coupling", coupling, "--sampler", "systematic-scan",
        "--masks", "colours", "--sweeps", 128, "--json",
    )  # fmt: skip
    record = json.loads(out)
    entry = record["statistics"]["energy per site"]
    assert code == 0
    assert entry["exact"] is None
    half = (entry["interval"][1] - entry["interval"][0]) / 2 * 4.5 / 1.96
    assert abs(entry["mean"] - (-2 * coupling + coupling * onsager)) < half + 1e-4
    assert 2 <= record["mixing_time_upper"] < 100
    assert "64 pairs" in record["coupling_reason"]


def test_chains_that_are_stuck_where_they_began_are_not_trusted(capsys: Any) -> None:
    """Planted falsehood: at J = 2 no chain leaves its side, and each alone would look converged."""
    code, out, _ = run(capsys, "--sites", 16, "--graph", "complete", "--coupling", 2, "--sweeps", 64)
    assert code == 0
    assert "the chains do not agree" in out
    assert "no bound on the mixing time (too few" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "parity"], "model = parity: simulated are ising"),
        (["--model", "hmm", "--sampler", "systematic-scan", "--masks", "colours"], "masks = colours: colours are"),
        (["--chains", 1], "chains = 1: at least 2"),
        (["--sweeps", 1], "sweeps = 1: at least 8"),
        (["--k", 20], "k = 20"),
        (["--masks", "k-uniform:k=x"], "k = x: a value of type int"),
        (["--plot", "x.svg"], "has no effect with --simulate"),
        (["--edges", "x.txt"], "has no effect with --simulate"),
        (["--sampler", "gibbs"], "sampler = gibbs: one of"),
        (["--model", "strong-clique", "--clique", 9], "clique = 9"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_a_line(arguments: list[Any], message: str, capsys: Any) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_sizes_are_refused_before_graphs_are_made() -> None:
    with pytest.raises(InvalidInput, match="would take"):
        simulated_model(ModelSpec("curie-weiss", sites=int(available_bytes() ** 0.5)))
    with pytest.raises(InvalidInput, match="would take"):
        simulation_record(ModelSpec("ising", sites=10**12))
    with pytest.raises(InvalidInput, match="chains = 1000000000: the chains would take"):
        simulation_record(ModelSpec("ising", sites=100), chains=10**9)


@pytest.mark.parametrize("name", ["markov", "hmm", "mixture", "product"])
def test_laws_of_sequences_have_the_conditionals_of_their_tables(name: str) -> None:
    spec = ModelSpec(name, sites=4, symbols=3, coupling=0.8, field=0.2)
    model, law = simulated_model(spec), build_law(spec)
    logs = jax.jit(jax.vmap(model.log_weight))(jnp.asarray(law.sequences, dtype=jnp.int32))
    assert np.exp(logs) / np.exp(logs).sum() == pytest.approx(law.probabilities, rel=1e-4)


def test_a_hidden_markov_chain_beside_its_exact_energy(capsys: Any) -> None:
    """The interval is widened to 4.5 standard errors: it misses by chance once in 10^5."""
    code, out, _ = run(capsys, "--model", "hmm", "--sites", 6, "--symbols", 2, "--sweeps", 256, "--k", 2, "--json")
    record = json.loads(out)
    entry = record["statistics"]["energy per site"]
    half = (entry["interval"][1] - entry["interval"][0]) / 2 * 4.5 / 1.96
    assert code == 0
    assert abs(entry["mean"] - entry["exact"]) < half
    assert record["mixing_time_upper"] is None


def test_colours_are_independent_sets() -> None:
    model = simulated_model(ModelSpec("ising", sites=36, graph="torus"))
    masks = build_masks("colours", model, parse_sampler("systematic-scan"))
    assert list(map(len, masks.masks)) == [18, 18]
    assert all(map(model.independent, masks.masks))


def test_chains_and_sweeps_go_with_simulate(capsys: Any) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["chain", "--sweeps", "10"])
    assert exit_.value.code == 2
    assert "goes with --simulate" in capsys.readouterr().err
