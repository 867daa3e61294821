"""Sequence-level distillation: the sources of a corpus with the translations of a teacher (Kim and Rush 2016,
arXiv:1606.07947).

Sources are translated in order of length, a group at a time; each group is appended to a journal beside the
destination and flushed, so that an interrupted distillation goes on after the last whole group. When all are done the
pairs are written at once, in the order of the sources, one ``source TAB translation`` a line: the two sides cannot
lose each other. Sources that are longer than allowed, and translations without any text, are left out and counted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulators.t5.decoding.translation import Translator
from simulators.t5.files.vocabulary import Vocabulary
from theory.errors import InvalidInput
from theory.files import read_regular, write_atomically

JOURNAL = ".part"
"""Added to the name of the destination."""

GROUP = 16
"""Batches of a group."""

Report = Callable[[int, int], None]
"""Called with the numbers of sources that are done and of all."""


class Distilled(NamedTuple):
    """What a distillation wrote.

    Attributes:
        pairs: lines of the destination.
        too_long, empty: sources left out because of their length, and because nothing was translated.
        resumed_at: sources that an earlier run had done.
    """

    pairs: int
    too_long: int
    empty: int
    resumed_at: int


def distil(
    translator: Translator,
    vocabulary: Vocabulary,
    sources: Sequence[str],
    destination: Path,
    *,
    longest: int,
    teacher: dict[str, Any],
    report: Report | None = None,
) -> Distilled:
    """Translate the sources and write the pairs.

    Args:
        translator: the teacher.
        vocabulary: of the teacher.
        sources: one sentence each.
        destination: file of the pairs.
        longest: most tokens of a source, EOS counted.
        teacher: plain data that tells teachers and their settings apart; must agree on resuming.
        report: progress.

    Raises:
        InvalidInput: the destination cannot be written to, or its journal is of another teacher or other sources.
    """
    rows = vocabulary.encode(sources)
    kept = [index for index, row in enumerate(rows) if len(row) <= longest]
    order = sorted(kept, key=lambda index: (len(rows[index]), index))
    digest = hashlib.sha256("\n".join(sources).encode()).hexdigest()
    journal = _Journal(
        destination.with_name(destination.name + JOURNAL), {"teacher": teacher, "sources": digest, "longest": longest}
    )
    with journal:
        resumed_at = len(journal.done)
        left = [index for index in order if index not in journal.done]
        size = GROUP * translator.rows
        for start in range(0, len(left), size):
            if report is not None:
                report(len(journal.done), len(order))
            group = left[start : start + size]
            targets = translator([rows[index] for index in group], first=len(journal.done))
            texts = vocabulary.decode(target.tokens for target in targets)
            journal.append({index: " ".join(text.split()) for index, text in zip(group, texts, strict=True)})
        if report is not None:
            report(len(order), len(order))
        lines = [f"{' '.join(sources[i].split())}\t{journal.done[i]}\n" for i in kept if journal.done[i]]
        write_atomically(destination, "".join(lines))
    journal.path.unlink()
    return Distilled(len(lines), len(sources) - len(kept), len(kept) - len(lines), resumed_at)


class _Journal:
    """Translations so far: a first line that says of what, then one JSON line for each source."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self.done: dict[int, str] = {}
        first = json.dumps(identity, sort_keys=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = read_regular(path).split(b"\n") if path.exists() else []
        except OSError as error:
            raise self._unwritable(error) from None
        # What follows the last line feed was torn by a kill.
        whole = lines[:-1]
        if whole and whole[0].decode(errors="replace") != first:
            raise InvalidInput(
                "out", str(path), "was begun with another teacher, other sources or settings; remove it to start again"
            )
        for number, line in enumerate(whole[1:], start=2):
            try:
                index, text = json.loads(line)
                self.done[int(index)] = str(text)
            except (ValueError, TypeError, RecursionError):
                raise InvalidInput("out", f"{path}, line {number}", "is damaged; remove it to start again") from None
        self._keep = sum(len(line) + 1 for line in whole)
        self._first = first

    def __enter__(self) -> _Journal:
        try:
            # Without a buffer: what a full disk did not take would be written again on closing, and fail there.
            self._file = open(self.path, "ab", buffering=0)  # closed in __exit__
            self._file.truncate(self._keep)
        except OSError as error:
            raise self._unwritable(error) from None
        if not self._keep:
            self._write(self._first + "\n")
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def _unwritable(self, error: OSError) -> InvalidInput:
        return InvalidInput("out", str(self.path), f"cannot be written: {error.strerror or error}")

    def append(self, texts: dict[int, str]) -> None:
        self._write("".join(json.dumps([index, text], ensure_ascii=False) + "\n" for index, text in texts.items()))
        self.done.update(texts)

    def _write(self, text: str) -> None:
        left = memoryview(text.encode())
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None
