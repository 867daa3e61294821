"""The Dask cluster that a sweep runs on: one of its own on this machine, or one that is there already.

The processes of a sweep's own cluster talk over the loopback interface only, have one thread each, show no dashboard,
and end with the sweep, however it ends. Whoever can talk to a scheduler can have it run anything, and every user of a
machine reaches its loopback interface: so the connections are encrypted, and each side must show a key that was made
for this sweep and never touches the disk.

A cluster that is joined (Slurm, Kubernetes, ...) needs the same version of the package in the environment of its
scheduler and workers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from experiments.interrupts import held_back
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from distributed import Client

CONNECT = 15
"""Seconds within which a scheduler must answer."""

CLOSE = 20
"""Seconds within which the workers of a cluster should end; on a very busy machine they may take longer."""

LOOK = 0.5
"""Seconds between looks for workers."""

_SETTINGS: dict[str, Any] = {
    # A task waits with the scheduler, not in a worker's queue: when a worker dies, only what it ran is suspected.
    "distributed.scheduler.worker-saturation": 1.0,
    # Twice is no accident; the sweep itself tries such a cell once more, alone.
    "distributed.scheduler.allowed-failures": 1,
    # A worker that computes for long without giving way is not dead.
    "distributed.scheduler.worker-ttl": None,
    # A worker that is gone for so long is given up, and another one started.
    "distributed.deploy.lost-worker-timeout": "10s",
    # Nothing is spilled and nobody pauses (a paused worker may never go on); who takes too much is ended.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.admin.tick.interval": "1s",
    # A port for pages is opened all the same; it shall show none.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """A cluster of worker processes on this machine, for the time of a block."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    with dask.config.set(_SETTINGS), _quiet():
        cluster = None
        try:
            with held_back():
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    security=Security.temporary(),
                    dashboard_address=None,
                    # Without a dashboard its port is opened all the same; any free one, so that sweeps can run beside
                    # each other.
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    silence_logs=logging.CRITICAL,
                )
            with Client(cluster) as client:
                yield client
        finally:
            if cluster is not None:
                # Everything is stored by now, and the workers end with this process at the latest.
                with suppress(TimeoutError):
                    cluster.close(timeout=CLOSE)


@contextmanager
def joined_cluster(address: str) -> Iterator[Client]:
    """A client of the scheduler at an address, for the time of a block.

    Raises:
        InvalidInput: no scheduler answers there in time.
    """
    from distributed import Client

    with _quiet():
        try:
            # A client that talks to something else may wait for ever, or believe any length that it is told.
            with ThreadPoolExecutor(1) as thread:  # there may be a loop in this one, as in a notebook
                kind = thread.submit(asyncio.run, asyncio.wait_for(_kind(address), CONNECT)).result()
            if kind != "Scheduler":
                raise InvalidInput("scheduler", address, f"a Dask {kind} answers there, no scheduler")
            client = Client(address, timeout=CONNECT)
        except InvalidInput:
            raise
        except TimeoutError:
            reason = f"nothing that speaks Dask's protocol within {CONNECT} s"
            raise InvalidInput("scheduler", address, f"no Dask scheduler answers there: {reason}") from None
        except Exception as error:  # what answers may send anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InvalidInput("scheduler", address, f"no Dask scheduler answers there: {reason}") from None
        with client:
            yield client


async def _kind(address: str) -> str:
    """What answers at an address, as Dask calls it."""
    from distributed.comm import connect
    from distributed.security import Security

    comm = await connect(address, timeout=CONNECT, **Security().get_connection_args("client"))
    try:
        await comm.write({"op": "identity", "reply": True})
        return str((await comm.read())["type"])
    finally:
        comm.abort()


def wait_for_workers(client: Client, say: Callable[[str], None]) -> None:
    """Return once there is a worker; say so where there is none yet."""
    said = False
    while not client.nthreads():
        if not said:
            say("waiting for workers: the scheduler has none yet")
            said = True
        time.sleep(LOOK)


def worker_memory(client: Client) -> int | None:
    """Bytes that each thread of the smallest worker may use; None where no worker or limit is known."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [worker["memory_limit"] // max(1, worker["nthreads"]) for worker in workers if worker["memory_limit"]]
    return min(limits, default=None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own messages are about its insides; what matters to the user is said by the sweep."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    levels = [logger.level for logger in loggers]
    # Loggers below have levels of their own, set when Dask was imported.
    below = [logger for name, logger in logging.root.manager.loggerDict.items() if name.startswith("distributed.")]
    filters = [logger for logger in below if isinstance(logger, logging.Logger)]
    below_levels = [logger.level for logger in filters]
    for logger in [*loggers, *filters]:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip([*loggers, *filters], [*levels, *below_levels], strict=True):
            logger.setLevel(level)
