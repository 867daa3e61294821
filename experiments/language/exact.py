"""What perfectly trained translators of the parallel language would do, and what is measured of real ones.

Legend: ``B`` test rows, ``L`` padded target length, ``l`` target length, ``S`` targets, ``T`` numbers of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.language.translators import LONGEST, SPECIAL, Rows, input_tokens, network_laws, small_language
from theory.decoding import Rule
from theory.language.denoising import MASK, Denoiser, Noise, RefinementChain
from theory.language.mask_predict import decoded_law
from theory.language.parallel_language import ParallelLanguage

if TYPE_CHECKING:
    from simulators.t5.network.network import T5

Array = NDArray[np.float64]


class Exact:
    """What a perfectly trained network would do, for every sentence of the language.

    Sentences of n different words have the same law up to names, so that one chain for each n and length is enough.

    Args:
        language: without swaps, no word twice in a sentence.
        noise, weighting: of training.
    """

    def __init__(self, language: ParallelLanguage, noise: Noise, weighting: Literal["noise", "all"] = "noise") -> None:
        self.language, self.noise, self.weighting = language, noise, weighting
        self.chain: Callable[[int, int], RefinementChain] = lru_cache(maxsize=None)(self._chain)

    def _chain(self, words: int, length: int) -> RefinementChain:
        law = self.language.target_law(range(words), length)
        return RefinementChain(Denoiser(law.sequences, law.probabilities, self.noise, self.weighting))

    def names(self, source: tuple[int, ...]) -> NDArray[np.int64]:
        """Token of the sentence 0..n-1 for each target token, a word that is not in it for other words."""
        language = self.language
        places = np.full(language.words, language.words - 1)
        places[list(source)] = np.arange(len(source))
        blocks = np.arange(2 * language.registers)[:, None] * language.words
        return (blocks + places).reshape(-1)

    def renamed(self, rows: Rows, index: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens [B', l] of rows of one length in names of 0..n-1; masks stay, foreign ids become a foreign word."""
        names = np.stack([self.names(rows.sources[row]) for row in index])
        known = np.take_along_axis(names, np.maximum(tokens, 0), axis=1)
        return np.where(tokens >= 0, known, np.where(tokens == MASK, MASK, self.language.words - 1))

    def groups(self, rows: Rows) -> list[tuple[int, int, NDArray[np.int64]]]:
        """Rows of equal numbers of words and equal length: (n, l, indices)."""
        shapes = np.array([(len(source), length) for source, length in zip(rows.sources, rows.lengths, strict=True)])
        kinds = np.unique(shapes, axis=0)
        return [(int(n), int(length), np.flatnonzero((shapes == (n, length)).all(axis=1))) for n, length in kinds]

    def expected(self, rows: Rows, measure: Measure, steps: int) -> Array:
        """Exact expectation of a measure after 1..steps steps from masks, for each row, [steps, B]."""
        result = np.empty((steps, len(rows.sources)))
        for n, length, index in self.groups(rows):
            chain = self.chain(n, length)
            result[:, index] = (chain.laws(steps) @ measure(self.language, n, chain.states))[:, None]
        return result

    def next_step(self, rows: Rows, inputs: NDArray[np.int64], measure: Measure, drawn: Drawn = "all") -> Array:
        """Exact expectation of a measure one step after given inputs (target tokens and MASK) [B, L], [B].

        Args:
            rows: sentences.
            inputs: target tokens and MASK [B, L].
            measure: of the outputs.
            drawn: every position; or only masks, while tokens stay. No network should draw masks "blindly", by their
                marginals, or "together", from their joint law given the tokens that stay.
        """
        result = np.empty(len(rows.sources))
        for n, length, index in self.groups(rows):
            chain = self.chain(n, length)
            given = self.renamed(rows, index, inputs[index, :length])
            if drawn == "all":
                result[index] = chain.rows(given) @ measure(self.language, n, chain.states)
                continue
            patterns, inverse = np.unique(given, axis=0, return_inverse=True)
            laws = chain.denoiser.factors(np.full_like(patterns, MASK) if drawn == "blindly" else patterns)
            found = [self._filled(n, *each, chain, measure) for each in zip(patterns, laws, strict=True)]
            if drawn == "together":
                found = [
                    self._joined(n, pattern, chain, measure, known)
                    for pattern, known in zip(patterns, found, strict=True)
                ]
            result[index] = np.array(found)[inverse.reshape(-1)]
        return result

    def _filled(
        self, words: int, pattern: NDArray[np.int64], law: Array, chain: RefinementChain, measure: Measure
    ) -> float:
        """Expectation of a measure after the masks of one input were drawn from its laws [l, q]."""
        columns = [
            choice if token == MASK else np.array([token]) for token, choice in zip(pattern, chain.choices, strict=True)
        ]
        states = np.stack(np.meshgrid(*columns, indexing="ij"), axis=-1).reshape(-1, len(pattern))
        masked = np.flatnonzero(pattern == MASK)
        weights = law[masked, states[:, masked]].prod(axis=1)
        return float(weights @ measure(self.language, words, states))

    def _joined(
        self, words: int, pattern: NDArray[np.int64], chain: RefinementChain, measure: Measure, otherwise: float
    ) -> float:
        """Expectation of a measure given the tokens of one input; ``otherwise`` where no target has them all."""
        sequences = chain.denoiser.sequences
        fits = ((sequences == pattern) | (pattern == MASK)).all(axis=1)
        weights = np.where(fits, chain.denoiser.probabilities, 0.0)
        if not weights.sum():
            return otherwise
        return float(weights @ measure(self.language, words, sequences) / weights.sum())

    def decoded(self, rows: Rows, rule: Rule, calls: int, measure: Measure, most_states: int) -> Array:
        """Exact expectation of a measure of what a decoding rule puts out, for each row, [B].

        NaN for rows whose chains have more than ``most_states`` states.
        """
        result = np.full(len(rows.sources), np.nan)
        for n, length, index in self.groups(rows):
            chain = self.chain(n, length)
            if len(chain.states) <= most_states:
                # Without remasking every call reveals a position at least.
                allowed = calls if rule.remasks else min(calls, length)
                result[index] = decoded_law(chain, rule, allowed) @ measure(self.language, n, chain.states)
        return result

    def distance(self, rows: Rows, inputs: NDArray[np.int64], laws: Array, only_masked: bool = False) -> Array:
        """1 - prod_i (1 - TV(network's law, exact law at position i)) for each row, [B].

        No less than the total variation of the two laws of the whole output: each position agrees in a maximal
        coupling with probability 1 - TV, and the positions are independent.

        Args:
            rows: sentences.
            inputs: target tokens and MASK [B, L].
            laws: of the network at these inputs [B, L, V].
            only_masked: masked positions alone, where the others are not drawn.
        """
        result = np.empty(len(rows.sources))
        first = SPECIAL + self.language.words
        for n, length, index in self.groups(rows):
            exact = self.chain(n, length).denoiser.factors(self.renamed(rows, index, inputs[index, :length]))
            for place, row in enumerate(index):
                names = self.names(rows.sources[row])
                own = np.flatnonzero(names % self.language.words < n)
                chosen = laws[row, :length, first + own]  # [tokens of the sentence, l]
                wanted = np.zeros((length, 2 * self.language.registers * self.language.words))
                wanted[:, : exact.shape[2]] = exact[place]
                difference = np.abs(chosen.T - wanted[:, names[own]]).sum(axis=1)
                drawn = inputs[row, :length] == MASK if only_masked else slice(None)
                apart = 0.5 * (difference + 1 - chosen.sum(axis=0))
                result[row] = 1 - (1 - np.minimum(apart, 1.0))[drawn].prod()
        return result


