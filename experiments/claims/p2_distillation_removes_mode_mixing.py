"""P2: trained on one translation for each source, a parallel decoder no longer mixes registers or stutters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict, heading, select
from experiments.figures import headline, line, marks, new_figure
from experiments.language.checks import Case, nearer, within_own_error
from experiments.language.exact import Exact, coherent, distances, measured, stutters
from experiments.language.study import OneLanguage, redrawing, spread
from experiments.language.translators import (
    Decoding,
    Pair,
    Rows,
    Training,
    fresh_rows,
    make_rows,
    noise_of,
    small_language,
    train,
    training_pairs,
    translate_greedily,
)
from experiments.learned import networks_at_most
from theory.errors import InvalidInput
from theory.language.parallel_language import ParallelLanguage
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = {"coherent": coherent, "stutters": stutters}
TITLES = {"coherent": "outputs in one register (share)", "stutters": "neighbours that are equal (share)"}


@dataclass(frozen=True)
class Parameters(OneLanguage):
    """What is varied."""

    data: tuple[str, ...] = parameter(
        ("drawn", "mode"),
        "what is trained on: drawn translations, the mode, or the output of an autoregressive teacher",
        full=("drawn", "mode", "teacher"),
        choices=("drawn", "mode", "teacher"),
    )
    training_steps: int = parameter(600, "optimiser steps", full=4000, minimum=1)


@dataclass(frozen=True)
class Row:
    """A measure of the first step of networks trained on one kind of data; ``values`` are those of each."""

    values: list[float]
    kind: str = heading("trained on")
    measure: str = heading("measure")
    mean: float = heading("network (mean)")
    error: float = heading("s.e.")
    exact: float | None = heading("exact")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if "drawn" not in parameters.data:
        raise InvalidInput("data", ", ".join(parameters.data), "drawn is needed: the others are compared with it")
    training = parameters.training()
    language = parameters.language(parameters.weight)
    # The law of the mode: its register alone, no word doubled.
    certain = (1.0, 0.0) if parameters.weight >= 0.5 else (0.0, 1.0)
    laws = {"drawn": language, "mode": small_language(certain, 0.0, longest=parameters.longest)}
    # What each must be seen not to have learned: one register at the same lengths, and both.
    others = {"drawn": small_language(certain, parameters.doubling, longest=parameters.longest), "mode": language}
    drawn = training_pairs(language, parameters.pairs, seed)
    sentences = fresh_rows(language, parameters.rows, seed)
    decoding: Decoding | None = None
    result: list[Row] = []
    cases: dict[str, list[Case]] = {name: [] for name in MEASURES}
    wrong: list[NDArray[np.float64]] = []
    for place, kind in enumerate(parameters.data):
        values: dict[str, list[float]] = {name: [] for name in MEASURES}
        known: dict[str, float] = {}
        for index in range(parameters.seeds):
            number = 1000 * seed + index
            progress((place + index / parameters.seeds) / len(parameters.data), f"{kind}, network {index + 1}")
            pairs, rows = _distilled(kind, language, drawn, sentences, training, number)
            network = train(language, pairs, training, number)
            decoding = decoding or Decoding(network, redrawing())
            decoded = decoding(network, language, rows, (1,), seed)
            exact = Exact(laws.get(kind, language), noise_of(language, training))
            for name, measure in MEASURES.items():
                found = measured(exact, rows, decoded.outputs[0], measure)
                values[name].append(float(found.mean()))
                if kind in laws:
                    distance = distances(exact, rows, network, decoded.inputs)[0]
                    expected = exact.expected(rows, measure, 1)[0]
                    cases[name].append(Case(f"{kind}, network {index + 1}", found, expected, distance))
                    known[name] = float(expected.mean())
            if kind in laws:
                wrong.append(Exact(others[kind], noise_of(language, training)).expected(rows, coherent, 1)[0])
        result += [Row(values[name], kind, TITLES[name], *spread(values[name]), known.get(name)) for name in MEASURES]
    checks = _checks(result, cases, wrong)
    return Findings(checks, Table.of(result), {"rows": result}, _learned(result, checks))


def _learned(rows: Sequence[Row], checks: Sequence[Check]) -> str:
    registers, repeats = ([row for row in rows if row.measure == title] for title in TITLES.values())
    shares = ", ".join(f"on {row.kind} {row.mean:.0%}" for row in registers)
    stutter = ", ".join(f"{row.mean:.2g}" for row in repeats)
    (known,) = (row.exact for row in registers if row.kind == "drawn")
    (rejected,) = (check for check in checks if "rejected" in check.name)
    return (
        f"One parallel step stays in one register in these shares of outputs, by what was trained on: {shares} (exact "
        f"for drawn: {known:.0%}); neighbours repeat in {stutter}. The law of the other "
        f"kind of data is {'' if rejected.verdict is Verdict.HOLDS else 'not '}rejected."
    )


def _distilled(
    kind: str, language: ParallelLanguage, drawn: Sequence[Pair], sentences: Rows, training: Training, seed: int
) -> tuple[Sequence[Pair], Rows]:
    """Training pairs of a kind, and the test sentences with the lengths that belong to it."""
    if kind == "drawn":
        return drawn, sentences
    if kind == "mode":
        lengths = [len(language.mode(source)) for source in sentences.sources]
        return [(source, language.mode(source)) for source, _ in drawn], make_rows(sentences.sources, lengths)
    from dataclasses import replace

    teacher = train(language, drawn, replace(training, decoder="autoregressive"), seed)
    every = sorted({source for source, _ in drawn} | set(sentences.sources))
    known = dict(zip(every, translate_greedily(teacher, language, every), strict=True))
    # A teacher that answers nothing, or other ids, has no lesson for that source.
    pairs = [(source, tuple(known[source])) for source, _ in drawn if known[source] and min(known[source]) >= 0]
    lengths = [max(len(known[source]), 1) for source in sentences.sources]
    return pairs, make_rows(sentences.sources, lengths)


def _checks(rows: Sequence[Row], cases: Mapping[str, list[Case]], wrong: Sequence[NDArray[np.float64]]) -> list[Check]:
    checks = [
        within_own_error(f"step 1, {TITLES[name]}: |network - exact law of its data|", cases[name]) for name in MEASURES
    ]
    # Neighbours of one register repeat about as often as those of two: they tell nothing about the number.
    title = f"step 1, {TITLES['coherent']}: the law of the other kind of data is rejected"
    checks.append(nearer(title, cases["coherent"], wrong, "the law of the other kind of data"))
    values = {(row.kind, row.measure): np.array(row.values) for row in rows}
    for kind in dict.fromkeys(row.kind for row in rows if row.kind != "drawn"):
        for name, sign in (("coherent", -1), ("stutters", 1)):
            drawn, other = (values[data, TITLES[name]] for data in ("drawn", kind))
            checks.append(
                networks_at_most(
                    f"{kind} against drawn, step 1: {TITLES[name]}, {'loss' if sign < 0 else 'gain'} by distillation",
                    sign * (other - drawn),
                    trivial=float(drawn.mean() if sign < 0 else 1 - drawn.mean()),
                )
            )
    return checks


def draw(data: Mapping[str, Any]) -> Figure:
    """Register mixing and stutter of the first step for each kind of data."""
    figure, panels = new_figure(1, 2, height=3.0)
    for axes, title in zip(panels, TITLES.values(), strict=True):
        rows = select(data["rows"], measure=title)
        for place, row in enumerate(rows):
            values = row["values"]
            marks(axes, place + np.linspace(-0.12, 0.12, len(values)), values, 1, None if place else "networks")
            if row["exact"] is not None:
                line(axes, [place - 0.3, place + 0.3], [row["exact"]] * 2, label=None if place else "exact law")
        axes.set_xticks(range(len(rows)), [row["kind"] for row in rows])
        axes.set(xlabel="trained on", ylabel=title)
        axes.set_ylim(bottom=-0.04 * axes.get_ylim()[1])
    panels[0].legend(loc="lower right")
    registers = select(data["rows"], measure=TITLES["coherent"])
    best, (drawn,) = max(registers, key=lambda row: row["mean"]), select(registers, kind="drawn")
    headline(
        figure,
        f"One parallel step stays in one register in {drawn['mean']:.0%} of outputs when trained on drawn "
        f"translations, in {best['mean']:.0%} when trained on one for each source ({best['kind']})",
    )
    return figure


CLAIM = Claim(
    id="P2",
    name="distillation-removes-mode-mixing",
    title="Distillation removes the mixing of registers and the stutter of the first parallel step",
    statement=(
        "Trained on drawn translations of the parallel language, the first parallel step stays in one register with "
        "probability Σ_z w_z^l and repeats neighbours as the product of the marginals does. Trained on one translation "
        "for each source (its mode, or the output of an autoregressive teacher: sequence-level distillation), the law "
        "to be learned is a product, so that one step does neither. Deviations are at most the networks' own total "
        "variation from the law of their data, and the shares in one register are nearer its own than the other kind's."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 4; Kim and Rush 2016 (arXiv:1606.07947)",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "first-step",
            "The first parallel step of networks that were trained on drawn translations, on modes, or on a teacher's "
            "output: share of outputs in one register and of repeated neighbours. Lines: exact. Marks: networks.",
            draw,
        ),
    ),
)
