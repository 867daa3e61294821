"""Numbers that prove something: fractions, and balls that hold the true value whatever rounding does.

A *fraction* (flint's ``fmpq``) is exact. A *ball* (flint's ``arb``) is a midpoint with a radius: every operation gives
a ball that holds the result for all values in its arguments. So a comparison of balls has three outcomes: True and
False are proofs, and None says that the balls overlap. `settle` repeats a comparison in higher precision until it
is decided, and leaves it undecided where the highest precision does not suffice; it never guesses.

Source: Johansson, *Arb: efficient arbitrary-precision midpoint-radius interval arithmetic*, IEEE Trans. Comput. 66
(2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

from flint import arb, ctx, fmpq

from theory.errors import InvalidInput

Scalar = fmpq | arb
Rows = list[list[Any]]
"""A matrix, entry by entry: fractions or balls."""

PRECISIONS = (128, 256, 512, 1024, 2048, 4096)
"""Bits that are tried in turn."""

Number = TypeVar("Number", fmpq, arb)


def fraction(value: int | float | str | Fraction | fmpq) -> fmpq:
    """The exact value of a whole number, a float (a dyadic fraction), or text such as ``3/5`` or ``0.1``.

    Raises:
        InvalidInput: text that is no number, or a float that is not finite.
    """
    if isinstance(value, fmpq):
        return value
    try:
        exact = Fraction(value)
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):
        raise InvalidInput("value", value, "a finite number or a fraction such as 3/5 is needed") from None
    return fmpq(exact.numerator, exact.denominator)


@dataclass(frozen=True)
class Settled:
    """What a statement turned out to be: true, false, or None where no precision decided it."""

    truth: bool | None
    bits: int


def settle(statement: Callable[[], bool | None], precisions: Sequence[int] = PRECISIONS) -> Settled:
    """Evaluate a statement about balls in rising precision until it is decided.

    Args:
        statement: made anew at the working precision; True or False where decided, None where balls overlap.
        precisions: in bits.
    """
    for bits in precisions:
        with ctx.workprec(bits):
            truth = statement()
        if truth is not None:
            return Settled(truth, bits)
    return Settled(None, precisions[-1])


def at_most(left: Any, right: Any) -> bool | None:
    """left <= right: True, False, or None where the two balls overlap. Decided always for two fractions."""
    if left <= right:
        return True
    return False if left > right else None


def every(truths: Sequence[bool | None]) -> bool | None:
    """Whether all hold: False where one is refuted, None where one is undecided."""
    if any(truth is False for truth in truths):
        return False
    return None if any(truth is None for truth in truths) else True


def exact(ball: arb) -> fmpq:
    """The value of a ball of radius 0."""
    return ball.fmpq()


def shown(value: Any, digits: int = 12) -> str:
    """A fraction, or its first digits where it is long; a ball as its midpoint and radius."""
    if isinstance(value, fmpq):
        text = str(value)
        return text if len(text) <= 24 else arb(value).str(digits, radius=False)
    return value.str(digits) if isinstance(value, arb) else str(value)
