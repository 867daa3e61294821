"""C8 on rational laws: k-Gibbs reaches the right mode, independent parallel stays in the wrong one."""

from __future__ import annotations

from math import comb

from flint import arb, fmpq

from experiments.certificates.statement import BALLS, FRACTIONS, Statement, decided
from experiments.claim import Progress
from theory.certified.arithmetic import Rows, at_most, every, settle, shown
from theory.certified.laws import CertifiedLaw, block_gibbs, independent_parallel, strong_clique, uniform_masks
from theory.certified.mixing import leaving, still_inside

SITES = 7
CLIQUES = (3, 4, 5, 6)
ACTIVITIES = (fmpq(3, 2), fmpq(5, 2), fmpq(9, 2))
"""e^J: couplings of about 0.41, 0.92 and 1.5."""
FIELD = fmpq(21, 20)
FAILURE = fmpq(1, 20)
HORIZON = 100


def certify(progress: Progress) -> list[Statement]:
    """Parts (a), (b) and (c) of the claim for every clique and coupling."""
    statements = []
    cases = [(size, activity) for size in CLIQUES for activity in ACTIVITIES]
    for done, (clique, activity) in enumerate(cases):
        progress(done / len(cases), f"clique of {clique}, e^J = {activity}")
        law = strong_clique(SITES, clique, activity, FIELD)
        for size in range(clique, SITES + 1):
            kernel = block_gibbs(law, uniform_masks(SITES, size))
            statements.append(reaches(law, clique, size, kernel, redraw_probability(law, clique, size)))
        statements += stays(law, clique, activity, independent_parallel(law))
    return statements


def redraw_probability(law: CertifiedLaw, clique: int, size: int) -> fmpq:
    """c = C(N-m, k-m)/C(N, k) p(x_C = +1)."""
    right = sum((mass for x, mass in zip(law.states, law.masses, strict=True) if all(x[:clique])), fmpq(0))
    return fmpq(comb(law.sites - clique, size - clique), comb(law.sites, size)) * right


def reaches(law: CertifiedLaw, clique: int, size: int, kernel: Rows, chance: fmpq) -> Statement:
    """(a): one step reaches the right mode with chance c from any state, and T steps fail with chance at most δ."""
    outside = {number for number, x in enumerate(law.states) if not all(x[:clique])}
    each = leaving(kernel, outside)
    steps, missing = 1, 1 - chance
    while missing > FAILURE:
        steps, missing = steps + 1, missing * (1 - chance)
    failed = settle(lambda: _none_above(still_inside(kernel, outside, steps), FAILURE))
    return decided(
        "from any state k-Gibbs reaches the right mode in a step with probability ≥ c, and within "
        f"T = ⌈ln δ / ln(1 - c)⌉ = {steps} steps with probability ≥ 1 - δ, δ = {FAILURE}",
        {**law.instance, "clique": clique, "masks": f"uniform over {size} of {law.sites}"},
        [*(at_most(chance, reached) for reached in each.values()), failed.truth],
        FRACTIONS,
        f"c = {shown(chance)}, least chance of a step {shown(min(each.values()))}",
    )


def stays(law: CertifiedLaw, clique: int, activity: fmpq, kernel: Rows) -> list[Statement]:
    """(b) and (c): one step's escape below its bound, and T steps' escape below the two-stage bound."""
    wrong = {number for number, x in enumerate(law.states) if 2 * sum(x[:clique]) - clique <= -2}
    escapes = leaving(kernel, wrong)
    first = max(escapes.values())
    second = max(sum((kernel[x][y] * escapes[y] for y in wrong), fmpq(0)) for x in wrong)
    two_stages = first + (HORIZON - 1) * second
    instance = {**law.instance, "clique": clique, "sampler": "independent parallel"}
    one = settle(lambda: at_most(arb(first), escape_bound(clique, activity, FIELD)))
    within = settle(lambda: _none_above([1 - p for p in still_inside(kernel, wrong, HORIZON)], two_stages))
    return [
        decided(
            "one step leaves the wrong mode with probability at most "
            + ("sech(J - h)^m" if clique % 2 == 0 else "exp(-m kl(a‖s))"),
            instance,
            [one.truth],
            FRACTIONS if clique % 2 == 0 else BALLS,
            f"exact {shown(first)}, bound {escape_bound(clique, activity, FIELD).str(10)}",
        ),
        decided(
            f"{HORIZON} steps leave the wrong mode with probability at most b₁ + {HORIZON - 1} b₂",
            instance,
            [within.truth],
            BALLS,
            f"bound {shown(two_stages)}",
        ),
    ]


def escape_bound(clique: int, activity: fmpq, field: fmpq) -> arb:
    """The bound of part (b) in balls; for an even clique sech(J - h) = 2/(a/b + b/a) is a fraction."""
    odds = activity / field
    if clique % 2 == 0:
        return arb((2 / (odds + 1 / odds)) ** clique)
    turned = 1 / (1 + (activity**2 / field) ** 2)
    share = fmpq(clique - 1, 2 * clique)
    if share <= turned:
        return arb(1)
    entropy = share * (arb(share) / turned).log() + (1 - share) * (arb(1 - share) / (1 - turned)).log()
    return (-clique * entropy).exp()


def _none_above(values: list[arb], limit: fmpq) -> bool | None:
    return every([at_most(value, arb(limit)) for value in values])
