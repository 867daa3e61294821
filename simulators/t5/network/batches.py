"""Padding to few shapes, so that one compiled program serves every length within a bucket.

Legend: ``B`` batch, ``S`` source length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.t5.network.config import T5Config
from theory.errors import InvalidInput

BUCKETS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Lengths to which sequences are padded; beyond the last, multiples of it."""


def bucket(length: int, buckets: Sequence[int] = BUCKETS) -> int:
    """The smallest bucket that holds a length."""
    for size in buckets:
        if length <= size:
            return size
    return -(-length // buckets[-1]) * buckets[-1]


def batch_bucket(rows: int) -> int:
    """The smallest power of two that holds a number of rows."""
    return 1 << max(rows - 1, 0).bit_length()


def source_batch(config: T5Config, source: ArrayLike | Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """Source ids as [B, S], padded on the right to a bucket, rows to a power of two.

    Args:
        config: for its ids.
        source: ids [B, S] padded on the right, or one list of ids for each sentence (EOS included, as in training).

    Raises:
        InvalidInput: no sentence, ids outside the vocabulary, or padding before the end of a sentence.
    """
    try:
        rows = [np.asarray(row, dtype=np.int64).reshape(-1) for row in source]  # type: ignore[union-attr]
    except (TypeError, ValueError):
        raise InvalidInput("source", source, "ids [B, S] or a list of lists of ids are needed") from None
    if not rows:
        raise InvalidInput("source", "no sentence", "at least one is needed")
    longest = max(len(row) for row in rows)
    padded = np.full((batch_bucket(len(rows)), bucket(max(longest, 1))), config.pad_token_id, dtype=np.int32)
    for index, row in enumerate(rows):
        if row.size and (row.min() < 0 or row.max() >= config.vocab_size):
            raise InvalidInput(
                f"source[{index}]", int(row.max()), f"ids of the vocabulary, 0..{config.vocab_size - 1}, are needed"
            )
        tokens = row != config.pad_token_id
        if (tokens[1:] & ~tokens[:-1]).any():
            raise InvalidInput(f"source[{index}]", "padding before a token", "padding may only follow the sentence")
        padded[index, : len(row)] = row
    # A shape that is padded further than its own tokens need would compile a program of its own.
    used = int((padded != config.pad_token_id).sum(axis=1).max())
    return padded[:, : bucket(max(used, 1))]
