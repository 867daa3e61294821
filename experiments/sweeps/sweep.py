"""A sweep from its plan to its end: what is done already, what it costs, and running the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.sweeps.cell import CellKey, Outcome, code_version
from experiments.sweeps.cluster import joined_cluster, local_cluster, worker_memory
from experiments.sweeps.engine import run_cells
from experiments.sweeps.estimate import Estimate, by_timing, from_finished
from experiments.sweeps.plan import SweepPlan, fitting_workers
from experiments.sweeps.store import Store
from theory.memory import available_bytes

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class State:
    """How far a sweep is.

    Attributes:
        code: version of the code that the cells belong to.
        waiting: cells that are missing or failed before, in the order of the plan.
        finished: seconds of those that are done.
        failed: how many of the waiting ones failed before.
    """

    code: str
    waiting: Sequence[CellKey]
    finished: Sequence[float]
    failed: int


def look_up(plan: SweepPlan, store: Store | None) -> State:
    """What the database (None: there is none yet) holds of a plan."""
    code = code_version(plan.subject.name)
    durations = {} if store is None else store.durations(plan.subject.name, code)
    found = [durations.get(cell) for cell in plan.cells]
    return State(
        code,
        [cell for cell, seconds in zip(plan.cells, found, strict=True) if seconds is None],
        [seconds for seconds in found if seconds is not None],
        sum(cell in durations and durations[cell] is None for cell in plan.cells),
    )


def estimate(plan: SweepPlan, state: State) -> Estimate | None:
    """Seconds of a cell; None where no cell waits."""
    if not state.waiting:
        return None
    return from_finished(state.finished) or by_timing(plan.subject.name, state.waiting)


def run_sweep(
    plan: SweepPlan,
    state: State,
    store: Store,
    workers: int,
    scheduler: str | None = None,
    report: Callable[[Sequence[Outcome]], None] = lambda outcomes: None,
) -> None:
    """Compute the waiting cells; an interruption at any moment loses nothing that was reported.

    Args:
        plan, state: from `experiments.sweeps.plan.make_plan` and `look_up`.
        store: where outcomes go.
        workers: processes of a cluster of its own.
        scheduler: address of a cluster to join instead.
        report: told of outcomes.

    Raises:
        ExceedsMemory: the largest cell fits no worker.
        InvalidInput: no scheduler answers at the address.
        SweepStopped, StoreError: see `experiments.sweeps.engine.run_cells`.
        KeyboardInterrupt: after the workers have been stopped.
    """
    if not state.waiting:
        return
    cluster: AbstractContextManager[Client]
    if scheduler is None:
        # Together the workers must fit into the memory that is free now.
        fitting = fitting_workers(plan, min(workers, len(state.waiting)), available_bytes())
        cluster = local_cluster(fitting)
    else:
        cluster = joined_cluster(scheduler)
    with cluster as client:
        if scheduler is not None and (limit := worker_memory(client)) is not None:
            fitting_workers(plan, 1, limit)
        run_cells(client, plan.subject.name, state.code, state.waiting, store, report)
