"""How good translations are: BLEU and chrF with their signatures, stutter, errors of length.

- *BLEU* (Papineni et al. 2002) and *chrF* (Popović 2015) are those of sacrebleu (Post 2018, arXiv:1804.08771), whose
  signature says exactly what was computed.
- Their *intervals* are 95% bootstrap intervals over the test sentences (Koehn 2004), by sacrebleu, with its fixed seed.
- The *ceiling* is the BLEU of the references themselves, written with the vocabulary and read back: normalisation and
  unknown characters keep even a perfect output below 100.
- *Stutter rate*: share of neighbouring tokens that are equal, over all neighbours of all sentences; the main error of
  parallel decoding (Gu et al. 2018, arXiv:1711.02281). Languages stutter by themselves ("that that"), so that the
  rate of the references belongs beside it.
- *Length error*: mean over sentences of |tokens of the output - tokens of the reference|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.errors import InvalidInput

TOKENIZERS = ("13a", "intl", "char", "zh", "none")
"""Word tokenizers of BLEU that sacrebleu has without further packages."""


@dataclass(frozen=True)
class TextScores:
    """Scores of a corpus, 0..100, each with half of its 95% interval, where asked for, and its signature."""

    bleu: float
    bleu_interval: float | None
    bleu_signature: str
    chrf: float
    chrf_interval: float | None
    chrf_signature: str


def text_scores(
    hypotheses: Sequence[str], references: Sequence[str], tokenizer: str = "13a", samples: int = 0
) -> TextScores:
    """BLEU and chrF of hypotheses against one reference each.

    Args:
        hypotheses, references: texts.
        tokenizer: of BLEU.
        samples: of the bootstrap; 0 for no intervals, and none are given for a single sentence.

    Raises:
        InvalidInput: no sentence, unequal counts, an unknown tokenizer, or a negative number of samples.
    """
    from sacrebleu.metrics import BLEU, CHRF

    _require_pairs("hypotheses", len(hypotheses), len(references))
    if tokenizer not in TOKENIZERS:
        raise InvalidInput("tokenizer", tokenizer, "one of " + ", ".join(TOKENIZERS))
    if samples < 0:
        raise InvalidInput("samples", samples, "a whole number >= 0 is needed, 0 for no intervals")
    metrics = {"bleu": BLEU(tokenize=tokenizer), "chrf": CHRF()}
    values: dict[str, Any] = {"bleu_interval": None, "chrf_interval": None}
    for name, metric in metrics.items():
        values[name] = metric.corpus_score(list(hypotheses), [list(references)]).score
        # Signatures exist only after scoring.
        values[f"{name}_signature"] = str(metric.get_signature())
    if samples > 1 and len(hypotheses) > 1:
        found = _bootstrap([hypotheses, hypotheses], references, metrics, samples)
        values |= {f"{name}_interval": float(found[name][0].ci) for name in metrics}
    return TextScores(**values)


def _bootstrap(
    systems: Sequence[Sequence[str]], references: Sequence[str], metrics: dict[str, Any], samples: int
) -> dict[str, list[Any]]:
    """sacrebleu's paired bootstrap of the systems against the first of them; at least two are needed."""
    from sacrebleu.significance import PairedTest

    named: list[tuple[str, Sequence[str]]] = [(str(number), list(system)) for number, system in enumerate(systems)]
    found = PairedTest(named, metrics, [list(references)], test_type="bs", n_samples=samples)()[1]
    # Its columns are the names of the systems and then the metrics, in order, under names of its own.
    return dict(zip(metrics, map(list, list(found.values())[1:]), strict=True))


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
