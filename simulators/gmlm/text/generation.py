"""Sequences from a masked network by each sampler, with the number of network calls.

Every generator starts from the fully masked sequence and takes a number of *steps*; one call of the network looks at a
whole batch of partly masked sequences and counts one.

| generator | one step | calls |
|---|---|---|
| left-to-right | unmask the first masked site | N |
| sequential | unmask one site, in an order drawn for each sequence | N |
| parallel-unmasking | unmask the next N/T sites of a random order independently of each other | T |
| confidence-unmasking | predict all masked sites, keep the N/T most confident | T |
| mask-predict | predict all masked sites, mask the least confident again, fewer each time | T |
| k-parallel | mask k random sites, predict them independently (first step: all sites) | T |
| gibbs | mask one random site, predict it (first step: all sites) | T |

Source of mask-predict: Ghazvininejad et al. 2019 (arXiv:1904.09324): n_t = floor(N (T - t) / T) sites are masked again
after pass t, and a token keeps the confidence of the pass in which it was predicted. Confidence-unmasking: Chang et al.
2022 (arXiv:2202.04200) without its noise.

Tokens are drawn from the tempered law, but *confidence* is the network's own, untempered probability of the token: at
T = 0 every tempered one is 1 and would rank nothing. Confidences that agree to 12 decimals are tied.

Legend: ``B`` batch, ``N`` sites, ``q`` symbols, ``T`` steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.gmlm.induced import Predict
from theory.conditionals import temper
from theory.decoding.token_laws import TIE_DECIMALS
from theory.errors import InvalidInput

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Generated:
    """What came out.

    Attributes:
        sequences: [B, N].
        network_calls: how often the network looked at the batch.
    """

    sequences: Tokens
    network_calls: int


class _Sampler:
    """The network with a temperature, a source of randomness and a count of its calls."""

    def __init__(self, predict: Predict, symbols: int, temperature: float, generator: np.random.Generator) -> None:
        self.predict, self.symbols, self.temperature, self.generator = predict, symbols, temperature, generator
        self.calls = 0

    def fill(self, tokens: Tokens, where: NDArray[np.bool_]) -> tuple[Tokens, Array]:
        """Independent draws at the sites of ``where`` given the others; also the network's probability of each."""
        self.calls += 1
        laws = self.predict(np.where(where, self.symbols, tokens))
        cumulative = np.cumsum(temper(laws, self.temperature), axis=2)
        uniform = self.generator.random(tokens.shape)[:, :, None] * cumulative[:, :, -1:]
        drawn = (cumulative <= uniform).sum(axis=2)
        confidence = np.round(np.take_along_axis(laws, drawn[:, :, None], axis=2)[:, :, 0], TIE_DECIMALS)
        return np.where(where, drawn, tokens), confidence

    def ranks(self, scores: Array) -> NDArray[np.intp]:
        """Rank of every site in its sequence, smallest first, ties in random order."""
        shuffled = np.argsort(self.generator.random(scores.shape), axis=1)
        order = np.take_along_axis(
            shuffled, np.argsort(np.take_along_axis(scores, shuffled, axis=1), axis=1, kind="stable"), axis=1
        )
        return np.argsort(order, axis=1)


