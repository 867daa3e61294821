"""Saving what a damaged database of sweeps still holds.

The damaged file is copied, its length put right in the copy (SQLite refuses a file that is shorter than it says), and
every row is read that can be: from the first one on, and beyond each one that cannot be read. Rows of which a part is
missing are left out; the next run of the sweep computes them.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.sweeps.store import ROW, StoreError, copy_with_log, open_store, read_cell

PATIENCE = 10_000
"""So many numbers of rows in a row that cannot be read are taken for the end."""

PAGE_SIZE, PAGES = slice(16, 18), slice(28, 32)
"""Places in the header of an SQLite file, big-endian."""


def salvage(damaged: Path, target: Path) -> int:
    """Copy the cells that can be read into a new database; how many they are.

    Args:
        damaged: stays as it is.
        target: must not exist.

    Raises:
        StoreError: there is no such file, the target exists, or nothing can be read.
    """
    if target.exists():
        raise StoreError("salvage", str(target), "exists already; name a new file")
    with tempfile.TemporaryDirectory() as folder:
        try:
            if damaged.exists() and not damaged.is_file():
                raise StoreError("store", str(damaged), "is no regular file")
            copy = copy_with_log(damaged, Path(folder))
        except OSError as error:
            raise StoreError("store", str(damaged), f"cannot be read: {error.strerror or error}") from None
        _put_length_right(copy)
        connection = sqlite3.connect(copy)
        try:
            sources = dict(_rows(connection, "provenance", ("content",)))
            cells = [(*cell, sources.get(source, "{}")) for _, *cell, source in _rows(connection, "cells", ROW)]
        finally:
            connection.close()
    whole = [cell for cell in cells if read_cell(cell) is not None]
    if not whole:
        raise StoreError("store", str(damaged), "holds no cell that can be read")
    with open_store(target, create=True) as store:
        store.copy(whole)
    return len(whole)


def _put_length_right(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    page = int.from_bytes(content[PAGE_SIZE], "big") or 4096
    pages = len(content) // page
    content[PAGES] = pages.to_bytes(4, "big")
    copy.write_bytes(content[: pages * page])


def _rows(connection: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """The rows that can be read, each with its number before it."""
    last, missed = 0, 0
    while missed < PATIENCE:
        query = f"SELECT id, {', '.join(columns)} FROM {table} WHERE id > ? ORDER BY id"
        try:
            for row in connection.execute(query, (last,)):
                last, missed = row[0], 0
                yield row
            return
        except sqlite3.DatabaseError as error:
            # Text that is not UTF-8 has no code: the row is damaged. Other codes: no database, or none of ours.
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF != sqlite3.SQLITE_CORRUPT:
                return
            last, missed = last + 1, missed + 1
