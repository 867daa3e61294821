"""Relative entropies in balls, and how much of them a channel keeps, proved for every law at once.

For a channel A (rows sum to 1) and a law q, the strong data-processing constant is

    eta = sup_r KL(r A || q A) / KL(r || q).

With the masking channel x -> (K, x_{-K}) it gives approximate tensorization, C_AT = 1 / (1 - eta); with one step P of a
chain it is the factor by which the divergence from q = q P shrinks at least. `keeps_at_most` proves eta <= e by branch
and bound: for any law c,

    e KL(r || q) - KL(r A || q A) >= <r, e ln(c/q) - A ln(c A / q A)> - (1 - e) KL(r A || c A),

because KL(r || .) differs between q and c by a linear function of r, and KL(r || c) >= KL(r A || c A). The right-hand
side is concave, so that on a simplex of laws it is least at a corner; with c the mean of the corners the loss is of
second order in the size of the cell. Where |r/q - 1| <= rho in every state, with g(u) = 2 ((1+u) ln(1+u) - u) / u^2,
which falls with u, the ratio is at most chi g(-rho) / g(rho), chi the constant for chi-squared in place of KL. Corners
are dyadic fractions, so that the cells cover the simplex exactly; all else is balls.

Legend: ``S`` states, ``R`` outputs of the channel.
Sources: Polyanskiy and Wu, *Strong data-processing inequalities for channels and Bayesian networks*, 2017; the bound on
a cell: as proved here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from flint import arb, ctx, fmpq

from theory.certified.arithmetic import Rows, exact
from theory.certified.laws import CertifiedLaw, Masks

BITS = 128
CELLS = 100_000
"""Cells that are looked at before nothing is said."""
START_BITS = 40
"""The corner near q is rounded to so many bits."""


def masking_channel(law: CertifiedLaw, masks: Masks) -> Rows:
    """x -> (K, x_{-K}): [S, R], fractions."""
    columns = [(chance, block) for mask, chance in masks for block in law.blocks(mask)]
    rows: Rows = [[fmpq(0)] * len(columns) for _ in law.states]
    for column, (chance, block) in enumerate(columns):
        for x in block:
            rows[x][column] = chance
    return rows


def image(law: Sequence[Any], channel: Rows) -> list[arb]:
    """r A, in balls; entries that are 0 by construction stay exactly 0."""
    result = [arb(0)] * len(channel[0])
    for mass, row in zip(law, channel, strict=True):
        if mass != 0:
            result = [entry if p == 0 else entry + mass * p for entry, p in zip(result, row, strict=True)]
    return result


def relative_entropy(law: Sequence[Any], other: Sequence[Any]) -> arb:
    """KL(r || q) of two laws, in balls; r is 0 where q is."""
    terms = (arb(r) * (arb(r) / q).log() for r, q in zip(law, other, strict=True) if r != 0)
    return sum(terms, start=arb(0))


def kept_fraction(law: Sequence[Any], channel: Rows, target: Sequence[Any]) -> arb:
    """KL(r A || q A) / KL(r || q) at one law r: no more than eta."""
    return relative_entropy(image(law, channel), image(target, channel)) / relative_entropy(law, target)


@dataclass(frozen=True)
class _Corner:
    law: list[arb]
    image: list[arb]
    negentropy: arb
    place: tuple[float, ...]


def keeps_at_most(channel: Rows, target: Sequence[fmpq], fraction: fmpq, chi: fmpq, cells: int = CELLS) -> bool | None:
    """Prove eta <= ``fraction`` over all laws: True, False where a corner refutes it, None where it stays open.

    Args:
        channel: A [S, R], fractions.
        target: q [S], positive fractions.
        fraction: e in (0, 1].
        chi: at least the largest quotient of chi-squared divergences, (1 - gap) or (1 - gap)^2 for a reversible chain.
        cells: after so many nothing is said.
    """
    with ctx.workprec(BITS):
        radius = _radius(arb(fraction), arb(chi))
        q = [arb(mass) for mass in target]
        rows = [[arb(entry) for entry in row] for row in channel]
        search = _Search(rows, q, image(q, rows), arb(fraction), radius)
        middle = search.corner(_rounded(q))
        ends = [search.corner([arb(int(x == y)) for y in range(len(q))]) for x in range(len(q))]
        if any(search.refutes(end) for end in ends):
            return False
        waiting = [(*tuple(end for end in ends if end is not left_out), middle) for left_out in ends]
        for _ in range(cells):
            if not waiting:
                return True
            cell = waiting.pop()
            if search.is_near(cell) or search.settles(cell):
                continue
            halves = search.halves(cell)
            if halves is None:
                return None
            waiting += halves
    return None


@dataclass(frozen=True)
class _Search:
    """What every cell is compared with."""

    channel: list[list[arb]]
    target: list[arb]
    observed: list[arb]
    fraction: arb
    radius: arb | None

    def corner(self, law: list[arb]) -> _Corner:
        seen = image(law, self.channel)
        negentropy = sum((value * value.log() for value in seen if value != 0), start=arb(0))
        place = tuple(float(r) / float(q) ** 0.5 for r, q in zip(law, self.target, strict=True))
        return _Corner(law, seen, negentropy, place)

    def refutes(self, corner: _Corner) -> bool:
        kept = relative_entropy(corner.image, self.observed)
        return bool(kept > self.fraction * relative_entropy(corner.law, self.target))

    def is_near(self, cell: tuple[_Corner, ...]) -> bool:
        radius = self.radius
        return radius is not None and all(
            abs(r / q - 1) <= radius for corner in cell for r, q in zip(corner.law, self.target, strict=True)
        )

    def settles(self, cell: tuple[_Corner, ...]) -> bool:
        count = len(cell)
        centre = [sum(entries, start=arb(0)) / count for entries in zip(*(corner.law for corner in cell), strict=True)]
        seen = [sum(entries, start=arb(0)) / count for entries in zip(*(corner.image for corner in cell), strict=True)]
        logs = [value.log() for value in seen]
        change = [log - value.log() for log, value in zip(logs, self.observed, strict=True)]
        slope = []
        for c, q, row in zip(centre, self.target, self.channel, strict=True):
            pulled = sum((p * d for p, d in zip(row, change, strict=True) if p != 0), start=arb(0))
            slope.append(self.fraction * (c / q).log() - pulled)
        for corner in cell:
            linear = sum((r * w for r, w in zip(corner.law, slope, strict=True) if r != 0), start=arb(0))
            cross = sum((a * log for a, log in zip(corner.image, logs, strict=True) if a != 0), start=arb(0))
            if not linear >= (1 - self.fraction) * (corner.negentropy - cross):
                return False
        return True

    def halves(self, cell: tuple[_Corner, ...]) -> list[tuple[_Corner, ...]] | None:
        first, second = max(combinations(range(len(cell)), 2), key=lambda pair: _apart(cell[pair[0]], cell[pair[1]]))
        law = [(a + b) / 2 for a, b in zip(cell[first].law, cell[second].law, strict=True)]
        if not all(entry.is_exact() for entry in law):
            return None  # the cells would no longer cover the simplex exactly
        middle = self.corner(law)
        return [
            tuple(middle if place == replaced else corner for place, corner in enumerate(cell))
            for replaced in (first, second)
        ]


def _apart(first: _Corner, second: _Corner) -> float:
    return sum((a - b) ** 2 for a, b in zip(first.place, second.place, strict=True))


def _rounded(law: list[arb]) -> list[arb]:
    """A dyadic law near q: its masses sum to 1 exactly."""
    scale = 2**START_BITS
    head = [arb(int(float(mass) * scale)) / scale for mass in law[:-1]]
    return [*head, 1 - sum(head, start=arb(0))]


def _radius(fraction: arb, chi: arb) -> arb | None:
    """The largest rho = 2^-j for which the box |r/q - 1| <= rho is settled, None where none is."""

    def curvature(u: arb) -> arb:
        return 2 * ((1 + u) * (1 + u).log() - u) / (u * u)

    for power in range(1, 24):
        rho = arb(1) / 2**power
        if chi * curvature(-rho) <= fraction * curvature(rho):
            return rho
    return None


def tensorization_upper_end(law: CertifiedLaw, masks: Masks, gap: fmpq) -> fmpq:
    """A proved upper end of C_AT from a lower end of the gap: the least of two that hold for every law.

    The bracket C_P ln(1/q_min - 1) / (1 - 2 q_min), and comparison with the product of the marginals,
    (max q/pi) (max pi/q) / min_i P(i in K), where the law has full support.
    """
    q = law.masses
    least = min(q)
    factor = arb(2) if least == fmpq(1, 2) else (arb(1) / least - 1).log() / (1 - 2 * arb(least))
    bounds = [exact((factor / gap).upper())]
    marginals = [
        {s: sum((m for x, m in zip(law.states, q, strict=True) if x[i] == s), fmpq(0)) for s in range(law.symbols)}
        for i in range(law.sites)
    ]
    if len(q) == law.symbols**law.sites:
        density = []
        for state, mass in zip(law.states, q, strict=True):
            for site, symbol in enumerate(state):
                mass /= marginals[site][symbol]
            density.append(mass)
        masked = min(sum((chance for mask, chance in masks if i in mask), fmpq(0)) for i in range(law.sites))
        if masked > 0:
            bounds.append(max(density) / min(density) / masked)
    return min(bounds)
