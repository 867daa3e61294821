"""Figures of the study, from its record: the effect of each choice, quality and stutter against steps, the frontier."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, style
from experiments.translation.ablations.parity import JUDGED, WAYS
from experiments.translation.ablations.recommendations import MARGIN, verdict
from experiments.translation.ablations.tables import LENGTHS
from experiments.translation.ablations.variants import (
    BASE,
    CHOSEN_LENGTH,
    DECODING,
    MASK_PREDICT,
    SCHEMES,
    TRAINED,
    VARIANTS,
)
from experiments.translation.quality import draw_frontier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cells = Sequence[Mapping[str, Any]]


def draw(record: Mapping[str, Any]) -> dict[str, Figure]:
    """The effects, and a figure for each ablation that compares translations."""
    figures = {"effects": draw_effects(record["effects"])} if record["effects"] else {}
    if record["parity"]:
        figures["gaps"] = draw_parity(record["parity"])
    for ablation in record["ablations"]:
        if ablation == "frontier":
            # One seed: the lines of several would cross each other.
            first = [cell for cell in record["cells"] if cell["seed"] == record["seeds"][0]]
            rows = [
                {**cell, "model": VARIANTS[cell["network"]].text}
                for cell in first
                if cell["network"] in TRAINED[ablation] and cell["scheme"] not in set(DECODING) - {MASK_PREDICT}
            ]
            figures[ablation] = draw_frontier(rows)
        elif ablation == SCHEMES or ablation in TRAINED:
            ways = [(BASE, scheme) for scheme in DECODING]
            if ablation in TRAINED:
                ways = [(name, MASK_PREDICT) for name in TRAINED[ablation]]
            series = {
                scheme if ablation == SCHEMES else VARIANTS[name].text: [
                    cell for cell in record["cells"] if (cell["network"], cell["scheme"]) == (name, scheme)
                ]
                for name, scheme in ways
            }
            figures[ablation] = draw_steps({label: cells for label, cells in series.items() if cells})
    return figures


def draw_steps(series: Mapping[str, Cells]) -> Figure:
    """BLEU and stutter against refinement steps, means over seeds; bars are 95% intervals over sentences, likewise."""
    with style():
        figure, panels = new_figure(1, 2, width=11.6, height=3.8)
        ticks = sorted({cell["steps"] for cells in series.values() for cell in cells})
        for index, (label, cells) in enumerate(series.items()):
            # Beyond the last colour the first comes again, with other marks and dashes.
            other = index + index // len(COLOURS)
            look: dict[str, Any] = {
                "marker": MARKERS[other % len(MARKERS)],
                "color": COLOURS[index % len(COLOURS)],
                "linestyle": DASHES[other % len(DASHES)],
                "label": label,
            }
            by_step = [[cell for cell in cells if cell["steps"] == step] for step in ticks]
            bleu, stutter = (
                np.array([np.mean([cell[field] for cell in own]) for own in by_step]) for field in ("bleu", "stutter")
            )
            low, high = np.array([np.mean([cell["interval"]["bleu"] for cell in own], axis=0) for own in by_step]).T
            # Side by side, so that bars of equal scores can be told apart.
            places = np.array(ticks) * 1.03 ** (index - (len(series) - 1) / 2)
            panels[0].errorbar(places, bleu, yerr=(bleu - low, high - bleu), capsize=2, **look)
            panels[1].plot(places, 100 * stutter, **look)
        reference = next(iter(series.values()))[0]["reference_stutter"]
        panels[0].set_ylabel("BLEU (bars: 95% over sentences)")
        panels[1].axhline(100 * reference, color=COLOURS[7], linewidth=0.8, label="in the references")
        panels[1].set_ylabel("neighbours that are equal (%)")
        panels[1].set_ylim(bottom=0)
        for axes in panels:
            axes.set(xscale="log", xlabel="refinement steps")
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
        figure.legend(*panels[1].get_legend_handles_labels(), loc="outside right center")
    return figure


def draw_parity(gaps: Cells) -> Figure:
    """The gap of each attempt to its teacher, by how its length was chosen: means over seeds, and each seed."""
    judged = [gap for gap in gaps if gap["steps"] == JUDGED]
    names = sorted(
        {gap["network"] for gap in judged},
        key=lambda name: max(gap["bleu"]["value"] for gap in judged if gap["network"] == name),
    )
    with style():
        figure, (axes,) = new_figure(width=8.0, height=1.4 + 0.36 * len(names))
        for index, scheme in enumerate(WAYS):
            own = [gap for gap in judged if gap["scheme"] == scheme]
            places = np.array([names.index(gap["network"]) for gap in own]) + 0.3 * (index - 0.5)
            values, low, high = (np.array([gap["bleu"][end] for gap in own]) for end in ("value", "low", "high"))
            axes.errorbar(
                values,
                places,
                xerr=[values - low, high - values],
                fmt=MARKERS[index],
                color=COLOURS[index],
                capsize=2,
                label=f"{LENGTHS[scheme == CHOSEN_LENGTH]} (bar: 95% over sentences)",
            )
            for place, gap in zip(places, own, strict=True):
                axes.plot(
                    gap["bleu"]["seeds"], [place] * len(gap["bleu"]["seeds"]), "|", color=COLOURS[7], markersize=8
                )
        axes.plot([], [], "|", color=COLOURS[7], markersize=8, label="one seed of training")
        axes.axvline(0, color=COLOURS[0], linewidth=0.8, label="the teacher")
        axes.axvline(-MARGIN, color=COLOURS[0], linewidth=0.8, linestyle=":", label=f"{MARGIN:g} BLEU below")
        axes.set_yticks(range(len(names)), [textwrap.fill(VARIANTS[name].text, 34) for name in names])
        axes.set_xlabel(f"BLEU after {JUDGED} steps, student minus teacher")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def draw_effects(effects: Cells) -> Figure:
    """Each choice with the BLEU that it gains: mean over seeds with its interval over sentences, and each seed."""
    with style():
        figure, (axes,) = new_figure(width=9.0, height=1.2 + 0.3 * len(effects))
        places = -np.arange(len(effects))
        for place, entry in zip(places, effects, strict=True):
            effect = entry["bleu"]
            bars = [[effect["value"] - effect["low"]], [effect["high"] - effect["value"]]]
            axes.errorbar(effect["value"], place, xerr=bars, fmt="o", color=COLOURS[0], capsize=2)
            axes.plot(effect["seeds"], [place] * len(effect["seeds"]), "|", color=COLOURS[1], markersize=9)
        axes.plot([], [], "o", color=COLOURS[0], label="mean over seeds, bar: 95% over sentences")
        axes.plot([], [], "|", color=COLOURS[1], markersize=9, label="one seed of training")
        axes.axvline(0, color=COLOURS[7], linewidth=0.8)
        axes.set_yticks(places, [f"{entry['choice']} ({verdict(entry)})" for entry in effects])
        axes.set_xlabel("BLEU gained")
        figure.legend(loc="outside upper right", ncols=2)
    return figure
