"""Files that cells read: a cell names one by where it is and what it holds, ``laws/mine.npy@1f0c9a55e2d7``.

The twelve letters are the beginning of the file's SHA-256. A sweep that is given again after a file has changed is
therefore another sweep, whose cells are computed anew, and a worker that finds other contents than those that the
sweep was planned with refuses the cell. Where the file is, is said relative to the working folder if it lies in it.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from theory.errors import InvalidInput

_IDENTIFIED = re.compile(r"(.+)@([0-9a-f]{12})", re.DOTALL)


def identify(text: str, name: str) -> str:
    """A file as a cell names it; an empty text, which is no file, as it is.

    Args:
        text: a path, or a file as a cell names it, which must still hold the same.
        name: of the parameter, for messages.

    Raises:
        InvalidInput: there is no such file, it cannot be read, or it holds something else by now.
    """
    match = _IDENTIFIED.fullmatch(text)
    if match is not None and not Path(text).exists():
        locate(text, name)
        return text
    if not text:
        return text
    path = Path(text)
    relative = os.path.relpath(path)
    where = os.path.abspath(path) if relative.startswith("..") else relative
    return f"{where}@{_digest(path, name)}"


def locate(text: str, name: str) -> Path:
    """The file that a cell names.

    Raises:
        InvalidInput: it is gone, or holds something else than when the sweep was planned.
    """
    match = _IDENTIFIED.fullmatch(text)
    if match is None:
        return Path(text)
    path = Path(match.group(1))
    if _digest(path, name) != match.group(2):
        raise InvalidInput(name, str(path), f"has changed: the sweep was planned with contents {match.group(2)}")
    return path


def file_name(text: str) -> str | None:
    """The name of a file that a cell names, without its folder and contents; None for any other text."""
    match = _IDENTIFIED.fullmatch(text)
    return None if match is None else Path(match.group(1)).name


def _digest(path: Path, name: str) -> str:
    if not path.is_file():
        raise InvalidInput(name, str(path), "there is no such file")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise InvalidInput(name, str(path), f"cannot be read: {error.strerror or error}") from None
