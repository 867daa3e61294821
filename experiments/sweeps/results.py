"""Results of sweeps as rows and data frames.

    from experiments.sweeps import open_results
    frame = open_results("results/sweeps.sqlite").frame("subject=chain", "k<=3")

A row holds ``subject``, ``seed``, ``status`` (done or failed), every parameter, every scalar of the record (entries of
nested dictionaries as ``outer.inner``; lists are in the records only), ``failure`` (last line of the error), and where
it comes from: ``duration`` (seconds), ``finished``, ``code``, ``commit``, ``host`` (kind of machine) and ``packages``
(versions). A list parameter of one value appears as that value, a
longer one as text. An outcome that has one of these names appears as ``result.NAME``.

Where a cell was computed by several versions of the code, the newest counts.

A *condition* is written NAME=VALUE, with =, !=, <, <=, > or >=; for = and != several values are separated by commas or
given as a range (``k=1..3``).
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.claim import from_plain
from experiments.sweeps.store import StoredCell, open_store
from theory.errors import InvalidInput
from theory.parameters import parse_numbers

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped, unused-ignore]

Row = dict[str, Any]

DEFAULT_STORE = Path("results") / "sweeps.sqlite"

_CONDITION = re.compile(r"\s*([^=<>!]+?)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Results:
    """The cells of a database; use `open_results`."""

    def __init__(self, cells: Sequence[StoredCell]) -> None:
        self.cells = cells

    def rows(self, *conditions: str) -> list[Row]:
        """The rows that meet every condition.

        Raises:
            InvalidInput: a condition that cannot be read, or about a name that no row has.
        """
        return select([row_of(cell) for cell in self.cells], conditions)

    def records(self, *conditions: str) -> list[tuple[Row, dict[str, Any]]]:
        """Row and whole record of every finished cell that meets the conditions."""
        done = [cell for cell in self.cells if cell.record is not None]
        rows = [row_of(cell) for cell in done]
        chosen = {id(row) for row in select(rows, conditions)}
        return [(row, from_plain(cell.record)) for row, cell in zip(rows, done, strict=True) if id(row) in chosen]

    def frame(self, *conditions: str, library: str = "pandas") -> Any:
        """The rows as a data frame of pandas, or of polars where that is asked for and installed.

        Raises:
            InvalidInput: as `rows`, or a library that is unknown or not installed.
        """
        rows = self.rows(*conditions)
        if library == "pandas":
            return _pandas_frame(rows)
        if library != "polars":
            raise InvalidInput("library", library, "pandas or polars")
        try:
            import polars  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise InvalidInput("library", library, "is not installed: pip install polars") from None
        return polars.from_pandas(_arrow_ready(_pandas_frame(rows)))


def open_results(path: str | Path = DEFAULT_STORE, *, every_version: bool = False) -> Results:
    """The results in a database, in the order in which they were stored.

    Args:
        path: the database.
        every_version: keep also what older versions of the code computed of the same cells.

    Raises:
        StoreError: there is no such database, or it is damaged.
    """
    with open_store(Path(path)) as store:
        cells = list(store.cells())
    if every_version:
        return Results(cells)
    newest: dict[Any, StoredCell] = {}
    for cell in cells:  # stored in order of time
        identity = (cell.subject, cell.seed, repr(cell.parameters))
        newest.pop(identity, None)
        newest[identity] = cell
    return Results(list(newest.values()))


def row_of(cell: StoredCell) -> Row:
    """A cell as a flat row; see the module's description."""
    row: Row = {"subject": cell.subject, "seed": cell.seed, "status": "failed" if cell.record is None else "done"}
    row |= {name: _shown(value) for name, value in cell.parameters.items()}
    about = {
        "failure": None if cell.error is None else cell.error.strip().splitlines()[-1],
        "duration": cell.duration,
        "finished": cell.finished,
        "code": cell.code,
        "commit": cell.provenance.get("commit"),
        "host": _host(cell.provenance.get("host", {})),
        "packages": ", ".join(f"{name} {version}" for name, version in cell.provenance.get("packages", {}).items()),
    }
    for name, value in _scalars(cell.record or {}):
        row[f"result.{name}" if name in row or name in about else name] = value
    return row | about


def _host(host: Mapping[str, Any]) -> str:
    return ", ".join(f"{value} CPUs" if name == "cpus" else str(value) for name, value in host.items())


def _shown(value: Any) -> Any:
    if not isinstance(value, list):
        return from_plain(value)
    return (
        from_plain(value[0])
        if len(value) == 1
        else ", ".join(f"{entry:g}" if isinstance(entry, float) else str(entry) for entry in value)
    )


def _scalars(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield prefix + name, from_plain(value)


def select(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """The rows that meet every condition.

    Raises:
        InvalidInput: a condition that cannot be read, or about a name that no row has.
    """
    names = {name for row in rows for name in row}
    tests = [_read_condition(condition, names) for condition in conditions] if rows else []
    return [row for row in rows if all(test(row) for test in tests)]


def _read_condition(text: str, names: set[str]) -> Callable[[Row], bool]:
    match = _CONDITION.fullmatch(text)
    if match is None or not match.group(3):
        raise InvalidInput("where", text, "is written NAME=VALUE, with =, !=, <, <=, > or >=")
    name, relation, value = match.groups()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InvalidInput("where", text, f"{hint}there is no {name}; known here: {', '.join(sorted(names))}")
    if relation in _COMPARE:
        limits = parse_numbers(value, "where")
        if len(limits) != 1:
            raise InvalidInput("where", text, f"one number goes with {relation}")
        limit = limits[0]
        compare = _COMPARE[relation]
        return lambda row: isinstance(row.get(name), (int, float)) and compare(row[name], limit)
    words = {part.strip() for part in value.split(",")}
    try:
        numbers = parse_numbers(value, "where")
    except InvalidInput:
        numbers = []
    wanted = relation == "="
    return lambda row: _is_one_of(row.get(name), words, numbers) is wanted


def _is_one_of(value: Any, words: set[str], numbers: Sequence[float]) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value) in words or str(value).lower() in words
    return any(math.isclose(value, number, rel_tol=1e-12, abs_tol=1e-15) for number in numbers)


def _pandas_frame(rows: Sequence[Row]) -> pandas.DataFrame:
    try:
        import pandas
    except ImportError:
        raise InvalidInput("library", "pandas", "is not installed: pip install 'gmlm-workbench[sweeps]'") from None
    return pandas.DataFrame(rows)


def _arrow_ready(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Columns of one type each: those of several subjects may mix numbers and words, and become text."""
    mixed = {}
    for name in frame.columns:
        kinds = {type(value) for value in frame[name].dropna()} if frame[name].dtype == object else set()
        if len(kinds) > 1:
            mixed[name] = frame[name].map(lambda value: None if value is None or value != value else str(value))
    return frame.assign(**mixed)


def export(frame: pandas.DataFrame, path: Path) -> None:
    """Write a frame as Parquet or CSV, by the ending of the name; whole or not at all.

    Raises:
        InvalidInput: another ending, or the file cannot be written.
    """
    import io

    from experiments.files import write_atomically

    if path.suffix == ".csv":
        write_atomically(path, frame.to_csv(index=False))
    elif path.suffix == ".parquet":
        buffer = io.BytesIO()
        _arrow_ready(frame).to_parquet(buffer, index=False)
        write_atomically(path, buffer.getvalue())
    else:
        raise InvalidInput("export", str(path), "the name must end in .parquet or .csv")
