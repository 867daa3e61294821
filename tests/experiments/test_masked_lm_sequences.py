"""Scanning, sampling and scoring sequences: against exact windows of networks that are known."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.masked_lm.sample import Plan, chains_record, decoder_record, diagnose, fasta, not_mixed
from experiments.masked_lm.scan import scan_record
from experiments.masked_lm.score import score_record
from simulators.masked_lm import MaskedLM, Region, WindowConditionals
from simulators.masked_lm.simulated import pseudo_log_likelihood
from tests.masked_lm_examples import joint_network
from theory.chains import stationary_law
from theory.conditionals import TableConditionals, TemperedConditionals
from theory.decoding.enumeration import decode
from theory.decoding.registry import parse
from theory.decoding.tables import ConditionalTables
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.masks import k_uniform
from theory.samplers import block_gibbs

pytestmark = pytest.mark.usefixtures("quick_compilation")

SITES = 3


@cache
def law() -> JointLaw:
    return JointLaw.from_weights(np.random.default_rng(0).random((3,) * SITES) + 0.05)


@cache
def table(tilt: float) -> Any:
    """The network's answer to every partly masked sequence, so that chains are quick."""
    tokens = np.stack(np.unravel_index(np.arange(4**SITES), (4,) * SITES), axis=1)
    return joint_network(law(), tilt)(tokens)


def region(tilt: float = 0.0) -> Region:
    place = 4 ** np.arange(SITES - 1, -1, -1)
    known = table(tilt)
    network = MaskedLM(lambda tokens: known[tokens @ place], mask=3, output="probabilities", identity=f"tilt {tilt}")
    return network.region([0, 1, 2], range(SITES))


def test_a_scan_of_a_known_law_finds_no_order_and_the_dependence_that_is_there() -> None:
    network = region().network
    found = scan_record(network, [0, 1, 2], range(SITES), 2, network.alphabet)  # type: ignore[arg-type]
    assert [row["start"] for row in found["windows"]] == [0, 1]
    for row in found["windows"]:
        assert row["order_total_variation"] <= 1e-13
        assert row["largest_log_odds"] <= 1e-12
    table = law().table[:, :, 2] / law().table[:, :, 2].sum()
    product = np.outer(table.sum(axis=1), table.sum(axis=0))
    first = found["windows"][0]
    assert first["parallel_total_variation"] == pytest.approx(0.5 * np.abs(table - product).sum(), abs=1e-13)
    assert first["total_correlation"] == pytest.approx((table * np.log(table / product)).sum(), abs=1e-13)
    with pytest.raises(InvalidInput, match="--size"):
        scan_record(network, [0, 1, 2], range(SITES), 4, network.alphabet)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="neighbouring"):
        scan_record(network, [0, 1, 2], (0, 2), 2, network.alphabet)  # type: ignore[arg-type]


@pytest.mark.parametrize("decoder", ["left-to-right", "confidence", "strided"])
@pytest.mark.parametrize("calls", [1, 2, 3])
def test_scores_are_those_of_the_enumerated_output_law(decoder: str, calls: int) -> None:
    place = region(0.3)
    found = score_record(place, parse(decoder), calls, paths=4, seed=0)
    exact = decode(ConditionalTables(WindowConditionals(region(0.3))), parse(decoder), calls).law.table[0, 1, 2]
    assert found["loss_is"] == "exact"
    assert found["loss"] == pytest.approx(-np.log(exact), abs=1e-12)
    own = [
        TableConditionals(law()).leave_one_out()[np.ravel_multi_index((0, 1, 2), (3,) * 3), i, (0, 1, 2)[i]]
        for i in range(SITES)
    ]
    assert pseudo_log_likelihood(region(), np.array([[0, 1, 2]]))[0] == pytest.approx(np.log(own).sum(), abs=1e-12)


def test_a_decoder_that_draws_its_sites_gets_a_bound_and_one_that_looks_at_tokens_none() -> None:
    found = score_record(region(0.3), parse("random-order"), 3, paths=64, seed=0)
    exact = decode(ConditionalTables(WindowConditionals(region(0.3))), parse("random-order"), 3).law.table[0, 1, 2]
    assert found["loss_is"] == "upper bound"
    # Five standard errors: false-alarm rate below 1e-6.
    assert found["loss"] >= -np.log(exact) - 5 * found["standard_error"]
    with pytest.raises(InvalidInput, match="no replay"):
        score_record(region(), parse("maskgit"), 2, paths=4, seed=0)


def test_decoded_sequences_have_the_decoders_law() -> None:
    """Each share within its interval at 99%: eight of them, by a union bound false-alarm rate 8%; the seed is fixed."""
    found = decoder_record(region(0.3), "confidence", 2, 4000, 0, lambda *what: None)
    exact = decode(ConditionalTables(WindowConditionals(region(0.3))), parse("confidence"), 2).law
    for mode in found["modes"]:
        low, high = mode["interval"]
        state = tuple(int(token) for token in mode["sequence"].split())
        assert low <= exact.table[state] <= high
    assert fasta(found).count(">") == 4000


