"""A stand-in for trained translators: the exact laws mixed with a little of the uniform one, drawn without JAX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.language.exact import Exact
from experiments.language.translators import (
    BEYOND,
    EOS,
    LONGEST,
    SPECIAL,
    Decoded,
    Pair,
    Rows,
    Training,
    ids,
    input_tokens,
    language_tokens,
    noise_of,
)
from theory.language.parallel_language import ParallelLanguage


@dataclass
class StandIn:
    """What `train` returns.

    Attributes:
        exact: the laws.
        error: weight of the uniform law.
    """

    exact: Exact
    error: float


def stand_in_train(error: float = 0.01) -> Any:
    """A `train` whose networks are that far from the law of the language."""

    def train(language: ParallelLanguage, pairs: Sequence[Pair], training: Training, seed: int) -> StandIn:
        return StandIn(
            Exact(language, noise_of(language, training), training.weighting), error * (1 + 0.1 * (seed % 7))
        )

    return train


def stand_in_laws(network: StandIn, rows: Rows, inputs: NDArray[np.int32]) -> NDArray[np.float64]:
    """In place of `network_laws`."""
    exact, language = network.exact, network.exact.language
    tokens = input_tokens(language, rows, inputs)
    pieces = ids(language)
    laws = np.full((*inputs.shape, pieces), network.error / (pieces - 2))
    laws[..., :2] = 0
    first = SPECIAL + language.words
    for n, length, index in exact.groups(rows):
        factors = exact.chain(n, length).denoiser.factors(exact.renamed(rows, index, tokens[index, :length]))
        for place, row in enumerate(index):
            names = exact.names(rows.sources[row])
            own = np.flatnonzero((names % language.words < n) & (names < factors.shape[2]))
            laws[row, :length, first + own] += (1 - network.error) * factors[place][:, names[own]].T
    return laws


class StandInDecoding:
    """In place of `Decoding`: draws every position from the laws, step by step; or decodes by mask-predict."""

    def __init__(self, network: StandIn, settings: Any) -> None:
        self.settings = settings

    def __call__(
        self, network: StandIn, language: ParallelLanguage, rows: Rows, steps: Sequence[int], seed: int = 0
    ) -> Decoded:
        if getattr(self.settings, "update", "all") == "rejected":
            return self._mask_predict(network, language, rows, steps, seed)
        generator = np.random.default_rng(seed)
        position = np.arange(LONGEST)
        mask = ids(language)
        now = np.where(position < rows.lengths[:, None], mask, np.where(position == rows.lengths[:, None], EOS, 0))
        outputs, inputs = {}, {}
        for step in range(1, max(steps) + 1):
            inputs[step] = now.astype(np.int32)
            totals = stand_in_laws(network, rows, inputs[step]).cumsum(axis=2)
            drawn = (totals < generator.random((*now.shape, 1)) * totals[..., -1:]).sum(axis=2)
            now = np.where(position < rows.lengths[:, None], drawn, now)
            outputs[step] = language_tokens(language, now, rows.lengths)
            assert (outputs[step][position >= rows.lengths[:, None]] == BEYOND).all()
        return Decoded(
            np.array([outputs[step] for step in steps]),
            np.array([inputs[step] for step in steps]),
            np.array([float(step) for step in steps]),
            np.array([float(step) for step in steps]),
        )

    def _mask_predict(
        self, network: StandIn, language: ParallelLanguage, rows: Rows, steps: Sequence[int], seed: int
    ) -> Decoded:
        """Row by row; for each number of steps a decoding of its own, since the schedule depends on it."""
        generator = np.random.default_rng(seed)
        mask, outputs, inputs = ids(language), [], []
        for total in steps:
            position = np.arange(LONGEST)
            now = np.where(position < rows.lengths[:, None], mask, np.where(position == rows.lengths[:, None], EOS, 0))
            confidence = np.zeros(now.shape)
            for step in range(1, total + 1):
                seen = now.astype(np.int32)
                laws = stand_in_laws(network, rows, seen)
                for row, length in enumerate(rows.lengths):
                    for place in np.flatnonzero(now[row, :length] == mask):
                        law = laws[row, place] / laws[row, place].sum()
                        now[row, place] = generator.choice(len(law), p=law)
                        confidence[row, place] = law[now[row, place]]
                if step < total:
                    shown = now.copy()
                    for row, length in enumerate(rows.lengths):
                        again = np.argsort(confidence[row, :length], kind="stable")[: length * (total - step) // total]
                        shown[row, again] = mask
                    now = shown
            outputs.append(language_tokens(language, now, rows.lengths))
            inputs.append(seen)
        times = np.array([float(number) for number in steps])
        return Decoded(np.array(outputs), np.array(inputs), times, times)
