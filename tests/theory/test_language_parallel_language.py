"""The parallel language: its law against enumeration of everything that is drawn, closed forms, and sampled pairs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import norm

from theory.divergences import entropy
from theory.errors import InvalidInput
from theory.language import ParallelLanguage
from theory.laws import JointLaw

LANGUAGES = {
    "registers": ParallelLanguage((0.5, 0.3, 0.2)),
    "doubling": ParallelLanguage((0.75, 0.25), doubling=0.25),
    "swap": ParallelLanguage((0.5, 0.5), swap=0.25),
    "everything": ParallelLanguage((0.6, 0.4), words=13, doubling=0.4, swap=0.3),
    # Four words, so that words come back within the reach of a slot.
    "few words": ParallelLanguage((0.5, 0.5), words=4, branching=1, doubling=0.5, swap=0.5),
}


def sentence(language: ParallelLanguage, words: int) -> tuple[int, ...]:
    """Steps 1, 1, 2, 1, ... where the language has them, so that words differ or, with four of them, come back."""
    steps = [0, 1, 1, min(2, language.branching), 1][:words]
    return tuple(int(v) % language.words for v in np.cumsum(steps))


def histories(language: ParallelLanguage, source: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Every way to draw a target, coin by coin, with its exact probability; nothing of the code under test is used."""
    words, registers = language.words, len(language.register_weights)
    swap, doubling = Fraction(language.swap), Fraction(language.doubling)

    def orders(left: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Fraction]]:
        if len(left) < 2:
            yield left, Fraction(1)
            return
        for rest, mass in orders(left[1:]):
            yield (left[0], *rest), mass * (1 - swap)
        for rest, mass in orders(left[2:]):
            yield (left[1], left[0], *rest), mass * swap

    def doubled(left: tuple[int, ...], z: int) -> Iterator[tuple[tuple[int, ...], Fraction]]:
        if not left:
            yield (), Fraction(1)
            return
        head, tail = z * words + left[0], registers * words + z * words + left[0]
        for rest, mass in doubled(left[1:], z):
            yield (head, *rest), mass * (1 - doubling)
            yield (head, tail, *rest), mass * doubling

    for z, weight in enumerate(language.register_weights):
        for order, order_mass in orders(source):
            for tokens, mass in doubled(order, z):
                yield tokens, Fraction(weight) * order_mass * mass


@pytest.mark.parametrize("words", [1, 3, 5])
@pytest.mark.parametrize("name", LANGUAGES)
def test_law_entropies_and_marginals_agree_with_enumeration(name: str, words: int) -> None:
    language = LANGUAGES[name]
    source = sentence(language, words)
    exact: Counter[tuple[int, ...]] = Counter()
    ways = 0
    for target, mass in histories(language, source):
        if mass:
            exact[target] += mass  # type: ignore[assignment]
            ways += 1
    assert ways == len(exact), "two ways lead to the same target"
    for target, mass in exact.items():
        assert language.log_probability(source, target) == pytest.approx(math.log(mass), abs=1e-12)
    lengths = language.length_law(source)
    for length in sorted({len(target) for target in exact}):
        there = {target: float(mass) for target, mass in exact.items() if len(target) == length}
        total = sum(there.values())
        assert lengths[length - words] == pytest.approx(total, rel=1e-12)
        law = language.target_law(source, length)
        found = dict(zip(map(tuple, law.sequences.tolist()), law.probabilities, strict=True))
        assert found.keys() == there.keys()
        for target in found:
            assert found[target] == pytest.approx(there[target] / total, rel=1e-12)
        marginals = np.zeros((length, 2 * language.words * language.registers))
        for target, mass in found.items():
            marginals[np.arange(length), target] += mass
        np.testing.assert_allclose(language.marginals(source, length), marginals, atol=1e-13)
        joint_entropy = entropy(law.probabilities)
        assert language.conditional_entropy(source, length) == pytest.approx(joint_entropy, abs=1e-12)
        correlation = sum(entropy(row) for row in marginals) - joint_entropy
        assert language.total_correlation(source, length) == pytest.approx(correlation, abs=1e-11)
        stutters = sum(float(marginals[i] @ marginals[i - 1]) for i in range(1, length))
        assert language.expected_stutters(source, length) == pytest.approx(stutters, abs=1e-13)
        assert all(target[i] != target[i - 1] for target in found for i in range(1, length)), "a true target stutters"


