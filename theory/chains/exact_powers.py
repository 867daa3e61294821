"""Powers of a stochastic matrix in fixed point, for mixing times beyond what float64 resolves.

A time t is resolved to single steps only if distances are known to about 1/t: float64 ends near 1e14, and near 1 a
transition probability of 1 - 1e-21 is 1. Here an entry is a whole number of units 2^-B, B as large as the time needs,
and the diagonal is what the other entries of its row leave of 1. A number is kept as L limbs of w bits, each in a
float64: products of limbs add up exactly while S L 2^(2w) <= 2^52, so that a product of matrices is some L^2 / 2
ordinary ones.

*Errors.* What is below a unit is cut off, so that every computed entry is at most the true one, and the row's missing
mass 1 - sum_y P^t(x, y) bounds its error in total variation: measured, not estimated. Cutting the entries of P at first
adds at most S 2^-B a step.

Legend: ``S`` states, ``B`` bits, ``L`` limbs of ``w`` bits, lowest first, ``R`` rows.
Source: Ozaki, Ogita, Oishi, Rump, *Numerical Algorithms* 59 (2012), for exact products by splitting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from theory.memory import require_memory

Array = NDArray[np.float64]
Found = TypeVar("Found")

MOST_OPERATIONS = 1e12
"""Floating-point operations that a search may take: a minute or two."""
FIRST_BITS = 128
GUARD_BITS = 24
"""Bits of a distance's change in one step, about 1/t, that stay above the errors, which are about t S 2^-B."""
SETTLED = 1e-12
"""Distance between the rows at which the last squarings begin: each squares it, until it is below a unit."""
SETTLED_LEVELS = 10
"""Levels from the mixing time to where the rows are equal, about, for the number of bits."""


class TooLong(RuntimeError):
    """The search would take more than `MOST_OPERATIONS`."""


@dataclass(frozen=True)
class ExactTime:
    """A mixing time by exact powers.

    Attributes:
        steps: t_mix(eps) of the matrix whose entries off the diagonal are the given floats.
        distance, previous: d(t_mix) and d(t_mix - 1) (None at 0), rounded to float64.
        worst: the start (number of the row) that has the second, at t_mix = 0 the first.
        certain: whether both distances are on their sides of eps by more than their error bounds.
        bits: B.
    """

    steps: int
    distance: float
    previous: float | None
    worst: int
    certain: bool
    bits: int


class FixedPoint:
    """Arithmetic with non-negative fixed-point matrices of at least so many bits, of at most ``states`` columns."""

    def __init__(self, states: int, bits: int) -> None:
        limbs = 1
        while True:
            width = (52 - int(np.ceil(np.log2(states * limbs)))) // 2
            if width * limbs >= bits:
                break
            limbs += 1
        self.states, self.limbs, self.width, self.bits = states, limbs, width, width * limbs
        self.base = float(2**width)

    def split(self, values: Array) -> Array:
        """Numbers in [0, 1] as limbs, what is below a unit cut off: [...] -> [L, ...]."""
        parts = np.empty((self.limbs, *values.shape))
        rest = values
        for limb in range(self.limbs - 1, -1, -1):
            rest = rest * self.base
            parts[limb] = np.floor(rest)
            rest = rest - parts[limb]
        return parts

    def stochastic(self, rows: Array, free: NDArray[np.int64]) -> Array:
        """Laws [R, S] whose entry at ``free`` [R] is what the others leave, so that they sum to 1 exactly: [L, R, S].

        Where the others leave less than nothing, by rounding, it is the largest of them that makes up for it.
        """
        every = np.arange(len(rows))
        rest, free = rows.copy(), free.copy()
        rest[every, free] = 0.0
        parts = self.split(rest)
        over = np.array([total > 1 << self.bits for total in self.sums(parts)])
        if over.any():
            free[over] = rest[over].argmax(axis=1)
            parts[:, every[over], free[over]] = 0.0
        total, borrow = parts.sum(axis=2), np.zeros(len(rows))
        for limb in range(self.limbs):  # 2^B - total, from the lowest limb up
            left = -total[limb] - borrow
            if limb == self.limbs - 1:
                parts[limb, every, free] = left + self.base
            else:
                parts[limb, every, free] = np.mod(left, self.base)
                borrow = -np.floor(left / self.base)
        return parts

    def multiply(self, left: Array, right: Array) -> Array:
        """The product of matrices [L, R, S] and [L, S, S], at most 2 units an entry below the exact one."""
        product = np.empty((self.limbs, left.shape[1], right.shape[2]))
        # Limbs side by side, those of the right in descending order: the pairs of a place are one product of slices.
        beside = left.transpose(1, 0, 2).reshape(left.shape[1], -1)
        below = right[::-1].reshape(-1, right.shape[2])
        carry = np.zeros(product.shape[1:])
        # Pairs of limbs below L - 2 carry at most 2^(52 - 3w) < 1 into the unit.
        for place in range(self.limbs - 2, 2 * self.limbs - 1):
            first, last = max(0, place - self.limbs + 1), min(place, self.limbs - 1) + 1
            shift = self.limbs - 1 - place
            columns = slice(first * self.states, last * self.states)
            rows = slice((first + shift) * self.states, (last + shift) * self.states)
            total = carry + beside[:, columns] @ below[rows]
            carry = np.floor(total / self.base)
            if place >= self.limbs:
                product[place - self.limbs] = total - carry * self.base
        product[self.limbs - 1] = carry
        return product

    def sums(self, parts: Array) -> list[int]:
        """Exact sums over the last axis, in units: [L, R, S] -> R whole numbers."""
        totals = parts.sum(axis=2)
        return [
            sum(int(value) << (self.width * limb) for limb, value in enumerate(totals[:, row]))
            for row in range(totals.shape[1])
        ]

    def excess(self, rows: Array, law: Array) -> list[int]:
        """sum_y max(0, row(y) - law(y)) in units, exactly: [L, R, S], [L, S] -> R whole numbers."""
        difference = rows - law[:, None, :]
        borrow = np.zeros(difference.shape[1:])
        for limb in range(self.limbs):
            total = difference[limb] + borrow
            borrow = np.floor(total / self.base)
            if limb < self.limbs - 1:
                difference[limb] = total - borrow * self.base
            else:
                difference[limb] = total
        return self.sums(np.where(difference[-1] < 0, 0.0, difference))


