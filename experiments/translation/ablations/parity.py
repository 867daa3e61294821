"""How near each attempt comes to its teacher: the *gap*, attempt minus teacher, on the same test sentences.

Every attempt is a student of the study, decoded in the ways `WAYS`, with every number of steps that was measured; the
teacher decodes greedily. A gap has its 95% interval over sentences (paired bootstrap, mean over seeds of the student)
and its value for each seed. An attempt with 4 steps has

    reached it       the interval and every seed lie above -`MARGIN` BLEU
    missed it        the interval and every seed lie below -`MARGIN`
    not resolved     otherwise, or with fewer than two seeds

The best of several attempts is chosen on the sentences that it is scored on, so that its gap flatters it a little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.translation.ablations.recommendations import MARGIN, MEASURES, Way, effect
from experiments.translation.ablations.variants import CHOSEN_LENGTH, GREEDY, MASK_PREDICT, PARITY, TEACHER, TRAINED
from simulators.t5.decoding.paired_bootstrap import Scores

WAYS = (MASK_PREDICT, CHOSEN_LENGTH)
"""How attempts are decoded."""

JUDGED = 4
"""Steps after which an attempt is judged."""


def gaps(cells: Mapping[Way, Sequence[Scores]]) -> list[dict[str, Any]]:
    """The gap of every attempt that was measured, by way to decode and steps; none where the teacher was not.

    Args:
        cells: scores of each way on the draws, one for each seed in the same order.
    """
    teacher = cells.get(Way(TEACHER, GREEDY, None))
    if teacher is None:
        return []
    return [
        {
            **way._asdict(),
            **{measure: effect(found, teacher, measure) for measure in MEASURES},
        }
        for way, found in cells.items()
        if way.network in TRAINED[PARITY] and way.scheme in WAYS
    ]


def outcome(gap: Mapping[str, Any]) -> str:
    """What a gap in BLEU says: "reached", "missed" or "not resolved"."""
    values = [gap["low"], gap["high"], *gap["seeds"]]
    if len(gap["seeds"]) < 2:
        return "not resolved"
    if min(values) > -MARGIN:
        return "reached"
    return "missed" if max(values) < -MARGIN else "not resolved"


def nearest(found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The gap of the attempt that came nearest its teacher, or went furthest beyond, in 4 steps; None without any."""
    judged = [gap for gap in found if gap["steps"] == JUDGED]
    return max(judged, key=lambda gap: gap["bleu"]["value"], default=None)
