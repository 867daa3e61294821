"""The account of the ablations on real text, in the page on translation.

    python -m experiments.documentation.ablations RECORD docs

takes the record of `gmlm t5 ablate`, keeps it as ``docs/data/t5-ablations.json``, draws its figures into
``docs/figures/translation`` as WebP, and writes what it says between two marks of ``docs/translation.md``. With the
kept record in place of RECORD, the page is made anew.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.documentation.command import run
from experiments.documentation.contact_sheet import webp
from experiments.documentation.markdown import escaped, table
from experiments.files import read_json, write_atomically, write_json
from experiments.translation.ablations.account import STORED, account
from theory.errors import InvalidInput
from theory.files import read_text

BEGIN, END = "<!-- begin: t5-ablations -->\n", "<!-- end: t5-ablations -->\n"
"""The marks; what stands between them is made."""

PAGE, FIGURES = "translation.md", "figures/translation"


def section(record: Mapping[str, Any], pictures: str = "") -> str:
    """What a record says, in Markdown.

    Args:
        record: of the study.
        pictures: folder of the figures, seen from the page; none are shown without one.

    Raises:
        KeyError, TypeError, ValueError, StopIteration: not a record of the study.
    """
    lines = []
    for part in account(record):
        lines += [f"### {part.title}\n", f"{escaped(part.text)}\n"]
        if part.figure and pictures:
            caption = escaped(part.caption)
            lines += [f"![{html.escape(part.title)}]({pictures}/{part.figure}.webp)\n", f"*{caption}*\n"]
        if part.table is not None:
            lines.append(table(part.table.columns, [[escaped(entry) for entry in row] for row in part.table.rows]))
    lines.append(f"Made by `{record['command']}`.\n")
    return "\n".join(lines)


def with_section(page: str, record: Mapping[str, Any]) -> str:
    """The page with what is between the marks made anew.

    Raises:
        InvalidInput: a page without the marks.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise InvalidInput(PAGE, "no marks", f"one line {BEGIN.strip()} and one {END.strip()} are needed")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{section(record, FIGURES)}\n{END}{rest.split(END)[1]}"


def main(path: Path, docs: Path) -> None:
    """Keep the record, draw it and write the section."""
    from experiments.translation.ablations.figures import drawings

    record = read_json(path)
    try:
        page = with_section(read_text(docs / PAGE), record)
        figures = drawings(record)
        shown = {part.figure: webp(figures[part.figure]()) for part in account(record) if part.figure}
    except (KeyError, TypeError, StopIteration) as error:
        raise InvalidInput("RECORD", str(path), f"a record of gmlm t5 ablate is needed ({error!r})") from None
    write_json(docs / "data" / STORED.name, record)
    for name, content in shown.items():
        write_atomically(docs / FIGURES / f"{name}.webp", content)
    write_atomically(docs / PAGE, page)
    print(f"{docs / PAGE}: {len(record['effects'])} choices, {len(record['parity'])} gaps, {len(shown)} figures")


if __name__ == "__main__":
    run(main, "RECORD", "DOCS")