def exact_mixing_time(matrix: Array, starts: NDArray[np.int64] | Array, epsilon: float) -> ExactTime:
    """t_mix(eps) over the given starts, by powers in fixed point.

    Args:
        matrix: [S, S], with one closed class, which is aperiodic.
        starts: states [R], or initial laws [R, S].

    Raises:
        TooLong: it would take too many operations.
        ExceedsMemory: the powers would not fit.
    """
    return _with_enough_bits(matrix, starts, epsilon, _Search.run)


def exact_distances(matrix: Array, epsilon: float) -> Array:
    """d_x(2^j) of every start x, for j = 0, 1, ... until it is below ``epsilon`` everywhere, [J, S].

    Raises:
        TooLong, ExceedsMemory: as for `exact_mixing_time`.
    """
    return _with_enough_bits(matrix, np.arange(len(matrix)), epsilon, _Search.powers_of_two)


def _with_enough_bits(
    matrix: Array, starts: NDArray[np.int64] | Array, epsilon: float, ask: Callable[[_Search], Found | None]
) -> Found:
    """What a search with enough bits finds; searches that would surely fail are not begun."""
    least, bits = _least_level(matrix), FIRST_BITS
    while True:
        search = _Search(matrix, starts, epsilon, bits)
        if 2 * least * search.operations_each > MOST_OPERATIONS:
            raise TooLong(f"more than {MOST_OPERATIONS:.0e} operations")
        found = ask(search) if search.most_levels > least else None
        if found is not None:
            return found
        bits += bits // 2


def _least_level(matrix: Array) -> int:
    """A level up to which the rows of P^(2^level) are surely not equal.

    Two states that are left with probability at most l keep 1 - t l of their mass for t steps, so that their rows are
    1 - 2 t l apart: at least 1/2 while t <= 1/(4 l).
    """
    if len(matrix) < 2:
        return 0
    leaving = np.partition((matrix * ~np.eye(len(matrix), dtype=bool)).sum(axis=1), 1)[1]
    return max(0, int(np.floor(-2 - np.log2(leaving)))) if leaving > 0 else 0


