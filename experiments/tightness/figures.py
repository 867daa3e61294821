"""The atlas of bounds: how near to equality each was brought, beside what it is on random instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_atlas(records: Sequence[Mapping[str, Any]]) -> Figure:
    """One row for each bound: the median over random instances (open) and the tightest that was found (filled)."""
    rows = sorted(records, key=lambda record: record["ratio"])
    figure, (axes,) = new_figure(1, 1, 7.0, 1.2 + 0.34 * len(rows))
    places = np.arange(len(rows))
    for place, record in zip(places, rows, strict=True):
        left = record["random"] or record["ratio"]
        axes.plot([left, record["ratio"]], [place, place], "-", color="0.7", linewidth=1.5, zorder=1)
    drawn = [(record["random"], place) for place, record in zip(places, rows, strict=True) if record["random"]]
    axes.plot(*zip(*drawn, strict=True), "o", color=COLOURS[0], fillstyle="none", label="median of random instances")
    axes.plot([record["ratio"] for record in rows], places, "s", color=COLOURS[1], label="tightest found")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(places, [f"{record['claim']}  {record['bound']}" for record in rows])
    axes.set_xlabel("exact / bound (inverse for lower bounds); 1: attained")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
