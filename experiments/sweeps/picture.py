"""From what is asked for to a figure: which kind of picture, which panels, and a headline that states the result.

*Kinds.* Lines over a parameter, a line for each value of a series; marks (`scatter`) where x is an outcome, or where
``value`` colours them; a map over two parameters (`map`), of phases where the value is a word or a threshold is given
(`phases`); parallel coordinates over many columns.

Lines and maps draw medians over seeds, so everything else that varies must be an axis, the series or the facets: else
different experiments would be drawn as repetitions of one. Marks and parallel coordinates draw each cell by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures import headline, new_figure, one_scale, plain_text
from experiments.sweeps.drawing import (
    draw_lines,
    draw_points,
    label_of,
    median,
    numbers,
    show_value,
    values_of,
)
from experiments.sweeps.maps import draw_heat_map, draw_phases
from experiments.sweeps.parallel import draw_parallel
from experiments.sweeps.results import Row
from experiments.sweeps.subject import Subject
from theory.errors import InvalidInput
from theory.parameters import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("lines", "scatter", "map", "phases", "parallel")

MOST_PANELS = 9


@dataclass(frozen=True)
class Picture:
    """What is asked for.

    Attributes:
        x, y: columns of the axes.
        series: a line, or a shape of marks, for each value of this column.
        value: colour of a map or of marks.
        facet: a panel for each value of this column.
        parallel: columns of parallel coordinates, in place of all these.
        kind: one of `KINDS`; None for what fits.
        threshold: makes phases of numbers below and above.
        log: scale of the y axis of lines and marks; None for what fits.
    """

    x: str | None = None
    y: str | None = None
    series: str | None = None
    value: str | None = None
    facet: str | None = None
    parallel: tuple[str, ...] = ()
    kind: str | None = None
    threshold: float | None = None
    log: bool | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that have a place in it."""
        named = (*self.parallel, self.x, self.y, self.series, self.value, self.facet)
        return [column for column in named if column is not None]


def draw_rows(
    subject: Subject,
    rows: Sequence[Row],
    picture: Picture,
    new: Callable[[int, int, float], tuple[Figure, list[Axes]]] = new_figure,
) -> Figure:
    """The figure, with a panel for each value of the facets.

    Args:
        subject: whose rows they are.
        rows: finished cells.
        picture: what is asked for.
        new: makes a figure with so many rows and columns of axes, so wide.

    Raises:
        InvalidInput: as `draw_on`, or too many panels.
    """
    groups = [None] if picture.facet is None else values_of(rows, picture.facet)
    if len(groups) > MOST_PANELS:
        raise InvalidInput("facet", picture.facet, f"{len(groups)} panels; keep at most {MOST_PANELS} with --where")
    columns = len(groups) if len(groups) < 4 else 2 if len(groups) == 4 else 3
    figure, panels = new(ceil(len(groups) / columns), columns, 6.4 if columns == 1 else 3.6 * columns)
    for empty in panels[len(groups) :]:
        empty.remove()
    panels = panels[: len(groups)]
    for panel, group in zip(panels, groups, strict=True):
        mine = [row for row in rows if picture.facet is None or row.get(picture.facet) == group]
        draw_on(panel, subject, mine, picture, rows)
        if picture.facet is not None:
            panel.set_title(plain_text(f"{picture.facet} = {show_value(group)}"))
    if len(panels) > 1:
        one_scale(panels, "x", "y")
        _share_legend(figure, panels)
    headline(figure, result_of(subject, rows, picture))
    return figure


def draw_on(
    panel: Axes, subject: Subject, rows: Sequence[Row], picture: Picture, every: Sequence[Row] | None = None
) -> None:
    """Draw one panel.

    Args:
        panel, subject, rows, picture: what to draw, and where.
        every: rows of all panels that are compared, which settle series and scales; ``rows`` where it is one panel.

    Raises:
        InvalidInput: columns that no row has, too many series, nothing to draw, or a parameter that varies and has no
            place in the picture.
    """
    kind, every = kind_of(subject, rows if every is None else every, picture), rows if every is None else every
    if kind == "parallel":
        draw_parallel(panel, subject, rows, picture.parallel)
        return
    x, y, value = picture.x or "", picture.y or "", picture.value or ""
    if kind != "scatter":
        require_fixed(subject, rows, picture.columns)
    if kind == "lines":
        draw_lines(panel, subject, rows, x, y, picture.series, every=every)
    elif kind == "scatter":
        draw_points(panel, subject, rows, x, y, picture.series, picture.value, every=every)
    elif kind == "phases":
        draw_phases(panel, subject, rows, x, y, value, picture.threshold)
    else:
        draw_heat_map(panel, subject, rows, x, y, value, every=every)
    if kind in {"lines", "scatter"} and picture.log is not None:
        panel.set_yscale("log" if picture.log else "linear")


