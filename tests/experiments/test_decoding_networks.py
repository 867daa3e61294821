"""Decoders on networks: learned error and decoding error apart, losses of held-out sequences, the best options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.chains.model_spec import ModelSpec
from experiments.cli.decode import decode as command
from experiments.decoding.figures import draw_frontier, measure
from experiments.decoding.laws import AT_LENGTH, model_law
from experiments.decoding.network_study import HeldOut
from experiments.decoding.record import decode_record
from experiments.decoding.search import best_settings
from tests.experiments.command_line import refusal
from tests.experiments.text_stand_in import text_stand_in
from theory.decoding import FunctionPredictor, KnownLaw, decode, divergences, parse
from theory.decoding.known_sequence import KnownSequence
from theory.errors import InvalidInput
from theory.laws import JointLaw, random_law
from theory.states import all_sequences

DECODERS = ["strided", "confidence", "random-order", "llada:block=3", "optimal", "first-hitting"]


def spec(coupling: float, sites: int = 6) -> ModelSpec:
    return ModelSpec("markov", sites, 3, coupling=coupling)


def learned(coupling: float = 1.0) -> tuple[JointLaw, FunctionPredictor]:
    """A law, and conditionals of another one in place of what a network would have learned."""
    law, other = model_law(spec(1.5)), model_law(spec(coupling))
    assert isinstance(law, JointLaw)
    assert isinstance(other, JointLaw)
    return law, FunctionPredictor(6, 3, KnownLaw(other).predict)


def test_on_a_table_both_errors_are_exact() -> None:
    law, network = learned()
    record = decode_record(law, DECODERS, [2, 6], network=network)
    assert record["learned"]
    for row in record["decoders"]:
        if row["decoder"] != "optimal":  # whose schedule is the truth's
            output = decode(network, parse(row["decoder"]), row["calls"])
            assert row["kl"]["value"] == pytest.approx(divergences(law, output.law).kl, abs=1e-12)
        own = decode(KnownLaw(law), parse(row["decoder"]), row["calls"])
        assert row["decoding_error"]["value"] == pytest.approx(divergences(law, own.law).kl, abs=1e-9)
        parts = row["decoding_error"]["value"] + row["learned_error"]["value"]
        assert parts == pytest.approx(row["kl"]["value"], abs=1e-12)


def test_at_length_the_errors_are_those_of_the_table() -> None:
    law, network = learned()
    exact = decode_record(law, DECODERS, [2, 6], network=network)["decoders"]
    long = AT_LENGTH["markov"](spec(1.5))
    found = decode_record(long, DECODERS, [2, 6], network=KnownSequence(AT_LENGTH["markov"](spec(1.0))), samples=400)
    for truth, row in zip(exact, found["decoders"], strict=True):
        for name in ("kl", "decoding_error", "learned_error", "reverse_kl"):
            estimate = row[name]
            if estimate is None:
                # A difference of two bounds says nothing.
                assert name == "learned_error"
                assert "upper" in (row["kl"]["kind"], row["decoding_error"]["kind"])
                continue
            low, high = estimate["interval"]
            # Intervals doubled: a false alarm in fewer than 1e-2 of the seeds for the forty numbers here.
            slack = (high - low) / 2 + 1e-9
            assert truth[name]["value"] <= high + slack
            if estimate["kind"] != "upper":
                assert truth[name]["value"] >= low - slack


def test_what_learned_the_law_itself_has_no_learned_error() -> None:
    law = AT_LENGTH["markov"](spec(1.5, 12))
    (row,) = decode_record(law, ["confidence"], [3], network=KnownSequence(law), samples=20)["decoders"]
    assert row["learned_error"]["value"] == 0.0
    assert row["decoding_error"] == row["kl"]


def test_remasking_at_length_is_sampled_from_the_network() -> None:
    law = AT_LENGTH["markov"](spec(1.5, 12))
    (row,) = decode_record(law, ["remdm"], [4], network=KnownSequence(AT_LENGTH["markov"](spec(0.1, 12))))["decoders"]
    assert row["kl"] is row["learned_error"] is None
    assert row["reverse_kl"]["kind"] == "lower"
    assert row["reverse_kl"]["interval"][0] > 0


def test_a_network_of_another_size_is_refused() -> None:
    law, _ = learned()
    with pytest.raises(InvalidInput, match="6 sites, 3 symbols are needed"):
        decode_record(law, ["strided"], [2], network=KnownLaw(random_law(4, 3, np.random.default_rng(0))))
    with pytest.raises(InvalidInput, match="under noise"):
        decode_record(law, ["ddpd"], [2], network=learned()[1])


def held_out(count: int = 400) -> HeldOut:
    law, network = learned()
    return HeldOut("network", ((network, law.sample(count, np.random.default_rng(1))),))


def test_the_loss_is_the_divergence_up_to_the_entropy() -> None:
    law, network = learned()
    weights = np.round(law.probabilities * 5000).astype(int)
    x = np.repeat(all_sequences(6, 3), weights, axis=0)
    # Each sequence as often as its probability says, to 1e-4.
    record = decode_record(HeldOut("network", ((network, x),)), ["confidence", "llada", "random-order"], [3])
    assert measure(record) == "loss"
    for row in record["decoders"]:
        q = decode(network, parse(row["decoder"]), 3).law.probabilities
        expected = -float(weights @ np.log(q)) / len(x)
        assert row["kl"] is None
        if row["loss"]["kind"] == "unbiased":
            assert row["loss"]["value"] == pytest.approx(expected, abs=1e-9)
        else:
            assert row["loss"]["interval"][1] > expected
    assert {row["loss"]["kind"] for row in record["decoders"]} == {"unbiased", "upper"}


def test_rules_without_a_probability_are_compared_by_pairs() -> None:
    (row,) = decode_record(held_out(), ["remdm"], [3])["decoders"]
    assert row["loss"] is None
    assert row["pair_distance"]["kind"] == "unbiased"
    with pytest.raises(InvalidInput, match="a text has no probability"):
        decode_record(held_out(10), ["remdm"], [3])
    with pytest.raises(InvalidInput, match="at least 2"):
        held_out(1)


def test_the_best_options_on_a_network_are_those_of_the_least_loss() -> None:
    law, network = learned()
    held = held_out()
    record = best_settings(held, "llada", {"temperature": ["0.7", "1", "1.5", "2"]}, [6])
    losses = [row["loss"]["value"] for row in record["decoders"]]
    assert losses == sorted(losses)
    kl = {
        row["decoder"]: divergences(law, decode(network, parse(row["decoder"]), 6).law).kl for row in record["decoders"]
    }
    assert record["decoders"][0]["decoder"] == min(kl, key=lambda name: kl[name])
    first, *others = record["decoders"]
    assert first["behind"] is None
    for row in others:
        low, high = row["behind"]["interval"]
        slack = (high - low) / 2  # doubled: a false alarm in fewer than 1e-3 of the seeds
        assert low - slack <= kl[row["decoder"]] - kl[first["decoder"]] <= high + slack
        # Sequence by sequence the differences are known better than either loss.
        assert high - low < row["loss"]["interval"][1] - row["loss"]["interval"][0]


def test_both_errors_are_in_one_figure() -> None:
    law, network = learned()
    record = json.loads(json.dumps(decode_record(law, ["confidence", "llada"], [2, 6], network=network)))
    axes = draw_frontier(record).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["learned conditionals", "true conditionals"]
    assert len(axes.containers) == 4
    assert draw_frontier(decode_record(held_out(20), ["strided"], [2])).axes[0].get_ylabel().startswith("-ln q(x)")


@pytest.mark.usefixtures("quick_compilation")
def test_the_command_trains_a_network_on_the_law(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    arguments = ["--model", "markov", "--sites", "4", "--coupling", "1.5", "--decoder", "confidence", "--calls", "2"]
    figure = tmp_path / "errors.png"

    def learned_error(steps: int, *more: str) -> float:
        text = f"mlp:steps={steps},width=8,layers=1,rate=0.02"
        result = CliRunner().invoke(command, [*arguments, "--trained", text, "--json", *more], catch_exceptions=False)
        (row,) = json.loads(result.stdout)["decoders"]
        return float(row["learned_error"]["value"])

    assert learned_error(150, "--figure", str(figure)) < learned_error(1)
    assert figure.stat().st_size > 5_000


def test_the_command_scores_a_text_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    from simulators.gmlm.text import model as text_model
    from simulators.gmlm.training import CHECKPOINT

    stand_in, network, windows = text_stand_in()
    monkeypatch.setattr(text_model, "load_text_model", lambda folder: stand_in)
    (tmp_path / CHECKPOINT).write_bytes(b"")
    head = ["--network", str(tmp_path), "--json", "--calls"]
    found = json.loads(CliRunner().invoke(command, [*head, "4", "--decoder", "left-to-right"]).stdout)
    expected = -np.log(network.law.table[tuple(windows.T)]).mean()
    assert found["decoders"][0]["loss"]["value"] == pytest.approx(expected, abs=1e-12)
    searched = json.loads(
        CliRunner().invoke(command, [*head, "2", "best", "dream", "--try", "temperature=0.5,1"]).stdout
    )
    assert len(searched["decoders"]) == 2
    for arguments, words in (
        (["--sequences", "ab"], "is a text model"),
        (["--decoder", "optimal"], "known law"),
        (["--decoder", "ddpd"], "under noise"),
        (["--decoder", "strided", "--calls", "5"], "1 to 4"),
        (["--trained", "mlp"], "names a law"),
        (["--table", "p.npy"], "names a law"),
        (["--figure", "a.gif"], ".svg"),
    ):
        assert words in refusal(command, "--network", str(tmp_path), *arguments)


def test_the_command_scores_regions_of_sequences(tmp_path: Path) -> None:
    from tests.masked_lm_examples import VH, random_network, save_folder

    folder = save_folder(random_network("bert"), tmp_path)
    fasta = tmp_path / "two.fasta"
    fasta.write_text(f">a\n{VH[:40]}\n>b\n{VH[20:55]}\n")

    def run(*more: str) -> Any:
        head = ["--network", str(folder), "--sequences", str(fasta), "--decoder", "confidence", "--calls", "2"]
        return CliRunner().invoke(command, [*head, *more])

    record = json.loads(run("--region", "10:14", "--json").stdout)
    assert (record["sites"], record["symbols"]) == (4, 20)
    assert record["decoders"][0]["loss"]["kind"] == "unbiased"
    assert "35 to 40 sites" in str(run().exception)
    assert "no text model" in refusal(
        command, "--network", str(folder), "--corpus", str(fasta), "--decoder", "confidence"
    )
    assert "has no probability" in str(run("--region", "10:14", "--decoder", "remdm").exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--network", "missing"], "no such folder"),
        (["--region", "1:3"], "goes with --network"),
        (["--trained", "lstm"], "network = lstm: one of transformer, mlp"),
        (["--trained", "mlp:steps=0"], "steps = 0"),
        (["--trained", "mlp:depth=2"], "depth"),
        (["--trained", "mlp", "--decoder", "ladda"], "decoder = ladda"),
        (["--trained", "mlp", "--calls", "9"], "calls = 9"),
        (["--trained", "mlp", "--decoder", "ddpd"], "under noise"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: list[str], words: str) -> None:
    assert words in refusal(command, "--decoder", "llada", *arguments)
