"""Mask laws: which sites are hidden, with what probability.

A mask K is a subset of the N sites. A *mask law* P_K lists the masks that have positive probability. An *adaptive*
mask law P(K | x) lets that probability depend on the sequence.

Legend: ``N`` sites, ``M`` masks in the list, ``S`` states. Source: Li et al. 2024, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.memory import require_memory
from theory.states import all_sequences, check_sites

Array = NDArray[np.float64]
Mask = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class MaskLaw:
    """A law over masks that does not look at the sequence.

    Attributes:
        sites: N.
        masks: M masks, each an ascending tuple of sites.
        probabilities: [M], positive, summing to 1.
        name: shown in results.
        uniform_size: k where the law is uniform over all masks of size k (fast algorithms use it), else None.
    """

    sites: int
    masks: tuple[Mask, ...]
    probabilities: Array
    name: str
    uniform_size: int | None = None

    def __post_init__(self) -> None:
        _check_masks(self.masks, self.sites)
        weights = np.asarray(self.probabilities, dtype=np.float64)
        if weights.shape != (len(self.masks),):
            raise InvalidInput("probabilities", f"shape {weights.shape}", f"one per mask, shape ({len(self.masks)},)")
        if not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-9:
            raise InvalidInput("probabilities", weights.tolist(), "mask probabilities are >= 0 and sum to 1")
        object.__setattr__(self, "probabilities", weights / weights.sum())

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


@dataclass(frozen=True, eq=False)
class AdaptiveMaskLaw:
    """A law over masks given the sequence.

    Attributes:
        sites, masks, name: as in `MaskLaw`.
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


def _check_masks(masks: Sequence[Mask], sites: int) -> None:
    if not masks:
        raise InvalidInput("masks", "an empty list", "at least one mask is needed")
    for mask in masks:
        if check_sites(mask, sites, "mask") != tuple(mask):
            raise InvalidInput("mask", mask, "sites must be in ascending order")
    if len(set(masks)) != len(masks):
        raise InvalidInput("masks", masks, "each mask may be listed once")


def _check_count(sites: int) -> None:
    if sites < 1:
        raise InvalidInput("sites", sites, "at least 1 site is needed")


def k_uniform(sites: int, size: int) -> MaskLaw:
    """Uniform over the subsets of ``size`` sites.

    Raises:
        InvalidInput: ``size`` outside 1..N.
    """
    _check_count(sites)
    if not 1 <= size <= sites:
        raise InvalidInput("k", size, f"the mask size must lie in 1..{sites}")
    count = comb(sites, size)
    require_memory(count * (8.0 * size + 120), "k", size, f"the list of {count} masks")
    return MaskLaw(sites, tuple(combinations(range(sites), size)), np.full(count, 1 / count), f"{size}-uniform", size)


def by_size(sites: int, size_law: ArrayLike, name: str = "by size") -> MaskLaw:
    """Draw |K| from ``size_law`` (shape [N+1], entry s the probability of size s), then K uniformly of that size.

    Raises:
        InvalidInput: a wrong shape, an entry that is negative or NaN, or a sum that is not 1.
    """
    _check_count(sites)
    weights = np.asarray(size_law, dtype=np.float64)
    if weights.shape != (sites + 1,):
        raise InvalidInput("size_law", f"shape {weights.shape}", f"sizes 0..{sites} need {sites + 1} probabilities")
    if not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-9:
        raise InvalidInput("size_law", weights.tolist(), "probabilities are >= 0 and sum to 1")
    require_memory(2.0**sites * (8.0 * sites + 120), "sites", sites, f"the list of 2^{sites} masks")
    masks: list[Mask] = []
    probabilities: list[float] = []
    for size, weight in enumerate(weights):
        if weight > 0:
            chosen = list(combinations(range(sites), size))
            masks += chosen
            probabilities += [float(weight) / len(chosen)] * len(chosen)
    return MaskLaw(sites, tuple(masks), np.array(probabilities), name)


def bernoulli(sites: int, ratio: float) -> MaskLaw:
    """Every site masked independently with probability ``ratio``; the empty mask is possible.

    Raises:
        InvalidInput: ``ratio`` outside (0, 1].
    """
    _check_count(sites)
    if not 0 < ratio <= 1:
        raise InvalidInput("ratio", ratio, "the mask ratio must lie in (0, 1]")
    law = [comb(sites, size) * ratio**size * (1 - ratio) ** (sites - size) for size in range(sites + 1)]
    return by_size(sites, law, f"Bernoulli({ratio:g})")


def uniform_ratio(sites: int) -> MaskLaw:
    """r ~ U(0, 1), then every site masked with probability r: |K| is uniform on 0..N (Beta integral)."""
    _check_count(sites)
    return by_size(sites, np.full(sites + 1, 1 / (sites + 1)), "uniform ratio")


def spans(sites: int, length: int, periodic: bool = False) -> MaskLaw:
    """A contiguous span of ``length`` sites, its start uniform; spans wrap around where ``periodic``.

    Raises:
        InvalidInput: ``length`` outside 1..N.
    """
    _check_count(sites)
    if not 1 <= length <= sites:
        raise InvalidInput("length", length, f"the span length must lie in 1..{sites}")
    starts = range(sites) if periodic and length < sites else range(sites - length + 1)
    masks = tuple(tuple(sorted((start + offset) % sites for offset in range(length))) for start in starts)
    return MaskLaw(sites, masks, np.full(len(masks), 1 / len(masks)), f"spans of {length}")


def partition(sites: int, blocks: Sequence[Iterable[int]]) -> MaskLaw:
    """One of fixed disjoint blocks that cover every site, each equally likely. The order of the blocks is kept.

    Raises:
        InvalidInput: the blocks overlap or miss a site.
    """
    _check_count(sites)
    masks = tuple(check_sites(block, sites, "block") for block in blocks)
    if sorted(site for mask in masks for site in mask) != list(range(sites)):
        raise InvalidInput("blocks", masks, f"the blocks must cover each of 0..{sites - 1} exactly once")
    if any(len(mask) == 0 for mask in masks):
        raise InvalidInput("blocks", masks, "a block must not be empty")
    return MaskLaw(sites, masks, np.full(len(masks), 1 / len(masks)), f"partition into {len(masks)} blocks")


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
