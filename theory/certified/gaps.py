"""The spectral gap of a reversible chain, enclosed.

    E(f, f) = <f, (I - P) f>_p,   gap = min E(f, f) / Var_p(f) over functions that are not constant = 1 / C_P.

*From above* the quotient at any function bounds the gap; one near the slowest eigenfunction is found by inverse
iteration, whose rounding does not matter. *From below* the Poincaré inequality itself is proved: E - g Var ⪰ 0, as a
quadratic form on the functions that vanish at one state (constants change neither side).

*Exchangeable binary laws* p(x) = w(number of ones) under single-site dynamics are too large for that, but split: for
each j <= N/2 the functions f(x) = u(n) prod_{l<=j} (x_{2l-1} - x_{2l}), n the ones among the other N - 2j sites, are
kept by the dynamics, and by the representation theory of the symmetric group (two-row shapes) their images under
permutations are all functions. At a point of the product the j pairs differ, so N - 2j + 1 values of u remain, on which
P is tridiagonal; updates of a pair's site keep f with the probability that the site stays.

Source: Levin, Peres, Wilmer, *Markov Chains and Mixing Times*, lemma 13.7; the sectors: as proved here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flint import arb, arb_mat, ctx, fmpq

from theory.certified.arithmetic import PRECISIONS, Rows, exact
from theory.certified.definite import difference, positive_definite, positive_semidefinite
from theory.certified.laws import CertifiedLaw, Masks, block_gibbs

ITERATIONS = 60
MARGINS = (50, 40, 30, 20, 10)
"""The lower end is tried at the upper one times 1 - 2^-e, for these e in turn."""


@dataclass(frozen=True)
class Enclosure:
    """lower <= the value <= upper, proved in balls of so many bits."""

    lower: fmpq
    upper: fmpq
    bits: int

    def ball(self) -> arb:
        """A ball of the working precision that holds the value."""
        return arb(self.lower).union(arb(self.upper))


@dataclass(frozen=True)
class Form:
    """A Dirichlet form and a squared norm on functions of the same states; ``constants``: both vanish on constants."""

    energy: Rows
    norm: Rows
    constants: bool


def is_reversible(law: CertifiedLaw, kernel: Rows) -> bool:
    """Whether rows of fractions sum to 1 and p(x) P(x, y) = p(y) P(y, x), exactly."""
    p = law.masses
    return all(sum(row, start=fmpq(0)) == 1 for row in kernel) and all(
        p[x] * kernel[x][y] == p[y] * kernel[y][x] for x in range(len(p)) for y in range(x)
    )


def dirichlet_form(law: CertifiedLaw, kernel: Rows) -> Form:
    """E and Var_p of a reversible kernel, as matrices [S, S] of the law's numbers."""
    p, states = law.masses, range(len(law.masses))
    energy = [[p[x] * ((x == y) - kernel[x][y]) for y in states] for x in states]
    norm = [[p[x] * ((x == y) - p[y]) for y in states] for x in states]
    return Form(energy, norm, constants=True)


def poincare_inequality(form: Form, gap: Any) -> bool | None:
    """Decide E - gap Var ⪰ 0: always for fractions; for balls None where undecided."""
    rows = difference(form.energy, form.norm, gap)
    if form.constants:
        rows = [row[:-1] for row in rows[:-1]]
    return positive_semidefinite(rows) if isinstance(rows[0][0], fmpq) else positive_definite(rows)


def gap_enclosure(
    law: Callable[[], CertifiedLaw], masks: Masks, precisions: Sequence[int] = PRECISIONS
) -> Enclosure | None:
    """Enclose the gap of the block dynamics; None where no precision separates it from 0.

    Args:
        law: makes the law in balls of the working precision: ``law.balls`` of a rational one.
        masks: P_K.
        precisions: bits that are tried in turn.
    """

    def forms() -> list[Form]:
        made = law()
        return [dirichlet_form(made, block_gibbs(made, masks))]

    return least_quotient(forms, precisions)


def least_quotient(forms: Callable[[], Sequence[Form]], precisions: Sequence[int] = PRECISIONS) -> Enclosure | None:
    """Enclose the least of min E(f, f) / |f|^2 over several forms, made at the working precision."""
    for bits in precisions:
        with ctx.workprec(bits):
            made = forms()
            ends = [_upper_end(form) for form in made]
            if any(end is None for end in ends):
                continue
            upper = min(end for end in ends if end is not None)
            if not upper > 0:
                continue
            for margin in MARGINS:
                lower = upper * (1 - fmpq(1, 2**margin))
                if all(poincare_inequality(form, arb(lower)) for form in made):
                    return Enclosure(lower, upper, bits)
    return None


def _upper_end(form: Form) -> fmpq | None:
    """A quotient near the least one, rounded up."""
    cut = len(form.energy) - 1 if form.constants else len(form.energy)
    if cut == 0:
        return None
    energy = arb_mat([row[:cut] for row in form.energy[:cut]])
    norm = arb_mat([row[:cut] for row in form.norm[:cut]])
    function = arb_mat([[arb(1) / (3 + 7 * x % 11)] for x in range(cut)])
    try:
        step = energy.mid().solve(norm.mid()).mid()
        for _ in range(ITERATIONS):
            function = (step * function).mid()
            largest = max((abs(row[0]) for row in function.tolist()), key=float)
            function = (function * (1 / largest)).mid()
    except ZeroDivisionError:
        return None
    above, below = (function.transpose() * matrix * function for matrix in (energy, norm))
    quotient = above[0, 0] / below[0, 0]
    return exact(quotient.upper()) if quotient.is_finite() else None