def test_intervals_of_chains_cover_the_exact_windows_law(tmp_path: Path) -> None:
    """95% intervals of 4 sequences from 32 groups of chains: at least 85% cover; far less likely than 1e-6 to fail by
    chance if they cover 95% independently, and the seed is fixed."""
    place = region(0.3)
    window = TemperedConditionals(WindowConditionals(region(0.3)), 0.8)
    exact = stationary_law(block_gibbs(window, k_uniform(SITES, 2))).law.reshape((3,) * 3)
    chains_record(place, Plan("k-gibbs", 2, 0.8, chains=256, steps=400, every=2), tmp_path / "run")
    with (tmp_path / "run").open("rb") as file, np.load(file) as kept:
        draws = kept["draws"]
    hits, total = 0, 0
    for group in np.split(draws, 32):
        for mode in diagnose(place, group)["modes"][:4]:
            low, high = mode["interval"]
            hits += low <= exact[tuple(int(token) for token in mode["sequence"].split())] <= high
            total += 1
    assert hits / total >= 0.85


def test_a_run_that_was_killed_goes_on_to_the_same_draws(tmp_path: Path) -> None:
    plan = Plan(chains=4, steps=80, every=2, seed=3)
    whole = chains_record(region(0.3), plan, tmp_path / "whole")
    stopped = tmp_path / "stopped"

    def stop(done: int, total: int, text: str) -> None:
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chains_record(region(0.3), plan, stopped, stop)
    place = region(0.3)
    again = chains_record(place, plan, stopped)
    assert place.calls < whole["rows"]
    assert {**again, "rows": 0} == {**whole, "rows": 0}
    with pytest.raises(InvalidInput, match="another"):
        chains_record(region(0.2), plan, stopped)
    (tmp_path / "torn").write_bytes(stopped.read_bytes()[:50])
    with pytest.raises(InvalidInput, match="not a file"):
        chains_record(region(0.3), plan, tmp_path / "torn")


def test_a_correction_says_how_often_it_accepts() -> None:
    found = chains_record(region(), Plan("metropolis-hastings", 2, chains=4, steps=16, every=2))
    assert 0 < found["acceptance"] <= 1


def test_halves_that_still_differ_are_a_bound_on_what_is_left() -> None:
    """None for one and the same law (false-alarm rate 1%, the seed fixed), a large one for chains that are stuck."""
    generator = np.random.default_rng(0)
    same = generator.integers(0, 3, (80, 4, 5))
    assert not_mixed(same, np.zeros(5, dtype=int))["bound"] == 0
    stuck = np.where(np.arange(80)[:, None, None] % 2 == 0, 0, generator.integers(1, 3, (80, 4, 5)))
    # All of 20 chains against none of 20, each bounded at half of 1% in both tails.
    assert not_mixed(stuck, np.zeros(5, dtype=int))["bound"] == pytest.approx(0.005 ** (1 / 20) - 0.5)


def test_chains_that_never_moved_get_no_interval_and_no_effective_size() -> None:
    place = region()
    native = np.array([0, 1, 2])
    still = np.where(np.arange(8)[:, None, None] % 2 == 0, native, np.array([1, 1, 1])) * np.ones((8, 20, 1), dtype=int)
    found = diagnose(place, still.astype(np.int16))
    assert found["chains_that_moved"] == 0
    assert found["r_hat"] is found["effective_sample_size"] is found["autocorrelation_time"] is None
    assert [mode["interval"] for mode in found["modes"]] == [None, None]


def test_what_cannot_be_run_is_named() -> None:
    for plan, what in (
        (Plan(sampler="gibbs"), "sampler = gibbs"),
        (Plan(size=4), "--k"),
        (Plan(steps=1001), "--steps"),
        (Plan(steps=20, every=10), "at least 8"),
    ):
        with pytest.raises(InvalidInput, match=what):
            chains_record(region(), plan)


def test_a_tempered_single_site_takes_one_row_a_step() -> None:
    """And samples the tempered law: the share of the likeliest sequence lies within 5 standard errors."""
    place = region(0.3)
    found = chains_record(place, Plan("k-gibbs", 1, 0.5, chains=64, steps=200, every=2))
    assert found["rows"] <= 64 * (200 + SITES + 1)
    window = TemperedConditionals(WindowConditionals(region(0.3)), 0.5)
    exact = stationary_law(block_gibbs(window, k_uniform(SITES, 1))).law.reshape((3,) * 3)
    mode = found["modes"][0]
    low, high = mode["interval"]
    error = (high - low) / (2 * 1.96)
    assert abs(mode["share"] - exact[tuple(int(token) for token in mode["sequence"].split())]) <= 5 * error
