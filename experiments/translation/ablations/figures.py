"""Figures of the study, from its record: quality and stutter against steps for each ablation, and the frontier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, style
from experiments.translation.ablations.variants import VARIANTS
from experiments.translation.quality import draw_frontier

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(record: Mapping[str, Any]) -> dict[str, Figure]:
    """A figure for each ablation that compares translations."""
    return {
        name: draw_frontier(rows) if name == "frontier" else draw_steps(rows)
        for name, rows in record["quality"].items()
    }


def draw_steps(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """BLEU (bars: 95% of the bootstrap) and stutter against refinement steps; the line is the references' stutter."""
    with style():
        figure, panels = new_figure(1, 2, width=9.6, height=3.8)
        models = list(dict.fromkeys(row["model"] for row in rows))
        for index, model in enumerate(models):
            # Beyond the last colour the first comes again, with other marks and dashes.
            other = index + index // len(COLOURS)
            own = [row for row in rows if row["model"] == model]
            look: dict[str, Any] = {
                "marker": MARKERS[other % len(MARKERS)],
                "color": COLOURS[index % len(COLOURS)],
                "linestyle": DASHES[other % len(DASHES)],
                "label": VARIANTS[model].text if model in VARIANTS else model,
            }
            # Side by side, so that bars of equal scores can be told apart.
            steps = [row["steps"] * 1.03 ** (index - (len(models) - 1) / 2) for row in own]
            bars = [row["half_width"] for row in own]
            panels[0].errorbar(steps, [row["bleu"] for row in own], yerr=bars, capsize=2, **look)
            panels[1].plot(steps, [100 * row["stutter"] for row in own], **look)
        panels[0].set_ylabel("BLEU (bars: 95% over sentences)")
        panels[1].axhline(
            100 * rows[0]["reference_stutter"], color=COLOURS[7], linewidth=0.8, label="in the references"
        )
        panels[1].set_ylabel("neighbours that are equal (%)")
        panels[1].set_ylim(bottom=0)
        ticks = sorted({row["steps"] for row in rows})
        for axes in panels:
            axes.set(xscale="log", xlabel="refinement steps")
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
        panels[1].legend()
    return figure
