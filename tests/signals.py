"""Signals in processes that tests start."""

from __future__ import annotations

import signal


def heed_ctrl_c() -> None:
    """For ``preexec_fn``: tests that run in the background inherit from the shell that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
