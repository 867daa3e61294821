"""C9 on rational laws: what parallel unmasking costs, for every schedule, with logarithms compared exactly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import permutations

from flint import fmpq

from experiments.certificates.laws import table
from experiments.certificates.statement import BALLS, FRACTIONS, LOGARITHMS, Statement, decided
from experiments.claim import Progress
from theory.certified.arithmetic import settle
from theory.certified.decoding import (
    Marginals,
    Schedule,
    along_the_tree,
    correlations,
    divergence,
    most_confident,
    output_law,
    schedules,
)
from theory.certified.entropy import relative_entropy
from theory.certified.laws import CertifiedLaw, law_from_weights, ring
from theory.certified.logarithms import LogSum, total


def certify(progress: Progress) -> list[Statement]:
    """Each law with every ordered partition of its sites."""
    sparse = law_from_weights(4, 2, [3, 0, 0, 5, 0, 7, 2, 0, 0, 1, 8, 0, 4, 0, 0, 6])
    laws = [table(4, 2), table(3, 3), sparse, ring(5, fmpq(8, 5), fmpq(11, 10))]
    statements = []
    for done, law in enumerate(laws):
        progress(done / len(laws), f"every schedule of {law.sites} sites")
        marginals = Marginals(law)
        chosen = list(schedules(range(law.sites)))
        outputs = [output_law(marginals, schedule) for schedule in chosen]
        statements += [
            sum_of_correlations(law, chosen, outputs),
            one_at_a_time(law),
            *mean_over_orders(law, chosen, outputs),
            decided_by_tokens(law),
        ]
    return statements


def sum_of_correlations(law: CertifiedLaw, chosen: Sequence[Schedule], outputs: Sequence[Sequence[fmpq]]) -> Statement:
    """KL(p‖q_S) = ∑ TC exactly, given the output laws of the schedules."""
    marginals = Marginals(law)
    truths = [
        sum(q, fmpq(0)) <= 1 and (divergence(law, q) - correlations(marginals, schedule)).is_zero()
        for schedule, q in zip(chosen, outputs, strict=True)
    ]
    name = f"KL(p‖q_S) = ∑ₜ TC(x_Sₜ | x_S<t) exactly, for each of the {len(chosen)} schedules"
    return decided(name, law.instance, truths, LOGARITHMS)


def one_at_a_time(law: CertifiedLaw) -> Statement:
    """q_S = p for every order of single sites, by definition of the conditionals along it."""
    marginals = Marginals(law)
    truths = [
        output_law(marginals, tuple((site,) for site in order)) == list(law.masses)
        for order in permutations(range(law.sites))
    ]
    return decided("one token at a time in any order puts out p exactly", law.instance, truths, FRACTIONS)


def mean_over_orders(
    law: CertifiedLaw, chosen: Sequence[Schedule], outputs: Sequence[Sequence[fmpq]]
) -> list[Statement]:
    """KL(p‖E_S q_S) ≤ E_S KL(p‖q_S) for random schedules of each length, and it is less where the q_S differ."""
    statements = []
    for steps in range(1, law.sites + 1):
        members = [q for schedule, q in zip(chosen, outputs, strict=True) if len(schedule) == steps]
        mixture = [sum(masses, fmpq(0)) / len(members) for masses in zip(*members, strict=True)]
        mean = total(divergence(law, q) * fmpq(1, len(members)) for q in members)
        # Where all q_S are the same both sides are the same number, which balls could not tell.
        same = all(q == members[0] for q in members)
        truth = same or settle(partial(_less, law, mixture, mean)).truth
        statements.append(
            decided(
                f"a random schedule of {steps} steps: KL(p‖E q_S) ≤ E KL(p‖q_S), strictly where the q_S differ",
                law.instance,
                [truth],
                BALLS,
                f"{relative_entropy(law.masses, mixture).str(8)} against {mean.ball().str(8)} nats",
            )
        )
    return statements


def _less(law: CertifiedLaw, mixture: Sequence[fmpq], mean: LogSum) -> bool | None:
    left, right = relative_entropy(law.masses, mixture), mean.ball()
    return True if left < right else False if left >= right else None


def decided_by_tokens(law: CertifiedLaw) -> Statement:
    """KL(p‖q) = E ∑ TC over the decision tree of the most confident sites, for each pair of step sizes."""
    marginals = Marginals(law)
    truths = []
    for first in range(1, law.sites):
        output, nodes = along_the_tree(marginals, most_confident, (first, law.sites - first))
        truths.append((divergence(law, output) - nodes).is_zero())
    name = "two steps of the most confident sites: KL(p‖q) = E ∑ₜ TC at the nodes that x ∼ p visits, exactly"
    return decided(name, law.instance, truths, LOGARITHMS)
