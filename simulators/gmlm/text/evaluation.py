"""Negative log-pseudolikelihood of a network by mask ratio.

For ratio r, round(r N) sites of each sequence (at least one) are masked uniformly, and the loss is the mean of
-ln p(x_i | x_{-K}) over the masked tokens, in nats per token. Its standard error is taken over sequences.

Legend: ``B`` sequences, ``N`` sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.gmlm.induced import Predict
from theory.errors import InvalidInput
from theory.masks import k_uniform


@dataclass(frozen=True)
class RatioLoss:
    """Loss at one mask ratio.

    Attributes:
        ratio: as asked for.
        masked: tokens masked in each sequence.
        loss: nats per masked token.
        standard_error: of ``loss``, over sequences; 0 for a single one.
    """

    ratio: float
    masked: int
    loss: float
    standard_error: float


def loss_by_ratio(
    predict: Predict, sequences: NDArray[np.integer], symbols: int, ratios: Sequence[float], seed: int = 0
) -> list[RatioLoss]:
    """The loss of sequences [B, N] at each ratio.

    Raises:
        InvalidInput: a ratio outside (0, 1].
    """
    count, sites = sequences.shape
    result = []
    for index, ratio in enumerate(ratios):
        if not 0 < ratio <= 1:
            raise InvalidInput("ratio", ratio, "the mask ratio must lie in (0, 1]")
        size = max(1, round(ratio * sites))
        masked = k_uniform(sites, size).draw(sequences, np.random.default_rng((seed, index)))
        predicted = predict(np.where(masked, symbols, sequences))
        taken = np.take_along_axis(predicted, sequences[:, :, None], axis=2)[:, :, 0]
        losses = -np.log(np.maximum(taken, np.finfo(np.float64).tiny), where=masked, out=np.zeros(taken.shape))
        means = losses.sum(axis=1) / size
        error = float(means.std(ddof=1) / np.sqrt(count)) if count > 1 else 0.0
        result.append(RatioLoss(ratio, size, float(means.mean()), error))
    return result
