"""How far work has come, on standard error: bars on a terminal, lines at a steady pace elsewhere.

The one display of every command. A command opens a `Display`, adds a task for each thing that runs, and updates it;
single tasks are opened by `progress`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from experiments.cli.output import in_words, new_console, say, text_of

QUIET_SECONDS = 30.0
"""Longest time without a line, if there is something to say."""

PARTS = 20
"""Lines that a task takes at most, but for those that are due to silence."""


class Pace:
    """When the next line is due: after a part of the work, or some time.

    Args:
        parts: how many parts the work has; with 0 only time counts.
    """

    def __init__(self, parts: int = PARTS) -> None:
        self._parts = parts
        self._part = -1  # nothing was said
        self._time = time.monotonic()

    def due(self, done: float, total: float) -> bool:
        """Whether to say that so much is done; true counts as said."""
        part, now = int(done * self._parts / max(total, 1)), time.monotonic()
        if part == self._part and now - self._time < QUIET_SECONDS:
            return False
        self._part, self._time = part, now
        return True


class Task:
    """One thing that runs; use `Display.task`.

    Attributes:
        done, total: how much of how much; a total of 1 is a share, shown in per cent.
    """

    def __init__(self, display: Display, name: str, total: float | None, parts: int, visible: bool) -> None:
        self.name, self.done, self.total = name, 0.0, total
        self._display, self._pace = display, Pace(parts)
        self._first: tuple[float, float] | None = None
        self._bar = display.bars.add_task(name, total=total, text="", count="", visible=visible, start=visible)

    def start(self) -> None:
        """Show the task, its time running from now on; a line is not yet due."""
        self._pace.due(0, self.total or 1)
        self._display.bars.start_task(self._bar)
        self._display.bars.update(self._bar, visible=True)

    def update(self, done: float, total: float | None = None, text: str = "", *, now: bool = False) -> None:
        """So much is done.

        Args:
            done: of the total.
            total: where it was not known, or has changed.
            text: what there is to say about it.
            now: worth a line, whatever the pace.
        """
        self.show(done, total, text)
        if self._display.interactive:
            return
        if self._pace.due(done, self.total or 1) or now:
            say("  ".join(part for part in (f"{self.name} {self._count()}{self._left()}", text) if part), err=True)

    def show(self, done: float, total: float | None = None, text: str = "") -> None:
        """As `update`, for the bar alone: no line is ever due."""
        self.done, self.total = done, self.total if total is None else total
        if self._first is None:  # what starting took says nothing of the time left
            self._first = time.monotonic(), done
        self._display.bars.update(self._bar, completed=done, total=self.total, text=text, count=self._count())

    def finish(self, done: float) -> None:
        """The task is over, so much being done: its bar goes."""
        self.show(done)
        self._display.bars.update(self._bar, visible=False)

    def _count(self) -> str:
        if self.total == 1:
            return f"{self.done:.0%}"
        return f"{self.done:.0f}" if self.total is None else f"{self.done:.0f}/{self.total:.0f}"

    def _left(self) -> str:
        if self._first is None or self.total is None or not self._first[1] < self.done < self.total:
            return ""
        taken = time.monotonic() - self._first[0]
        if taken < 1:
            return ""
        return f", about {in_words(taken * (self.total - self.done) / (self.done - self._first[1]))} left"


class Display:
    """Bars for the time of a block; see the module's description."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[text]}", markup=False),
            console=new_console(stderr=True),
            speed_estimate_period=120,
        )
        self.interactive = self.bars.console.is_terminal

    def __enter__(self) -> Display:
        if self.interactive:
            self.bars.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self.interactive:
            self.bars.stop()

    def task(self, name: str, total: float | None = None, *, parts: int = PARTS, visible: bool = True) -> Task:
        """Add a task.

        Args:
            name: what runs.
            total: how much there is to do, None where that is not known yet.
            parts: lines without a terminal, about; with 0 they come by time alone.
            visible: with False the bar waits for `Task.start`.
        """
        return Task(self, name, total, parts, visible)

    def say(self, text: str) -> None:
        """A line above the bars."""
        if self.interactive:
            self.bars.console.print(text_of(text), highlight=False)
        else:
            say(text, err=True)


@contextmanager
def progress(name: str, total: float | None = None, *, parts: int = PARTS) -> Iterator[Task]:
    """A single task, shown for the time of a block; see `Display.task`."""
    with Display() as display:
        yield display.task(name, total, parts=parts)