def _unmask_in_order(sampler: _Sampler, tokens: Tokens, ranks: NDArray[np.intp], steps: int) -> Tokens:
    sites = tokens.shape[1]
    for step in range(steps):
        now = (ranks >= step * sites // steps) & (ranks < (step + 1) * sites // steps)
        filled, _ = sampler.fill(tokens, tokens == sampler.symbols)
        tokens = np.where(now, filled, tokens)
    return tokens


def _left_to_right(sampler: _Sampler, tokens: Tokens, steps: int, size: int) -> Tokens:
    ranks = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    return _unmask_in_order(sampler, tokens, ranks, tokens.shape[1])


def _sequential(sampler: _Sampler, tokens: Tokens, steps: int, size: int) -> Tokens:
    return _unmask_in_order(sampler, tokens, sampler.ranks(np.zeros(tokens.shape)), tokens.shape[1])


def _parallel_unmasking(sampler: _Sampler, tokens: Tokens, steps: int, size: int) -> Tokens:
    return _unmask_in_order(sampler, tokens, sampler.ranks(np.zeros(tokens.shape)), min(steps, tokens.shape[1]))


def _confidence_unmasking(sampler: _Sampler, tokens: Tokens, steps: int, size: int) -> Tokens:
    sites = tokens.shape[1]
    steps = min(steps, sites)
    for step in range(steps):
        masked = tokens == sampler.symbols
        filled, confidence = sampler.fill(tokens, masked)
        # Sites that are unmasked already come first; the next ones are the most confident.
        ranks = sampler.ranks(np.where(masked, -confidence, -np.inf))
        tokens = np.where(masked & (ranks < (step + 1) * sites // steps), filled, tokens)
    return tokens


def _mask_predict(sampler: _Sampler, tokens: Tokens, steps: int, size: int) -> Tokens:
    sites = tokens.shape[1]
    confidence = np.zeros(tokens.shape)
    masked = np.ones(tokens.shape, dtype=bool)
    for step in range(1, steps + 1):
        tokens, predicted = sampler.fill(tokens, masked)
        confidence = np.where(masked, predicted, confidence)
        masked = sampler.ranks(confidence) < sites * (steps - step) // steps
        if not masked.any():
            break
    return tokens


def _k_parallel(sampler: _Sampler, tokens: Tokens, steps: int, size: int) -> Tokens:
    tokens, _ = sampler.fill(tokens, np.ones(tokens.shape, dtype=bool))
    for _ in range(steps - 1):
        tokens, _ = sampler.fill(tokens, sampler.ranks(np.zeros(tokens.shape)) < size)
    return tokens


def _gibbs(sampler: _Sampler, tokens: Tokens, steps: int, size: int) -> Tokens:
    return _k_parallel(sampler, tokens, steps, 1)


GENERATORS: dict[str, Callable[[_Sampler, Tokens, int, int], Tokens]] = {
    "left-to-right": _left_to_right,
    "sequential": _sequential,
    "parallel-unmasking": _parallel_unmasking,
    "confidence-unmasking": _confidence_unmasking,
    "mask-predict": _mask_predict,
    "k-parallel": _k_parallel,
    "gibbs": _gibbs,
}
"""Name -> generator; see the module's table."""


def generate(
    predict: Predict,
    sites: int,
    symbols: int,
    name: str,
    *,
    count: int,
    steps: int,
    size: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
) -> Generated:
    """Sequences by one generator.

    Args:
        predict: probabilities [B, N, q] of tokens [B, N]; see `simulators.gmlm.induced.predictor`.
        sites, symbols: N and q.
        name: a key of `GENERATORS`.
        count: B.
        steps: T, where the generator has such a number.
        size: k of k-parallel; half of the sites by default.
        temperature: of every prediction; 0 takes the most likely token.
        seed: the result is a function of it.

    Raises:
        InvalidInput: an unknown generator, or a number out of range.
    """
    if name not in GENERATORS:
        raise InvalidInput("sampler", name, "one of " + ", ".join(GENERATORS))
    chosen = max(1, sites // 2) if size is None else size
    for argument, value, high in (("count", count, None), ("steps", steps, None), ("size", chosen, sites)):
        if value < 1 or (high is not None and value > high):
            raise InvalidInput(argument, value, "at least 1 is needed" if high is None else f"must lie in 1..{high}")
    if not 0 <= temperature < np.inf:
        raise InvalidInput("temperature", temperature, "a finite number >= 0 is needed")
    sampler = _Sampler(predict, symbols, temperature, np.random.default_rng(seed))
    start = np.full((count, sites), symbols, dtype=np.int64)
    return Generated(GENERATORS[name](sampler, start, steps, chosen), sampler.calls)
