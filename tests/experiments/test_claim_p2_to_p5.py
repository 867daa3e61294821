"""P2 to P5 hold for stand-ins that are near the law, draw their figures, and find planted falsehoods."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import experiments.claims.p2_distillation_removes_mode_mixing as p2
import experiments.claims.p3_mask_ratio_and_training_stages as p3
import experiments.claims.p4_starts_and_rejecters as p4
import experiments.claims.p5_speed_quality_frontier as p5
from experiments.claim import Findings, Verdict, no_progress
from experiments.language.exact import Exact
from experiments.language.translators import Decoded, Pair, Training, noise_of, small_language
from experiments.records import compute, draw
from tests.experiments.translation_stand_in import StandIn, StandInDecoding, stand_in_laws
from theory.errors import InvalidInput
from theory.language.parallel_language import ParallelLanguage
from theory.parameters import build

HOLDS, VIOLATED = Verdict.HOLDS, Verdict.VIOLATED
SIZES = {"rows": 100, "seeds": 3, "pairs": 20, "longest": 3}
SMALL: dict[ModuleType, dict[str, Any]] = {
    p2: SIZES,
    p3: {**SIZES, "steps": 3},
    p4: {**SIZES, "steps": 2, "schemes": ("masks", p4.MASK_PREDICT)},
    p5: {**SIZES, "steps": (1, 2)},
}


def train(language: ParallelLanguage, pairs: Sequence[Pair], training: Training, seed: int) -> StandIn:
    """Networks near the law of the data that they get; a low density is learned less well.

    A second stage makes them less sure, which is what pays where their own first step was wrong.
    """
    distilled = all(target == language.mode(source) for source, target in pairs)
    if distilled:
        weights = tuple(float(weight == max(language.register_weights)) for weight in language.register_weights)
        language = small_language((1.0, 0.0) if weights[0] else (0.0, 1.0), 0.0, longest=language.longest)
    error = 0.3 if training.density else 0.05 if training.stages == 2 else 0.005
    error *= 1 + 0.02 * (seed % 7)
    return StandIn(Exact(language, noise_of(language, training), training.weighting), error)


def attention(network: StandIn, rows: Any, inputs: np.ndarray) -> np.ndarray:
    """Repeated neighbours see each other a little more; every network differs."""
    same = inputs[:, 1:] == inputs[:, :-1]
    return 0.2 + 0.1 * same + network.error


class GreedyStandIn(StandInDecoding):
    """Draws from the laws, also where the likeliest token is asked for: good enough for laws without uncertainty."""

    def __init__(self, network: StandIn, settings: Any = None) -> None:
        super().__init__(network, settings)


class TokenByToken(GreedyStandIn):
    """Stands for autoregressive decoding: steps until it is coherent."""

    def __call__(self, network: StandIn, language: ParallelLanguage, rows: Any, *rest: object) -> Decoded:  # type: ignore[override]
        return super().__call__(network, language, rows, (8,))


class Together(GreedyStandIn):
    """Draws whole translations from masks alone, whatever the step."""

    def __call__(self, network: StandIn, language: Any, rows: Any, steps: Any, seed: int = 0) -> Decoded:
        found = super().__call__(network, language, rows, steps, seed)
        generator = np.random.default_rng(seed)
        for n, length, index in network.exact.groups(rows):
            denoiser = network.exact.chain(n, length).denoiser
            for row in index:
                chosen = denoiser.sequences[generator.choice(len(denoiser.sequences), p=denoiser.probabilities)]
                whole = np.argsort(network.exact.names(rows.sources[row]), kind="stable")
                names = network.exact.names(rows.sources[row])[whole]
                found.outputs[:, row, :length] = whole[np.searchsorted(names, chosen)]
                found.inputs[:, row, :length] = found.inputs[0, row, 0]
        return found


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in SMALL:
        monkeypatch.setattr(module, "train", train)
        monkeypatch.setattr(module, "Decoding", GreedyStandIn)
    monkeypatch.setattr(p5, "AutoregressiveDecoding", TokenByToken)
    monkeypatch.setattr(p4, "neighbour_attention", attention)
    monkeypatch.setattr("experiments.language.exact.network_laws", stand_in_laws)
    monkeypatch.setattr("experiments.language.translators.network_laws", stand_in_laws)


def findings(module: ModuleType, **changes: object) -> Findings:
    return module.compute(build(module.Parameters, values={**SMALL[module], **changes}), 0, no_progress)


def verdicts(module: ModuleType, **changes: object) -> list[Verdict]:
    return [check.verdict for check in findings(module, **changes).checks]


@pytest.mark.parametrize("module", SMALL, ids=lambda module: module.CLAIM.id)
def test_holds_and_draws_every_figure(module: ModuleType) -> None:
    record = compute(module.CLAIM, build(module.Parameters, values=SMALL[module]), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(module.CLAIM, record)) == 2 * len(module.CLAIM.figures)


def test_p2_finds_a_distillation_that_makes_it_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(language: ParallelLanguage, pairs: Sequence[Pair], training: Training, seed: int) -> StandIn:
        distilled = all(target == language.mode(source) for source, target in pairs)
        other = small_language((0.6, 0.4) if distilled else (1.0, 0.0), 0.3, longest=language.longest)
        return StandIn(Exact(other, noise_of(other, training), training.weighting), 0.001 * (1 + seed % 3))

    monkeypatch.setattr(p2, "train", swapped)
    assert any(check.verdict is VIOLATED for check in findings(p2).checks if "loss by distillation" in check.name)


def test_p3_finds_a_uniform_density_and_a_second_stage_that_hurt(monkeypatch: pytest.MonkeyPatch) -> None:
    def opposite(language: ParallelLanguage, pairs: Sequence[Pair], training: Training, seed: int) -> StandIn:
        error = 0.001 if training.density or training.stages == 2 else 0.3
        error *= 1 + 0.02 * (seed % 7)
        return StandIn(Exact(language, noise_of(language, training), training.weighting), error)

    monkeypatch.setattr(p3, "train", opposite)
    assert verdicts(p3)[2:] == [VIOLATED, VIOLATED]


def test_p3_finds_a_first_step_that_is_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p3, "Decoding", Together)
    seen = verdicts(p3)
    assert seen[:2] == [VIOLATED, Verdict.INCONCLUSIVE]


def test_p4_finds_a_last_step_that_sees_masks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(GreedyStandIn):
        def __call__(self, *arguments: Any) -> Decoded:
            found = super().__call__(*arguments)
            return found._replace(outputs=found.outputs[[0] * len(found.outputs)])

    monkeypatch.setattr(p4, "Decoding", Blind)
    checks = findings(p4, schemes=("masks",)).checks
    assert checks[0].verdict is VIOLATED
    assert [check.verdict for check in checks if "starts from masks" in check.name] == [Verdict.INCONCLUSIVE]


def test_p4_finds_a_step_that_is_not_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sharper(GreedyStandIn):
        def __call__(self, network: StandIn, *arguments: Any) -> Decoded:  # type: ignore[override]
            return super().__call__(StandIn(network.exact, 0.3), *arguments)

    monkeypatch.setattr(p4, "Decoding", Sharper)
    assert VIOLATED in verdicts(p4)


def test_p4_finds_that_masks_are_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose step is the wrong chain: it is not held for the right one, and the wrong one is not excluded."""
    monkeypatch.setattr(p4, "Decoding", Together)
    seen = verdicts(p4, schemes=(p4.MASK_PREDICT,))
    assert seen[0] is VIOLATED
    assert seen[2] is Verdict.INCONCLUSIVE


