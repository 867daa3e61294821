"""The samplers of `theory.samplers` at scale, under the same names, in one `init` / `step` interface.

Tempered and greedy versions of each come from wrapping the model in `simulators.montecarlo.models.Tempered`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from simulators.montecarlo.models.model import Model
from simulators.montecarlo.samplers.block_gibbs import block_gibbs
from simulators.montecarlo.samplers.confidence_remasking import confidence_remasking
from simulators.montecarlo.samplers.independent_parallel import independent_parallel
from simulators.montecarlo.samplers.k_parallel import k_parallel
from simulators.montecarlo.samplers.locally_balanced import locally_balanced
from simulators.montecarlo.samplers.metropolis_hastings import metropolis_hastings
from simulators.montecarlo.samplers.sampler import Sampler, State
from simulators.montecarlo.samplers.systematic_scan import systematic_scan
from theory import samplers as exact
from theory.masks import MaskLaw

__all__ = [
    "SAMPLERS",
    "State",
    "block_gibbs",
    "confidence_remasking",
    "independent_parallel",
    "k_parallel",
    "locally_balanced",
    "metropolis_hastings",
    "simulated",
    "systematic_scan",
]

Build = Callable[..., Sampler]
"""From a model, a mask law, and perhaps a target and options, to a sampler."""

SAMPLERS: dict[str, Build] = {
    "k-gibbs": lambda model, masks, target=None: block_gibbs(model, masks),
    "systematic-scan": lambda model, masks, target=None: systematic_scan(model, masks),
    "independent-parallel": lambda model, masks, target=None: independent_parallel(model),
    "k-parallel": lambda model, masks, target=None: k_parallel(model, masks),
    "confidence-remasking": lambda model, masks, target=None: confidence_remasking(model, masks),
    "metropolis-hastings": metropolis_hastings,
    "locally-balanced": lambda model, masks, target=None, **options: locally_balanced(model, target, **options),
}
"""The twin of every sampler of `theory.samplers.SAMPLERS`, by its name."""


def simulated(sampler: exact.Sampler, model: Model, masks: MaskLaw, target: Model | None = None) -> Sampler:
    """The Monte Carlo twin of a sampler, with its options.

    Args:
        sampler: from `theory.samplers.parse_sampler`.
        model, masks: its conditionals and its mask law.
        target: the law that a correction keeps; by default that of ``model``.

    Raises:
        InvalidInput: values that do not go together, or blocks that the model cannot redraw.
    """
    return SAMPLERS[sampler.name](model, masks, target, **asdict(sampler))  # type: ignore[call-overload]
