"""Times of chains with rational kernels, decided in balls: worst-case mixing, hitting and staying.

    d(t) = max_x TV(P^t(x, .), p),   t_mix(eps) = min { t : d(t) <= eps }.

d never increases, so that d(t - 1) > eps >= d(t) proves t_mix = t. Powers are products of matrices of balls.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from flint import arb, arb_mat, ctx, fmpq

from theory.certified.arithmetic import PRECISIONS, Rows, at_most
from theory.certified.laws import CertifiedLaw

LONGEST = 40
"""Powers up to 2^LONGEST steps are looked at."""


@dataclass(frozen=True)
class MixingTime:
    """t_mix, proved by d(steps - 1) > eps >= d(steps); the balls hold these two distances."""

    steps: int
    before: arb
    after: arb
    bits: int


def mixing_time(
    law: CertifiedLaw, kernel: Rows, epsilon: fmpq, precisions: Sequence[int] = PRECISIONS
) -> MixingTime | None:
    """The exact worst-case mixing time of a kernel [S, S] with stationary law p; None where nothing decides it."""
    for bits in precisions:
        with ctx.workprec(bits):
            found = _search(law, kernel, epsilon, bits)
        if found is not None:
            return found
    return None


def distance(power: arb_mat, law: CertifiedLaw) -> arb:
    """max_x TV(P^t(x, .), p) of a power P^t."""
    target = [arb(mass) for mass in law.masses]
    worst = arb(0)
    for row in power.tolist():
        worst = worst.max(sum((abs(a - b) for a, b in zip(row, target, strict=True)), start=arb(0)) / 2)
    return worst


def _search(law: CertifiedLaw, kernel: Rows, epsilon: fmpq, bits: int) -> MixingTime | None:
    powers = [arb_mat([[arb(entry) for entry in row] for row in kernel])]
    near = at_most(after := distance(powers[0], law), epsilon)
    before = distance(arb_mat([[arb(int(x == y)) for y in range(len(kernel))] for x in range(len(kernel))]), law)
    if near:
        return MixingTime(1, before, after, bits) if at_most(before, epsilon) is False else None
    while near is False and len(powers) < LONGEST:
        powers.append(powers[-1] * powers[-1])
        near = at_most(after := distance(powers[-1], law), epsilon)
    if near is not True:
        return None
    # P^(2^(n-2)) is too far and P^(2^(n-1)) is near: add smaller powers as long as the distance stays above.
    steps, reached, before = 2 ** (len(powers) - 2), powers[-2], distance(powers[-2], law)
    for place in range(len(powers) - 3, -1, -1):
        further = reached * powers[place]
        value = distance(further, law)
        near = at_most(value, epsilon)
        if near is None:
            return None
        if near:
            after = value
        else:
            steps, reached, before = steps + 2**place, further, value
    return MixingTime(steps + 1, before, after, bits)


def still_inside(kernel: Rows, inside: Collection[int], steps: int) -> list[arb]:
    """P(the chain has never left the set in so many steps), for every start in it, in the order of the numbers."""
    chosen = sorted(inside)
    kept = arb_mat([[arb(kernel[x][y]) for y in chosen] for x in chosen])
    ones = arb_mat([[arb(1)] for _ in chosen])
    return [row[0] for row in (kept**steps * ones).tolist()]


def leaving(kernel: Rows, inside: Collection[int]) -> dict[int, fmpq]:
    """P(the chain is outside the set after one step), exactly, for every start in it."""
    return {x: sum((p for y, p in enumerate(kernel[x]) if y not in inside), start=fmpq(0)) for x in inside}


def set_flow(law: CertifiedLaw, kernel: Rows, inside: Collection[int]) -> fmpq:
    """Q(A, A^c) / p(A): no less than the bottleneck ratio where p(A) <= 1/2."""
    left = leaving(kernel, inside)
    flow = sum((law.masses[x] * out for x, out in left.items()), start=fmpq(0))
    return flow / sum((law.masses[x] for x in inside), start=fmpq(0))
