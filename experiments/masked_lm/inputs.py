"""What the user gives: a sequence, sites, an alphabet, temperatures and mask sizes."""

from __future__ import annotations

import re
from pathlib import Path

from simulators.masked_lm import Alphabet, MaskedLM
from simulators.masked_lm.alphabets import AMINO_ACIDS, top_of
from theory.errors import InvalidInput
from theory.parameters import parse_numbers

SMALL_VOCABULARY = 100
"""Below this many tokens a vocabulary is taken for that of a protein model."""
LIKELIEST = 20
"""Symbols at each site where the vocabulary is large and nothing else is said."""


def read_sequences(text: str) -> list[tuple[str, str]]:
    """Names and sequences from text, or from the file that the text names: FASTA or plain text (one sequence).

    Raises:
        InvalidInput: an empty sequence, or a file that cannot be read.
    """
    try:
        path = Path(text)
        content = path.read_text(encoding="utf-8") if len(text) < 4096 and path.is_file() else text
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInput("--sequence", text, f"cannot be read as text: {error}") from None
    found: list[tuple[str, str]] = []
    if content.lstrip().startswith(">"):
        for record in re.split(r"^>", content.strip(), flags=re.MULTILINE)[1:]:
            head, _, body = record.partition("\n")
            found.append((head.strip(), re.sub(r"\s", "", body)))
    else:
        found.append(("sequence", content.strip()))
    for name, sequence in found:
        if not sequence:
            raise InvalidInput("--sequence", name if len(found) > 1 else text, "at least one token is needed")
    return found


def read_sequence(text: str) -> str:
    """The first sequence of `read_sequences`."""
    return read_sequences(text)[0][1]


def parse_sites(text: str, length: int, option: str = "--sites") -> tuple[int, ...]:
    """Sites written ``103:107`` (the end left out) or ``3,5,9``, numbered from 0.

    Args:
        text: what the option was given.
        length: of the sequence.
        option: named where the text cannot be used.

    Raises:
        InvalidInput: text that cannot be read, no site, one twice, or one outside the sequence.
    """
    sites: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?::\s*(\d+)\s*)?", part)
        if match is None:
            raise InvalidInput(option, text, "sites are written 103:107 (without 107) or 3,5,9, from 0")
        start = int(match[1])
        end = start + 1 if match[2] is None else int(match[2])
        if max(start + 1, end) > length:
            raise InvalidInput(option, text, f"the sequence has {length} tokens: sites are numbered 0..{length - 1}")
        sites += range(start, end)
    if not sites:
        raise InvalidInput(option, text, "at least one site is needed: in start:end the end is left out")
    if len(set(sites)) < len(sites):
        raise InvalidInput(option, text, "each site may be named once")
    return tuple(sorted(sites))


def choose_alphabet(model: MaskedLM, text: str | None) -> Alphabet | int:
    """The alphabet ``aa``, ``top:K`` or of a file with one symbol a line; by default what suits the vocabulary.

    Returns:
        An alphabet, or K: the K likeliest symbols of each site.

    Raises:
        InvalidInput: an alphabet that the model's vocabulary does not have, or a file that cannot be read.
    """
    if text is None:
        text = "aa" if model.alphabet.size < SMALL_VOCABULARY else f"top:{LIKELIEST}"
    if text == "aa":
        return model.spell(AMINO_ACIDS)
    if text.startswith("top:"):
        return top_of(text.partition(":")[2])
    path = Path(text)
    if not path.is_file():
        raise InvalidInput("--alphabet", text, "aa, top:K, or a file with one symbol a line")
    try:
        symbols = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise InvalidInput("--alphabet", text, "cannot be read as text") from None
    return model.spell(symbols)


def parse_temperatures(text: str) -> tuple[float, ...]:
    """Temperatures above 0, in the order given.

    Raises:
        InvalidInput: text that cannot be read, or a temperature that is not above 0.
    """
    found = parse_numbers(text, "--temperature")
    for value in found:
        if not value > 0:
            raise InvalidInput("--temperature", value, "above 0; greedy chains have no gap to speak of")
    return tuple(dict.fromkeys(float(value) for value in found))


def parse_block_sizes(text: str | None, sites: int) -> tuple[int, ...]:
    """Mask sizes 1..n; by default 1 to 3, as far as there are sites.

    Raises:
        InvalidInput: text that cannot be read, or a size outside 1..n.
    """
    if text is None:
        return tuple(range(1, min(3, sites) + 1))
    found = [int(value) for value in parse_numbers(text, "--k", whole=True)]
    for value in found:
        if not 1 <= value <= sites:
            raise InvalidInput("--k", value, f"the window has {sites} sites: 1..{sites}")
    return tuple(dict.fromkeys(found))
