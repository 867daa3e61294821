"""What a sweep will cost: the time of a cell, from cells that are done or from a few that are timed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from experiments.interrupts import held_back
from experiments.sweeps.cell import CellKey, compute_in_this_process

PATIENCE = 20.0
"""Seconds that timing may take."""

START = 60.0
"""Seconds that starting the process and importing the subject may take before."""


@dataclass(frozen=True)
class Estimate:
    """Mean seconds of a cell, and how it was obtained."""

    seconds: float
    how: str


def from_finished(durations: Sequence[float]) -> Estimate | None:
    """The estimate from cells of the same sweep that are done; None where there are none."""
    if not durations:
        return None
    return Estimate(sum(durations) / len(durations), f"mean of the {len(durations)} cells that are done")


def by_timing(subject_name: str, cells: Sequence[CellKey], patience: float = PATIENCE) -> Estimate:
    """Time the first, the middle and the last cell, in a process of their own so that it can be ended.

    The middle cell is computed once before, so that imports and compilation are not counted. Failing cells count with
    the time until they failed; nothing is kept.
    """
    chosen = [cells[len(cells) // 2]] + [cells[index] for index in sorted({0, len(cells) // 2, len(cells) - 1})]
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_time_cells, args=(sender, subject_name, [tuple(key) for key in chosen]), daemon=True
    )
    with held_back():
        process.start()
    sender.close()
    seconds: list[float] = []
    died = False
    clock = time.monotonic()
    try:
        ready = receiver.poll(START) and receiver.recv()
        clock = time.monotonic()
        while ready and len(seconds) < len(chosen) and receiver.poll(max(0.0, patience - (time.monotonic() - clock))):
            seconds.append(receiver.recv())
    except EOFError:
        died = True
    finally:
        process.kill()
        process.join()
    elapsed = time.monotonic() - clock
    if not seconds and died:
        return Estimate(elapsed, "the middle cell ended its process; such cells will be recorded as failed")
    if not seconds:
        return Estimate(elapsed, "at least; the middle cell did not end within this time")
    warm = seconds[1:] or seconds
    return Estimate(sum(warm) / len(warm), f"mean of {len(warm)} timed cells: first, middle and last of the design")


def _time_cells(sender: Connection, subject_name: str, keys: Sequence[tuple[str, int]]) -> None:
    from experiments.sweeps.subjects import load_subject

    load_subject(subject_name)
    sender.send("ready")
    for key in keys:
        (outcome,) = compute_in_this_process(subject_name, [key])
        sender.send(outcome.duration)
