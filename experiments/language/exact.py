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
from theory.language.denoising import MASK, Denoiser, Noise, RefinementChain
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

    def next_step(self, rows: Rows, inputs: NDArray[np.int64], measure: Measure) -> Array:
        """Exact expectation of a measure one step after given inputs (target tokens and MASK) [B, L], [B]."""
        result = np.empty(len(rows.sources))
        for n, length, index in self.groups(rows):
            chain = self.chain(n, length)
            given = self.renamed(rows, index, inputs[index, :length])
            result[index] = chain.rows(given) @ measure(self.language, n, chain.states)
        return result

    def distance(self, rows: Rows, inputs: NDArray[np.int64], laws: Array) -> Array:
        """sum_i TV(network's law, exact law at position i), at most 1, for each row, [B].

        Args:
            rows: sentences.
            inputs: target tokens and MASK [B, L].
            laws: of the network at these inputs [B, L, V].
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
                result[row] = (0.5 * (difference + 1 - chosen.sum(axis=0))).sum()
        return np.minimum(result, 1.0)


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


def distances(exact: Exact, rows: Rows, network: T5, inputs: NDArray[np.int32]) -> Array:
    """`Exact.distance` of a network at the inputs of each step [T, B, LONGEST], [T, B]."""
    return np.array(
        [
            exact.distance(rows, input_tokens(exact.language, rows, seen), network_laws(network, rows, seen))
            for seen in inputs
        ]
    )


def own_error(exact: Exact, rows: Rows, network: T5, inputs: NDArray[np.int32]) -> Array:
    """`distances` summed over the steps so far, at most 1, [T, B]: no share differs by more from its exact value."""
    return np.minimum(np.cumsum(distances(exact, rows, network, inputs), axis=0), 1.0)