def test_p4_schemes_keep_all_that_the_last_step_draws() -> None:
    """Otherwise that step could not be held to a law of independent draws."""
    from simulators.t5.decoding.rejecters import LinearSchedule, Passthrough

    for scheme in p4.SCHEMES:
        settings = p4.settings_of(scheme)
        kept = settings.replacement == "initial" or isinstance(settings.rejecter, LinearSchedule | Passthrough)
        assert kept, scheme
        assert settings.update == ("rejected" if scheme == p4.MASK_PREDICT else "all")
        assert settings.remove_stutter == "never"


def test_p5_finds_a_distilled_network_that_lost_translations(monkeypatch: pytest.MonkeyPatch) -> None:
    def bad(language: ParallelLanguage, pairs: Sequence[Pair], training: Training, seed: int) -> StandIn:
        return StandIn(train(language, pairs, training, seed).exact, 0.3 * (1 + 0.02 * (seed % 7)))

    def other(*arguments: Any) -> StandIn:
        return bad(*arguments) if arguments[2].decoder == "refinement" else train(*arguments)

    monkeypatch.setattr(p5, "train", other)
    assert verdicts(p5)[0] is VIOLATED


def test_p5_finds_that_one_step_without_distillation_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the test that the distilled step passes would have passed anything."""

    def modes(language: ParallelLanguage, pairs: Sequence[Pair], *rest: Any) -> StandIn:
        return train(language, [(source, language.mode(source)) for source, _ in pairs], *rest)

    monkeypatch.setattr(p5, "train", modes)
    assert verdicts(p5)[1] is VIOLATED


def test_p5_of_networks_without_translations_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p5, "_translations", lambda *arguments: 0.0)
    assert findings(p5).checks[0].informative == 0


@pytest.mark.parametrize("module", SMALL, ids=lambda module: module.CLAIM.id)
def test_learned_is_one_sentence_with_numbers_of_the_run(module: ModuleType) -> None:
    found = findings(module).learned
    assert found.endswith(".")
    assert "%" in found
    assert "nan" not in found


def test_bad_parameters_are_named() -> None:
    with pytest.raises(InvalidInput, match="data"):
        findings(p2, data=("mode",))
    with pytest.raises(InvalidInput, match="schemes"):
        findings(p4, schemes=("nothing",))
