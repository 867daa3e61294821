"""Text: reading and its errors, decoders of a network by enumeration, statistics and losses against definitions."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import click.testing
import numpy as np
import pytest
from scipy.stats import chi2

from experiments.cli.text import text as command
from experiments.cli.text import usual_decoders
from simulators.gmlm.text.corpus import UNKNOWN, Vocabulary, consecutive_windows, read_corpus, split
from simulators.gmlm.text.evaluation import loss_by_ratio
from simulators.gmlm.text.statistics import ngram_counts, ngram_distance
from theory.conditionals import temper
from theory.decoding import FunctionPredictor, Sampled, parse, sample
from theory.errors import InvalidInput
from theory.laws import JointLaw, random_law
from theory.masks import k_uniform

DRAWS = 20_000
FALSE_ALARM = 1e-4
"""Chance that a correct generator fails one of the chi-squared tests below."""


def network_of(law):
    """The exact conditionals of a law in a network's interface, for any mask of each row."""

    def predict(tokens: np.ndarray) -> np.ndarray:
        result = np.empty((*tokens.shape, law.symbols))
        patterns, inverse = np.unique(tokens, axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            fits = ((law.sequences == pattern) | (pattern == law.symbols)).all(axis=1)
            masses = np.where(fits, law.probabilities, 0.0)
            for site in range(law.sites):
                counts = np.bincount(law.sequences[:, site], weights=masses, minlength=law.symbols)
                result[inverse.ravel() == number, site] = counts / counts.sum()
        return result

    return predict


def agrees(sequences: np.ndarray, symbols: int, law: np.ndarray) -> bool:
    index = sequences @ (symbols ** np.arange(sequences.shape[1] - 1, -1, -1))
    counts = np.bincount(index, minlength=len(law))
    expected = len(sequences) * law
    assert counts[expected == 0].sum() == 0
    seen = expected > 0
    statistic = ((counts[seen] - expected[seen]) ** 2 / expected[seen]).sum()
    return bool(statistic < chi2.isf(FALSE_ALARM, seen.sum() - 1))


def generate(law: JointLaw, decoder: str, calls: int) -> Sampled:
    network = FunctionPredictor(law.sites, law.symbols, network_of(law))
    return sample(network, parse(decoder), calls, DRAWS, np.random.default_rng(0))


@pytest.mark.parametrize("decoder", ["left-to-right", "first-hitting"])
def test_one_at_a_time_samples_the_law(decoder: str) -> None:
    law = random_law(3, 3, np.random.default_rng(0))
    found = generate(law, decoder, 3)
    assert (found.calls == 3).all()
    assert agrees(found.sequences, 3, law.probabilities)


def test_mask_predict_by_enumeration() -> None:
    """Two passes over three sites: floor(3/2) = 1 site, the least confident of the first pass, is drawn again."""
    law = random_law(3, 2, np.random.default_rng(5))
    marginals = np.array([law.marginal([i]) for i in range(3)])
    expected = np.zeros(8)
    for x in itertools.product(range(2), repeat=3):
        confidence = [marginals[i, x[i]] for i in range(3)]
        site = int(np.argmin(confidence))
        line = np.array([law.table[tuple(v if i == site else x[i] for i in range(3))] for v in range(2)])
        for v in range(2):
            y = [v if i == site else x[i] for i in range(3)]
            expected[y[0] * 4 + y[1] * 2 + y[2]] += np.prod(confidence) * line[v] / line.sum()
    found = generate(law, "mask-predict", 2)
    assert (found.calls == 2).all()
    assert agrees(found.sequences, 2, expected)


@pytest.mark.parametrize("name", ["llada", "mask-predict"])
@pytest.mark.parametrize("temperature", [0.0, 0.3, 2.0])
def test_ranking_by_the_untempered_probability(name: str, temperature: float) -> None:
    """Drawn from tempered laws, the less confident of two sites, by the law itself, is drawn again given the other."""
    law = JointLaw(np.array([[0.3, 0.3], [0.4, 0.0]]))
    left, right = law.marginal([0]), law.marginal([1])
    expected = np.zeros((2, 2))
    for x, y in itertools.product(range(2), repeat=2):
        drawn = temper(left, temperature)[x] * temper(right, temperature)[y]
        if left[x] > right[y]:
            expected[x] += drawn * temper(law.table[x] / left[x], temperature)
        else:
            expected[:, y] += drawn * temper(law.table[:, y] / right[y], temperature)
    found = generate(law, f"{name}:temperature={temperature}", 2)
    if temperature == 0:
        assert expected[1, 0] == 1
        assert (found.sequences == [1, 0]).all()
    else:
        assert agrees(found.sequences, 2, expected.ravel())


def test_ngrams_against_a_counter() -> None:
    generator = np.random.default_rng(0)
    left, right = generator.integers(0, 4, size=(5, 9)), generator.integers(0, 4, size=(7, 6))
    for order in (1, 2, 3):
        laws = []
        for rows in (left, right):
            grams = Counter(tuple(row[i : i + order]) for row in rows for i in range(len(row) - order + 1))
            keys, counts = ngram_counts(rows, order, 4)
            assert sorted(counts) == sorted(grams.values())
            assert len(keys) == len(grams)
            laws.append({gram: count / grams.total() for gram, count in grams.items()})
        expected = 0.5 * sum(abs(laws[0].get(g, 0) - laws[1].get(g, 0)) for g in laws[0].keys() | laws[1].keys())
        assert ngram_distance(left, right, order, 4) == pytest.approx(expected, abs=1e-14)
    assert ngram_distance(left, left, 2, 4) == 0
    assert ngram_distance(left * 0, left * 0 + 1, 2, 4) == 1
    for order in (0, 10):
        with pytest.raises(InvalidInput, match="order"):
            ngram_counts(left, order, 4)


def test_loss_by_ratio_is_the_entropy_for_exact_conditionals() -> None:
    """For sequences of the law itself the expected loss at size k is E_K mean_i H(x_i | x_-K)."""
    law = random_law(4, 2, np.random.default_rng(2))
    sequences = law.sample(4000, np.random.default_rng(3))
    rows = loss_by_ratio(network_of(law), sequences, 2, [0.01, 0.5, 1.0])
    assert [row.masked for row in rows] == [1, 2, 4]
    for row in rows:
        entropies = [
            law.conditional_entropy([i], [j for j in range(4) if j not in mask])
            for mask in k_uniform(4, row.masked).masks
            for i in mask
        ]
        assert abs(row.loss - np.mean(entropies)) < 4.5 * row.standard_error  # false alarm 7e-6 for each of three
    with pytest.raises(InvalidInput, match="ratio = 0"):
        loss_by_ratio(network_of(law), sequences, 2, [0.0])


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    for content, message in (
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"caf\xe9 in Latin-1", "must be UTF-8 text; byte 3 is not"),
    ):
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match=message):
            read_corpus(path)
    with pytest.raises(InvalidInput, match="no such file"):
        read_corpus(tmp_path / "missing.txt")
    with pytest.raises(InvalidInput, match="is a folder"):
        read_corpus(tmp_path)
    path.write_text("Grüße 𝄞", encoding="utf-8")
    assert read_corpus(path) == "Grüße 𝄞"
    assert len(read_corpus()) > 3000


