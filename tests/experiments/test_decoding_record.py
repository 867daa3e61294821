"""``gmlm decode``: the record against enumeration, its contract, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.chains.model_spec import ModelSpec
from experiments.cli.decode import decode as command
from experiments.decoding.figures import draw_frontier
from experiments.decoding.laws import AT_LENGTH, ENUMERABLE, enumerable, model_law
from experiments.decoding.record import decode_record
from experiments.decoding.studies import LengthStudy
from tests.experiments.command_line import refusal
from theory.decoding.enumeration import decode, divergences
from theory.decoding.known_sequence import KnownSequence
from theory.decoding.registry import parse
from theory.decoding.replay import replay
from theory.decoding.rule import Setting
from theory.decoding.tables import KnownLaw
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.laws.length import MarkovLaw, SequenceLaw
from theory.states import all_sequences


def run(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def chain() -> tuple[MarkovLaw, JointLaw]:
    law = MarkovLaw(np.random.default_rng(0).dirichlet(np.full(3, 0.5), size=3), 5)
    masses = np.exp(law.log_probability(all_sequences(5, 3)))
    return law, JointLaw(masses.reshape((3,) * 5))


def test_a_table_is_enumerated(chain: tuple[MarkovLaw, JointLaw], tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", chain[1].table)
    record = run("--table", str(tmp_path / "p.npy"), "--decoder", "llada:temperature=0.7", "--calls", "2,5")
    assert record["sites"] == 5
    assert record["entropy"] == pytest.approx(chain[0].entropy, abs=1e-12)
    assert [row["calls"] for row in record["decoders"]] == [2, 5]
    for row in record["decoders"]:
        output = decode(KnownLaw(chain[1]), parse("llada:temperature=0.7"), row["calls"])
        apart = divergences(chain[1], output.law)
        for name in ("kl", "reverse_kl", "total_variation"):
            assert row[name]["kind"] == "exact"
            assert row[name]["value"] == pytest.approx(getattr(apart, name), abs=1e-12)
            assert row[name]["interval"] == [row[name]["value"]] * 2


DECODERS = ["one-shot", "strided", "confidence", "entropy-bound:gamma=0.5", "random-order", "masked-diffusion"]


def test_sampled_numbers_agree_with_enumeration(chain: tuple[MarkovLaw, JointLaw]) -> None:
    exact = decode_record(chain[1], DECODERS, [2])["decoders"]
    found = decode_record(chain[0], DECODERS, [2], samples=600, seed=3)["decoders"]
    for truth, row in zip(exact, found, strict=True):
        for name in ("kl", "reverse_kl"):
            value, estimate = truth[name]["value"], row[name]
            low, high = estimate["interval"]
            # Intervals doubled: a false alarm in fewer than 1e-3 of the seeds for the dozen numbers here.
            slack = (high - low) / 2 + 1e-9
            assert value <= high + slack
            if estimate["kind"] != "upper":
                assert value >= low - slack
        assert row["expected_calls"] == pytest.approx(truth["expected_calls"], abs=0.2)
    kinds = {row["decoder"]: row["kl"]["kind"] for row in found}
    assert kinds["strided"] == "exact"
    assert kinds["confidence"] == "unbiased"
    assert kinds["random-order"] == kinds["masked-diffusion"] == "upper"
    low, high = found[-1]["excess_loss"]["interval"]
    assert low - (high - low) / 2 <= exact[-1]["excess_loss"]["value"] <= high + (high - low) / 2


def test_the_same_seed_gives_the_same_record(chain: tuple[MarkovLaw, JointLaw]) -> None:
    first, second = (decode_record(chain[0], ["confidence", "llada"], [2], samples=40, seed=1) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", sorted(AT_LENGTH))
def test_models_at_length_agree_with_their_tables(name: str) -> None:
    spec = ModelSpec(name, 6, 2, coupling=0.8, field=0.2)
    table, law = model_law(spec), AT_LENGTH[name](spec)
    assert isinstance(table, JointLaw)
    assert isinstance(law, SequenceLaw)
    assert table.name == law.name
    long = model_law(ModelSpec(name, 40, 2, coupling=0.8, field=0.2))
    assert isinstance(long, SequenceLaw)
    assert long.sites == 40


def test_markov_hmm_mixture_and_product_are_those_of_chain() -> None:
    from experiments.chains.models import build_law

    for name in ("markov", "hmm", "mixture", "product"):
        for field in (0.0, 0.3):
            spec = ModelSpec(name, 4, 3, coupling=0.8, field=field)
            expected = build_law(spec)
            found = model_law(spec)
            if name == "markov" and field == 0.0:
                np.testing.assert_allclose(expected.table, found.table, atol=1e-14)  # type: ignore[union-attr]
            np.testing.assert_allclose(expected.table, found.table, atol=1e-14)  # type: ignore[union-attr]


def test_a_corpus_at_length_and_all_decoders(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat, and the rat ate the hat. " * 20)
    figure = tmp_path / "frontier.png"
    record = run(
        *("--corpus", str(text), "--sites", "24", "--decoder", "all", "--decoder", "confidence", "--calls", "3,6"),
        *("--samples", "32", "--figure", str(figure)),
    )
    names = {row["decoder"] for row in record["decoders"]}
    assert {"strided", "llada", "confidence", "optimal"} <= names
    assert figure.stat().st_size > 10_000
    strided = [row for row in record["decoders"] if row["decoder"] == "strided"]
    optimal = [row for row in record["decoders"] if row["decoder"] == "optimal"]
    for one, other in zip(optimal, strided, strict=True):
        assert one["kl"]["value"] <= other["kl"]["value"] + 1e-12


def test_the_figure_needs_plain_data_only(chain: tuple[MarkovLaw, JointLaw]) -> None:
    record = json.loads(json.dumps(decode_record(chain[1], ["confidence", "optimal", "llada:top_p=1"], [1, 5])))
    axes = draw_frontier(record).axes[0]
    assert axes.get_xlabel().startswith("expected network calls")
    assert {text.get_text() for text in axes.texts} >= {"confidence", "optimal"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--decoder", "confidense"], "decoder = confidense: one of"),
        (["--decoder", "confidence:theta=1"], "theta"),
        (["--decoder", "threshold:theta=1.5"], "theta = 1.5: must be at most 1"),
        (["--decoder", "entropy-bound:gamma=-1"], "gamma"),
        (["--decoder", "strided", "--calls", "7"], "calls = 7: 1 to 6"),
        (["--decoder", "strided", "--calls", "0"], "calls = 0"),
        (["--decoder", "llada:block=2", "--calls", "2"], "block = 2: 2 calls are too few for 3 blocks"),
        (["--decoder", "llada:block=7"], "block = 7: at most 6, the number of sites"),
        (["--decoder", "ddpd:block=2"], "block = 2: 0 is needed"),
        (["--decoder", "euler:noise=uniform+k-gibbs", "--model", "hmm", "--sites", "60"], "scores under noise"),
        ([], "at least one is needed"),
        (["--decoder", "strided", "--sites", "60"], "is a table"),
        (["--decoder", "strided", "--model", "brackets", "--sites", "61"], "even"),
        (["--decoder", "strided", "--model", "unknown"], "model = unknown"),
        (["--decoder", "strided", "--samples", "1"], "samples = 1"),
        (["--decoder", "strided", "--figure", "a.gif"], ".svg, .png or .pdf"),
        (["--decoder", "strided", "--corpus", "missing.txt"], "no such file"),
        (["--decoder", "strided", "--corpus", "missing.txt", "--table", "p.npy"], "give either --table or --corpus"),
        (["--decoder", "optimal", "--model", "hmm", "--sites", "60"], "order 1 only"),
        (["--decoder", "treedepth", "--model", "hmm", "--sites", "60"], "until the last is revealed"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: list[str], words: str) -> None:
    assert words in refusal(command, *arguments)


def test_what_is_too_large_to_enumerate_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others keep their numbers; alone, it is refused."""
    monkeypatch.setattr("theory.decoding.enumeration.MAXIMUM_STATES", 800)
    remembering = "remdm:schedule=conf"
    arguments = ["--sites", "5", "--calls", "5", "--decoder", remembering]
    record = run(*arguments, "--decoder", "confidence")
    rows = {row["decoder"]: row for row in record["decoders"]}
    assert rows["confidence"]["kl"]["kind"] == "exact"
    assert {rows[remembering][name] for name in ("kl", "reverse_kl", "expected_calls", "worst_calls")} == {None}
    assert "partial sequences, at most 800" in rows[remembering]["reason"]
    assert set(draw_frontier(record).axes[0].texts[0].get_text()) == set("confidence")
    shown = CliRunner().invoke(command, [*arguments, "--decoder", "confidence"], catch_exceptions=False).output
    assert f"no KL(p‖q): {remembering} (sites = 5: remdm leads to" in " ".join(shown.split())
    assert "at most 800" in refusal(command, *arguments)


