"""Vocabularies: text to ids and back, by SentencePiece.

Ids follow T5: pad 0, eos 1, unk 2, no bos; a joint vocabulary serves both languages. A folder holds ``spiece.model``
and ``tokenizer_config.json``, which `transformers`' ``T5Tokenizer.from_pretrained(folder)`` reads too, or the
``tokenizer.json`` of a published checkpoint. Two kinds are trained here: *unigram* pieces (Kudo 2018,
arXiv:1804.10959) and whole *words*, for languages with few of them.

Characters that the vocabulary does not know become the id of unk. Text is normalised before it is encoded (NFKC in
those trained here: a ligature becomes its letters), so that decoding what was encoded need not give the same text;
`simulators.t5.decoding.evaluation` says what that costs. Names of special tokens inside a text are text.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import sentencepiece

from theory.errors import InvalidInput
from theory.files import read_regular, write_atomically

PAD, EOS, UNKNOWN = 0, 1, 2

MODEL = "spiece.model"
FAST = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

RESERVED = "\u2585"
"""A character that SentencePiece keeps for itself, leaving out every line with it."""

LINE_BYTES = 4192
"""The longest line that SentencePiece trains on unless it is told otherwise."""

Kind = Literal["unigram", "word"]


class Vocabulary(ABC):
    """What turns text into ids.

    Attributes:
        size: number of ids.
        unknown: id of what is not known.
        content: bytes of the file that defines it.
    """

    size: int
    unknown: int
    content: bytes
    file: str

    @abstractmethod
    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Ids of each line, EOS at the end."""

    @abstractmethod
    def decode(self, rows: Iterable[Iterable[int]]) -> list[str]:
        """Text of each row of ids, up to its first EOS; padding is left out."""

    @abstractmethod
    def piece(self, number: int) -> str:
        """The piece of an id as it is written, a leading ``▁`` for a space."""

    @property
    def fingerprint(self) -> str:
        """Tells vocabularies apart."""
        return hashlib.sha256(self.content).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write the files that `load_vocabulary` reads.

        Raises:
            InvalidInput: the folder cannot be written to.
        """
        write_atomically(folder / self.file, self.content)
        # The pieces alone: without this, T5's tokenizer would add a hundred sentinels of its own.
        config = {
            "tokenizer_class": "T5Tokenizer",
            "extra_ids": 0,
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
        }
        write_atomically(folder / TOKENIZER_CONFIG, json.dumps(config, indent=2) + "\n")


def _up_to_eos(row: Iterable[int]) -> list[int]:
    kept = []
    for number in row:
        if number == EOS:
            break
        if number != PAD:
            kept.append(int(number))
    return kept


class SentencePieceVocabulary(Vocabulary):
    """A SentencePiece model.

    Args:
        content: bytes of ``spiece.model``.
        source: named in errors.

    Raises:
        InvalidInput: not a SentencePiece model, or other ids for pad, eos and unk than T5's.
    """

    file = MODEL

    def __init__(self, content: bytes, source: str = MODEL) -> None:
        self.content = content
        try:
            self._model = sentencepiece.SentencePieceProcessor(model_proto=content)
            ids = (self._model.pad_id(), self._model.eos_id(), self._model.unk_id())
        except RuntimeError:
            raise InvalidInput("vocabulary", source, "is truncated or not a SentencePiece model") from None
        if ids != (PAD, EOS, UNKNOWN):
            raise InvalidInput("vocabulary", source, f"has (pad, eos, unk) = {ids}; T5 needs {(PAD, EOS, UNKNOWN)}")
        self.size = self._model.get_piece_size()
        self.unknown = UNKNOWN

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        return self._model.encode(list(lines), out_type=int, add_eos=True)

    def decode(self, rows: Iterable[Iterable[int]]) -> list[str]:
        return self._model.decode([[i for i in _up_to_eos(row) if i < self.size] for row in rows])

    def piece(self, number: int) -> str:
        return self._model.id_to_piece(number)


class FastVocabulary(Vocabulary):
    """The ``tokenizer.json`` of a published checkpoint, read by the package `tokenizers`.

    Raises:
        InvalidInput: `tokenizers` is not installed, the file is not of its format, or its ids are not T5's.
    """

    file = FAST

    def __init__(self, content: bytes, source: str = FAST) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise InvalidInput(
                "vocabulary", source, f"needs the package tokenizers (pip install tokenizers), or {MODEL} instead"
            ) from None
        self.content = content
        try:
            self._tokenizer: Any = Tokenizer.from_str(content.decode())
        except Exception as error:  # the package raises plain Exception
            raise InvalidInput("vocabulary", source, f"is truncated or not a tokenizer ({error})") from None
        ids = tuple(self._tokenizer.token_to_id(token) for token in ("<pad>", "</s>", "<unk>"))
        if ids != (PAD, EOS, UNKNOWN):
            raise InvalidInput("vocabulary", source, f"has (pad, eos, unk) = {ids}; T5 needs {(PAD, EOS, UNKNOWN)}")
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # A text that holds the name of one of these is still text, written with the pieces of single characters.
        self._spelt = {
            number: [self._tokenizer.token_to_id(character) or UNKNOWN for character in name]
            for number, name in ((PAD, "<pad>"), (EOS, "</s>"))
        }
        self.size = self._tokenizer.get_vocab_size()
        self.unknown = UNKNOWN

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch(list(lines), add_special_tokens=False)
        return [
            [*(number for found in encoding.ids for number in self._spelt.get(found, (found,))), EOS]
            for encoding in encodings
        ]

    def decode(self, rows: Iterable[Iterable[int]]) -> list[str]:
        return self._tokenizer.decode_batch([[i for i in _up_to_eos(row) if i < self.size] for row in rows])

    def piece(self, number: int) -> str:
        return self._tokenizer.id_to_token(number)


def _files(path: Path) -> list[Path]:
    """Where the vocabulary of a folder may be, or the file itself."""
    return [path / MODEL, path / FAST] if path.is_dir() else [path]


def require_own_vocabulary(vocabulary: Vocabulary, source: str, folder: Path) -> None:
    """Raise where a checkpoint folder has a vocabulary that gives other pieces to the same ids.

    Args:
        vocabulary: to be used with the checkpoint.
        source: named in the error.
        folder: of the checkpoint; one without a vocabulary, or that does not exist yet, agrees with any.

    Raises:
        InvalidInput: a piece differs, or the folder's vocabulary cannot be read.
    """
    if not any(file.exists() for file in _files(folder)):
        return
    own = load_vocabulary(folder)
    if own.fingerprint == vocabulary.fingerprint:
        return
    for number in range(min(own.size, vocabulary.size)):
        if (here := vocabulary.piece(number)) != (there := own.piece(number)):
            raise InvalidInput(
                "vocabulary", source, f"id {number} is {here!r} here and {there!r} in {folder}; use its own vocabulary"
            )


def load_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a checkpoint folder, or of a file ``*.model`` or ``*.json``.

    Raises:
        InvalidInput: there is none, or it cannot be read.
    """
    for candidate in _files(path):
        try:
            content = read_regular(candidate)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InvalidInput("vocabulary", str(candidate), f"cannot be read: {error.strerror or error}") from None
        kind = FastVocabulary if candidate.suffix == ".json" else SentencePieceVocabulary
        return kind(content, str(candidate))
    raise InvalidInput(
        "vocabulary", str(path), f"holds neither {MODEL} nor {FAST}" if path.is_dir() else "no such file"
    )


