"""Corpora: aligned text and its errors, padding, the order of batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.t5.files.parallel_text import Pairs, read_lines, read_pairs
from simulators.t5.files.vocabulary import train_vocabulary
from simulators.t5.training.corpus import Batches, Corpus, Sentences, make_corpus
from theory.errors import InvalidInput


def corpus_of(lengths: list[tuple[int, int]], seed: int = 0) -> Corpus:
    """Pairs of the given lengths (EOS counted); the first source token of pair i is 10 + i."""
    rng = np.random.default_rng(seed)

    def rows(side: int) -> list[list[int]]:
        return [[10 + i, *rng.integers(3, 9, pair[side] - 2), 1][-pair[side] :] for i, pair in enumerate(lengths)]

    return Corpus(Sentences(rows(0)), Sentences(rows(1)))


LENGTHS = [(2 + i % 9, 2 + (7 * i) % 23) for i in range(157)]


def seen(batches: Batches, steps: range) -> list[int]:
    """Numbers of the pairs in the batches, in order."""
    firsts = [batches(step).source[:, 0] for step in steps]
    return [int(first) - 10 for column in firsts for first in column if first]


@given(st.integers(1, 200), st.integers(1, 4), st.integers(0, 5), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_an_epoch_holds_every_pair_once_whole(tokens: int, multiple: int, seed: int, epoch: int) -> None:
    corpus = corpus_of(LENGTHS)
    batches = Batches(corpus, tokens, multiple, seed)
    steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
    assert sorted(seen(batches, steps)) == list(range(len(LENGTHS)))
    for step in steps:
        source, target = batches(step)
        assert source.shape == target.shape
        assert source.shape in batches.shapes
        assert len(source) % multiple == 0
        assert source.size <= max(tokens, multiple * source.shape[1])
        for row in range(len(source)):
            if source[row, 0]:
                pair = LENGTHS[source[row, 0] - 10]
                assert ((source[row] > 0).sum(), (target[row] > 0).sum()) == pair
                assert source[row, pair[0] - 1] == target[row, pair[1] - 1] == 1
            else:
                assert not source[row].any()
                assert not target[row].any()


def test_the_order_is_a_function_of_seed_and_step() -> None:
    corpus = corpus_of(LENGTHS)
    first, second = Batches(corpus, 64, seed=3), Batches(corpus, 64, seed=3)
    run = [first(step) for step in range(3 * first.per_epoch)]
    # Another one is asked for some steps only, backwards.
    for step in (2 * first.per_epoch + 5, first.per_epoch, 7, 0):
        for left, right in zip(run[step], second(step), strict=True):
            np.testing.assert_array_equal(left, right)
    epoch = range(first.per_epoch)
    next_epoch = range(first.per_epoch, 2 * first.per_epoch)
    assert seen(first, epoch) != seen(first, next_epoch)
    assert seen(first, epoch) != seen(Batches(corpus, 64, seed=4), epoch)


def test_without_a_seed_the_order_is_the_corpus_own_within_buckets() -> None:
    batches = Batches(corpus_of(LENGTHS), 64)
    found = seen(batches, range(batches.per_epoch))
    buckets = [next(size for size in (8, 12, 16, 24) if max(LENGTHS[i]) <= size) for i in found]
    assert buckets == sorted(buckets)
    for size in set(buckets):
        members = [i for i, bucket in zip(found, buckets, strict=True) if bucket == size]
        assert members == sorted(members)


def test_padded_rows() -> None:
    sentences = Sentences([[5, 1], [6, 7, 8, 1], [9, 1]])
    found = sentences.padded(np.array([2, -1, 1]), 5)
    np.testing.assert_array_equal(found, [[9, 1, 0, 0, 0], [0, 0, 0, 0, 0], [6, 7, 8, 1, 0]])
    assert found.dtype == np.int32


def test_long_sentences_are_left_out_and_counted_or_refused_with_their_line() -> None:
    lines = ["a b", "a b c d e f", "c d"]
    vocabulary = train_vocabulary(["a b c d e f"], 20, "word")
    pairs = Pairs(lines, ["b", "c", "a b c d e"], ("x.de", "x.en"))
    corpus = make_corpus(pairs, vocabulary, 5)
    assert len(corpus) == 1
    assert corpus.skipped == 2
    np.testing.assert_array_equal(corpus.sources.flat, vocabulary.encode(["a b"])[0])
    with pytest.raises(InvalidInput, match=r"source = x.de, line 2: 7 tokens; at most 5 are allowed \(2 such pairs"):
        make_corpus(pairs, vocabulary, 5, strict=True)
    with pytest.raises(InvalidInput, match=r"target = x.en, line 3: 6 tokens"):
        make_corpus(pairs._replace(sources=["a", "b", "c"]), vocabulary, 5, strict=True)
    with pytest.raises(InvalidInput, match="every pair"):
        make_corpus(pairs, vocabulary, 1)


def test_fingerprints_tell_corpora_apart() -> None:
    assert corpus_of(LENGTHS).fingerprint == corpus_of(LENGTHS).fingerprint
    assert corpus_of(LENGTHS).fingerprint != corpus_of(LENGTHS, seed=1).fingerprint
    assert corpus_of(LENGTHS).fingerprint != corpus_of(LENGTHS[:-1]).fingerprint


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_aligned_files_and_tab_separated_values_give_the_same_pairs(tmp_path: Path) -> None:
    # A line separator of Unicode inside a sentence, a carriage return, a byte-order mark: none is a line of its own.
    source = write(tmp_path / "x.de", "\ufeffEins \u2028 zwei\r\nDrei\n")
    target = write(tmp_path / "x.en", "One\x85two\nThree")
    table = write(tmp_path / "x.tsv", "Eins \u2028 zwei\tOne\x85two\nDrei \t Three\n")
    two, one = read_pairs(source, target), read_pairs(table)
    assert (two.sources, two.targets) == (one.sources, one.targets)
    assert two.targets == ["One\x85two", "Three"]


def test_unusable_text_is_refused_with_its_line(tmp_path: Path) -> None:
    good = write(tmp_path / "good", "a\nb\nc\n")
    cases: list[tuple[Path, Path | None, str]] = [
        (write(tmp_path / "short", "a\nb\n"), good, r"target = .*good \(3 lines\): .*short has 2"),
        (
            write(tmp_path / "empty line", "a\n \nc\n\n"),
            good,
            r"source = .*, line 2: is empty.*2 such lines in all: 2, 4",
        ),
        (write(tmp_path / "bytes", b"a\nb\xff\nc"), good, r"line 2: byte 0xff is not UTF-8"),
        (write(tmp_path / "nothing", ""), good, "is empty"),
        (tmp_path / "absent", good, "there is no such file"),
        (write(tmp_path / "no tab", "a\tb\nc\n"), None, r"line 2: 1 columns"),
        (write(tmp_path / "three", "a\tb\tc\n"), None, r"line 1: 3 columns"),
        (write(tmp_path / "half", "a\tb\n\tc\n"), None, r"line 2: 1 columns"),
    ]
    for source, target, message in cases:
        with pytest.raises(InvalidInput, match=message):
            read_pairs(source, target)
    assert read_lines(good) == ["a", "b", "c"]


def test_unusable_batch_sizes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="batch_tokens"):
        Batches(corpus_of(LENGTHS), 0)
