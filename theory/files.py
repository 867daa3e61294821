"""Files: written whole or not at all, and read only where they are what they should be.

*Writing.* The content goes to a temporary file beside the destination, is flushed to the disk and renamed into place,
so that a reader finds the old file or the new one, whole. The writer holds a lock on its temporary file, which ends
with the process: what a killed writer left behind is unlocked, and the next writer of the same file removes it.

*Reading.* Files come from strangers. A named pipe or a device never ends or waits for ever, a file may be larger than
the memory, and an editor may have put a byte order mark before the text: all of that is settled here, once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import IO, Any

from theory.errors import InvalidInput

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment, unused-ignore]

LARGEST_TEXT = 2**28
"""Bytes of a settings file or a record; a larger one is taken for a mistake."""

_ENDING = ".part"
_LONGEST_NAME = 100


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write to a temporary file beside ``path``, flush it to the disk, then rename it into place.

    Raises:
        InvalidInput: the folder cannot be written to, or the disk is full; an older file stays as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        file, temporary = _temporary_beside(path)
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            # Temporary files are private; results are as readable as any other file of the user.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            if fcntl is None:
                file.close()  # Windows renames closed files only
            os.replace(temporary, path)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise InvalidInput("file", str(path), f"cannot be written: {_reason(error)}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _temporary_beside(path: Path) -> tuple[IO[bytes], Path]:
    """A new file in the folder of ``path``, open and locked."""
    while True:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=_ENDING, dir=path.parent)
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(name):
            return os.fdopen(handle, "wb"), Path(name)
        os.close(handle)  # another writer has taken it for abandoned before it was locked


def _prefix(path: Path) -> str:
    return f".{path.name[:_LONGEST_NAME]}."


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of ``path`` whose writers are gone."""
    if fcntl is None:
        return
    pattern = re.compile(re.escape(_prefix(path)) + r"[a-z0-9_]{8}" + re.escape(_ENDING))
    for entry in os.scandir(path.parent):
        if not pattern.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
            continue
        with contextlib.suppress(OSError):  # locked: its writer lives; gone: somebody was faster
            handle = os.open(entry.path, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(entry.path)
            finally:
                os.close(handle)


def require_writable(path: Path, argument: str = "file") -> None:
    """Refuse a file that could not be written at the end of the work, before it begins. Leaves nothing behind.

    Raises:
        InvalidInput: a folder lies there, or the folder of the file (or the one in which it would be made) cannot be
            written to.
    """
    try:
        if path.is_dir():
            raise InvalidInput(argument, str(path), "cannot be written: it is a folder")
        if "\0" in str(path):
            raise ValueError("a name holds no null character")
        _try_folder(path.absolute().parent)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(argument, str(path), f"cannot be written: {_reason(error)}") from None


def require_writable_folder(path: Path, argument: str = "folder") -> None:
    """Refuse a folder that cannot be made or written to, before the work begins. Leaves nothing behind.

    Raises:
        InvalidInput: as `require_writable`.
    """
    try:
        _try_folder(path.absolute())
    except (OSError, ValueError) as error:
        raise InvalidInput(argument, str(path), f"cannot be written: {_reason(error)}") from None


def _try_folder(folder: Path) -> None:
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    with tempfile.TemporaryFile(dir=there) as file:
        file.write(b"\0")


def read_regular(path: Path, largest: int | None = None) -> bytes:
    """The content of a regular file; a pipe, a device or a folder is refused at once instead of being waited for.

    Pipes under ``/dev`` are read: they are what a shell makes of ``<(command)``.

    Args:
        path: the file.
        largest: most bytes, None for any number.

    Raises:
        OSError: the file cannot be read, is not a regular one, or is larger; ``strerror`` is fit for a message.
    """

    def at_once(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    with open(path, "rb", opener=at_once) as file:
        kind = os.fstat(file.fileno()).st_mode
        if stat.S_ISFIFO(kind) and path.is_relative_to("/dev"):
            os.set_blocking(file.fileno(), True)
        elif not stat.S_ISREG(kind):
            raise OSError(None, "is not a regular file")
        content = file.read(-1 if largest is None else largest + 1)
    if largest is not None and len(content) > largest:
        raise OSError(None, f"is larger than {largest:,} bytes")
    return content


def read_text(path: Path, argument: str = "file", largest: int | None = LARGEST_TEXT) -> str:
    """The UTF-8 text of a file, without a byte order mark, lines ended by line feeds.

    Args:
        path: the file, read as by `read_regular`.
        argument: what it is called in messages.
        largest: most bytes.

    Raises:
        InvalidInput: no such file, a pipe, device or folder, a file that is too large, cannot be read or is not UTF-8.
    """
    try:
        content = read_regular(path, largest)
    except FileNotFoundError:
        raise InvalidInput(argument, str(path), "there is no such file") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(argument, str(path), f"cannot be read: {_reason(error)}") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidInput(argument, str(path), "is UTF-16 text; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise InvalidInput(argument, str(path), f"is not UTF-8 text (byte 0x{byte:02x} at {error.start})") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text; text that nests so deeply that reading it fails is no JSON of ours.

    Raises:
        ValueError: no JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
