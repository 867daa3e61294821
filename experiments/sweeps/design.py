"""Designs: which combinations of parameter values a sweep visits.

An *axis* is a parameter with the values that it takes: a list, or for the designs that draw, an interval. On the
command line, a list is written as in `theory.parameters` (``4,6,8``, ``1..6``, ``0:2:0.1``), words are separated by
commas, and for a parameter that is itself a list every number is one value (a list of one), unless semicolons separate
the lists: ``1,2;3`` is (1, 2) and then (3). An interval is written ``uniform:0..2`` (or ``0:2``) or ``log:1e-4..1e-1``,
uniform in the logarithm; of a whole-number parameter it holds the whole numbers from end to end.

- *grid*: every combination.
- *random*: independent uniform draws; more cells continue the same sequence.
- *latin*: Latin hypercube; each of n cells lies in another n-th of every axis (McKay, Beckman and Conover 1979).

Draws come from a fixed seed, so that the same words give the same cells.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.sweeps.inputs import identify
from theory.errors import InvalidInput
from theory.parameters import LARGEST_SEED, LONGEST_LIST, Description, check, describe, parse, parse_numbers

DESIGNS = ("grid", "random", "latin")

LARGEST_DESIGN = 1_000_000
"""A design of more combinations is taken for a mistake."""


SCALES = ("uniform", "log")

_INTERVAL = re.compile(r"\s*(\w+)\s*:(.+)\.\.(.+)")


@dataclass(frozen=True)
class Interval:
    """All numbers from ``low`` to ``high``, on a scale of `SCALES`; the whole ones only where ``whole``."""

    low: float
    high: float
    scale: str = "uniform"
    whole: bool = False

    def __str__(self) -> str:
        numbers = "whole numbers " if self.whole else ""
        return f"{numbers}in [{self.low:g}, {self.high:g}]{', log scale' if self.scale == 'log' else ''}"

    def at(self, position: float) -> float | int:
        """The number at a position in [0, 1); each whole number has its share of the positions."""
        half = 0.5 if self.whole else 0.0
        low, high = self.low - half, self.high + half
        value = low * (high / low) ** position if self.scale == "log" else low + (high - low) * position
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value


@dataclass(frozen=True)
class Axis:
    """A parameter and the values that it takes: listed, or all of an interval."""

    name: str
    values: tuple[Any, ...] = ()
    interval: Interval | None = None

    def __str__(self) -> str:
        if self.interval is not None:
            return f"{self.name} {self.interval}"
        shown = [show(value) for value in self.values]
        if len(shown) > 12:
            shown = [*shown[:5], "...", *shown[-2:]]
        return f"{self.name} = {', '.join(shown)}"

    def at(self, position: float) -> Any:
        """The value at a position in [0, 1)."""
        if self.interval is not None:
            return self.interval.at(position)
        return self.values[min(int(position * len(self.values)), len(self.values) - 1)]


def show(value: Any) -> str:
    """A parameter's value in words."""
    if value is dataclasses.MISSING:
        return "must be given"
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
    if isinstance(setting, str) and kind in (int, float) and (written := _interval(setting, kind)) is not None:
        if design == "grid":
            raise InvalidInput(name, setting, "an interval needs --design random or latin; a grid start:stop:step")
        return Axis(name, interval=_read_interval(description, setting, *written))
    if isinstance(setting, str):
        raw = _split(setting, kind, name)
    else:
        raw = list(setting) if isinstance(setting, (list, tuple)) else [setting]
    checked = [check(value, description) for value in raw]
    values = tuple(dict.fromkeys(identify(value, name) if description.rule.file else value for value in checked))
    if not values:
        raise InvalidInput(name, setting, "at least one value is needed")
    return Axis(name, values)


def _interval(setting: str, kind: type) -> tuple[str, str, str] | None:
    """Scale and ends of an interval as they are written; None for a list."""
    match = _INTERVAL.fullmatch(setting)
    if match is not None:
        return match.group(1), match.group(2), match.group(3)
    if kind is float and setting.count(":") == 1 and "," not in setting:
        low, _, high = setting.partition(":")
        return "uniform", low, high
    return None


def _read_interval(description: Description, setting: str, scale: str, *ends: str) -> Interval:
    name, kind = description.name, description.type
    if scale not in SCALES:
        raise InvalidInput(name, setting, f"the scale of an interval is {' or '.join(SCALES)}, as in log:1e-4..1e-1")
    low, high = (check(parse(end, kind, name), description) for end in ends)
    if not low < high:
        raise InvalidInput(name, setting, f"the interval from {low:g} to {high:g} is empty")
    if scale == "log" and low <= 0:
        raise InvalidInput(name, setting, "a log scale needs numbers above 0")
    if not math.isfinite(high - low):
        raise InvalidInput(name, setting, "the interval is too wide")
    return Interval(low, high, scale, kind is int)


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
        InvalidInput: malformed, empty, negative or too large, or too many.
    """
    values = parse_numbers(text, "seeds", whole=True)
    if text.strip().isdecimal():
        if not 1 <= values[0] <= LONGEST_LIST:
            raise InvalidInput("seeds", text, f"between 1 and {LONGEST_LIST} seeds are needed")
        return tuple(range(int(values[0])))
    if min(values) < 0 or max(values) > LARGEST_SEED:
        raise InvalidInput("seeds", text, f"seeds lie in 0..{LARGEST_SEED}")
    return tuple(dict.fromkeys(int(value) for value in values))
