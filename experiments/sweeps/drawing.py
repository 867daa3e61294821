"""Drawing rows of results: lines with bands over seeds, marks, heat maps and phase diagrams, theory beside measurement.

Measured values are markers joined by thin lines (not joined over an axis of words), with a band from the smallest to
the largest where several seeds (or other repetitions) share a point, which is drawn at their median. The theory's value
is a dashed line, its bounds are dotted ones. A heat map has one contour line of the measured values, and the theory's
lines at the same level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.figures import COLOURS, MARKERS, plain_text
from experiments.sweeps.design import show
from experiments.sweeps.results import Row
from experiments.sweeps.subject import Quantity, Subject
from theory.errors import InvalidInput
from theory.parameters import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

THEORY = {"predicted": "--", "lower": ":", "upper": ":"}
"""Line style of what the theory says."""

MOST_SERIES = len(MARKERS)


def label_of(subject: Subject, column: str) -> str:
    """The axis label of an outcome, or a parameter's name with the start of its description."""
    if column in subject.quantities:
        return subject.quantities[column].label
    known = describe(subject.parameters)
    if column in known:
        return plain_text(known[column].rule.help.partition(";")[0].partition(",")[0])
    return plain_text(column.replace("_", " "))


def quantity_of(subject: Subject, column: str) -> Quantity:
    """What is known of an outcome."""
    return subject.quantities.get(column, Quantity(label_of(subject, column)))


def values_of(rows: Sequence[Row], column: str) -> list[Any]:
    """The values of a column over the rows, ascending.

    Raises:
        InvalidInput: no row has the column.
    """
    found = {row[column] for row in rows if row.get(column) is not None}
    if not found:
        known = ", ".join(sorted({name for row in rows for name in row}))
        raise InvalidInput("column", column, f"no row has a value for it; known here: {known}")
    return sorted(found, key=lambda value: (isinstance(value, str), value))


