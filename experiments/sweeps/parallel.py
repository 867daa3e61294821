"""Parallel coordinates: an axis for each column, a line through its values for each row.

For sweeps over many parameters at once: where the lines of one colour, the value on the last axis, run close together,
those parameters settle the outcome. An axis of numbers that spans orders of magnitude is logarithmic; infinity has a
place above an axis, and zero one below a logarithmic one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.figures import plain_text
from experiments.sweeps.drawing import label_of, numbers, places_of, quantity_of, show_value, values_of, words_of
from experiments.sweeps.results import Row
from experiments.sweeps.subject import Subject
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

MOST_LINES = 2000
"""More of them are a blot."""

BEYOND = 0.09
"""How far infinity stands above an axis, and zero below, in lengths of the axis."""


def draw_parallel(axes: Axes, subject: Subject, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Draw the rows over the columns, coloured by the last one.

    Raises:
        InvalidInput: fewer than two columns, one that no row has, or more rows than can be told apart.
    """
    import matplotlib
    from matplotlib.collections import LineCollection

    if len(columns) < 2:
        raise InvalidInput("parallel", ", ".join(columns), "two columns or more are needed")
    if len(rows) > MOST_LINES:
        raise InvalidInput("parallel", f"{len(rows)} rows", f"keep at most {MOST_LINES} with --where")
    heights = np.empty((len(columns), len(rows)))
    for place, column in enumerate(columns):
        heights[place], ticks = _axis(subject, rows, column)
        axes.axvline(place, color="0.3", linewidth=0.8)
        for text, height in ticks:
            axes.text(place + 0.02, height, text, va="center", fontsize=7, zorder=4, bbox=_BACKGROUND)
    whole = ~np.isnan(heights).any(axis=0)
    if not whole.any():
        raise InvalidInput("parallel", ", ".join(columns), "no row has a value for each of them")
    order = np.flatnonzero(whole)[np.argsort(heights[-1, whole], kind="stable")]
    lines = np.stack([np.broadcast_to(np.arange(len(columns)), (len(order), len(columns))), heights[:, order].T], -1)
    shades = matplotlib.colormaps["cividis"](0.9 * heights[-1, order].clip(0, 1))
    axes.add_collection(LineCollection(list(lines), colors=shades, linewidths=0.9, alpha=0.8))
    axes.set_xlim(-0.1, len(columns) - 0.6)
    axes.set_ylim(-1.6 * BEYOND, 1 + 1.6 * BEYOND)
    axes.set_xticks(range(len(columns)), [plain_text(label_of(subject, column)) for column in columns])
    axes.tick_params(axis="x", rotation=20)
    for tick in axes.get_xticklabels():
        tick.set_horizontalalignment("right")
    axes.set_yticks([])
    axes.grid(False)
    axes.spines["left"].set_visible(False)


_BACKGROUND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}


def _axis(subject: Subject, rows: Sequence[Row], column: str) -> tuple[Array, list[tuple[str, float]]]:
    """Heights of the rows on an axis from 0 to 1, NaN where there is none, and its ticks."""
    values: list[Any] = values_of(rows, column)
    words = words_of(rows, column)
    if words is not None:
        at = places_of(rows, column, words) / max(1, len(words) - 1)
        return at, [(plain_text(show_value(word)), place / max(1, len(words) - 1)) for place, word in enumerate(words)]
    found = numbers(rows, column)
    finite = np.array([value for value in values if np.isfinite(value)], dtype=float)
    positive = finite[finite > 0]
    wide = positive.size > 0 and positive.max() > 100 * positive.min()
    log = finite.size > 0 and finite.min() >= 0 and positive.size > 0 and (quantity_of(subject, column).log or wide)
    inside = positive if log else finite
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (0.0, 1.0)

    def height(value: Array) -> Array:
        if high == low:
            return np.full(np.shape(value), 0.5)
        with np.errstate(divide="ignore"):
            return np.log(value / low) / np.log(high / low) if log else (value - low) / (high - low)

    at = np.where(np.isposinf(found), 1 + BEYOND, np.where(log & (found == 0), -BEYOND, height(found)))
    middle = float(np.sqrt(low * high)) if log else (low + high) / 2
    few = len(values) <= 6 and finite.size == inside.size
    shown = inside if few else np.array([low, middle, high] if high > low else [low])
    ticks = [(f"{value:.4g}", float(height(np.array(value)))) for value in shown]
    ticks += [("∞", 1 + BEYOND)] if np.isposinf(found).any() else []
    ticks += [("0", -BEYOND)] if log and (found == 0).any() else []
    return at, ticks
