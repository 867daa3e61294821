"""Laws at length against tables: every conditional of every partial sequence, by enumeration."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod

import numpy as np
import pytest
from scipy.special import gammaln

from theory.errors import InvalidInput
from theory.laws import JointLaw, hidden_markov_sequence
from theory.laws.length import (
    HiddenMarkovLaw,
    MarkovLaw,
    MixtureLaw,
    SequenceLaw,
    TreeLaw,
    UrnLaw,
    bracket_law,
    copying_law,
    fit_markov,
)
from theory.laws.length.corpus import encode
from theory.states import all_sequences


def rows(generator: np.random.Generator, *shape: int, zeros: bool = False) -> np.ndarray:
    values = generator.dirichlet(np.full(shape[-1], 0.7), size=shape[:-1])
    if zeros:
        values[..., 0] = np.where(generator.random(shape[:-1]) < 0.3, 0.0, values[..., 0])
    return values / values.sum(axis=-1, keepdims=True)


def table_of(sites: int, symbols: int, mass: Callable[[tuple[int, ...]], float]) -> JointLaw:
    return JointLaw.from_weights(
        np.array([mass(x) for x in product(range(symbols), repeat=sites)]).reshape((symbols,) * sites)
    )


def markov(order: int, sites: int, q: int, zeros: bool = False) -> tuple[SequenceLaw, JointLaw]:
    transition = rows(np.random.default_rng(order), *(q,) * order, q, zeros=zeros)
    law = MarkovLaw(transition, sites)
    start = law.stationary.reshape((q,) * order)
    return law, table_of(
        sites, q, lambda x: start[x[:order]] * prod(transition[x[i - order : i + 1]] for i in range(order, sites))
    )


def hidden_markov() -> tuple[SequenceLaw, JointLaw]:
    generator = np.random.default_rng(5)
    arrays = rows(generator, 3), rows(generator, 3, 3), rows(generator, 3, 2)
    return HiddenMarkovLaw(*arrays, sites=5), hidden_markov_sequence(*arrays, 5)


def tree() -> tuple[SequenceLaw, JointLaw]:
    generator = np.random.default_rng(6)
    parents = [2, 2, -1, 2, 0, 0]
    root, edges = rows(generator, 2), rows(generator, 6, 2, 2)
    return TreeLaw(parents, root, edges), table_of(
        6, 2, lambda x: root[x[2]] * prod(edges[i][x[p], x[i]] for i, p in enumerate(parents) if p >= 0)
    )


def urn() -> tuple[SequenceLaw, JointLaw]:
    balls = np.array([0.4, 1.0, 2.5])

    def mass(x: tuple[int, ...]) -> float:
        counts = np.bincount(x, minlength=3)
        return float(np.exp((gammaln(balls + counts) - gammaln(balls)).sum()))

    return UrnLaw(balls, 4), table_of(4, 3, mass)


def mixture() -> tuple[SequenceLaw, JointLaw]:
    (first, one), (second, two) = markov(1, 5, 2), hidden_markov()
    return MixtureLaw([0.3, 0.7], [first, second]), JointLaw(0.3 * one.table + 0.7 * two.table)


def brackets() -> tuple[SequenceLaw, JointLaw]:
    def mass(x: tuple[int, ...]) -> float:
        stack: list[int] = []
        chance = 1.0
        for symbol in x:
            if symbol < 2:
                if len(stack) == 2:
                    return 0.0
                chance *= (0.6 if stack else 1.0) / 2
                stack.append(symbol)
            else:
                if not stack or stack[-1] != symbol - 2:
                    return 0.0
                chance *= 1.0 if len(stack) == 2 else 0.4
                stack.pop()
        return chance if not stack else 0.0

    return bracket_law(6, kinds=2, depth=2, opening=0.6), table_of(6, 4, mass)


def copying() -> tuple[SequenceLaw, JointLaw]:
    transition = rows(np.random.default_rng(9), 2, 2)
    start = MarkovLaw(transition, 3).stationary
    return copying_law(transition, 6, 0.9), table_of(
        6,
        2,
        lambda x: (
            start[x[0]]
            * prod(transition[x[i], x[i + 1]] for i in range(2))
            * prod(0.9 if x[i] == x[i + 3] else 0.1 for i in range(3))
        ),
    )


LAWS = {
    "order 1": lambda: markov(1, 6, 3),
    "order 1 with zeros": lambda: markov(1, 5, 3, zeros=True),
    "order 2": lambda: markov(2, 6, 2),
    "order 2 with zeros": lambda: markov(2, 5, 3, zeros=True),
    "order 3": lambda: markov(3, 6, 2),
    "order 3, three sites": lambda: markov(3, 3, 2),
    "hidden Markov": hidden_markov,
    "tree": tree,
    "urn": urn,
    "mixture": mixture,
    "brackets": brackets,
    "copying": copying,
}


@pytest.mark.parametrize("name", LAWS)
def test_every_conditional_agrees_with_the_table(name: str) -> None:
    law, table = LAWS[name]()
    sites, q = table.sites, table.symbols
    generator = np.random.default_rng(0)
    full = all_sequences(sites, q)
    masses = table.probabilities
    partial = all_sequences(sites, q + 1)
    partial = partial[generator.permutation(len(partial))[:400]]
    # A second partial sequence that agrees with the first and reveals more.
    positive = full[masses > 0]
    agreeing = [positive[((x == q) | (positive == x)).all(axis=1)] for x in partial]
    kept = [number for number, options in enumerate(agreeing) if len(options)]
    before = partial[kept]
    whole = np.array([agreeing[n][generator.integers(len(agreeing[n]))] for n in kept])
    after = np.where((before < q) | (generator.random(before.shape) < 0.5), whole, q)
    swept, predicted, logs = law.sweep(before, after), law.predict(before), law.log_probability(before)
    position = np.argsort(law.order)
    for row in range(len(before)):
        given = ((before[row] == q) | (full == before[row])).all(axis=1)
        assert logs[row] == pytest.approx(np.log(masses[given].sum()), abs=1e-12)
        for i in range(sites):
            earlier = (position < position[i]) & (after[row] < q)
            more = given & (full[:, earlier] == after[row, earlier]).all(axis=1)
            expected = np.bincount(full[more, i], masses[more], minlength=q)
            np.testing.assert_allclose(swept[row, i], expected / expected.sum(), atol=1e-13)
            expected = np.bincount(full[given, i], masses[given], minlength=q)
            np.testing.assert_allclose(predicted[row, i], expected / expected.sum(), atol=1e-13)


@pytest.mark.parametrize("name", LAWS)
def test_samples_and_entropy_agree_with_the_table(name: str) -> None:
    law, table = LAWS[name]()
    if law.entropy is not None:
        assert law.entropy == pytest.approx(table.entropy(), abs=1e-12)
    count = 20_000
    drawn = law.sample(count, np.random.default_rng(1))
    observed = np.bincount(np.ravel_multi_index(tuple(drawn.T), table.table.shape), minlength=table.states)
    assert not observed[table.probabilities == 0].any()
    # Six standard errors for each of at most 4,096 states: a false alarm in less than 1e-5 of the seeds.
    spread = np.sqrt(count * table.probabilities * (1 - table.probabilities)) + 1
    assert (np.abs(observed - count * table.probabilities) <= 6 * spread).all()


@pytest.mark.parametrize("name", ["order 1", "order 2", "tree"])
def test_a_reader_follows_what_is_revealed(name: str) -> None:
    law, _ = LAWS[name]()
    generator = np.random.default_rng(2)
    tokens = law.sample(20, generator)
    hidden = np.ones(tokens.shape, dtype=bool)
    reader = law.reader(np.full_like(tokens, law.symbols))
    for _ in range(4):
        before = reader.laws.copy()
        hidden &= generator.random(tokens.shape) < 0.6
        shown = np.where(hidden, law.symbols, tokens)
        reader.reveal(shown)
        np.testing.assert_array_equal(reader.laws, law.predict(shown))
        moved = np.abs(reader.laws - before).max(axis=2) > 1e-14
        assert reader.changed[moved].all()


def test_powers_stop_where_the_chain_has_forgotten() -> None:
    transition = rows(np.random.default_rng(3), 4, 4)
    short, long = MarkovLaw(transition, 6), MarkovLaw(transition, 2000)
    assert len(long._powers) < 200
    tokens = long.sample(3, np.random.default_rng(0))
    tokens[:, 6:] = 4
    tokens[:, 1:5] = 4
    np.testing.assert_allclose(long.predict(tokens)[:, :6], short.predict(tokens[:, :6]), atol=1e-14)
    assert long.gap_entropies[-1] == pytest.approx(long.first_entropy, abs=1e-12)


@pytest.mark.parametrize(
    ("transition", "words"),
    [
        (np.eye(2), r"one closed class is needed, here are 2: \{0\}; \{1\}"),
        ([[0.5, 0.5], [0.0, 1.0]], r"the closed class is \{1\}, and symbols \{0\} are left for ever"),
        ([[0.5, 0.4], [0.0, 1.0]], "sum to 1"),
        (np.full((2, 3), 1 / 3), r"shape \[q\]\*R"),
        (np.full((2,) * 5, 0.5), "orders 1 to 3"),
    ],
)
def test_unusable_transitions_are_named(transition: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        MarkovLaw(transition, 8)


def test_a_periodic_chain_is_a_law_too() -> None:
    law = MarkovLaw([[0.0, 1.0], [1.0, 0.0]], 9)
    np.testing.assert_allclose(law.stationary, [0.5, 0.5])
    np.testing.assert_allclose(law.predict(np.array([[2, 2, 2, 2, 2, 2, 2, 2, 1]]))[0, 0], [0.0, 1.0])


def test_alphabets() -> None:
    tokens, characters = encode("Oh -- no!", "letters")
    assert "".join(characters[t] for t in tokens) == "oh no "
    tokens, characters = encode("abba\n", "all")
    assert characters == "\nab"
    assert "".join(characters[t] for t in tokens) == "abba\n"


@pytest.mark.parametrize(
    ("text", "order", "alphabet", "smoothing", "argument"),
    [
        ("abc", 4, "letters", 0.1, "order"),
        ("123", 1, "letters", 0.1, "corpus"),
        ("aaaa", 1, "all", 0.1, "corpus"),
        ("".join(map(chr, range(300))), 1, "all", 0.1, "corpus"),
        ("abcabc", 1, "letters", 0.0, "smoothing"),
        ("abc", 1, "digits", 0.1, "alphabet"),
    ],
)
def test_unusable_corpora_are_named(text: str, order: int, alphabet: str, smoothing: float, argument: str) -> None:
    with pytest.raises(InvalidInput) as error:
        fit_markov(text, order, 8, alphabet, smoothing)
    assert error.value.argument == argument


def test_fitted_conditionals_are_smoothed_counts() -> None:
    law = fit_markov("abab b", 1, 4, "all", smoothing=0.5)
    # Characters " ab": after b come a, space and the end of the text.
    np.testing.assert_allclose(law.transition[2], np.array([1.5, 1.5, 0.5]) / 3.5)
