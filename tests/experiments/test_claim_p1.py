"""P1 holds for networks near the law, finds planted falsehoods, and says when it cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

import experiments.claims.p1_refinement_follows_the_exact_chain as p1
import experiments.language.translators as translation
from experiments.claim import Check, Findings, Verdict, no_progress
from experiments.language.checks import FALSE_ALARM, Case, nearer, within_own_error
from experiments.language.exact import Exact, accumulated, coherent, distances, measured, possible
from experiments.language.translators import fresh_rows, noise_of, small_language
from experiments.learned import networks_at_most
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
    assert findings().checks[3].verdict is VIOLATED


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
    checks = findings().checks
    assert VIOLATED in [check.verdict for check in checks if "minus that at the last step" in check.name]
    # Its last step is one from masks.
    (rejected,) = (check for check in checks if "starts from masks" in check.name)
    assert rejected.verdict is INCONCLUSIVE


@pytest.mark.parametrize("drawn", ["together", "blindly"])
def test_another_step_of_mask_predict_is_not_rejected_and_is_found(monkeypatch: pytest.MonkeyPatch, drawn: str) -> None:
    """Planted falsehood: the law that outputs are compared with is the wrong one, and the wrong one the right one."""
    right = Exact.next_step
    swap = {"masks": drawn, drawn: "masks"}

    def swapped(self: Exact, rows: object, inputs: object, measure: object, name: str = "all") -> np.ndarray:
        return right(self, rows, inputs, measure, swap.get(name, name))  # type: ignore[arg-type]

    monkeypatch.setattr(Exact, "next_step", swapped)
    found = [check for check in findings().checks if check.name.startswith(p1.MASK_PREDICT)]
    assert found[0].verdict is VIOLATED
    assert INCONCLUSIVE in [check.verdict for check in found[1:]]


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


def drawn_case(generator: np.random.Generator, chance: float, rows: int = 400) -> Case:
    return Case("a case", (generator.random(rows) < chance) * 1.0, np.full(rows, 0.6), np.zeros(rows))


def test_a_wrong_law_is_rejected_with_the_stated_power_and_only_when_it_is_wrong() -> None:
    """Exact 0.6, wrong 0.2 or 0.4: outputs of either, and of the middle, where half a gap decides."""
    generator = np.random.default_rng(0)

    def found(chance: float, other: float) -> list[Check]:
        cases = [drawn_case(generator, chance) for _ in range(300)]
        return [nearer("check", [case], [np.full(400, other)], "another") for case in cases]

    assert {check.verdict for check in found(0.6, 0.2)} == {HOLDS}
    for chance in (0.2, 0.4):
        assert {check.verdict for check in found(chance, 0.2)} == {INCONCLUSIVE}
    weak = found(0.6, 0.4)
    stated = float(np.mean([float(check.detail.split("power ")[1].split(" ")[0]) for check in weak]))
    share = float(np.mean([check.verdict is HOLDS for check in weak]))
    assert 0.3 < stated < 0.8
    assert abs(share - stated) < 4 * np.sqrt(0.25 / 300)
    assert {check.informative for check in weak} == {0}


def test_too_few_rejections_and_no_difference_are_inconclusive() -> None:
    generator = np.random.default_rng(1)
    cases = [drawn_case(generator, chance) for chance in (0.6, 0.2, 0.2)]
    check = nearer("check", cases, [np.full(400, 0.2)] * 3, "another")
    assert (check.verdict, check.comparisons, check.informative) == (INCONCLUSIVE, 3, 3)
    assert "rejected in 1 of 3 cases, 2 must" in check.detail
    same = nearer("check", cases, [case.exact for case in cases], "another")
    assert (same.verdict, same.informative) == (INCONCLUSIVE, 0)


def test_a_limit_that_any_chain_meets_does_not_tell() -> None:
    generator = np.random.default_rng(2)
    loose = [drawn_case(generator, 0.6)._replace(distance=np.full(400, 0.5)) for _ in range(3)]
    tight = drawn_case(generator, 0.6)
    check = within_own_error("check", [*loose, tight])
    assert (check.verdict, check.comparisons, check.informative) == (INCONCLUSIVE, 4, 1)
    assert within_own_error("check", [*loose, tight], share=0.25).verdict is HOLDS


def test_differences_of_networks_tell_unless_the_bound_is_trivial() -> None:
    differences = np.array([0.01, 0.02, 0.03])
    assert networks_at_most("check", differences, 0.5).verdict is HOLDS
    assert networks_at_most("check", differences, 0.5, trivial=0.4).informative == 0
    assert networks_at_most("check", differences + 1).verdict is VIOLATED


def test_the_power_against_a_mean_on_the_other_side_is_the_share_that_is_rejected() -> None:
    """20,000 samples of three normal numbers with the reflected mean: 4 binomial standard errors."""
    differences = np.array([-1.4, -0.4, -1.2])
    check = networks_at_most("check", differences)
    assert check.alternative
    generator = np.random.default_rng(0)
    other = generator.normal(-differences.mean(), differences.std(ddof=1), size=(20_000, 3))
    # 4.303: the limit of Student's t with 2 degrees of freedom at 2.5%.
    above = other.mean(axis=1) - 4.302653 * other.std(axis=1, ddof=1) / np.sqrt(3) > 0
    assert check.power == pytest.approx(above.mean(), abs=4 * 0.5 / np.sqrt(20_000))


def test_errors_of_steps_add_up_without_a_cap() -> None:
    """Start; A and B; C and D. The exact chain goes to B and D, the network to A or B, and from B to C: 1 away."""
    exact = np.zeros((5, 5))
    exact[0, 2] = exact[1, 3] = exact[2, 4] = exact[3, 3] = exact[4, 4] = 1
    network = exact.copy()
    network[0] = [0, 0.5, 0.5, 0, 0]
    network[2] = [0, 0, 0, 1, 0]
    distance = 0.5 * np.abs(network - exact).sum(axis=1)
    steps = np.array([[distance[0]] * 2, distance[1:3]])  # of two rows, one in A and one in B after a step
    apart = abs(np.linalg.matrix_power(network, 2)[0, 4] - np.linalg.matrix_power(exact, 2)[0, 4])
    assert apart == 1
    assert Case("", np.zeros(2), np.ones(2), accumulated(steps)[-1]).limit == 1
    assert np.minimum(accumulated(steps)[-1], 1).mean() < apart


def test_distance_bounds_the_total_variation_of_a_whole_step() -> None:
    """Against sums over all outputs, for a network far from the law."""
    language = small_language((0.6, 0.4), 0.3, longest=3)
    exact = Exact(language, noise_of(language, translation.Training()))
    rows = fresh_rows(language, 20, 1)
    network = StandIn(exact, 0.3)
    decoded = StandInDecoding(network, None)(network, language, rows, (1, 2), 0)
    far = distances(exact, rows, network, decoded.inputs)  # type: ignore[arg-type]
    laws = stand_in_laws(network, rows, decoded.inputs[1])
    given = translation.input_tokens(language, rows, decoded.inputs[1])
    for n, length, index in exact.groups(rows):
        chain = exact.chain(n, length)
        for row in index:
            wanted = chain.rows(exact.renamed(rows, index[index == row], given[index[index == row], :length]))[0]
            order = np.argsort(exact.names(rows.sources[row]), kind="stable")
            tokens = order[np.searchsorted(exact.names(rows.sources[row])[order], chain.states)]
            places = translation.SPECIAL + language.words + tokens
            own = laws[row, np.arange(length), places].prod(axis=1)
            total = 1 - np.minimum(own, wanted).sum()
            assert 0.1 < total <= far[1, row] + 1e-12


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