def exact_memory(language: ParallelLanguage) -> float:
    """Bytes of the largest chain that `Exact` makes for sentences of at most `LONGEST` tokens, EOS counted."""
    return 16.0 * _largest_chain(language) ** 2


def claim_memory(parameters: Any) -> float:
    """`experiments.claim.Claim.memory` of claims about the exact chains; the weights of the registers do not matter."""
    return exact_memory(small_language((0.5, 0.5), parameters.doubling, longest=parameters.longest))


@lru_cache(maxsize=256)
def _largest_chain(language: ParallelLanguage) -> int:
    """States of that chain: combinations of the tokens that are possible at each position."""
    largest = 1
    for words in range(language.shortest, language.longest + 1):
        for length in range(words, min(2 * words if language.doubling else words, LONGEST - 1) + 1):
            columns = language.target_law(range(words), length).sequences.T
            largest = max(largest, prod(len(np.unique(column)) for column in columns))
    return largest


Drawn = Literal["all", "masks", "blindly", "together"]

Measure = Callable[[ParallelLanguage, int, NDArray[np.int64]], Array]
"""(language, n, targets of the sentence 0..n-1 [S, l]) -> a number in [0, 1] for each."""


def possible(language: ParallelLanguage, words: int, targets: NDArray[np.int64]) -> Array:
    """Whether each target is a translation: of one register, every word there and in order."""
    law = language.target_law(range(words), targets.shape[1])
    known = {tuple(sequence) for sequence in law.sequences.tolist()}
    return np.array([float(tuple(target) in known) for target in targets.tolist()])


