"""Character models fitted on a text: Markov chains of order 1 to 3 whose conditionals are smoothed counts.

p(a | context) = (count of context a + smoothing) / (count of context + q smoothing).

Alphabets: ``letters`` maps a text to a to z, lower case, and one space for every run of anything else; ``all`` keeps
every character that occurs, in order of their code points.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from theory.errors import InvalidInput
from theory.laws.length.markov import HIGHEST_ORDER, MarkovLaw
from theory.memory import require_memory

ALPHABETS = ("letters", "all")
LETTERS = " abcdefghijklmnopqrstuvwxyz"
SMOOTHING = 0.1
"""Default of the count that is added to every symbol after every context."""

MOST_CHARACTERS = 256
"""A text with more different characters is refused: its transition tables would be nearly empty."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        InvalidInput: a file that is missing, unreadable, or not UTF-8.
    """
    try:
        if not path.is_file():
            raise InvalidInput("corpus", str(path), "no such file" if not path.exists() else "a text file is needed")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("corpus", str(path), f"is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InvalidInput("corpus", str(path), f"cannot be read: {error.strerror}") from None


def encode(text: str, alphabet: str) -> tuple[NDArray[np.int64], str]:
    """Tokens of a text, and the characters in token order.

    Raises:
        InvalidInput: an unknown alphabet; a text without two different characters of it, or with more than 256; under
            ``letters``, a text none of whose characters are letters.
    """
    if alphabet not in ALPHABETS:
        raise InvalidInput("alphabet", alphabet, "one of " + ", ".join(ALPHABETS))
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    if alphabet == "letters":
        lower = np.where((codes >= 65) & (codes <= 90), codes + 32, codes)
        tokens = np.where((lower >= 97) & (lower <= 122), lower.astype(np.int64) - 96, 0)
        kept = np.append(True, (tokens[1:] > 0) | (tokens[:-1] > 0)) if len(tokens) else np.zeros(0, dtype=bool)
        tokens = tokens[kept]
        if not tokens.any():
            raise InvalidInput("corpus", _sample(text), "holds none of the letters a to z; try the alphabet all")
        return tokens, LETTERS
    characters, places = np.unique(codes, return_inverse=True)
    if not 2 <= len(characters) <= MOST_CHARACTERS:
        raise InvalidInput(
            "corpus",
            f"{len(characters)} different characters",
            f"2 to {MOST_CHARACTERS} are needed; the alphabet letters has 27",
        )
    return places.astype(np.int64).reshape(-1), "".join(chr(code) for code in characters)


def fit_markov(
    text: str, order: int, sites: int, alphabet: str = "letters", smoothing: float = SMOOTHING, name: str = ""
) -> MarkovLaw:
    """The character model of a text.

    Raises:
        InvalidInput: an order outside 1..3, a text that is too short or does not fit the alphabet, a negative
            smoothing, or none where contexts are left without a successor.
        ExceedsMemory: the table of contexts does not fit.
    """
    if not 1 <= order <= HIGHEST_ORDER:
        raise InvalidInput("order", order, f"1 to {HIGHEST_ORDER}")
    if not 0 <= smoothing < np.inf:
        raise InvalidInput("smoothing", smoothing, "a finite number >= 0 is needed")
    tokens, characters = encode(text, alphabet)
    q = len(characters)
    if len(tokens) <= order:
        raise InvalidInput("corpus", _sample(text), f"more than {order} characters are needed")
    require_memory(8.0 * 6 * q ** (order + 1), "order", order, f"the {q}^{order + 1} conditionals")
    numbers = np.zeros(len(tokens) - order, dtype=np.int64)
    for offset in range(order + 1):
        numbers = numbers * q + tokens[offset : len(tokens) - order + offset]
    counts = np.bincount(numbers, minlength=q ** (order + 1)).reshape(-1, q) + smoothing
    totals = counts.sum(axis=1, keepdims=True)
    if not totals.all():
        raise InvalidInput(
            "smoothing", smoothing, f"{int((totals == 0).sum())} contexts never occur; a positive number is needed"
        )
    return MarkovLaw((counts / totals).reshape((q,) * (order + 1)), sites, name or f"characters, order {order}")


def _sample(text: str) -> str:
    return text[:30]
