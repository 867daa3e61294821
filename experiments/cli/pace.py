"""When to say how far work has come where there is no terminal to draw on."""

from __future__ import annotations

import time

QUIET_SECONDS = 30.0
"""Longest time without a line, if there is something to say."""


class Pace:
    """When the next line is due: after a part of the work, or some time.

    Args:
        parts: how many parts the work has; with 0 only time counts.
    """

    def __init__(self, parts: int = 20) -> None:
        self._parts = parts
        self._part = -1  # nothing was said
        self._time = time.monotonic()

    def due(self, done: float, total: float) -> bool:
        """Whether to say that so much is done; true counts as said."""
        part, now = int(done * self._parts / max(total, 1)), time.monotonic()
        if part == self._part and now - self._time < QUIET_SECONDS:
            return False
        self._part, self._time = part, now
        return True
