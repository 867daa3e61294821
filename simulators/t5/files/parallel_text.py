"""Aligned text: pairs of lines from two files, or from one file of tab-separated values.

Anything that cannot be a sentence pair is refused with its line number rather than mended.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from simulators.text_files import invisible, read_content, split_lines
from theory.errors import InvalidInput


class Pairs(NamedTuple):
    """Sentence pairs, line i of both.

    Attributes:
        sources, targets: text.
        names: of the files, for errors.
    """

    sources: list[str]
    targets: list[str]
    names: tuple[str, str]


def read_lines(path: Path, argument: str = "file") -> list[str]:
    """The lines of a UTF-8 text file, stripped.

    Raises:
        InvalidInput: the file cannot be read, is empty, or has a line that is not UTF-8 or has nothing to be seen;
            names the line.
    """
    rows = split_lines(read_content(path, argument))
    if not rows:
        raise InvalidInput(argument, str(path), "is empty; one sentence a line is needed")
    lines = []
    for number, row in enumerate(rows, 1):
        try:
            lines.append(row.decode().strip())
        except UnicodeDecodeError as error:
            byte = row[error.start]
            raise InvalidInput(argument, f"{path}, line {number}", f"byte 0x{byte:02x} is not UTF-8 text") from None
    empty = [number for number, line in enumerate(lines, 1) if invisible(line)]
    if empty:
        shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        raise InvalidInput(
            argument,
            f"{path}, line {empty[0]}",
            f"is empty or invisible ({len(empty)} such lines in all: {shown}); remove the pairs",
        )
    return lines


def read_pairs(source: Path, target: Path | None = None) -> Pairs:
    """Sentence pairs from two aligned files, or from one file with a tab between source and target.

    Raises:
        InvalidInput: see `read_lines`; unequal numbers of lines; a line without exactly one tab, or with an empty side.
    """
    if target is not None:
        sources, targets = read_lines(source, "source"), read_lines(target, "target")
        if len(sources) != len(targets):
            raise InvalidInput(
                "target",
                f"{target} ({len(targets)} lines)",
                f"{source} has {len(sources)}; aligned files need as many lines",
            )
        return Pairs(sources, targets, (str(source), str(target)))
    sides: tuple[list[str], list[str]] = ([], [])
    lines = read_lines(source, "source")
    if not any("\t" in line for line in lines):
        raise InvalidInput(
            "target", "none", f"{source} has no tabs, so no translations: a file of targets, line by line, is needed"
        )
    for number, line in enumerate(lines, 1):
        columns = line.split("\t")
        if len(columns) != 2 or any(map(invisible, columns)):
            raise InvalidInput(
                "source",
                f"{source}, line {number}",
                f"{len(columns)} columns; two texts with a tab between are needed, or a second file of targets",
            )
        for side, column in zip(sides, columns, strict=True):
            side.append(column.strip())
    return Pairs(*sides, (str(source), str(source)))
