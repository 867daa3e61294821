"""P1: a trained refinement decoder mixes registers at its first step and mends them as the exact chain says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, style
from experiments.language.checks import Case, within_own_error
from experiments.language.exact import MEASURES, Exact, claim_memory, measured, own_error
from experiments.language.translators import (
    Decoding,
    Training,
    fresh_rows,
    noise_of,
    small_language,
    train,
    training_pairs,
)
from experiments.learned import mean_interval
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.95
"""Confidence level of intervals over networks."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    weights: tuple[float, ...] = parameter(
        (0.5, 0.9), "weight of the first of two registers", full=(0.5, 0.6, 0.75, 0.9, 1.0), minimum=0.0, maximum=1.0
    )
    doubling: float = parameter(0.3, "probability that a word becomes two tokens", minimum=0.0, maximum=1.0)
    longest: int = parameter(3, "words of a sentence at most", full=4, minimum=2, maximum=7)
    steps: int = parameter(4, "refinement steps", full=8, minimum=2)
    rows: int = parameter(512, "test sentences", full=2048, minimum=20)
    seeds: int = parameter(3, "networks for each weight", full=5, minimum=2)
    training_steps: int = parameter(1000, "optimiser steps", full=4000, minimum=1)
    pairs: int = parameter(4000, "training pairs", full=20_000, minimum=1)
    width: int = parameter(32, "width of the network", full=64, minimum=8)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    from simulators.t5.decoding.sampling import Sampling
    from simulators.t5.decoding.settings import RefinementSettings

    training = Training(width=parameters.width, steps=parameters.training_steps)
    settings = RefinementSettings(sampling=Sampling(temperature=1.0))
    decoding: Decoding | None = None
    rows: list[dict[str, Any]] = []
    cases: dict[str, list[Case]] = {name: [] for name in MEASURES}
    for place, weight in enumerate(parameters.weights):
        language = small_language((weight, 1 - weight), parameters.doubling, longest=parameters.longest)
        exact = Exact(language, noise_of(language, training))
        sentences = fresh_rows(language, parameters.rows, seed)
        expected = {name: exact.expected(sentences, measure, parameters.steps) for name, measure in MEASURES.items()}
        pairs = training_pairs(language, parameters.pairs, seed)
        row: dict[str, Any] = {
            "weight": weight,
            "law": float(np.mean([language.coherent_probability(int(length)) for length in sentences.lengths])),
            "exact": {name: values.mean(axis=1) for name, values in expected.items()},
            "learned": {name: [] for name in MEASURES},
            "limits": [],
        }
        for index in range(parameters.seeds):
            done = (place + index / parameters.seeds) / len(parameters.weights)
            progress(done, f"w = {weight:g}, network {index + 1} of {parameters.seeds}")
            network = train(language, pairs, training, 1000 * seed + index)
            decoding = decoding or Decoding(network, settings)
            decoded = decoding(network, language, sentences, range(1, parameters.steps + 1), seed)
            distance = own_error(exact, sentences, network, decoded.inputs)
            row["limits"].append(distance.mean(axis=1))
            for name, measure in MEASURES.items():
                found = [measured(exact, sentences, outputs, measure) for outputs in decoded.outputs]
                row["learned"][name].append([values.mean() for values in found])
                cases[name] += [
                    Case(f"w = {weight:g}, network {index + 1}, step {step + 1}", *numbers)
                    for step, numbers in enumerate(zip(found, expected[name], distance, strict=True))
                ]
        rows.append(row)
    data = {"rows": rows, "curve": _first_step_curve(parameters, seed)}
    return Findings(_checks(rows, cases), _table(rows), data)


def _first_step_curve(parameters: Parameters, seed: int) -> dict[str, Any]:
    """Exact shares at the first step for weights on a grid, from the closed forms of the language."""
    grid = np.linspace(min(0.5, *parameters.weights), 1.0, 21)
    sentences = fresh_rows(small_language((0.5, 0.5), parameters.doubling, longest=parameters.longest), 256, seed)
    together, repeated = [], []
    for weight in grid:
        language = small_language((weight, 1 - weight), parameters.doubling, longest=parameters.longest)
        pairs = [(source, int(length)) for source, length in zip(sentences.sources, sentences.lengths, strict=True)]
        together.append(np.mean([language.coherent_probability(length) for _, length in pairs]))
        repeated.append(np.mean([language.expected_stutters(*pair) / max(pair[1] - 1, 1) for pair in pairs]))
    return {"weights": grid, "one register": together, "repeated neighbours": repeated}


