"""The parallel language of `theory.language.parallel_language` as text, to train translators whose p(y | x) is known.

A source word v is written ``s<v>``; its translation in register z is ``<letter of z><v>``, the second token of a
doubled word ``<letter of z><v>'``. So the source "s3 s5" may become "a3 a5", "b3 b5" or "b3 b3' b5". The vocabulary
holds exactly these words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_lowercase

import numpy as np

from simulators.t5.files.parallel_text import Pairs
from simulators.t5.files.vocabulary import Vocabulary, train_vocabulary
from theory.errors import InvalidInput
from theory.language import ParallelLanguage

SOURCE_LETTER = "s"
REGISTER_LETTERS = ascii_lowercase.replace(SOURCE_LETTER, "")


def source_words(language: ParallelLanguage) -> list[str]:
    """How source words 0..W-1 are written."""
    return [f"{SOURCE_LETTER}{word}" for word in range(language.words)]


def target_words(language: ParallelLanguage) -> list[str]:
    """How target tokens are written, in the order of their numbers.

    Raises:
        InvalidInput: more registers than letters.
    """
    if language.registers > len(REGISTER_LETTERS):
        raise InvalidInput("register_weights", f"{language.registers} registers", f"at most {len(REGISTER_LETTERS)}")
    heads = [f"{REGISTER_LETTERS[z]}{word}" for z in range(language.registers) for word in range(language.words)]
    return heads + ([f"{head}'" for head in heads] if language.doubling else [])


def language_vocabulary(language: ParallelLanguage) -> Vocabulary:
    """A vocabulary of the words of both languages."""
    words = source_words(language) + target_words(language)
    return train_vocabulary([" ".join(words)], len(words) + 3, "word")


def source_text(source: Iterable[int], language: ParallelLanguage) -> str:
    """A source sentence as text."""
    words = source_words(language)
    return " ".join(words[word] for word in source)


def target_text(target: Iterable[int], language: ParallelLanguage) -> str:
    """A target sentence as text."""
    words = target_words(language)
    return " ".join(words[token] for token in target)


def register_letter(piece: str) -> str:
    """The letter of the register that a target piece is of, "-" for any other piece."""
    letter = piece.lstrip("\u2581")[:1]
    return letter if letter and letter in REGISTER_LETTERS and piece.lstrip("\u2581")[1:2].isdigit() else "-"


def text_pairs(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], language: ParallelLanguage, name: str = "parallel language"
) -> Pairs:
    """Sentence pairs as text."""
    sources, targets = source_words(language), target_words(language)
    return Pairs(
        [" ".join(sources[word] for word in source) for source, _ in pairs],
        [" ".join(targets[token] for token in target) for _, target in pairs],
        (name, name),
    )


def sample_text(language: ParallelLanguage, count: int, seed: int, distilled: bool = False) -> Pairs:
    """Independent sentence pairs as text.

    Args:
        language: its law.
        count: pairs.
        seed: of the draw.
        distilled: one mode for each source in place of a drawn target.
    """
    if count < 1:
        raise InvalidInput("pairs", count, "at least 1 is needed")
    pairs = language.sample_pairs(count, np.random.default_rng(seed))
    if distilled:
        pairs = [(source, language.mode(source)) for source, _ in pairs]
    return text_pairs(pairs, language)