def test_vocabulary_and_windows() -> None:
    vocabulary = Vocabulary.of("abracadabra", minimum_count=2)
    assert vocabulary.characters == "abr"
    assert vocabulary.symbols == 4
    symbols = vocabulary.encode("bar cab")
    np.testing.assert_array_equal(symbols, [1, 0, 2, 3, 3, 0, 1])
    assert vocabulary.decode(symbols) == f"bar{UNKNOWN}{UNKNOWN}ab"
    assert vocabulary.decode(np.array([4])) == "_"
    np.testing.assert_array_equal(consecutive_windows(symbols, 3), [[1, 0, 2], [3, 3, 0]])
    np.testing.assert_array_equal(consecutive_windows(np.arange(10, dtype=np.int32), 2, 3), [[0, 1], [4, 5], [8, 9]])
    assert split("0123456789", 2, 0.3) == ("0123456", "789")
    assert split("0123456789", 4, 0.1) == ("012345", "6789")
    for arguments in (("abc", 2, 0.5), ("abcd", 0, 0.5), ("abcd", 1, 0.0), ("abcd", 1, 1.0)):
        with pytest.raises(InvalidInput):
            split(*arguments)
    with pytest.raises(InvalidInput, match="minimum_count"):
        Vocabulary.of("abc", 2)


def test_command_line_from_training_to_text(tmp_path: Path) -> None:
    corpus, folder = tmp_path / "corpus.txt", tmp_path / "model"
    corpus.write_text("the cat sat on the mat. " * 20, encoding="utf-8")
    runner = click.testing.CliRunner()

    def run(*arguments: str) -> click.testing.Result:
        return runner.invoke(command, [*arguments, "--corpus", str(corpus)])

    options = ("--window", "8", "--width", "8", "--heads", "2", "--layers", "1", "--batch-size", "8", "--steps", "20")
    first = run("train", str(folder), *options)
    assert first.exit_code == 0, first.output
    assert "Trained to step 20" in first.output
    assert "step 20/20  loss" in first.stderr
    assert "already" in run("train", str(folder), *options).output
    refused = run("train", str(folder), *options, "--seed", "1")
    assert isinstance(refused.exception, InvalidInput)
    assert "settings.seed = 1" in str(refused.exception)
    shown = run("generate", str(folder), "--count", "3", "--calls", "2").output
    assert all(f"{decoder}: 2 network calls" in shown for decoder in usual_decoders(8, 2) if decoder != "first-hitting")
    assert "first-hitting: 8 network calls" in shown
    for arguments, message in (
        (("--decoder", "beam"), "decoder = beam"),
        (("--decoder", "tweedie:noise=uniform"), "decoder = tweedie"),
        (("--decoder", "optimal", "--calls", "2"), "decoder = optimal"),
        (("--decoder", "llada", "--calls", "9"), "calls = 9: at most 8"),
        (("--count", "0"), "count = 0"),
    ):
        assert message in str(run("generate", str(folder), *arguments).exception)
    assert "validation" in run("evaluate", str(folder)).output
    assert isinstance(run("evaluate", str(folder), "--ratios", "2").exception, InvalidInput)
    corpus.write_text("short")
    assert "corpus" in str(run("train", str(tmp_path / "other"), *options).exception)
