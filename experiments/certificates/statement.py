"""A statement about one rational law that was proved, refuted or left open in exact or ball arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.claim import Verdict
from theory.certified.arithmetic import every

_VERDICTS = {True: Verdict.PROVED, False: Verdict.VIOLATED, None: Verdict.INCONCLUSIVE}


@dataclass(frozen=True)
class Statement:
    """What was decided about one instance.

    Attributes:
        name: the statement, with its quantifiers.
        instance: the law and all else that it is about, exactly: text and whole numbers.
        verdict: proved, violated or inconclusive.
        method: in which arithmetic.
        found: the numbers on both sides.
        comparisons: how many inequalities or equations were decided.
    """

    name: str
    instance: Mapping[str, Any]
    verdict: Verdict
    method: str
    found: str = ""
    comparisons: int = 1


FRACTIONS = "fractions"
LOGARITHMS = "fractions, and sums of logarithms compared by unique factorisation"
BALLS = "balls, in rising precision until decided"


def decided(
    name: str,
    instance: Mapping[str, Any],
    truths: Sequence[bool | None],
    method: str,
    found: str = "",
) -> Statement:
    """The statement that all of these hold; False refutes it, None leaves it open."""
    return Statement(name, instance, _VERDICTS[every(truths)], method, found, len(truths))
