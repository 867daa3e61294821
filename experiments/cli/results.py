"""``gmlm results``: what the database of sweeps holds; lists, filters, exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from experiments.sweeps.results import Row

_PATH = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("subject", required=False)
@click.option("--where", "conditions", multiple=True, metavar="NAME=VALUE", help="Keep rows with k=1..3, J>=0.5, ...")
@click.option("--columns", metavar="A,B,...", help="Columns to list; by default what varies, and the main outcomes.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Rows to list at most.")
@click.option("--errors", is_flag=True, help="List failed cells with their errors.")
@click.option("--every-version", is_flag=True, help="Also what older versions of the code computed of the same cells.")
@click.option("--export", "target", type=_PATH, metavar="FILE", help="Write the rows to a .parquet or .csv file.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
@click.option("--salvage", "saved", type=_PATH, metavar="FILE", help="Copy what a damaged database still holds.")
@click.option("--store", "path", type=_PATH, default=Path("results/sweeps.sqlite"), show_default=True, help="Database.")
def results(
    subject: str | None,
    conditions: tuple[str, ...],
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

    From Python: experiments.sweeps.open_results("results/sweeps.sqlite").frame("subject=chain").
    """
    import json

    from experiments.claim import plain
    from experiments.sweeps.results import export, open_results

    if saved is not None:
        from experiments.sweeps.salvage import salvage

        click.echo(f"{salvage(path, saved)} cells saved in {saved}")
        return
    found = open_results(path, every_version=every_version)
    wanted = [*conditions]
    if subject is not None:
        wanted.insert(0, f"subject={_name(subject)}")
    if errors:
        wanted.append("status=failed")
    if target is not None:
        frame = found.frame(*wanted)
        export(frame.dropna(axis="columns", how="all"), target)
        click.echo(f"{len(frame)} rows in {target}")
        return
    rows = found.rows(*wanted)
    if as_json:
        click.echo(json.dumps(plain(rows), ensure_ascii=False))
    elif errors:
        _list(rows, ["subject", *_varying(rows), "seed", "failure"], limit)
    elif not rows:
        click.echo("no cells")
    elif wanted or columns:
        _list(rows, _chosen(rows, columns), limit)
    else:
        _overview(rows)


def _name(subject: str) -> str:
    """The name under which a subject is stored: claims are stored by identifier."""
    from experiments.sweeps.subjects import load_subject

    return load_subject(subject).name


def _chosen(rows: Sequence[Row], columns: str | None) -> list[str]:
    import difflib

    from theory.errors import InvalidInput

    known = list(dict.fromkeys(name for row in rows for name in row))
    if columns is None:
        from experiments.sweeps.subjects import load_subject

        subjects = sorted({row["subject"] for row in rows})
        outcomes = [column for name in subjects for column in load_subject(name).quantities]
        first = ["subject"] if len(subjects) > 1 else []
        return [*first, *_varying(rows), "seed", *(column for column in dict.fromkeys(outcomes) if column in known)]
    names = [name.strip() for name in columns.split(",")]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}? " if close else ""
            raise InvalidInput("columns", name, f"{hint}known here: {', '.join(known)}")
    return names


def _varying(rows: Sequence[Row]) -> list[str]:
    """Parameters that take several values."""
    from experiments.sweeps.subjects import load_subject
    from theory.parameters import describe

    names = [
        n
        for subject in dict.fromkeys(row["subject"] for row in rows)
        for n in describe(load_subject(subject).parameters)
    ]
    return [name for name in dict.fromkeys(names) if len({repr(row[name]) for row in rows if name in row}) > 1]


def _list(rows: Sequence[Row], columns: Sequence[str], limit: int) -> None:
    from rich.table import Table

    from experiments.report import format_number

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows[:limit]:
        table.add_row(*(format_number(row.get(column)) for column in columns))
    _print(table)
    if len(rows) > limit:
        click.echo(f"{len(rows) - limit} more rows; --limit, --where or --export show them")


def _overview(rows: Sequence[Row]) -> None:
    from rich.table import Table

    from experiments.sweeps.estimate import in_words

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("subject", "cells", "failed", "seeds", "mean time", "last", "varied"):
        table.add_column(title, justify="right" if title in {"cells", "failed", "seeds", "mean time"} else "left")
    for subject in dict.fromkeys(row["subject"] for row in rows):
        mine = [row for row in rows if row["subject"] == subject]
        table.add_row(
            subject,
            str(len(mine)),
            str(sum(row["status"] == "failed" for row in mine)),
            str(len({row["seed"] for row in mine})),
            in_words(sum(row["duration"] for row in mine) / len(mine)),
            max(row["finished"] for row in mine).replace("T", " ").partition("+")[0],
            ", ".join(_varying(mine)),
        )
    _print(table)


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 250  # into a file or a pipe, rows keep their full width
    console.print(table)
