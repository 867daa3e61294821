"""Files and folders that a command will write: refused when the command line is read, before any work is done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from theory.errors import InvalidInput
from theory.files import require_writable, require_writable_folder

FIGURES = (".svg", ".png", ".pdf")
"""Endings of figures."""


class WrittenFile(click.Path):
    """A file that will be written, as a `Path`.

    Args:
        endings: of its name; any where none is given.
    """

    def __init__(self, *endings: str) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self.endings = endings

    def convert(
        self, value: str | os.PathLike[str], parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """The path.

        Raises:
            InvalidInput: another ending, or the file cannot be written.
        """
        path = Path(value)
        if self.endings and path.suffix not in self.endings:
            listed = " or ".join(filter(None, (", ".join(self.endings[:-1]), self.endings[-1])))
            raise InvalidInput(_named(parameter), str(path), f"the name must end in {listed}")
        require_writable(path, _named(parameter))
        return path


class WrittenFolder(click.Path):
    """A folder that will be written to, and made where it is not there, as a `Path`."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """The path.

        Raises:
            InvalidInput: it cannot be written to.
        """
        path = Path(value)
        require_writable_folder(path, _named(parameter))
        return path


def _named(parameter: click.Parameter | None) -> str:
    """How a parameter is called on the command line."""
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return "file" if parameter is None else str(parameter.name)
