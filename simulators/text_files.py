"""Text that people bring: UTF-8 with or without a byte order mark, any line ends, characters that nobody sees."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from theory.errors import InvalidInput
from theory.files import read_regular

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode categories of controls, formats (zero-width spaces, marks of direction, soft hyphens) and spaces."""


def invisible(text: str) -> bool:
    """Whether a text has no character that can be seen."""
    return all(character.isspace() or unicodedata.category(character) in UNSEEN for character in text)


def read_content(path: Path, argument: str) -> bytes:
    """The bytes of a text file, without a byte order mark.

    Args:
        path: a regular file, or a pipe that a shell made.
        argument: what the file is, for messages.

    Raises:
        InvalidInput: no such file, or one that cannot be read.
    """
    try:
        return read_regular(path).removeprefix(BYTE_ORDER_MARK)
    except FileNotFoundError:
        raise InvalidInput(argument, str(path), "there is no such file") from None
    except IsADirectoryError:
        raise InvalidInput(argument, str(path), "is a folder; name a text file") from None
    except OSError as error:
        raise InvalidInput(argument, str(path), f"cannot be read: {error.strerror or error}") from None


def split_lines(content: bytes) -> list[bytes]:
    """Lines without their ends; the last one needs none.

    Lines end with a line feed, or with a carriage return in a text that has no line feed at all. Nothing else ends a
    line: a rare separator inside a sentence must not shift an alignment.
    """
    rows = content.split(b"\n" if b"\n" in content else b"\r")
    if not rows[-1]:
        rows.pop()
    return [row.removesuffix(b"\r") for row in rows]
