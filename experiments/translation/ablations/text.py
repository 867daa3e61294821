"""The text of the study: a folder with aligned files ``train``, ``valid`` and ``test`` of two languages."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from simulators.t5.files.parallel_text import Pairs, read_pairs
from theory.errors import InvalidInput

PARTS = ("train", "valid", "test")


class Text(NamedTuple):
    """Sentence pairs of each part."""

    train: Pairs
    valid: Pairs
    test: Pairs

    @property
    def fingerprint(self) -> str:
        """Tells texts to train on apart."""
        digest = hashlib.sha256()
        for pairs in (self.train, self.valid):
            for side in pairs[:2]:
                digest.update("\n".join(side).encode() + b"\0")
        return digest.hexdigest()[:16]


def read_text(folder: Path, languages: str) -> Text:
    """The pairs of a folder.

    Args:
        folder: holds ``train.de``, ``train.en``, ``valid.de``...
        languages: endings of sources and targets, such as "de-en".

    Raises:
        InvalidInput: not two different endings, or files that are missing, unreadable or not aligned.
    """
    source, dash, target = languages.partition("-")
    if not dash or not source or not target or source == target:
        raise InvalidInput("languages", languages, "the endings of sources and targets, such as de-en")
    if not folder.is_dir():
        raise InvalidInput("data", str(folder), "there is no such folder")
    return Text(*(read_pairs(folder / f"{part}.{source}", folder / f"{part}.{target}") for part in PARTS))
