"""One look for all figures: readable in grey, labelled, the same on every machine.

Series differ by marker, dash and lightness, not by hue alone. Measured values are drawn as markers (`marks`), with
intervals where they are not exact, predictions and bounds as lines (`line`), which carry their names at their ends
(`name_ends`). A logarithmic axis has places for zero and infinity (`logarithmic`); identities are drawn as differences
(`differences`), not as points on a diagonal.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

# Okabe-Ito hues ordered so that neighbours differ in lightness when printed in grey.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#7f7f7f")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)), (0, (1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

MOST_SERIES = 6
"""More series in a panel are not told apart."""

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


NARROW = 3.7
"""Width in inches of a figure on a phone: 355 of the 390 pixels."""

LEGEND_ROW = 0.16
"""Height in inches of a row of a legend."""

BELOW_LABEL = 0.45
"""Inches from a panel of a phone's figure to a legend below the label of its x axis."""

_on_a_phone: ContextVar[bool] = ContextVar("on_a_phone", default=False)


@contextmanager
def for_a_phone() -> Iterator[None]:
    """Figures that are made meanwhile have their axes below one another; `fit_a_phone` does the rest."""
    token = _on_a_phone.set(True)
    try:
        yield
    finally:
        _on_a_phone.reset(token)


def fit_a_phone(figure: Figure) -> None:
    """Break titles and labels of a figure made `for_a_phone` into lines, and put its legends below the axes."""
    with style():
        for axes in figure.axes:
            axes.set_title(_lines(axes.get_title(), 46), fontsize=9)
            axes.set_ylabel(_lines(axes.get_ylabel(), 34), fontsize=8)
            axes.set_xlabel(_lines(axes.get_xlabel(), 50), fontsize=8)
            _fit_legend(axes, figure)
        if figure.get_suptitle():
            figure.suptitle(_lines(" ".join(figure.get_suptitle().split()), 52), x=0.01, ha="left", fontsize=9)
        for legend in list(figure.legends):
            labels = [text.get_text() for text in legend.get_texts()]
            title, handles = legend.get_title().get_text(), _drawn(legend, figure.axes)
            legend.remove()
            columns = 2 if max((len(label) for label in labels), default=0) <= 20 else 1
            lines = [_lines(label, 50) for label in labels]
            figure.legend(handles, lines, loc="outside lower center", ncols=columns, title=title or None)
            rows = sum(line.count("\n") + 1 for line in lines) / columns + bool(title)
            figure.set_figheight(figure.get_figheight() + LEGEND_ROW * rows)


def _fit_legend(axes: Axes, figure: Figure) -> None:
    """Break the lines of a legend; one that hangs below its axes moves under the label of the x axis, and the figure
    grows by it."""
    from matplotlib.transforms import ScaledTranslation

    legend = axes.get_legend()
    if legend is None:
        return
    corner = axes.transAxes.inverted().transform(legend.get_bbox_to_anchor().min)
    if corner[1] >= 0:
        for text in legend.get_texts():
            text.set_text(_lines(text.get_text(), 34))
        return
    lines = [_lines(text.get_text(), 46) for text in legend.get_texts()]
    # In inches: a part of the height of the axes would move while the layout is made.
    below = axes.transAxes + ScaledTranslation(0, -BELOW_LABEL, figure.dpi_scale_trans)
    where: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "bbox_transform": below}
    axes.legend(_drawn(legend, [axes]), lines, fontsize=7, **where)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * sum(line.count("\n") + 1 for line in lines))


def _drawn(legend: Legend, panels: Sequence[Axes]) -> list[Any]:
    """What bears each label in the panels: the handles that a legend keeps lack the markers of error bars."""
    found: dict[str, list[Any]] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, []).append(handle)
    # Labels that are used twice stand in the order of their drawing.
    texts = [text.get_text() for text in legend.get_texts()]
    return [
        found[text].pop(0) if found.get(text) else kept for text, kept in zip(texts, legend.legend_handles, strict=True)
    ]


