"""A corpus of text as symbols: reading, vocabulary, split into training and validation.

Without a file the corpus is the opening of *Alice's Adventures in Wonderland* (Lewis Carroll, 1865, public domain).

Legend: ``V`` characters of the vocabulary, ``q = V + 1`` symbols (the last stands for every unknown character).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulators.text_files import invisible, read_content
from theory.errors import InvalidInput

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""How the symbol for unknown characters is written."""


def read_corpus(path: Path | None = None) -> str:
    """The text of a UTF-8 file, or the embedded one. Line ends become ``\\n``.

    Raises:
        InvalidInput: no such file, not a file, not UTF-8, or nothing that can be seen.
    """
    if path is None:
        return files("simulators.gmlm.text").joinpath("alice.txt").read_text(encoding="utf-8")
    try:
        text = read_content(path, "corpus").decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InvalidInput("corpus", str(path), f"must be UTF-8 text; byte {error.start} is not") from None
    if invisible(text):
        raise InvalidInput("corpus", str(path), "is empty; some text is needed")
    return text


@dataclass(frozen=True)
class Vocabulary:
    """Characters in ascending order; symbol i is ``characters[i]``, symbol V every other character."""

    characters: str

    @staticmethod
    def of(text: str, minimum_count: int = 1) -> Vocabulary:
        """The characters that occur at least ``minimum_count`` times.

        Raises:
            InvalidInput: no character does.
        """
        chosen = "".join(sorted(c for c, count in Counter(text).items() if count >= minimum_count))
        if not chosen:
            raise InvalidInput("minimum_count", minimum_count, f"no character of the {len(text)} occurs so often")
        return Vocabulary(chosen)

    @property
    def symbols(self) -> int:
        """q."""
        return len(self.characters) + 1

    def encode(self, text: str) -> NDArray[np.int32]:
        """Symbols of the text, shape [len(text)]."""
        index = {character: symbol for symbol, character in enumerate(self.characters)}
        unknown = len(self.characters)
        return np.fromiter((index.get(character, unknown) for character in text), np.int32, len(text))

    def decode(self, symbols: NDArray[np.integer]) -> str:
        """The text of symbols [length]; the mask, q, is written as an underscore."""
        table = [*self.characters, UNKNOWN, "_"]
        return "".join(table[symbol] for symbol in symbols)


def split(text: str, window: int, validation: float = 0.1) -> tuple[str, str]:
    """Training text and validation text: the last part, a ``validation`` share of the characters.

    Raises:
        InvalidInput: a share outside (0, 1), or a text so short that either part lacks a whole window.
    """
    if not 0 < validation < 1:
        raise InvalidInput("validation", validation, "a share in (0, 1) is needed")
    if window < 1:
        raise InvalidInput("window", window, "at least 1 character is needed")
    cut = min(round(len(text) * (1 - validation)), len(text) - window)
    if cut < window:
        raise InvalidInput(
            "corpus",
            f"{len(text)} characters",
            f"training and validation need {window} each: use a longer text or a shorter window",
        )
    return text[:cut], text[cut:]


def consecutive_windows(symbols: NDArray[np.int32], window: int, limit: int | None = None) -> NDArray[np.int32]:
    """Windows that do not overlap, [count, window], evenly chosen where there are more than ``limit``.

    Raises:
        InvalidInput: fewer symbols than one window.
    """
    count = len(symbols) // window
    if count == 0:
        raise InvalidInput("text", f"{len(symbols)} characters", f"at least one window of {window} is needed")
    rows = symbols[: count * window].reshape(count, window)
    if limit is None or count <= limit:
        return rows
    return rows[np.linspace(0, count - 1, limit).round().astype(int)]
