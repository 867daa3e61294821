"""Scores of translations against slow definitions; batching does not change a translation."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.t5.decoding.evaluation import edit_distances, edit_errors, stutter_rate, text_scores
from simulators.t5.decoding.settings import GenerationSettings, RefinementSettings, Sampling
from simulators.t5.decoding.translation import Settings, Translator
from simulators.t5.network.network import T5
from tests.simulators.t5_examples import refinement_network, sentences, small_config
from theory.errors import InvalidInput

TINY = {"vocab_size": 60, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_decoder_layers": 1}


def slow_bleu(hypotheses: list[str], references: list[str]) -> float:
    """The definition of Papineni et al., for texts without punctuation."""
    logs, hypothesis_length = 0.0, sum(len(text.split()) for text in hypotheses)
    for order in range(1, 5):
        matches = total = 0
        for one, other in zip(hypotheses, references, strict=True):
            counts = [
                Counter(zip(*(text.split()[shift:] for shift in range(order)), strict=False)) for text in (one, other)
            ]
            matches += sum((counts[0] & counts[1]).values())
            total += sum(counts[0].values())
        logs += math.log(matches / total) / 4
    reference_length = sum(len(text.split()) for text in references)
    return 100 * min(1.0, math.exp(1 - reference_length / hypothesis_length)) * math.exp(logs)


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    hypotheses = ["the cat sat on the mat today", "a b c d e f", "one two three four five"]
    references = ["the cat sat on a mat today", "a b c d e f g", "one two four four five"]
    scores = text_scores(hypotheses, references, "none")
    assert scores.bleu == pytest.approx(slow_bleu(hypotheses, references), abs=1e-9)
    assert "tok:none" in scores.bleu_signature
    assert "version:" in scores.bleu_signature
    assert scores.chrf_signature.startswith("nrefs:1")
    perfect = text_scores(references, references)
    assert perfect.bleu == pytest.approx(100)
    assert perfect.chrf == pytest.approx(100)


def test_intervals_are_those_of_sentences_drawn_anew() -> None:
    """Against a bootstrap of our own; both have an error of some percent with so many samples."""
    generator = np.random.default_rng(0)
    references = [" ".join(map(str, generator.integers(0, 9, 8))) for _ in range(60)]
    hypotheses = [" ".join(w if generator.random() < 0.8 else "x" for w in line.split()) for line in references]
    scores = text_scores(hypotheses, references, "none", samples=500)
    assert scores.bleu == text_scores(hypotheses, references, "none").bleu
    draws = [generator.integers(0, 60, 60) for _ in range(300)]
    for kind, half in (("bleu", scores.bleu_interval), ("chrf", scores.chrf_interval)):
        found = [
            getattr(text_scores([hypotheses[i] for i in draw], [references[i] for i in draw], "none"), kind)
            for draw in draws
        ]
        low, high = np.quantile(found, [0.025, 0.975])
        assert half == pytest.approx((high - low) / 2, rel=0.25)
    assert text_scores(hypotheses[:1], references[:1], samples=500).bleu_interval is None
    with pytest.raises(InvalidInput, match="samples"):
        text_scores(hypotheses, references, samples=-1)


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=5))
def test_stutter_is_the_share_of_equal_neighbours(rows: list[list[int]]) -> None:
    pairs = [(row[i - 1], row[i]) for row in rows for i in range(1, len(row))]
    expected = sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0
    assert stutter_rate(rows) == pytest.approx(expected)


def slow_distance(one: list[int], other: list[int]) -> int:
    """Levenshtein's recursion."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        slow_distance(one[1:], other) + 1,
        slow_distance(one, other[1:]) + 1,
        slow_distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


rows_of_few = st.lists(st.integers(0, 3), max_size=5)


