"""P3: which share of the target to noise in training, and what a second stage on the network's own output buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.figures import DASHES, headline, line, marks, new_figure, one_scale
from experiments.language.checks import Case, nearer, within_own_error
from experiments.language.exact import Exact, claim_memory, distances, measured, possible
from experiments.language.study import OneLanguage, draw_networks, likeliest, redrawing, spread
from experiments.language.translators import (
    Decoding,
    fresh_pairs,
    gold_loss,
    make_rows,
    noise_of,
    train,
    training_pairs,
)
from experiments.learned import networks_at_most
from theory.errors import InvalidInput
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNIFORM, TWICE = "uniform", "uniform, 2 stages"


@dataclass(frozen=True)
class Parameters(OneLanguage):
    """What is varied."""

    densities: tuple[float, ...] = parameter(
        (0.15,), "fixed noise densities, beside the uniform one", full=(0.15, 0.5), minimum=0.01, maximum=0.99
    )
    steps: int = parameter(4, "refinement steps", full=8, minimum=2)
    seeds: int = parameter(3, "networks of each kind", full=4, minimum=2)
    training_steps: int = parameter(600, "optimiser steps", full=4000, minimum=1)


@dataclass(frozen=True)
class Row:
    """Outputs of networks of one kind after so many steps: share of translations of each, drawn and likeliest."""

    shares: list[float]
    greedy: list[float]
    noise: str = heading("noise")
    step: int = heading("step")
    drawn: float = heading("translations, drawn")
    error: float = heading("s.e.")
    exact: float | None = heading("exact")
    likeliest: float = heading("translations, likeliest")
    nats: float | None = heading("-ln p, nats")


@dataclass(frozen=True)
class Loss:
    """Mean -ln p of the true token in nats, of each network, as step 1 and step 2 of the likeliest tokens begin."""

    noise: str
    step: int
    values: list[float]


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if not parameters.densities:
        raise InvalidInput("densities", parameters.densities, "at least one is needed")
    plain = parameters.training()
    settings = {f"{density:.0%}": replace(plain, density=density) for density in sorted(parameters.densities)}
    settings |= {UNIFORM: plain, TWICE: replace(plain, stages=2)}
    language = parameters.language(parameters.weight)
    pairs = training_pairs(language, parameters.pairs, seed)
    fresh = fresh_pairs(language, parameters.rows, seed)
    rows = make_rows([source for source, _ in fresh], [len(target) for _, target in fresh])
    drawing: Decoding | None = None
    choosing: Decoding | None = None
    result: list[Row] = []
    unlikely: list[Loss] = []
    cases: list[Case] = []
    for place, (name, training) in enumerate(settings.items()):
        exact = Exact(language, noise_of(language, training))
        expected = exact.expected(rows, possible, parameters.steps)
        shares, greedy = (np.empty((parameters.seeds, parameters.steps)) for _ in range(2))
        losses: list[list[float]] = [[], []]
        for index in range(parameters.seeds):
            progress((place + index / parameters.seeds) / len(settings), f"{name}, network {index + 1}")
            network = train(language, pairs, training, 1000 * seed + index)
            drawing = drawing or Decoding(network, redrawing())
            choosing = choosing or Decoding(network, likeliest())
            steps = range(1, parameters.steps + 1)
            decoded = drawing(network, language, rows, steps, seed)
            found = [measured(exact, rows, outputs, possible) for outputs in decoded.outputs]
            shares[index] = [values.mean() for values in found]
            best = choosing(network, language, rows, steps, seed)
            greedy[index] = [measured(exact, rows, outputs, possible).mean() for outputs in best.outputs]
            # The first step sees masks alone, the second greedy one what the first one said.
            for known, inputs in zip(losses, best.inputs[:2], strict=False):
                known.append(gold_loss(network, language, rows, inputs, [target for _, target in fresh]))
            if name == UNIFORM:
                # Masks alone are the first input; from later ones a short training is far off.
                distance = distances(exact, rows, network, decoded.inputs[:1])
                cases.append(Case(f"network {index + 1}, step 1", found[0], expected[0], distance[0]))
        unlikely += [Loss(name, step, values) for step, values in enumerate(losses, start=1)]
        for step in range(parameters.steps):
            truth = float(expected[step].mean()) if training.stages == 1 else None
            best_of, nats = float(greedy[:, step].mean()), float(np.mean(losses[step])) if step < 2 else None
            lists = (shares[:, step].tolist(), greedy[:, step].tolist())
            result.append(Row(*lists, name, step + 1, *spread(shares[:, step]), truth, best_of, nats))
    checks = _checks(unlikely, cases)
    return Findings(checks, Table.of(result), {"rows": result, "losses": unlikely}, _learned(result, checks[0]))


def _learned(rows: Sequence[Row], first: Check) -> str:
    lowest, steps = rows[0].noise, rows[-1].step
    nats = {(row.noise, row.step): row.nats for row in rows}
    greedy = {row.noise: row.likeliest for row in rows if row.step == steps}
    return (
        f"Given masks alone the true token costs {nats[UNIFORM, 1]:.2f} nats after uniform noise, "
        f"{nats[lowest, 1]:.2f} after {lowest}; after the network's own first step {nats[TWICE, 2]:.2f} with "
        f"a second stage, {nats[UNIFORM, 2]:.2f} without. Of {steps} likeliest steps' outputs "
        f"{greedy[TWICE]:.0%} are translations with it, {greedy[UNIFORM]:.0%} without, {greedy[lowest]:.0%} after "
        f"{lowest}; {first.informative} of {first.comparisons} first steps tell."
    )


def _checks(losses: Sequence[Loss], cases: list[Case]) -> list[Check]:
    nats = {(loss.noise, loss.step): np.array(loss.values) for loss in losses}
    lowest = losses[0].noise
    return [
        within_own_error("uniform density, first step, share of translations: |network - exact law|", cases),
        nearer(
            "uniform density, first step, translations: a step that draws all tokens together is rejected",
            cases,
            [np.ones_like(case.exact) for case in cases],
            "draws all tokens together",
        ),
        networks_at_most(
            f"-ln p of the true token given masks alone: uniform density minus {lowest} (nats)",
            nats[UNIFORM, 1] - nats[lowest, 1],
        ),
        networks_at_most(
            "-ln p of the true token given the network's own likeliest first step: two stages minus one (nats)",
            nats[TWICE, 2] - nats[UNIFORM, 2],
        ),
    ]


def draw(data: Mapping[str, Any]) -> Figure:
    """Share of translations against steps, drawn and likeliest, for each noise."""
    names = list(dict.fromkeys(row["noise"] for row in data["rows"]))
    figure, panels = new_figure(1, 2, height=4.2)
    for axes, kind, title in ((panels[0], "shares", "tokens drawn"), (panels[1], "greedy", "likeliest tokens")):
        for series, name in enumerate(names):
            found = columns(select(data["rows"], noise=name))
            if kind == "shares" and found["exact"][0] is not None:
                line(axes, found["step"], found["exact"], series, f"{name}, exact chain", dash=DASHES[series])
            label = f"{name}, networks (2 s.e.)"
            draw_networks(axes, found["step"], found[kind].T, series, label, shift=0.05 * (series - 1))
        axes.set(xlabel="refinement steps", ylabel="outputs that are translations (share)", ylim=(0, 1), title=title)
        axes.set_xticks(found["step"])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    last = select(data["rows"], step=data["rows"][-1]["step"])
    shares = ", ".join(f"{row['likeliest']:.0%} after {row['noise']} noise" for row in last)
    headline(figure, f"Translations among the outputs of the last likeliest step: {shares}")
    return figure


def draw_loss(data: Mapping[str, Any]) -> Figure:
    """-ln p of the true token where decoding starts, and after the network's own first step, one mark a network."""
    figure, panels = new_figure(1, 2, height=3.0)
    for axes, step, title in (
        (panels[0], 1, "given masks alone"),
        (panels[1], 2, "given its own likeliest first step"),
    ):
        losses = select(data["losses"], step=step)
        for place, loss in enumerate(losses):
            marks(axes, place + np.linspace(-0.12, 0.12, len(loss["values"])), loss["values"], place)
        axes.set_xticks(range(len(losses)), [loss["noise"] for loss in losses])
        axes.set(xlabel="noise in training", ylabel="-ln p of the true token (nats)", title=title)
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    one_scale(panels, "y")
    nats, lowest = {(row["noise"], row["step"]): row["nats"] for row in data["rows"]}, data["rows"][0]["noise"]
    headline(
        figure,
        f"Masks alone: {nats[UNIFORM, 1]:.2f} nats after uniform noise, {nats[lowest, 1]:.2f} after {lowest}; its "
        f"own first step: {nats[TWICE, 2]:.2f} nats with a second stage, {nats[UNIFORM, 2]:.2f} without",
    )
    return figure


