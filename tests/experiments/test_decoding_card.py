"""Cards: every rule has one, its numbers are those of the enumeration, and the command prints it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.cli import gmlm
from experiments.decoding.card import card_record, ties_sentence, verdict
from theory.decoding.card import SITES, card_of, instructive_law, tied_law, with_options
from theory.decoding.enumeration import decode, divergences
from theory.decoding.registry import RULES, parse
from theory.decoding.tables import KnownLaw
from theory.errors import InvalidInput


def test_the_instructive_table_has_no_ties() -> None:
    law = instructive_law()
    for masked in range(SITES):
        sites = law.marginal((masked,))
        assert len(np.unique(np.round(sites, 9))) == 3
    np.testing.assert_allclose(law.marginal((0,)), law.marginal((3,)), atol=1e-14)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_a_card(name: str) -> None:
    card = card_of(parse(name))
    law = instructive_law()
    output = decode(KnownLaw(law), parse(name), card.by_calls[-1].calls)
    assert card.one_a_call == pytest.approx(divergences(law, output.law).kl, abs=1e-12)
    assert card.by_calls[-1].expected_calls == output.expected_calls
    for x, p, q in card.outputs:
        assert (p, q) == (law.table[x], output.law.table[x])
    assert [row.temperature for row in card.temperatures] == [0.0, 0.5, 0.7, 1.0, 1.5]
    assert card.temperatures[3].kl == pytest.approx(card.one_a_call, abs=1e-12)
    assert set(card.ties) == {"first", "random"}


def test_a_card_answers_what_users_ask() -> None:
    llada = card_record("llada")
    # More steps are worse, one token a call is not exact, and the mode comes out too often.
    errors = [row["kl"] for row in llada["by_calls"]]
    assert errors[1] < errors[2] < errors[3]
    assert "misses p by 1.4 nats" in verdict(llada)
    assert llada["outputs"][0][0] == (0, 0, 0, 0)
    assert "with ties to the first" in ties_sentence(llada)
    assert "exactly" in verdict(card_record("random-order"))
    assert "however" in ties_sentence(card_record("remdm"))


def test_options_reach_both_parts_of_a_rule_with_chain_steps() -> None:
    rule = with_options(parse("llada+k-gibbs:k=2"), temperature=0.0)
    cooled = decode(KnownLaw(tied_law()), rule, 2).law
    assert cooled.probabilities.max() == 1.0


def test_the_command_prints_and_refuses() -> None:
    runner = CliRunner()
    shown = runner.invoke(gmlm, ["decode", "card", "maskgit:sizes=uniform+k-gibbs:k=2"])
    assert shown.exit_code == 0
    assert "maskgit: draw everywhere" in shown.output
    assert "k-gibbs: then k random sites" in shown.output
    record = json.loads(runner.invoke(gmlm, ["decode", "card", "p2:eta=0", "--json"]).output)
    assert record["parts"][0]["name"] == "p2"
    assert record["by_calls"][-1]["calls"] == SITES
    for text in ("beam", "llada:theta=1", "remdm:eta=2"):
        with pytest.raises(InvalidInput):
            runner.invoke(gmlm, ["decode", "card", text], catch_exceptions=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("confidence", "q(x) exactly, by replay"),
        ("klass", "q(x) exactly, by replay"),
        ("optimal", "q(x) exactly, by replay"),
        ("random-order", "bounds from above, by replay"),
        ("maskgit", "exactly in blocks of at most 12 sites"),
        ("maskgit:tau=1", "no closed form"),
        ("llada:ties=random", "random ties"),
        ("threshold:candidates=drawn", "a lower bound"),
        ("remdm", "masked again"),
        ("adaptive-parallel", "draft"),
        ("tweedie:noise=uniform", "full from the start"),
        ("speculative", "it puts out p"),
    ],
)
def test_the_card_says_what_is_known_at_length(text: str, words: str) -> None:
    assert words in card_record(text)["at_length"]