class _Search:
    """One search with so many bits; `run` and `powers_of_two` return None where more are needed."""

    def __init__(self, matrix: Array, starts: NDArray[np.int64] | Array, epsilon: float, bits: int) -> None:
        self.numbers = FixedPoint(len(matrix), bits)
        self.epsilon = epsilon
        laws: Array = np.eye(len(matrix))[starts] if starts.ndim == 1 else np.asarray(starts, dtype=np.float64)
        self.begin = self.numbers.stochastic(laws, laws.argmax(axis=1))
        self.rungs = [self.numbers.stochastic(matrix, np.arange(len(matrix)))]
        products = 0.5 * self.numbers.limbs * (self.numbers.limbs + 5)
        self.operations_each = 2.0 * products * float(len(matrix)) ** 3
        spare = self.numbers.bits - SETTLED_LEVELS - GUARD_BITS - int(np.ceil(np.log2(4 * len(matrix))))
        self.most_levels = spare // 2 + SETTLED_LEVELS

    def rung(self, level: int) -> Array:
        """P^(2^level)."""
        while len(self.rungs) <= level:
            if 2 * len(self.rungs) * self.operations_each > MOST_OPERATIONS:
                raise TooLong(f"more than {MOST_OPERATIONS:.0e} operations")
            last = self.rungs[-1]
            require_memory(4.0 * last.nbytes, "states", self.numbers.states, "the exact powers of the matrix")
            self.rungs.append(self.numbers.multiply(last, last))
        return self.rungs[level]

    def run(self) -> ExactTime | None:
        levels = self._levels()
        if levels is None:
            return None
        level, settled = levels
        law = self.rung(settled)[:, 0]
        one = 1 << self.numbers.bits
        cut = self.numbers.states << (level + 2)  # of the entries of P, over t steps and in pi
        doubt = one - self.numbers.sums(law[:, None])[0] + cut
        bound = int(Fraction(self.epsilon) * one)

        def look(rows: Array) -> tuple[NDArray[Any], int]:
            """Distances of the rows in units, and a bound on their errors."""
            return np.array(self.numbers.excess(rows, law), dtype=object), doubt + one - min(self.numbers.sums(rows))

        rows, high = self.begin, 1 << level
        distances, error = look(rows)
        worst = int(np.argmax(distances))
        if distances[worst] <= bound + error:
            certain = distances[worst] + error <= bound
            return ExactTime(0, distances[worst] / one, None, worst, certain, self.numbers.bits)
        # Starts that are within eps at an earlier time stay so: only the others are carried on. A distance that cannot
        # be told from eps, in so many bits, is taken for equal to it.
        alive, low = np.arange(rows.shape[1]), 0
        previous, previous_error, reached, reached_error = distances[worst], error, 0, 0
        for step in range(level, -1, -1):
            candidate = self.numbers.multiply(rows, self.rung(step))
            distances, error = look(candidate)
            far = distances > bound + error
            if far.any():
                previous, previous_error = distances.max(), error
                worst = int(alive[int(np.argmax(distances))])
                alive, rows, low = alive[far], candidate[:, far], low + (1 << step)
            else:
                reached, reached_error, high = distances.max(), error, low + (1 << step)
        certain = reached + reached_error <= bound < previous - previous_error
        return ExactTime(high, reached / one, previous / one, worst, certain, self.numbers.bits)

    def powers_of_two(self) -> Array | None:
        """Distances of the starts at times 1, 2, 4, ..., [J, R]."""
        levels = self._levels()
        if levels is None:
            return None
        law = self.rung(levels[1])[:, 0]
        one = 1 << self.numbers.bits
        return np.array(
            [[value / one for value in self.numbers.excess(self.rung(j), law)] for j in range(levels[0] + 1)]
        )

    def _levels(self) -> tuple[int, int] | None:
        """The first level with d(2^level) <= eps as far as float64 sees, and one at which the rows are equal.

        None where more bits are needed.
        """
        for level in range(self.most_levels):
            last = self._rounded(self.rung(level))
            if 0.5 * np.abs(last - last[0]).sum(axis=1).max() <= SETTLED:
                break
        else:
            return None
        begin = self._rounded(self.begin)
        # A level more than needed does no harm, one fewer would.
        enough = next(
            (
                earlier
                for earlier in range(level)
                if 0.5 * np.abs(begin @ self._rounded(self.rungs[earlier]) - last[0]).sum(axis=1).max()
                <= self.epsilon * (1 - 1e-9)
            ),
            level,
        )
        return enough, level + int(np.ceil(np.log2(self.numbers.bits / 39)))

    def _rounded(self, parts: Array) -> Array:
        scales = 2.0 ** (self.numbers.width * np.arange(self.numbers.limbs) - self.numbers.bits)
        return np.asarray(np.tensordot(scales, parts, axes=1))
