"""P3: which share of the target to noise in training, and what a second stage on the network's own output buys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
from experiments.language.checks import Case, nearer, within_own_error
from experiments.language.exact import Exact, claim_memory, distances, measured, possible
from experiments.language.study import OneLanguage, draw_networks, likeliest, redrawing
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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if not parameters.densities:
        raise InvalidInput("densities", parameters.densities, "at least one is needed")
    plain = parameters.training()
    settings = {f"{density:.0%}": replace(plain, density=density) for density in parameters.densities}
    settings |= {UNIFORM: plain, TWICE: replace(plain, stages=2)}
    language = parameters.language(parameters.weight)
    pairs = training_pairs(language, parameters.pairs, seed)
    fresh = fresh_pairs(language, parameters.rows, seed)
    rows = make_rows([source for source, _ in fresh], [len(target) for _, target in fresh])
    drawing: Decoding | None = None
    choosing: Decoding | None = None
    result: dict[str, Any] = {}
    cases: list[Case] = []
    for place, (name, training) in enumerate(settings.items()):
        exact = Exact(language, noise_of(language, training))
        expected = exact.expected(rows, possible, parameters.steps)
        entry: dict[str, Any] = {"shares": [], "greedy": [], "masks": [], "own": []}
        if training.stages == 1:
            entry["exact"] = expected.mean(axis=1)
        for index in range(parameters.seeds):
            progress((place + index / parameters.seeds) / len(settings), f"{name}, network {index + 1}")
            network = train(language, pairs, training, 1000 * seed + index)
            drawing = drawing or Decoding(network, redrawing())
            choosing = choosing or Decoding(network, likeliest())
            steps = range(1, parameters.steps + 1)
            decoded = drawing(network, language, rows, steps, seed)
            found = [measured(exact, rows, outputs, possible) for outputs in decoded.outputs]
            entry["shares"].append([values.mean() for values in found])
            best = choosing(network, language, rows, steps, seed)
            entry["greedy"].append([measured(exact, rows, outputs, possible).mean() for outputs in best.outputs])
            # The first step sees masks alone, the second greedy one what the first one said.
            for kind, inputs in zip(("masks", "own"), best.inputs, strict=False):
                entry[kind].append(gold_loss(network, language, rows, inputs, [target for _, target in fresh]))
            if name == UNIFORM:
                # Masks alone are the first input; from later ones a short training is far off.
                distance = distances(exact, rows, network, decoded.inputs[:1])
                cases.append(Case(f"network {index + 1}, step 1", found[0], expected[0], distance[0]))
        result[name] = entry
    checks = _checks(result, cases, parameters)
    return Findings(checks, _table(result), {"settings": result}, _learned(result, parameters, checks[0]))


def _learned(result: dict[str, Any], parameters: Parameters, first: Check) -> str:
    lowest = f"{min(parameters.densities):.0%}"
    nats = {name: {kind: np.mean(entry[kind]) for kind in ("masks", "own")} for name, entry in result.items()}
    greedy = {name: np.mean(entry["greedy"], axis=0)[-1] for name, entry in result.items()}
    return (
        f"Given masks alone the true token costs {nats[UNIFORM]['masks']:.2f} nats after uniform noise, "
        f"{nats[lowest]['masks']:.2f} after {lowest}; after the network's own first step {nats[TWICE]['own']:.2f} with "
        f"a second stage, {nats[UNIFORM]['own']:.2f} without. Of {parameters.steps} likeliest steps' outputs "
        f"{greedy[TWICE]:.0%} are translations with it, {greedy[UNIFORM]:.0%} without, {greedy[lowest]:.0%} after "
        f"{lowest}; {first.informative} of {first.comparisons} first steps tell."
    )


def _checks(result: dict[str, Any], cases: list[Case], parameters: Parameters) -> list[Check]:
    nats = {name: {kind: np.array(entry[kind]) for kind in ("masks", "own")} for name, entry in result.items()}
    lowest = f"{min(parameters.densities):.0%}"
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
            nats[UNIFORM]["masks"] - nats[lowest]["masks"],
        ),
        networks_at_most(
            "-ln p of the true token given the network's own likeliest first step: two stages minus one (nats)",
            nats[TWICE]["own"] - nats[UNIFORM]["own"],
        ),
    ]


def _table(result: dict[str, Any]) -> Table:
    columns = ["noise", "step", "translations, drawn", "s.e.", "exact", "translations, likeliest", "-ln p, nats"]
    rows: list[list[Any]] = []
    for name, entry in result.items():
        shares, greedy = np.array(entry["shares"]), np.array(entry["greedy"])
        for step in range(shares.shape[1]):
            error = float(shares[:, step].std(ddof=1) / np.sqrt(len(shares)))
            exact = float(entry["exact"][step]) if "exact" in entry else None
            # Of the true token, given what the likeliest tokens of the step before were.
            seen = ("masks", "own")[step] if step < 2 else None
            nats = float(np.mean(entry[seen])) if seen else None
            rows.append(
                [name, step + 1, float(shares[:, step].mean()), error, exact, float(greedy[:, step].mean()), nats]
            )
    return Table(columns, rows)


def draw(data: Mapping[str, Any]) -> Figure:
    """Share of translations against steps, drawn and likeliest, for each noise."""
    with style():
        figure, panels = new_figure(1, 2, height=4.2)
        for axes, kind, title in ((panels[0], "shares", "tokens drawn"), (panels[1], "greedy", "likeliest tokens")):
            for index, (name, entry) in enumerate(data["settings"].items()):
                values = np.array(entry[kind])
                steps = np.arange(1, values.shape[1] + 1)
                colour = COLOURS[index % len(COLOURS)]
                if kind == "shares" and "exact" in entry:
                    axes.plot(steps, entry["exact"], DASHES[index], color=colour, label=f"{name}, exact chain")
                draw_networks(axes, steps, values, index, f"{name}, networks (2 s.e.)", shift=0.05 * (index - 1))
            axes.set(
                xlabel="refinement steps", ylabel="outputs that are translations (share)", ylim=(0, 1), title=title
            )
            axes.set_xticks(steps)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        last = {name: np.mean(entry["greedy"], axis=0)[-1] for name, entry in data["settings"].items()}
        shares = ", ".join(f"{share:.0%} after {name} noise" for name, share in last.items())
        headline(figure, f"Translations among the outputs of the last likeliest step: {shares}")
    return figure


def draw_loss(data: Mapping[str, Any]) -> Figure:
    """-ln p of the true token where decoding starts, and after the network's own first step, one mark a network."""
    names = list(data["settings"])
    with style():
        figure, panels = new_figure(1, 2, height=3.0)
        for axes, kind, title in (
            (panels[0], "masks", "given masks alone"),
            (panels[1], "own", "given its own likeliest first step"),
        ):
            for place, name in enumerate(names):
                values = data["settings"][name][kind]
                offsets = place + np.linspace(-0.12, 0.12, len(values))
                axes.plot(offsets, values, MARKERS[place % len(MARKERS)], color=COLOURS[place % len(COLOURS)])
            axes.set_xticks(range(len(names)), names)
            axes.set(xlabel="noise in training", ylabel="-ln p of the true token (nats)", title=title)
            axes.set_ylim(bottom=0)
        settings = data["settings"]
        masks, own = (
            {name: np.mean(settings[name][kind]) for name in (names[0], UNIFORM, TWICE)} for kind in ("masks", "own")
        )
        headline(
            figure,
            f"Masks alone: {masks[UNIFORM]:.2f} nats after uniform noise, {masks[names[0]]:.2f} after {names[0]}; its "
            f"own first step: {own[TWICE]:.2f} nats with a second stage, {own[UNIFORM]:.2f} without",
        )
        most = max(panel.get_ylim()[1] for panel in panels)
        for axes in panels:
            axes.set_ylim(0, most)
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
