"""Numbers without a class of their own: two sequences, and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures import line, marks
from experiments.pictures.drawers import drawn_before, draws, look, name_rows
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WAYS = ("both", "marks", "line")


@draws(tuple)
def draw_numbers(axes: Axes, named: Mapping[str, tuple[Any, ...]]) -> None:
    """Series ``(x, y)`` or ``(x, y, way)``, or intervals ``(low, high)``."""
    intervals = {name: pair for name, pair in named.items() if len(pair) == 2 and all(map(np.isscalar, pair))}
    if intervals and len(intervals) == len(named):
        _draw_intervals(axes, intervals)
        return
    start = drawn_before(axes)
    for series, (name, given) in enumerate(named.items(), start):
        x, y, way = _series(given)
        label = name or None
        if way == "marks":
            marks(axes, x, y, series, label)
        elif way == "line":
            line(axes, x, y, series, label, look(series)["linestyle"])
        else:
            axes.plot(x, y, label=label, **look(series))


def _series(given: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray, str]:
    way = given[2] if len(given) == 3 else "both"
    if len(given) not in (2, 3) or way not in WAYS:
        raise InvalidInput("result", given, f"(x, y) or (x, y, way) is needed, way one of {', '.join(WAYS)}")
    try:
        x, y = np.asarray(given[0]), np.asarray(given[1], dtype=float)
    except (TypeError, ValueError):
        raise InvalidInput("result", given, "x and y must be sequences of numbers") from None
    if x.ndim != 1 or x.shape != y.shape:
        raise InvalidInput("result", f"shapes {x.shape} and {y.shape}", "x and y must be sequences of one length")
    return x, y, way


def _draw_intervals(axes: Axes, named: Mapping[str, tuple[float, float]]) -> None:
    """A bar for each, with an arrow where it has no end."""
    finite = [end for pair in named.values() for end in pair if isfinite(end)]
    if any(np.isnan(end) for pair in named.values() for end in pair) or not finite:
        raise InvalidInput("result", dict(named), "intervals need an end that is a finite number")
    positive = min(finite) > 0
    low, high = (min(finite) / 2, max(finite) * 4) if positive else (min(finite) - 1, max(finite) + 1)
    for place, (first, last) in zip(name_rows(axes, named, "interval"), named.values(), strict=True):
        bounded = max(first, low), min(last, high)
        axes.plot(bounded, [place, place], color="black", linewidth=2.0)
        for end, bound, mark in ((first, low, "<"), (last, high, ">")):
            axes.plot([end if isfinite(end) else bound], [place], mark if not isfinite(end) else "|", color="black")
    axes.set(xscale="log" if positive else "linear", xlabel="lower and upper end")
