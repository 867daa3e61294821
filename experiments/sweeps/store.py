"""The database of sweeps: one SQLite file that holds every finished cell exactly once.

*Why SQLite.* One file, no server, readable by any tool; transactions, so that a cell is there whole or not at all; a
unique index, so that it is there once. Only the coordinator of a sweep writes; workers send it their outcomes.

*Why write-ahead logging with synchronous = FULL.* A commit appends checksummed frames to a log and flushes the log to
the disk before it returns. After a kill, a crash of the machine or a full disk, recovery reads the log up to the last
whole commit: what was reported as finished is there, and nothing is half there. With synchronous = NORMAL the last
commits could be lost with the power. Readers (`gmlm results`, `gmlm plot`) are not blocked while a sweep writes. The
price, one flush for each batch of cells, is a few milliseconds. Write-ahead logging needs a local disk, not a network
file system; the workers may be anywhere.

*A damaged file is never written to.* It is opened read-only and checked first; what is wrong is said, the file stays,
and `experiments.sweeps.salvage` copies the cells that can still be read.

A cell is keyed by subject, parameters (canonical JSON), seed and version of the code. A failed cell is kept with its
error and computed again by the next run of the same sweep; a finished one never is, unless it is forgotten first.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.sweeps.cell import CellKey, Outcome
from theory.errors import InvalidInput

APPLICATION = 0x474D4C4D
"""SQLite's application_id of our files: "GMLM"."""

VERSION = 1
"""SQLite's user_version: the layout below."""

LAYOUT = """
CREATE TABLE IF NOT EXISTS provenance (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS cells (
    id INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    parameters TEXT NOT NULL,
    seed INTEGER NOT NULL,
    code TEXT NOT NULL,
    record TEXT,
    error TEXT,
    duration REAL NOT NULL,
    finished TEXT NOT NULL,
    provenance INTEGER NOT NULL REFERENCES provenance (id),
    UNIQUE (subject, code, parameters, seed),
    CHECK ((record IS NULL) <> (error IS NULL))
);
"""

ROW = ("subject", "parameters", "seed", "code", "record", "error", "duration", "finished", "provenance")
"""Columns of a cell; in `Store.copy` the last is the content of the provenance."""

PATIENCE = 60.0
"""Seconds to wait for another process that writes to the same file."""


class StoreError(InvalidInput):
    """The database cannot be read or written; what it holds has been left as it was."""


@dataclass(frozen=True)
class StoredCell:
    """A row of the database: a finished cell has a record, a failed one an error."""

    subject: str
    parameters: dict[str, Any]
    seed: int
    code: str
    record: dict[str, Any] | None
    error: str | None
    duration: float
    finished: str
    provenance: dict[str, Any]


class Store:
    """An open database; use `open_store`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; everything that was written stays whether or not this is called."""
        self._connection.close()

    def durations(self, subject: str, code: str) -> dict[CellKey, float | None]:
        """The cells of a subject in one version of the code: seconds of the finished ones, None for failed ones."""
        query = "SELECT parameters, seed, record IS NOT NULL, duration FROM cells WHERE subject = ? AND code = ?"
        with _explained(self.path):
            rows = self._connection.execute(query, (subject, code))
            return {CellKey(text, seed): seconds if finished else None for text, seed, finished, seconds in rows}

    def write(self, subject: str, code: str, outcomes: Sequence[Outcome], provenance: str) -> None:
        """Keep some outcomes, all or none of them; they are on the disk when this returns.

        Raises:
            StoreError: the disk is full, or the file cannot be written to; everything stored before is kept.
        """
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        self.copy(
            (subject, o.key.parameters, o.key.seed, code, o.record, o.error, o.duration, finished, provenance)
            for o in outcomes
        )

    def copy(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Keep rows of `ROW`, all or none of them; they are on the disk when this returns.

        Raises:
            StoreError: as `write`.
        """
        sources: dict[str, int] = {}
        with _explained(self.path), self._connection:
            for *cell, provenance in rows:
                if provenance not in sources:
                    self._connection.execute("INSERT OR IGNORE INTO provenance (content) VALUES (?)", (provenance,))
                    found = self._connection.execute("SELECT id FROM provenance WHERE content = ?", (provenance,))
                    (sources[provenance],) = found.fetchone()
                self._connection.execute(
                    f"INSERT INTO cells ({', '.join(ROW)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (subject, code, parameters, seed) DO UPDATE SET record = excluded.record, "
                    "error = excluded.error, duration = excluded.duration, finished = excluded.finished, "
                    "provenance = excluded.provenance WHERE cells.record IS NULL",
                    (*cell, sources[provenance]),
                )

    def forget(self, subject: str, code: str, cells: Sequence[CellKey]) -> None:
        """Remove these cells.

        Raises:
            StoreError: as `write`.
        """
        with _explained(self.path), self._connection:
            self._connection.executemany(
                "DELETE FROM cells WHERE subject = ? AND code = ? AND parameters = ? AND seed = ?",
                [(subject, code, cell.parameters, cell.seed) for cell in cells],
            )

    def cells(self) -> Iterator[StoredCell]:
        """Every cell, in the order in which they were stored."""
        query = (
            "SELECT subject, parameters, seed, code, record, error, duration, finished, content "
            "FROM cells JOIN provenance ON provenance.id = cells.provenance ORDER BY cells.id"
        )
        with _explained(self.path):
            for subject, parameters, seed, code, record, error, duration, finished, content in self._connection.execute(
                query
            ):
                yield StoredCell(
                    subject,
                    json.loads(parameters),
                    seed,
                    code,
                    None if record is None else json.loads(record),
                    error,
                    duration,
                    finished,
                    json.loads(content),
                )


def open_store(path: Path, *, create: bool = False) -> Store:
    """Open a database, to write where it is to be created if it is not there, else to read.

    Raises:
        StoreError: it is not there, damaged, of another program or another layout, or cannot be opened.
    """
    with _explained(path):
        laid_out = path.exists() and _examine(path)
        if not laid_out and not create:
            raise StoreError("store", str(path), "there is no such database; `gmlm sweep` makes one")
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=PATIENCE)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if not laid_out:
            _lay_out(connection)
    return Store(path, connection)


def _examine(path: Path) -> bool:
    """Refuse a file that is damaged or not ours, without writing to it; whether it holds our tables."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables == 0:
            return False  # another process is just making it, or was killed before it could
        if application != APPLICATION:
            raise StoreError("store", str(path), "is a database of another program")
        if version != VERSION:
            raise StoreError("store", str(path), f"has layout {version}; this version of the package reads {VERSION}")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        return True
    finally:
        connection.close()


def _lay_out(connection: sqlite3.Connection) -> None:
    connection.executescript(
        f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; {LAYOUT} COMMIT;"
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the file system as `StoreError`, with what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text or "disk I/O" in text:
            advice = f"the disk is full ({text}); finished cells are kept: free some space and give the command again"
        elif "readonly" in text:
            advice = "cannot be written to"
        elif "locked" in text:
            advice = f"another process has been writing for more than {PATIENCE:.0f} s"
        else:
            advice = f"cannot be opened: {text}"
        raise StoreError("store", str(path), advice) from None
    except sqlite3.DatabaseError as error:
        advice = (
            f"is damaged ({' '.join(str(error).split())}) and has been left as it is; move it away to start again, or "
            f"save the cells that can still be read: gmlm results --store {path} --salvage saved.sqlite"
        )
        raise StoreError("store", str(path), advice) from None
    except OSError as error:
        raise StoreError("store", str(path), f"cannot be opened: {error.strerror or error}") from None