CLAIM = Claim(
    id="P3",
    name="mask-ratio-and-training-stages",
    title="Uniform noise teaches the first parallel step; a second stage prepares for one's own output",
    statement=(
        "T5s that refine are trained with a fixed share of noised tokens, with a uniform one, and with a second stage"
        " on their own likeliest output. With uniform noise the share of translations of the first drawn step is that"
        " of the exact law up to the network's own error, and nearer to it than to that of a step that draws all "
        "tokens together; later steps are reported beside the exact chain. A low fixed share hardly ever shows a "
        "target of masks alone: given one, the true tokens are no likelier than with uniform noise. With the second "
        "stage they are at least as likely after the network's own likeliest first step as without. What both do to "
        "the outputs is reported, whichever way it falls."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 5; PaDIR's training recipe",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "steps",
            "Share of outputs that are possible translations against refinement steps, for each noise of training: "
            "drawn tokens (left) and likeliest tokens (right). Lines: exact chain of each noise. Marks: networks.",
            draw,
        ),
        FigureSpec(
            "loss",
            "How unlikely the true tokens are to each network where decoding starts (masks alone) and where it goes on "
            "(its own likeliest first step). Marks: networks. Predicted: uniform noise is below a low fixed share on "
            "the left, the second stage below one stage on the right.",
            draw_loss,
        ),
    ),
    memory=claim_memory,
)
