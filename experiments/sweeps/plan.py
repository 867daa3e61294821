"""The plan of a sweep: its axes and its cells, checked before anything runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.sweeps.cell import CellKey, canonical
from experiments.sweeps.design import LARGEST_DESIGN, Axis, combinations, read_axes, show
from experiments.sweeps.subject import Subject
from theory.errors import ExceedsMemory, InvalidInput
from theory.memory import format_bytes
from theory.parameters import build

WORTH_SAYING = 2.0**26
"""Bytes from which on the memory of a cell is part of the plan in words."""


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep will compute.

    Attributes:
        subject: what is swept.
        axes: in the order in which they were named; the last varies fastest in a grid.
        design: how the axes are combined.
        seeds: of every combination.
        cells: all of them, in order, without repetition.
        drawn: combinations that the design drew, with repetitions; 0 for a grid.
        distinct: different ones among them, or of the grid, that exist.
        left_out: combinations that do not exist (a mask larger than the sequence), by reason.
        memory: bytes of the largest cell, None where it is not known.
        largest: that cell in words.
    """

    subject: Subject
    axes: Sequence[Axis]
    design: str
    seeds: Sequence[int]
    cells: Sequence[CellKey]
    drawn: int
    distinct: int
    left_out: Mapping[str, int]
    memory: float | None
    largest: str

    def lines(self) -> list[str]:
        """The plan in words."""
        lines = [f"{self.subject.name}: {self.subject.title}"]
        lines += [f"  {axis}" for axis in self.axes]
        lines.append(
            f"  seeds {', '.join(map(str, self.seeds))}" if len(self.seeds) <= 8 else f"  {len(self.seeds)} seeds"
        )
        drawn = f": {self.drawn} draws, {self.distinct} distinct" if self.drawn else ""
        lines.append(f"{len(self.cells)} cell{'s' * (len(self.cells) != 1)} ({self.design} design{drawn})")
        for reason, count in list(self.left_out.items())[:3]:
            lines.append(f"  left out {count} combinations with {reason}")
        if len(self.left_out) > 3:
            lines.append(
                f"  left out {sum(list(self.left_out.values())[3:])} more for {len(self.left_out) - 3} reasons"
            )
        if self.memory is not None and self.memory >= WORTH_SAYING:
            lines.append(f"memory: at most about {format_bytes(self.memory)} a cell ({self.largest})")
        return lines


def make_plan(
    subject: Subject,
    settings: Mapping[str, Any],
    design: str = "grid",
    count: int | None = None,
    seeds: Sequence[int] = (0,),
) -> SweepPlan:
    """Read the axes, combine them, and check every combination. Nothing is computed.

    Args:
        subject: what to sweep.
        settings: parameter -> text or list of values, see `experiments.sweeps.design`; others keep their default.
        design: ``"grid"``, ``"random"`` or ``"latin"``.
        count: cells to draw for the last two.
        seeds: of every combination, >= 0.

    Raises:
        InvalidInput: an unknown parameter, an empty or malformed list, a value that is not allowed, or axes of which no
            combination exists; too many cells, or several seeds of a subject that does not use them.
    """
    if len(seeds) > 1 and not subject.seeded:
        raise InvalidInput("seeds", len(seeds), f"have no effect: {subject.name} gives the same for every seed")
    axes = read_axes(subject.parameters, settings, design)
    whole = count if count is not None and design != "grid" else math.prod(len(axis.values) for axis in axes)
    if whole * len(seeds) > LARGEST_DESIGN:
        raise InvalidInput("sweep", f"{whole} combinations of {len(seeds)} seeds", f"at most {LARGEST_DESIGN} cells")
    cells: dict[CellKey, None] = {}
    left_out: Counter[str] = Counter()
    memory, largest = None, ""
    texts: set[str] = set()
    for values in combinations(axes, design, count):
        parameters = build(subject.parameters, values=values)
        try:
            subject.check(parameters)
            needed = subject.memory(parameters)
        except ExceedsMemory:
            raise
        except InvalidInput as reason:
            left_out[str(reason)] += 1
            continue
        if needed is not None and (memory is None or needed > memory):
            memory = needed
            largest = ", ".join(f"{name} = {show(value)}" for name, value in values.items()) or "the default"
        text = canonical(parameters)
        texts.add(text)
        cells.update((CellKey(text, seed), None) for seed in seeds)
    if not cells:
        raise InvalidInput("sweep", f"{sum(left_out.values())} combinations", f"none exists: {next(iter(left_out))}")
    return SweepPlan(subject, axes, design, seeds, list(cells), count or 0, len(texts), left_out, memory, largest)


def fitting_workers(plan: SweepPlan, workers: int, free: float) -> int:
    """How many workers can each hold the largest cell at the same time, at most ``workers``.

    Args:
        free: bytes that the workers share.

    Raises:
        ExceedsMemory: not even one can.
    """
    if plan.memory is None:
        return workers
    if plan.memory > free:
        raise ExceedsMemory(
            "cell",
            plan.largest,
            f"would take {format_bytes(plan.memory)}, but {format_bytes(free)} are free; choose a smaller size",
        )
    return max(1, min(workers, int(free // plan.memory))) if plan.memory > 0 else workers
