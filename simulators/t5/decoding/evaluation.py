"""How good translations are: BLEU and chrF with their signatures, stutter, errors of length, tokens and order.

- *BLEU* (Papineni et al. 2002) and *chrF* (Popović 2015) are those of sacrebleu (Post 2018, arXiv:1804.08771), whose
  signature says exactly what was computed.
- Their *intervals* are 95% bootstrap intervals over the test sentences (Koehn 2004), by sacrebleu, with its fixed seed.
- The *ceiling* is the BLEU of the references themselves, written with the vocabulary and read back: normalisation and
  unknown characters keep even a perfect output below 100.
- *Stutter rate*: share of neighbouring tokens that are equal, over all neighbours of all sentences; the main error of
  parallel decoding (Gu et al. 2018, arXiv:1711.02281). Languages stutter by themselves ("that that"), so that the
  rate of the references belongs beside it.
- *Errors of length, tokens and order*: the fewest insertions, deletions and substitutions that make the reference of an
  output of h tokens, the reference having r, of which m stand in both (counted as often as in both), are split as

      edits = |h - r| + (min(h, r) - m) + rest,        rest >= 0:

  the lengths differ; tokens are wrong wherever they stand; tokens are right and stand in the wrong place. For an edit
  adds or removes one token or exchanges one, so that no fewer than max(h, r) - m do. The last part is what a word error
  rate has beyond the position-independent one (Popović and Ney 2007); with repeated neighbours it is where incoherence
  shows. `theory.language.error_split` splits a divergence likewise where the true law is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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


class EditErrors(NamedTuple):
    """Edits of a sentence in tokens, mean over sentences: of length, of tokens, and of their order."""

    length: float
    tokens: float
    order: float


def edit_errors(sentences: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> EditErrors:
    """The edits that make references of sentences, split as in the module's description.

    Args:
        sentences, references: ids, without EOS and padding.

    Raises:
        InvalidInput: no sentence, or unequal counts.
    """
    _require_pairs("sentences", len(sentences), len(references))
    sizes = np.array([[len(one), len(other)] for one, other in zip(sentences, references, strict=True)])
    shared = np.array(
        [(Counter(one) & Counter(other)).total() for one, other in zip(sentences, references, strict=True)]
    )
    length, tokens = abs(sizes[:, 0] - sizes[:, 1]), sizes.min(axis=1) - shared
    order = edit_distances(sentences, references) - length - tokens
    return EditErrors(*(float(part.mean()) for part in (length, tokens, order)))


def edit_distances(sentences: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Levenshtein's distance of each sentence from its reference, [n]."""
    rows, others = (_padded(side, fill) for side, fill in ((sentences, -1), (references, -2)))
    lengths = np.array([[len(one), len(other)] for one, other in zip(sentences, references, strict=True)])
    place = np.arange(others.shape[1] + 1)
    # Distances of the first i tokens of each sentence from the first 0..r of its reference, row i of the usual table.
    now = np.broadcast_to(place, (len(rows), len(place)))
    found = np.where(lengths[:, 0] == 0, lengths[:, 1], 0)
    for i in range(rows.shape[1]):
        replaced = now[:, :-1] + (others != rows[:, i, None])
        best = np.concatenate([now[:, :1] + 1, np.minimum(now[:, 1:] + 1, replaced)], axis=1)
        # Insertions: the least over what stands on the left, plus the distance from there.
        now = np.minimum.accumulate(best - place, axis=1) + place
        found = np.where(lengths[:, 0] == i + 1, np.take_along_axis(now, lengths[:, 1:], axis=1)[:, 0], found)
    return found


def _padded(rows: Sequence[Sequence[int]], fill: int) -> NDArray[np.int64]:
    table = np.full((len(rows), max(map(len, rows))), fill)
    for own, row in zip(table, rows, strict=True):
        own[: len(row)] = row
    return table


def _require_pairs(argument: str, count: int, references: int) -> None:
    if count != references or not count:
        raise InvalidInput(
            argument, f"{count} sentences", f"as many as references, {references}, and at least 1, are needed"
        )
