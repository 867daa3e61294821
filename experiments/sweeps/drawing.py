"""Drawing rows of results on one panel: lines with bands over seeds, and marks, theory beside measurement.

Measured values are markers joined by thin lines (not joined over an axis of words), with a band from the smallest to
the largest where several seeds (or other repetitions) share a point, which is drawn at their median. The theory's value
is a dashed line, its bounds are dotted ones. Maps are drawn by `experiments.sweeps.maps`, and what is drawn when is
settled in `experiments.sweeps.picture`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.figures import COLOURS, MARKERS, MOST_SERIES, logarithmic, plain_text
from experiments.sweeps.design import show
from experiments.sweeps.inputs import file_name
from experiments.sweeps.results import Row
from experiments.sweeps.subject import Quantity, Subject
from theory.errors import InvalidInput
from theory.parameters import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

THEORY = {"predicted": "--", "lower": ":", "upper": ":"}
"""Line style of what the theory says."""

WIDE = 50
"""An axis of positive numbers whose largest is more times the smallest is logarithmic."""


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
    """Points of one line: x ascending, and the median, smallest and largest y at each; infinite ones are kept.

    Args:
        rows: to be drawn.
        x, y: columns.
        words: values of x that are no numbers, in the order of their places 0, 1, ...
    """
    places, heights = places_of(rows, x, words), numbers(rows, y)
    kept = np.isfinite(places) & ~np.isnan(heights)
    places, heights = places[kept], heights[kept]
    points = np.unique(places)
    groups = [heights[places == point] for point in points]
    return (
        points,
        np.array([median(group) for group in groups]),
        np.array([group.min() for group in groups]),
        np.array([group.max() for group in groups]),
    )


def places_of(rows: Sequence[Row], column: str, words: Sequence[Any] | None) -> Array:
    """Where the rows stand on an axis, [rows]: their numbers, or the places 0, 1, ... of their words."""
    if words is None:
        return numbers(rows, column)
    order = {value: place for place, value in enumerate(words)}
    return np.array([order.get(row.get(column), np.nan) for row in rows], dtype=float)


def median(values: Array) -> float:
    """Of an even number that are not all finite, the upper one in the middle: NumPy would take infinity from itself."""
    return float(np.median(values) if np.isfinite(values).all() else np.sort(values)[len(values) // 2])


def draw_lines(
    axes: Axes,
    subject: Subject,
    rows: Sequence[Row],
    x: str,
    y: str,
    series: str | None = None,
    name: Callable[[Any], str] | None = None,
    *,
    every: Sequence[Row] | None = None,
    theory: bool = True,
) -> None:
    """One line for each value of ``series``, with the theory's prediction and bounds of ``y``.

    Args:
        axes, subject, rows, x, y, series: what to draw, and where.
        name: of a value of ``series``, in the legend.
        every: rows of all panels that are compared, which settle series and scales; ``rows`` where there is one panel.
        theory: whether predictions and bounds are drawn.

    Raises:
        InvalidInput: more series than can be told apart, or no numbers to draw.
    """
    every = rows if every is None else every
    quantity = quantity_of(subject, y)
    kinds = {kind: column for kind in THEORY if theory and (column := getattr(quantity, kind)) is not None}
    words = words_of(every, x)
    drawn = scale(axes, quantity, [numbers(every, column) for column in (y, *kinds.values())])
    empty = True
    for index, (label, chosen) in enumerate(series_of(rows, every, series, name)):
        points, middle, low, high = curve(chosen, x, y, words)
        if not len(points):
            continue
        empty = False
        colour = COLOURS[index]
        joined = "-" if words is None else ""  # nothing lies between two words
        axes.plot(points, drawn(middle), MARKERS[index] + joined, color=colour, linewidth=0.8, label=label)
        if words is not None:
            axes.vlines(points, drawn(low), drawn(high), color=colour, linewidth=0.8)
        elif (high > low).any():
            axes.fill_between(points, drawn(low), drawn(high), color=colour, alpha=0.2, linewidth=0)
        for kind, column in kinds.items():
            places, heights, _, _ = curve(chosen, x, column, words)
            if words is None:
                axes.plot(places, drawn(heights), THEORY[kind], color=colour)
            else:
                ends = np.array([places - 0.3, places + 0.3])
                axes.plot(ends, np.broadcast_to(drawn(heights), ends.shape), THEORY[kind], color=colour)
    if empty:
        raise InvalidInput("y", y, f"there are no numbers to draw over {x}")
    if theory:
        _theory_legend(axes, quantity, rows)
    if len({row["seed"] for row in rows}) > 1:
        axes.fill_between([], [], [], color="0.4", alpha=0.2, linewidth=0, label="smallest to largest over seeds")
    finish_axes(axes, subject, every, x, y, words)
    axes.legend()


def draw_points(
    axes: Axes,
    subject: Subject,
    rows: Sequence[Row],
    x: str,
    y: str,
    series: str | None = None,
    value: str | None = None,
    *,
    every: Sequence[Row] | None = None,
) -> None:
    """A mark for each row: of a shape for each value of ``series``, or coloured by ``value``.

    For outcomes over each other, and for designs that draw, where no two rows share a place.

    Raises:
        InvalidInput: more series than can be told apart, or no numbers to draw.
    """
    from matplotlib.colors import LogNorm, Normalize

    every = rows if every is None else every
    words = words_of(every, x)
    drawn = scale(axes, quantity_of(subject, y), [numbers(every, y)])
    places, heights = places_of(every, x, words), numbers(every, y)
    there = np.isfinite(places) & ~np.isnan(heights)
    if value is not None:
        there &= np.isfinite(numbers(every, value))
    if not there.any():
        raise InvalidInput("y", y, f"there are no numbers to draw over {x}" + (f" and {value}" if value else ""))
    norm: Normalize | None = None
    if value is not None:
        shades = numbers(every, value)[there]
        low, high = float(shades.min()), float(shades.max())
        norm = LogNorm(low, high) if 0 < low < high and high / low > 100 else Normalize(low, high)
    marks = None
    for index, (label, chosen) in enumerate(series_of(rows, every, series)):
        marks = axes.scatter(
            places_of(chosen, x, words),
            drawn(numbers(chosen, y)),
            c=COLOURS[index] if value is None else numbers(chosen, value),
            marker=MARKERS[index],
            norm=norm,
            cmap=None if value is None else "cividis",
            edgecolors="black",
            linewidths=0.3,
            s=22,
            label=label if series is not None else None,
        )
    if value is not None and marks is not None:
        axes.figure.colorbar(marks, ax=axes).set_label(label_of(subject, value))
    finish_axes(axes, subject, every, x, y, words)
    if series is not None:
        axes.legend()


def words_of(rows: Sequence[Row], x: str) -> list[Any] | None:
    """The values of an axis of words; None for an axis of numbers."""
    values = values_of(rows, x)
    return None if is_numeric(values) else values


def series_of(
    rows: Sequence[Row], every: Sequence[Row], series: str | None, name: Callable[[Any], str] | None = None
) -> list[tuple[str, list[Row]]]:
    """Label and rows of each series, in the order of all panels.

    Raises:
        InvalidInput: more series than can be told apart.
    """
    if series is None:
        return [("measured", list(rows))]
    groups = values_of(every, series)
    if len(groups) > MOST_SERIES:
        raise InvalidInput(
            "series", series, f"{len(groups)} lines cannot be told apart; keep at most {MOST_SERIES} with --where"
        )
    return [
        (
            plain_text(name(group) if name else f"{series} = {show_value(group)}"),
            [row for row in rows if row.get(series) == group],
        )
        for group in groups
    ]


def show_value(value: Any) -> str:
    """A value in words; a file by its name."""
    return (file_name(value) if isinstance(value, str) else None) or show(value)


def scale(axes: Axes, quantity: Quantity, values: Sequence[Array]) -> Callable[[Any], Array]:
    """Settle the scale of y for everything that will be drawn; from values to the places where they are drawn.

    A logarithmic axis has places for zero and infinity, and so has one of numbers that are not negative where some are
    infinite.
    """
    everything = np.concatenate(values)
    everything = everything[~np.isnan(everything)]
    if everything.size and everything.min() >= 0 and (quantity.log or np.isinf(everything).any()):
        return logarithmic(axes, everything)
    return lambda value: np.where(np.isfinite(value), value, np.nan)


def finish_axes(axes: Axes, subject: Subject, rows: Sequence[Row], x: str, y: str, words: Sequence[Any] | None) -> None:
    """Labels, the words of an axis that has no numbers, and the scale of one that has."""
    places = numbers(rows, x)
    places = places[np.isfinite(places)]
    if words is None and places.min() > 0 and places.max() > WIDE * places.min():
        axes.set_xscale("log")
    if words is not None:
        texts = [plain_text(show_value(word)) for word in words]
        crowded = sum(map(len, texts)) > 45
        axes.set_xticks(range(len(words)), texts, rotation=30 if crowded else 0, ha="right" if crowded else "center")
        axes.set_xlim(-0.5, len(words) - 0.5)
    axes.set_xlabel(label_of(subject, x))
    axes.set_ylabel(label_of(subject, y))


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