def coherent(language: ParallelLanguage, words: int, targets: NDArray[np.int64]) -> Array:
    """Whether all tokens of each target are of one register, and of the target language."""
    registers = np.where(targets >= 0, language.register_of(targets), -1)
    return ((registers == registers[:, :1]) & (registers >= 0)).all(axis=1).astype(float)


def stutters(language: ParallelLanguage, words: int, targets: NDArray[np.int64]) -> Array:
    """Share of neighbours that are equal; 0 for a single token."""
    if targets.shape[1] < 2:
        return np.zeros(len(targets))
    return np.asarray((targets[:, 1:] == targets[:, :-1]).mean(axis=1))


MEASURES: dict[str, Measure] = {"possible": possible, "coherent": coherent, "stutters": stutters}
"""By the names that records have for them."""


def measured(exact: Exact, rows: Rows, outputs: NDArray[np.int64], measure: Measure) -> Array:
    """A measure of the outputs [B, L] of a network, [B]."""
    result = np.empty(len(rows.sources))
    for n, length, index in exact.groups(rows):
        result[index] = measure(exact.language, n, exact.renamed(rows, index, outputs[index, :length]))
    return result


def distances(exact: Exact, rows: Rows, network: T5, inputs: NDArray[np.int32], only_masked: bool = False) -> Array:
    """`Exact.distance` of a network at the inputs of each step [T, B, LONGEST], [T, B]."""
    return np.array(
        [
            exact.distance(
                rows, input_tokens(exact.language, rows, seen), network_laws(network, rows, seen), only_masked
            )
            for seen in inputs
        ]
    )


def accumulated(distance: Array) -> Array:
    """`distances` summed over the steps so far, [T, B]: no share differs by more than the mean from its exact value.

    The mean may be capped at 1, its terms not: where a network left the exact chain decides how far it errs later.
    """
    return np.cumsum(distance, axis=0)


def next_steps(exact: Exact, rows: Rows, inputs: NDArray[np.int32], measure: Measure, drawn: Drawn = "all") -> Array:
    """`Exact.next_step` from the inputs of each step [T, B, LONGEST], [T, B]."""
    given = [input_tokens(exact.language, rows, seen) for seen in inputs]
    return np.array([exact.next_step(rows, tokens, measure, drawn) for tokens in given])


def wrong_chains(expected: Array) -> dict[str, Array]:
    """Share of translations by chains that a network must be seen not to follow, from that by the exact one, [T, B]."""
    return {
        "draws all tokens together": np.ones_like(expected),
        "starts from masks at every step": np.broadcast_to(expected[0], expected.shape),
    }
