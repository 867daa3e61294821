"""Worst-case mixing times of birth-and-death chains, from a few steps to 10^1000 and more.

t_mix(eps) = min{t: d(t) <= eps}, d(t) = max_x TV(P^t(x, .), pi).

**Which starts.** Let no eigenvalue be negative (heat-bath and lazy chains). Then the kernel, a Jacobi matrix with
non-negative minors, is totally positive: P^t(x, y) / pi(y) is decreasing in y for x = 0, increasing for x = N,
and y -> P^t(x, y) - pi(y) changes sign at most twice, from - to + to - where twice (variation diminishing). So the set
on which P^t(x, .) exceeds pi is an interval. Where it touches an end, TV(P^t(x, .), pi) = P^t(x, A) - pi(A) with A
of the form {0..a} or {a..N}, which the start at that end exceeds by monotonicity: x is no worse than an end point. By
reversibility it touches 0 if and only if P^t(0, x) >= pi(x), and N if and only if P^t(N, x) >= pi(x). The other x form
an interval in the middle, for which starts a < x < b give

    TV(P^t(x, .), pi) <= min over y in {a, b} of TV(P^t(y, .), pi)  +  TV(P^t(a, .), P^t(b, .))

(total positivity again: P^t(x, .) lies between the two in likelihood ratio). The interval is bisected until this is
at most eps everywhere, or an interior start is found to be worse; then that start joins the two ends. The ends are not
always worst (at t = 0 the state of least mass is), so the check is needed. Where only the slowest mode f is left, it
is simpler: the distance from x is proportional to |f(x)|, and f is monotone.

**Which times.** The laws are advanced step by step, and distances never increase, so that blocks of steps bracket the
time exactly. Where the slowest mode takes much longer than everything else, the time is read from it (see
`theory.chains.birth_death.run`) and has the relative accuracy that is stated. With negative eigenvalues nothing is
known of the worst start: up to `FEW_STATES` all are followed, above only the two ends, and the time is a lower bound.

Legend: N + 1 states.
Sources: Karlin, *Total Positivity* (1968), ch. 1, 3 and 5; Ding, Lubetzky and Peres, "Total variation cutoff in
birth-and-death chains", PTRF 146 (2010), section 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from theory.chains.birth_death.chain import BirthDeathChain
from theory.chains.birth_death.gap import SlowestMode, gaps, slowest_mode, smallest_eigenvalue
from theory.chains.birth_death.run import BLOCK, Run, decayed
from theory.errors import InvalidInput

Array = NDArray[np.float64]

REST = 1e-9
"""The slowest mode is taken to be alone once the rest is below this times eps, or below its rounding bound."""
FIRST_LOOK = 2**12
"""Whether only the slowest mode is left is looked at after this many steps, then each time that they have doubled."""
PATIENCE = 2**17
"""A time is read from the slowest mode only where more steps than this would be left to make."""
FEW_STATES = 64
"""Up to this many states all starts are followed where the theorem on worst starts does not hold."""
LARGEST_INTEGER = 2.0**53
"""Longer times are not resolved to single steps."""


@dataclass(frozen=True)
class BirthDeathMixing:
    """A mixing time and how sure it is.

    Attributes:
        steps: t_mix(eps); inf where it exceeds the largest float.
        log_steps: ln t_mix(eps), always finite unless t_mix = 0 (-inf).
        relative_error: bound on the relative error of ``steps``; 0 where the integer is certain, inf where a start that
            was not followed may be worse.
        epsilon: eps.
        distance: d(t_mix); eps itself where the time is read from the slowest mode.
        worst_start: the start that is still farther than eps from pi just before.
        all_starts: whether every start was excluded from being worse. Otherwise ``steps`` is a lower bound.
        method: how the time was found.
    """

    steps: int | float
    log_steps: float
    relative_error: float
    epsilon: float
    distance: float
    worst_start: int
    all_starts: bool
    method: str


@dataclass(frozen=True)
class _Moment:
    """A time T (as run.time + exp(log_more)) with the laws of some starts at that time."""

    runs: tuple[Run, ...]
    log_more: float
    relative_error: float
    worst: int


class _Search:
    """One search for t_mix(eps) of one chain."""

    def __init__(self, chain: BirthDeathChain, epsilon: float, maximum: int) -> None:
        self.chain, self.epsilon, self.maximum = chain, epsilon, maximum

    @cached_property
    def mode(self) -> SlowestMode:
        return slowest_mode(self.chain)

    @cached_property
    def half_norm(self) -> float:
        """(1/2) E_pi |f| of the slowest mode."""
        return 0.5 * float(self.chain.stationary @ np.abs(self.mode.eigenfunction))

    def first_time(self, starts: list[int]) -> _Moment:
        """When all starts have come within eps. Of two starts that are mirror images one is enough."""
        if self.chain.is_symmetric:
            starts = sorted({min(start, self.chain.states - 1 - start) for start in starts})
        runs = [Run(self.chain, start) for start in starts]
        look, stride = FIRST_LOOK, BLOCK
        while True:
            distances = [run.distance for run in runs]
            if max(distances) <= self.epsilon:  # only at time 0
                return _Moment(tuple(runs), -math.inf, 0.0, int(np.argmax(distances)))
            before = [run.copy() for run in runs]
            if all(run.can_leap for run in runs):
                stride = max(BLOCK, 2 ** (runs[0].time.bit_length() - 3))
            for run in runs:
                run.advance(stride)
            if max(run.distance for run in runs) <= self.epsilon:
                return self._descend(before, stride)
            if runs[0].time >= look:
                look *= 2
                moment = self._read_off(runs)
                if moment is not None:
                    return moment
            if runs[0].time >= self.maximum:
                raise InvalidInput("maximum", self.maximum, f"the distance is still above {self.epsilon} after it")

    def _descend(self, runs: list[Run], step: int) -> _Moment:
        """The exact time, which lies within so many steps (a power of 2)."""
        worst = int(np.argmax([run.distance for run in runs]))
        while step > 1:
            step //= 2
            later = [run.copy() for run in runs]
            for run in later:
                run.advance(step)
            distances = [run.distance for run in later]
            if max(distances) > self.epsilon:
                runs, worst = later, int(np.argmax(distances))
        previous = max(run.distance for run in runs)
        for run in runs:
            run.advance(1)
        reached = max(run.distance for run in runs)
        error = runs[0].error
        sure = reached + error <= self.epsilon < previous - error
        # A doubtful step: the distance falls by a known amount per step, which tells how many steps are in doubt.
        drop = previous - reached
        doubt = 0.0 if sure else (error / drop + 1 if drop > 0 else math.inf) / max(runs[0].time, 1)
        return _Moment(tuple(runs), -math.inf, doubt, worst)

    def _read_off(self, runs: list[Run]) -> _Moment | None:
        """The time from the slowest mode, where it alone is left and has far to go."""
        parts = [run.rest(self.mode) for run in runs]
        error = runs[0].error
        if max(rest for _, rest in parts) > max(REST * self.epsilon, error):
            return None
        heights = [abs(coefficient) * self.half_norm for coefficient, _ in parts]
        worst = int(np.argmax(heights))
        exponent = math.log(heights[worst] / self.epsilon)
        doubt = (parts[worst][1] + error) / self.epsilon
        if exponent <= 2 * doubt:
            return None
        log_more = math.log(exponent) - self.mode.log_decay
        if log_more < math.log(max(PATIENCE, 4 * runs[0].time)):
            return None
        return _Moment(tuple(runs), log_more, 2 * doubt / exponent + self.mode.relative_error, worst)

    def deviation_from(self, start: int, moment: _Moment) -> tuple[Array, float]:
        """P^T(start, .) - pi at the moment, and a bound on its error in total variation."""
        mirrored = self.chain.states - 1 - start
        for run in moment.runs:
            if run.start == start:
                return self.deviation(run, moment)
            if self.chain.is_symmetric and run.start == mirrored:
                difference, error = self.deviation(run, moment)
                return difference[::-1], error
        run = Run(self.chain, start)
        run.advance(moment.runs[0].time)
        return self.deviation(run, moment)

    def deviation(self, run: Run, moment: _Moment) -> tuple[Array, float]:
        """The same for a run that stands at the time of the moment's runs."""
        if moment.log_more == -math.inf:
            return run.law - self.chain.stationary, run.error
        coefficient, rest = run.rest(self.mode)
        left = decayed(coefficient, self.mode, moment.log_more)
        slope = abs(left) * math.exp(min(self.mode.log_decay + moment.log_more, 700.0)) * moment.relative_error
        return left * self.mode.eigenfunction * self.chain.stationary, rest + run.error + slope

    def _other_modes_are_gone(self, moment: _Moment, first: int, last: int) -> bool:
        """Whether at the moment every start between the two is at distance lambda_2^t |f(x)| (1/2) E|f| up to REST.

        |f| is largest at an end, and the other modes put at most (1/2) (1 - gap_3)^t / sqrt(pi(x)) on top.
        """
        if self.chain.states == 2:
            return True
        third = float(gaps(self.chain, 1, skip=1)[0])
        log_mass = float(self.chain.log_stationary[first : last + 1].min())
        return moment.log_more >= math.log(-math.log(REST * self.epsilon) - 0.5 * log_mass) - math.log(third)

    def worse_start(self, moment: _Moment, limit: int = 64) -> tuple[bool, int | None]:
        """Whether all starts are settled at the moment, and a start that is still farther than eps, if one is found."""
        low_side, low_error = self.deviation_from(0, moment)
        high_side, high_error = self.deviation_from(self.chain.states - 1, moment)
        certain = np.flatnonzero(low_side > 2 * low_error)
        first = int(certain[-1]) if len(certain) else 0
        certain = np.flatnonzero(high_side > 2 * high_error)
        last = int(certain[0]) if len(certain) else self.chain.states - 1
        if last <= first + 1:
            return True, None
        if moment.log_more > -math.inf:
            return self._other_modes_are_gone(moment, first, last), None
        known = {state: self.deviation_from(state, moment) for state in (first, last)}
        intervals = [(first, last)]
        while intervals:
            a, b = intervals.pop()
            (at_a, error_a), (at_b, error_b) = known[a], known[b]
            nearer = 0.5 * min(float(np.abs(at_a).sum()), float(np.abs(at_b).sum()))
            apart = 0.5 * float(np.abs(at_a - at_b).sum())
            if b == a + 1 or nearer + apart + error_a + error_b <= self.epsilon:
                continue
            if len(known) >= limit:
                return False, None
            middle = (a + b) // 2
            known[middle] = self.deviation_from(middle, moment)
            difference, error = known[middle]
            if 0.5 * float(np.abs(difference).sum()) > self.epsilon + error:
                return False, middle
            intervals += [(a, middle), (middle, b)]
        return True, None


