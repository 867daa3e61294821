"""What a mask law is: masks and their probabilities, listed only where somebody asks, and drawn at any size.

A mask K is a subset of the N sites. A *mask law* P_K gives masks their probabilities; an *adaptive* mask law P(K | x)
lets them depend on the sequence. Listing costs memory in proportion to the number of masks, drawing does not.

Legend: ``N`` sites, ``M`` masks of positive probability, ``S`` states, ``B`` rows. Source: Li et al. 2024, section 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.memory import require_memory
from theory.states import all_sequences, check_sites, state_index

Array = NDArray[np.float64]
Mask = tuple[int, ...]
Hidden = NDArray[np.bool_]
"""Masks as rows, [B, N], True where masked."""

MANY = 2**62
"""More masks than anything lists; counts are not taken beyond it."""


class MaskLaw(ABC):
    """A law over masks that does not look at the sequence.

    Attributes:
        sites: N.
        uniform_size: k where the law is uniform over all masks of size k (fast algorithms use it), else None.
    """

    sites: int

    @property
    def uniform_size(self) -> int | None:
        return None

    @property
    @abstractmethod
    def name(self) -> str:
        """Shown in results, and part of what a checkpoint is held to."""

    @property
    @abstractmethod
    def largest(self) -> int:
        """The size of the largest mask, in sites."""

    @property
    @abstractmethod
    def count(self) -> int:
        """M, or about; at most `MANY`."""

    @abstractmethod
    def _list(self) -> tuple[tuple[Mask, ...], Array]:
        """The masks, each an ascending tuple of sites, and their probabilities [M]."""

    @cached_property
    def _listed(self) -> tuple[tuple[Mask, ...], Array]:
        needed = float(self.count) * (8.0 * self.largest + 120)
        require_memory(needed, "masks", self.name, f"the list of {self.count} masks of {self.sites} sites")
        return self._list()

    @property
    def masks(self) -> tuple[Mask, ...]:
        """The M masks, each an ascending tuple of sites.

        Raises:
            ExceedsMemory: the list would not fit.
        """
        return self._listed[0]

    @property
    def probabilities(self) -> Array:
        """The probability of each of ``masks``, [M], summing to 1."""
        return self._listed[1]

    @property
    def mean_size(self) -> float:
        """E|K|, in sites."""
        return float(sum(p * len(mask) for mask, p in zip(self.masks, self.probabilities, strict=True)))

    @cached_property
    def inclusion(self) -> Array:
        """P(i in K) for every site, shape [N]."""
        result = np.zeros(self.sites)
        for mask, probability in zip(self.masks, self.probabilities, strict=True):
            result[list(mask)] += probability
        return result

    def sample(self, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Indices into ``masks`` of independent draws, shape [count]."""
        return generator.choice(len(self.masks), size=count, p=self.probabilities)

    @cached_property
    def _rows(self) -> Hidden:
        return _as_rows(self.masks, self.sites)

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Hidden:
        """One mask for each of the sequences [B, N]. Laws that draw without their list override this."""
        return self._rows[self.sample(len(sequences), generator)]

    def listed(self) -> Listed:
        """The same law, drawn from through its list: one random number a mask."""
        return Listed(self.sites, self.masks, self.probabilities, self.name)


class Listed(MaskLaw):
    """A mask law given by its list.

    Args:
        sites: N.
        masks: M masks, each an ascending tuple of sites.
        probabilities: [M], not negative, summing to 1; equal where None.
        name: shown in results.

    Raises:
        InvalidInput: no mask, one that is listed twice or out of order, or numbers that are no probabilities.
    """

    def __init__(
        self, sites: int, masks: Sequence[Mask], probabilities: ArrayLike | None = None, name: str = "listed"
    ) -> None:
        given = tuple(masks)
        _check_masks(given, sites)
        weights = np.asarray(np.ones(len(given)) if probabilities is None else probabilities, dtype=np.float64)
        if probabilities is None:
            weights = weights / len(given)
        if weights.shape != (len(given),):
            raise InvalidInput("probabilities", f"shape {weights.shape}", f"one per mask, shape ({len(given)},)")
        if not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-9:
            raise InvalidInput("probabilities", weights.tolist(), "mask probabilities are >= 0 and sum to 1")
        self.sites = sites
        self._name = name
        self._given = given, weights / weights.sum()

    @property
    def name(self) -> str:
        return self._name

    @property
    def largest(self) -> int:
        return max(map(len, self._given[0]))

    @property
    def count(self) -> int:
        return len(self._given[0])

    def _list(self) -> tuple[tuple[Mask, ...], Array]:
        return self._given

    def listed(self) -> Listed:
        return self


