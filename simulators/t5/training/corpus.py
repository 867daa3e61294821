"""A tokenised corpus of sentence pairs and its order in training.

Ids of all sentences lie in one flat array for each side. A pair belongs to the *bucket* of the longer of its two
sentences; a batch holds pairs of one bucket, padded to it, with as many rows as keep its padded tokens at a given
number. So the number of compiled shapes is the number of buckets in use, and every step costs about the same.

Each epoch is a fresh permutation of the pairs within the buckets and of the batches, a function of the seed and the
epoch; the number of batches is the same in every epoch. The batch of step t is therefore a function of (seed, t), and
training that is resumed at step t sees exactly what it would have seen.

Legend: ``n`` pairs, ``B`` rows of a batch, ``S``, ``L`` padded lengths of source and target (both the bucket).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.t5.files.parallel_text import Pairs
from simulators.t5.files.vocabulary import PAD, Vocabulary
from simulators.t5.network.batches import bucket
from theory.errors import InvalidInput

TRAINING_BUCKETS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


class Batch(NamedTuple):
    """Ids padded on the right, [B, S] and [B, L]; rows without a pair are all padding."""

    source: NDArray[np.int32]
    target: NDArray[np.int32]


class Sentences:
    """Rows of ids of different lengths, in one array.

    Args:
        rows: ids of each sentence.
    """

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        self.lengths = np.array([len(row) for row in rows], dtype=np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)
        self.flat = np.fromiter((number for row in rows for number in row), dtype=np.int32, count=self.lengths.sum())

    def padded(self, chosen: NDArray[np.integer], width: int) -> NDArray[np.int32]:
        """The chosen sentences [B, width]; -1 stands for a row of padding."""
        position = np.arange(width)
        index = self.starts[chosen][:, None] + position
        inside = (position < self.lengths[chosen][:, None]) & (chosen >= 0)[:, None]
        return np.where(inside, self.flat[np.minimum(index, len(self.flat) - 1)], PAD).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokenised sentence pairs.

    Attributes:
        sources, targets: EOS at the end of each.
        skipped: pairs that were left out because a side was longer than the maximum.
    """

    sources: Sentences
    targets: Sentences
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.sources.lengths)

    @property
    def longest(self) -> NDArray[np.int64]:
        """Length of the longer sentence of each pair, [n]."""
        return np.maximum(self.sources.lengths, self.targets.lengths)

    @property
    def fingerprint(self) -> str:
        """Tells corpora apart."""
        digest = hashlib.sha256()
        for side in (self.sources, self.targets):
            digest.update(side.lengths.tobytes())
            digest.update(side.flat.tobytes())
        return digest.hexdigest()[:16]


def make_corpus(pairs: Pairs, vocabulary: Vocabulary, longest: int, strict: bool = False) -> Corpus:
    """Tokenise sentence pairs.

    Args:
        pairs: text.
        vocabulary: of both languages.
        longest: most tokens of a sentence, EOS counted; pairs with a longer one are left out and counted.
        strict: refuse them instead.

    Raises:
        InvalidInput: a sentence that is too long where ``strict`` says so, or no pair left.
    """
    sides = [vocabulary.encode(lines) for lines in (pairs.sources, pairs.targets)]
    kept = [number for number, rows in enumerate(zip(*sides, strict=True)) if max(map(len, rows)) <= longest]
    skipped = len(pairs.sources) - len(kept)
    if strict and skipped:
        first = next(i for i, rows in enumerate(zip(*sides, strict=True)) if max(map(len, rows)) > longest)
        side = 0 if len(sides[0][first]) > longest else 1
        raise InvalidInput(
            ("source", "target")[side],
            f"{pairs.names[side]}, line {first + 1}",
            f"{len(sides[side][first])} tokens; at most {longest} are allowed ({skipped} such pairs in all)",
        )
    if not kept:
        raise InvalidInput("longest", longest, "every pair has a longer sentence")
    sources, targets = (Sentences([rows[i] for i in kept]) for rows in sides)
    return Corpus(sources, targets, skipped)


class Batches:
    """The batches of a corpus, by step.

    Args:
        corpus: what to train on.
        tokens: padded target tokens of a batch; a batch of bucket l has about tokens / l rows.
        multiple: rows are a multiple of it, for data-parallel devices.
        seed: of the order; None keeps the corpus' own order, for validation.

    Attributes:
        per_epoch: batches of an epoch.

    Raises:
        InvalidInput: fewer than one token, or longer sentences than any bucket.
    """

    def __init__(self, corpus: Corpus, tokens: int, multiple: int = 1, seed: int | None = None) -> None:
        if tokens < 1:
            raise InvalidInput("batch_tokens", tokens, "at least 1 is needed")
        self.corpus = corpus
        self.seed = seed
        sizes = np.array([bucket(int(length), TRAINING_BUCKETS) for length in range(int(corpus.longest.max()) + 1)])
        bucket_of = sizes[corpus.longest]
        self._buckets = [
            (int(size), max(tokens // int(size) // multiple, 1) * multiple, np.flatnonzero(bucket_of == size))
            for size in np.unique(bucket_of)
        ]
        self.per_epoch = sum(-(-len(members) // rows) for _, rows, members in self._buckets)
        self._epoch = -1
        self._plan: list[tuple[int, NDArray[np.int64]]] = []

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(rows, padded length) of every bucket in use."""
        return [(rows, size) for size, rows, _ in self._buckets]

    def shape(self, step: int) -> tuple[int, int]:
        """(rows, padded length) of the batch of a step."""
        size, chosen = self._planned(step)
        return len(chosen), size

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        size, chosen = self._planned(step)
        return Batch(self.corpus.sources.padded(chosen, size), self.corpus.targets.padded(chosen, size))

    def __iter__(self) -> Iterator[Batch]:
        """One epoch, the first."""
        return (self(step) for step in range(self.per_epoch))

    def _planned(self, step: int) -> tuple[int, NDArray[np.int64]]:
        """Padded length and pairs of the batch of a step."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._plan, self._epoch = self._make_plan(epoch), epoch
        return self._plan[position]

    def _make_plan(self, epoch: int) -> list[tuple[int, NDArray[np.int64]]]:
        generator = None if self.seed is None else np.random.default_rng((self.seed, epoch))
        plan = []
        for size, rows, members in self._buckets:
            order = members if generator is None else generator.permutation(members)
            for start in range(0, len(order), rows):
                chosen = order[start : start + rows]
                plan.append((size, np.pad(chosen, (0, rows - len(chosen)), constant_values=-1)))
        return plan if generator is None else [plan[i] for i in generator.permutation(len(plan))]
