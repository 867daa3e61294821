"""Drawing masks for training, at sizes where the masks of a law can be listed and where they cannot.

A *mask source* draws a boolean mask for every sequence of a batch. `listed` takes any mask law of `theory.masks`,
adaptive ones included; the other sources draw from the laws of the same names without listing their masks, for
sequences of hundreds of sites.

Legend: ``B`` batch, ``N`` sites, ``M`` masks in a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from theory.errors import InvalidInput
from theory.masks import AdaptiveMaskLaw, MaskLaw
from theory.states import state_index

Masks = NDArray[np.bool_]


class MaskSource(Protocol):
    """Draws masks.

    Attributes:
        sites: N.
        name: says which law it is; part of what a checkpoint is held to.
    """

    @property
    def sites(self) -> int: ...

    @property
    def name(self) -> str: ...

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Masks:
        """One mask for each sequence [B, N], True where masked, shape [B, N]."""
        ...


@dataclass(frozen=True, eq=False)
class Listed:
    """Masks of a law that lists them.

    Attributes:
        law: the law; P(K) or P(K | x).
        symbols: q, which only an adaptive law needs.
    """

    law: MaskLaw | AdaptiveMaskLaw
    symbols: int

    def __post_init__(self) -> None:
        table = np.zeros((len(self.law.masks), self.law.sites), dtype=bool)
        for row, mask in zip(table, self.law.masks, strict=True):
            row[list(mask)] = True
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_cumulative", np.cumsum(self.law.probabilities, axis=0))

    @property
    def sites(self) -> int:
        return self.law.sites

    @property
    def name(self) -> str:
        return self.law.name

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Masks:
        table: Masks = self._table  # type: ignore[attr-defined]
        cumulative: NDArray[np.float64] = self._cumulative  # type: ignore[attr-defined]
        uniform = generator.random(len(sequences))
        if cumulative.ndim == 1:
            chosen = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
        else:
            columns = cumulative[:, state_index(sequences, self.symbols)]
            chosen = (columns <= uniform * columns[-1]).sum(axis=0)
        return table[np.minimum(chosen, len(table) - 1)]


@dataclass(frozen=True)
class UniformSize:
    """``size`` sites, uniformly: the law `theory.masks.k_uniform`."""

    sites: int
    size: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.sites:
            raise InvalidInput("size", self.size, f"the mask size must lie in 1..{self.sites}")

    @property
    def name(self) -> str:
        return f"{self.size}-uniform"

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Masks:
        return _ranks(len(sequences), self.sites, generator) < self.size


@dataclass(frozen=True)
class Bernoulli:
    """Every site with probability ``ratio``: the law `theory.masks.bernoulli`."""

    sites: int
    ratio: float

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise InvalidInput("ratio", self.ratio, "the mask ratio must lie in (0, 1]")

    @property
    def name(self) -> str:
        return f"Bernoulli({self.ratio:g})"

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Masks:
        return generator.random((len(sequences), self.sites)) < self.ratio


@dataclass(frozen=True)
class UniformRatio:
    """r ~ U(0, 1) for each sequence, then every site with probability r: the law `theory.masks.uniform_ratio`."""

    sites: int

    @property
    def name(self) -> str:
        return "uniform ratio"

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Masks:
        ratio = generator.random((len(sequences), 1))
        return generator.random((len(sequences), self.sites)) < ratio


@dataclass(frozen=True)
class Spans:
    """A contiguous span of ``length`` sites, its start uniform: the law `theory.masks.spans`, not periodic."""

    sites: int
    length: int

    def __post_init__(self) -> None:
        if not 1 <= self.length <= self.sites:
            raise InvalidInput("length", self.length, f"the span length must lie in 1..{self.sites}")

    @property
    def name(self) -> str:
        return f"spans of {self.length}"

    def draw(self, sequences: NDArray[np.integer], generator: np.random.Generator) -> Masks:
        start = generator.integers(self.sites - self.length + 1, size=(len(sequences), 1))
        offset = np.arange(self.sites) - start
        return np.asarray((offset >= 0) & (offset < self.length))


def listed(law: MaskLaw | AdaptiveMaskLaw, symbols: int = 2) -> Listed:
    """The source that draws from a listed law; ``symbols`` (q) matters to adaptive laws only."""
    return Listed(law, symbols)


def parse_masks(text: str, sites: int) -> MaskSource:
    """A source from text: ``uniform-ratio``, ``0.15`` or ``15%`` (Bernoulli), ``k=3`` or ``span=4``.

    Raises:
        InvalidInput: text of no such form, or a number out of range.
    """
    word = text.strip()
    try:
        if word == "uniform-ratio":
            return UniformRatio(sites)
        if word.startswith("k="):
            return UniformSize(sites, int(word[2:]))
        if word.startswith("span="):
            return Spans(sites, int(word[5:]))
        ratio = float(word[:-1]) / 100 if word.endswith("%") else float(word)
    except InvalidInput:
        raise
    except ValueError:
        raise InvalidInput("masks", text, "uniform-ratio, a ratio such as 0.15 or 15%, k=3 or span=4") from None
    return Bernoulli(sites, ratio)


def _ranks(rows: int, columns: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """A uniform permutation of 0..columns-1 in each row."""
    return np.argsort(np.argsort(generator.random((rows, columns)), axis=1), axis=1)
