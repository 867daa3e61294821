"""Refusing what would not fit in memory, with the figure, before anything is allocated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from theory.errors import ExceedsMemory

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment, unused-ignore]

NEGLIGIBLE = 2**20
"""Bytes that are granted without asking the system, which takes longer than small chains themselves."""


CONTROL_GROUP = Path("/sys/fs/cgroup")
"""Where a container sees the limits that it runs under."""


def available_bytes() -> int:
    """Memory that new allocations can use now, in bytes: of the machine, the container and the process."""
    free = int(psutil.virtual_memory().available)
    return max(0, min(bound for bound in (free, _left_in_container(), _left_in_process()) if bound is not None))


def _left_in_container() -> int | None:
    """What the control group of this process may still take; what it holds of files can be given up."""
    try:
        limit = (CONTROL_GROUP / "memory.max").read_text().strip()
        if limit == "max":
            return None
        used = int((CONTROL_GROUP / "memory.current").read_text())
        held = dict(line.split() for line in (CONTROL_GROUP / "memory.stat").read_text().splitlines())
        return int(limit) - used + int(held.get("inactive_file", 0))
    except (OSError, ValueError):
        return None


def _left_in_process() -> int | None:
    """What a limit on the address space (``ulimit -v``) leaves."""
    if resource is None:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else int(limit - psutil.Process().memory_info().vms)


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
