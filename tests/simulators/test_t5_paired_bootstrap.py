"""Bootstrap of scores: each draw against sacrebleu on the drawn sentences; equal systems and different ones."""

from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from simulators.t5.decoding.evaluation import stutter_rate
from simulators.t5.decoding.paired_bootstrap import drawn_scores, drawn_weights, interval
from theory.errors import InvalidInput

REFERENCES = [f"a b c d e f g {number}" for number in range(40)]
WORSE = [f"a b b d y f z {number}" if number % 2 else text for number, text in enumerate(REFERENCES)]


def pieces(texts: list[str]) -> list[list[int]]:
    return [[ord(word[0]) for word in text.split()] for text in texts]


def test_a_draw_scores_what_its_sentences_score() -> None:
    weights = drawn_weights(len(WORSE), 5)
    assert (weights.sum(axis=1) == len(WORSE)).all()
    assert (weights[0] == 1).all()
    found = drawn_scores(WORSE, pieces(WORSE), REFERENCES, weights)
    for draw, counts in enumerate(weights):
        chosen = np.repeat(np.arange(len(WORSE)), counts)
        texts, references = ([side[i] for i in chosen] for side in (WORSE, REFERENCES))
        for name, metric in (("bleu", BLEU(force=True)), ("chrf", CHRF())):
            assert found[name][draw] == pytest.approx(metric.corpus_score(texts, [references]).score, rel=1e-12)
        assert found["stutter"][draw] == pytest.approx(stutter_rate(pieces(texts)), rel=1e-12)


def test_equal_systems_do_not_differ_and_a_worse_one_does() -> None:
    weights = drawn_weights(len(WORSE), 200)
    good, same, bad = (
        drawn_scores(texts, pieces(texts), REFERENCES, weights) for texts in (REFERENCES, REFERENCES, WORSE)
    )
    assert interval(good["bleu"] - same["bleu"]) == (0, 0, 0)
    value, low, high = interval(bad["bleu"] - good["bleu"])
    assert low < value < high < -5
    value, low, high = interval(bad["stutter"] - good["stutter"])
    assert 0 < low < value < high < 0.2


def test_unusable_input_is_named() -> None:
    weights = drawn_weights(2, 1)
    with pytest.raises(InvalidInput, match="texts"):
        drawn_scores(["a"], [[1]], ["a"], weights)
    with pytest.raises(InvalidInput, match="tokenizer"):
        drawn_scores(["a", "b"], [[1], [2]], ["a", "b"], weights, "words")
    with pytest.raises(InvalidInput, match="draws"):
        drawn_weights(2, 0)
