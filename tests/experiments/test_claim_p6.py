"""P6 holds for networks near the law, and finds planted falsehoods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import experiments.claims.p6_errors_of_length_tokens_and_coherence as p6
import experiments.language.divergence as divergence
from experiments.claim import Check, Verdict, no_progress
from experiments.language.exact import Exact
from experiments.language.translators import LONGEST, Decoded, Rows, ids, noise_of, small_language
from experiments.records import compute, draw
from experiments.report import render_report
from experiments.translation.ablations.account import account, stored_record
from tests.experiments.translation_stand_in import StandIn, StandInDecoding, stand_in_laws, stand_in_train
from theory.parameters import build

SMALL: dict[str, Any] = {"rows": 40, "seeds": 3, "steps": (1, 2, 4), "pairs": 10, "longest": 2}


def stand_in_lengths(network: StandIn, rows: Rows) -> np.ndarray:
    """The true law of lengths, mixed with a little of the uniform one."""
    laws = np.full((len(rows.sources), LONGEST), network.error / LONGEST)
    for row, source in zip(laws, rows.sources, strict=True):
        row[len(source) : 2 * len(source) + 1] += (1 - network.error) * network.exact.language.length_law(source)
    return laws


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p6, "train", stand_in_train())
    monkeypatch.setattr(p6, "Decoding", StandInDecoding)
    monkeypatch.setattr(divergence, "network_laws", stand_in_laws)
    monkeypatch.setattr(divergence, "length_laws", stand_in_lengths)


def checks() -> list[Check]:
    return list(p6.compute(build(p6.Parameters, values=SMALL), 0, no_progress).checks)


def failed(found: list[Check]) -> list[str]:
    return [check.name for check in found if check.verdict is Verdict.VIOLATED]


def test_holds_and_draws_its_figure() -> None:
    record = compute(p6.CLAIM, build(p6.Parameters, values=SMALL), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(p6.CLAIM, record)) == 2
    # Beside claims about translation the report shows the ablations that come with the workbench.
    page = render_report([record], "report")
    stored = stored_record()
    assert stored is not None
    for part in account(stored):
        assert f"<h3>{part.title}</h3>" in page
        assert part.table is None or all(f">{row[-1]}</td>" in page for row in part.table.rows)


def test_steps_that_ignore_what_is_kept_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class FirstStep(StandInDecoding):
        def __call__(self, network: Any, language: Any, rows: Rows, steps: Any, seed: int = 0) -> Decoded:
            return super().__call__(network, language, rows, [1] * len(steps), seed)

    monkeypatch.setattr(p6, "Decoding", FirstStep)
    found = failed(checks())
    assert any("beyond the middle" in name for name in found)
    assert any("order has turned" in name for name in found)


def test_outputs_that_are_not_drawn_from_the_laws_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reversed(StandInDecoding):
        def __call__(self, *arguments: Any) -> Decoded:
            found = super().__call__(*arguments)
            return found._replace(outputs=found.outputs[::-1])

    monkeypatch.setattr(p6, "Decoding", Reversed)
    assert failed(checks()) == ["share of translations among the outputs: |measured - by the laws of the last step|"]


def test_a_wrong_twin_and_wrong_lengths_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = divergence.decoded_law
    monkeypatch.setattr(divergence, "decoded_law", lambda chain, rule, calls: right(chain, rule, calls + 1))
    monkeypatch.setattr(
        divergence, "length_laws", lambda network, rows: np.full((len(rows.sources), LONGEST), 1 / LONGEST)
    )
    found = failed(checks())
    assert any("closed form" in name for name in found)
    assert any("length error" in name for name in found)


def test_laws_of_the_last_step_are_those_of_counted_outputs() -> None:
    """Against frequencies of 4,000 outputs of one sentence of two words and three tokens; 5 standard errors each."""
    language = small_language((0.6, 0.4), 0.3, longest=2)
    exact = Exact(language, noise_of(language, p6.Parameters().training()))
    rows = divergence.make_rows([(0, 1)] * 4_000, [3] * 4_000)
    network = StandIn(exact, 0.1)
    inputs = np.full((1, len(rows.sources), LONGEST), 0, np.int32)
    inputs[0, :, 3] = 1
    inputs[0, :, :3] = ids(language)
    inputs[0, ::2, 0] = 3 + language.words  # the first word in the first register is kept in every other row
    laws = stand_in_laws(network, rows, inputs[0])
    generator = np.random.default_rng(0)
    drawn = (laws.cumsum(axis=2) < generator.random((*laws.shape[:2], 1)) * laws.sum(axis=2, keepdims=True)).sum(axis=2)
    drawn = np.where(inputs[0] == ids(language), drawn, inputs[0])[:, :3] - 3 - language.words
    seen = divergence.visited(exact, rows, network, Decoded(inputs, inputs, np.ones(1), np.ones(1)))  # type: ignore[arg-type]
    law = seen.laws[0][2, 3]
    states = exact.chain(2, 3).states
    tokens = np.argsort(exact.names((0, 1)), kind="stable")
    named = exact.names((0, 1))[tokens]
    counted = np.array([(drawn == tokens[np.searchsorted(named, state)]).all(axis=1).mean() for state in states])
    np.testing.assert_array_less(abs(counted - law), 5 * np.sqrt(law / len(rows.sources)) + 1e-4)
