"""Alphabets: which tokens of a vocabulary a chain moves among.

A network's vocabulary holds more than the symbols of a sequence: mask, padding, rare letters. A chain is defined on an
alphabet of its own, one list of token numbers for all sites (`Alphabet`) or one for each site of a window. Its entries
are single, distinct, known tokens; the probability that a network puts elsewhere is left out, and reported.

Legend: ``q`` symbols, ``V`` entries of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.errors import InvalidInput

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
"""The twenty, by their letters."""

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Alphabet:
    """Symbols and the numbers of their tokens.

    Attributes:
        symbols: what a symbol is called, [q].
        ids: the token of each, [q].

    Raises:
        InvalidInput: fewer than two symbols, one of them twice, or another number of tokens than of symbols.
    """

    symbols: tuple[str, ...]
    ids: Ids

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids, dtype=np.int64)
        if ids.shape != (len(self.symbols),):
            raise InvalidInput("alphabet", f"{ids.size} tokens for {len(self.symbols)} symbols", "one for each")
        if len(ids) < 2:
            raise InvalidInput("alphabet", self.symbols, "at least 2 symbols are needed")
        values, counts = np.unique(ids, return_counts=True)
        if counts.max() > 1:
            twice = [name for name, token in zip(self.symbols, ids, strict=True) if token == values[counts.argmax()]]
            raise InvalidInput("alphabet", twice, "each symbol must be a token of its own")
        object.__setattr__(self, "ids", ids)

    @property
    def size(self) -> int:
        """q."""
        return len(self.symbols)

    @staticmethod
    def numbered(size: int) -> Alphabet:
        """The symbols 0..q-1 of a network whose tokens are its symbols."""
        return Alphabet(tuple(str(number) for number in range(size)), np.arange(size))

    @staticmethod
    def of_tokens(symbols: Sequence[str], token_ids: Callable[[str], Sequence[int]], unknown: int | None) -> Alphabet:
        """The alphabet of some texts, each of which must be one known token.

        Args:
            symbols: the texts.
            token_ids: a text's tokens, without any that mark beginning or end.
            unknown: the token for what the vocabulary lacks, where there is one.

        Raises:
            InvalidInput: a text that is no token, several tokens or unknown, or one that is named twice.
        """
        ids = []
        for symbol in symbols:
            found = list(token_ids(symbol))
            if len(found) != 1:
                raise InvalidInput("alphabet", symbol, f"each entry must be one token; this is {len(found)}")
            if found[0] == unknown:
                raise InvalidInput("alphabet", symbol, "the model's vocabulary does not have this entry")
            ids.append(found[0])
        return Alphabet(tuple(symbols), np.array(ids, dtype=np.int64))


def top_of(count: str) -> int:
    """K of ``top:K``.

    Raises:
        InvalidInput: not a whole number of at least 2.
    """
    if not count.isdigit() or int(count) < 2:
        raise InvalidInput("alphabet", f"top:{count}", "top:K with a whole number K >= 2")
    return int(count)