def _lines(text: str, width: int) -> str:
    """The text in lines of so many letters, none of which ends inside a formula."""
    held = re.sub(r"\$[^$]*\$", lambda formula: formula[0].replace(" ", "\0"), text)
    return textwrap.fill(held, width).replace("\0", " ")


def new_figure(rows: int = 1, columns: int = 1, width: float = 0.0, height: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A figure and its axes (row by row), free of pyplot's global state.

    Args:
        rows, columns: grid of axes.
        width, height: inches; by default 4.6 and 3.4 for each of the axes.
    """
    from matplotlib.figure import Figure

    if _on_a_phone.get():
        rows, columns, width, height = rows * columns, 1, NARROW, max(2.9, height / rows) * rows * columns
    with style():
        figure = Figure(figsize=(width or 4.6 * columns, height or 3.4 * rows))
        axes = [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]
    return figure, axes


def headline(figure: Figure, text: str) -> None:
    """What the figure shows, in one sentence above all panels, in lines that fit it."""
    with style():
        width = int(figure.get_figwidth() * LETTERS_PER_INCH)
        figure.suptitle(textwrap.fill(text, width), x=0.01, ha="left", fontsize=10)


def marks(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    series: int = 0,
    label: str | None = None,
    *,
    interval: tuple[ArrayLike, ArrayLike] | None = None,
    hollow: bool = False,
) -> None:
    """Measured values as the markers of a series.

    Args:
        axes: where.
        x, y: the values, [P].
        series: which marker and colour.
        label: for a legend.
        interval: lower and upper ends of bars on y.
        hollow: empty markers, of a second quantity of the same series.
    """
    values = np.asarray(y, dtype=float)
    bars = None if interval is None else [values - np.asarray(interval[0]), np.asarray(interval[1]) - values]
    axes.errorbar(
        x,
        values,
        yerr=bars,
        fmt=MARKERS[series % len(MARKERS)],
        color=COLOURS[series % len(COLOURS)],
        capsize=2,
        elinewidth=0.9,
        fillstyle="none" if hollow else "full",
        label=label,
        zorder=3,
    )


def line(axes: Axes, x: ArrayLike, y: ArrayLike, series: int = 0, label: str | None = None, dash: Any = "-") -> None:
    """A prediction or bound as a line in the colour of its series."""
    axes.plot(x, y, linestyle=dash, color=COLOURS[series % len(COLOURS)], label=label)


def name_ends(axes: Axes, ends: Mapping[str, tuple[int, float]]) -> None:
    """Names of series right of the panel, at the height where each ends, kept apart; call when the limits are final.

    Args:
        axes: where.
        ends: name -> (series, last y).
    """
    apart = 11 * axes.figure.dpi / (72 * axes.bbox.height)
    place = axes.transAxes.inverted()
    heights = {name: place.transform(axes.transData.transform((1.0, y)))[1] for name, (_, y) in ends.items()}
    names = sorted(heights, key=lambda name: heights[name])
    spread: list[float] = []
    for name in names:
        spread.append(max(heights[name], spread[-1] + apart) if spread else heights[name])
    overshoot = max(0.0, spread[-1] - 1.0)
    for name, height in zip(names, spread, strict=True):
        axes.text(
            1.02,
            height - overshoot,
            name,
            transform=axes.transAxes,
            color=COLOURS[ends[name][0] % len(COLOURS)],
            va="center",
            fontsize=8,
        )


def logarithmic(axes: Axes, *values: ArrayLike, floor: float = 0.0) -> Callable[[ArrayLike], NDArray[np.float64]]:
    """Make y logarithmic, with a grey strip below for zero and one above for infinity, where the values have them.

    Args:
        axes: where.
        values: everything that will be drawn.
        floor: values at or below it count as zero.

    Returns:
        From values to the places where they are drawn.
    """
    everything = np.concatenate([np.ravel(np.asarray(value, dtype=float)) for value in values])
    inside = everything[(everything > floor) & np.isfinite(everything)]
    ends = np.log10([inside.min(), inside.max()]) if inside.size else np.array([-1.0, 0.0])
    gap = max(0.25, 0.09 * (ends[1] - ends[0]))
    low, high = ends[0] - gap / 2, ends[1] + gap / 2
    zero, infinite = low - gap / 2, high + gap / 2
    has_zero, has_infinite = bool((everything <= floor).any()), bool(np.isposinf(everything).any())
    axes.set_yscale("log")
    step = max(1, int(np.ceil((high - low) / 6)))
    decades = [n for n in range(int(np.floor(low)), int(np.floor(high)) + 1) if n % step == 0]
    # Where there are few decades, 2 and 5 between them.
    ticks = {10.0**n: f"$10^{{{n}}}$" for n in decades}
    if high - low < 3:
        ticks = {m * 10.0**n: f"{m * 10.0**n:g}" for n in decades for m in (1, 2, 5)}
    ticks = {value: text for value, text in ticks.items() if 10**low <= value <= 10**high}
    for present, place, edge, text in ((has_zero, zero, low, "0"), (has_infinite, infinite, high, "∞")):
        if present:
            axes.axhspan(10 ** (2 * place - edge), 10**edge, color="0.9", zorder=0)
            ticks[10**place] = text if floor == 0 or text != "0" else f"≤ {floor:g}"
    axes.set_ylim(10 ** (2 * zero - low if has_zero else low), 10 ** (2 * infinite - high if has_infinite else high))
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()

    def drawn(value: ArrayLike) -> NDArray[np.float64]:
        y = np.asarray(value, dtype=float)
        return np.where(y <= floor, 10**zero, np.where(np.isposinf(y), 10**infinite, y))

    return drawn


def differences(
    axes: Axes, groups: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]], allowed: float, unit: str
) -> None:
    """Size of the differences of measured and predicted values against the predicted ones, and what rounding allows.

    Args:
        axes: where.
        groups: name -> (predicted, measured), both [P], and where on the x axis, [P].
        allowed: the largest difference that rounding explains.
        unit: of the values.
    """
    gaps = {
        name: np.abs(np.asarray(measured) - np.asarray(predicted)) for name, (predicted, measured, _) in groups.items()
    }
    drawn = logarithmic(axes, *gaps.values(), allowed, floor=1e-8 * allowed)
    for series, (name, gap) in enumerate(gaps.items()):
        marks(axes, groups[name][2], drawn(gap), series, name, hollow=series % 2 == 1)
    axes.axhline(allowed, color="black", linestyle="--", label="allowed for rounding")
    axes.set_ylabel(f"|measured − predicted| ({unit})")


def one_scale(panels: Sequence[Axes], *directions: str) -> None:
    """The same limits of x, y or both on panels that are compared."""
    for direction in directions:
        limits = [getattr(axes, f"get_{direction}lim")() for axes in panels]
        for axes in panels:
            getattr(axes, f"set_{direction}lim")(min(low for low, _ in limits), max(high for _, high in limits))


def render(figure: Figure, kind: str, dpi: float | None = None) -> bytes:
    """The figure as a file's content; ``kind`` is ``"svg"``, ``"png"`` or ``"pdf"``. The same bytes every time."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(
            buffer, format=kind, dpi=dpi, metadata={"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        )
    return buffer.getvalue()


def render_for_a_phone(draw: Callable[[], Figure]) -> bytes:
    """The SVG of a figure that is drawn for a phone."""
    with style(), for_a_phone():
        figure = draw()
    fit_a_phone(figure)
    return render(figure, "svg")


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def readable(value: float, digits: int = 2) -> str:
    """A number in a sentence: so many digits, written out from a thousandth to a million, else with a power of ten."""
    rounded = float(f"{value:.{digits}g}")
    if not 1e-3 <= abs(rounded) < 1e6:
        if rounded == 0 or not np.isfinite(rounded):
            return f"{rounded:g}"
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{float(mantissa):g}·10{str(int(exponent)).translate(_RAISED)}"
    return f"{rounded:,.12g}"


def plain_text(text: str) -> str:
    """Text of the user for a figure: a dollar is a dollar, and control characters, which SVG lacks, are escapes."""
    return one_line(text).replace("$", r"\$")