def test_registers_alone_have_the_plain_closed_forms() -> None:
    language = ParallelLanguage((0.5, 0.3, 0.2))
    source = (0, 1, 3, 5)
    assert language.total_correlation(source, 4) == pytest.approx(3 * entropy([0.5, 0.3, 0.2]), rel=1e-13)
    assert language.coherent_probability(4) == pytest.approx(0.5**4 + 0.3**4 + 0.2**4, rel=1e-14)
    assert language.expected_stutters(source, 4) == 0
    # The probability that independent draws from the marginals are of one register, by enumeration.
    marginals = language.marginals((0, 1), 2)
    registers = language.register_of(np.arange(marginals.shape[1]))
    same = sum(
        marginals[0, a] * marginals[1, b]
        for a in range(marginals.shape[1])
        for b in range(marginals.shape[1])
        if registers[a] == registers[b]
    )
    assert same == pytest.approx(language.coherent_probability(2), rel=1e-13)


def test_total_correlation_is_that_of_the_joint_table() -> None:
    language = LANGUAGES["everything"]
    law = language.target_law((1, 2, 3), 4)
    tokens, numbers = np.unique(law.sequences, return_inverse=True)
    table = np.zeros((len(tokens),) * 4)
    np.add.at(table, tuple(numbers.reshape(law.sequences.shape).T), law.probabilities)
    joint = JointLaw(table)
    assert int(joint.support.sum()) == len(law.sequences)
    assert joint.total_correlation() == pytest.approx(language.total_correlation((1, 2, 3), 4), abs=1e-11)


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_mode_is_a_most_likely_target(name: str) -> None:
    language = LANGUAGES[name]
    source = sentence(language, 5)
    best = max(mass for _, mass in histories(language, source))
    assert language.log_probability(source, language.mode(source)) == pytest.approx(math.log(best), abs=1e-12)


def test_sampled_targets_have_their_probabilities() -> None:
    """z-tests of every target's frequency, Bonferroni-corrected: false-alarm rate 1e-6 over seeds."""
    language, source = LANGUAGES["everything"], (4, 5, 7)
    generator = np.random.default_rng(0)
    draws = 20_000
    counts = Counter(language.sample_target(source, generator) for _ in range(draws))
    exact = {target: float(mass) for target, mass in histories(language, source)}
    assert counts.keys() <= exact.keys()
    bound = norm.isf(1e-6 / (2 * len(exact)))
    for target, mass in exact.items():
        assert abs(counts[target] - draws * mass) <= bound * math.sqrt(draws * mass * (1 - mass)) + 1


def test_sources_are_sentences_of_the_language_and_pairs_repeat_with_the_seed() -> None:
    language = LANGUAGES["everything"]
    pairs = language.sample_pairs(300, np.random.default_rng(5))
    assert pairs == language.sample_pairs(300, np.random.default_rng(5))
    assert {len(source) for source, _ in pairs} == set(range(language.shortest, language.longest + 1))
    for source, target in pairs:
        assert language.check_source(source) == source
        assert language.log_probability(source, target) > -math.inf
        assert max(target) < language.target_symbols


def test_impossible_targets_have_probability_zero() -> None:
    language = LANGUAGES["everything"]
    source = (1, 2, 3)
    good = language.render(source, language.parse(source, language.mode(source)))  # type: ignore[arg-type]
    other_register = language.head(3, 1)
    for bad in [(), good[:2], (*good[:2], other_register), (*good, good[-1]), (good[0], good[0], good[2]), (-1, 2, 3)]:
        assert language.log_probability(source, bad) == -math.inf
    wrong_last_word = tuple(language.head(word, 0) for word in (1, 2, 4))
    assert language.log_probability(source, wrong_last_word) == -math.inf
    assert ParallelLanguage((1.0, 0.0)).log_probability((0,), (16,)) == -math.inf


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"register_weights": (0.5, 0.6)}, "register_weights"),
        ({"register_weights": ()}, "register_weights"),
        ({"doubling": 1.5}, "doubling"),
        ({"swap": -0.1}, "swap"),
        ({"branching": 0}, "branching"),
        ({"words": 12, "branching": 4, "swap": 0.5}, "words"),
        ({"words": 4, "branching": 4}, "words"),
        ({"shortest": 0}, "shortest"),
        ({"shortest": 5, "longest": 4}, "longest"),
    ],
)
def test_unusable_languages_are_refused(options: dict[str, object], argument: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ParallelLanguage(**options)  # type: ignore[arg-type]
    assert caught.value.argument == argument


@pytest.mark.parametrize("source", [(), (16,), (0, 0), (0, 9)])
def test_unusable_sources_are_refused(source: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="source"):
        ParallelLanguage().log_probability(source, (0,))


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"one of \[3\]"):
        ParallelLanguage().total_correlation((0, 1, 2), 4)
