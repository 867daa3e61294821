"""A sweep from its plan to its end: what is done already, what it costs, and running the rest.

From Python, `run_sweep` does all of it::

    from experiments.sweeps import run_sweep
    results = run_sweep("chain", {"coupling": "0:1:0.1", "k": [1, 2]}, seeds=3, name="first")
    frame = results.frame(k=2)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.reproduce import cpus
from experiments.sweeps.cell import CellKey, Outcome, canonical_text, code_version
from experiments.sweeps.cluster import joined_cluster, local_cluster, wait_for_workers, worker_memory
from experiments.sweeps.engine import run_cells
from experiments.sweeps.estimate import Estimate, by_timing, from_finished
from experiments.sweeps.plan import SweepPlan, fitting_workers, make_plan
from experiments.sweeps.results import DEFAULT_STORE, Results, open_results
from experiments.sweeps.store import Store, open_store
from experiments.sweeps.subject import Subject
from experiments.sweeps.subjects import load_subject
from theory.errors import InvalidInput
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


def compute_waiting(
    plan: SweepPlan,
    state: State,
    store: Store,
    workers: int,
    scheduler: str | None = None,
    report: Callable[[Sequence[Outcome]], None] = lambda outcomes: None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Compute the waiting cells; an interruption at any moment loses nothing that was reported.

    Args:
        plan, state: from `experiments.sweeps.plan.make_plan` and `look_up`.
        store: where outcomes go.
        workers: processes of a cluster of its own.
        scheduler: address of a cluster to join instead.
        report: told of outcomes.
        say: told what is being waited for.

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
        if scheduler is not None:
            wait_for_workers(client, say)
        if scheduler is not None and (limit := worker_memory(client)) is not None:
            fitting_workers(plan, 1, limit)
        run_cells(client, plan.subject.name, state.code, state.waiting, store, report)


def run_sweep(
    subject: str | Subject | Callable[..., Any],
    axes: Mapping[str, Any] | None = None,
    *,
    design: str | None = None,
    cells: int | None = None,
    seeds: int | Sequence[int] = 1,
    name: str | Sequence[str] = (),
    store: str | Path = DEFAULT_STORE,
    workers: int | None = None,
    scheduler: str | None = None,
    report: Callable[[Sequence[Outcome]], None] = lambda outcomes: None,
    say: Callable[[str], None] = print,
) -> Results:
    """Sweep a subject or a function; what was computed before is taken over. As ``gmlm sweep``.

    Args:
        subject: a name (``"chain"``, ``"C8"``, ``"my_module:my_function"``), or a function of a module that worker
            processes can import (not one of a notebook or of the script that runs).
        axes: parameter -> list of values, or text as on the command line (``"0:2:0.1"``, ``"log:1e-4..1e-1"``).
        design: ``"grid"``, ``"random"`` or ``"latin"``; by default random where ``cells`` is given, else grid.
        cells: combinations to draw.
        seeds: how many, or which.
        name: names under which the cells are found again.
        store: the database.
        workers: processes, by default one per processor.
        scheduler: address of a Dask cluster to join instead.
        report: told of outcomes.
        say: told what is being waited for.

    Returns:
        The cells of this sweep. Failed ones are among them: ``results.rows(status="failed")``.

    Raises:
        InvalidInput: as `experiments.sweeps.plan.make_plan`; a function that cannot be imported by its name.
        SweepStopped, StoreError: see `experiments.sweeps.engine.run_cells`.
    """
    chosen = subject if isinstance(subject, Subject) and ":" in subject.name else load_subject(_name(subject))
    many = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    plan = make_plan(chosen, axes or {}, design or default_design(cells), cells, many)
    with open_store(Path(store), create=True) as opened:
        state = look_up(plan, opened)
        compute_waiting(plan, state, opened, workers or cpus(), scheduler, report, say)
        for label in [name] if isinstance(name, str) else name:
            opened.name(label, chosen.name, state.code, plan.cells)
    wanted = set(plan.cells)
    found = open_results(store).cells
    return Results(
        [
            cell
            for cell in found
            if cell.subject == chosen.name and CellKey(canonical_text(cell.parameters), cell.seed) in wanted
        ]
    )


def default_design(cells: int | None) -> str:
    """A number of cells is only for a design that draws them."""
    return "grid" if cells is None else "random"


def _name(subject: str | Subject | Callable[..., Any]) -> str:
    if isinstance(subject, str):
        return subject
    if isinstance(subject, Subject):
        return subject.name
    module, name = getattr(subject, "__module__", None), getattr(subject, "__qualname__", repr(subject))
    if module in (None, "__main__") or not name.isidentifier():
        raise InvalidInput("subject", name, "worker processes must be able to import it: put it into a module")
    return f"{module}:{name}"
