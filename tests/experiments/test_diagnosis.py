"""Diagnoses: every failure mode where it was planted and not where it was not, each of a size found by another way."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from experiments.cli import gmlm
from experiments.diagnosis import modes as m
from experiments.diagnosis.commands import Commands
from experiments.diagnosis.drawing import draw_diagnosis
from experiments.diagnosis.findings import Diagnosis, Finding, severity_of, shown
from experiments.diagnosis.sampling import independent_steps
from experiments.diagnosis.subjects import diagnose
from experiments.figures import fit_a_phone, for_a_phone, render
from simulators.masked_lm import MaskedLM
from tests.masked_lm_examples import VH, joint_network, sapiens_folder
from theory.conditionals import FunctionConditionals, TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, ising, ising_on, named_graph, parity_law, strong_clique
from theory.laws.length import MarkovLaw

Array = NDArray[np.float64]

CLIQUE = strong_clique(4, 4, 1.2, 0.1)
"""Four spins that agree or nearly: single flips are slow, and what they teach is little."""

COIN_PAIRS = np.multiply.outer(np.eye(2) / 2, np.eye(2) / 2)
"""Sites 0 and 1 are copies of a fair coin, 2 and 3 of another: all confidences are equal."""


def found(diagnosis: Diagnosis, mode: m.Mode) -> Finding:
    (one,) = [finding for finding in diagnosis.findings if finding.mode == mode]
    return one


def severities(diagnosis: Diagnosis) -> dict[str, float]:
    return {finding.mode.name: finding.severity for finding in diagnosis.findings}


@pytest.fixture(scope="module")
def of_clique() -> Diagnosis:
    return diagnose(CLIQUE, data=500)


def glauber(law: JointLaw) -> Array:
    """Single-site Gibbs, written down state by state."""
    states = list(itertools.product(range(2), repeat=law.sites))
    kernel = np.zeros((len(states), len(states)))
    for row, x in enumerate(states):
        for site in range(law.sites):
            for symbol in range(2):
                y = (*x[:site], symbol, *x[site + 1 :])
                other = (*x[:site], 1 - symbol, *x[site + 1 :])
                share = law.table[y] / (law.table[y] + law.table[other])
                kernel[row, states.index(y)] += share / law.sites
    return kernel


def all_at_once(law: JointLaw) -> Array:
    """Every site from the others, as a product of conditionals."""
    states = list(itertools.product(range(2), repeat=law.sites))
    kernel = np.ones((len(states), len(states)))
    for (row, x), (column, y) in itertools.product(enumerate(states), repeat=2):
        for site in range(law.sites):
            pair = [law.table[(*x[:site], symbol, *x[site + 1 :])] for symbol in range(2)]
            kernel[row, column] *= pair[y[site]] / sum(pair)
    return kernel


def steps_to_mix(kernel: Array, epsilon: float = 0.25) -> tuple[int, Array]:
    """By stepping, and the law that is reached."""
    law = np.linalg.matrix_power(kernel, 2**22)[0]
    power, steps = kernel.copy(), 1
    while 0.5 * np.abs(power - law).sum(axis=1).max() > epsilon:
        power, steps = power @ kernel, steps + 1
    return steps, law


def test_independent_bits_have_nothing_that_fails() -> None:
    diagnosis = diagnose(ising(np.zeros((6, 6)), 0.4))
    assert not any(finding.matters for finding in diagnosis.findings)
    assert diagnosis.worst is None
    assert "nothing of what could be measured fails" in diagnosis.answer
    assert not any(finding.remedy for finding in diagnosis.findings)
    assert {m.SCAN_ORDER.name, m.TOKEN_ORDER.name, m.TOO_FEW.name, m.DRAWN_FIRST.name} == set(diagnosis.left_out)
    # What is zero for independent sites is zero here, and masks of one site teach all there is.
    for mode in (m.PARALLEL_LAW, m.PARALLEL_DECODING, m.ORDER, m.TIES):
        assert found(diagnosis, mode).number == pytest.approx(0, abs=1e-12)
    assert found(diagnosis, m.MASKING).number == pytest.approx(1, abs=1e-9)
    assert found(diagnosis, m.STUCK).number == 1


def test_a_strong_clique_mixes_slowly_and_is_stuck_in_parallel(of_clique: Diagnosis) -> None:
    steps, _ = steps_to_mix(glauber(CLIQUE))
    slow = found(of_clique, m.MIXING)
    # Steps until all of four sites were drawn: the union bound 4 (3/4)^t <= 1/4.
    base = next(t for t in itertools.count(1) if 4 * 0.75**t <= 0.25)
    assert slow.number == pytest.approx(steps / base)
    assert slow.severity == pytest.approx(steps / base / 10)
    assert slow.matters
    assert slow.kind == "exact"
    steps, law = steps_to_mix(all_at_once(CLIQUE))
    assert found(of_clique, m.STUCK).number == steps
    apart = 0.5 * np.abs(law - CLIQUE.probabilities).sum()
    assert found(of_clique, m.PARALLEL_LAW).number == pytest.approx(apart, rel=1e-6)
    assert of_clique.worst is of_clique.ranked[0]
    assert of_clique.ranked[0].severity == max(severities(of_clique).values())
    assert of_clique.answer.endswith(f"Try `{of_clique.ranked[0].remedy}`, which gives {of_clique.ranked[0].effect}.")


@pytest.mark.parametrize(("sites", "k"), [(1, 1), (4, 1), (5, 3), (5, 5)])
def test_independent_sites_are_the_measure_of_speed(sites: int, k: int) -> None:
    base = next(t for t in itertools.count(1) if sites * (1 - k / sites) ** t <= 0.25)
    assert independent_steps(sites, k) == base


def test_what_no_mask_of_one_site_can_reach_is_infinitely_severe() -> None:
    diagnosis = diagnose(parity_law(4))
    for mode in (m.MIXING, m.STUCK, m.MASKING):
        assert found(diagnosis, mode).severity == math.inf
    assert diagnosis.ranked[0].mode == m.MIXING  # of equal ones in the order of the modes
    assert "without limit" in diagnosis.answer
    assert "--k 2" in diagnosis.ranked[0].remedy
    assert "several stationary laws" in diagnosis.left_out[m.PARALLEL_LAW.name]
    plain = json.loads(json.dumps(diagnosis.record(), allow_nan=False))
    assert plain["findings"][0]["number"] is None
    assert plain["findings"][0]["never"]
    assert severity_of(plain["findings"][0]) == math.inf


def test_ties_are_what_confidence_loses_on_two_pairs_of_copies() -> None:
    """Two calls: first ties reveal a pair at once, ln 2 lost in each call; random ones do so in 1 of 3 orders."""
    law = JointLaw(COIN_PAIRS, "two pairs of copies")
    diagnosis = diagnose(law, calls=2)
    assert found(diagnosis, m.PARALLEL_DECODING).number == pytest.approx(0, abs=1e-12)  # a site of each pair, strided
    # Sites 0, 1 first, then 2, 3: each call draws two copies independently.
    assert found(diagnosis, m.ORDER).number == pytest.approx(2 * math.log(2) / 4)
    # q(x) = 1/3 * 1/16 + 2/3 * 1/4 on the support of p.
    spread = math.log(0.25 / (1 / 48 + 1 / 6))
    assert found(diagnosis, m.TIES).number == pytest.approx((2 * math.log(2) - spread) / 4)
    assert "strided --calls 2" in found(diagnosis, m.ORDER).remedy
    untied = diagnose(law, calls=2, decoder="confidence:ties=random")
    assert "does not break ties" in untied.left_out[m.TIES.name]


def test_one_call_loses_the_total_correlation() -> None:
    law = ising_on(named_graph("cycle", 4), 0.7, 0.2)
    diagnosis = diagnose(law, calls=1)
    single = [law.table.sum(axis=tuple(j for j in range(4) if j != i)) for i in range(4)]
    entropy = sum(-(p * np.log(p)).sum() for p in single) + (law.table * np.log(law.table)).sum()
    parallel = found(diagnosis, m.PARALLEL_DECODING)
    assert parallel.number == pytest.approx(entropy / 4)
    assert parallel.severity == pytest.approx(entropy / 4 / 0.01)
    assert found(diagnosis, m.ORDER).number == pytest.approx(0, abs=1e-12)


def test_a_rule_that_draws_first_is_biased_a_call_a_token() -> None:
    """Two independent sites with p(1) = 0.7: the surest candidate of both is kept, then the other drawn anew."""
    law = JointLaw(np.multiply.outer([0.3, 0.7], [0.3, 0.7]), "two independent sites")
    diagnosis = diagnose(law, decoder="llada")
    # The first kept is a 0 where both candidates are, at site 0; ties go to the first site.
    keeps = {(0, 0): 0.3 * 0.3, (0, 1): 0.7 * 0.7 + 0.7 * 0.3, (1, 1): 0.3 * 0.7}
    q = np.zeros((2, 2))
    for (site, symbol), mass in keeps.items():
        for other, share in enumerate([0.3, 0.7]):
            q[(symbol, other) if site == 0 else (other, symbol)] += mass * share
    assert q.sum() == pytest.approx(1)
    lost = (law.table * np.log(law.table / q)).sum() / 2
    assert found(diagnosis, m.DRAWN_FIRST).number == pytest.approx(lost)
    assert m.DRAWN_FIRST.name in diagnose(law).left_out


def test_masks_of_one_site_teach_a_clique_little(of_clique: Diagnosis) -> None:
    """Against the sandwich covariance of pseudolikelihood, written out over sequences."""
    x = 1.0 - 2.0 * np.array(list(itertools.product((1, 0), repeat=4)))  # spins of every state
    p = CLIQUE.probabilities
    pairs = list(itertools.combinations(range(4), 2))
    t = np.hstack([x, np.array([x[:, i] * x[:, j] for i, j in pairs]).T])
    centred = t - p @ t
    fisher = centred.T * p @ centred
    information, scores = np.zeros_like(fisher), np.zeros_like(t)
    for site in range(4):
        flipped = [int("".join("10"[int(s > 0) ^ (j == site)] for j, s in enumerate(row)), 2) for row in x]
        flipped = [15 - value for value in flipped]
        share = p[flipped] / (p + p[flipped])
        score = (t - t[flipped]) * share[:, None]
        information += (score.T * p @ score) / 4
        scores += score / 4
    inverse = np.linalg.inv(information)
    sandwich = inverse @ (scores.T * p @ scores) @ inverse

    def distance(covariance: Array) -> float:
        return float(p @ np.sqrt(((centred @ covariance) * centred).sum(axis=1)) / math.sqrt(2 * math.pi))

    own, least = distance(sandwich), distance(np.linalg.inv(fisher))
    assert found(of_clique, m.MASKING).number == pytest.approx((own / least) ** 2, rel=1e-6)
    assert found(of_clique, m.MASKING).matters
    assert found(of_clique, m.TOO_FEW).number == pytest.approx(min(1, own / math.sqrt(500)), rel=1e-6)
    enough = diagnose(CLIQUE, data=10**9)
    assert not found(enough, m.TOO_FEW).matters


def test_incompatible_conditionals_are_found_at_the_size_that_was_planted() -> None:
    weights = np.random.default_rng(0).random((3, 3, 3)) + 0.05
    law = JointLaw(weights / weights.sum(), "a table")
    records = {}
    for tilt in (0.0, 1.5):
        network = MaskedLM(joint_network(law, tilt), mask=3, output="probabilities")
        records[tilt] = diagnose(network.window([0, 1, 2], range(3)))
    for mode in (m.SCAN_ORDER, m.TOKEN_ORDER):
        assert found(records[0.0], mode).number == pytest.approx(0, abs=1e-9)
        assert not found(records[0.0], mode).matters
    assert f"{shown(1.5)} nats, between sites 0 and 1" in found(records[1.5], m.SCAN_ORDER).says
    assert found(records[1.5], m.TOKEN_ORDER).matters
    # A network that is its law has the law's other numbers too.
    of_law, of_network = severities(diagnose(law)), severities(records[0.0])
    for name, severity in of_law.items():
        assert of_network[name] == pytest.approx(severity, rel=1e-6, abs=1e-9), name


def test_golden_numbers_of_a_published_antibody_model() -> None:
    """As `test_masked_lm_window` has them from another framework; its commands run too."""
    words = ["diagnose", "--mlm", str(sapiens_folder()), "--sequence", VH, "--region", "103:105", "--json"]
    record = json.loads(run(*words))
    entries = {entry["mode"]: entry for entry in record["findings"]}
    assert entries[m.SCAN_ORDER.name]["number"] == pytest.approx(0.0187, abs=5e-5)
    assert "5.85 nats, between sites 103 and 104" in entries[m.SCAN_ORDER.name]["says"]
    assert "takes 9 steps" in entries[m.MIXING.name]["says"]
    for command in {entry["try"] for entry in record["findings"] if entry["try"]}:
        run(*command.split()[1:])


def test_a_function_of_ones_own_can_be_diagnosed() -> None:
    """Each site leans to what the next one shows, which no joint law does: three sites in a ring."""

    def network(tokens: NDArray[np.int64]) -> Array:
        seen = np.roll(np.where(tokens == 2, 0, 2 * tokens - 1), -1, axis=1)
        high = 1 / (1 + np.exp(-2.0 * seen))
        return np.stack([1 - high, high], axis=2)

    conditionals = FunctionConditionals(3, 2, network)
    diagnosis = diagnose(conditionals)
    assert found(diagnosis, m.SCAN_ORDER).number > 0
    assert diagnosis.subject == "conditionals, N = 3"
    assert severities(diagnose(TableConditionals(CLIQUE))) == severities(diagnose(CLIQUE))


def test_at_length_only_decoders_are_measured_and_the_rest_says_why() -> None:
    sticky = MarkovLaw(np.array([[0.95, 0.05], [0.05, 0.95]]), 32)
    diagnosis = diagnose(sticky)
    order = found(diagnosis, m.ORDER)
    assert order.matters
    assert order.kind == "unbiased"
    assert {m.MIXING.name, m.MASKING.name} <= set(diagnosis.left_out)
    assert "2^32 sequences are no table" in diagnosis.left_out[m.MIXING.name]
    loose = diagnose(MarkovLaw(np.full((2, 2), 0.5), 32))
    assert loose.worst is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calls": 5}, "calls = 5: 1 to 4"),
        ({"k": 0}, "k = 0: 1 to 4"),
        ({"data": 0}, "data = 0: at least 1"),
        ({"decoder": "none"}, "decoder = none: one of"),
        ({"budget": math.nan}, "budget = nan: a positive"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        diagnose(CLIQUE, **options)  # type: ignore[arg-type]


def run(*words: str) -> str:
    done = CliRunner().invoke(gmlm, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_command_that_is_recommended_runs(tmp_path: Path) -> None:
    np.save(tmp_path / "law.npy", CLIQUE.table)
    np.save(tmp_path / "J.npy", 1.2 * (1 - np.eye(4)))
    (tmp_path / "friends.txt").write_text("ann bob\nbob cat 2\ncat ann\n")
    subjects = (
        f"--table {tmp_path / 'law.npy'}",
        f"--couplings {tmp_path / 'J.npy'}",
        f"--edges {tmp_path / 'friends.txt'} --coupling 1.5",
        "--model strong-clique --sites 5 --clique 4 --coupling 1.5",
        "--model mixture --sites 3 --symbols 3 --coupling 4",
        "--model urn --sites 4",
    )
    seen = set()
    for words in subjects:
        record = json.loads(run("diagnose", *words.split(), "--data", "20", "--json"))
        commands = {entry["try"] for entry in record["findings"] if entry["try"]}
        assert commands
        for command in commands - seen:
            run(*command.split()[1:])
        seen |= commands
    assert {command.split()[1] for command in seen} == {"chain", "decode", "diagnose"}


def test_the_command_line_says_the_answer_first_and_draws_it(tmp_path: Path) -> None:
    figure = tmp_path / "ranking.svg"
    lines = run("diagnose", "--model", "parity", "--sites", "4", "--figure", str(figure)).splitlines()
    assert lines[0].startswith("parity of 4, even with probability 1, N = 4: slow mixing matters most, before")
    assert any("slow mixing" in line and "C6, C8" in line for line in lines[1:])
    assert any(line.startswith("Severity: the number over its threshold") for line in lines)
    assert any(line.startswith("incompatible conditionals") and "does not apply" in line for line in lines)
    assert b"slow mixing (C6, C8): without end" in figure.read_bytes()  # as a comment beside its paths
    with for_a_phone():
        small = draw_diagnosis(diagnose(parity_law(4)).record())
        fit_a_phone(small)
    assert render(small, "png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--table law.npy --edges e.txt", "--table = law.npy: give either it or --edges"),
        ("--table law.npy --sites 3", "--sites = 3: has no effect with --table"),
        ("--model parity --coupling 2", "--coupling = 2.0: has no effect on the model parity"),
        ("--region 3:5", "--region = 3:5: has no effect on the model ising"),
        ("--mlm nowhere", "--mlm = nowhere: --sequence and --region are needed too"),
        ("--table nowhere.npy", "missing"),
        ("--model nothing", "model = nothing: one of"),
    ],
)
def test_what_cannot_be_typed(words: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        CliRunner().invoke(gmlm, ["diagnose", *words.split()], catch_exceptions=False)
    assert message in str(refused.value)


def test_commands_for_a_window_quote_what_a_shell_would_split() -> None:
    commands = Commands.of_window(Path("my model"), "AB C", "1,2", "top:3")
    assert commands.masks(2) == "gmlm mlm window 'my model' --sequence 'AB C' --sites 1,2 --alphabet top:3 --k 2"
    assert commands.decoder("strided", 1) == (
        "gmlm mlm sample 'my model' --sequence 'AB C' --sites 1,2 --alphabet top:3 --decoder strided --calls 1"
    )
