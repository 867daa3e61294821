"""Running the cells of a sweep on a Dask cluster; the coordinator keeps every outcome as soon as it arrives.

Cells travel in *chunks* whose size follows the time that the cells take, so that the cost of a message is shared; the
number of chunks under way is bounded, so that a sweep of any size needs little memory. A chunk whose worker dies is
computed again by another one. A chunk that ends worker after worker is taken apart, and a cell that does so by itself
is recorded as failed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.sweeps.cell import CellKey, ChunkResult, OtherCode, Outcome, compute_chunk, own_provenance
from experiments.sweeps.store import Store

if TYPE_CHECKING:
    from distributed import Client, Future

CHUNK_SECONDS = 0.4
"""A chunk shall take about so long: much longer than a message (milliseconds), short enough to lose."""

LARGEST_CHUNK = 256

CHUNKS_PER_THREAD = 2
"""Chunks under way for each thread: one that runs and one that waits."""

LOOK_AGAIN = 2.0
"""Seconds after which the number of workers is looked up again."""

POLL = 0.005
"""Seconds between looks for chunks that have ended."""


class SweepStopped(RuntimeError):
    """The cluster cannot go on; everything that was finished is kept."""


@dataclass(frozen=True)
class Task:
    """A chunk under way; ``alone`` once it has been taken apart."""

    keys: Sequence[CellKey]
    alone: bool = False


def run_cells(
    client: Client,
    subject: str,
    code: str,
    cells: Sequence[CellKey],
    store: Store,
    report: Callable[[Sequence[Outcome]], None] = lambda outcomes: None,
) -> None:
    """Compute the cells and keep every outcome.

    Args:
        client: of the cluster.
        subject: its name.
        code: version of the code that the workers must run.
        cells: to be computed, in this order or about.
        store: where outcomes go; each is on the disk before it is reported.
        report: told of outcomes.

    Raises:
        SweepStopped: the scheduler is gone, or a worker runs other code.
        StoreError: the disk is full.
    """
    _Run(client, subject, code, cells, store, report).go()


class _Run:
    def __init__(
        self,
        client: Client,
        subject: str,
        code: str,
        cells: Sequence[CellKey],
        store: Store,
        report: Callable[[Sequence[Outcome]], None],
    ) -> None:
        from distributed import as_completed

        self.client, self.subject, self.code, self.store, self.report = client, subject, code, store, report
        self.waiting = deque(cells)
        self.suspects: deque[Task] = deque()
        self.tasks: dict[Future, Task] = {}
        self.completed = as_completed(with_results=True, raise_errors=False, loop=client.loop)
        self.threads, self.looked = 1, -LOOK_AGAIN
        self.wanted = 0 if client.cluster is None else len(client.cluster.worker_spec)
        self.mean_seconds: float | None = None

    def go(self) -> None:
        try:
            self.fill()
            while self.tasks:
                outcomes: dict[str, list[Outcome]] = {}
                stopped: SweepStopped | None = None
                for future, result in self.ended():
                    try:
                        for source, found in self.outcomes(self.tasks.pop(future), future.status, result):
                            outcomes.setdefault(source, []).extend(found)
                    except SweepStopped as reason:  # what has arrived with it is kept first
                        stopped = reason
                if stopped is None:
                    self.fill()  # the workers go on while the outcomes are written
                for source, found in outcomes.items():
                    self.store.write(self.subject, self.code, found, source)
                    self.report(found)
                if stopped is not None:
                    raise stopped
        except BaseException:
            with suppress(OSError, TimeoutError):  # a courtesy to a cluster that others use
                self.client.cancel(list(self.tasks), force=True)
            raise

    def ended(self) -> list[tuple[Future, Any]]:
        """Wait for chunks that have ended."""
        while not self.completed.has_ready():
            time.sleep(POLL)
            self.look_after_workers()
        return list(self.completed.next_batch(block=False))

    def look_after_workers(self) -> None:
        """Count the threads, and see that all workers are there."""
        if time.monotonic() - self.looked < LOOK_AGAIN:
            return
        self.looked = time.monotonic()
        with suppress(OSError, TimeoutError):  # a scheduler that is gone is noticed by its cancelled chunks
            workers = self.client.nthreads()
            self.threads = max(1, sum(workers.values()))
            self.revive(len(workers))

    def revive(self, workers: int) -> None:
        """Start workers of the sweep's own cluster again that did not come back."""
        if workers < self.wanted and self.client.cluster is not None:
            # Dask restarts a worker that dies, but not one that dies, or takes very long, while it starts.
            self.client.cluster.scale(self.wanted)

    def fill(self) -> None:
        """Keep enough chunks under way."""
        self.look_after_workers()
        while len(self.tasks) < CHUNKS_PER_THREAD * self.threads and (self.waiting or self.suspects):
            if self.suspects:
                self.submit(self.suspects.popleft())
            else:
                size = min(self.chunk_size(), len(self.waiting))
                self.submit(Task([self.waiting.popleft() for _ in range(size)]))

    def chunk_size(self) -> int:
        if self.mean_seconds is None:
            return 1
        # Towards the end the rest is shared out evenly.
        share = len(self.waiting) // (CHUNKS_PER_THREAD * self.threads) + 1
        return max(1, min(LARGEST_CHUNK, share, int(CHUNK_SECONDS / max(self.mean_seconds, 1e-6))))

    def submit(self, task: Task) -> None:
        keys = [tuple(key) for key in task.keys]
        future = self.client.submit(compute_chunk, self.subject, self.code, keys, pure=False)
        self.tasks[future] = task
        self.completed.add(future)

    def outcomes(self, task: Task, status: str | None, result: Any) -> list[tuple[str, list[Outcome]]]:
        """What a chunk that has ended brings: provenance and outcomes; nothing where it is tried again."""
        if status == "finished":
            found = ChunkResult(*result)
            seconds = sum(outcome.duration for outcome in found.outcomes) / len(found.outcomes)
            self.mean_seconds = seconds if self.mean_seconds is None else 0.7 * self.mean_seconds + 0.3 * seconds
            return [(found.provenance, found.outcomes)]
        from distributed.scheduler import KilledWorker

        error = result[1] if isinstance(result, tuple) else result
        if isinstance(error, OtherCode):
            raise SweepStopped(f"{error}: the code was changed meanwhile, or the workers have another version")
        if status != "error":
            raise SweepStopped("the scheduler is gone")
        if not isinstance(error, KilledWorker):
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise SweepStopped(f"the workers cannot compute this ({reason}); do they have the package installed?")
        if not task.alone:
            self.suspects.extend(Task([key], alone=True) for key in task.keys)
            return []
        message = "WorkerDied: this cell ended its worker process again and again (out of memory?)"
        return [(own_provenance(), [Outcome(key, None, message, 0.0) for key in task.keys])]
