"""Information about the parameters of an exponential family under masking, in fractions.

For p_theta ∝ exp(theta . T(x)) with statistics T of whole numbers,

    I_PL = E_K E[ Cov(T | x_{-K}) ] = E[T T'] - sum_K P(K) sum_blocks (sum_{x in block} p(x) T(x))(...)' / p(block),

and the Fisher information is that of the mask of all sites. Loewner orders of inverses are reversed orders:
Γ_{k+1} ⪯ Γ_k is I_k ⪯ I_{k+1}, and Γ ⪯ C_P I^{-1} is I / C_P ⪯ I_PL (claims C2 and C3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import Any

from flint import fmpq, fmpq_mat, fmpq_poly

from theory.certified.arithmetic import Rows
from theory.certified.definite import difference, positive_semidefinite
from theory.certified.gaps import Enclosure
from theory.certified.laws import CertifiedLaw, Masks, State

Statistics = Callable[[State], Sequence[int]]


def pairwise_statistics(state: State) -> list[int]:
    """Spins x_i in {-1, 1} of symbols 0 and 1, and products x_i x_j for i < j: the Ising family."""
    spins = [2 * symbol - 1 for symbol in state]
    return spins + [a * b for a, b in combinations(spins, 2)]


def information(law: CertifiedLaw, statistics: Statistics, masks: Masks) -> Rows:
    """I_PL [d, d] at a rational law of the family."""
    values = [statistics(state) for state in law.states]
    size = len(values[0])
    rows: Rows = [[fmpq(0)] * size for _ in range(size)]
    _add_outer(rows, values, law.masses)
    for mask, chance in masks:
        sums, weights = [], []
        for block in law.blocks(mask):
            masses = [law.masses[x] for x in block]
            sums.append(
                [sum((m * values[x][a] for m, x in zip(masses, block, strict=True)), fmpq(0)) for a in range(size)]
            )
            weights.append(-chance / sum(masses, fmpq(0)))
        _add_outer(rows, sums, weights)
    return rows


def _add_outer(rows: Rows, vectors: Sequence[Sequence[Any]], weights: Sequence[fmpq]) -> None:
    """rows += sum of weight * vector vector'."""
    for vector, weight in zip(vectors, weights, strict=True):
        scaled = [weight * entry for entry in vector]
        for a, row in enumerate(rows):
            for b in range(a + 1):
                row[b] += scaled[a] * vector[b]
                if b < a:
                    rows[b][a] = row[b]


def at_most_as_informative(less: Rows, more: Rows) -> bool:
    """Decide less ⪯ more in the Loewner order."""
    return positive_semidefinite(difference(more, less))


def bounded_by_mixing(masked: Rows, fisher: Rows, kernel: Rows, gap: Enclosure) -> bool | None:
    """Decide gap I ⪯ I_PL, which is Γ ⪯ C_P I^{-1}.

    The upper end of the gap proves it, the lower one refutes it. Between them lies the case in which the bound is
    attained: the least root of det(I_PL - x I) is the gap, a root of det((1 - x) - P). That is decided by the common
    divisor of the two polynomials; None where it is not so.

    Args:
        masked, fisher: I_PL and I [d, d].
        kernel: P [S, S], reversible, with eigenvalues >= 0.
        gap: of P.
    """
    if positive_semidefinite(difference(masked, fisher, gap.upper)):
        return True
    if not positive_semidefinite(difference(masked, fisher, gap.lower)):
        return False
    states = range(len(kernel))
    losses = fmpq_mat([[(x == y) - kernel[x][y] for y in states] for x in states]).charpoly()
    ratios = (fmpq_mat(fisher).inv() * fmpq_mat(masked)).charpoly()
    # The ends themselves are no roots where the interval is a little wider.
    width = gap.upper - gap.lower
    polynomials = (losses, ratios, losses.gcd(ratios))
    single = all(distinct_roots(p, gap.lower - width, gap.upper + width) == 1 for p in polynomials)
    return True if single else None


def distinct_roots(polynomial: fmpq_poly, low: fmpq, high: fmpq) -> int:
    """Distinct roots in (low, high] of a polynomial all of whose roots are real: Descartes' rule is exact for these."""
    simple = polynomial // polynomial.gcd(polynomial.derivative())

    def above(value: fmpq) -> int:
        shifted = simple(fmpq_poly([value, 1]))
        signs = [c > 0 for c in shifted.coeffs() if c != 0]
        return sum(a != b for a, b in pairwise(signs))

    return above(low) - above(high)