def _checks(rows: list[dict[str, Any]], cases: dict[str, list[Case]]) -> list[Check]:
    names = {
        "possible": "share of outputs that are translations, by step: |network - exact chain|",
        "coherent": "share of outputs in one register, by step: |network - exact chain|",
        "stutters": "share of repeated neighbours, by step: |network - exact chain|",
    }
    checks = [within_own_error(title, cases[name]) for name, title in names.items()]
    checks.append(
        Check.equal(
            "exact chain, step 1: share in one register against sum over registers of w^l",
            [row["exact"]["coherent"][0] for row in rows],
            [row["law"] for row in rows],
            1e-9,
            "mean over the lengths of the test sentences",
        )
    )
    for row in rows:
        shares = np.array(row["learned"]["possible"])
        checks.append(
            Check.interval_at_most(
                f"w = {row['weight']:g}: share of translations at step 1 minus that at the last step",
                mean_interval(shares[:, 0] - shares[:, -1], LEVEL),
                0.0,
                f"Student's {LEVEL:.0%} interval over networks, paired",
            )
        )
    return checks


def _table(rows: list[dict[str, Any]]) -> Table:
    columns = ["w", "step", "translations, exact", "network (mean)", "s.e.", "one register, exact", "network"]
    columns += ["stutter, exact", "network", "limit of deviations"]
    table: list[list[Any]] = []
    for row in rows:
        learned = {name: np.array(values) for name, values in row["learned"].items()}
        for step in range(learned["possible"].shape[1]):
            shares = learned["possible"][:, step]
            entry = [row["weight"], step + 1, row["exact"]["possible"][step], shares.mean()]
            entry.append(shares.std(ddof=1) / np.sqrt(len(shares)))
            for name in ("coherent", "stutters"):
                entry += [row["exact"][name][step], learned[name][:, step].mean()]
            table.append([float(value) for value in [*entry, np.mean([limits[step] for limits in row["limits"]])]])
    return Table(columns, table)


def draw_steps(data: Mapping[str, Any]) -> Figure:
    """Share of translations and stutter against steps."""
    with style():
        figure, panels = new_figure(1, 2)
        for axes, name, label in (
            (panels[0], "possible", "outputs that are translations (share)"),
            (panels[1], "stutters", "neighbours that are equal (share)"),
        ):
            for index, row in enumerate(data["rows"]):
                values = np.array(row["learned"][name])
                steps = np.arange(1, values.shape[1] + 1)
                colour = COLOURS[index % len(COLOURS)]
                axes.plot(
                    steps, row["exact"][name], DASHES[index], color=colour, label=f"w = {row['weight']:g}, exact chain"
                )
                axes.errorbar(
                    steps + 0.05 * (index - (len(data["rows"]) - 1) / 2),
                    values.mean(axis=0),
                    yerr=2 * values.std(axis=0, ddof=1) / np.sqrt(len(values)),
                    fmt=MARKERS[index % len(MARKERS)],
                    color=colour,
                    capsize=2,
                    label=f"w = {row['weight']:g}, networks (bars: 2 s.e.)",
                )
            axes.set(xlabel="refinement steps", ylabel=label)
            axes.set_xticks(steps)
            axes.set_ylim(bottom=0)
        panels[0].legend()
    return figure


def draw_first_step(data: Mapping[str, Any]) -> Figure:
    """Register mixing and stutter of the first step against the weights of the registers."""
    rows = sorted(data["rows"], key=lambda row: row["weight"])
    with style():
        figure, (axes,) = new_figure()
        x = [row["weight"] for row in rows]
        curve = data["curve"]
        for index, label in enumerate(("one register: mean of Σ w$_z^l$", "repeated neighbours, exact")):
            values = curve[("one register", "repeated neighbours")[index]]
            axes.plot(curve["weights"], values, DASHES[index], color=COLOURS[index], label=label)
        series = (("coherent", "one register"), ("stutters", "repeated neighbours"))
        for index, (name, title) in enumerate(series):
            for place, row in enumerate(rows):
                values = [network[0] for network in row["learned"][name]]
                shown = f"{title}, networks" if place == 0 else None
                axes.plot(
                    [x[place]] * len(values), values, MARKERS[index], color=COLOURS[index], alpha=0.6, label=shown
                )
        axes.set(xlabel="weight w of the first register", ylabel="share at the first step", ylim=(0, None))
        axes.legend()
    return figure


CLAIM = Claim(
    id="P1",
    name="refinement-follows-the-exact-chain",
    title="Refinement steps of a trained T5 improve translations as the exact chain predicts",
    statement=(
        "On the parallel language p(y|x) is known. A T5 that refines, trained with uniformly noised targets and drawn "
        "from all masks at the true length, gives outputs whose share of translations, of one register and of repeated "
        "neighbours after t steps differ from those of the exact chain (the posterior under the noise, all positions "
        "drawn at once) by at most the mean total variation between its laws and the exact ones at the inputs it "
        "visited. Step 1 stays in one register with probability Σ_z w_z^l; later steps mend what it mixed."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 4; parallel language as in theory.language.parallel_language",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "steps",
            "Share of outputs that are possible translations, and share of repeated neighbours, against refinement "
            "steps, for two registers of weights w and 1 - w. Lines: exact chain. Marks: trained networks.",
            draw_steps,
        ),
        FigureSpec(
            "first-step",
            "The first step against the weight of the first register: share of outputs in one register, and of "
            "repeated neighbours. Lines: exact. Marks: one for each trained network.",
            draw_first_step,
        ),
    ),
    memory=claim_memory,
)
