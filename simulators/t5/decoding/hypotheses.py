"""Hypotheses of a source sentence: lengths that may be right, times random starts; and the choice of the best.

The lengths of a sentence are its k most likely ones, each shifted by -(w-1)/2..(w-1)/2 for a length beam of odd width w
and kept within 1..L_max; each is decoded p times from different random numbers. Hypotheses that repeat an earlier one
are skipped. The best has the largest

    sum_i ln p(y_i) / ((5 + l) / 6)^alpha,     l its length, EOS counted in both (Wu et al. 2016, arXiv:1609.08144).

Legend: ``B`` batch, ``k`` lengths, ``w`` length beam, ``p`` parallel decodes, ``M = k w p`` hypotheses, ``R`` rows.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray


class Hypotheses(NamedTuple):
    """One row for each hypothesis, sentence by sentence, then rows that fill up the last block.

    Attributes:
        sentences: row of the batch [R].
        lengths: EOS counted, [R].
        attempts: which of the parallel decodes [R].
        skipped: repeats of an earlier hypothesis, and filling [R].
    """

    sentences: NDArray[np.int32]
    lengths: NDArray[np.int32]
    attempts: NDArray[np.int32]
    skipped: NDArray[np.bool_]


def make_hypotheses(
    candidates: NDArray[np.integer], real: NDArray[np.bool_], beam: int, attempts: int, longest: int, multiple: int
) -> Hypotheses:
    """Rows of every hypothesis.

    Args:
        candidates: lengths, most likely first [B, k].
        real: sentences that are not padding of the batch [B].
        beam: w.
        attempts: p.
        longest: L_max.
        multiple: the number of rows is filled up to a multiple of it.
    """
    batch = candidates.shape[0]
    shifts = np.arange(beam) - beam // 2
    # The unshifted lengths come first, so that a repeat is the one that was reached by a shift.
    shifts = shifts[np.argsort(np.abs(shifts), kind="stable")]
    lengths = np.clip(candidates[:, None, :] + shifts[None, :, None], 1, longest).reshape(batch, -1)
    earlier = np.tril(np.ones((lengths.shape[1],) * 2, dtype=bool), -1)
    repeats = ((lengths[:, :, None] == lengths[:, None, :]) & earlier).any(axis=2) | ~real[:, None]
    per_sentence = lengths.shape[1] * attempts
    rows = Hypotheses(
        sentences=np.repeat(np.arange(batch, dtype=np.int32), per_sentence),
        lengths=np.repeat(lengths.astype(np.int32), attempts, axis=1).reshape(-1),
        attempts=np.tile(np.arange(attempts, dtype=np.int32), batch * lengths.shape[1]),
        skipped=np.repeat(repeats, attempts, axis=1).reshape(-1),
    )
    extra = -len(rows.sentences) % multiple
    if not extra:
        return rows
    return Hypotheses(
        np.pad(rows.sentences, (0, extra)),
        np.pad(rows.lengths, (0, extra), constant_values=1),
        np.pad(rows.attempts, (0, extra)),
        np.pad(rows.skipped, (0, extra), constant_values=True),
    )


def penalised(log_probability: jax.Array, lengths: jax.Array, alpha: float) -> jax.Array:
    """Score of hypotheses from their total log-probability and length."""
    return log_probability / ((5.0 + lengths.astype(jnp.float32)) / 6.0) ** alpha
