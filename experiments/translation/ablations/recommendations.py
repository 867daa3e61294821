"""What the study recommends: each choice with its effect, the uncertainty of it, and what the paper advises.

An *effect* is a difference of two ways to train and decode, new minus old, on the same test sentences, mean over the
seeds of training that both have, with its 95% interval over sentences (`simulators.t5.decoding.paired_bootstrap`).
Interval and seeds decide together:

    better, worse     the interval excludes 0, and every seed has the sign of the mean
    no difference     the same scores on every draw: the two ways did the same
    not resolved      otherwise, or with fewer than two seeds

and the paper's advice is *confirmed*, *contradicted* or *not resolved* accordingly. Where the advice is that something
loses nothing, it is confirmed by an interval within ± `MARGIN`, and contradicted by one wholly beyond it. An interval
over sentences with two or three seeds says little about other seeds, so a verdict is about these networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.translation.ablations.variants import BASE, CHOSEN_LENGTH, GREEDY, MASK_PREDICT, TEACHER
from simulators.t5.decoding.paired_bootstrap import Scores, interval


class Way(NamedTuple):
    """A network, how it is decoded, and the refinement steps; no steps for autoregressive decoding."""

    network: str = BASE
    scheme: str = MASK_PREDICT
    steps: int | None = 4


class Question(NamedTuple):
    """One choice.

    Attributes:
        name: for the record.
        text: the choice, as "new instead of old".
        new, old: what is compared.
        advice: what the paper advises on it, empty for nothing.
        expected: sign of the effect that confirms the advice.
        measure: what the advice is about.
    """

    name: str
    text: str
    new: Way
    old: Way
    advice: str = ""
    expected: int = 1
    measure: str = "bleu"


_ALL_KEPT, _ALL_AGAIN = Way(scheme="masks, all kept"), Way(scheme="linear, masked again")

QUESTIONS = (
    Question("fixed-15", "uniform mask ratio instead of 15%", Way(), Way("fixed-15"), "large, uniform mask ratios"),
    Question("fixed-50", "uniform mask ratio instead of 50%", Way(), Way("fixed-50"), "uniform mask ratios"),
    Question(
        "masks-only", "masks only instead of 10% kept, 10% random", Way("masks-only"), Way(), "noise of 80/10/10", -1
    ),
    Question("range-masks", "range masks and positional attention", Way("range-masks"), Way("masks-only")),
    Question(
        "second-leg", "a second leg of training, at half the learning rate", Way("second-leg"), Way("range-masks")
    ),
    Question("two-stages", "two stages instead of one", Way("two-stages"), Way()),
    Question(
        "two-stages-repredicting",
        "two stages instead of one, every token predicted again",
        _ALL_KEPT._replace(network="two-stages"),
        _ALL_KEPT,
        "learn to refine the own output",
    ),
    Question("distillation", "the teacher's translations instead of references", Way(), Way("references"), "distil"),
    Question(
        "distillation-stutter",
        "the teacher's translations instead of references: stutter at 1 step",
        Way(steps=1),
        Way("references", steps=1),
        "distillation lessens stutter",
        -1,
        "stutter",
    ),
    Question("beam", "beam translations instead of greedy ones", Way("beam"), Way()),
    Question("steps-4", "4 steps instead of 1", Way(), Way(steps=1), "refine in a few steps"),
    Question("steps-8", "8 steps instead of 4", Way(steps=8), Way(), "a few steps suffice", 0),
    Question(
        "steps-stutter", "4 steps instead of 1: stutter", Way(), Way(steps=1), "steps lessen stutter", -1, "stutter"
    ),
    Question("random-start", "masks instead of a random start", _ALL_KEPT, Way(scheme="random start")),
    Question(
        "replacement-previous", "masked again instead of previous tokens", _ALL_AGAIN, Way(scheme="linear, previous")
    ),
    Question(
        "replacement-summed", "masked again instead of summed logits", _ALL_AGAIN, Way(scheme="linear, summed logits")
    ),
    Question("rejecter-linear", "linear schedule instead of keeping all", _ALL_AGAIN, _ALL_KEPT),
    Question("rejecter-constant", "linear schedule instead of one token", _ALL_AGAIN, Way(scheme="one masked again")),
    Question("rejecter-stutter", "linear schedule instead of stutter", _ALL_AGAIN, Way(scheme="stutter masked again")),
    Question("rejecter-learned", "linear schedule instead of learned", _ALL_AGAIN, Way(scheme="learned, masked again")),
    Question("update", "only rejected tokens predicted again", Way(), _ALL_AGAIN),
    Question("stutter-removed", "stutter removed at the end", Way(scheme="stutter removed"), Way()),
    Question("candidates-own", "3 lengths, own choice", Way(scheme="3 lengths, own choice"), Way()),
    Question(
        "candidates-teacher",
        "3 lengths, teacher's choice instead of own",
        Way(scheme=CHOSEN_LENGTH),
        Way(scheme="3 lengths, own choice"),
    ),
    Question("glancing", "glancing sampling", Way("glancing"), Way()),
    Question("averaged", "running mean of the weights", Way("averaged"), Way()),
    Question("fast", "twice the learning rate in the second leg", Way("fast"), Way()),
    Question("slow", "half the learning rate in the second leg", Way("slow"), Way()),
    Question("shallow", "a decoder of one layer", Way("shallow"), Way()),
    Question("deep", "an encoder of one layer, the decoder deeper", Way("deep"), Way()),
    Question("parity", "refinement instead of its teacher", Way(), Way(TEACHER, GREEDY, None), "minimal loss", 0),
    Question(
        "parity-best",
        "refinement, teacher chooses among 3 lengths, instead of the teacher",
        Way(scheme=CHOSEN_LENGTH),
        Way(TEACHER, GREEDY, None),
        "minimal loss",
        0,
    ),
)
"""Every choice of the study. With ``expected`` 0 the advice is that nothing is lost or gained."""

MEASURES = ("bleu", "chrf", "stutter")

MARGIN = 1.5
"""BLEU that count as no loss."""


def effects(cells: Mapping[Way, Sequence[Scores]]) -> list[dict[str, Any]]:
    """The effect of every choice whose two ways were measured.

    Args:
        cells: scores of each way on the draws, one for each seed in the same order; one alone stands for all.
    """
    return [
        {
            "name": question.name,
            "choice": question.text,
            "advice": question.advice,
            "new": question.new._asdict(),
            "old": question.old._asdict(),
            **{measure: effect(cells[question.new], cells[question.old], measure) for measure in MEASURES},
        }
        for question in QUESTIONS
        if question.new in cells and question.old in cells
    ]


def effect(new: Sequence[Scores], old: Sequence[Scores], measure: str) -> dict[str, Any]:
    """New minus old in one measure: ``value``, ``low`` and ``high`` of the mean over seeds, and ``seeds``, each alone.

    Args:
        new, old: scores of each seed on the same draws; one alone stands for all.
        measure: one of `MEASURES`.
    """
    count = max(len(new), len(old))
    differences = [new[i % len(new)][measure] - old[i % len(old)][measure] for i in range(count)]
    found = interval(sum(differences) / count)  # type: ignore[arg-type]  # never empty
    return found._asdict() | {"seeds": [float(difference[0]) for difference in differences]}


def direction(effect: Mapping[str, Any]) -> int:
    """+1 or -1 where interval and seeds agree on the sign of an effect of at least two seeds, else 0."""
    sign = (effect["low"] > 0) - (effect["high"] < 0)
    agree = len(effect["seeds"]) > 1 and all(sign * value > 0 for value in effect["seeds"])
    return sign if agree else 0


def question_of(entry: Mapping[str, Any]) -> Question:
    """The question that an entry of `effects` answers."""
    return next(question for question in QUESTIONS if question.name == entry["name"])


def verdict(entry: Mapping[str, Any]) -> str:
    """What an entry of `effects` says about its choice, and about the paper's advice where there is one."""
    question = question_of(entry)
    effect = entry[question.measure]
    found = direction(effect)
    if effect["low"] == effect["high"] == 0:
        return "no difference"
    if question.advice and not question.expected:
        if effect["low"] > -MARGIN and effect["high"] < MARGIN:
            return "confirmed"
        beyond = effect["high"] < -MARGIN or effect["low"] > MARGIN
        return "contradicted" if found and beyond else "not resolved"
    if not question.advice:
        return {1: "better", -1: "worse", 0: "not resolved"}[found]
    if not found:
        return "not resolved"
    return "confirmed" if found == question.expected else "contradicted"