def train_vocabulary(lines: Iterable[str], size: int, kind: Kind = "unigram", coverage: float = 1.0) -> Vocabulary:
    """A vocabulary of the pieces that explain the lines best, the same for the same lines.

    Args:
        lines: text of all languages.
        size: the largest number of ids, the three special ones counted; a short text gives fewer.
        kind: "unigram" pieces or whole "word"s.
        coverage: share of all characters that must be known.

    Raises:
        InvalidInput: a size that the characters of the text alone exceed, or another coverage than (0, 1].
    """
    lines = [line.replace(RESERVED, " ") for line in lines]
    if size < 4:
        raise InvalidInput("size", size, "at least 4 ids are needed")
    if not 0 < coverage <= 1:
        raise InvalidInput("coverage", coverage, "a share in (0, 1] is needed")

    def trained(exactly: bool) -> Vocabulary:
        written = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            vocab_size=size,
            model_type=kind,
            character_coverage=coverage,
            # Longer lines would be left out without a word, and their characters with them.
            max_sentence_length=max(LINE_BYTES, *(len(line.encode()) for line in lines), 0),
            pad_id=PAD,
            eos_id=EOS,
            unk_id=UNKNOWN,
            bos_id=-1,
            num_threads=1,
            hard_vocab_limit=exactly,
            minloglevel=2,
        )
        return SentencePieceVocabulary(written.getvalue())

    try:
        return trained(kind == "unigram")
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
    if "size too high" in reason:
        return trained(False)
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", reason):
        allowed = f"at least {found[1]} are needed for the characters of this text, or a coverage below {coverage:g}"
        raise InvalidInput("size", size, allowed)
    raise InvalidInput("size", size, f"no such vocabulary can be made of this text ({reason[:200]})")
