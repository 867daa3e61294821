"""Arrays and joint tables from files.

A table is an array of shape (q,)*N with the masses p(x), in numpy's ``.npy`` format. A flat array is refused: its
number of sites would have to be guessed.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.memory import require_memory


def open_numbers(path: str | PathLike[str], argument: str) -> NDArray[Any]:
    """The array of real numbers in a ``.npy`` file, as a memory map: only its header is read, and its length checked.

    Pickled objects are never read.

    Args:
        path: the file.
        argument: what the array is, for messages.

    Raises:
        InvalidInput: no such file, another format, a damaged or truncated file, or no real numbers.
    """
    file = Path(path)
    named = f"{argument} file {file}"
    if file.suffix != ".npy":
        raise InvalidInput(named, file.suffix or "no extension", "a .npy file is needed")
    if not file.is_file():
        raise InvalidInput(named, "missing", "there is no such file")
    try:
        stored = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # NumPy evaluates the header as Python text, which can fail in any way
        raise InvalidInput(named, "unreadable", f"not a readable .npy array ({error})") from None
    if stored.dtype.kind not in "fiu":
        raise InvalidInput(named, f"dtype {stored.dtype}", "real numbers are needed")
    return stored


def load_table(path: str | PathLike[str]) -> JointLaw:
    """The joint law stored in a ``.npy`` file; named after the file.

    A table that would not fit in memory is refused before it is loaded.

    Raises:
        InvalidInput: as `open_numbers`, or contents that are no joint law.
        ExceedsMemory: the table would not fit in memory.
    """
    file = Path(path)
    argument = f"table file {file}"
    stored = open_numbers(file, "table")
    if stored.ndim == 0 or len(set(stored.shape)) != 1 or stored.shape[0] < 2:
        raise InvalidInput(
            argument, f"shape {stored.shape}", "shape (q,)*N is needed, one axis per site, all of length q >= 2"
        )
    require_memory(24.0 * stored.size, argument, f"shape {stored.shape}", "the table")
    try:
        return JointLaw(stored, file.stem)
    except InvalidInput as error:
        raise InvalidInput(f"{error.argument} in {file}", error.value, error.allowed) from None
