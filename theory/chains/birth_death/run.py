"""The law of a birth-and-death chain over time, from one start.

Three ways forward, each as soon as it pays:

- *Steps.* The law is kept on a window of states; masses below `TRIM` at its edges are dropped.
- *Leaps.* x^s is the mean of T_|J|(x) over the end point J of a simple random walk of s steps, T_j the Chebyshev
  polynomials, so that P^s needs about sqrt(2 s ln(1/delta)) products with P instead of s. A polynomial that is delta
  off on [-1, 1] is delta off in L2(pi), hence the law is within (delta / 2) ||law / pi||_2 in total variation:
  leaps are made once that norm has become moderate, which from an improbable start takes steps first.
- *One stroke.* Once only the slowest mode f is left, P^t(x, .) = pi + C exp(-r t) f pi + rest with r = -ln(1 - gap),
  and the rest, once measured, never grows in total variation: that is how times of 10^100 steps are reached.

Errors, in total variation, are summed up as the run goes. A step adds at most `STEP_ERROR` (five operations per entry,
rates correct to a few roundings), and none is amplified later. In a leap the rounding of the j-th polynomial grows at
most like j^2 in L2(pi), whose mean over the random walk is s, so that a leap costs as much as s steps, times the norm.

Legend: N + 1 states.
Sources: Varopoulos, "Long range estimates for Markov chains", Bull. Sci. Math. 109 (1985); Sachdeva and Vishnoi,
*Faster Algorithms via Approximation Theory* (2014), ch. 3.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from theory.chains.birth_death.chain import BirthDeathChain
from theory.chains.birth_death.gap import SlowestMode, log_rounding
from theory.laws.exchangeable import running_sum

Array = NDArray[np.float64]

TRIM = 1e-30
"""Masses at the edges of the window below this are dropped, after each block of steps."""
BLOCK = 256
"""Steps between two trims; the window grows by one state on either side per step."""
STEP_ERROR = 8 * float(np.finfo(np.float64).eps) / 2
"""Bound on the rounding of one step, in total variation."""
LARGEST_NORM = 100.0
"""Leaps are made once the L2(pi) norm of the density is at most this."""
SHORTEST_LEAP = 1024
"""Fewer steps are made one by one."""
TRUNCATION = 1e-15
"""Delta of a leap."""
NEGLIGIBLE = 1e-60
"""States of less stationary mass at the two ends are left out of leaps: a law of density norm R puts at most
R sqrt(pi(x)) on state x, so that this much leaks per step at the edge."""


class Run:
    """The law of the chain started at one state.

    Attributes:
        chain, start: what was started where.
        time: steps made so far.
    """

    def __init__(self, chain: BirthDeathChain, start: int) -> None:
        self.chain = chain
        self.start = start
        self.time = 0
        self.added_error = 0.0
        self._first = start
        self._window = np.ones(1)

    def copy(self) -> Run:
        """A run that goes on from here by itself."""
        twin = Run(self.chain, self.start)
        twin.time, twin.added_error, twin._first, twin._window = self.time, self.added_error, self._first, self._window
        return twin

    @property
    def can_leap(self) -> bool:
        """Whether the law has come close enough to pi for leaps."""
        return self._norm() <= LARGEST_NORM

    def advance(self, steps: int) -> None:
        """Make so many steps."""
        while steps > 0:
            if steps >= SHORTEST_LEAP and (norm := self._norm()) <= LARGEST_NORM:
                self._leap(steps, norm)
                return
            block = min(steps, BLOCK)
            self._block(block)
            steps -= block

    def _norm(self) -> float:
        """||law / pi||_2 in L2(pi); inf where it is beyond the floats."""
        masses = self.chain.stationary[self._first : self._first + len(self._window)]
        if masses.min() < 1e-300:
            return math.inf
        return math.sqrt(float((self._window / masses) @ self._window))

    def _leap(self, steps: int, norm: float) -> None:
        heavy = np.flatnonzero(self.chain.stationary >= NEGLIGIBLE)
        first, last = int(heavy[0]), int(heavy[-1]) + 1
        full = self.law
        dropped = float(full[:first].sum() + full[last:].sum())
        bands = _Bands(self.chain, first, last)
        law, weights = full[first:last], chebyshev_weights(steps)
        previous, current = law, bands.step(law)
        result = weights[0] * previous
        if len(weights) > 1:
            result += weights[1] * current
        for weight in weights[2:]:
            following = bands.step(current)
            following *= 2
            following -= previous
            previous, current = current, following
            if weight:
                result += weight * current
        self._keep(first, np.maximum(result, 0.0))
        self.time += steps
        leaked = 2 * steps * math.sqrt(NEGLIGIBLE)
        self.added_error += dropped + 0.5 * norm * (TRUNCATION + leaked + steps * STEP_ERROR)

    def _block(self, steps: int) -> None:
        first = max(0, self._first - steps)
        last = min(self.chain.states, self._first + len(self._window) + steps)
        bands = _Bands(self.chain, first, last)
        law = np.zeros(last - first)
        law[self._first - first : self._first - first + len(self._window)] = self._window
        for _ in range(steps):
            law = bands.step(law)
        self._keep(first, law)
        self.time += steps
        self.added_error += steps * STEP_ERROR

    def _keep(self, first: int, law: Array) -> None:
        """Take over the law on the states from ``first`` on, without its negligible edges."""
        kept = np.flatnonzero(law > TRIM)
        self._first, self._window = first + int(kept[0]), law[kept[0] : kept[-1] + 1].copy()
        self.added_error += self.chain.states * TRIM

    @property
    def law(self) -> Array:
        """The law at this time, shape [N+1]."""
        result = np.zeros(self.chain.states)
        result[self._first : self._first + len(self._window)] = self._window
        return result

    @property
    def error(self) -> float:
        """Bound on the error of a distance between the law and pi, or between two laws, that of pi as estimated."""
        return 2 * self.added_error + log_rounding(self.chain)

    @property
    def distance(self) -> float:
        """TV(law, pi)."""
        inside = slice(self._first, self._first + len(self._window))
        pi = self.chain.stationary
        outside = float(pi[: inside.start].sum() + pi[inside.stop :].sum())
        return 0.5 * (float(np.abs(self._window - pi[inside]).sum()) + outside)

    def rest(self, mode: SlowestMode) -> tuple[float, float]:
        """C exp(-r time) and half the l1 norm of what is neither pi nor the slowest mode."""
        law = self.law
        coefficient = float(law @ mode.eigenfunction)
        left = law - self.chain.stationary * (1 + coefficient * mode.eigenfunction)
        return coefficient, 0.5 * float(np.abs(left).sum())


def decayed(coefficient: float, mode: SlowestMode, log_steps: float) -> float:
    """The coefficient after exp(log_steps) further steps."""
    exponent = mode.log_decay + log_steps
    return coefficient * math.exp(-math.exp(exponent)) if exponent < 7 else 0.0


class _Bands:
    """The transitions among the states first..last-1; what leaves them is lost."""

    def __init__(self, chain: BirthDeathChain, first: int, last: int) -> None:
        self.up, self.stay, self.down = (band[first:last] for band in chain.bands)
        self._moved = np.empty(last - first - 1)

    def step(self, law: Array) -> Array:
        after = law * self.stay
        np.multiply(law[:-1], self.up[:-1], out=self._moved)
        after[1:] += self._moved
        np.multiply(law[1:], self.down[1:], out=self._moved)
        after[:-1] += self._moved
        return after


def chebyshev_weights(steps: int) -> Array:
    """w_j with x^s = sum_j w_j T_j(x) up to `TRUNCATION` on [-1, 1]: the law of |J|, J a simple walk of s steps."""
    start = steps % 2
    length = min(steps, start + 2 * math.ceil(math.sqrt(2 * steps * math.log(2 / TRUNCATION)) / 2) + 2)
    j = np.arange(start, length - 1, 2, dtype=np.float64)
    # P(J = j + 2) / P(J = j) = (s - j) / (s + j + 2)
    laws = np.exp(running_sum(np.log((steps - j) / (steps + j + 2))))
    if start == 0:
        laws[0] /= 2  # |J| = j > 0 in two ways
    result = np.zeros(start + 2 * len(laws) - 1)
    result[start::2] = laws / laws.sum()
    return result
