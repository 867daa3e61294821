"""How much of a score, or of a difference of scores, the choice of the test sentences explains.

BLEU, chrF and stutter are functions of sums over sentences: of matches and totals of n-grams and lengths, and of equal
neighbours and all neighbours. Sentences are drawn with replacement, the same ones for every system (Koehn 2004), so
that a difference of two systems is one of the same sentences; a mean over seeds is taken draw by draw. The interval
of what is drawn knows nothing of how another seed of training would have come out.

Legend: ``n`` sentences, ``K`` numbers that a score needs, ``D`` draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.t5.decoding.evaluation import TOKENIZERS
from theory.errors import InvalidInput

Scores = dict[str, NDArray[np.float64]]
"""bleu, chrf (0..100) and stutter (0..1): of all sentences, then of each draw, [1 + D]."""


class Interval(NamedTuple):
    """A value with its 95% interval over sentences."""

    value: float
    low: float
    high: float


def drawn_weights(count: int, draws: int, seed: int = 0) -> NDArray[np.int64]:
    """How often each of ``count`` sentences is drawn, [1 + D, n]; the first row is the test set itself.

    Raises:
        InvalidInput: no sentence or no draw.
    """
    for name, value in (("count", count), ("draws", draws)):
        if value < 1:
            raise InvalidInput(name, value, "at least 1 is needed")
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return np.concatenate([np.ones((1, count), np.int64), drawn])


def drawn_scores(
    texts: Sequence[str],
    tokens: Sequence[Sequence[int]],
    references: Sequence[str],
    weights: NDArray[np.int64],
    tokenizer: str = "13a",
) -> Scores:
    """The scores of a system on every draw.

    Args:
        texts, references: of each sentence.
        tokens: the pieces of ``texts``, for stutter.
        weights: see `drawn_weights`.
        tokenizer: of BLEU.

    Raises:
        InvalidInput: unequal counts, or an unknown tokenizer.
    """
    from sacrebleu.metrics import BLEU, CHRF

    if not len(texts) == len(tokens) == len(references) == weights.shape[1]:
        raise InvalidInput("texts", f"{len(texts)} sentences", f"{weights.shape[1]} are needed, as many as weights")
    if tokenizer not in TOKENIZERS:
        raise InvalidInput("tokenizer", tokenizer, "one of " + ", ".join(TOKENIZERS))
    # sacrebleu keeps the sums behind its scores in these two methods, which its own bootstrap calls.
    metrics: dict[str, Any] = {"bleu": BLEU(tokenize=tokenizer, force=True), "chrf": CHRF()}
    found = {}
    for name, metric in metrics.items():
        counts = np.array(metric._extract_corpus_statistics(list(texts), [list(references)]))
        sums = weights @ counts
        found[name] = np.array([metric._compute_score_from_stats(row.tolist()).score for row in sums])
    arrays = [np.asarray(row) for row in tokens]
    stutters = np.array([[(row[1:] == row[:-1]).sum(), max(len(row) - 1, 0)] for row in arrays])
    equal, pairs = (weights @ stutters).T
    found["stutter"] = equal / np.maximum(pairs, 1)
    return found


def interval(drawn: NDArray[np.float64]) -> Interval:
    """Value and 95% percentile interval of a score or a difference of scores, [1 + D]."""
    low, high = np.percentile(drawn[1:], (2.5, 97.5))
    return Interval(float(drawn[0]), float(low), float(high))
