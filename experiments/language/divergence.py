"""How far the law of translations is from the true one, by steps of mask-predict, and in what it differs.

The divergence is split as in `theory.language.error_split`, of a perfectly trained network exactly, and of real ones as
they translate. Sentences of n words with targets of l tokens, a *shape* (n, l), have one law up to names. What is
compared with it is the law of a network's translations up to names, over sources of n words, at that length. It is not
counted: the last step draws its masked positions independently, from laws that are known at the input that it saw, so
that

    q(y) = mean over rows of prod_i q_i(y_i | input of the last step),

to which half a row is added that is still at the first step, so that no target has probability 0. The length is thought
to be drawn from the network's law of lengths, which a perfectly trained one has right. Numbers for the language are
means over its sentences: n uniform, l given n.

Legend: ``B`` rows, ``S`` combinations of tokens, ``T`` numbers of steps, ``V`` ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.language.exact import Exact, possible
from experiments.language.translators import (
    SPECIAL,
    Decoded,
    Rows,
    input_tokens,
    length_laws,
    make_rows,
    network_laws,
)
from theory.divergences import kullback_leibler
from theory.language.denoising import MASK
from theory.language.error_split import ErrorSplit, split_error
from theory.language.mask_predict import TWIN, decoded_law
from theory.language.parallel_language import ParallelLanguage

if TYPE_CHECKING:
    from simulators.t5.network.network import T5

Array = NDArray[np.float64]
Shape = tuple[int, int]


class Visited(NamedTuple):
    """What a network's last steps say.

    Attributes:
        laws: of translations of each shape up to names, [S] each; one dictionary for each number of steps.
        translations: for each row, the probability that its last step gives a translation, [T, B].
    """

    laws: list[dict[Shape, Array]]
    translations: Array


def shapes(language: ParallelLanguage) -> dict[Shape, float]:
    """Every shape with its probability."""
    numbers = range(language.shortest, language.longest + 1)
    return {
        (n, n + doubled): float(probability) / len(numbers)
        for n in numbers
        for doubled, probability in enumerate(language.length_law(range(n)))
        if probability > 0
    }


def rows_of_shapes(language: ParallelLanguage, count: int, seed: int) -> Rows:
    """So many fresh sources of every shape."""
    generator = np.random.default_rng([seed, 29])
    each = [shape for shape in shapes(language) for _ in range(count)]
    return make_rows([language.sample_source(generator, n) for n, _ in each], [length for _, length in each])


def twin_laws(exact: Exact, steps: Sequence[int]) -> list[dict[Shape, Array]]:
    """The exact laws of a perfectly trained network's translations by number of steps, [S] for each shape."""
    each = shapes(exact.language)
    return [{shape: decoded_law(exact.chain(*shape), TWIN, number) for shape in each} for number in steps]


def first_register(exact: Exact, laws: Mapping[Shape, Array]) -> float:
    """Probability that the first token is of the first register, mean over the sentences of the language."""
    weights = shapes(exact.language)
    return sum(
        weights[shape] * float(law[exact.language.register_of(exact.chain(*shape).states[:, 0]) == 0].sum() / law.sum())
        for shape, law in laws.items()
    )


def splits(exact: Exact, laws: Mapping[Shape, Array]) -> dict[Shape, ErrorSplit]:
    """The split of given laws, [S] for each shape."""
    return {
        (n, length): split_error(exact.language.target_law(range(n), length), exact.chain(n, length).choices, law)
        for (n, length), law in laws.items()
    }


def mean_split(language: ParallelLanguage, parts: Mapping[Shape, ErrorSplit]) -> ErrorSplit:
    """Mean over the sentences of the language."""
    weights = shapes(language)
    return ErrorSplit(*(sum(weights[shape] * found[place] for shape, found in parts.items()) for place in (0, 1)))


def visited(exact: Exact, rows: Rows, network: T5, decoded: Decoded) -> Visited:
    """The laws of a network's translations after each number of steps, the first of which is 1; see the module.

    Args:
        exact: of the language.
        rows: from `rows_of_shapes`.
        network: that decoded them.
        decoded: what it saw at its last steps.
    """
    groups = exact.groups(rows)
    translations = np.empty((len(decoded.inputs), len(rows.sources)))
    laws: list[dict[Shape, Array]] = []
    for place, inputs in enumerate(decoded.inputs):
        given = input_tokens(exact.language, rows, inputs)
        drawn = network_laws(network, rows, inputs)
        found: dict[Shape, Array] = {}
        for n, length, index in groups:
            each = _last_step(exact, rows, index, length, given, drawn)
            translations[place, index] = each @ possible(exact.language, n, exact.chain(n, length).states)
            first = laws[0][n, length] if laws else each.mean(axis=0)
            found[n, length] = (each.sum(axis=0) + first / 2) / (len(index) + 0.5)
        laws.append(found)
    return Visited(laws, translations)


def _last_step(
    exact: Exact, rows: Rows, index: NDArray[np.int64], length: int, given: NDArray[np.int64], drawn: Array
) -> Array:
    """Law of each row's output after one more step that draws its masks, on the states of its shape, [B', S]."""
    language = exact.language
    tokens = exact.renamed(rows, index, given[index, :length])
    by_name = np.zeros((len(index), length, 2 * language.registers * language.words))
    for place, row in enumerate(index):
        names = exact.names(rows.sources[row])
        own = np.flatnonzero(names % language.words < len(rows.sources[row]))
        by_name[place][:, names[own]] = drawn[row, :length, SPECIAL + language.words + own].T
    kept = np.eye(by_name.shape[2])[np.maximum(tokens, 0)]
    laws = np.where((tokens == MASK)[..., None], by_name, kept)
    result = np.ones((len(index), 1))
    for position, choice in enumerate(exact.chain(len(rows.sources[index[0]]), length).choices):
        result = (result[:, :, None] * laws[:, position][:, None, choice]).reshape(len(index), -1)
    return result


class LengthErrors(NamedTuple):
    """Of lengths, means over numbers of words.

    Attributes:
        drawn: KL(p_L || q_L) where the length is drawn, in nats.
        likeliest: total variation where the likeliest length is taken instead.
        uniform: `drawn` of a law that is uniform on the possible lengths, a wrong alternative.
    """

    drawn: float
    likeliest: float
    uniform: float


def length_errors(network: T5, language: ParallelLanguage, rows: Rows) -> LengthErrors:
    """How far a network's law of lengths, mean over sources, is from the true one."""
    laws = length_laws(network, rows)
    words = np.array([len(source) for source in rows.sources])
    found = []
    for n in np.unique(words):
        true = language.length_law(range(n))
        own = laws[words == n].mean(axis=0)[n : 2 * n + 1]
        best = laws[words == n].argmax(axis=1)
        missed = 1 - np.where((best >= n) & (best <= 2 * n), true[np.clip(best - n, 0, n)], 0.0)
        uniform = np.full(n + 1, 1 / (n + 1))
        found.append((kullback_leibler(true, own), missed.mean(), kullback_leibler(true, uniform)))
    return LengthErrors(*np.mean(found, axis=0).tolist())
