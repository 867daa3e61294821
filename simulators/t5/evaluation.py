"""How good translations are: BLEU and chrF with their signatures, stutter, errors of length.

- *BLEU* (Papineni et al. 2002) and *chrF* (Popović 2015) are those of sacrebleu (Post 2018, arXiv:1804.08771), whose
  signature says exactly what was computed.
- *Stutter rate*: share of neighbouring tokens that are equal, over all neighbours of all sentences; the main error of
  parallel decoding (Gu et al. 2018, arXiv:1711.02281). Languages stutter by themselves ("that that"), so that the
  rate of the references belongs beside it.
- *Length error*: mean over sentences of |tokens of the output - tokens of the reference|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from theory.errors import InvalidInput

TOKENIZERS = ("13a", "intl", "char", "zh", "none")
"""Word tokenizers of BLEU that sacrebleu has without further packages."""


@dataclass(frozen=True)
class TextScores:
    """Scores of a corpus, 0..100, each with its signature."""

    bleu: float
    bleu_signature: str
    chrf: float
    chrf_signature: str


def text_scores(hypotheses: Sequence[str], references: Sequence[str], tokenizer: str = "13a") -> TextScores:
    """BLEU and chrF of hypotheses against one reference each.

    Raises:
        InvalidInput: no sentence, unequal counts, or an unknown tokenizer.
    """
    from sacrebleu.metrics import BLEU, CHRF

    _require_pairs("hypotheses", len(hypotheses), len(references))
    if tokenizer not in TOKENIZERS:
        raise InvalidInput("tokenizer", tokenizer, "one of " + ", ".join(TOKENIZERS))
    bleu, chrf = BLEU(tokenize=tokenizer), CHRF()
    found = [metric.corpus_score(list(hypotheses), [list(references)]).score for metric in (bleu, chrf)]
    # Signatures exist only after scoring.
    return TextScores(found[0], str(bleu.get_signature()), found[1], str(chrf.get_signature()))


def stutter_rate(sentences: Sequence[Sequence[int]]) -> float:
    """Share of neighbours that are equal, of sentences without EOS and padding; 0 where no sentence has two tokens."""
    arrays = [np.asarray(sentence) for sentence in sentences]
    pairs = sum(max(len(array) - 1, 0) for array in arrays)
    repeats = sum(int((array[1:] == array[:-1]).sum()) for array in arrays)
    return repeats / pairs if pairs else 0.0


def length_error(sentences: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> float:
    """Mean difference of length, without sign, in tokens.

    Raises:
        InvalidInput: no sentence, or unequal counts.
    """
    _require_pairs("sentences", len(sentences), len(references))
    return float(np.mean([abs(len(one) - len(other)) for one, other in zip(sentences, references, strict=True)]))


def _require_pairs(argument: str, count: int, references: int) -> None:
    if count != references or not count:
        raise InvalidInput(
            argument, f"{count} sentences", f"as many as references, {references}, and at least 1, are needed"
        )
