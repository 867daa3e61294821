"""Sweeps: what a second worker brings, and what a cell costs beside its computation.

    python benchmarks/sweeps.py [--cells 120] [--cheap 2000] [--workers 1 2] [--repeats 3]

*Speed-up*: the same sweep of processor-bound cells (exact mixing times, about 0.1 s each) with each number of workers.
The time runs from the first outcome to the last, so that starting the cluster (a few seconds, once) is not counted; the
outcomes of the first chunk are left out of the rate. The share of their time that the workers spend in cells is the
part of it that the engine decides. *Overhead*: cells of about a millisecond; elapsed time times workers, minus the time
that the cells took themselves, for each cell after the first outcome. Everything is stored, as in any sweep. On a busy
machine neither rate nor overhead means much, and the load is printed; the share of time in cells holds there too, and
so does the processor time that the coordinator (scheduler, client and database, in one process) spends on a cell.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.sweeps.cell import Outcome
from experiments.sweeps.plan import SweepPlan, make_plan
from experiments.sweeps.store import open_store
from experiments.sweeps.subjects import load_subject
from experiments.sweeps.sweep import compute_waiting, look_up


class Arrival(NamedTuple):
    """Outcomes, the time when they were stored, and the coordinator's processor time until then (seconds)."""

    clock: float
    processor: float
    outcomes: Sequence[Outcome]


def outcomes_over_time(plan: SweepPlan, workers: int) -> list[Arrival]:
    """Every arrival of a sweep."""
    arrived: list[Arrival] = []

    def report(found: Sequence[Outcome]) -> None:
        arrived.append(Arrival(time.perf_counter(), time.process_time(), found))

    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "s.sqlite", create=True) as store:
        state = look_up(plan, store)
        compute_waiting(plan, state, store, workers, report=report)
        assert not look_up(plan, store).waiting
    return arrived


def after_the_first(arrived: Sequence[Arrival]) -> tuple[float, int, float]:
    """Seconds from the first arrival to the last, cells that arrived meanwhile, and the seconds that they took."""
    later = [outcome for arrival in arrived[1:] for outcome in arrival.outcomes]
    return arrived[-1].clock - arrived[0].clock, len(later), sum(outcome.duration for outcome in later)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=120, help="processor-bound cells")
    parser.add_argument("--cheap", type=int, default=2000, help="cells of about a millisecond")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{os.cpu_count()} CPUs, load {load:.1f} at the start, Python {sys.version.split()[0]}")

    busy = make_plan(
        load_subject("chain"),
        {"model": "random-ising", "sites": "8", "coupling": "0.5"},
        seeds=range(options.cells),
    )
    rates: dict[int, list[float]] = {workers: [] for workers in options.workers}
    shares: dict[int, list[float]] = {workers: [] for workers in options.workers}
    for _ in range(options.repeats):
        for workers in options.workers:  # in turn, so that whatever else the machine does falls on all
            elapsed, cells, computed = after_the_first(outcomes_over_time(busy, workers))
            rates[workers].append(cells / elapsed)
            shares[workers].append(computed / (elapsed * workers))
            print(
                f"  {workers} workers: {cells / elapsed:.1f} cells/s, {1000 * computed / cells:.0f} ms a cell, "
                f"{shares[workers][-1]:.0%} of the workers' time in cells"
            )
    first = options.workers[0]
    for workers in options.workers[1:]:
        ratio = max(rates[workers]) / max(rates[first])
        allowed = workers / first * max(shares[workers]) / max(shares[first])
        print(f"speed-up of {workers} workers over {first}: {ratio:.2f}; by the shares of time in cells: {allowed:.2f}")

    cheap = make_plan(load_subject("escape"), {"clique": "2", "coupling": "1"}, seeds=range(options.cheap))
    for workers in options.workers:
        overheads, processor = [], []
        for _ in range(options.repeats):
            arrived = outcomes_over_time(cheap, workers)
            elapsed, cells, computed = after_the_first(arrived)
            overheads.append((elapsed * workers - computed) / cells)
            processor.append((arrived[-1].processor - arrived[0].processor) / cells)
        listed = ", ".join(f"{1000 * value:.2f}" for value in overheads)
        print(f"overhead with {workers} workers: {1000 * min(overheads):.2f} ms a cell (runs: {listed})")
        print(f"  processor time of the coordinator: {1000 * min(processor):.2f} ms a cell")


if __name__ == "__main__":
    main()
