"""Progress of the T5 commands: what a training and a decoding have to say on the display of every command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from experiments.cli.progress import progress

if TYPE_CHECKING:
    from simulators.t5.training.loop import Entry


@contextmanager
def training_progress(steps: int) -> Iterator[Callable[[Entry], None]]:
    """The live loss, and the last validation."""
    with progress("step", steps) as task:
        task.update(0, text="compiling")
        validated = ""

        def show(entry: Entry) -> None:
            nonlocal validated
            text = f"loss {entry.loss:.3f}  nll {entry.nll:.3f}  {entry.tokens_per_second:.0f} tokens/s"
            if entry.validation is not None:
                validated = f"  validation {entry.validation:.4f}"
            task.update(entry.step, text=text + validated, now=entry.validation is not None)

        yield show


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """How many of how many are done."""
    with progress(title) as task:
        yield lambda done, total: task.update(done, total)
