"""Refusing what would not fit in memory, with the figure, before anything is allocated."""

from __future__ import annotations

from typing import Any

import psutil

from theory.errors import ExceedsMemory

NEGLIGIBLE = 2**20
"""Bytes that are granted without asking the system, which takes longer than small chains themselves."""


def available_bytes() -> int:
    """Memory that new allocations can use now, in bytes."""
    return int(psutil.virtual_memory().available)


def format_bytes(count: float) -> str:
    """``1536`` -> ``'1.5 KiB'``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.3g} EiB"


def require_memory(needed: float, argument: str, value: Any, purpose: str) -> None:
    """Raise unless ``needed`` bytes fit into the memory that is free now.

    Raises:
        ExceedsMemory: says how much ``purpose`` would take and how much is free.
    """
    if needed <= NEGLIGIBLE:
        return
    free = available_bytes()
    if needed > free:
        raise ExceedsMemory(
            argument,
            value,
            f"{purpose} would take {format_bytes(needed)}, but {format_bytes(free)} are free; choose a smaller size",
        )
