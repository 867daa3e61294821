"""C2 on rational laws: the Loewner order of information matrices, by elimination in fractions."""

from __future__ import annotations

from itertools import pairwise

from flint import arb, fmpq, fmpq_mat

from experiments.certificates.laws import complete, disordered, rings
from experiments.certificates.statement import FRACTIONS, Statement, decided
from experiments.claim import Progress
from theory.certified.arithmetic import Rows
from theory.certified.information import at_most_as_informative, information, pairwise_statistics
from theory.certified.laws import CertifiedLaw, Masks, uniform_masks


def certify(progress: Progress) -> list[Statement]:
    """I_1 ≻ 0, I_k ⪯ I_(k+1) for every k, and I_N = Cov(T)."""
    laws = [*rings(6), disordered(5), complete(7)]
    statements = []
    for done, law in enumerate(laws):
        progress(done / len(laws), f"information matrices of {law.instance['law']}")
        statements.append(masking_more(law, [uniform_masks(law.sites, k) for k in range(1, law.sites + 1)]))
    return statements


def masking_more(law: CertifiedLaw, masks: list[Masks]) -> Statement:
    """That each mask law of a list is at least as informative as the one before, and the last one as all of x."""
    matrices = [information(law, pairwise_statistics, chosen) for chosen in masks]
    fisher = covariance(law)
    order = [at_most_as_informative(less, more) for less, more in pairwise(matrices)]
    ends = [_has_inverse(matrices[0]), matrices[-1] == fisher]
    traces = [sum((matrix[a][a] for a in range(len(matrix))), fmpq(0)) for matrix in matrices]
    return decided(
        f"Γ_(k+1) ⪯ Γ_k for k = 1..{len(masks) - 1}, and Γ_{len(masks)} is the inverse Fisher information",
        {**law.instance, "statistics": "x_i and x_i x_j"},
        [*order, *ends],
        FRACTIONS,
        "tr I_k = " + ", ".join(arb(trace).str(8, radius=False) for trace in traces),
    )


def covariance(law: CertifiedLaw) -> Rows:
    """Cov(T), from its definition."""
    values = [pairwise_statistics(state) for state in law.states]
    size = range(len(values[0]))
    means = [sum((m * v[a] for m, v in zip(law.masses, values, strict=True)), fmpq(0)) for a in size]
    return [
        [
            sum((m * (v[a] - means[a]) * (v[b] - means[b]) for m, v in zip(law.masses, values, strict=True)), fmpq(0))
            for b in size
        ]
        for a in size
    ]


def _has_inverse(matrix: Rows) -> bool:
    return fmpq_mat(matrix).rank() == len(matrix)
