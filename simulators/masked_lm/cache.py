"""Tables of a window on disk: one file a mask, there whole or not at all, and resumable while it grows.

The folder of a window is named by a hash of everything that its numbers depend on: the network's weights and precision,
the context, the sites and the alphabet. A file holds the laws of the first ``rows`` contexts of one mask; it is written
anew from time to time while the network is at work, and a run that was interrupted goes on from there.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.files import write_atomically
from theory.masks import Mask

Array = NDArray[np.float64]


class Stored(NamedTuple):
    """Laws of the first contexts of a mask [k, rows, q], with the mass outside the alphabet [k, rows]."""

    laws: Array
    outside: Array


class TableFolder:
    """The tables of one window.

    Args:
        root: the cache.
        key: plain data that says everything on which the numbers depend.
    """

    def __init__(self, root: Path, key: Mapping[str, Any]) -> None:
        text = json.dumps(key, sort_keys=True, separators=(",", ":"))
        self.path = root / hashlib.sha256(text.encode()).hexdigest()[:24]
        self._key = text

    def load(self, mask: Mask) -> Stored | None:
        """What is there of a mask, or None; a file that is torn or of another window counts as absent."""
        try:
            # A torn file must not stay open: the handle is ours, not NumPy's.
            with self._file(mask).open("rb") as file, np.load(file, allow_pickle=False) as found:
                if str(found["key"]) != self._key:
                    return None
                return Stored(found["laws"], found["outside"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, mask: Mask, table: Stored) -> None:
        """Keep the table of a mask, or the part of it that is there.

        Raises:
            InvalidInput: the folder cannot be written to.
        """
        buffer = io.BytesIO()
        np.savez(buffer, key=self._key, laws=table.laws, outside=table.outside)
        write_atomically(self._file(mask), buffer.getvalue())

    def _file(self, mask: Mask) -> Path:
        return self.path / ("-".join(str(site) for site in mask) + ".npz")