def birth_death_mixing_time(chain: BirthDeathChain, epsilon: float = 0.25, maximum: int = 2**28) -> BirthDeathMixing:
    """t_mix(eps), worst case over all starts.

    Args:
        chain: the chain.
        epsilon: eps, in (0, 1).
        maximum: most steps to follow the law for, before its slowest mode is all that is left.

    Raises:
        InvalidInput: ``epsilon`` outside (0, 1); or the distance stays above eps for ``maximum`` steps while more than
            one mode is left (or for ever: the chain is periodic).
    """
    if not 0 < epsilon < 1:
        raise InvalidInput("epsilon", epsilon, "a distance in (0, 1) is needed")
    if maximum < 1:
        raise InvalidInput("maximum", maximum, "at least 1 step is needed")
    search = _Search(chain, epsilon, maximum)
    positive = chain.nonnegative or smallest_eigenvalue(chain) > 0
    every = not positive and chain.states <= FEW_STATES
    starts = list(range(chain.states)) if every else [0, chain.states - 1]
    while True:
        moment = search.first_time(starts)
        settled, worse = search.worse_start(moment) if positive else (every, None)
        if worse is None:
            return _result(search, moment, settled)
        starts.append(worse)


def _result(search: _Search, moment: _Moment, settled: bool) -> BirthDeathMixing:
    found = _time(search, moment, settled)
    return found if settled else replace(found, relative_error=math.inf)


def _time(search: _Search, moment: _Moment, settled: bool) -> BirthDeathMixing:
    made = moment.runs[0].time
    worst = moment.runs[moment.worst].start
    if moment.log_more == -math.inf:
        distance = max(run.distance for run in moment.runs)
        log_steps = math.log(made) if made else -math.inf
        return BirthDeathMixing(
            made, log_steps, moment.relative_error, search.epsilon, distance, worst, settled, "step by step"
        )
    log_steps = float(np.logaddexp(math.log(made), moment.log_more))
    steps: int | float = math.exp(log_steps) if log_steps < 709 else math.inf
    doubt = moment.relative_error
    if steps < LARGEST_INTEGER:
        more = math.exp(moment.log_more)
        steps = math.ceil(made + more)
        if math.ceil(made + more * (1 - doubt)) == math.ceil(made + more * (1 + doubt)):
            doubt = 0.0
    method = "step by step until only the slowest mode is left, then from the mode"
    return BirthDeathMixing(steps, log_steps, doubt, search.epsilon, search.epsilon, worst, settled, method)
