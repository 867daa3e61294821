"""Figures of the study, from its record: the effect of each choice, quality and stutter against steps, the frontier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, style
from experiments.translation.ablations.forest import draw_effects, draw_parity
from experiments.translation.ablations.tables import LENGTHS, compared
from experiments.translation.ablations.variants import (
    BASE,
    CHOSEN_LENGTH,
    DECODING,
    FRONTIER,
    MASK_PREDICT,
    SCHEMES,
    TEACHER,
    TRAINED,
    VARIANTS,
)
from experiments.translation.quality import draw_frontier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cells = Sequence[Mapping[str, Any]]


def drawings(record: Mapping[str, Any]) -> dict[str, Callable[[], Figure]]:
    """What draws each figure of a record: the effects, the gaps to the teacher, quality against time, each ablation."""
    found: dict[str, Callable[[], Figure]] = {}
    if record["effects"]:
        found["effects"] = partial(draw_effects, record["effects"])
    if record["parity"]:
        found["gaps"] = partial(draw_parity, record["parity"])
    if any(cell["network"] == TEACHER for cell in record["cells"]):
        found["frontier"] = partial(_draw_frontier, record)
    for ablation in record["ablations"]:
        if ablation == SCHEMES or ablation in TRAINED:
            ways = [(BASE, scheme) for scheme in DECODING]
            if ablation in TRAINED:
                ways = [(name, MASK_PREDICT) for name in TRAINED[ablation]]
            series = {
                scheme if ablation == SCHEMES else VARIANTS[name].text: _cells(record, name, scheme)
                for name, scheme in ways
                if VARIANTS[name].decoder == "refinement"
            }
            # `FRONTIER` varies depths; the figure of that name has times.
            place = "depths" if ablation == FRONTIER else ablation
            found[place] = partial(draw_steps, {label: cells for label, cells in series.items() if cells})
    return found


def _cells(record: Mapping[str, Any], network: str, scheme: str) -> Cells:
    return [cell for cell in record["cells"] if (cell["network"], cell["scheme"]) == (network, scheme)]


def _draw_frontier(record: Mapping[str, Any]) -> Figure:
    """Autoregressive networks, the base, and the best attempt in either way of choosing lengths; the first seed alone.

    The lines of several seeds would cross each other.
    """
    rows = []
    for name, scheme in compared(record):
        if scheme == MASK_PREDICT and name != BASE and name in TRAINED[FRONTIER]:
            continue  # other depths, which the table has
        lengths = f", length: {LENGTHS[True]}" if scheme == CHOSEN_LENGTH else ""
        model = f"{VARIANTS[name].text}{lengths}"
        first = [cell for cell in _cells(record, name, scheme) if cell["seed"] == record["seeds"][0]]
        rows += [{**cell, "model": model} for cell in first]
    return draw_frontier(rows, "processor_milliseconds")


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