@given(st.lists(st.tuples(rows_of_few, rows_of_few), min_size=1, max_size=4))
def test_edits_are_levenshtein_s_and_no_part_is_negative(pairs: list[tuple[list[int], list[int]]]) -> None:
    sentences, references = map(list, zip(*pairs, strict=True))
    distances = [slow_distance(*pair) for pair in pairs]
    assert edit_distances(sentences, references).tolist() == distances
    errors = [edit_errors([one], [other]) for one, other in pairs]
    assert min(map(min, errors)) >= 0
    assert edit_errors(sentences, references) == pytest.approx(np.mean(errors, axis=0))
    assert sum(edit_errors(sentences, references)) == pytest.approx(np.mean(distances))


def test_edits_are_told_apart() -> None:
    assert edit_errors([[1, 2, 3]], [[1, 2, 3, 4, 5]]) == (2, 0, 0)
    assert edit_errors([[1, 9, 3]], [[1, 2, 3]]) == (0, 1, 0)
    assert edit_errors([[2, 1, 3]], [[1, 2, 3]]) == (0, 0, 2)
    assert edit_errors([[1, 1, 3]], [[1, 2, 3]]) == (0, 1, 0)  # stutter
    assert edit_errors([[1, 2], [], [3]], [[1], [4, 4], [5]]) == pytest.approx((1.0, 1 / 3, 0))


def test_bad_scores_are_named() -> None:
    with pytest.raises(InvalidInput, match="2 sentences"):
        text_scores(["a", "b"], ["a"])
    with pytest.raises(InvalidInput, match="hypotheses"):
        text_scores([], [])
    with pytest.raises(InvalidInput, match="tokenizer"):
        text_scores(["a"], ["a"], "13b")
    with pytest.raises(InvalidInput, match="sentences"):
        edit_errors([[1]], [])


def rows_of_ids(count: int) -> list[list[int]]:
    return [[int(token) for token in row if token] for row in sentences(count, longest=8, vocabulary=60)]


@pytest.fixture(scope="module")
def refining() -> T5:
    return refinement_network(**TINY)


SAMPLED = RefinementSettings(steps=2, start="random", sampling=Sampling(temperature=1.0), record=True)


def test_batches_do_not_change_refinement(refining: T5) -> None:
    rows = rows_of_ids(10)
    rows[4] = [1]
    lengths = [2 + index % 5 for index in range(10)]
    translator = Translator(refining, SAMPLED, rows=4, seed=3, timed=True)
    together = translator(rows, lengths)
    assert together[4].tokens == []
    assert translator(rows[3:], lengths[3:], first=3) == together[3:]
    assert translator(rows[3:], lengths[3:]) != together[3:]
    for number in (0, 9):
        target = together[number]
        assert target.history is not None
        assert len(target.tokens) == lengths[number] - 1
        assert len(target.history) == target.passes == 2
        assert target.history[-1] == target.tokens
    assert translator.seconds > 0
    with pytest.raises(InvalidInput, match="lengths"):
        translator(rows, lengths=[2])


def test_autoregressive_translations_end_before_eos() -> None:
    from flax import nnx

    network = T5(small_config(**TINY), nnx.Rngs(0))
    rows = rows_of_ids(5)
    translator = Translator(network, GenerationSettings(max_length=8), rows=4)
    targets = translator(rows)
    assert len(targets) == 5
    for target in targets:
        assert 1 not in target.tokens
        assert target.passes in (len(target.tokens), len(target.tokens) + 1)
        assert target.history is None


@pytest.mark.parametrize("settings", [GenerationSettings(), RefinementSettings()])
def test_settings_of_the_other_decoder_are_refused(refining: T5, settings: Settings) -> None:
    from flax import nnx

    network = refining if isinstance(settings, GenerationSettings) else T5(small_config(**TINY), nnx.Rngs(0))
    with pytest.raises(InvalidInput, match="settings"):
        Translator(network, settings)


def test_rows_are_positive(refining: T5) -> None:
    with pytest.raises(InvalidInput, match="rows"):
        Translator(refining, RefinementSettings(), rows=0)
