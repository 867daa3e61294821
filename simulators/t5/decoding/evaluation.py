"""How good translations are: BLEU and chrF with their signatures, stutter, errors of length.

- *BLEU* (Papineni et al. 2002) and *chrF* (Popović 2015) are those of sacrebleu (Post 2018, arXiv:1804.08771), whose
  signature says exactly what was computed.
- *Stutter rate*: share of neighbouring tokens that are equal, over all neighbours of all sentences; the main error of
  parallel decoding (Gu et al. 2018, arXiv:1711.02281). Languages stutter by themselves ("that that"), so that the
  rate of the references belongs beside it.
- *Length error*: mean over sentences of |tokens of the output - tokens of the reference|.
- *Paired bootstrap* (Koehn 2004): how much of a difference of BLEU the choice of test sentences explains. It knows
  nothing of how another seed of training would have come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class PairedBleu(NamedTuple):
    """Bootstrap of BLEU over the test sentences.

    Attributes:
        half_width: half of the 95% interval.
        p_value: how often sentences drawn anew would make so large a difference from the baseline where there is none;
            None for the baseline itself.
    """

    half_width: float
    p_value: float | None


def paired_bleu(
    baseline: Sequence[str],
    others: Sequence[Sequence[str]],
    references: Sequence[str],
    tokenizer: str = "13a",
    samples: int = 1000,
) -> list[PairedBleu]:
    """Bootstrap of the baseline's BLEU and of the others' against it, in this order; sacrebleu's own, its fixed seed.

    Raises:
        InvalidInput: no sentence, or unequal counts.
    """
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    for hypotheses in (baseline, *others):
        _require_pairs("hypotheses", len(hypotheses), len(references))
    # sacrebleu compares by name and wants another system, so that a lone baseline is compared with itself.
    systems = (baseline, *(others or (baseline,)))
    named: list[tuple[str, Sequence[str]]] = [(str(number), list(system)) for number, system in enumerate(systems)]
    test = PairedTest(named, {"BLEU": BLEU(tokenize=tokenizer)}, [list(references)], test_type="bs", n_samples=samples)
    found: list[Any] = list(test()[1]["BLEU"][: 1 + len(others)])
    result = [PairedBleu(float(found[0].ci), None)]
    for system, entry in zip(others, found[1:], strict=True):
        # It counts differences beyond the measured one, and none is where all of them are 0.
        equal = list(system) == list(baseline)
        result.append(PairedBleu(float(entry.ci), 1.0 if equal else float(entry.p_value)))
    return result


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
