"""C6 on rational laws: entropy contracts at every step, and the exact mixing time lies inside every bound."""

from __future__ import annotations

from itertools import accumulate

from flint import arb, arb_mat, ctx, fmpq

from experiments.certificates.laws import complete, pairs_of_bits, rings, table
from experiments.certificates.statement import BALLS, Statement, decided
from experiments.claim import Progress
from theory.certified.arithmetic import Rows, at_most, every, settle, shown
from theory.certified.entropy import (
    image,
    keeps_at_most,
    masking_channel,
    relative_entropy,
    tensorization_upper_end,
)
from theory.certified.gaps import Enclosure, gap_enclosure, is_reversible
from theory.certified.laws import CertifiedLaw, Masks, block_gibbs, uniform_masks
from theory.certified.mixing import mixing_time, set_flow

EPSILONS = (fmpq(1, 4), fmpq(1, 100))
STEPS = 25
"""Steps over which the divergence of every start is followed."""


def certify(progress: Progress) -> list[Statement]:
    """Mixing times between their bounds; contraction from every state; contraction for every law on two bits."""
    statements = []
    large = [*rings(6), complete(6), table(3, 3)]
    for done, law in enumerate(large):
        progress(0.6 * done / len(large), f"mixing times of {law.instance.get('law', 'a table')}")
        for size in range(1, law.sites + 1):
            masks = uniform_masks(law.sites, size)
            gap = gap_enclosure(law.balls, masks)
            kernel = block_gibbs(law, masks)
            statements += [between_bounds(law, size, kernel, gap, epsilon) for epsilon in EPSILONS]
    for done, law in enumerate([rings(4)[2], complete(5), table(3, 3)]):
        progress(0.6 + 0.1 * done, "divergence step by step")
        statements += [contraction(law, size) for size in range(1, law.sites)]
    progress(0.9, "every law on two bits")
    statements += [every_law(law) for law in pairs_of_bits()]
    return statements


def between_bounds(law: CertifiedLaw, size: int, kernel: Rows, gap: Enclosure | None, epsilon: fmpq) -> Statement:
    """The exact t_mix(eps) of a kernel, inside the relaxation, entropy and bottleneck bounds."""
    time = mixing_time(law, kernel, epsilon)
    truths: list[bool | None] = [is_reversible(law, kernel)]
    found = "the gap or the time could not be decided"
    if gap is None or time is None:
        truths.append(None)
    else:
        masks = uniform_masks(law.sites, size)
        with ctx.workprec(gap.bits):
            end = tensorization_upper_end(law, masks, gap.lower)
            least, relaxation = arb(min(law.masses)), 1 / gap.ball()
            bounds = {
                "relaxation": relaxation * (1 / (epsilon * least)).log(),
                "entropy": end * ((1 / least).log().log() + (1 / (2 * arb(epsilon) ** 2)).log()) + 1,
            }
            below = {"relaxation": (relaxation - 1) * (1 / (2 * arb(epsilon))).log()}
            if epsilon == fmpq(1, 4):
                below["bottleneck"] = arb(1) / (4 * _smallest_flow(law, kernel))
            # A real upper bound on a whole number is one on its largest whole number below.
            truths += [at_most(arb(time.steps), bound) for bound in bounds.values()]
            truths += [at_most(bound, arb(time.steps)) for bound in below.values()]
            found = (
                f"t_mix = {time.steps}: d({time.steps - 1}) = {shown(time.before, 8)}, d({time.steps}) = "
                f"{shown(time.after, 8)}; at least "
                + ", ".join(f"{shown(bound, 6)} ({name})" for name, bound in below.items())
                + "; at most "
                + ", ".join(f"{shown(bound, 6)} ({name})" for name, bound in bounds.items())
            )
    return decided(
        f"the exact worst-case t_mix({epsilon}) lies inside the relaxation, entropy"
        + (" and bottleneck bounds" if epsilon == fmpq(1, 4) else " bounds"),
        {**law.instance, "masks": f"uniform over {size} of {law.sites}"},
        truths,
        BALLS,
        found,
    )


