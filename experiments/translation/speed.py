"""How long decoding takes: medians over runs of fixed work, compilation left out.

Legend: ``B`` sentences at once, ``L`` target length (EOS counted).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulators.t5.decoding.autoregressive import AutoregressiveDecoder
from simulators.t5.decoding.refinement import RefinementDecoder
from simulators.t5.decoding.settings import GenerationSettings, RefinementSettings
from simulators.t5.network.network import T5
from theory.errors import InvalidInput

SOURCES = 64
"""Random sources; batches repeat them where they are larger."""


@dataclass(frozen=True)
class Timing:
    """One way to decode.

    Attributes:
        batch: B.
        effort: refinement steps, or beams.
        passes: decoder passes of a sentence, mean.
        milliseconds: for a sentence, median of the runs.
        fastest, slowest: of the runs, milliseconds for a sentence.
        tokens_per_second: target tokens, EOS counted.
    """

    batch: int
    effort: int
    passes: float
    milliseconds: float
    fastest: float
    slowest: float
    tokens_per_second: float


def random_sources(vocabulary: int, length: int, seed: int = 0) -> list[list[int]]:
    """Sources of random ids, EOS (1) at the end.

    Raises:
        InvalidInput: a length or a vocabulary without room for a token.
    """
    if length < 2:
        raise InvalidInput("source_length", length, "at least 2 tokens are needed, EOS counted")
    if vocabulary < 4:
        raise InvalidInput("vocab_size", vocabulary, "at least 4 ids are needed")
    ids = np.random.default_rng(seed).integers(3, vocabulary, (SOURCES, length - 1))
    return [[*map(int, row), 1] for row in ids]


def time_network(
    network: T5,
    sources: Sequence[Sequence[int]],
    batches: Sequence[int],
    efforts: Sequence[int],
    target_length: int,
    repeats: int,
    early_exit: bool = False,
) -> list[Timing]:
    """Every batch size with every number of steps or beams; the runs of all of them are interleaved.

    Args:
        network: of either kind.
        sources: ids, EOS included.
        batches: numbers B.
        efforts: refinement steps, or beam widths.
        target_length: L of every target.
        repeats: runs of each case after the first, which compiles.
        early_exit: let refinement stop early.

    Raises:
        InvalidInput: nothing to time, or a target longer than the network allows.
    """
    config = network.config
    if not sources:
        raise InvalidInput("sources", "no sentence", "at least one is needed")
    if not 2 <= target_length <= config.max_target_length:
        raise InvalidInput("target_length", target_length, f"2..{config.max_target_length} tokens, EOS counted")
    for name, numbers in (("batches", batches), ("efforts", efforts)):
        if not numbers or min(numbers) < 1:
            raise InvalidInput(name, list(numbers), "whole numbers of at least 1 are needed")
    makers = {"refinement": _refinement, "autoregressive": _autoregressive}
    decode = makers[config.decoder](network, efforts, target_length, early_exit)
    cases = [(batch, effort, _repeated(sources, batch)) for batch in batches for effort in efforts]
    passes = [decode(rows, effort) for _, effort, rows in cases]
    seconds = np.empty((repeats, len(cases)))
    for repeat in range(repeats):
        for index, (_, effort, rows) in enumerate(cases):
            clock = time.perf_counter()
            decode(rows, effort)
            seconds[repeat, index] = time.perf_counter() - clock
    timings = []
    for index, (batch, effort, _) in enumerate(cases):
        each = 1000 * seconds[:, index] / batch
        median = float(np.median(each))
        rate = 1000 * target_length / median
        timings.append(Timing(batch, effort, passes[index], median, float(each.min()), float(each.max()), rate))
    return timings


def _repeated(sources: Sequence[Sequence[int]], batch: int) -> list[Sequence[int]]:
    return [sources[index % len(sources)] for index in range(batch)]


Decode = Callable[[list[Sequence[int]], int], float]
"""Decodes a batch with an effort; the mean number of passes."""


def _refinement(network: T5, efforts: Sequence[int], length: int, early_exit: bool) -> Decode:
    decoder = RefinementDecoder(network, RefinementSettings(steps=max(efforts), early_exit=early_exit))

    def decode(rows: list[Sequence[int]], steps: int) -> float:
        return float(decoder(rows, lengths=[length] * len(rows), steps=steps).steps.mean())

    return decode


def _autoregressive(network: T5, efforts: Sequence[int], length: int, early_exit: bool) -> Decode:
    def settings(beams: int) -> GenerationSettings:
        return GenerationSettings(max_length=length, min_length=length, beams=beams)

    decoders: dict[int, Any] = {beams: AutoregressiveDecoder(network, settings(beams)) for beams in efforts}

    def decode(rows: list[Sequence[int]], beams: int) -> float:
        return float(decoders[beams](rows).lengths.mean())

    return decode
