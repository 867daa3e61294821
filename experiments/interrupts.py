"""Ctrl-C is for the coordinator: the processes that it starts must not see it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Hold SIGINT back in this thread for the time of a block; one that arrives is delivered at its end.

    Threads and processes that are started within inherit the mask and never see a SIGINT, and so do the processes that
    those threads start later. (A terminal sends Ctrl-C to every process of the group.) Where signals cannot be masked,
    on Windows, nothing is done.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
