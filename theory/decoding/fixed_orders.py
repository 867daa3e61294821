"""Fixed schedules: the step of every site is known before decoding starts.

Legend: ``N`` sites, ``T`` steps.
Sources: exactness of the dyadic order on a Markov chain: a site between two revealed ones is independent of everything
outside; the best schedule: `theory.decoding.optimal`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.decoding.ranking import RankedRule, SizedRule, size_plan
from theory.decoding.rule import LooksAt, Needs, Setting
from theory.decoding.schedules import Schedule, Step, cut, one_shot
from theory.errors import InvalidInput

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ScheduledRule(RankedRule):
    """A rule that follows one schedule."""

    @property
    def looks_at(self) -> LooksAt:
        return "nothing"

    @abstractmethod
    def schedule(self, setting: Setting) -> Schedule:
        """The schedule of the window's sites."""

    def horizon(self, setting: Setting) -> int:
        return _schedule(self, setting).length

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        keys = np.zeros(laws.shape[:2])
        keys[:, list(_schedule(self, setting).steps[number])] = 1.0
        return keys

    def counts(self, setting: Setting, number: int, keys: Array) -> NDArray[np.int64]:
        return np.full(len(keys), len(_schedule(self, setting).steps[number]))


@lru_cache(maxsize=32)
def _schedule(rule: ScheduledRule, setting: Setting) -> Schedule:
    """Made once for all steps."""
    return rule.schedule(setting)


@dataclass(frozen=True)
class OneShot(ScheduledRule):
    """Everything in one call."""

    name: ClassVar[str] = "one-shot"
    summary: ClassVar[str] = "every site in one call"
    source: ClassVar[str] = "the product of the marginals"
    reads_calls: ClassVar[bool] = False

    def schedule(self, setting: Setting) -> Schedule:
        return one_shot(setting.sites)


@dataclass(frozen=True)
class LeftToRight(ScheduledRule, SizedRule):
    """Neighbouring sites from left to right."""

    name: ClassVar[str] = "left-to-right"
    summary: ClassVar[str] = "ascending sites, N/T a call"
    source: ClassVar[str] = "autoregressive decoding, several tokens at a time"

    def schedule(self, setting: Setting) -> Schedule:
        return cut(range(setting.sites), size_plan(setting, self.sizes))


@dataclass(frozen=True)
class Strided(ScheduledRule):
    """Sites that are T apart together."""

    name: ClassVar[str] = "strided"
    summary: ClassVar[str] = "site i in call i mod T"
    source: ClassVar[str] = "sites of one call as far apart as possible, with equal sizes"

    def schedule(self, setting: Setting) -> Schedule:
        size_plan(setting, "uniform")  # refuses more calls than sites
        return Schedule(
            setting.sites, tuple(tuple(range(step, setting.sites, setting.calls)) for step in range(setting.calls))
        )


@dataclass(frozen=True)
class Dyadic(ScheduledRule):
    """The middle, the middles of both halves, and so on."""

    name: ClassVar[str] = "dyadic"
    summary: ClassVar[str] = "midpoints first: ceil(log2(N + 1)) calls, exact on a Markov chain of order 1"
    source: ClassVar[str] = "levels of the balanced elimination tree of a path"
    reads_calls: ClassVar[bool] = False

    def schedule(self, setting: Setting) -> Schedule:
        return Schedule(setting.sites, _midpoints(setting.sites))


def _midpoints(sites: int) -> tuple[Step, ...]:
    levels: list[Step] = []
    gaps = [(0, sites)]
    while gaps:
        levels.append(tuple((start + stop) // 2 for start, stop in gaps))
        halves = [
            half for start, stop in gaps for half in ((start, (start + stop) // 2), ((start + stop) // 2 + 1, stop))
        ]
        gaps = [(start, stop) for start, stop in halves if start < stop]
    return tuple(levels)


@dataclass(frozen=True)
class Optimal(ScheduledRule):
    """The schedule of T steps with the least KL(p || q), from a known law."""

    name: ClassVar[str] = "optimal"
    summary: ClassVar[str] = "the best fixed schedule of T calls, computed from a known law"
    source: ClassVar[str] = "dynamic programming over subsets of the sites (theory.decoding.optimal)"

    @property
    def needs(self) -> Needs:
        return "law"

    def schedule(self, setting: Setting) -> Schedule:
        size_plan(setting, "uniform")
        if setting.truth is None:
            raise InvalidInput("decoder", self.name, "the best schedule follows from a known law of the whole sequence")
        return setting.truth.best_schedule(setting.calls)


@dataclass(frozen=True)
class TreeDepth(ScheduledRule):
    """The levels of an elimination forest of a known law's graph: exact in treedepth many calls."""

    name: ClassVar[str] = "treedepth"
    summary: ClassVar[str] = "exact in the fewest calls that the graph of a known law allows: its separators first"
    source: ClassVar[str] = "elimination forests (theory.decoding.treedepth); on a table, the shortest exact schedule"
    reads_calls: ClassVar[bool] = False

    @property
    def needs(self) -> Needs:
        return "law"

    def schedule(self, setting: Setting) -> Schedule:
        if setting.truth is None:
            raise InvalidInput("decoder", self.name, "the graph is that of a known law of the whole sequence")
        return setting.truth.exact_schedule()