def test_a_reducible_transition_is_refused_with_its_classes(tmp_path: Path) -> None:
    np.save(tmp_path / "P.npy", np.eye(3))
    message = refusal(command, "--transition", str(tmp_path / "P.npy"), "--sites", "40", "--decoder", "strided")
    assert "{0}; {1}; {2}" in message


def test_a_length_that_would_not_fit_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "P.npy", np.full((200, 200), 1 / 200))
    message = refusal(command, "--transition", str(tmp_path / "P.npy"), "--sites", str(10**8), "--decoder", "strided")
    assert "would take" in message


def test_enumerable_means_a_table() -> None:
    assert enumerable(9, 2)
    assert 3**9 <= ENUMERABLE < 3**10


@pytest.mark.parametrize(("order", "calls"), [(2, 8), (3, 12)])
def test_exact_schedules_beyond_order_one(order: int, calls: int) -> None:
    law = MarkovLaw(np.random.default_rng(order).dirichlet(np.full(2, 0.5), size=(2,) * order), 24)
    for row in decode_record(law, ["treedepth", "optimal"], [calls], samples=20)["decoders"]:
        assert row["kl"] == row["reverse_kl"] == {"value": 0.0, "kind": "exact", "interval": (0.0, 0.0)}
        assert row["expected_calls"] <= calls
    # The shares of its steps, along sequences of the law, are zero too; so it is no matter of declaring it.
    known = KnownSequence(law)
    x = law.sample(20, np.random.default_rng(1))
    found = replay(known, parse("treedepth"), Setting.of(known, 1), x, np.random.default_rng(2), law).divergence
    np.testing.assert_allclose(found, 0.0, atol=1e-10)
    with pytest.raises(InvalidInput, match="calls on, which are exact here"):
        decode_record(law, ["optimal"], [2])


def test_a_copied_sequence_takes_logarithmically_many_calls() -> None:
    law = AT_LENGTH["copying"](ModelSpec("copying", 64, 3, coupling=1.0))
    (row,) = decode_record(law, ["treedepth"], [4], samples=20)["decoders"]
    assert row["kl"]["value"] == 0.0
    assert row["expected_calls"] <= 7


def test_truths_are_shared_by_all_decoders(chain: tuple[MarkovLaw, JointLaw]) -> None:
    first, second = (LengthStudy(chain[0], 8, 5).truths(0, 8) for _ in range(2))
    np.testing.assert_array_equal(first, second)
