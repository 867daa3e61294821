"""C5 on rational laws: approximate tensorization of entropy, for every law r on two bits and for chosen ones beyond."""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, ctx, fmpq

from experiments.certificates.laws import complete, pairs_of_bits, product_law, rings
from experiments.certificates.statement import BALLS, LOGARITHMS, Statement, decided
from experiments.claim import Progress
from theory.certified.arithmetic import exact, settle, shown
from theory.certified.entropy import (
    keeps_at_most,
    kept_fraction,
    masking_channel,
    tensorization_upper_end,
)
from theory.certified.gaps import Enclosure, gap_enclosure
from theory.certified.laws import CertifiedLaw, Masks, uniform_masks
from theory.certified.logarithms import LogSum, logarithm, total

FACTORS = (fmpq(101, 100), fmpq(11, 10), fmpq(13, 10), fmpq(2))
"""C_AT is sought below these multiples of its lower end."""

SEARCH = "branch and bound over the simplex in balls"


def certify(progress: Progress) -> list[Statement]:
    """The bracket of C_AT for every r on two bits, an enclosure of it, and the ratio at chosen laws beyond."""
    statements = []
    for done, law in enumerate(pairs_of_bits()):
        progress(0.1 * done, "every law on two bits")
        masks = uniform_masks(2, 1)
        gap = gap_enclosure(law.balls, masks)
        statements += [bracket(law, masks, gap), enclosure(law, masks, gap)]
    for done, law in enumerate([rings(5)[1], rings(6)[3], complete(6)]):
        progress(0.4 + 0.15 * done, f"point masses of {law.instance['law']}")
        statements += [point_masses(law, size) for size in range(1, law.sites)]
    progress(0.9, "product laws")
    for size in (1, 2, 3):
        statements.append(attained_by_products(size, fmpq(4, size)))
    return statements


def bracket(law: CertifiedLaw, masks: Masks, gap: Enclosure | None, upper: fmpq | None = None) -> Statement:
    """KL(r‖q) ≤ C E KL(r(.|x_-K)‖q(.|x_-K)) for every r, C the proved upper end of C_AT."""
    truth, found = None, "the gap could not be enclosed"
    if gap is not None:
        with ctx.workprec(gap.bits):
            upper = tensorization_upper_end(law, masks, gap.lower) if upper is None else upper
            truth = keeps_at_most(masking_channel(law, masks), law.masses, 1 - 1 / upper, 1 - gap.lower)
            found = f"C_P = {(1 / gap.ball()).str(10)}, C = {shown(arb(upper), 10)}"
    name = "for every law r: KL(r‖q) ≤ C E KL(r(.|x_-K)‖q(.|x_-K)), C the upper end of the bracket"
    return decided(name, {**law.instance, "masks": "one of two sites"}, [truth], SEARCH, found)


def enclosure(law: CertifiedLaw, masks: Masks, gap: Enclosure | None) -> Statement:
    """C_AT between two numbers: the lower one by C_P and by point masses, the upper one by branch and bound."""
    truth, found, name = None, "the gap could not be enclosed", "C_AT is enclosed"
    if gap is not None:
        channel = masking_channel(law, masks)
        with ctx.workprec(gap.bits):
            kept = [kept_fraction(_point(law, x), channel, law.masses) for x in range(len(law.states))]
            lower = max([exact((1 / arb(gap.upper)).lower()), *(exact((1 / (1 - k)).lower()) for k in kept)])
            for factor in FACTORS:
                upper = lower * factor
                if keeps_at_most(channel, law.masses, 1 - 1 / upper, 1 - gap.lower):
                    truth, found = True, f"C_AT in [{shown(arb(lower), 10)}, {shown(arb(upper), 10)}]"
                    name = f"C_AT is at most {factor} times the largest of C_P and its ratios at point masses"
                    break
    return decided(name, {**law.instance, "masks": "one of two sites"}, [truth], SEARCH, found)


def point_masses(law: CertifiedLaw, size: int) -> Statement:
    """The ratio of every point mass is at most the upper end of C_AT."""
    masks = uniform_masks(law.sites, size)
    gap = gap_enclosure(law.balls, masks)
    truths: list[bool | None] = [None]
    found = "the gap could not be enclosed"
    if gap is not None:
        channel = masking_channel(law, masks)
        with ctx.workprec(gap.bits):
            upper = tensorization_upper_end(law, masks, gap.lower)
        truths = [_ratio_at_most(law, channel, x, upper) for x in range(len(law.states))]
        found = f"C_P = {(1 / gap.ball()).str(10)}, upper end {shown(arb(upper), 10)}"
    return decided(
        "for every point mass r: KL(r‖q) ≤ C E KL(r(.|x_-K)‖q(.|x_-K)), C the upper end of C_AT",
        {**law.instance, "masks": f"uniform over {size} of {law.sites}"},
        truths,
        BALLS,
        found,
    )


def _ratio_at_most(law: CertifiedLaw, channel: list[list[fmpq]], place: int, upper: fmpq) -> bool | None:
    def statement() -> bool | None:
        kept = kept_fraction(_point(law, place), channel, law.masses)
        return True if kept <= 1 - 1 / upper else False if kept > 1 - 1 / upper else None

    return settle(statement).truth


def _point(law: CertifiedLaw, place: int) -> list[fmpq]:
    return [fmpq(int(x == place)) for x in range(len(law.states))]


def attained_by_products(size: int, constant: fmpq) -> Statement:
    """On four independent spins the ratio of product laws r is N/k exactly, so that C_AT is no less."""
    law, other = product_law(4), _tilted(product_law(4))
    gaps: list[bool | None] = []
    for r in (other, _tilted_at_one_site(law)):
        whole = _exact_divergence(r, law.masses)
        local = _exact_local(law, r, uniform_masks(4, size))
        gaps.append((whole - local * constant).is_zero())
    return decided(
        f"for two product laws r: KL(r‖q) = {constant} E KL(r(.|x_-K)‖q(.|x_-K)) exactly",
        {**law.instance, "masks": f"uniform over {size} of 4"},
        gaps,
        LOGARITHMS,
        "N/k is the constant, and it is attained",
    )


def _tilted(law: CertifiedLaw) -> list[fmpq]:
    weights = [mass * fmpq(2) ** sum(state) for state, mass in zip(law.states, law.masses, strict=True)]
    return [weight / sum(weights, fmpq(0)) for weight in weights]


def _tilted_at_one_site(law: CertifiedLaw) -> list[fmpq]:
    weights = [mass * (3 if state[0] else 1) for state, mass in zip(law.states, law.masses, strict=True)]
    return [weight / sum(weights, fmpq(0)) for weight in weights]


def _exact_divergence(r: Sequence[fmpq], q: Sequence[fmpq]) -> LogSum:
    return total(logarithm(a / b) * a for a, b in zip(r, q, strict=True))


def _exact_local(law: CertifiedLaw, r: Sequence[fmpq], masks: Masks) -> LogSum:
    """E over K and x_-K from r of the divergence of the conditionals."""
    terms = []
    for mask, chance in masks:
        for block in law.blocks(mask):
            mine, other = sum((r[x] for x in block), fmpq(0)), sum((law.masses[x] for x in block), fmpq(0))
            terms += [logarithm(r[x] / mine / (law.masses[x] / other)) * (chance * r[x]) for x in block]
    return total(terms)
