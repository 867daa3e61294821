"""``gmlm results``: what the database of sweeps holds; lists, filters, exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.cli.paths import WrittenFile

if TYPE_CHECKING:
    from experiments.sweeps.results import Results, Row

MOST_OUTCOMES = 8
"""Outcomes that are listed of a subject that does not say which matter."""

_PATH = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("subject", required=False)
@click.option("--where", "conditions", multiple=True, metavar="NAME=VALUE", help="Keep rows with k=1..3, J>=0.5, ...")
@click.option("--sweep", "name", metavar="NAME", help="Keep the cells of the sweeps of that name.")
@click.option("--columns", metavar="A,B,...", help="Columns to list; by default what varies, and the main outcomes.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Rows to list at most.")
@click.option("--errors", is_flag=True, help="List failed cells with their errors.")
@click.option("--every-version", is_flag=True, help="Also what older versions of the code computed of the same cells.")
@click.option(
    "--export",
    "target",
    type=WrittenFile(".parquet", ".csv"),
    help="Write the rows: .parquet or .csv.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
@click.option("--salvage", "saved", type=WrittenFile(), help="Copy what a damaged database still holds.")
@click.option("--store", "path", type=_PATH, default=Path("results/sweeps.sqlite"), show_default=True, help="Database.")
def results(
    subject: str | None,
    conditions: tuple[str, ...],
    name: str | None,
    columns: str | None,
    limit: int,
    errors: bool,
    every_version: bool,
    target: Path | None,
    as_json: bool,
    saved: Path | None,
    path: Path,
) -> None:
    """List the results of sweeps: an overview, or the cells of SUBJECT (chain, C8, ...).

    From Python: gmlm.open_results("results/sweeps.sqlite").frame(subject="chain", k=2).
    """
    from experiments.cli.output import say, show_json
    from experiments.plain import plain
    from experiments.sweeps.results import export, open_results

    if saved is not None:
        from experiments.sweeps.salvage import salvage

        say(f"{salvage(path, saved)} cells saved in {saved}")
        return
    found = open_results(path, every_version=every_version)
    wanted = [*conditions]
    if subject is not None:
        wanted.insert(0, f"subject={_name(subject)}")
    if name is not None:
        wanted.insert(0, f"sweep={name}")
    if errors:
        wanted.append("status=failed")
    rows = found.rows(*wanted)
    if not rows and not as_json:
        say(found.why_none(*wanted) if wanted else "no cells")
        return
    if target is not None:
        frame = found.frame(*wanted)
        export(frame.dropna(axis="columns", how="all"), target)
        say(f"{len(frame)} rows in {target}")
    elif as_json:
        show_json(plain(rows))
    elif errors:
        _list(rows, ["subject", *_varying(rows, found), "seed", "failure"], limit)
    elif wanted or columns:
        _list(rows, _chosen(rows, found, columns), limit)
    else:
        _overview(rows, found)


def _name(subject: str) -> str:
    """The name under which a subject is stored: claims are stored by identifier."""
    from experiments.sweeps.subjects import load_subject

    return subject if ":" in subject else load_subject(subject).name


def _chosen(rows: Sequence[Row], found: Results, columns: str | None) -> list[str]:
    import difflib

    from theory.errors import InvalidInput

    known = list(dict.fromkeys(name for row in rows for name in row))
    if columns is None:
        subjects = sorted({row["subject"] for row in rows})
        outcomes = [column for name in subjects for column in _main_outcomes(name, found)]
        first = ["subject"] if len(subjects) > 1 else []
        return [*first, *_varying(rows, found), "seed", *(c for c in dict.fromkeys(outcomes) if c in known)]
    names = [name.strip() for name in columns.split(",")]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}? " if close else ""
            raise InvalidInput("columns", name, f"{hint}known here: {', '.join(known)}")
    return names


def _main_outcomes(subject: str, found: Results) -> Sequence[str]:
    """Outcomes worth a column: those that the workbench's own subjects describe, the first ones of others."""
    from experiments.sweeps.subjects import own_subject

    own = own_subject(subject)
    return list(own.quantities) if own is not None else found.names(subject)[1][:MOST_OUTCOMES]


def _varying(rows: Sequence[Row], found: Results) -> list[str]:
    """Parameters that take several values; none, where a subject's row has no such file, is one."""
    names: dict[str, set[str]] = {}
    for subject in dict.fromkeys(row["subject"] for row in rows):
        mine = [row for row in rows if row["subject"] == subject]
        for name in found.names(subject)[0]:
            names.setdefault(name, set()).update(repr(row.get(name)) for row in mine)
    return [name for name, values in names.items() if len(values) > 1]


def _list(rows: Sequence[Row], columns: Sequence[str], limit: int) -> None:
    from experiments.cli.output import say, show_table
    from experiments.plain import format_number

    files = [_file_names(rows, column) for column in columns]
    cells = (
        [
            names.get(row.get(column)) or format_number(row.get(column))
            for column, names in zip(columns, files, strict=True)
        ]
        for row in rows[:limit]
    )
    show_table(columns, cells)
    if len(rows) > limit:
        say(f"{len(rows) - limit} more rows; --limit, --where or --export show them")


def _file_names(rows: Sequence[Row], column: str) -> dict[Any, str]:
    """The files of a column by their names alone, where that tells them apart."""
    from experiments.sweeps.inputs import file_name

    found = {value: file_name(value) for row in rows if isinstance(value := row.get(column), str)}
    names = {value: name for value, name in found.items() if name is not None}
    return names if len(set(names.values())) == len(names) else {}


def _overview(rows: Sequence[Row], found: Results) -> None:
    from experiments.cli.output import in_words, show_table

    listed = []
    for subject in dict.fromkeys(row["subject"] for row in rows):
        mine = [row for row in rows if row["subject"] == subject]
        names = {name for row in mine for name in (row["sweep"] or "").split(", ") if name}
        listed.append(
            (
                subject,
                str(len(mine)),
                str(sum(row["status"] == "failed" for row in mine)),
                str(len({row["seed"] for row in mine})),
                in_words(sum(row["duration"] for row in mine) / len(mine)),
                max(row["finished"] for row in mine).replace("T", " ").partition("+")[0],
                ", ".join(_varying(mine, found)),
                ", ".join(sorted(names)),
            )
        )
    numbers = ("cells", "failed", "seeds", "mean time")
    show_table(("subject", *numbers, "last", "varied", "names"), listed, right=numbers)
