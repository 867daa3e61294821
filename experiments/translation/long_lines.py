"""Lines that are longer than a network can read: cut into parts at the ends of sentences, else between words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from theory.errors import InvalidInput

if TYPE_CHECKING:
    from simulators.t5.files.vocabulary import Vocabulary

SENTENCE_ENDS = ".!?…。！？"
CLOSING = "\"'”’»)]"


def ends_sentence(word: str) -> bool:
    """Whether a word is the last one of a sentence, by its punctuation."""
    return word.rstrip(CLOSING).endswith(tuple(SENTENCE_ENDS))


def parts_of(text: str, pieces: Vocabulary, longest: int) -> list[str]:
    """Consecutive parts of a line, each of at most ``longest`` tokens with EOS, as long as they can be.

    A part ends with a sentence where there is one, else with a word.

    Raises:
        InvalidInput: a single word is longer.
    """
    words = text.split()
    sizes = [len(row) - 1 for row in pieces.encode(words)]
    parts: list[str] = []
    start = 0
    while start < len(words):
        stop, total = start, 1
        while stop < len(words) and total + sizes[stop] <= longest:
            total += sizes[stop]
            stop += 1
        # Pieces may be longer or shorter across words; what counts is the part as a whole.
        while stop > start and len(pieces.encode([" ".join(words[start:stop])])[0]) > longest:
            stop -= 1
        if stop == start:
            raise InvalidInput(
                "word", words[start], f"{sizes[start] + 1} tokens with EOS; at most {longest} are allowed"
            )
        if stop < len(words):
            ends = [index + 1 for index in range(start, stop) if ends_sentence(words[index])]
            stop = ends[-1] if ends else stop
        parts.append(" ".join(words[start:stop]))
        start = stop
    return parts
