"""The text of the study: a folder with aligned files ``train``, ``valid`` and ``test`` of two languages."""

from __future__ import annotations

import hashlib
import random
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


def split_text(pairs: Pairs, held_out: int, seed: int) -> Text:
    """Pairs in three parts, drawn at random; no sentence of the training stands in another part, whatever its case.

    Args:
        pairs: all there are.
        held_out: pairs to validate on, and as many to test on.
        seed: of the draw.

    Raises:
        InvalidInput: no pair held out, or none left to train on.
    """
    if not 1 <= held_out <= len(pairs.sources) // 4:
        raise InvalidInput(
            "held_out",
            held_out,
            f"1..{len(pairs.sources) // 4} of the {len(pairs.sources)} pairs, for each of two parts",
        )
    order = random.Random(seed).sample(range(len(pairs.sources)), len(pairs.sources))
    valid, test = order[:held_out], order[held_out : 2 * held_out]
    known = {side[i].casefold() for side in (pairs.sources, pairs.targets) for i in (*valid, *test)}
    sides = list(zip(pairs.sources, pairs.targets, strict=True))
    train = [i for i in sorted(order[2 * held_out :]) if known.isdisjoint(text.casefold() for text in sides[i])]
    if not train:
        raise InvalidInput("source", str(pairs.names[0]), "every pair has a sentence that is held out")
    return Text(
        *(
            pairs._replace(sources=[pairs.sources[i] for i in part], targets=[pairs.targets[i] for i in part])
            for part in (train, valid, test)
        )
    )


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
