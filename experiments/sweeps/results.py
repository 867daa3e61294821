"""Results of sweeps as rows and data frames.

    from gmlm import open_results
    frame = open_results("results/sweeps.sqlite").frame("k<=3", subject="chain", sites=8)

A row holds ``subject``, ``seed``, ``status`` (done or failed), ``sweep`` (the names that its sweeps were given), every
parameter, every scalar of the record (entries of nested dictionaries as ``outer.inner``; lists are in the records
only), ``failure`` (last line of the error), and where it comes from: ``duration`` (seconds), ``finished``, ``code``,
``commit``, ``host`` (kind of machine) and ``packages`` (versions). A list parameter of one value appears as that value,
a longer one as text. A parameter that has one of these names appears as ``set.NAME``, an outcome that has one of them,
or that of a parameter, as ``result.NAME``.

Where a cell was computed by several versions of the code, the newest counts.

A *condition* is written NAME=VALUE, with =, !=, <, <=, > or >=; for = and != several values are separated by commas or
given as a range (``k=1..3``). From Python, keywords are conditions of equality too.

Nothing that a database names is imported: it may come from anybody.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.plain import from_plain
from experiments.sweeps.inputs import file_name
from experiments.sweeps.store import StoredCell, open_store
from experiments.sweeps.subjects import RENAMED
from theory.errors import InvalidInput
from theory.parameters import parse_numbers

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped, unused-ignore]
    from matplotlib.axes import Axes

Row = dict[str, Any]

DEFAULT_STORE = Path("results") / "sweeps.sqlite"

_CONDITION = re.compile(r"\s*([^=<>!]+?)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


FIRST = ("subject", "seed", "status", "sweep")
LAST = ("failure", "duration", "finished", "code", "commit", "host", "packages")


class Results:
    """The cells of a database; use `open_results`."""

    def __init__(self, cells: Sequence[StoredCell]) -> None:
        self.cells = cells

    def rows(self, *conditions: str, **equal: Any) -> list[Row]:
        """The rows that meet every condition.

        Raises:
            InvalidInput: a condition that cannot be read, or about a name that no row has.
        """
        return select([row_of(cell) for cell in self.cells], [*conditions, *_equalities(equal)])

    def why_none(self, *conditions: str) -> str:
        """One line on conditions that no row meets: the first that leaves nothing, and what there is instead."""
        rows = [row_of(cell) for cell in self.cells]
        for place, condition in enumerate(conditions):
            kept = select(rows, [condition])
            if rows and not kept:
                name = _parts(condition)[0]
                values = sorted({row.get(name) for row in rows} - {None}, key=lambda value: (str(type(value)), value))
                shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
                listed = ", ".join(shown if len(shown) <= 12 else [*shown[:6], "...", *shown[-3:]])
                among = f" where {' and '.join(conditions[:place])}" if place else ""
                return f"no cell has {condition}; {name} is {listed or 'nowhere given'}{among}"
            rows = kept
        return "there are no cells"

    def names(self, subject: str) -> tuple[list[str], list[str]]:
        """Columns of a subject in its rows: parameters, and scalar outcomes."""
        parameters: dict[str, None] = {}
        outcomes: dict[str, None] = {}
        for cell in self.cells:
            if cell.subject == subject:
                found, rest = _columns(cell)
                parameters |= dict.fromkeys(found)
                outcomes |= dict.fromkeys(rest)
        return list(parameters), list(outcomes)

    def records(self, *conditions: str, **equal: Any) -> list[tuple[Row, dict[str, Any]]]:
        """Row and whole record of every finished cell that meets the conditions."""
        done = [cell for cell in self.cells if cell.record is not None]
        rows = [row_of(cell) for cell in done]
        chosen = {id(row) for row in select(rows, [*conditions, *_equalities(equal)])}
        return [(row, from_plain(cell.record)) for row, cell in zip(rows, done, strict=True) if id(row) in chosen]

    def plot(
        self,
        x: str | None = None,
        y: str | None = None,
        *,
        subject: str | None = None,
        where: str | Sequence[str] = (),
        ax: Axes | None = None,
        **asked: Any,
    ) -> Axes:
        """Draw finished cells, as ``gmlm plot``.

        Args:
            x, y: columns of the axes.
            subject: whose cells; not needed where there is one.
            where: conditions, as for `rows`.
            ax: Matplotlib axes to draw on; None for a new figure, with a headline that states the result.
            asked: ``series``, ``value``, ``facet``, ``parallel``, ``kind``, ``threshold`` and ``log`` of
                `experiments.sweeps.picture.Picture`.

        Returns:
            The axes, of several panels the first: ``axes.figure.savefig("picture.svg")``.

        Raises:
            InvalidInput: nothing that can be drawn, or what would mislead, see `experiments.sweeps.picture`.
        """
        from experiments.sweeps.showing import show_results

        return show_results(self, x, y, subject, [where] if isinstance(where, str) else [*where], ax, asked)

    def frame(self, *conditions: str, library: str = "pandas", **equal: Any) -> Any:
        """The rows as a data frame of pandas, or of polars where that is asked for and installed.

        Raises:
            InvalidInput: as `rows`, or a library that is unknown or not installed.
        """
        rows = self.rows(*conditions, **equal)
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
    """The results in a database, ordered by subject, parameters and seed.

    Parameters that had other names when a cell was computed have those of now.

    Args:
        path: the database.
        every_version: keep also what older versions of the code computed of the same cells.

    Raises:
        StoreError: there is no such database, or it is damaged.
    """
    with open_store(Path(path)) as store:
        cells = [_renamed(cell) for cell in store.cells()]
    if every_version:
        return Results(sorted(cells, key=_place))
    newest: dict[Any, StoredCell] = {}
    for cell in cells:  # stored in order of time
        identity = (cell.subject, cell.seed, repr(cell.parameters))
        newest.pop(identity, None)
        newest[identity] = cell
    return Results(sorted(newest.values(), key=_place))


def _renamed(cell: StoredCell) -> StoredCell:
    words = RENAMED.get(cell.subject, {})
    if not words.keys() & cell.parameters.keys():
        return cell
    parameters = {words.get(name, name): value for name, value in cell.parameters.items()}
    return dataclasses.replace(cell, parameters=dict(sorted(parameters.items())))


def _place(cell: StoredCell) -> tuple[Any, ...]:
    """What cells are sorted by: numbers as numbers, words as words, parameters in the order of their names."""

    def rank(value: Any) -> tuple[Any, ...]:
        if isinstance(value, list):
            return 2, [rank(entry) for entry in value]
        found = from_plain(value)
        return (0, found) if isinstance(found, (int, float)) and found == found else (1, str(found))

    return cell.subject, [(name, rank(value)) for name, value in sorted(cell.parameters.items())], cell.seed


def row_of(cell: StoredCell) -> Row:
    """A cell as a flat row; see the module's description."""
    parameters, outcomes = _columns(cell)
    return {
        "subject": cell.subject,
        "seed": cell.seed,
        "status": "failed" if cell.record is None else "done",
        "sweep": ", ".join(cell.names) or None,
        **parameters,
        **outcomes,
        "failure": None if cell.error is None else (cell.error.strip().splitlines() or [""])[-1],
        "duration": cell.duration,
        "finished": cell.finished,
        "code": cell.code,
        "commit": cell.provenance.get("commit"),
        "host": _pairs(cell.provenance.get("host"), lambda name, value: f"{value} CPUs" if name == "cpus" else value),
        "packages": _pairs(cell.provenance.get("packages"), lambda name, value: f"{name} {value}"),
    }


