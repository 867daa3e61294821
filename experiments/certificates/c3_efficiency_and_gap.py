"""C3 on rational laws: what mixes fast is learned efficiently, with the gap enclosed and equality decided."""

from __future__ import annotations

from experiments.certificates.laws import complete, disordered, product_law, rings
from experiments.certificates.statement import Statement, decided
from experiments.claim import Progress
from theory.certified.arithmetic import Rows
from theory.certified.gaps import Enclosure, gap_enclosure, is_reversible
from theory.certified.information import (
    at_most_as_informative,
    bounded_by_mixing,
    information,
    pairwise_statistics,
)
from theory.certified.laws import CertifiedLaw, Masks, block_gibbs, uniform_masks

METHOD = "fractions; the gap in balls; equality by the common divisor of characteristic polynomials"


def certify(progress: Progress) -> list[Statement]:
    """I⁻¹ ⪯ Γ ⪯ C_P I⁻¹ for each law and each number of masked sites."""
    laws = [*rings(5), disordered(5), complete(5), product_law(5), rings(6)[2]]
    statements = []
    for done, law in enumerate(laws):
        progress(done / len(laws), f"information and gaps of {law.instance['law']}")
        fisher = information(law, pairwise_statistics, uniform_masks(law.sites, law.sites))
        for size in range(1, law.sites + 1):
            masks = uniform_masks(law.sites, size)
            kernel = block_gibbs(law, masks)
            gap = gap_enclosure(law.balls, masks)
            statements.append(efficiency(law, f"uniform over {size} of {law.sites}", masks, fisher, kernel, gap))
    return statements


def efficiency(
    law: CertifiedLaw, named: str, masks: Masks, fisher: Rows, kernel: Rows, gap: Enclosure | None
) -> Statement:
    """That Γ lies between I⁻¹ and C_P I⁻¹ for one mask law, given the enclosure of the gap of its dynamics."""
    masked = information(law, pairwise_statistics, masks)
    upper = None if gap is None else bounded_by_mixing(masked, fisher, kernel, gap)
    found = "the gap could not be enclosed" if gap is None else f"C_P = {(1 / gap.ball()).str(12)}"
    return decided(
        "I⁻¹ ⪯ Γ ⪯ C_P I⁻¹",
        {**law.instance, "statistics": "x_i and x_i x_j", "masks": named},
        [is_reversible(law, kernel), at_most_as_informative(masked, fisher), upper],
        METHOD,
        found,
    )
