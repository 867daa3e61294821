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
error and computed again by the next run of the same sweep; a finished one never is, unless it is forgotten first. A
sweep may be named; a name is a label on its cells, of which a cell may have several.

*Reading* changes nothing: the file is opened read-only, and where not even its log can be opened (a folder that only
others may write to) a copy is read. What a file of a stranger holds is checked before it is believed.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.sweeps.cell import CellKey, Outcome
from theory.errors import InvalidInput
from theory.files import parse_json

APPLICATION = 0x474D4C4D
"""SQLite's application_id of our files: "GMLM"."""

VERSION = 2
"""SQLite's user_version: the layout below. Layout 1, which had no names, is read, and changed when it is written to."""

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
CREATE TABLE IF NOT EXISTS names (
    name TEXT NOT NULL,
    cell INTEGER NOT NULL REFERENCES cells (id) ON DELETE CASCADE,
    PRIMARY KEY (name, cell)
) WITHOUT ROWID;
"""

ROW = ("subject", "parameters", "seed", "code", "record", "error", "duration", "finished", "provenance")
"""Columns of a cell; in `Store.copy` the last is the content of the provenance."""

PATIENCE = 60.0
"""Seconds to wait for another process that writes to the same file."""


NONE_HERE = "there is no such database; `gmlm sweep` makes one"


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
    names: tuple[str, ...] = ()


def read_cell(row: Sequence[Any], names: Sequence[str] = ()) -> StoredCell | None:
    """A cell from the values of `ROW`, with the content of its provenance; None where a part is missing or not data."""
    subject, parameters, seed, code, record, error, duration, finished, provenance = row
    texts = [subject, parameters, code, finished, provenance, *(text for text in (record, error) if text is not None)]
    whole = all(isinstance(text, str) for text in texts) and isinstance(seed, int) and isinstance(duration, float)
    if not whole or (record is None) == (error is None):
        return None
    try:
        values = [parse_json(text) for text in (parameters, record or "{}", provenance)]
    except ValueError:
        return None
    if not all(isinstance(value, dict) for value in values) or not all(map(_is_parameter, values[0].values())):
        return None
    found = None if record is None else values[1]
    return StoredCell(subject, values[0], seed, code, found, error, duration, finished, values[2], tuple(names))


def _is_parameter(value: Any) -> bool:
    """A number or a word, or a list of such."""
    return not any(isinstance(entry, (dict, list)) for entry in (value if isinstance(value, list) else [value]))


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
            return {CellKey(text, seed): float(seconds) if finished else None for text, seed, finished, seconds in rows}

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

    def name(self, name: str, subject: str, code: str, cells: Sequence[CellKey]) -> None:
        """Put a name on those of the cells that are here.

        Raises:
            StoreError: as `write`.
        """
        with _explained(self.path), self._connection:
            self._connection.executemany(
                "INSERT OR IGNORE INTO names (name, cell) SELECT ?, id FROM cells "
                "WHERE subject = ? AND code = ? AND parameters = ? AND seed = ?",
                [(name, subject, code, cell.parameters, cell.seed) for cell in cells],
            )

    def cells(self) -> Iterator[StoredCell]:
        """Every cell, in the order in which they were stored.

        Raises:
            StoreError: the file is damaged, or holds something that no sweep wrote.
        """
        columns = ", ".join(f"cells.{column}" for column in ROW[:-1])
        query = (
            f"SELECT cells.id, {columns}, content FROM cells JOIN provenance ON provenance.id = cells.provenance "
            "ORDER BY cells.id"
        )
        with _explained(self.path):
            named: dict[int, list[str]] = {}
            if self._connection.execute("PRAGMA user_version").fetchone()[0] > 1:
                for cell, name in self._connection.execute("SELECT cell, name FROM names ORDER BY name"):
                    named.setdefault(cell, []).append(str(name))
            for number, *row in self._connection.execute(query):
                cell = read_cell(row, named.get(number, ()))
                if cell is None:
                    raise sqlite3.DatabaseError(f"cell {number} is not what a sweep stores")
                yield cell


def open_store(path: Path, *, create: bool = False) -> Store:
    """Open a database: to write where ``create`` allows to make it if it is not there, else to read.

    Raises:
        StoreError: it is not there, damaged, of another program or another layout, or cannot be opened.
    """
    with _explained(path):
        if path.exists() and not path.is_file():
            raise StoreError("store", str(path), "is no regular file")
        if not create:
            return Store(path, _open_to_read(path))
        laid_out = path.exists() and _examine(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=PATIENCE)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if laid_out != VERSION:
            _lay_out(connection)
    return Store(path, connection)


def _open_to_read(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise StoreError("store", str(path), NONE_HERE)
    try:
        laid_out = _examine(path)
        connection = _connect_to_read(path)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF not in (
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
        ):
            raise
        # The log of the last writer needs files beside the database, which cannot be made here.
        with tempfile.TemporaryDirectory() as folder:
            copy = copy_with_log(path, Path(folder))
            laid_out = _examine(copy)
            connection = sqlite3.connect(":memory:")
            with contextlib.closing(sqlite3.connect(copy)) as source:
                source.backup(connection)
    if not laid_out:
        connection.close()
        raise StoreError("store", str(path), NONE_HERE)
    return connection


def copy_with_log(path: Path, folder: Path) -> Path:
    """A copy of a database, with the log of its last writer, in another folder."""
    copy = folder / "copy.sqlite"
    shutil.copyfile(path, copy)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        shutil.copyfile(log, copy.with_name(copy.name + "-wal"))
    return copy


def _connect_to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)


def _examine(path: Path) -> int:
    """Refuse a file that is damaged or not ours, without writing to it; the layout of our tables, 0 where none are."""
    with contextlib.closing(_connect_to_read(path)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables == 0:
            return 0  # another process is just making it, or was killed before it could
        if application != APPLICATION:
            raise StoreError("store", str(path), "is a database of another program")
        if not 1 <= version <= VERSION:
            raise StoreError("store", str(path), f"has layout {version}; this version of the package reads {VERSION}")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        return int(version)


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
        elif "no such" in text:
            advice = f"does not hold what a sweep stores ({text})"
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
