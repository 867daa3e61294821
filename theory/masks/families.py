"""The mask laws that have a name, each with its options; `parse_masks` reads them from text.

A new law is its class and one line in `MASK_LAWS`; a rule that draws it in JAX without its list, where it should reach
many sites, is one function of `simulators.montecarlo.masks`.

Legend: ``N`` sites, ``k`` masked sites, ``B`` rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.errors import InvalidInput
from theory.masks.law import MANY, Array, Hidden, Listed, Mask, MaskLaw
from theory.parameters import named, parameter, parse_numbers
from theory.states import check_sites


class ExchangeableMasks(MaskLaw):
    """|K| has a law of its own, and K is uniform among the masks of its size."""

    @property
    def size_law(self) -> Array:
        """P(|K| = s) for s = 0..N, [N+1]."""
        raise NotImplementedError

    @property
    def largest(self) -> int:
        return int(np.flatnonzero(self.size_law)[-1])

    @property
    def count(self) -> int:
        return min(sum(comb(self.sites, int(size)) for size in np.flatnonzero(self.size_law)), MANY)

    def _list(self) -> tuple[tuple[Mask, ...], Array]:
        masks: list[Mask] = []
        probabilities: list[float] = []
        for size, weight in enumerate(self.size_law):
            if weight > 0:
                chosen = list(combinations(range(self.sites), size))
                masks += chosen
                probabilities += [float(weight) / len(chosen)] * len(chosen)
        weights = np.array(probabilities)
        return tuple(masks), weights / weights.sum()

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Hidden:
        sizes = np.searchsorted(np.cumsum(self.size_law)[:-1], generator.random((len(sequences), 1)), side="right")
        return np.asarray(_ranks(len(sequences), self.sites, generator) < sizes)


@dataclass(frozen=True)
class KUniform(ExchangeableMasks):
    """Uniform over the subsets of k sites."""

    key: ClassVar[str] = "k-uniform"
    sites: int
    k: int = parameter(1, "masked sites")

    def __post_init__(self) -> None:
        _check_count(self.sites)
        if not 1 <= self.k <= self.sites:
            raise InvalidInput("k", self.k, f"the mask size must lie in 1..{self.sites}")

    @property
    def name(self) -> str:
        return f"{self.k}-uniform"

    @property
    def uniform_size(self) -> int:
        return self.k

    @property
    def size_law(self) -> Array:
        return np.eye(1, self.sites + 1, self.k)[0]

    @cached_property
    def inclusion(self) -> Array:
        return np.full(self.sites, self.k / self.sites)

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Hidden:
        return np.asarray(_ranks(len(sequences), self.sites, generator) < self.k)


@dataclass(frozen=True)
class Bernoulli(ExchangeableMasks):
    """Every site masked independently with the same probability; the empty mask is possible."""

    key: ClassVar[str] = "bernoulli"
    sites: int
    ratio: float = parameter(0.15, "probability that a site is masked")

    def __post_init__(self) -> None:
        _check_count(self.sites)
        if not 0 < self.ratio <= 1:
            raise InvalidInput("ratio", self.ratio, "the mask ratio must lie in (0, 1]")

    @property
    def name(self) -> str:
        return f"Bernoulli({self.ratio:g})"

    @property
    def largest(self) -> int:
        return self.sites

    @property
    def count(self) -> int:
        return 1 if self.ratio == 1 else min(2**self.sites, MANY)

    @property
    def size_law(self) -> Array:
        n, r = self.sites, self.ratio
        return np.array([comb(n, size) * r**size * (1 - r) ** (n - size) for size in range(n + 1)])

    @cached_property
    def inclusion(self) -> Array:
        return np.full(self.sites, self.ratio)

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Hidden:
        return generator.random((len(sequences), self.sites)) < self.ratio


@dataclass(frozen=True)
class UniformRatio(ExchangeableMasks):
    """r ~ U(0, 1), then every site masked with probability r: |K| is uniform on 0..N (Beta integral)."""

    key: ClassVar[str] = "uniform-ratio"
    sites: int

    def __post_init__(self) -> None:
        _check_count(self.sites)

    @property
    def name(self) -> str:
        return "uniform ratio"

    @property
    def largest(self) -> int:
        return self.sites

    @property
    def count(self) -> int:
        return min(2**self.sites, MANY)

    @property
    def size_law(self) -> Array:
        return np.full(self.sites + 1, 1 / (self.sites + 1))

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Hidden:
        ratio = generator.random((len(sequences), 1))
        return generator.random((len(sequences), self.sites)) < ratio


@dataclass(frozen=True)
class Spans(MaskLaw):
    """A contiguous span of sites, its start uniform; spans wrap around where they are periodic."""

    key: ClassVar[str] = "spans"
    sites: int
    length: int = parameter(2, "sites of a span")
    periodic: bool = parameter(False, "whether spans wrap around from the last site to the first")

    def __post_init__(self) -> None:
        _check_count(self.sites)
        if not 1 <= self.length <= self.sites:
            raise InvalidInput("length", self.length, f"the span length must lie in 1..{self.sites}")

    @property
    def name(self) -> str:
        return f"spans of {self.length}"

    @property
    def largest(self) -> int:
        return self.length

    @property
    def count(self) -> int:
        return self.sites if self.periodic and self.length < self.sites else self.sites - self.length + 1

    def _list(self) -> tuple[tuple[Mask, ...], Array]:
        starts = range(self.count)
        masks = tuple(tuple(sorted((start + i) % self.sites for i in range(self.length))) for start in starts)
        return masks, np.full(len(masks), 1 / len(masks))

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Hidden:
        start = generator.integers(self.count, size=(len(sequences), 1))
        return np.asarray((np.arange(self.sites) - start) % self.sites < self.length)


@dataclass(frozen=True)
class Blocks(MaskLaw):
    """One of fixed disjoint blocks that cover every site, each equally likely; a systematic scan keeps their order."""

    key: ClassVar[str] = "blocks"
    sites: int
    of: str = parameter(dataclasses.MISSING, "blocks with / between them, sites with + or .. : 0+2/1+3, 0..3/4..7")

    def __post_init__(self) -> None:
        self._partition  # noqa: B018  # refuses what is no partition

    @cached_property
    def _partition(self) -> Listed:
        numbers = [parse_numbers(block.replace("+", ","), "blocks", True) for block in self.of.split("/")]
        return partition(self.sites, [[int(site) for site in block] for block in numbers])

    @property
    def name(self) -> str:
        return self._partition.name

    @property
    def largest(self) -> int:
        return self._partition.largest

    @property
    def count(self) -> int:
        return self._partition.count

    def _list(self) -> tuple[tuple[Mask, ...], Array]:
        return self._partition.masks, self._partition.probabilities


MASK_LAWS: dict[str, type[MaskLaw]] = {law.key: law for law in (KUniform, Bernoulli, UniformRatio, Spans, Blocks)}
"""Every mask law that has a name."""

_EARLIER = {
    "k": "k-uniform:k={}",
    "bernoulli": "bernoulli:ratio={}",
    "span": "spans:length={}",
    "spans": "spans:length={}",
    "cyclic-spans": "spans:length={},periodic=true",
}
"""How spellings of earlier versions, NAME=VALUE, are written now."""


def parse_masks(text: str, sites: int) -> MaskLaw:
    """A mask law over N sites from its name and options: ``k-uniform:k=2``, ``spans:length=3,periodic=true``.

    Raises:
        InvalidInput: an unknown law or option, or a value that the law does not allow.
    """
    if now := _written_now(text.strip()):
        raise InvalidInput("masks", text, f"is written {now}")
    law: MaskLaw = named(text.strip(), MASK_LAWS, "masks", {"sites": sites})
    return law


def _written_now(text: str) -> str:
    """The spelling of today for one of an earlier version, empty for any other text."""
    name, equals, value = text.partition("=")
    if name == "blocks" and equals:
        return "blocks:of=" + value.replace(",", "+").replace(";", "/")
    if equals:
        return _EARLIER.get(name, "").format(value)
    number = text.removesuffix("%")
    if not number.replace(".", "", 1).isdecimal():
        return ""
    return f"bernoulli:ratio={float(number) / (1 if number == text else 100):g}"


def k_uniform(sites: int, size: int) -> KUniform:
    """Uniform over the subsets of ``size`` sites.

    Raises:
        InvalidInput: ``size`` outside 1..N.
    """
    return KUniform(sites, size)


def bernoulli(sites: int, ratio: float) -> Bernoulli:
    """Every site masked independently with probability ``ratio``; the empty mask is possible.

    Raises:
        InvalidInput: ``ratio`` outside (0, 1].
    """
    return Bernoulli(sites, ratio)


def uniform_ratio(sites: int) -> UniformRatio:
    """r ~ U(0, 1), then every site masked with probability r: |K| is uniform on 0..N (Beta integral)."""
    return UniformRatio(sites)


def spans(sites: int, length: int, periodic: bool = False) -> Spans:
    """A contiguous span of ``length`` sites, its start uniform; spans wrap around where ``periodic``.

    Raises:
        InvalidInput: ``length`` outside 1..N.
    """
    return Spans(sites, length, periodic)


def partition(sites: int, blocks: Sequence[Iterable[int]]) -> Listed:
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
    return Listed(sites, masks, name=f"partition into {len(masks)} blocks")


def _check_count(sites: int) -> None:
    if sites < 1:
        raise InvalidInput("sites", sites, "at least 1 site is needed")


def _ranks(rows: int, columns: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """A uniform permutation of 0..columns-1 in each row."""
    return np.argsort(np.argsort(generator.random((rows, columns)), axis=1), axis=1)
