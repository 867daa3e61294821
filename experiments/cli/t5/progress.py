"""Progress of the T5 commands on standard error: a bar on a terminal, some lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from experiments.cli.pace import Pace

if TYPE_CHECKING:
    from simulators.t5.training.loop import Entry


@contextmanager
def training_progress(steps: int) -> Iterator[Callable[[Entry], None]]:
    """The live loss; without a terminal, a line for each validation and, at a steady pace, between them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        pace = Pace()
        click.echo("compiling", err=True)

        def line(entry: Entry) -> None:
            if pace.due(entry.step, steps) or entry.validation is not None:
                click.echo(f"step {entry.step}/{steps}  {_text(entry)}", err=True)

        yield line
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console) as bars:
        task = bars.add_task("training", total=steps, text="compiling")
        validated = ""

        def bar(entry: Entry) -> None:
            nonlocal validated
            if entry.validation is not None:
                validated = f"  validation {entry.validation:.3f}"
            bars.update(task, completed=entry.step, text=_text(entry._replace(validation=None)) + validated)

        yield bar


def _text(entry: Entry) -> str:
    text = f"loss {entry.loss:.3f}  nll {entry.nll:.3f}  {entry.tokens_per_second:.0f} tokens/s"
    return text + (f"  validation {entry.validation:.4f}" if entry.validation is not None else "")


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """How many of how many are done; without a terminal, lines at a steady pace."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        pace = Pace()

        def line(done: int, total: int) -> None:
            if pace.due(done, total):
                click.echo(f"{title}: {done}/{total}", err=True)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(title)
        yield lambda done, total: bars.update(task, completed=done, total=total)