def _smallest_flow(law: CertifiedLaw, kernel: Rows) -> fmpq:
    """The least Q(A, A^c)/p(A) over sets of states with the fewest or the most ones, of mass at most 1/2."""
    order = sorted(range(len(law.states)), key=lambda x: (sum(law.states[x]), law.states[x]))
    flows = []
    for direction in (order, order[::-1]):
        masses = accumulate(law.masses[x] for x in direction)
        sets = [direction[: place + 1] for place, mass in enumerate(masses) if mass <= fmpq(1, 2)]
        flows += [set_flow(law, kernel, set(chosen)) for chosen in sets[:: max(1, len(sets) // 8)]]
    return min(flows)


def contraction(law: CertifiedLaw, size: int) -> Statement:
    """From every state, step by step: KL loses at least the local divergence, and at least its share 1/C_AT."""
    masks = uniform_masks(law.sites, size)
    kernel = block_gibbs(law, masks)
    gap = gap_enclosure(law.balls, masks)
    truths: list[bool | None] = [is_reversible(law, kernel)]
    if gap is None:
        truths.append(None)
    else:
        with ctx.workprec(gap.bits):
            end = tensorization_upper_end(law, masks, gap.lower)
        truths.append(settle(lambda: _contracts(law, masks, kernel, end)).truth)
    return decided(
        f"from every state, for {STEPS} steps: KL(νP‖q) ≤ KL(ν‖q) - E KL(ν(.|x_-K)‖q(.|x_-K)) ≤ (1 - 1/C) KL(ν‖q), "
        "C the upper end of C_AT",
        {**law.instance, "masks": f"uniform over {size} of {law.sites}"},
        truths,
        BALLS,
    )


def _contracts(law: CertifiedLaw, masks: Masks, kernel: Rows, end: fmpq) -> bool | None:
    channel = masking_channel(law, masks)
    matrix = arb_mat([[arb(entry) for entry in row] for row in kernel])
    target = [arb(mass) for mass in law.masses]
    seen = image(target, channel)
    laws = arb_mat([[arb(int(x == y)) for y in range(len(target))] for x in range(len(target))])
    truths: list[bool | None] = []
    before = [relative_entropy(row, target) for row in laws.tolist()]
    for _ in range(STEPS):
        # By the chain rule the divergence of the images is KL minus the expected local divergence.
        kept = [relative_entropy(image(row, channel), seen) for row in laws.tolist()]
        laws = laws * matrix
        after = [relative_entropy(row, target) for row in laws.tolist()]
        for start, middle, stop in zip(before, kept, after, strict=True):
            truths += [at_most(stop, middle), at_most(middle, start * (1 - 1 / arb(end)))]
        before = after
    return every(truths)


def every_law(law: CertifiedLaw, kernel: Rows | None = None) -> Statement:
    """On two bits: KL(νP‖q) ≤ (1 - 1/C_P) KL(ν‖q) for every law ν, which is more than the claim says, as C_P ≤ C_AT."""
    masks = uniform_masks(2, 1)
    made = block_gibbs(law, masks) if kernel is None else kernel
    gap = gap_enclosure(law.balls, masks)
    truths: list[bool | None] = [is_reversible(law, made)]
    found = "the gap could not be enclosed"
    if gap is not None:
        share = 1 - gap.upper
        truths.append(keeps_at_most(made, law.masses, share, (1 - gap.lower) ** 2))
        found = f"1 - 1/C_P = {shown(arb(share), 10)}"
    return decided(
        "for every law ν: KL(νP‖q) ≤ (1 - 1/C_P) KL(ν‖q), and C_P ≤ C_AT",
        {**law.instance, "masks": "one of two sites"},
        truths,
        "branch and bound over the simplex in balls",
        found,
    )
