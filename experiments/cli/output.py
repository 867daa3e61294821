"""What commands print: lines, tables and JSON, on any terminal and into any pipe or file.

Text comes from strangers: names of files, errors stored in a database, titles. It is printed as text: no markup of the
table printer is read in it, and control characters, which could end a line or command a terminal, become escapes.
A stream that cannot write a sign (ASCII, a code page of Windows) gets one that it can: ``<=`` for ``≤``, ``Gamma`` for
``Γ``.
"""

from __future__ import annotations

import codecs
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from theory.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

NARROWEST = 60
"""Columns of a table at least; a terminal with fewer wraps its lines."""

WIDE = 250
"""Columns of a table in a file or a pipe: rows keep their full width."""

_SIGNS = {
    "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "−": "-", "–": "-", "—": "-", "‖": "||", "·": "*", "×": "x", "∞": "inf",
    "→": "->", "←": "<-", "∈": "in", "∝": "~", "∑": "sum", "Σ": "Sum", "√": "sqrt", "∂": "d", "…": "...", "✓": "+",
    "✗": "x", "“": '"', "”": '"', "‘": "'", "’": "'", "′": "'", "⊥": "_|_", "∪": "u", "∩": "n", "━": "-",
}  # fmt: skip


def _readable(error: UnicodeError) -> tuple[str, int]:
    """For signs that a stream cannot write: something that reads alike in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_in_ascii(sign) for sign in error.object[error.start : error.end]), error.end


def _in_ascii(sign: str) -> str:
    if sign in _SIGNS:
        return _SIGNS[sign]
    plain = "".join(part for part in unicodedata.normalize("NFKD", sign) if part.isascii())
    if plain:
        return plain
    if unicodedata.combining(sign):
        return ""
    words = unicodedata.name(sign, "").split()
    if words[:1] == ["GREEK"] and "LETTER" in words:
        letter = words[words.index("LETTER") + 1]
        return letter.capitalize() if "CAPITAL" in words else letter.lower()
    return sign.encode("ascii", "backslashreplace").decode()


def prepare_streams() -> None:
    """Let standard output and standard error write every text."""
    codecs.register_error("readable", _readable)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="readable")


def say(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(one_line(text), err=err)


def show_json(value: Any, indent: int | None = None) -> None:
    """Print strict JSON; signs that the stream may lack are written as escapes, which mean the same."""
    import json

    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("_", "-")
    click.echo(json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=not encoding.startswith("utf")))


def new_console(*, stderr: bool = False) -> Console:
    """A console wide enough for tables, whatever COLUMNS says."""
    from rich.console import Console

    console = Console(stderr=stderr, markup=False, emoji=False)
    console.width = max(console.width, NARROWEST) if console.is_terminal else WIDE
    return console


def new_table(columns: Sequence[str], right: Iterable[str] = (), title: str | None = None) -> Table:
    """An empty table whose cells fold rather than lose text.

    Args:
        columns: titles; empty ones make a table without a heading.
        right: titles of the columns that are set flush right.
        title: heading of the table.
    """
    from rich.table import Table

    heading = None if title is None else text_of(title)
    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        show_header=any(columns),
        title=heading,
        title_justify="left",
    )
    aligned = set(right)
    for column in columns:
        table.add_column(text_of(column), justify="right" if column in aligned else "left", overflow="fold")
    return table


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    right: Iterable[str] = (),
    title: str | None = None,
) -> None:
    """Print a table; see `new_table`. Cells are text as it is, or styled text."""
    table = new_table(columns, right, title)
    for row in rows:
        table.add_row(*(text_of(cell) if isinstance(cell, str) else cell for cell in row))
    new_console().print(table)


def text_of(text: str, style: str = "") -> Text:
    """Text for a cell: control characters escaped, no markup read in it."""
    from rich.text import Text

    return Text(one_line(text), style=style)


def in_words(seconds: float) -> str:
    """A duration for people: ``"40 s"``, ``"12 min"``, ``"3.5 h"``."""
    if seconds < 0.01:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
