"""The samplers of `theory.samplers` at scale, under the same names, in one `init` / `step` interface.

Tempered and greedy versions of each come from wrapping the model in `simulators.montecarlo.models.Tempered`.
"""

from __future__ import annotations

from collections.abc import Callable

from simulators.montecarlo.masks import Masks
from simulators.montecarlo.models.model import Model
from simulators.montecarlo.samplers.block_gibbs import block_gibbs
from simulators.montecarlo.samplers.confidence_remasking import confidence_remasking
from simulators.montecarlo.samplers.independent_parallel import independent_parallel
from simulators.montecarlo.samplers.k_parallel import k_parallel
from simulators.montecarlo.samplers.metropolis_hastings import metropolis_hastings
from simulators.montecarlo.samplers.sampler import Info, Sampler, State
from simulators.montecarlo.samplers.systematic_scan import systematic_scan

__all__ = [
    "SAMPLERS",
    "Info",
    "Sampler",
    "State",
    "block_gibbs",
    "confidence_remasking",
    "independent_parallel",
    "k_parallel",
    "metropolis_hastings",
    "systematic_scan",
]

SAMPLERS: dict[str, Callable[[Model, Masks], Sampler]] = {
    "k-gibbs": block_gibbs,
    "systematic-scan": systematic_scan,
    "independent-parallel": lambda model, masks: independent_parallel(model),
    "k-parallel": k_parallel,
    "confidence-remasking": confidence_remasking,
    "metropolis-hastings": metropolis_hastings,
}
"""Every sampler by the name that it has in `theory.samplers.SAMPLERS`."""
