"""Sums of logarithms of fractions, compared exactly.

Entropies and divergences of rational laws are sums c_1 ln a_1 + ... with rational c_i and whole numbers a_i. Refined by
greatest common divisors, the a_i become products of numbers > 1 of which no two have a common divisor. The logarithms
of these are linearly independent over the rationals, because each has a prime that no other has (unique factorisation);
so the sum is 0 exactly where every coefficient is, and nothing has to be factored into primes.

Source: Bernstein, *Factoring into coprimes in essentially linear time*, J. Algorithms 54 (2005), for the refinement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import gcd

from flint import arb, fmpq

from theory.errors import InvalidInput


@dataclass(frozen=True)
class LogSum:
    """sum of coefficient * ln(number) over ``terms``, from whole numbers > 1 to coefficients."""

    terms: dict[int, fmpq] = field(default_factory=dict)

    def __add__(self, other: LogSum) -> LogSum:
        return total((self, other))

    def __sub__(self, other: LogSum) -> LogSum:
        return total((self, other * fmpq(-1)))

    def __mul__(self, factor: fmpq) -> LogSum:
        return LogSum({number: c * factor for number, c in self.terms.items()} if factor != 0 else {})

    def ball(self) -> arb:
        """The value at the working precision."""
        return sum((arb(c) * arb(number).log() for number, c in self.terms.items()), start=arb(0))

    def is_zero(self) -> bool:
        """Whether the sum is 0: decided."""
        base = coprime_base(self.terms)
        return all(sum((c * _power(n, b) for n, c in self.terms.items()), fmpq(0)) == 0 for b in base)


def coprime_base(numbers: Iterable[int]) -> list[int]:
    """Whole numbers > 1 without common divisors, of which all the given ones are products."""
    base: list[int] = []
    waiting = list(numbers)
    while waiting:
        number = waiting.pop()
        if number == 1:
            continue
        for place, member in enumerate(base):
            common = gcd(number, member)
            if common > 1:
                del base[place]
                waiting += [common, number // common, member // common]
                break
        else:
            base.append(number)
    return base


def _power(number: int, divisor: int) -> int:
    power = 0
    while number % divisor == 0:
        number, power = number // divisor, power + 1
    return power


def total(terms: Iterable[LogSum]) -> LogSum:
    """The sum of many."""
    sums: dict[int, fmpq] = {}
    for term in terms:
        for number, coefficient in term.terms.items():
            sums[number] = sums.get(number, fmpq(0)) + coefficient
    return LogSum({number: coefficient for number, coefficient in sums.items() if coefficient != 0})


def logarithm(value: fmpq) -> LogSum:
    """ln of a positive fraction.

    Raises:
        InvalidInput: a value that is not positive.
    """
    if not value > 0:
        raise InvalidInput("value", value, "logarithms are of positive numbers")
    return LogSum({int(part): fmpq(sign) for part, sign in ((value.p, 1), (value.q, -1)) if part != 1})
