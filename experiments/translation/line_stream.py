"""Lines of a stream in groups: large ones from a file, small ones as soon as somebody is waiting.

A file is read in large groups, so that lines of similar length can be batched. From a pipe or a terminal a group ends
when it is full or nothing more has come for a moment: one line that is typed is answered at once, and a fast writer
still gets full batches. At most a few groups are in memory. Lines end with LF, CR LF or CR.
"""

from __future__ import annotations

import io
import itertools
import os
import queue
import re
import stat
import threading
from collections.abc import Iterator
from typing import BinaryIO

QUIET_SECONDS = 0.05
"""Silence after which a group that has begun is handed over."""

BLOCK = 65_536
"""Bytes asked for at a time."""

LINE_END = re.compile(rb"\r\n|\n|\r")

Arrivals = queue.Queue[bytes | OSError | None]


def groups_of_lines(stream: BinaryIO, waiting: int, stored: int) -> Iterator[list[bytes]]:
    """Consecutive lines without their line ends, all of them and in order; a last one without a line end counts.

    Args:
        stream: binary, not read from before.
        waiting: most lines of a group that comes from a pipe or a terminal.
        stored: lines of a group that comes from a file, or from memory.
    """
    descriptor = _pipe(stream)
    if descriptor is None:
        lines = _lines(iter(lambda: stream.read(BLOCK), b""))
        while group := list(itertools.islice(lines, stored)):
            yield group
        return
    arrivals: Arrivals = queue.Queue(maxsize=2 * waiting)
    threading.Thread(target=_read, args=(descriptor, arrivals), daemon=True).start()
    entry: bytes | OSError | None = b""
    while entry is not None:
        group = []
        entry = arrivals.get()
        while entry is not None:
            if isinstance(entry, OSError):
                raise entry
            group.append(entry)
            if len(group) == waiting:
                break
            try:
                entry = arrivals.get(timeout=QUIET_SECONDS)
            except queue.Empty:
                break
        if group:
            yield group


def _read(descriptor: int, arrivals: Arrivals) -> None:
    """Hand over line after line, then None.

    The descriptor is read past Python's stream: a thread that waits inside a stream cannot be left behind at exit.
    """
    try:
        for line in _lines(iter(lambda: os.read(descriptor, BLOCK), b"")):
            arrivals.put(line)
    except OSError as error:
        arrivals.put(error)
    else:
        arrivals.put(None)


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of consecutive blocks of bytes; a last one without a line end counts."""
    rest = b""
    for block in blocks:
        data = rest + block
        # The other half of a CR LF may be in the next block.
        whole = len(data) - data.endswith(b"\r")
        *lines, rest = LINE_END.split(data[:whole])
        rest += data[whole:]
        yield from lines
    if rest:
        yield rest.removesuffix(b"\r")


def _pipe(stream: BinaryIO) -> int | None:
    """Descriptor of a stream that can make its reader wait, None of a file or of bytes in memory."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return None
    return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor
