"""P1 holds for networks near the law, finds planted falsehoods, and says when it cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

import experiments.claims.p1_refinement_follows_the_exact_chain as p1
import experiments.language.translators as translation
from experiments.claim import Findings, Verdict, no_progress
from experiments.language.checks import FALSE_ALARM, Case, within_own_error
from experiments.language.exact import Exact, coherent, distances, measured, possible
from experiments.language.translators import fresh_rows, noise_of, small_language
from experiments.records import compute, draw
from tests.experiments.translation_stand_in import StandIn, StandInDecoding, stand_in_laws, stand_in_train
from theory.language.denoising import Noise
from theory.parameters import build

HOLDS, VIOLATED, INCONCLUSIVE = Verdict.HOLDS, Verdict.VIOLATED, Verdict.INCONCLUSIVE
SMALL = {"weights": (0.6,), "rows": 200, "seeds": 3, "steps": 3, "pairs": 10, "longest": 3}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p1, "train", stand_in_train())
    monkeypatch.setattr(p1, "Decoding", StandInDecoding)
    monkeypatch.setattr("experiments.language.exact.network_laws", stand_in_laws)


def findings(**changes: object) -> Findings:
    return p1.compute(build(p1.Parameters, values={**SMALL, **changes}), 0, no_progress)


def test_holds_and_draws_every_figure() -> None:
    record = compute(p1.CLAIM, build(p1.Parameters, values={**SMALL, "weights": (0.5, 0.9)}), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(p1.CLAIM, record)) == 2 * len(p1.CLAIM.figures)


def test_a_chain_of_another_noise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Exact.expected
    other = Noise(None, 0.0, 0.9, 2)

    def wrong(self: Exact, *arguments: object) -> np.ndarray:
        return right(Exact(self.language, other, self.weighting), *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Exact, "expected", wrong)
    monkeypatch.setattr(p1, "train", stand_in_train(0.001))
    assert findings().checks[0].verdict is VIOLATED


def test_a_decoder_that_draws_from_other_laws_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sharper(StandInDecoding):
        def __call__(self, network: StandIn, *arguments: object) -> translation.Decoded:  # type: ignore[override]
            return super().__call__(StandIn(network.exact, 0.3), *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(p1, "Decoding", Sharper)
    assert VIOLATED in [check.verdict for check in findings().checks[:3]]


def test_steps_that_do_not_help_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Backwards(StandInDecoding):
        def __call__(self, *arguments: object) -> translation.Decoded:  # type: ignore[override]
            found = super().__call__(*arguments)  # type: ignore[arg-type]
            return found._replace(outputs=found.outputs[::-1])

    monkeypatch.setattr(p1, "Decoding", Backwards)
    assert findings().checks[-1].verdict is VIOLATED


def test_a_network_far_from_the_law_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p1, "train", stand_in_train(0.6))
    assert [check.verdict for check in findings().checks[:3]] == [INCONCLUSIVE] * 3


def test_false_alarms_are_rare_and_errors_are_found() -> None:
    generator = np.random.default_rng(0)
    verdicts = []
    for shift in (0.0, 0.1):
        cases = []
        for case in range(200):
            chance = generator.random(400)
            cases.append(Case(str(case), (generator.random(400) < chance + shift) * 1.0, chance, np.full(400, 0.001)))
        verdicts.append(within_own_error("check", cases).verdict)
    assert verdicts == [HOLDS, VIOLATED]
    assert FALSE_ALARM <= 1e-4


def test_names_do_not_change_the_law() -> None:
    language = small_language((0.6, 0.4), 0.3, longest=3)
    exact = Exact(language, noise_of(language, translation.Training()))
    rows = fresh_rows(language, 40, 1)
    network = StandIn(exact, 0.0)
    decoded = StandInDecoding(network, None)(network, language, rows, (1, 2), 0)
    np.testing.assert_allclose(distances(exact, rows, network, decoded.inputs), 0, atol=1e-9)  # type: ignore[arg-type]
    # Renamed targets are possible exactly where the language can parse them.
    found = measured(exact, rows, decoded.outputs[1], possible)
    for row, (source, length) in enumerate(zip(rows.sources, rows.lengths, strict=True)):
        parsed = language.parse(source, decoded.outputs[1][row, :length])
        assert bool(found[row]) == (parsed is not None)
    registers = measured(exact, rows, decoded.outputs[0], coherent)
    for row, length in enumerate(rows.lengths):
        assert bool(registers[row]) == (len(set(language.register_of(decoded.outputs[0][row, :length]))) == 1)
    # The exact law of the next step, summed directly from the targets of this very sentence.
    for row in range(5):
        law = language.target_law(rows.sources[row], int(rows.lengths[row]))
        own = translation.make_rows([rows.sources[row]], [int(rows.lengths[row])])
        inputs = translation.input_tokens(language, own, decoded.inputs[1][row : row + 1])
        share = exact.next_step(own, inputs, possible)[0]
        marginals = stand_in_laws(network, own, decoded.inputs[1][row : row + 1])[0]
        first = translation.SPECIAL + language.words
        direct = sum(
            np.prod([marginals[place, first + token] for place, token in enumerate(target)]) for target in law.sequences
        )
        assert share == pytest.approx(direct, abs=1e-9)


def test_short_training_learns_something() -> None:
    from experiments.language.translators import Training, train, training_pairs

    language = small_language((1.0,), 0.0, longest=3)
    pairs = training_pairs(language, 200, 0)
    network = train(language, pairs, Training(width=16, steps=3, rows=8), 0)
    again = train(language, pairs, Training(width=16, steps=3, rows=8), 0)
    np.testing.assert_array_equal(network.shared[...], again.shared[...])
