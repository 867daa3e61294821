"""Effects as a forest: one row for each, its name above its interval, so that it reads on a phone as on a desk."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.figures import COLOURS, new_figure, style
from experiments.translation.ablations.parity import JUDGED, WAYS, outcome
from experiments.translation.ablations.recommendations import MARGIN, question_of, verdict
from experiments.translation.ablations.tables import LENGTHS
from experiments.translation.ablations.variants import CHOSEN_LENGTH, VARIANTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Effect = Mapping[str, Any]

LETTERS_PER_INCH = 15
"""Of the names."""

INTERVAL, LINE = 0.24, 0.14
"""Inches of an interval, and of a line of a name."""

LOOKS = (("o", COLOURS[0]), ("s", COLOURS[1]))
"""Marker and colour of the intervals of a row, in order."""


class Row(NamedTuple):
    """A name with one interval or several, and whether each is resolved: those that are not are hollow."""

    name: str
    effects: Sequence[Effect]
    resolved: Sequence[bool]


def draw_effects(effects: Sequence[Effect]) -> Figure:
    """Each choice that is judged by BLEU, with what it gains and its verdict."""
    rows = []
    for entry in (entry for entry in effects if question_of(entry).measure == "bleu"):
        found = verdict(entry)
        rows.append(Row(f"{entry['choice']}: {found}", [entry["bleu"]], [found != "not resolved"]))
    return _forest(rows, ["mean over seeds"], "BLEU gained", {0.0: "-"})


def draw_parity(gaps: Sequence[Effect]) -> Figure:
    """Each attempt with its gap to the teacher, by how its length was chosen, those that come nearest first."""
    judged: dict[str, dict[str, Effect]] = {}
    for gap in gaps:
        if gap["steps"] == JUDGED:
            judged.setdefault(gap["network"], {})[gap["scheme"]] = gap["bleu"]
    order = sorted(judged, key=lambda name: -max(effect["value"] for effect in judged[name].values()))
    rows = []
    for name in order:
        own = [judged[name][way] for way in WAYS if way in judged[name]]
        rows.append(Row(VARIANTS[name].text, own, [outcome(effect) != "not resolved" for effect in own]))
    labels = [f"length: {LENGTHS[way == CHOSEN_LENGTH]}" for way in WAYS]
    axis = f"BLEU after {JUDGED} steps, student minus teacher (dotted: {MARGIN:g} below)"
    return _forest(rows, labels, axis, {0.0: "-", -MARGIN: ":"})


def _forest(rows: Sequence[Row], labels: Sequence[str], axis: str, lines: Mapping[float, str]) -> Figure:
    """The rows from top to bottom.

    Args:
        rows: what is drawn.
        labels: of the intervals of a row, in order.
        axis: label of the axis.
        lines: dash of each vertical line.
    """
    with style():
        figure, (axes,) = new_figure(width=7.2, height=3.0)
        width = int(figure.get_figwidth() * LETTERS_PER_INCH)
        names = [textwrap.wrap(row.name, width) for row in rows]
        down = 0.0
        for row, name in zip(rows, names, strict=True):
            axes.text(0.01, down, "\n".join(name), transform=axes.get_yaxis_transform(), va="top", fontsize=8)
            down -= LINE * len(name)
            for index, (effect, resolved) in enumerate(zip(row.effects, row.resolved, strict=True)):
                down -= INTERVAL / 2
                marker, colour = LOOKS[index]
                ends = [[effect["value"] - effect["low"]], [effect["high"] - effect["value"]]]
                fill = colour if resolved else "white"
                axes.errorbar(
                    effect["value"], down, xerr=ends, fmt=marker, color=colour, mfc=fill, capsize=2, markersize=5
                )
                axes.plot(effect["seeds"], [down] * len(effect["seeds"]), "|", color=COLOURS[2], markersize=8)
                down -= INTERVAL / 2
            down -= 0.06
        for index, label in enumerate(labels):
            marker, colour = LOOKS[index]
            axes.plot([], [], marker, color=colour, label=f"{label}, bar: 95% over sentences")
        axes.plot([], [], "o", color=COLOURS[0], mfc="white", label="hollow: not resolved")
        axes.plot([], [], "|", color=COLOURS[2], markersize=8, label="one seed of training")
        for place, dash in lines.items():
            axes.axvline(place, color=COLOURS[7], linewidth=0.8, linestyle=dash, zorder=0)
        axes.set_ylim(down, 0.1)
        axes.set_yticks([])
        axes.set_xlabel(axis)
        figure.set_figheight(0.1 - down + 1.1)
        figure.legend(loc="outside lower center", ncols=2)
    return figure