def numbers(rows: Sequence[Row], column: str) -> Array:
    """A column as numbers, NaN where there is none, shape [rows]."""
    values = [row.get(column) for row in rows]
    return np.array([float(v) if isinstance(v, (int, float)) else np.nan for v in values])


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether values have places on an axis of numbers; words, and yes and no, get places of their own."""
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def curve(rows: Sequence[Row], x: str, y: str, words: Sequence[Any] | None = None) -> tuple[Array, Array, Array, Array]:
    """Points of one line: x ascending, and the median, smallest and largest y at each.

    Args:
        rows: to be drawn.
        x, y: columns.
        words: values of x that are no numbers, in the order of their places 0, 1, ...
    """
    places, heights = numbers(rows, x), numbers(rows, y)
    if words is not None:
        order = {value: place for place, value in enumerate(words)}
        places = np.array([order.get(row.get(x), np.nan) for row in rows], dtype=float)
    kept = np.isfinite(places) & np.isfinite(heights)
    places, heights = places[kept], heights[kept]
    points = np.unique(places)
    groups = [heights[places == point] for point in points]
    return (
        points,
        np.array([np.median(group) for group in groups]),
        np.array([group.min() for group in groups]),
        np.array([group.max() for group in groups]),
    )


def draw_lines(
    axes: Axes,
    subject: Subject,
    rows: Sequence[Row],
    x: str,
    y: str,
    series: str | None = None,
    name: Callable[[Any], str] | None = None,
) -> None:
    """One line for each value of ``series``, with the theory's prediction and bounds of ``y``.

    Raises:
        InvalidInput: more series than can be told apart, or no numbers to draw.
    """
    quantity = quantity_of(subject, y)
    groups = values_of(rows, series) if series is not None else [None]
    if len(groups) > MOST_SERIES:
        raise InvalidInput(
            "series", series, f"{len(groups)} lines cannot be told apart; keep at most {MOST_SERIES} with --where"
        )
    values = values_of(rows, x)
    words = None if is_numeric(values) else values
    drawn = False
    for index, group in enumerate(groups):
        chosen = [row for row in rows if series is None or row.get(series) == group]
        points, middle, low, high = curve(chosen, x, y, words)
        if not len(points):
            continue
        drawn = True
        label = "measured" if series is None else plain_text(name(group) if name else f"{series} = {show(group)}")
        colour = COLOURS[index]
        joined = "-" if words is None else ""  # nothing lies between two words
        axes.plot(points, middle, MARKERS[index] + joined, color=colour, linewidth=0.8, label=label)
        if words is not None:
            axes.vlines(points, low, high, color=colour, linewidth=0.8)
        elif (high > low).any():
            axes.fill_between(points, low, high, color=colour, alpha=0.2, linewidth=0)
        for kind, line in THEORY.items():
            column = getattr(quantity, kind)
            if column is not None and len(theory := curve(chosen, x, column, words)[0]):
                axes.plot(theory, curve(chosen, x, column, words)[1], line, color=colour)
    if not drawn:
        raise InvalidInput("y", y, f"there are no numbers to draw over {x}")
    _theory_legend(axes, quantity, rows)
    _finish_axes(axes, subject, rows, x, y, words)
    axes.legend()


def draw_points(axes: Axes, subject: Subject, rows: Sequence[Row], x: str, y: str, value: str) -> None:
    """A mark for each row, coloured by ``value``: for designs that draw, where no two rows share a place.

    Raises:
        InvalidInput: no numbers to draw.
    """
    from matplotlib.colors import LogNorm, Normalize

    values = values_of(rows, x)
    words = None if is_numeric(values) else values
    shades = numbers(rows, value)
    heights = numbers(rows, y)
    places = numbers(rows, x) if words is None else np.array([float(words.index(row[x])) for row in rows])
    kept = np.isfinite(shades) & np.isfinite(heights) & np.isfinite(places)
    if not kept.any():
        raise InvalidInput("value", value, f"there are no numbers to draw over {x} and {y}")
    low, high = float(shades[kept].min()), float(shades[kept].max())
    log = 0 < low < high and high / low > 100
    marks = axes.scatter(
        places[kept],
        heights[kept],
        c=shades[kept],
        norm=LogNorm(low, high) if log else Normalize(low, high),
        cmap="cividis",
        edgecolors="black",
        linewidths=0.3,
    )
    axes.figure.colorbar(marks, ax=axes).set_label(label_of(subject, value))
    _finish_axes(axes, subject, rows, x, y, words)
    if words is None and places[kept].min() > 0 and places[kept].max() > 100 * places[kept].min():
        axes.set_xscale("log")


def _finish_axes(
    axes: Axes, subject: Subject, rows: Sequence[Row], x: str, y: str, words: Sequence[Any] | None
) -> None:
    """Labels, the words of an axis that has no numbers, and the scale."""
    quantity = quantity_of(subject, y)
    if words is not None:
        axes.set_xticks(range(len(words)), [plain_text(show(word)) for word in words])
        axes.set_xlim(-0.5, len(words) - 0.5)
    axes.set_xlabel(label_of(subject, x))
    axes.set_ylabel(quantity.label)
    if quantity.log and (numbers(rows, y)[np.isfinite(numbers(rows, y))] > 0).all():
        axes.set_yscale("log")


def _theory_legend(axes: Axes, quantity: Quantity, rows: Sequence[Row]) -> None:
    """One grey entry for each kind of line that the theory gives."""
    there = {
        kind for kind in THEORY if (column := getattr(quantity, kind)) and np.isfinite(numbers(rows, column)).any()
    }
    if "predicted" in there:
        axes.plot([], [], THEORY["predicted"], color="0.4", label="theory")
    bounds = there & {"lower", "upper"}
    if bounds:
        word = "bounds" if len(bounds) == 2 else f"{bounds.pop()} bound"
        axes.plot([], [], THEORY["lower"], color="0.4", label=f"{word} (theory)")
    if len({row["seed"] for row in rows}) > 1:
        axes.fill_between([], [], [], color="0.4", alpha=0.2, linewidth=0, label="smallest to largest over seeds")


def grid_of(rows: Sequence[Row], x: str, y: str, value: str) -> tuple[list[Any], list[Any], Array]:
    """Axis values and the median of a column at each place, shape [len(y values), len(x values)], NaN where none is."""
    columns, lines = values_of(rows, x), values_of(rows, y)
    cells: dict[tuple[Any, Any], list[float]] = {}
    for row, number in zip(rows, numbers(rows, value), strict=True):
        if np.isfinite(number):
            cells.setdefault((row[y], row[x]), []).append(float(number))
    table = [[np.median(cells.get((line, column), [np.nan])) for column in columns] for line in lines]
    return columns, lines, np.array(table)


def draw_heat_map(axes: Axes, subject: Subject, rows: Sequence[Row], x: str, y: str, value: str) -> None:
    """The median of ``value`` over (x, y) in colour; the theory's prediction, else a bound, as contour lines.

    Raises:
        InvalidInput: nothing to draw.
    """
    from matplotlib.colors import LogNorm, Normalize

    quantity = quantity_of(subject, value)
    columns, lines, table = grid_of(rows, x, y, value)
    if not np.isfinite(table).any():
        raise InvalidInput("value", value, "there are no numbers to draw; words make a phase diagram")
    smallest, largest = float(np.nanmin(table)), float(np.nanmax(table))
    log = quantity.log and smallest > 0 and largest > smallest
    norm = LogNorm(smallest, largest) if log else Normalize(smallest, largest)
    at_x, at_y = _positions(axes, subject, x, y, columns, lines)
    mesh = axes.pcolormesh(at_x, at_y, table, norm=norm, cmap="cividis", shading="nearest")
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
            set_ticks(at, [plain_text(show(value)) for value in values])
        elif all(isinstance(value, int) for value in values) and len(values) <= 12:
            set_ticks(at)
        result.append(at)
    return result[0], result[1]
