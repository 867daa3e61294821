"""Certificates: what is true is proved, and a falsehood of 1e-15, which float64 cannot see, is found in each claim."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from flint import ctx, fmpq

from experiments import certificates, records
from experiments.certificates import (
    c2_loewner_order,
    c3_efficiency_and_gap,
    c5_constants,
    c6_contraction_and_mixing,
    c8_strong_clique,
    c9_schedules,
)
from experiments.certificates.laws import pairs_of_bits, product_law, table
from experiments.certificates.statement import Statement, decided
from experiments.claim import Verdict, no_progress, worst
from experiments.claims import (
    c2_masking_more_is_more_efficient,
    c3_efficiency_is_bounded_by_mixing,
    c5_functional_inequalities,
    c9_unmasking_schedules,
    load,
)
from experiments.claims import (
    c8_strong_clique as float_c8,
)
from experiments.cli import main
from experiments.report import render_report
from experiments.reproduce import exit_code, plan
from theory.certified.arithmetic import exact
from theory.certified.decoding import Marginals, output_law, schedules
from theory.certified.entropy import kept_fraction, masking_channel
from theory.certified.gaps import Enclosure, gap_enclosure
from theory.certified.information import information, pairwise_statistics
from theory.certified.laws import block_gibbs, independent_parallel, ring, strong_clique, uniform_masks
from theory.errors import InvalidInput
from theory.parameters import build

PLANTED = fmpq(1, 10**15)


def test_the_planted_falsehoods_are_below_what_float64_allows_for() -> None:
    modules: tuple[Any, ...] = (
        c2_masking_more_is_more_efficient,
        c3_efficiency_is_bounded_by_mixing,
        c5_functional_inequalities,
        float_c8,
        c9_unmasking_schedules,
    )
    assert all(module.ROUNDING > 1e-15 for module in modules)
    assert 1.0 - 1e-17 == 1.0


def test_c2_a_mask_law_that_hides_nothing_once_in_1e15() -> None:
    law = ring(4, fmpq(8, 5), fmpq(11, 10))
    masks = [uniform_masks(4, size) for size in (1, 2, 4)]
    assert c2_loewner_order.masking_more(law, masks).verdict is Verdict.PROVED
    diluted = (*((mask, chance * (1 - PLANTED)) for mask, chance in masks[0]), ((), PLANTED))
    assert c2_loewner_order.masking_more(law, [masks[0], diluted, masks[2]]).verdict is Verdict.VIOLATED


def test_c3_a_gap_that_is_too_large_by_1e_15() -> None:
    law, masks = product_law(4), uniform_masks(4, 1)
    fisher = information(law, pairwise_statistics, uniform_masks(4, 4))
    kernel, gap = block_gibbs(law, masks), gap_enclosure(law.balls, masks)

    def verdict(enclosure: Enclosure | None) -> Verdict:
        return c3_efficiency_and_gap.efficiency(law, "one of 4", masks, fisher, kernel, enclosure).verdict

    assert verdict(gap) is Verdict.PROVED
    wrong = fmpq(1, 4) * (1 + PLANTED)
    assert verdict(Enclosure(wrong, wrong, 128)) is Verdict.VIOLATED
    assert verdict(None) is Verdict.INCONCLUSIVE


def test_c5_constants_that_are_too_small_by_1e_15() -> None:
    assert c5_constants.attained_by_products(2, fmpq(2)).verdict is Verdict.PROVED
    assert c5_constants.attained_by_products(2, fmpq(2) * (1 - PLANTED)).verdict is Verdict.VIOLATED
    # One of two bits is masked; at a point mass the ratio is a number that is enclosed to 30 digits.
    law, masks = pairs_of_bits()[3], uniform_masks(2, 1)
    gap = gap_enclosure(law.balls, masks)
    assert c5_constants.bracket(law, masks, gap).verdict is Verdict.PROVED
    ratio = largest_ratio_at_point_masses(law)
    assert c5_constants.bracket(law, masks, gap, ratio * (1 - PLANTED)).verdict is Verdict.VIOLATED


def largest_ratio_at_point_masses(law: Any) -> fmpq:
    with ctx.workprec(128):
        channel = masking_channel(law, uniform_masks(2, 1))
        points = [[fmpq(int(x == y)) for x in range(4)] for y in range(4)]
        return max(exact((1 / (1 - kept_fraction(point, channel, law.masses))).lower()) for point in points)


def test_c6_an_entry_of_a_kernel_that_is_off_by_1e_15() -> None:
    law = table(3, 2)
    masks = uniform_masks(3, 1)
    kernel, gap = block_gibbs(law, masks), gap_enclosure(law.balls, masks)
    assert c6_contraction_and_mixing.between_bounds(law, 1, kernel, gap, fmpq(1, 4)).verdict is Verdict.PROVED
    kernel[0][0] -= PLANTED
    kernel[0][1] += PLANTED
    assert c6_contraction_and_mixing.between_bounds(law, 1, kernel, gap, fmpq(1, 4)).verdict is Verdict.VIOLATED
    two = pairs_of_bits()[0]
    wrong = block_gibbs(two, uniform_masks(2, 1))
    assert c6_contraction_and_mixing.every_law(two, wrong).verdict is Verdict.PROVED
    wrong[0][0] -= PLANTED
    wrong[0][1] += PLANTED
    assert c6_contraction_and_mixing.every_law(two, wrong).verdict is Verdict.VIOLATED
    assert c6_contraction_and_mixing.between_bounds(law, 1, kernel, None, fmpq(1, 4)).verdict is Verdict.VIOLATED


def test_c8_a_chance_that_is_too_large_by_1e_15_and_a_kernel_that_escapes() -> None:
    law = strong_clique(4, 4, fmpq(5, 2), fmpq(21, 20))
    kernel = block_gibbs(law, uniform_masks(4, 4))
    chance = c8_strong_clique.redraw_probability(law, 4, 4)
    assert c8_strong_clique.reaches(law, 4, 4, kernel, chance).verdict is Verdict.PROVED
    assert c8_strong_clique.reaches(law, 4, 4, kernel, chance * (1 + PLANTED)).verdict is Verdict.VIOLATED
    parallel = independent_parallel(law)
    assert {s.verdict for s in c8_strong_clique.stays(law, 4, fmpq(5, 2), parallel)} == {Verdict.PROVED}
    one_step, _ = c8_strong_clique.stays(law, 4, fmpq(5), parallel)  # the bound of a stronger coupling
    assert one_step.verdict is Verdict.VIOLATED


def test_c9_a_mass_that_is_moved_by_1e_15() -> None:
    law = table(3, 2)
    chosen = list(schedules(range(3)))
    outputs = [output_law(Marginals(law), schedule) for schedule in chosen]
    assert c9_schedules.sum_of_correlations(law, chosen, outputs).verdict is Verdict.PROVED
    outputs[4][0] -= PLANTED
    outputs[4][1] += PLANTED
    assert c9_schedules.sum_of_correlations(law, chosen, outputs).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("claim", ["C9"])
def test_certificates_name_their_instances(claim: str) -> None:
    statements = certificates.certify(claim, no_progress)
    assert {statement.verdict for statement in statements} == {Verdict.PROVED}
    assert all(statement.instance.get("law") or statement.instance["weights"] for statement in statements)
    assert json.dumps([dict(statement.instance) for statement in statements])


def test_undecided_is_inconclusive_and_false_is_violated() -> None:
    verdicts = [decided("x", {}, truths, "fractions").verdict for truths in ([True, None], [None, False], [True])]
    assert verdicts == [Verdict.INCONCLUSIVE, Verdict.VIOLATED, Verdict.PROVED]
    assert worst(["holds", Verdict.PROVED]) is Verdict.PROVED
    assert worst([Verdict.PROVED, "inconclusive"]) is Verdict.INCONCLUSIVE
    assert worst(["inconclusive", "violated"]) is Verdict.VIOLATED
    assert worst(["holds"]) is Verdict.HOLDS


@pytest.mark.parametrize("truth", [True, None, False])
def test_the_record_says_what_was_proved(truth: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(claim: str, progress: object) -> list[Statement]:
        return [decided("a statement of its own", {"weights": ["1", "2"]}, [truth], "fractions")]

    monkeypatch.setattr(certificates, "certify", one)
    claim = load("C8")
    parameters = build(claim.parameters, "quick", {"sites": "4", "cliques": "4", "large": "20"})
    record = records.compute(claim, parameters, 0, "quick", certified=True)
    wanted = {True: "proved for this instance", None: "inconclusive", False: "violated"}[truth]
    assert record["verdict"] == record["certificate"]["verdict"] == wanted
    assert record["certificate"]["statements"][0]["instance"] == {"weights": ["1", "2"]}
    assert exit_code([record]) == int(truth is False)
    assert (records.deciding(record) == "a statement of its own") is (truth is not True)
    assert records.certified(record).startswith(f"{int(truth is True)} of 1 statements proved")
    page = render_report([record], "title")
    assert "a statement of its own" in page
    assert wanted in page
    assert record["key"] == records.key(claim, parameters, 0, True) != records.key(claim, parameters, 0)


def test_what_cannot_be_certified_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput, match="there are certificates for C2"):
        plan(["C1"], "quick", 0, certified=True)
    jobs = plan(["C1", "C2"], "quick", 0, certified=True)
    assert [job.certified for job in jobs] == [False, True]
    monkeypatch.setitem(sys.modules, "flint", None)
    monkeypatch.setattr(sys, "argv", ["gmlm", "reproduce", "C2", "--certify"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "pip install 'gmlm-workbench[certify]'" in capsys.readouterr().err
