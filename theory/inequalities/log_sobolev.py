"""The modified log-Sobolev constant of block dynamics.

    rho_0 = inf_f E(f, ln f) / Ent(f)  over positive f,   E(f, g) = <f, (I - P) g>_q = E Cov(f, g | K, x_{-K}).

In continuous time (each state leaves at rate 1, semigroup exp(t(P - I))) relative entropy decays at this rate,
KL(nu_t || q) <= exp(-rho_0 t) KL(nu || q), so by Pinsker's inequality and KL(delta_x || q) <= ln(1/q_min)

    t_mix(eps) <= ( ln ln(1/q_min) + ln(1/(2 eps^2)) ) / rho_0.

*From above:* the quotient at any concrete f; and 2 gap, its limit as f -> 1. *From below,* the larger of
- 1/C_AT: E(f, ln f) >= E Ent(f | x_{-K}), because E ln f <= ln E f in each block;
- 4 gap (1 - 2 q_min) / ln(1/q_min - 1): E(f, ln f) >= 4 E(sqrt f, sqrt f) >= 4 gap Var(sqrt f).

Legend: ``S`` states, ``T`` states in the support, q the target law, q_min its smallest positive mass. With f = r/q for
a law r, E(f, ln f) = sum_x r(x) ((I - P) ln f)(x) and Ent(f) = KL(r || q).
Source: Bobkov and Tetali, *Modified logarithmic Sobolev inequalities in discrete settings*, J. Theoret. Probab. 19
(2006), whose rho_0 this is; Diaconis and Saloff-Coste, Ann. Appl. Probab. 6 (1996), thm A.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import numpy as np
from numpy.typing import NDArray

from theory.divergences import entropy_density
from theory.inequalities.dobrushin import check_epsilon
from theory.inequalities.extremal import Objective, maximise_over_laws, starting_laws
from theory.inequalities.masking_channel import MaskingChannel
from theory.inequalities.poincare import channel_poincare_constant
from theory.inequalities.tensorization import (
    CANCELLED,
    SMALLEST_DIVERGENCE,
    complete_graph_factor,
    tensorization_upper_bounds,
)
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ModifiedLogSobolevConstant:
    """What is known about rho_0.

    Attributes:
        lower: certified lower end; 0 where the block dynamics is reducible.
        lower_by: which argument gives the lower end.
        upper: certified upper end, min(2 gap, quotient at ``function``).
        function: f on all states [S], E f = 1, with the smallest quotient found, None where 2 gap was not undercut.
        minimum_mass: q_min.
    """

    lower: float
    lower_by: str
    upper: float
    function: Array | None
    minimum_mass: float

    def mixing_time_bound(self, epsilon: float = 0.25) -> float:
        """Upper bound on t_mix(eps) in continuous time, from the certified lower end of rho_0.

        Raises:
            InvalidInput: ``epsilon`` outside (0, 1).
        """
        check_epsilon(epsilon)
        exponent = log(log(1 / self.minimum_mass)) - log(2 * epsilon**2)
        if exponent <= 0:
            return 0.0
        return exponent / self.lower if self.lower > 0 else inf


def entropy_production(channel: MaskingChannel, density: Array, excess: Array) -> float:
    """E(f, ln f) = E E[(f - m)(ln f - ln m) | K, x_{-K}], m the mean in the block: no term is negative."""
    weights, within, logarithm = channel.within_blocks(density, excess)
    return float(weights @ (within * logarithm))


def modified_log_sobolev(
    law: JointLaw,
    masks: MaskLaw | AdaptiveMaskLaw,
    random_starts: int = 4,
    iterations: int = 300,
    generator: np.random.Generator | None = None,
) -> ModifiedLogSobolevConstant:
    """rho_0 of block dynamics with target ``law``, certified from both sides; the upper end is optimised.

    Args:
        law: the target q.
        masks: P_K or P(K | x).
        random_starts, iterations, generator: of the search, as in
            `theory.inequalities.tensorization.approximate_tensorization`.

    Raises:
        InvalidInput: a support of one state, masks over another number of sites, negative counts.
    """
    channel = MaskingChannel(law, masks)
    smallest = float(channel.target.min())
    poincare = channel_poincare_constant(channel)
    if poincare.reason:
        return ModifiedLogSobolevConstant(0.0, "reducible", 0.0, None, smallest)
    least, largest = poincare.interval
    bounds = {f"tensorization ({name})": 1 / c for name, c in tensorization_upper_bounds(channel, largest).items()}
    bounds["spectral gap"] = 4 / largest / complete_graph_factor(smallest)
    lower_by = max(bounds, key=lambda name: bounds[name])
    starts = starting_laws(channel, random_starts, np.random.default_rng(0) if generator is None else generator)
    objective = _negative_log_quotient(channel)
    best, witness = 2 / least, None
    for end in maximise_over_laws(objective, starts, iterations):
        if channel.relative_entropy(channel.extend(end)) >= SMALLEST_DIVERGENCE:
            density = end / channel.target
            value = entropy_production(channel, density, density - 1) / float(
                entropy_density(density - 1) @ channel.target
            )
            if value < best:
                best, witness = value, channel.extend(density)
    # Where both ends meet (uniform product laws) rounding alone may have put the witness below.
    return ModifiedLogSobolevConstant(bounds[lower_by], lower_by, max(best, bounds[lower_by]), witness, smallest)


def _negative_log_quotient(channel: MaskingChannel) -> Objective:
    def objective(law: Array) -> tuple[float, Array]:
        density = law / channel.target
        total = float(entropy_density(density - 1) @ channel.target)
        if total < SMALLEST_DIVERGENCE:
            return -log(2), np.zeros_like(law)  # Lost in rounding near the target; the limit 2 gap is at most 2.
        slope = np.log(density)
        change = slope - channel.posterior_mean(channel.observe(channel.target * slope) / channel.observed)
        flow = density - channel.posterior_mean(channel.observe(law) / channel.observed)
        production = float(law @ change)
        if production < CANCELLED * total:
            production = entropy_production(channel, density, density - 1)
        return float(np.log(total / production)), slope / total - (change + flow / density) / production

    return objective