def _columns(cell: StoredCell) -> tuple[Row, Row]:
    """Parameters and scalar outcomes under their names in a row."""
    taken = {*FIRST, *LAST}
    parameters = {f"set.{name}" if name in taken else name: _shown(value) for name, value in cell.parameters.items()}
    taken |= set(parameters)
    outcomes = {f"result.{name}" if name in taken else name: value for name, value in _scalars(cell.record or {})}
    return parameters, outcomes


def _equalities(equal: Mapping[str, Any]) -> list[str]:
    """Keywords as conditions."""
    return [
        f"{name}={','.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"
        for name, value in equal.items()
    ]


def _pairs(values: Any, show: Callable[[str, Any], Any]) -> str:
    return ", ".join(str(show(name, value)) for name, value in values.items()) if isinstance(values, Mapping) else ""


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


def _parts(condition: str) -> tuple[str, str, str]:
    match = _CONDITION.fullmatch(condition)
    if match is None or not match.group(3):
        raise InvalidInput("where", condition, "is written NAME=VALUE, with =, !=, <, <=, > or >=")
    name, relation, value = match.groups()
    return name, relation, value


def _read_condition(text: str, names: set[str]) -> Callable[[Row], bool]:
    name, relation, value = _parts(text)
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
    if name == "sweep":
        return lambda row: bool(words & set((row.get("sweep") or "").split(", "))) is wanted
    return lambda row: _is_one_of(row.get(name), words, numbers) is wanted


def _is_one_of(value: Any, words: set[str], numbers: Sequence[float]) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        text = str(value)
        return text in words or text.lower() in words or file_name(text) in words
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


_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBERS = re.compile(r"[-+\d.eE, ]+|[-+]?inf")


def _harmless(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Texts that a spreadsheet would compute as formulas get an apostrophe before them, names of columns too."""

    def defused(value: Any) -> Any:
        risky = isinstance(value, str) and _FORMULA.match(value) and not _NUMBERS.fullmatch(value)
        return f"'{value}" if risky else value

    texts = {name: frame[name].map(defused) for name in frame.columns if frame[name].dtype.kind not in "biuf"}
    return frame.assign(**texts).rename(columns=defused)


def export(frame: pandas.DataFrame, path: Path) -> None:
    """Write a frame as Parquet or CSV, by the ending of the name; whole or not at all.

    In CSV, text that a spreadsheet would take for a formula has an apostrophe before it.

    Raises:
        InvalidInput: another ending, or the file cannot be written.
    """
    import io

    from experiments.files import write_atomically

    if path.suffix == ".csv":
        write_atomically(path, _harmless(frame).to_csv(index=False))
    elif path.suffix == ".parquet":
        buffer = io.BytesIO()
        _arrow_ready(frame).to_parquet(buffer, index=False)
        write_atomically(path, buffer.getvalue())
    else:
        raise InvalidInput("export", str(path), "the name must end in .parquet or .csv")
