"""The atlas of bounds: how near to equality each was brought, beside what it is on random instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures import COLOURS, headline, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEAR = 0.999
"""Ratio from which the title counts a bound as near to equality."""


def draw_atlas(records: Sequence[Mapping[str, Any]]) -> Figure:
    """One row for each bound: the median over random instances (open) and the tightest that was found (filled)."""
    figure, (axes,) = new_figure(1, 1, 6.4, 1.4 + 0.21 * len(records))
    atlas_on(axes, records)
    near = sum(record["ratio"] >= NEAR for record in records)
    headline(figure, f"{near} of {len(records)} bounds come within {1 - NEAR:.1%} of equality on some instance")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def atlas_on(axes: Axes, records: Sequence[Mapping[str, Any]]) -> None:
    """The rows on axes, without headline and legend."""
    rows = sorted(records, key=lambda record: record["ratio"])
    places = np.arange(len(rows))
    for place, record in zip(places, rows, strict=True):
        left = record["random"] or record["ratio"]
        axes.plot([left, record["ratio"]], [place, place], "-", color="0.7", linewidth=1.5, zorder=1)
    drawn = [(record["random"], place) for place, record in zip(places, rows, strict=True) if record["random"]]
    axes.plot(*zip(*drawn, strict=True), "o", color=COLOURS[0], fillstyle="none", label="median of random instances")
    axes.plot([record["ratio"] for record in rows], places, "s", color=COLOURS[1], label="tightest found")
    axes.axvline(1.0, color="black", linewidth=0.8)
    # Linear: what counts is how far from 1, and a ratio of 1e-5 is as good as 0.
    axes.set_xlim(0, max(1.03, 1.03 * max(record["ratio"] for record in rows)))
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_yticks(places, [f"{record['claim']}  {record['bound']}" for record in rows])
    axes.set_xlabel("exact / bound (inverse for lower bounds); 1: attained")
