"""Gaps with their errors: a value and an interval that holds it, or no value.

A gap computed as 1 - lambda carries an absolute error of some 1e-16, whatever its size; 1/gap and every bound made from
it are then false below that. So a gap goes with an interval, bounds take the end that keeps them true, and where the
error is as large as the value there is no value: it is NaN, and only the interval remains.

Intervals allow for rounding as it is estimated to first order in the unit roundoff; they are not made with directed
rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, nan
from typing import NamedTuple

Interval = tuple[float, float]


class Enclosure(NamedTuple):
    """A number >= 0 that was computed with an error.

    Attributes:
        value: the number; NaN where ``low`` is 0 and ``high`` is not, so that not even its size is known.
        low, high: it lies between them.
    """

    value: float
    low: float
    high: float

    @staticmethod
    def around(value: float, error: float) -> Enclosure:
        """The number within ``error`` >= 0 of ``value``; what lies below 0 is cut off."""
        return Enclosure.between(value - error, value + error, value)

    @staticmethod
    def between(low: float, high: float, value: float = nan) -> Enclosure:
        """The number between ``low`` and ``high``, near ``value``."""
        low, high, value = max(0.0, float(low)), max(0.0, float(high)), float(value)
        return Enclosure(value if low > 0 else (0.0 if high == 0 else nan), low, high)

    @property
    def interval(self) -> Interval:
        """(low, high)."""
        return (self.low, self.high)


EXACTLY_ZERO = Enclosure(0.0, 0.0, 0.0)
WITHOUT_LIMIT = Enclosure(inf, inf, inf)
"""The gap of a class with no eigenvalue beside its Perron root: any other one is smaller."""


def least(found: Iterable[Enclosure]) -> Enclosure:
    """The smallest of several numbers."""
    enclosures = list(found)
    low, high = min(e.low for e in enclosures), min(e.high for e in enclosures)
    # A number without value that may be the smallest one leaves no value.
    rivals = [e.value for e in enclosures if e.low <= high]
    return Enclosure.between(low, high, nan if any(value != value for value in rivals) else min(rivals))


@dataclass(frozen=True, eq=False, kw_only=True)
class Gaps:
    """The gaps of a chain.

    Attributes:
        gap: 1 - max Re lambda over the eigenvalues other than one Perron root for each closed class; NaN where rounding
            leaves no digit of it.
        absolute_gap: 1 - max |lambda| over the same; NaN likewise.
        gap_interval, absolute_gap_interval: (low, high) around them.
    """

    gap: float
    absolute_gap: float
    gap_interval: Interval
    absolute_gap_interval: Interval

    @property
    def relaxation_time(self) -> float:
        """1 / absolute gap in steps, infinite where it is 0, NaN where there is none."""
        return reciprocal(self.absolute_gap)

    @property
    def relaxation_interval(self) -> Interval:
        """(low, high) around the relaxation time, which is at least 1: what bounds on mixing are made from."""
        low, high = self.absolute_gap_interval
        return (max(1.0, reciprocal(high)), max(1.0, reciprocal(low)))

    @property
    def poincare_interval(self) -> Interval:
        """(low, high) around 1 / gap, which for block dynamics is Poincaré's constant C_P, at least 1 there."""
        low, high = self.gap_interval
        return (max(1.0, reciprocal(high)), max(1.0, reciprocal(low)))


def reciprocal(gap: float) -> float:
    """1 / gap, infinite at 0 and where it exceeds the largest float; NaN stays NaN."""
    return inf if gap == 0 else 1 / gap
