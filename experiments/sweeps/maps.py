"""Drawing rows of results over two axes: heat maps and phase diagrams, with the theory's lines.

A heat map has one contour line of the measured values, and the theory's lines at the same level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.figures import COLOURS, plain_text
from experiments.sweeps.design import show
from experiments.sweeps.drawing import (
    THEORY,
    is_numeric,
    label_of,
    median,
    numbers,
    quantity_of,
    show_value,
    values_of,
)
from experiments.sweeps.results import Row
from experiments.sweeps.subject import Subject
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]


def grid_of(rows: Sequence[Row], x: str, y: str, value: str) -> tuple[list[Any], list[Any], Array]:
    """Axis values and the median of a column at each place, shape [len(y values), len(x values)], NaN where none is."""
    columns, lines = values_of(rows, x), values_of(rows, y)
    cells: dict[tuple[Any, Any], list[float]] = {}
    for row, number in zip(rows, numbers(rows, value), strict=True):
        if not np.isnan(number):
            cells.setdefault((row[y], row[x]), []).append(float(number))
    table = [[median(np.array(cells.get((line, column), [np.nan]))) for column in columns] for line in lines]
    return columns, lines, np.array(table, dtype=float)


def draw_heat_map(
    axes: Axes,
    subject: Subject,
    rows: Sequence[Row],
    x: str,
    y: str,
    value: str,
    *,
    every: Sequence[Row] | None = None,
) -> None:
    """The median of ``value`` over (x, y) in colour; the theory's prediction, else a bound, as contour lines.

    A place whose value is infinite, or zero on a scale of orders of magnitude, says so.

    Args:
        axes, subject, rows, x, y, value: what to draw, and where.
        every: rows of all panels that are compared, which settle the colours.

    Raises:
        InvalidInput: nothing to draw.
    """
    from matplotlib.colors import LogNorm, Normalize

    quantity = quantity_of(subject, value)
    columns, lines, table = grid_of(rows, x, y, value)
    shades = numbers(rows if every is None else every, value)
    log = quantity.log and not (shades < 0).any() and bool((shades > 0).any())
    inside = shades[np.isfinite(shades) & ((shades > 0) | (not log))]
    if not inside.size or np.isnan(table).all():
        raise InvalidInput("value", value, "there are no numbers to draw; words make a phase diagram")
    smallest, largest = float(inside.min()), float(inside.max())
    norm = LogNorm(smallest, largest) if log and largest > smallest else Normalize(smallest, largest)
    at_x, at_y = _positions(axes, subject, x, y, columns, lines)
    outside = np.isinf(table) | ((table == 0) & log)
    mesh = axes.pcolormesh(
        at_x, at_y, np.ma.masked_where(outside | np.isnan(table), table), norm=norm, cmap="cividis", shading="nearest"
    )
    for line, column in np.argwhere(outside):
        text = "∞" if np.isinf(table[line, column]) else "0"
        axes.text(at_x[column], at_y[line], text, ha="center", va="center", fontsize=8)
    axes.grid(False)
    bar = axes.figure.colorbar(mesh, ax=axes)
    bar.set_label(quantity.label)
    tables = {"measured": table}
    for kind in THEORY:
        if (column := getattr(quantity, kind)) is not None:
            tables[kind] = grid_of(rows, x, y, column)[2]
    _draw_contours(axes, at_x, at_y, tables, log)


CONTOURS = {
    "measured": ("measured", "-"),
    "predicted": ("theory", "--"),
    "lower": ("lower bound", ":"),
    "upper": ("upper bound", "-."),
}


def _draw_contours(axes: Axes, at_x: Array, at_y: Array, tables: Mapping[str, Array], log: bool) -> None:
    """A line of each table at one level, which all of them reach where there is such a level."""
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import LogLocator, MaxNLocator

    inner = {kind: table[np.isfinite(table)] for kind, table in tables.items() if min(table.shape) > 1}
    ranges = {kind: (values.min(), values.max()) for kind, values in inner.items() if len(values)}
    if "measured" not in ranges:
        return
    locator = LogLocator(subs=(1.0, 2.0, 5.0)) if log else MaxNLocator(6)
    shared = max(low for low, _ in ranges.values()), min(high for _, high in ranges.values())
    low, high = shared if shared[0] < shared[1] else ranges["measured"]
    levels = [level for level in locator.tick_values(low, high) if low < level < high]
    if not levels:
        return
    level = levels[len(levels) // 2]
    reached = [kind for kind, (smallest, largest) in ranges.items() if smallest < level < largest]
    for kind in reached:
        word, line = CONTOURS[kind]
        masked = np.ma.masked_invalid(tables[kind])
        found = axes.contour(at_x, at_y, masked, levels=[level], colors="white", linestyles=[line], linewidths=1.6)
        found.set_path_effects([withStroke(linewidth=2.6, foreground="black")])
        (entry,) = axes.plot([], [], line, color="white", linewidth=1.6, label=f"{word} = {level:g}")
        entry.set_path_effects([withStroke(linewidth=2.6, foreground="black")])
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)


def draw_phases(
    axes: Axes, subject: Subject, rows: Sequence[Row], x: str, y: str, value: str, threshold: float | None = None
) -> None:
    """Where ``value`` takes which word, or lies below or above a threshold; the theory's boundary as lines.

    Where repetitions disagree, a place shows the word of most of them.

    Raises:
        InvalidInput: no values, or too many different ones.
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    quantity = quantity_of(subject, value)
    columns, lines = values_of(rows, x), values_of(rows, y)
    words = [_word(row.get(value), threshold) for row in rows]
    phases = sorted({word for word in words if word is not None})
    if not 1 <= len(phases) <= 6:
        raise InvalidInput("value", value, f"{len(phases)} different values make no phases; give a threshold")
    votes: dict[tuple[Any, Any], list[int]] = {}
    for row, word in zip(rows, words, strict=True):
        if word is not None:
            votes.setdefault((row[y], row[x]), []).append(phases.index(word))
    table = np.array([[_majority(votes.get((line, column), [])) for column in columns] for line in lines])
    shades = ListedColormap([str(shade) for shade in np.linspace(0.92, 0.5, max(2, len(phases)))])
    norm = BoundaryNorm(np.arange(max(2, len(phases)) + 1) - 0.5, max(2, len(phases)))
    at_x, at_y = _positions(axes, subject, x, y, columns, lines)
    axes.pcolormesh(at_x, at_y, np.ma.masked_invalid(table), norm=norm, cmap=shades, shading="nearest")
    axes.grid(False)
    entries: list[Any] = [Patch(color=shades(norm(index)), label=plain_text(word)) for index, word in enumerate(phases)]
    if threshold is not None:
        for index, kind in enumerate(("predicted", "lower", "upper")):
            column = getattr(quantity, kind)
            bound = grid_of(rows, x, y, column)[2] if column is not None else np.full(table.shape, np.nan)
            finite = bound[np.isfinite(bound)]
            if min(bound.shape) > 1 and len(finite) and finite.min() < threshold < finite.max():
                style = ("--", ":", "-.")[index]
                masked = np.ma.masked_invalid(bound)
                axes.contour(at_x, at_y, masked, levels=[threshold], colors=COLOURS[1], linestyles=[style])
                word = "theory" if kind == "predicted" else f"{kind} bound (theory)"
                (line,) = axes.plot([], [], linestyle=style, color=COLOURS[1], label=f"{word} = {threshold:g}")
                entries.append(line)
    axes.legend(
        handles=entries, title=quantity.label, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False
    )


def _word(value: Any, threshold: float | None) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if threshold is not None:
        return None if isinstance(value, str) else f"< {threshold:g}" if value < threshold else f"≥ {threshold:g}"
    return show(value)


def _majority(votes: Sequence[int]) -> float:
    return float(np.bincount(votes).argmax()) if votes else np.nan


def _positions(
    axes: Axes, subject: Subject, x: str, y: str, columns: Sequence[Any], lines: Sequence[Any]
) -> tuple[Array, Array]:
    """Coordinates of the cells: numbers where they are, else places with the words as ticks; axes labelled."""
    axes.set_xlabel(label_of(subject, x))
    axes.set_ylabel(label_of(subject, y))
    result = []
    for values, set_ticks in ((columns, axes.set_xticks), (lines, axes.set_yticks)):
        places: Mapping[bool, Any] = {True: np.array(values), False: np.arange(len(values))}
        numeric = is_numeric(values)
        at = np.asarray(places[numeric], dtype=float)
        if not numeric:
            set_ticks(at, [plain_text(show_value(value)) for value in values])
        elif all(isinstance(value, int) for value in values) and len(values) <= 12:
            set_ticks(at)
        result.append(at)
    return result[0], result[1]
