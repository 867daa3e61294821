"""Processes that work through jobs, one job at a time each. A process that dies costs its job, and nothing else.

(A `concurrent.futures.ProcessPoolExecutor` gives up all jobs when one process is killed.) The processes are spawned, do
not see Ctrl-C, which is for their parent, and end with it, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from experiments.interrupts import held_back
from theory.errors import InvalidInput

Report = Callable[[float, str], None]
"""Told by a job of the fraction that is done, and of what is being done."""


@contextmanager
def on_one_thread() -> Iterator[None]:
    """One thread for each numerical library and compiled kernel, for the time of a block.

    So a result depends neither on the number of workers nor on the command that computes it. What the user has set
    wins. XLA reads its flags when it is first imported, `theory.samplers` whenever it starts.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


class Message(NamedTuple):
    """What happens to a job.

    Attributes:
        job: its place among the jobs.
        kind: ``"started"``; ``"progress"`` with a fraction and a text; and at its end one of ``"finished"`` with the
            result, ``"refused"`` with the InvalidInput, and ``"failed"`` with the reason as one text.
        content: see there.
    """

    job: int
    kind: str
    content: Any = None


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    job: int | None = None


def work(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], count: int) -> Generator[Message, None, None]:
    """Call ``function(*job, report)`` for every job in processes of their own, and tell what happens.

    Args:
        function: of a module, so that a process can import it.
        jobs: arguments.
        count: processes.

    Raises:
        whatever the reader of the messages raises, after the processes were ended.
    """
    waiting = deque(range(len(jobs)))
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.job is not None for worker in workers):
            while waiting and len(workers) < count:
                workers.append(_start(function))
            for worker in workers:
                if waiting and worker.job is None:
                    worker.job = waiting.popleft()
                    with suppress(OSError):  # it is dead, which is noticed below
                        worker.connection.send(jobs[worker.job])
                    yield Message(worker.job, "started")
            ready = set(wait_for([w.connection for w in workers] + [w.process.sentinel for w in workers]))
            for worker in list(workers):
                if worker.connection in ready:
                    yield from _received(worker)
                if worker.process.sentinel in ready:
                    yield from _received(worker)  # what it could still say
                    workers.remove(worker)
                    if worker.job is not None:
                        yield Message(worker.job, "failed", _death(worker.process))
    finally:
        for worker in workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _start(function: Callable[..., Any]) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, function), daemon=True)
    with held_back():
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _received(worker: _Worker) -> Iterator[Message]:
    """The messages that have arrived from a worker."""
    try:
        while worker.connection.poll():
            kind, content = worker.connection.recv()
            job = worker.job
            assert job is not None
            if kind != "progress":
                worker.job = None
            yield Message(job, kind, content)
    except (EOFError, OSError):
        return


def _death(process: BaseProcess) -> str:
    process.join()
    code = process.exitcode or 0
    if code < 0:
        with suppress(ValueError):
            return f"WorkerDied: its process was ended by {signal.Signals(-code).name} (out of memory?)"
    return f"WorkerDied: its process ended with code {code}"


def _serve(connection: Connection, function: Callable[..., Any]) -> None:
    """Compute jobs until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def follow() -> None:
            wait_for([sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()

    def report(fraction: float, message: str) -> None:
        connection.send(("progress", (fraction, message)))

    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            answer = ("finished", function(*job, report))
        except InvalidInput as error:
            answer = ("refused", error)
        except Exception as error:  # one broken job must not hide what the others found
            answer = ("failed", "".join(traceback.format_exception_only(error)).strip())
        connection.send(answer)
