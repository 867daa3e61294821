"""The exact conditionals of a network on a window of sites, all others held as they are.

On n sites over q symbols all masks together take (q+1)^n - q^n rows of the network: 41, 1,261, 34,481 and 884,101 for
n = 2..5 and q = 20. Each mask is computed once, when it is first asked for, and kept in memory and, if wanted, on disk.

Legend: ``n`` sites of the window, ``q`` symbols, ``k`` masked sites, ``C`` contexts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulators.masked_lm.cache import Stored, TableFolder
from simulators.masked_lm.region import Region
from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.masks import Mask
from theory.memory import require_memory
from theory.states import check_sites, state_count

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Progress = Callable[[int, int], None]
"""Told how many rows are done, and of how many."""

SAVED_EVERY = 20.0
"""Seconds of work that a kill can cost."""


def rows_of(sites: int, symbols: int) -> int:
    """Rows of the network for all masks of a window."""
    return (int(symbols) + 1) ** sites - int(symbols) ** sites


def table_bytes(sites: int, symbols: int) -> float:
    """Memory of the tables of all masks of a window."""
    return (
        8.0
        * (symbols + 1)
        * sum(size * comb(sites, size) * float(symbols) ** (sites - size) for size in range(1, sites + 1))
    )


class WindowConditionals(ConditionalModel):
    """Conditionals of the sites of a region, numbered 0..n-1, over symbols 0..q-1.

    Args:
        region: the sites that may change, their alphabet, and the network.
        cache: folder where tables are kept, one a mask; None: in memory only.
        progress: told how many rows are done, and of how many.

    Attributes:
        region: as given.
        rows_asked: rows of the network that were computed here, not read.

    Raises:
        InvalidInput: a cache for a network without an identity.
        ExceedsMemory: the tables would not fit.
    """

    def __init__(self, region: Region, *, cache: str | Path | None = None, progress: Progress | None = None) -> None:
        self.region = region
        self.sites, self.symbols = region.sites, region.symbols
        self.rows_asked = 0
        self._progress = progress
        require_memory(
            table_bytes(self.sites, self.symbols),
            "sites",
            list(region.places),
            f"the tables of all masks ({self.rows} rows of the network)",
        )
        self._tables: dict[Mask, Stored] = {}
        self._folder = None
        if cache is not None:
            if region.network.identity is None:
                raise InvalidInput("cache", str(cache), "a network without an identity cannot be told from another")
            self._folder = TableFolder(Path(cache), self.key)

    @property
    def states(self) -> int:
        """q^n."""
        return state_count(self.sites, self.symbols)

    @property
    def rows(self) -> int:
        """Rows of the network for all masks."""
        return rows_of(self.sites, self.symbols)

    def mask_rows(self, size: int) -> int:
        """Rows of the network for a mask of a size: its contexts."""
        return int(self.symbols) ** (self.sites - size)

    @property
    def rows_missing(self) -> int:
        """Rows that neither memory nor disk has."""
        return sum(
            self.mask_rows(len(mask)) - (0 if (found := self._found(mask)) is None else found.laws.shape[1])
            for mask in self.masks()
        )

    def masks(self) -> list[Mask]:
        """All masks, the largest (and cheapest) first."""
        return [mask for size in range(self.sites, 0, -1) for mask in combinations(range(self.sites), size)]

    def compute_all(self) -> None:
        """Compute (or read) every table."""
        for mask in self.masks():
            self.token_conditionals(mask)

    def token_conditionals(self, masked: Iterable[int]) -> Array:
        chosen = check_sites(masked, self.sites)
        if not chosen:
            return np.zeros((0, self.states, self.symbols))
        return self._complete(chosen).laws

    def outside_mass(self) -> tuple[float, float]:
        """Mean and largest mass that the network puts outside the alphabet, over all masks, sites and contexts."""
        tables = [self._complete(mask).outside for mask in self.masks()]
        entries = sum(table.size for table in tables)
        return sum(float(table.sum()) for table in tables) / entries, max(float(table.max()) for table in tables)

    def _complete(self, mask: Mask) -> Stored:
        found = self._found(mask)
        contexts = self.mask_rows(len(mask))
        if found is None or found.laws.shape[1] < contexts:
            found = self._compute(mask, found, contexts)
        self._tables[mask] = found
        return found

    def _found(self, mask: Mask) -> Stored | None:
        if mask in self._tables:
            return self._tables[mask]
        if self._folder is None:
            return None
        found = self._folder.load(mask)
        if found is not None:
            self._tables[mask] = found
        return found

    def _compute(self, mask: Mask, found: Stored | None, contexts: int) -> Stored:
        laws = np.empty((len(mask), contexts, self.symbols))
        outside = np.empty((len(mask), contexts))
        first = 0
        if found is not None:
            first = found.laws.shape[1]
            laws[:, :first], outside[:, :first] = found.laws, found.outside
        saved = time.monotonic()
        total = self.rows if self._progress is not None else 0
        missing = self.rows_missing if self._progress is not None else 0
        step = self.region.network.rows_at_once * self.region.network.threads
        for start in range(first, contexts, step):
            stop = min(start + step, contexts)
            rows, left = self.region.laws(self._tokens(mask, np.arange(start, stop)), mask)
            laws[:, start:stop], outside[:, start:stop] = rows.transpose(1, 0, 2), left.T
            self.rows_asked += stop - start
            if self._progress is not None:
                self._progress(total - missing + stop - first, total)
            if self._folder is not None and (stop == contexts or time.monotonic() - saved > SAVED_EVERY):
                self._folder.save(mask, Stored(laws[:, :stop], outside[:, :stop]))
                saved = time.monotonic()
        return Stored(laws, outside)

    def _tokens(self, mask: Mask, contexts: NDArray[np.int64]) -> Ids:
        """Partly masked sequences of the window at some contexts, [B, n]."""
        tokens = np.full((len(contexts), self.sites), self.symbols, dtype=np.int64)
        kept = [site for site in range(self.sites) if site not in mask]
        if kept:
            tokens[:, kept] = np.stack(np.unravel_index(contexts, (self.symbols,) * len(kept)), axis=1)
        return tokens

    @property
    def key(self) -> dict[str, object]:
        """Plain data that says everything on which the numbers depend."""
        region = self.region
        context = region.context.copy()
        context[list(region.places)] = region.network.mask
        return {
            "network": region.network.identity,
            "precision": region.network.precision,
            "frame": [list(region.network.prefix), list(region.network.suffix)],
            "context": context.tolist(),
            "sites": list(region.places),
            "alphabet": region.ids.tolist(),
        }