@dataclass(frozen=True, eq=False)
class AdaptiveMaskLaw:
    """A law over masks given the sequence.

    Attributes:
        sites, masks, name: as in `Listed`.
        probabilities: [M, S], column x the law P(. | x).
    """

    sites: int
    masks: tuple[Mask, ...]
    probabilities: Array
    name: str = field(default="adaptive")

    def __post_init__(self) -> None:
        _check_masks(self.masks, self.sites)
        weights = np.asarray(self.probabilities, dtype=np.float64)
        if weights.ndim != 2 or weights.shape[0] != len(self.masks):
            raise InvalidInput("probabilities", f"shape {weights.shape}", f"shape ({len(self.masks)}, S) is needed")
        if not (weights >= 0).all() or np.abs(weights.sum(axis=0) - 1).max() > 1e-9:
            raise InvalidInput("probabilities", "its columns", "must be >= 0 and sum to 1 for every sequence")
        object.__setattr__(self, "probabilities", weights / weights.sum(axis=0))

    @cached_property
    def _drawing(self) -> tuple[Hidden, Array, int]:
        """The masks as rows, their cumulative probabilities [M, S], and q."""
        symbols = round(self.probabilities.shape[1] ** (1 / self.sites))
        return _as_rows(self.masks, self.sites), np.cumsum(self.probabilities, axis=0), symbols

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Hidden:
        """One mask for each of the sequences [B, N]."""
        rows, cumulative, symbols = self._drawing
        columns = cumulative[:, state_index(sequences, symbols)]
        chosen = (columns <= generator.random(len(sequences)) * columns[-1]).sum(axis=0)
        return rows[np.minimum(chosen, len(rows) - 1)]

    def listed(self) -> AdaptiveMaskLaw:
        return self


def _as_rows(masks: Sequence[Mask], sites: int) -> Hidden:
    rows = np.zeros((len(masks), sites), dtype=bool)
    for row, mask in zip(rows, masks, strict=True):
        row[list(mask)] = True
    return rows


def _check_masks(masks: Sequence[Mask], sites: int) -> None:
    if not masks:
        raise InvalidInput("masks", "an empty list", "at least one mask is needed")
    for mask in masks:
        if check_sites(mask, sites, "mask") != tuple(mask):
            raise InvalidInput("mask", mask, "sites must be in ascending order")
    if len(set(masks)) != len(masks):
        raise InvalidInput("masks", masks, "each mask may be listed once")


def adaptive(
    sites: int,
    symbols: int,
    masks: Sequence[Iterable[int]],
    weight: Callable[[NDArray[np.int64], Mask], ArrayLike],
    name: str = "adaptive",
) -> AdaptiveMaskLaw:
    """P(K | x) proportional to ``weight(sequences [S, N], K) -> [S]`` over the listed masks.

    Raises:
        InvalidInput: a negative weight, or a sequence for which every weight is zero.
    """
    listed = tuple(check_sites(mask, sites, "mask") for mask in masks)
    sequences = all_sequences(sites, symbols)
    weights = np.array(
        [np.broadcast_to(np.asarray(weight(sequences, mask), dtype=np.float64), len(sequences)) for mask in listed]
    )
    totals = weights.sum(axis=0)
    if not (weights >= 0).all() or not (totals > 0).all():
        raise InvalidInput("weight", "its values", "must be >= 0 with a positive sum over the masks for every sequence")
    return AdaptiveMaskLaw(sites, listed, weights / totals, name)
