"""Files that are there whole or not at all, and reading what others wrote."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from theory.errors import InvalidInput


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


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write to a temporary file beside ``path``, flush it to the disk, then rename it into place.

    Raises:
        InvalidInput: the folder cannot be written to, or the disk is full; an older file stays as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; results are as readable as any other file of the user.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise InvalidInput("file", str(path), f"cannot be written: {error.strerror or error}") from None
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
