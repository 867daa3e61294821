"""One look for all figures: readable in grey, labelled, the same on every machine.

Series differ by marker, dash and lightness, not by hue alone. Measured values are drawn as markers, predictions and
bounds as lines.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from theory.errors import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe-Ito hues ordered so that neighbours differ in lightness when printed in grey.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#7f7f7f")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)), (0, (1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

LETTERS_PER_INCH = 13
"""Of a headline."""

_SETTINGS: dict[Any, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.fontsize": 8,
    "legend.framealpha": 0.85,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "savefig.dpi": 160,
    "svg.fonttype": "path",
    "svg.hashsalt": "gmlm",
}


@contextmanager
def style() -> Iterator[None]:
    """The settings of the house, for the time of drawing or saving."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield


def new_figure(rows: int = 1, columns: int = 1, width: float = 0.0, height: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A figure and its axes (row by row), free of pyplot's global state.

    Args:
        rows, columns: grid of axes.
        width, height: inches; by default 4.6 and 3.4 for each of the axes.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(width or 4.6 * columns, height or 3.4 * rows))
        axes = [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]
    return figure, axes


def headline(figure: Figure, text: str) -> None:
    """What the figure shows, in one sentence above all panels, in lines that fit it."""
    with style():
        width = int(figure.get_figwidth() * LETTERS_PER_INCH)
        figure.suptitle(textwrap.fill(text, width), x=0.01, ha="left", fontsize=10)


def render(figure: Figure, kind: str) -> bytes:
    """The figure as a file's content; ``kind`` is ``"svg"``, ``"png"`` or ``"pdf"``. The same bytes every time."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, metadata={"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind))
    return buffer.getvalue()


def plain_text(text: str) -> str:
    """Text of the user for a figure: a dollar is a dollar, and control characters, which SVG lacks, are escapes."""
    return one_line(text).replace("$", r"\$")
