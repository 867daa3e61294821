r"""The largest factor by which one step of block dynamics leaves a relative entropy (claim C6).

    eta(P) = sup_r KL(r P || q) / KL(r || q)   over laws r on the support of q,

P = A* A with A the masking channel, so that (1 - 1/C_P)^2 <= eta(P) <= eta(A) = 1 - 1/C_AT: the first is the limit
r -> q along the slowest function, the second data processing by A*. P is reversible: r P has the density P (r/q), and
the derivative of KL(r P || q) by r(x) is (P ln(r P / q))(x), up to a constant.

*From below:* ascent over laws from many starts, and the limit. *From above:* the certified upper end of C_AT, and on a
few states branch and bound with P itself as the channel
(`theory.inequalities.entropy_contraction.step_branch_and_bound`).

Legend: ``T`` states in the support. Source: Li et al. 2024, section 3; Polyanskiy and Wu 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.divergences import entropy_density
from theory.inequalities.entropy_contraction import LARGEST_SUPPORT, step_branch_and_bound
from theory.inequalities.extremal import Objective, maximise_over_laws, starting_laws
from theory.inequalities.masking_channel import MaskingChannel
from theory.inequalities.poincare import channel_poincare_constant
from theory.inequalities.tensorization import SMALLEST_DIVERGENCE, tensorization_upper_bounds
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StepContraction:
    """What is known about eta(P).

    Attributes:
        lower: certified lower end, max((1 - 1/C_P)^2, ratio at ``law``).
        upper: certified upper end; 1 where the block dynamics is reducible.
        upper_by: "C_AT" or "branch and bound".
        law: r on all states [S] with the largest ratio that was found, None where the limit was not exceeded.
    """

    lower: float
    upper: float
    upper_by: str
    law: Array | None


def step_ratio(channel: MaskingChannel, law: Array) -> float:
    """KL(r P || q) / KL(r || q) at masses r [T] on the support, both summed from terms that are not negative."""
    excess = (law - channel.target) / channel.target
    before = float(entropy_density(excess) @ channel.target)
    after = channel.posterior_mean(channel.observe(channel.target * excess) / channel.observed)
    return float(entropy_density(np.maximum(after, -1.0)) @ channel.target) / before


def step_contraction(
    law: JointLaw,
    masks: MaskLaw | AdaptiveMaskLaw,
    random_starts: int = 4,
    iterations: int = 300,
    generator: np.random.Generator | None = None,
    cells: int = 0,
) -> StepContraction:
    """eta(P) of block dynamics with target ``law``, certified from both sides and optimised from below.

    Args:
        law, masks, random_starts, iterations, generator: as in
            `theory.inequalities.tensorization.approximate_tensorization`.
        cells: for branch and bound, on at most `LARGEST_SUPPORT` states; 0 for none.

    Raises:
        InvalidInput: a support of one state, masks over another number of sites, negative counts.
    """
    channel = MaskingChannel(law, masks)
    constant = channel_poincare_constant(channel)
    if constant.reason:
        return StepContraction(1.0, 1.0, "reducible", None)
    least, largest = constant.interval
    upper, upper_by = 1 - 1 / min(tensorization_upper_bounds(channel, largest).values()), "C_AT"
    best, witness = (1 - 1 / least) ** 2, None
    if upper <= best * (1 + 1e-12):
        return StepContraction(min(best, 1.0), max(upper, best), upper_by, None)
    starts = starting_laws(channel, random_starts, np.random.default_rng(0) if generator is None else generator)
    for end in maximise_over_laws(_log_ratio(channel), starts, iterations):
        if entropy_density(end / channel.target - 1) @ channel.target >= SMALLEST_DIVERGENCE:
            value = step_ratio(channel, end)
            if value > best:
                best, witness = value, channel.extend(end)
    if cells and len(channel.target) <= LARGEST_SUPPORT and best < upper:
        proved = 1 - 1 / step_branch_and_bound(channel, 1 / (1 - best), largest, cells=cells).upper
        if proved < upper:
            upper, upper_by = proved, "branch and bound"
    return StepContraction(best, max(upper, best), upper_by, witness)


def _log_ratio(channel: MaskingChannel) -> Objective:
    def step(values: Array) -> Array:
        return channel.posterior_mean(channel.observe(channel.target * values) / channel.observed)

    def objective(law: Array) -> tuple[float, Array]:
        density = law / channel.target
        before = float(entropy_density(density - 1) @ channel.target)
        after = step(density)
        left = float(entropy_density(after - 1) @ channel.target)
        if before < SMALLEST_DIVERGENCE or left <= SMALLEST_DIVERGENCE**2:
            return -np.inf, np.zeros_like(law)  # lost in rounding near the target
        return float(np.log(left / before)), step(np.log(after)) / left - np.log(density) / before

    return objective
