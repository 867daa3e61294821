"""Scores of sequences, the search for the best options, and ``decode`` as a swept subject."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.chains.model_spec import ModelSpec
from experiments.cli.decode import decode as command
from experiments.decoding.laws import model_law
from experiments.decoding.record import decode_record
from experiments.decoding.score import score
from experiments.decoding.search import best_settings
from experiments.sweeps.subjects import load_subject
from tests.experiments.text_stand_in import text_stand_in
from theory.decoding import FunctionPredictor, KnownLaw, decode, parse
from theory.errors import InvalidInput
from theory.laws import JointLaw, random_law
from theory.parameters import build
from theory.states import all_sequences


def test_scores_are_the_enumerated_losses_of_a_network() -> None:
    network = KnownLaw(random_law(4, 2, np.random.default_rng(0)))
    model = FunctionPredictor(4, 2, network.predict)
    x = all_sequences(4, 2)
    for text in ("confidence", "llada", "entropy-bound:gamma=0.3"):
        expected = -np.log(decode(model, parse(text), 2).law.probabilities)
        found = score(model, parse(text), 2, x)
        np.testing.assert_allclose(found.losses, expected, atol=1e-12)
        assert found.loss.kind == "unbiased"
    assert score(model, parse("random-order"), 2, x).loss.kind == "upper"
    with pytest.raises(InvalidInput, match="no replay"):
        score(model, parse("remdm"), 2, x)


def test_the_best_temperature_is_that_of_the_least_divergence() -> None:
    law = model_law(ModelSpec("markov", 5, 2, coupling=1.2))
    assert isinstance(law, JointLaw)
    record = best_settings(law, "llada", {"temperature": ["0.7", "1", "1.5", "2"]}, [5])
    values = [row["kl"]["value"] for row in record["decoders"]]
    assert values == sorted(values)
    every = decode_record(law, [f"llada:temperature={t}" for t in (0.7, 1, 1.5, 2)], [5])["decoders"]
    assert values[0] == min(row["kl"]["value"] for row in every)
    # At one token a call the drawn candidates favour likely tokens, which a higher temperature counters.
    assert record["decoders"][0]["decoder"] != "llada:temperature=0.7"


def test_the_command_ranks_settings() -> None:
    arguments = [
        "--model",
        "markov",
        "--coupling",
        "1.2",
        "--calls",
        "3",
        "--json",
        "best",
        "llada",
        "--try",
        "block=0,2",
    ]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    record = json.loads(result.stdout)
    assert {row["decoder"] for row in record["decoders"]} == {"llada:block=0", "llada:block=2"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["best", "llada"], "give an option"),
        (["best", "llada", "--try", "theta=1,2"], "theta"),
        (["best", "llada", "--try", "block"], "NAME=VALUE"),
        (["--calls", "2", "best", "llada", "--try", "block=2"], "too few for 3 blocks"),
        (["--decoder", "llada", "best", "llada", "--try", "block=2"], "after `best`"),
    ],
)
def test_what_cannot_be_searched_is_named(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, InvalidInput), result.output
    assert words in str(result.exception)


def record(**values: Any) -> dict[str, Any]:
    subject = load_subject("decode")
    parameters = build(subject.parameters, values=values)
    subject.check(parameters)
    return dict(subject.compute(parameters, 0))


def test_the_subject_is_what_the_command_says() -> None:
    small = record(model="markov", sites=4, calls=2, decoder="strided")
    row = decode_record(model_law(ModelSpec("markov", 4, 2)), ["strided"], [2])["decoders"][0]
    assert small["kl"] == row["kl"]["value"]
    assert small["kl_kind"] == "exact"
    long = record(model="topic", sites=30, symbols=3, calls=5, decoder="confidence", samples=20)
    assert long["kl_low"] <= long["kl"] <= long["kl_high"]
    assert long["kl_kind"] == "unbiased"
    assert long["total_variation"] is None


def test_text_is_scored_under_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")
    from experiments.cli.text import text
    from simulators.gmlm.text import model as text_model

    stand_in, network, windows = text_stand_in()
    monkeypatch.setattr(text_model, "load_text_model", lambda folder: stand_in)
    arguments = ["score", "folder", "--decoder", "left-to-right", "--calls", "4", "--json"]
    found = json.loads(CliRunner().invoke(text, arguments, catch_exceptions=False).stdout)
    # One token a call: the decoder's law is the table's own.
    expected = -np.log(network.law.table[tuple(windows.T)]).mean() / 4
    assert found["decoders"][0]["loss"]["value"] == pytest.approx(expected, abs=1e-12)
    assert found["decoders"][0]["loss"]["kind"] == "unbiased"
    refused = CliRunner().invoke(text, [*arguments, "--limit", "1"])
    assert "limit = 1" in str(refused.exception)