def kind_of(subject: Subject, rows: Sequence[Row], picture: Picture) -> str:
    """The kind that is asked for, or that fits.

    Raises:
        InvalidInput: an unknown kind, or columns that it needs are missing.
    """
    parameters = describe(subject.parameters)
    kind = picture.kind
    if kind is None:
        words = any(isinstance(row.get(picture.value), (str, bool)) for row in rows) if picture.value else False
        if picture.parallel:
            kind = "parallel"
        elif picture.value is None:
            kind = "lines" if picture.x in parameters else "scatter"
        elif picture.threshold is not None or (words and picture.y in parameters):
            kind = "phases"
        else:
            kind = "map" if picture.y in parameters else "scatter"
    if kind not in KINDS:
        raise InvalidInput("kind", kind, "one of " + ", ".join(KINDS))
    needed = {"parallel": ("parallel",), "map": ("x", "y", "value"), "phases": ("x", "y", "value")}
    for name in needed.get(kind, ("x", "y")):
        if not getattr(picture, name):
            raise InvalidInput(name, "nothing", f"a picture of kind {kind} needs it")
    return kind


def _share_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, below them, in place of the same in each."""
    entries: dict[str, Any] = {}
    for panel in panels:
        legend = panel.get_legend()
        if legend is not None:
            entries |= {
                text.get_text(): handle for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
            }
            legend.remove()
    if entries:
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=min(len(entries), 4))


def require_fixed(subject: Subject, rows: Sequence[Row], free: Sequence[str]) -> None:
    """Refuse to draw different experiments as if they were repetitions of one.

    Raises:
        InvalidInput: a parameter that varies and is not among the free ones.
    """
    for name in describe(subject.parameters):
        if name not in free and len({row.get(name) for row in rows}) > 1:
            listed = ", ".join(show_value(value) for value in values_of(rows, name)[:6])
            raise InvalidInput(
                name, listed, f"varies too; choose one with --where {name}=..., or make it the series or the facets"
            )


def result_of(subject: Subject, rows: Sequence[Row], picture: Picture) -> str:
    """What the picture shows, in one sentence made from the rows: where the outcome is smallest and largest."""
    column = picture.parallel[-1] if picture.parallel else picture.value or picture.y
    assert column is not None
    label = plain_text(label_of(subject, column))
    parameters = describe(subject.parameters)
    varied = [name for name in parameters if len({repr(row.get(name)) for row in rows}) > 1]
    named = [place for place, name in enumerate(varied) if name in picture.columns]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in varied), []).append(row)
    words = [row.get(column) for row in rows if isinstance(row.get(column), (str, bool))]
    if words:
        counts = {show_value(word): words.count(word) for word in sorted(set(words), key=str)}
        return (
            f"{label}: " + ", ".join(f"{word} in {count}" for word, count in counts.items()) + f" of {len(rows)} cells"
        )
    middles = {
        place: found[~np.isnan(found)] for place, mine in groups.items() if (found := numbers(mine, column)).size
    }
    heights = {place: median(found) for place, found in middles.items() if found.size}
    if not heights:
        return label
    least, most = min(heights, key=lambda place: heights[place]), max(heights, key=lambda place: heights[place])
    if heights[least] == heights[most]:
        return f"{label}: {_number(heights[most])} everywhere"

    def at(place: tuple[Any, ...]) -> str:
        words = ", ".join(f"{varied[index]} = {_number(place[index])}" for index in named)
        return f"{_number(heights[place])} at {words}" if words else _number(heights[place])

    return plain_text(f"{label}: from {at(least)} to {at(most)}")


def _number(value: Any) -> str:
    if isinstance(value, float):
        return "∞" if np.isposinf(value) else f"{value:.4g}"
    return show_value(value)
