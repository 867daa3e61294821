"""Approximate tensorization of entropy.

    C_AT = sup_r KL(r || q) / E_{(K, x_{-K}) ~ r} KL( r(. | x_{-K}) || q(. | x_{-K}) )  over laws r on the support of q.

Entropy contracts by it: KL(r P || q) <= (1 - 1/C_AT) KL(r || q) for one step P of the block dynamics.

*From below:* the ratio at any concrete r; and C_P, the limit of the ratio as r -> q. The supremum is sought by local
ascent from many starts, which need not find it.

*From above*, the least of
- the bracket C_P ln(1/q_min - 1)/(1 - 2 q_min), q_min the smallest positive mass: Ent(g) <= [the factor] Var(sqrt g)
  for any law (Diaconis and Saloff-Coste), Var(sqrt g) <= C_P E Var(sqrt g | x_{-K}), Var(sqrt g) <= Ent(g) by block;
- 1/P(K = [N]): a full mask sees the whole divergence;
- Dobrushin's coefficient of the masking channel (`theory.inequalities.entropy_contraction`), also for adaptive masks;
- comparison with the product pi of q's marginals (Holley and Stroock): (max q/pi) (max pi/q) C_AT(pi), which is exact
  for product laws. There C_AT = C_P = 1/min_i P(i in K) over the sites that are not deterministic: by the chain rule,
  since under a product law more conditioning only raises the divergence of a site.
The second and the last hold for mask laws that do not look at the sequence. On a few states,
`theory.inequalities.entropy_contraction.branch_and_bound` comes near the supremum from above.

Sources: Li et al. 2024, section 3 (claim C5); Diaconis and Saloff-Coste, *Logarithmic Sobolev inequalities for finite
Markov chains*, Ann. Appl. Probab. 6 (1996), thm A.1; Caputo, Menz and Tetali, *Approximate tensorization of entropy at
high temperature*, 2015; Holley and Stroock, J. Stat. Phys. 46 (1987).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import inf

import numpy as np
from numpy.typing import NDArray

from theory.divergences import entropy_density
from theory.errors import InvalidInput
from theory.inequalities.entropy_contraction import dobrushin_tensorization_bound
from theory.inequalities.extremal import Objective, maximise_over_laws, starting_laws
from theory.inequalities.masking_channel import MaskingChannel
from theory.inequalities.poincare import channel_poincare_constant
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw
from theory.pictures import Pictured

Array = NDArray[np.float64]

SMALLEST_DIVERGENCE = 1e-10
"""A law nearer to the target (in KL) is no witness: its ratio, which tends to at most C_P, is lost in rounding."""

CANCELLED = 1e-4
"""A local divergence that is less than this part of the total one is summed block by block, not got as a difference."""


@dataclass(frozen=True, eq=False)
class TensorizationConstant(Pictured):
    """What is known about C_AT.

    Attributes:
        lower: certified lower end, max(lower end of C_P, ratio at ``law``).
        upper: certified upper end, infinite where the block dynamics is reducible.
        upper_by: which argument gives the upper end.
        poincare: C_P, NaN where only its interval is known.
        law: r on all states [S] with the largest ratio that was found, None where C_P was not exceeded.
    """

    lower: float
    upper: float
    upper_by: str
    poincare: float
    law: Array | None


def complete_graph_factor(minimum_mass: float) -> float:
    """ln(1/q - 1)/(1 - 2q), in its limit 2 at q = 1/2: the least c with Ent(g) <= c Var(sqrt g) given q_min = q.

    Raises:
        InvalidInput: a mass outside (0, 1/2]; a law on two or more states has none else as its smallest.
    """
    if not 0 < minimum_mass <= 0.5:
        raise InvalidInput("minimum_mass", minimum_mass, "the smallest of at least two masses lies in (0, 1/2]")
    excess = 1 - 2 * minimum_mass
    return 2.0 if excess == 0 else float(np.log((1 - minimum_mass) / minimum_mass) / excess)


def product_constant(law: JointLaw, masks: MaskLaw) -> float:
    """C_AT = C_P = 1/min_i P(i in K), over sites that are not deterministic, for the product of the law's marginals.

    N/k for k-uniform masks; infinite where a site is never masked.

    Raises:
        InvalidInput: masks over another number of sites, or a law in which every site is deterministic.
    """
    if masks.sites != law.sites:
        raise InvalidInput("masks.sites", masks.sites, f"the law has {law.sites} sites")
    random = [site for site in range(law.sites) if (law.marginal((site,)) > 0).sum() > 1]
    if not random:
        raise InvalidInput("law", law.name, "the support needs at least 2 states")
    least = float(masks.inclusion[random].min())
    return 1 / least if least > 0 else inf


def tensorization_upper_bounds(channel: MaskingChannel, poincare: float) -> dict[str, float]:
    """Every certified upper bound on C_AT by name, given C_P or an upper end of it."""
    bounds = {"bracket": poincare * complete_graph_factor(float(channel.target.min()))}
    law, masks = channel.law, channel.masks
    if isinstance(masks, MaskLaw):
        full = sum(p for mask, p in zip(masks.masks, masks.probabilities, strict=True) if len(mask) == masks.sites)
        bounds["full mask"] = 1 / float(full) if full > 0 else inf
        product = reduce(np.multiply.outer, (law.marginal((site,)) for site in range(law.sites))).reshape(-1)
        if ((product > 0) == law.support).all():
            density = channel.target / product[channel.support]
            bounds["product comparison"] = float(density.max() / density.min()) * product_constant(law, masks)
    bounds["Dobrushin coefficient"] = dobrushin_tensorization_bound(channel)
    # C_AT >= 1, whatever rounding says.
    return {name: max(1.0, bound) for name, bound in bounds.items()}


def tensorization_upper_bound(law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw) -> float:
    """The least of the certified upper bounds on C_AT, infinite where the block dynamics is reducible.

    Raises:
        InvalidInput: a support of one state, or masks over another number of sites.
    """
    channel = MaskingChannel(law, masks)
    return min(tensorization_upper_bounds(channel, channel_poincare_constant(channel).interval[1]).values())


def tensorization_ratio(channel: MaskingChannel, other: Array) -> float:
    """KL(r || q) / E KL(r(. | K, x_{-K}) || q(. | K, x_{-K})) at r [S], a lower bound on C_AT; infinite at 0 below.

    Raises:
        InvalidInput: r is nearer to q than 1e-10 in KL, or has mass outside the support of q.
    """
    total = float(channel.relative_entropy(other))
    if not SMALLEST_DIVERGENCE <= total < inf:
        raise InvalidInput("other", f"a law at divergence {total:g}", f"at least {SMALLEST_DIVERGENCE:g} and finite")
    local = float(channel.local_relative_entropy(other))
    return total / local if local > 0 else inf


def approximate_tensorization(
    law: JointLaw,
    masks: MaskLaw | AdaptiveMaskLaw,
    random_starts: int = 4,
    iterations: int = 300,
    generator: np.random.Generator | None = None,
) -> TensorizationConstant:
    """C_AT of block dynamics with target ``law``, certified from both sides and optimised from below.

    Args:
        law: the target q.
        masks: P_K or P(K | x).
        random_starts: random laws, random point masses and random perturbations, so many of each, besides the fixed
            starts.
        iterations: of the ascent, for each start.
        generator: for the random starts; seeded with 0 by default.

    Raises:
        InvalidInput: a support of one state, masks over another number of sites, negative counts.
    """
    channel = MaskingChannel(law, masks)
    constant = channel_poincare_constant(channel)
    if constant.reason:
        return TensorizationConstant(inf, inf, "reducible", inf, None)
    least, largest = constant.interval
    bounds = tensorization_upper_bounds(channel, largest)
    upper_by = min(bounds, key=lambda name: bounds[name])
    if bounds[upper_by] <= largest * (1 + 1e-12):
        return TensorizationConstant(least, max(least, bounds[upper_by]), upper_by, constant.value, None)
    starts = starting_laws(channel, random_starts, np.random.default_rng(0) if generator is None else generator)
    best, witness = least, None
    for end in maximise_over_laws(_log_ratio(channel), starts, iterations):
        candidate = channel.extend(end)
        if channel.relative_entropy(candidate) >= SMALLEST_DIVERGENCE:
            value = tensorization_ratio(channel, candidate)
            if value > best:
                best, witness = value, candidate
    return TensorizationConstant(best, bounds[upper_by], upper_by, constant.value, witness)


def _log_ratio(channel: MaskingChannel) -> Objective:
    def objective(law: Array) -> tuple[float, Array]:
        density, means = law / channel.target, channel.observe(law) / channel.observed
        total = float(entropy_density(density - 1) @ channel.target)
        local = total - float(entropy_density(means - 1) @ channel.observed)
        if local < CANCELLED * total:
            weights, within, _ = channel.within_blocks(density, density - 1)
            local = float(weights @ entropy_density(within))
        if total < SMALLEST_DIVERGENCE or local <= 0:
            return 0.0, np.zeros_like(law)  # Lost in rounding near the target: as little as a ratio can be.
        slope = np.log(density)
        return float(np.log(total / local)), slope / total - (slope - channel.posterior_mean(np.log(means))) / local

    return objective
