"""Many sentences through a decoder: in batches of similar length, with results in the order of the input.

A batch has a fixed number of rows, so that a corpus of any size compiles one program for each bucket of lengths.
Draws of a sentence depend on the seed and its number alone, not on the batch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from simulators.t5.decoding.autoregressive import AutoregressiveDecoder
from simulators.t5.decoding.decoder import Decoder
from simulators.t5.decoding.refinement import RefinementDecoder
from simulators.t5.decoding.rescoring import Rescorer
from simulators.t5.decoding.settings import GenerationSettings, RefinementSettings
from simulators.t5.network.network import T5
from theory.errors import InvalidInput

Settings = GenerationSettings | RefinementSettings


class Target(NamedTuple):
    """A translation.

    Attributes:
        tokens: pieces, without EOS and padding.
        passes: passes of the decoder: one for each token (EOS too), or the refinement steps that were taken.
        history: tokens after each refinement step, where recorded; the ids of masks are those of the network.
        score: what hypotheses are ranked by, where it was asked for.
        ranked: the best hypotheses with their scores, best first, where several were asked for.
    """

    tokens: list[int]
    passes: int
    history: list[list[int]] | None = None
    score: float | None = None
    ranked: list[tuple[list[int], float]] | None = None


def make_decoder(network: T5, settings: Settings, rescorer: Rescorer | None = None) -> Decoder:
    """The decoder of a network.

    Raises:
        InvalidInput: settings of the other kind of decoder, settings that the network cannot follow, or a rescorer
            where there is one hypothesis.
    """
    if isinstance(settings, RefinementSettings) != (network.config.decoder == "refinement"):
        raise InvalidInput(
            "settings", type(settings).__name__, f"those of the {network.config.decoder} decoder are needed"
        )
    if isinstance(settings, RefinementSettings):
        return RefinementDecoder(network, settings, rescorer=rescorer)
    if rescorer is not None:
        raise InvalidInput("rescorer", "an autoregressive network", "only refinement has hypotheses to choose from")
    return AutoregressiveDecoder(network, settings)


class Translator:
    """A decoder for whole corpora.

    Args:
        network: an autoregressive or a refinement network.
        settings: of its decoder.
        rows: sentences of a batch.
        seed: of random starts and sampling.
        timed: measure `seconds`; a batch for which a program was compiled is decoded a second time.
        rescorer: chooses among the hypotheses of refinement.

    Attributes:
        seconds, processor_seconds: spent on decoding so far, on the clock and by all processor cores, without
            compilation; only where timed.

    Raises:
        InvalidInput: settings that the network cannot follow, or a rescorer where there is one hypothesis.
    """

    def __init__(
        self,
        network: T5,
        settings: Settings,
        rows: int = 64,
        seed: int = 0,
        timed: bool = False,
        rescorer: Rescorer | None = None,
    ) -> None:
        if rows < 1:
            raise InvalidInput("rows", rows, "at least 1 is needed")
        self.config = network.config
        self.rows = rows
        self.seconds = self.processor_seconds = 0.0
        self._timed = timed
        self._key = jax.random.key(seed)
        self._decoder = make_decoder(network, settings, rescorer)

    def load(self, network: T5) -> None:
        """Take the weights of another network of the same configuration; nothing is compiled again.

        Raises:
            InvalidInput: another configuration.
        """
        self._decoder.load(network)

    def __call__(
        self,
        sources: Sequence[Sequence[int]],
        lengths: Sequence[int] | None = None,
        first: int = 0,
        steps: int | None = None,
    ) -> list[Target]:
        """Translations in the order of the sources.

        Args:
            sources: ids, EOS included; a source of EOS alone has an empty translation.
            lengths: true lengths, EOS counted, in place of predicted ones; of a refinement network only.
            first: number of the first sentence, for drawing.
            steps: refinement steps in place of the settings'.

        Raises:
            InvalidInput: ids outside the vocabulary, or lengths or steps that the decoder refuses.
        """
        if lengths is not None and len(lengths) != len(sources):
            raise InvalidInput(
                "lengths", f"{len(lengths)} numbers", f"one for each of {len(sources)} sentences is needed"
            )
        eos = self.config.eos_token_id
        targets: list[Target] = [Target([], 0, None)] * len(sources)
        filled = [index for index, source in enumerate(sources) if any(token != eos for token in source)]
        order = sorted(filled, key=lambda index: (len(sources[index]), index))
        for start in range(0, len(order), self.rows):
            chosen = order[start : start + self.rows]
            found = self._decode(
                [sources[index] for index in chosen],
                None if lengths is None else [lengths[index] for index in chosen],
                np.array([first + index for index in chosen]),
                steps,
            )
            for index, target in zip(chosen, found, strict=True):
                targets[index] = target
        return targets

    def _decode(
        self, sources: list[Sequence[int]], lengths: list[int] | None, numbers: np.ndarray, steps: int | None
    ) -> list[Target]:
        known = self._decoder.traces
        clock, processor = time.perf_counter(), time.process_time()
        found = self._run(sources, lengths, numbers, steps)
        if self._timed:
            if self._decoder.traces > known:
                clock, processor = time.perf_counter(), time.process_time()
                found = self._run(sources, lengths, numbers, steps)
            self.seconds += time.perf_counter() - clock
            self.processor_seconds += time.process_time() - processor
        return found

    def _run(
        self, sources: list[Sequence[int]], lengths: list[int] | None, numbers: np.ndarray, steps: int | None
    ) -> list[Target]:
        found = self._decoder(sources, lengths, self._key, numbers, steps)
        targets = []
        for index, (row, length, passes) in enumerate(zip(found.tokens, found.lengths, found.steps, strict=True)):
            history = ranked = None
            if found.history is not None:
                history = [self._spoken(step) for step in found.history[:, index][: int(passes)]]
            if found.ranked is not None:
                rows = zip(*(array[index] for array in found.ranked), strict=True)
                ranked = [(self._spoken(row[:end]), float(score)) for row, end, score in rows if np.isfinite(score)]
            score = None if found.scores is None else float(found.scores[index])
            targets.append(Target(self._spoken(row[:length]), int(passes), history, score, ranked))
        return targets

    def _spoken(self, row: np.ndarray) -> list[int]:
        """A row of ids up to EOS."""
        ends = np.flatnonzero(row == self.config.eos_token_id)
        return [int(token) for token in (row[: ends[0]] if ends.size else row)]
