"""Designs: which combinations of parameter values a sweep visits.

An *axis* is a parameter with the values that it takes: a list, or for the designs that draw, an interval ``low:high``
of a real parameter. On the command line, a list is written as in `theory.parameters` (``4,6,8``, ``1..6``,
``0:2:0.1``), words are separated by commas, and for a parameter that is itself a list every number is one value (a list
of one), unless semicolons separate the lists: ``1,2;3`` is (1, 2) and then (3).

- *grid*: every combination.
- *random*: independent uniform draws; more cells continue the same sequence.
- *latin*: Latin hypercube; each of n cells lies in another n-th of every axis (McKay, Beckman and Conover 1979).

Draws come from a fixed seed, so that the same words give the same cells.
"""

from __future__ import annotations

import difflib
import itertools
import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.errors import InvalidInput
from theory.parameters import Description, check, describe, parse, parse_numbers

DESIGNS = ("grid", "random", "latin")

LARGEST_DESIGN = 1_000_000
"""A design of more combinations is taken for a mistake."""


@dataclass(frozen=True)
class Axis:
    """A parameter and the values that it takes: listed, or all of an interval [low, high]."""

    name: str
    values: tuple[Any, ...] = ()
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        if self.interval is not None:
            return f"{self.name} in [{self.interval[0]:g}, {self.interval[1]:g}]"
        shown = [show(value) for value in self.values]
        if len(shown) > 12:
            shown = [*shown[:5], "...", *shown[-2:]]
        return f"{self.name} = {', '.join(shown)}"

    def at(self, position: float) -> Any:
        """The value at a position in [0, 1)."""
        if self.interval is not None:
            low, high = self.interval
            return low + (high - low) * position
        return self.values[min(int(position * len(self.values)), len(self.values) - 1)]


def show(value: Any) -> str:
    """A parameter's value in words."""
    if isinstance(value, tuple):
        return "(" + ", ".join(show(entry) for entry in value) + ")" if len(value) != 1 else show(value[0])
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_axes(parameters: type, settings: Mapping[str, Any], design: str) -> list[Axis]:
    """The axes that the settings name, every value checked.

    Args:
        parameters: dataclass of parameters.
        settings: parameter -> text, or a list of values.
        design: one of `DESIGNS`.

    Raises:
        InvalidInput: an unknown parameter (close names are suggested), an empty or malformed list, a value that is not
            allowed, or an interval where a list is needed.
    """
    if design not in DESIGNS:
        raise InvalidInput("design", design, "one of " + ", ".join(DESIGNS))
    known = describe(parameters)
    axes = []
    for name, setting in settings.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}? " if close else ""
            raise InvalidInput("parameter", name, f"{hint}known here: " + (", ".join(known) or "none"))
        axes.append(_read_axis(known[name], setting, design))
    return axes


def _read_axis(description: Description, setting: Any, design: str) -> Axis:
    name, kind = description.name, description.type
    if isinstance(setting, str) and kind is float and setting.count(":") == 1 and "," not in setting:
        low, high = (check(parse(end, float, name), description) for end in setting.split(":"))
        if design == "grid":
            raise InvalidInput(name, setting, "an interval needs --design random or latin; a grid start:stop:step")
        if not low < high:
            raise InvalidInput(name, setting, f"the interval {setting} is empty")
        return Axis(name, interval=(low, high))
    if isinstance(setting, str):
        raw = _split(setting, kind, name)
    else:
        raw = list(setting) if isinstance(setting, (list, tuple)) else [setting]
    values = tuple(dict.fromkeys(check(value, description) for value in raw))
    if not values:
        raise InvalidInput(name, setting, "at least one value is needed")
    return Axis(name, values)


def _split(text: str, kind: Any, name: str) -> list[Any]:
    if typing.get_origin(kind) is tuple:
        if ";" in text:
            return [parse(part, kind, name) for part in text.split(";") if part.strip()]
        return [(value,) for value in parse(text, kind, name)]
    if kind in (int, float):
        return list(parse_numbers(text, name, whole=kind is int))
    return [parse(part, kind, name) for part in text.split(",") if part.strip()]


def combinations(axes: list[Axis], design: str, count: int | None) -> Iterator[dict[str, Any]]:
    """The combinations of a design, as parameter -> value.

    Args:
        axes: from `read_axes`.
        design: one of `DESIGNS`.
        count: cells to draw; None for a grid.

    Raises:
        InvalidInput: no count for a design that draws, or one for a grid; too many combinations.
    """
    if design == "grid":
        if count is not None:
            raise InvalidInput("cells", count, "a grid has as many cells as its axes give; use another design")
        total = math.prod(len(axis.values) for axis in axes)
        if total > LARGEST_DESIGN:
            raise InvalidInput("design", f"a grid of {total} combinations", f"at most {LARGEST_DESIGN} are allowed")
        return (
            dict(zip((axis.name for axis in axes), values, strict=True))
            for values in itertools.product(*(axis.values for axis in axes))
        )
    if count is None:
        raise InvalidInput("cells", "none", f"the {design} design needs a number of cells")
    if not 1 <= count <= LARGEST_DESIGN:
        raise InvalidInput("cells", count, f"must lie in 1..{LARGEST_DESIGN}")
    generator = np.random.default_rng(0)
    if design == "random" or not axes:
        positions = generator.random((count, len(axes)))
    else:
        from scipy.stats import qmc

        positions = qmc.LatinHypercube(len(axes), seed=generator).random(count)
    return (
        {axis.name: axis.at(float(position)) for axis, position in zip(axes, row, strict=True)} for row in positions
    )


def read_seeds(text: str) -> tuple[int, ...]:
    """Seeds: ``5`` is 0..4; ``7..9`` or ``3,8`` are those.

    Raises:
        InvalidInput: malformed, empty or negative.
    """
    values = parse_numbers(text, "seeds", whole=True)
    if text.strip().isdecimal():
        if values[0] < 1:
            raise InvalidInput("seeds", text, "at least one seed is needed")
        return tuple(range(int(values[0])))
    if min(values) < 0:
        raise InvalidInput("seeds", text, "seeds are >= 0")
    return tuple(dict.fromkeys(int(value) for value in values))
